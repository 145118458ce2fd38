"""python -m scripts.make_examples [path/to/mnist]

Draws the images in examples/ from strokes and from MNIST, a local copy or the Hub's. The same
command gives the same images.
"""

import sys

import numpy as np
from datasets import load_dataset
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from scripts.serve import ROOT
from scripts.strokes import EIGHT, HOUSE, SEVEN, TWO, smooth

EXAMPLES = ROOT / "examples"
SIDE = 240  # pixels


def write(strokes: list, width: int, paper: str, ink: str, box: tuple = (0, 0, 1)) -> Image.Image:
    """Strokes as an RGB image (240, 240); `box`: left, top and side of their square, 0-1."""
    scale = 4  # drawn larger and reduced, for smooth edges
    left, top, size = (value * SIDE * scale for value in box)
    image = Image.new("RGB", (SIDE * scale, SIDE * scale), paper)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        corners = [(left + x * size / 100, top + y * size / 100) for x, y in smooth(stroke)]
        pen.line(corners, ink, width * scale, joint="curve")
        for corner in corners:
            pen.circle(corner, width * scale / 2, ink)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def photograph(ink: np.ndarray) -> Image.Image:
    """White ink on black (28, W) uint8 -> a photo (240 high) of blue ink on shaded paper."""
    framed = ImageOps.expand(Image.fromarray(ink), 10)
    size = (round(SIDE * framed.width / framed.height), SIDE)
    mask = framed.resize(size, Image.Resampling.BICUBIC).rotate(6 * SIDE / size[0])
    ink = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), float)[..., None] / 255
    y, x = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j][..., None]
    paper, pen = np.array([0.93, 0.91, 0.84]), np.array([0.12, 0.2, 0.5])
    grain = np.random.default_rng(0).normal(0, 0.02, (*ink.shape[:2], 3))
    photo = (0.95 - 0.35 * x * y) * (paper * (1 - ink) + pen * ink) + grain
    return Image.fromarray(np.uint8(photo.clip(0, 1) * 255))


def main(dataset: str = "ylecun/mnist") -> None:
    """Write the images into examples/."""
    digits = load_dataset(dataset, split="train").select(range(100))
    labels, digits = digits["label"], digits["image"]
    number = np.zeros((28, 68), np.uint8)
    for left, digit in ((0, 4), (20, 0), (40, 7)):
        number[:, left : left + 28] |= digits[labels.index(digit)]
    for name, image in {
        "1-a-4-from-MNIST.png": digits[2],
        "2-a-2-in-thin-lines.png": write(TWO, 4, "white", "#222"),
        "3-a-7-off-centre.png": write(SEVEN, 6, "#fdf6e3", "#7c2d12", (0.6, 0.55, 0.4)),
        "4-an-8-white-on-dark.png": write(EIGHT, 22, "#14532d", "#f5f5f4"),
        "5-a-5-photographed.jpg": photograph(np.asarray(digits[0])),
        "6-the-number-407.jpg": photograph(number),
        "7-a-house.png": write(HOUSE, 8, "white", "#222"),
    }.items():
        image.save(EXAMPLES / name, quality=80)  # of JPEG; PNG has none


if __name__ == "__main__":
    main(*sys.argv[1:])
