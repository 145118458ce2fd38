"""Characters that can be drawn in any size with any pen: how far each pixel is from their edges.

glyphs = make_glyphs(images, count=4000, seed=42)
coverage = glyphs[0].draw(height=40, pen=5, rng=rng, shear=0, angle=0)  # (h, w) float32 0-1
"""

import string
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from scipy import ndimage

from training.handwriting import CANVAS, FLAT_SHARE, NON_DIGIT, draw, write
from training.non_digits import scribble
from training.printed import printed

MARGIN = 14  # pixels of the canvas around a glyph: room for a pen thicker than its own
STEPS = 4  # a distance is stored in quarters of a pixel
WIDEST = 2  # heights: wider, it is what is left of a digit whose other strokes are too faint


class Glyph(NamedTuple):
    """A character as distances, in pixels of its own, from the edge of its strokes.

    Attributes:
        distances: (h, w) int8, in quarters of a pixel, above 0 within strokes.
        pen: The width of its strokes, in pixels.
    """

    distances: np.ndarray
    pen: float

    def draw(
        self, height: float, pen: float, rng: np.random.Generator, shear: float, angle: float
    ) -> np.ndarray:
        """The share of each pixel that a pen covers, (h, w) float32 0-1, with a margin.

        Args:
            height: Of the glyph before it is sheared and rotated, in pixels.
            pen: The width of its strokes, in pixels.
            rng: Varies the aspect.
            shear: Columns to the right for each row up.
            angle: Of the rotation, in radians.
        """
        size = np.array(self.distances.shape[::-1])
        scale = height / (size[1] - 2 * MARGIN)
        stretched = np.diag([scale * np.exp(rng.normal(0, 0.12)), scale])
        cosine, sine = np.cos(angle), np.sin(angle)
        forward = np.array([[cosine, -sine], [sine, cosine]]) @ [[1, -shear], [0, 1]] @ stretched
        canvas = np.ceil(np.abs(forward) @ size).astype(int) + 1
        back = np.linalg.inv(forward)
        left, top = size / 2 - back @ canvas / 2
        image = Image.fromarray(np.float32(self.distances))
        how = Image.Transform.AFFINE, (*back[0], left, *back[1], top), Image.Resampling.BILINEAR
        distances = image.transform(tuple(canvas.tolist()), *how, fillcolor=-127)
        edges = np.asarray(distances) * (scale / STEPS) + (pen - self.pen * scale) / 2
        return (edges + 0.5).clip(0, 1)


def make_glyph(ink: np.ndarray) -> Glyph | None:
    """A glyph of ink (H, W) 0-1, or None where there is hardly any."""
    inside = ink > 0.5
    if inside.sum() < 20:
        return None
    inside = np.pad(inside[ndimage.find_objects(inside.astype(np.uint8))[0]], MARGIN)
    within = ndimage.distance_transform_edt(inside)
    distances = within - ndimage.distance_transform_edt(~inside)
    distances -= np.sign(distances) / 2  # an edge lies between two pixels
    # In a bar that is w pixels wide the mean distance to the background is w / 4.
    pen = 4 * (within[inside] - 0.5).mean()
    return Glyph(np.int8((distances * STEPS).clip(-127, 127)), float(pen))


def glyph_of_image(image: np.ndarray) -> Glyph | None:
    """A glyph of one of MNIST's images, (28, 28) uint8, or None where hardly any ink is left."""
    enlarged = Image.fromarray(image).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
    glyph = make_glyph(np.asarray(enlarged, np.float32) / 255)
    if glyph is None:
        return None
    height, width = np.subtract(glyph.distances.shape, 2 * MARGIN)
    return glyph if width <= WIDEST * height else None


def glyph_by_hand(label: str, rng: np.random.Generator) -> Glyph | None:
    """A glyph of a digit, or of a sign if the label is "-", as some hand writes it."""
    is_flat = rng.random() < FLAT_SHARE
    return make_glyph(draw(write(label, rng), rng.uniform(4, 9), is_flat=is_flat))


def make_glyphs(images: np.ndarray, count: int, seed: int) -> list[Glyph]:
    """Glyphs: 45% of MNIST's digits, 35% of digits by hand, 20% of other characters and scribbles.

    Args:
        images: (N, 28, 28) uint8, of MNIST; each is taken once, while there are enough.
        count: How many, about: some are too faint.
        seed: The same seed makes the same glyphs.
    """
    order = np.random.default_rng(seed).permutation(len(images))

    def make(number: int) -> Glyph | None:
        rng = np.random.default_rng((seed, number))
        kind = number % 20
        if kind < 9:
            return glyph_of_image(images[order[(number // 20 * 9 + kind) % len(order)]])
        if kind < 16:
            return glyph_by_hand(str(rng.integers(10)), rng)
        if kind < 18:
            return make_glyph(printed(rng.choice([*string.ascii_letters, *string.digits]), rng))
        return make_glyph(scribble(rng)) if kind == 18 else glyph_by_hand(NON_DIGIT, rng)

    with Parallel(n_jobs=-1 if count > 2000 else 1) as parallel:
        made = parallel(delayed(make)(number) for number in range(count))
    return [glyph for glyph in made if glyph is not None]
