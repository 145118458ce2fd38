"""Draw docs/strokes.png and docs/photographs.png anew: what training draws, for a person to judge.

    python -m scripts.make_contact_sheet

Of the strokes: whether each way of writing in training/strokes.txt is legible, and no line of the
table is a misprint. Of the photographs: whether each kind looks as people's images do, and beside
it, whether the right pixels are marked: writing in green, forms in magenta. The same command gives
the same images.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from image_processing_mnist import MnistImageProcessor
from scripts.serve import ROOT
from training import photographs
from training.corrections import RELEASED_MODEL
from training.glyphs import make_glyph
from training.handwriting import draw, random_pen_width, vary, ways_of_writing, write

REPEATS = 4  # of each way of writing
SIDE = 28  # pixels: the images as training has them
COLUMNS = 4  # of photographs
LINE = 20  # pixels of height


def strokes_sheet() -> Image.Image:
    """A row for each digit, and the non-digits below."""
    rng, processor = np.random.default_rng(0), MnistImageProcessor.from_pretrained(RELEASED_MODEL)
    rows = [(digit, ways_of_writing(digit)[0]) for digit in "0123456789"]
    signs, _ = ways_of_writing("-")
    longest = max(len(ways) for _, ways in rows)
    rows += [("-", signs[start : start + longest]) for start in range(0, len(signs), longest)]
    width, height = SIDE * REPEATS + 12, SIDE + 6
    sheet = Image.new("L", (20 + width * longest, height * len(rows)), 255)
    for y, (label, ways) in enumerate(rows):
        ImageDraw.Draw(sheet).text((6, y * height + 8), label, 0)
        for x, way in enumerate(ways):
            for n in range(REPEATS):
                framed = processor.frame(draw(vary(way, rng), random_pen_width(rng)))
                image = Image.fromarray(np.uint8(framed * 255 + 0.5))
                sheet.paste(ImageOps.invert(image), (20 + x * width + n * SIDE, y * height + 3))
    return sheet


def photographs_sheet() -> Image.Image:
    """A row for each kind on white paper, and two of all kinds mixed, as training has them."""
    rngs = [np.random.default_rng((1, n)) for n in range(200)]
    glyphs = [make_glyph(draw(write(str(n % 10), rng), 6)) for n, rng in enumerate(rngs)]
    tables = photographs.LAYOUTS, photographs.FORMS, photographs.ON_PHOTOS, photographs.AFTERWARDS
    kinds = [kind for table in tables for kind in table]
    kinds += [photographs.circle_around, photographs.thing, photographs.exposed, None, None]
    width, height = 2 * photographs.SIZE + 8, photographs.SIZE + LINE
    sheet = Image.new("RGB", (COLUMNS * width, len(kinds) * height), "white")
    for y, kind in enumerate(kinds):
        name = kind.__name__.replace("_", " ") if kind else "all kinds"
        ImageDraw.Draw(sheet).text((2, y * height + 4), name, "black")
        for x in range(COLUMNS):
            rng = np.random.default_rng((y, x))
            if kind is None:
                image, (writing, forms) = photographs.photograph(glyphs, rng)
            else:
                layers = np.uint8(example(kind, glyphs, rng).clip(0, 1) * 255)
                image, (writing, forms) = layers[:3].transpose(1, 2, 0), layers[3:]
            marks = 255 - np.stack([writing, forms, writing], axis=-1)
            both = Image.fromarray(np.hstack([image, marks]))
            sheet.paste(both, (x * width, y * height + LINE))
    return sheet


def example(kind: Callable, glyphs: list, rng: np.random.Generator) -> np.ndarray:
    """A scene of writing in black that shows one kind and nothing else."""
    layout = kind if kind in photographs.LAYOUTS else photographs.one_glyph
    writing, _ = layout(glyphs, rng)
    is_circle, lines = kind is photographs.circle_around, np.zeros_like(writing)
    if is_circle or kind in photographs.FORMS:
        lines = photographs.draw_lines(rng, {kind: 1}, writing)
    scene = np.full((5, *writing.shape), 0.9, np.float32)
    scene[3] = np.maximum(writing, lines) if is_circle else writing
    scene[4] = lines * (1 - scene[3]) * (not is_circle)
    photographs.lay_on(scene, np.maximum(writing, lines), np.zeros(3))
    changes = *photographs.ON_PHOTOS, *photographs.AFTERWARDS, photographs.thing
    return kind(scene, rng) if kind in (*changes, photographs.exposed) else scene


if __name__ == "__main__":
    strokes_sheet().save(ROOT / "docs" / "strokes.png", optimize=True)
    photographs_sheet().save(ROOT / "docs" / "photographs.png", optimize=True)
