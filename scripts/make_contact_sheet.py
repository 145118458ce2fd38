"""Draw docs/strokes.png and docs/photographs.png anew: what training draws, for a person to judge.

    python -m scripts.make_contact_sheet

Of the strokes: whether each way of writing in training/strokes.txt is legible, and no line of the
table is a misprint. Of the photographs: whether they look as people's images do, and beside each,
whether the right pixels are marked: writing in green, forms in magenta. The same command gives the
same images.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from image_processing_mnist import MnistImageProcessor
from scripts.serve import ROOT
from training.corrections import RELEASED_MODEL
from training.glyphs import make_glyph
from training.handwriting import draw, random_pen_width, vary, ways_of_writing, write
from training.photographs import photograph

REPEATS = 4  # of each way of writing
SIDE = 28  # pixels: the images as training has them
ROWS, COLUMNS = 10, 4  # of photographs


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
    """Rows of photographs as training has them, and beside each what is marked."""
    rngs = [np.random.default_rng((1, n)) for n in range(200)]
    glyphs = [make_glyph(draw(write(str(n % 10), rng), 6)) for n, rng in enumerate(rngs)]
    rows = []
    for y in range(ROWS):
        images = []
        for x in range(COLUMNS):
            image, (writing, forms) = photograph(glyphs, np.random.default_rng((y, x)))
            images += [image, 255 - np.stack([writing, forms, writing], axis=-1)]
        rows.append(np.hstack(images))
    return Image.fromarray(np.vstack(rows))


if __name__ == "__main__":
    strokes_sheet().save(ROOT / "docs" / "strokes.png", optimize=True)
    photographs_sheet().save(ROOT / "docs" / "photographs.png", optimize=True)
