"""Digits and a house as pen strokes: what tests, scripts and benchmarks draw.

Each drawing is a list of strokes, each stroke a list of corners on a square of 100 x 100.
"""

import io

import numpy as np
from PIL import Image

ZERO = [[(56, 16), (36, 24), (27, 50), (36, 78), (52, 85), (68, 74), (73, 48), (66, 24), (52, 15)]]
TWO = [[(27, 34), (34, 18), (52, 13), (68, 24), (66, 42), (46, 62), (26, 84), (48, 83), (76, 85)]]
FOUR = [[(40, 15), (28, 58), (74, 58)], [(60, 36), (60, 86)]]
FIVE = [[(36, 21), (35, 46), (50, 42), (64, 50), (66, 66), (54, 80), (32, 76)],
        [(36, 21), (68, 20)]]  # fmt: skip
SEVEN = [[(24, 20), (74, 19), (56, 50), (46, 86)], [(36, 52), (68, 50)]]
HOUSE = [[(22, 84), (22, 46), (78, 46), (78, 84), (22, 84)], [(16, 48), (50, 16), (84, 48)],
         [(44, 84), (44, 62), (57, 62), (57, 84)]]  # fmt: skip


def smooth(corners: list, rounds: int = 3) -> np.ndarray:
    """Round a path's corners off (Chaikin 1974): (N, 2) -> (M, 2), its ends kept."""
    points = np.array(corners, float)
    for _ in range(rounds):
        start, end = points[:-1], points[1:]
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image as a file's content."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
