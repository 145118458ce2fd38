"""Corruptions of a digit: strokes across it, noise, blur and more, each kind a function.

image = corrupted(digit, np.random.default_rng(0))  # (28, 28) float 0-1 -> (H, W) 0-1
"""

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from training.handwriting import low_resolution, smooth_line


def lines(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes across it, whole or dashed, of ink or of background."""
    size = 4 * len(digit)
    image = Image.new("L", (size, size))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 3)):
        count = rng.integers(2, 9)
        x = np.sort(rng.uniform(-0.1, 1.1, count)) if rng.random() < 0.7 else rng.random(count)
        y = rng.uniform(-0.1, 1.1) + rng.normal(0, rng.choice([0.05, 0.1, 0.3]), count)
        points = smooth_line(np.stack([x, y, np.full(count, rng.random() < 0.5)], axis=1)) * size
        if rng.random() < 0.5:
            points = points[:, ::-1]
        dash = rng.integers(1, 4) if rng.random() < 0.3 else 0
        width = int(rng.integers(4, 11))
        length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
        even = np.linspace(0, length[-1], max(2, int(length[-1] / 3)))  # three pixels apart
        x, y = (np.interp(even, length, coordinates) for coordinates in points.T)
        for n, ends in enumerate(pairwise(zip(x, y, strict=True))):
            if not dash or n // (2 * dash) % 2:
                pen.line(ends, int(rng.integers(150, 256)), width)
    mark = np.asarray(image.reduce(4), np.float32) / 255
    return np.maximum(digit, mark) if rng.random() < 0.8 else digit * (1 - mark)


def grain(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise: everywhere, in the foreground alone, or as specks."""
    normal = rng.normal(0, 1, digit.shape)
    kind = rng.integers(3)
    if kind == 0:
        return digit + normal * rng.uniform(0.02, 0.25)
    if kind == 1:
        return digit + digit * normal * rng.uniform(0.2, 0.8)
    specks = rng.random(digit.shape) < rng.uniform(0.01, 0.2)
    return np.where(specks, rng.choice([0.0, 1.0], digit.shape), digit)


def blots(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spots of foreground or background, larger than noise."""
    field = ndimage.gaussian_filter(rng.normal(0, 1, digit.shape), rng.uniform(0.7, 2.5))
    spots = field > np.quantile(field, rng.uniform(0.75, 0.97))
    return np.where(spots, rng.choice([0, rng.uniform(0.2, 1)]), digit)


def blur(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, more in one direction than in the other, or low-resolution."""
    if rng.random() < 0.6:
        return ndimage.gaussian_filter(digit, rng.uniform(0, 1.6, 2))
    return low_resolution(digit, rng)


def hollow(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Its outline alone."""
    large = ndimage.zoom(digit, 3, order=1) > rng.uniform(0.2, 0.6)
    inner = ndimage.binary_erosion(large, iterations=int(rng.integers(1, 5)))
    return np.asarray(Image.fromarray(np.float32(large & ~inner)).reduce(3))


def squash(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wider or narrower."""
    found = ndimage.find_objects(np.uint8(digit > 0.25))
    if not found:  # a blank image
        return digit
    crop = Image.fromarray(np.float32(digit[found[0]]))
    crop = crop.resize((max(3, int(crop.width * np.exp(rng.normal(0, 0.35)))), crop.height))
    return np.pad(np.asarray(crop), rng.integers(0, 4, (2, 2)))


def shade(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faint on a shaded background."""
    y, x = np.mgrid[-1 : 1 : digit.shape[0] * 1j, -1 : 1 : digit.shape[1] * 1j]
    a, b, c = rng.uniform(-0.15, 0.15, 3)
    return rng.uniform(0.2, 0.4) + a * x + b * y + c * x * y + digit * rng.uniform(0.25, 0.6)


# The probability of each, independent of the others.
SHARES = {lines: 0.35, grain: 0.28, blots: 0.14, blur: 0.18, hollow: 0.16, squash: 0.16, shade: 0.1}


def corrupted(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A digit (28, 28) float 0-1 with at least one corruption, (H, W) 0-1; half are inverted."""
    picked = [corrupt for corrupt, share in SHARES.items() if rng.random() < share]
    for corrupt in picked or [lines]:
        digit = corrupt(digit, rng)
    digit = digit.clip(0, 1)
    return 1 - digit if rng.random() < 0.5 else digit
