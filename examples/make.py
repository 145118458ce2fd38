"""Draw the example pictures of the Space anew, from MNIST and from strokes of our own.

    python examples/make.py                          MNIST from the Hub
    python examples/make.py path/to/mnist            a local copy

The same command gives the same pictures.
"""

import sys
from pathlib import Path

import numpy as np
from datasets import load_dataset
from PIL import Image, ImageDraw, ImageFilter, ImageOps

HERE = Path(__file__).parent
SIDE = 240  # pixels
# Strokes as corners on a square of 100 x 100.
TWO = [[(27, 34), (34, 18), (52, 13), (68, 24), (66, 42), (46, 62), (26, 84), (48, 83), (76, 85)]]
FIVE = [[(36, 21), (35, 46), (50, 42), (64, 50), (66, 66), (54, 80), (32, 76)],
        [(36, 21), (68, 20)]]  # fmt: skip
EIGHT = [[(66, 26), (50, 15), (35, 26), (40, 42), (60, 54), (67, 72), (50, 86), (33, 72), (40, 55),
          (60, 42), (66, 26)]]  # fmt: skip
SEVEN = [[(24, 20), (74, 19), (56, 50), (46, 86)], [(36, 52), (68, 50)]]
HOUSE = [[(22, 84), (22, 46), (78, 46), (78, 84), (22, 84)], [(16, 48), (50, 16), (84, 48)],
         [(44, 84), (44, 62), (57, 62), (57, 84)]]  # fmt: skip


def write(
    strokes: list, width: float, paper: str, ink: str, box: tuple[float, float, float] = (0, 0, 1)
) -> Image.Image:
    """Strokes on paper, RGB; `box` is left, top and scale of their square within the picture."""
    scale = 4  # drawn larger and reduced, for smooth edges
    left, top, size = (value * SIDE * scale for value in box)
    picture = Image.new("RGB", (SIDE * scale, SIDE * scale), paper)
    pen = ImageDraw.Draw(picture)
    radius = width * scale / 2
    for stroke in strokes:
        corners = [(left + x * size / 100, top + y * size / 100) for x, y in smooth(stroke)]
        pen.line(corners, ink, round(2 * radius), joint="curve")
        for x, y in corners:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def smooth(corners: list, rounds: int = 3) -> np.ndarray:
    """Round a path's corners off (Chaikin 1974): (N, 2) -> (M, 2), its ends kept."""
    points = np.array(corners, float)
    for _ in range(rounds):
        start, end = points[:-1], points[1:]
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def photograph(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """White ink on black (28, 28) -> blue ink on shaded, squared paper, with a camera's noise."""
    mask = ImageOps.expand(digit, 10).resize((SIDE, SIDE), Image.Resampling.BICUBIC).rotate(6)
    ink = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), float)[..., None] / 255
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j][..., None]
    light = 0.95 - 0.35 * x * y
    paper, pen = np.array([0.93, 0.91, 0.84]), np.array([0.12, 0.2, 0.5])
    photo = light * (paper * (1 - ink) + pen * ink) + rng.normal(0, 0.02, (SIDE, SIDE, 3))
    return Image.fromarray(np.uint8(photo.clip(0, 1) * 255))


def main(dataset: str = "ylecun/mnist") -> None:
    """Write the pictures beside this file."""
    digits = load_dataset(dataset, split="train")["image"]
    digits[2].save(HERE / "1-mnist.png")
    write(TWO, 4, "white", "#222").save(HERE / "2-thin.png")
    write(SEVEN, 6, "#fdf6e3", "#7c2d12", (0.6, 0.55, 0.4)).save(HERE / "3-off-centre.png")
    write(EIGHT, 22, "#14532d", "#f5f5f4").save(HERE / "4-white-on-dark.png")
    photo = photograph(digits[0], np.random.default_rng(0))
    photo.save(HERE / "5-photo.jpg", quality=80)
    write(HOUSE, 8, "white", "#222").save(HERE / "6-not-a-digit.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
