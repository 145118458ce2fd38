"""MNIST-C's fifteen corruptions, re-implemented: functions of a digit and a random generator.

    corrupted = CORRUPTIONS["fog"](digit, np.random.default_rng(0))  # (28, 28) uint8, both

What each does, and how strongly, is that of MNIST-C (Mu & Gilmer 2019, arXiv 1906.02337, section 2
and its authors' parameters); noise, blur, fog, spatter and brightness go back to ImageNet-C
(Hendrycks & Dietterich 2019, section 3 and appendix B). The random numbers are our own, so that
single images differ from those of the published files, but not what they are like.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from scipy import ndimage
from skimage.feature import canny

SIDE = 28
COLUMNS = np.arange(SIDE)
SIDES = (-0.4, 0.4)  # radians
SHEARS = [[[np.cos(a), 0], [-np.sin(a), 1]] for a in SIDES]
TURNS = [[[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in SIDES]

_blur = partial(ndimage.gaussian_filter, mode="nearest")


def corrupt(change: Callable, digit: np.ndarray, rng: Generator) -> np.ndarray:
    """(28, 28) uint8, changed by a function of (28, 28) float 0-1, whose result is clipped."""
    return np.uint8(np.round(change(digit / 255, rng).clip(0, 1) * 255))


def glass_blur(x: np.ndarray, rng: Generator) -> np.ndarray:
    """Blurred, half of the pixels swapped with a neighbour, twice, and blurred again."""
    x = _blur(x, 0.7)
    for _ in range(2):
        swapped, steps = rng.random(x.shape) < 0.5, rng.integers(-1, 1, (*x.shape, 2))
        for here in np.argwhere(swapped)[::-1]:
            if here.min() > 1:
                here, there = tuple(here), tuple(here + steps[tuple(here)])
                x[here], x[there] = x[there], x[here]
    return _blur(x, 0.7)


def motion_blur(x: np.ndarray, rng: Generator) -> np.ndarray:
    """A trail to one side, half a Gaussian of 3 pixels, within 45 degrees of the horizontal."""
    angle, lengths = np.deg2rad(rng.uniform(-45, 45)), np.arange(11)
    steps = np.stack([lengths * np.sin(angle), lengths * np.cos(angle)], axis=1)
    trail = [ndimage.shift(x, step, order=1, mode="nearest") for step in steps]
    return np.average(trail, axis=0, weights=np.exp(-(lengths**2) / (2 * 3**2)))


def spatter(x: np.ndarray, rng: Generator) -> np.ndarray:
    """Grey mud where smooth noise is high."""
    mud = _blur((_blur(rng.normal(0.65, 0.3, x.shape), 1) > 0.65).astype(float), 1.5)
    mud[mud < 0.8] = 0
    return x * (1 - mud) + mud * 63 / 255


def dotted_line(x: np.ndarray, rng: Generator) -> np.ndarray:
    """A straight line from the left to the right edge, two columns drawn, two left out."""
    start, end = rng.integers(0, 27, 2)
    return x + _line((0, start), (27, end)) * (COLUMNS // 2 % 2)


def zigzag(x: np.ndarray, rng: Generator) -> np.ndarray:
    """A zigzag from left to right, of 2 pixels to either side of a nearly level line."""
    start = rng.integers(0, 27)
    run, rise = 23, rng.integers(-5, 5)
    length = np.hypot(run, rise)
    along = np.arange(2, length, 4)
    corners = np.array([[0, *along, length], [0, *(2 * (-1) ** np.arange(len(along))), 0]])
    turn = np.array([[run, -rise], [rise, run]]) / length
    for first, second in pairwise((turn @ corners).T + np.array([2, start])):
        x = np.minimum(x + _line(first, second), 1)
    return x


def _warp(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Map rows and columns by the inverse of `matrix`, with the image's centre held in place."""
    centre = np.full(2, (SIDE - 1) / 2)
    return ndimage.affine_transform(x, matrix, centre - np.asarray(matrix) @ centre, order=1)


def _line(start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """A soft line between two points (column, row), 0-1, brightest where it runs."""
    (left, top), (right, bottom) = start, end
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.abs(rows - top - (bottom - top) / (right - left) * (columns - left))
    brightness = 1 + np.log(1 - distance.clip(0, 2.29) / 2.3)
    inside = (columns >= np.floor(left)) & (columns < np.ceil(right))
    return np.where(inside, brightness.clip(0, 1), 0)


def _plasma(rng: Generator, decay: float, side: int = 256) -> np.ndarray:
    """Cloudy noise (side, side), 0-1, by the diamond-square algorithm (Fournier et al. 1982).

    Each round doubles a grid that wraps around: new points are the mean of their four neighbours
    plus noise, whose amplitude falls by `decay` from round to round.
    """
    grid, amplitude = np.zeros((1, 1)), 1.0
    while len(grid) < side:
        noise = rng.uniform(-amplitude, amplitude, (3, *grid.shape))
        right, below = np.roll(grid, -1, 1), np.roll(grid, -1, 0)
        centre = (grid + right + below + np.roll(below, -1, 1)) / 4 + noise[0]
        finer = np.empty(2 * np.array(grid.shape))
        finer[::2, ::2] = grid
        finer[1::2, 1::2] = centre
        finer[::2, 1::2] = (grid + right + centre + np.roll(centre, 1, 0)) / 4 + noise[1]
        finer[1::2, ::2] = (grid + below + centre + np.roll(centre, 1, 1)) / 4 + noise[2]
        grid, amplitude = finer, amplitude / decay
    return (grid - grid.min()) / np.ptp(grid)


CHANGES = {
    # Poisson noise of three photons in full white.
    "shot_noise": lambda x, rng: rng.poisson(x * 3) / 3,
    # 17% of the pixels become black or white.
    "impulse_noise": lambda x, rng: np.where(
        rng.random(x.shape) < 0.17, rng.integers(0, 2, x.shape), x
    ),
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    # Sheared by 0.4 radians to either side.
    "shear": lambda x, rng: _warp(x, rng.choice(SHEARS)),
    # Shrunk to 70%.
    "scale": lambda x, rng: _warp(x, np.eye(2) / 0.7),
    # Rotated by 0.4 radians (23 degrees) to either side.
    "rotate": lambda x, rng: _warp(x, rng.choice(TURNS)),
    # Half of the range added to every pixel.
    "brightness": lambda x, rng: x + 0.5,
    # Moved by 3 pixels along both axes.
    "translate": lambda x, rng: ndimage.shift(x, rng.choice([-3, 3], 2), order=1),
    # The left and the right quarter inverted, which leaves a dark stripe in the middle.
    "stripe": lambda x, rng: np.where((COLUMNS < 7) | (COLUMNS >= 21), 1 - x, x),
    # Three times as much fog as digit.
    "fog": lambda x, rng: (x + 3 * _plasma(rng, 1.4**2)[:SIDE, :SIDE]) / (1 + 3 / x.max()),
    "spatter": spatter,
    "dotted_line": dotted_line,
    "zigzag": zigzag,
    # The outlines that Canny's detector finds (sigma 1), white on black.
    "canny_edges": lambda x, rng: canny(x).astype(float),
}
CORRUPTIONS = {name: partial(corrupt, change) for name, change in CHANGES.items()}
