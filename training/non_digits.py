"""Non-digits: what people draw or photograph that is no single digit, each kind a function.

image = random_non_digit(np.random.default_rng(0))  # (H, W) float32, 0-1
"""

import string

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from training.handwriting import CANVAS, NON_DIGIT, draw, random_pen_width, smooth_line, write
from training.printed import printed


def printed_sign(rng: np.random.Generator) -> np.ndarray:
    """One printed letter or sign, or two."""
    signs = string.ascii_letters * 3 + "&@#%?!+=*<>$" + "ΔΘΞΣΦΨΩαβδεθλμξπφψωБГДЖИЛПФЦЧШЫЭЮЯ"
    return printed("".join(rng.choice([*signs], 1 + (rng.random() < 0.1))), rng)


def handwritten_sign(rng: np.random.Generator) -> np.ndarray:
    """A letter or sign by hand."""
    return draw(write(NON_DIGIT, rng), random_pen_width(rng))


def scribble(rng: np.random.Generator) -> np.ndarray:
    """One to four random strokes."""
    strokes = []
    for _ in range(rng.integers(1, 5)):
        count = rng.integers(3, 12)
        points = rng.uniform(0, 1, (count, 2))
        if rng.random() < 0.5:  # a walk, without jumps
            points = np.cumsum(rng.normal(0, 0.3, (count, 2)), axis=0)
        corners = np.full((count, 1), rng.random() < 0.25)
        strokes.append(smooth_line(np.hstack([points, corners])))
    return draw(strokes, random_pen_width(rng))


def shape(rng: np.random.Generator) -> np.ndarray:
    """A filled, textured shape with a smooth outline; half of them are symmetric, as things are."""
    grain = rng.integers(3, 12)
    if rng.random() < 0.5:
        half = CANVAS * ndimage.zoom(rng.uniform(0.02, 0.5, rng.integers(3, 9)), 10, order=1)
        x = np.r_[CANVAS / 2 + half, CANVAS / 2 - half[::-1]]
        y = np.linspace(0, CANVAS, len(half))
        y = np.r_[y, y[::-1]]
        if rng.random() < 0.3:  # it stands on two legs
            gap, fork = CANVAS * rng.uniform((0.01, 0.1), (0.1, 0.8))
            x = np.insert(x, len(half), CANVAS / 2 + np.array([gap, 0, -gap]))
            y = np.insert(y, len(half), (CANVAS, fork, CANVAS))
    else:
        angle, radius = np.linspace(0, 2 * np.pi, 90), np.full(90, 0.3)
        for k in range(1, 7):
            radius += rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 7))
        width, height = rng.uniform(0.5, 1.5, 2)
        x = CANVAS * (0.5 + radius * np.cos(angle) * width)
        y = CANVAS * (0.5 + radius * np.sin(angle) * height)
    outline = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(outline).polygon([*zip(x, y, strict=True)], 255)
    texture = Image.fromarray(np.float32(rng.uniform(0, 1, (grain, grain))))
    texture = np.asarray(texture.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))
    if rng.random() < 0.3:
        stripes = np.sin(np.linspace(0, rng.uniform(10, 80), CANVAS) + rng.uniform(0, 7))
        texture = texture * (stripes > 0)[:: rng.choice([-1, 1]), None]
    contrast = rng.uniform(0, 0.8)
    filled = np.asarray(outline, np.float32) / 255 * (1 - contrast * texture.clip(0, 1))
    return np.asarray(Image.fromarray(filled).rotate(rng.choice([0, 0, 90, rng.uniform(0, 360)])))


def noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of any grain and distribution."""
    size, grain = rng.choice([28, 28, 56, 112]), rng.choice([1, 1, 2, 4, 8])
    field = rng.random((size // grain, size // grain), np.float32)
    kind = rng.integers(3)
    if kind == 1:
        field = rng.normal(0.5, rng.uniform(0.05, 0.3), field.shape).clip(0, 1)
    elif kind == 2:
        field = field < rng.uniform(0.02, 0.98)
    field = np.kron(field, np.ones((grain, grain)))
    if rng.random() < 0.4:
        field = ndimage.gaussian_filter(field, rng.uniform(0.5, 3))
        field = (field - field.min()) / max(np.ptp(field), 1e-6)
    return np.float32(field)


# The share of each kind.
NON_DIGITS = {
    printed_sign: 0.33,
    handwritten_sign: 0.11,
    scribble: 0.22,
    shape: 0.25,
    noise: 0.09,
}


def random_non_digit(rng: np.random.Generator) -> np.ndarray:
    """A non-digit of a random kind, (H, W) float32 0-1."""
    return rng.choice(list(NON_DIGITS), p=list(NON_DIGITS.values()))(rng)
