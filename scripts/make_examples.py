"""python -m scripts.make_examples [path/to/mnist]

Draws the images in examples/ from strokes and from MNIST, a local copy or the Hub's. The same
command gives the same images.
"""

import sys
from pathlib import Path

import numpy as np
from datasets import load_dataset
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from scripts.strokes import EIGHT, HOUSE, SEVEN, TWO, smooth

EXAMPLES = Path(__file__).parent.parent / "examples"
SIDE = 240  # pixels


def write(
    strokes: list,
    width: float,
    background: str,
    ink: str,
    box: tuple[float, float, float] = (0, 0, 1),
) -> Image.Image:
    """Strokes as an RGB image (240, 240); `box`: left, top and side of their square, 0-1."""
    scale = 4  # drawn larger and reduced, for smooth edges
    left, top, size = (value * SIDE * scale for value in box)
    image = Image.new("RGB", (SIDE * scale, SIDE * scale), background)
    pen = ImageDraw.Draw(image)
    radius = width * scale / 2
    for stroke in strokes:
        corners = [(left + x * size / 100, top + y * size / 100) for x, y in smooth(stroke)]
        pen.line(corners, ink, round(2 * radius), joint="curve")
        for x, y in corners:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def photograph(ink: Image.Image, rng: np.random.Generator) -> Image.Image:
    """White ink on black (28 high) -> a photo (240 high) of blue ink on shaded paper."""
    ink = ImageOps.expand(ink, 10)
    size = (round(SIDE * ink.width / ink.height), SIDE)
    mask = ink.resize(size, Image.Resampling.BICUBIC).rotate(6 * SIDE / size[0])
    ink = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), float)[..., None] / 255
    y, x = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j][..., None]
    light = 0.95 - 0.35 * x * y
    paper, pen = np.array([0.93, 0.91, 0.84]), np.array([0.12, 0.2, 0.5])
    photo = light * (paper * (1 - ink) + pen * ink) + rng.normal(0, 0.02, (*ink.shape[:2], 3))
    return Image.fromarray(np.uint8(photo.clip(0, 1) * 255))


def side_by_side(digits: list[Image.Image]) -> Image.Image:
    """Digits (28, 28) as a number, 20 pixels from one to the next."""
    number = np.zeros((28, 20 * len(digits) + 8), np.uint8)
    for place, digit in enumerate(digits):
        part = number[:, 20 * place : 20 * place + 28]
        np.maximum(part, np.asarray(digit), out=part)
    return Image.fromarray(number)


def main(dataset: str = "ylecun/mnist") -> None:
    """Write the images into examples/."""
    digits = load_dataset(dataset, split="train").select(range(100))
    labels, digits = digits["label"], digits["image"]
    digits[2].save(EXAMPLES / "1-a-4-from-MNIST.png")
    write(TWO, 4, "white", "#222").save(EXAMPLES / "2-a-2-in-thin-lines.png")
    write(SEVEN, 6, "#fdf6e3", "#7c2d12", (0.6, 0.55, 0.4)).save(EXAMPLES / "3-a-7-off-centre.png")
    write(EIGHT, 22, "#14532d", "#f5f5f4").save(EXAMPLES / "4-an-8-white-on-dark.png")
    photo = photograph(digits[0], np.random.default_rng(0))
    photo.save(EXAMPLES / "5-a-5-photographed.jpg", quality=80)
    number = side_by_side([digits[labels.index(digit)] for digit in (4, 0, 7)])
    photo = photograph(number, np.random.default_rng(0))
    photo.save(EXAMPLES / "6-the-number-407.jpg", quality=80)
    write(HOUSE, 8, "white", "#222").save(EXAMPLES / "7-a-house.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
