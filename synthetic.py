"""Pictures that MNIST lacks: digits written elsewhere, digits in a bad state, and what is none.

MNIST's writers are Americans of one decade. Elsewhere a 1 has a flag and a foot, a 7 is crossed, a
4 is open; and nobody among them wrote an A or a scribble. This file draws such pictures for
training to mix in. All of them go through the image processor, as a visitor's do.
"""

import string
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
from joblib import Parallel, delayed
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from image_processing_mnist import MnistImageProcessor

# How digits are written around the world: x,y of the points that a pen goes through, in a box of
# 100 by 100, smoothly but for corners (!). "|" lifts the pen. The first column is how many in a
# hundred are drawn so: a guess at how many write so, but for the plain 1, which MNIST has, and for
# some 1s, 4s, 7s and 9s, which are drawn since UCI's writers have them.
DIGITS = {
    0: """
        45 50,0 25,10 8,40 10,70 30,97 55,99 80,85 92,55 85,20 65,3 48,0
        15 60,4 30,6 8,45 14,80 45,100 78,88 92,50 80,14 52,0 40,8
        15 38,2 14,25 6,60 22,94 55,98 84,76 94,40 76,8 44,0 30,10
        10 50,0 22,14 8,50 24,88 50,100 76,88 92,50 78,14 50,0 50,0! | 85,5 15,95
        10 72,12 45,0 18,18 6,52 18,88 48,100 80,84 94,50 84,20 60,4 56,18
        5 50,0 90,50 50,100 10,50 50,0 """,
    1: """
        6 50,0 50,100
        5 62,0 40,100
        18 22,28 55,0 55,0! 53,100
        9 5,48 58,0 58,0! 56,100
        5 34,52 56,0 56,0! 52,100
        9 24,26 52,0 52,0! 52,100! | 22,100 82,99
        8 22,30 52,0 52,0! 52,98 52,98! 20,98! 84,98
        6 10,42 55,0 55,0! 55,100! | 25,100 85,99
        6 30,12 56,0 56,0! 50,100
        9 0,34 62,0 62,0! 46,100
        7 4,30 34,18 64,0 64,0! 50,100
        4 8,28 36,8 58,2 60,20 46,100
        2 2,22 66,0 66,0! 44,100
        6 10,26 36,8 56,2 56,20 50,98 | 15,100 88,98 """,
    2: """
        30 8,22 28,3 60,0 84,18 78,45 45,72 8,98 8,98! 92,97
        20 10,25 35,0 75,8 82,35 55,65 18,92 8,84 25,80 60,96 95,90
        14 12,18 45,0 82,14 80,40 40,78 10,92 14,78 34,84 60,100 92,92
        14 5,8 50,0 88,8 75,40 5,100 5,100! 95,100
        12 6,30 22,6 58,0 80,20 70,48 30,84 8,99 45,92 92,100
        10 10,12 75,4 80,20 45,60 8,100 8,100! 88,96 """,
    3: """
        35 10,14 40,0 78,10 78,34 40,47 40,47! 82,58 90,82 55,100 8,90
        20 12,8 48,0 82,18 66,42 36,48 74,54 92,76 64,99 10,92
        15 8,4 85,2 85,2! 42,42 42,42! 86,54 88,84 48,100 5,90
        14 10,16 45,0 80,16 70,40 45,50 36,46 50,44 84,60 86,86 45,100 6,88
        10 12,20 50,0 80,22 45,46 88,70 60,98 10,96
        6 10,3 80,2 80,2! 50,40 85,60 80,92 30,100 5,88 """,
    4: """
        18 28,2 10,62 10,62! 92,60! | 66,22 62,100
        13 36,0 6,66 6,66! 95,62! | 72,0 66,100
        10 20,5 16,50 30,58 88,55! | 74,2 70,100
        13 68,100 70,0 70,0! 5,70 5,70! 95,68
        10 66,0 4,68 4,68! 96,66! | 68,2 66,100
        6 58,0 6,62 6,62! 92,66! | 74,38 58,100
        10 58,0 24,36 6,66 22,80 92,72! | 82,38 56,100
        6 34,0 10,50 12,60 86,56! | 66,36 54,100
        8 16,4 14,42 40,56 78,46! | 84,2 76,60 60,100
        6 10,3 12,45 12,45! 85,44 85,44! 84,0! 82,100 """,
    5: """
        25 82,2 25,4 25,4! 18,44 18,44! 55,36 88,62 72,94 35,100 6,88
        25 24,4 18,45 18,45! 56,36 88,64 70,95 34,100 5,88 | 24,4 86,1
        14 30,8 22,46 50,40 84,58 76,92 30,100 6,94! | 40,2 92,0
        14 88,0 50,4 26,16 26,36 62,50 82,72 58,98 12,96
        12 15,5 14,46 14,46! 60,38 86,70 60,98 8,94! | 10,4 80,6
        10 85,3 20,3 20,3! 20,42 70,42 86,72 55,100 10,96 """,
    6: """
        30 72,2 38,22 12,60 20,92 55,100 84,82 78,60 50,52 16,74
        20 60,0 25,40 8,75 28,98 64,98 82,78 66,58 30,62 12,82
        15 86,10 55,0 22,22 8,62 24,96 66,98 86,74 64,54 28,58 12,76
        15 30,0 14,45 10,80 40,100 80,90 82,64 50,54 14,72
        12 80,2 40,30 14,70 34,98 60,84 52,62 24,66 16,80
        8 40,0 20,60 24,94 60,100 80,78 62,60 36,66 26,84 """,
    7: """
        19 8,6 88,3 88,3! 62,45 40,100
        14 10,4 84,4 84,4! 34,100
        20 10,5 88,3 88,3! 60,50 42,100! | 28,50 84,47
        12 8,22 10,5 10,5! 88,5 88,5! 55,50 45,100
        10 6,18 10,4 10,4! 86,4 86,4! 58,50 44,100! | 30,54 82,50
        8 8,10 40,14 85,2 85,2! 60,40 52,100
        7 12,4 60,6 84,14 72,46 50,100! | 34,46 90,50
        5 8,16 48,2 82,12 70,50 46,100! | 28,64 88,58
        5 5,8 80,4 80,4! 82,12 60,60 55,100 """,
    8: """
        26 78,14 48,0 22,16 34,40 68,58 80,82 50,100 20,84 32,58 68,38 78,14
        20 50,46 22,26 44,0 76,18 50,46 20,72 40,99 78,88 74,62 50,46
        16 50,0 22,14 28,40 52,48 76,36 76,12 50,0! | 50,48 16,66 22,94 52,100 84,92 84,64 50,48
        14 86,8 50,0 20,16 40,42 78,66 66,98 26,96 22,70 60,40 88,10
        12 74,20 46,2 24,22 46,44 76,72 52,100 22,80 44,52 66,34 86,4
        12 24,12 40,0 74,8 70,34 34,60 20,86 48,100 80,86 62,58 26,32 28,10 """,
    9: """
        20 82,14 50,0 18,20 24,50 60,52 82,20 82,20! 80,60 70,100
        14 84,20 52,0 16,24 30,54 72,44 84,12 84,12! 84,100
        18 80,22 50,0 18,22 28,50 64,46 80,16 84,60 66,96 22,96
        10 50,0 18,16 22,46 54,52 80,34 76,8 50,0! | 82,8 76,100
        9 86,8 46,0 14,28 34,54 76,34 88,4 82,50 50,100
        9 84,6 40,4 16,30 40,52 84,28 84,6 86,72 60,100 24,88
        8 78,10 36,4 18,40 60,50 82,10 60,70 36,100
        7 76,12 52,0 28,12 38,32 66,28 78,8 86,52 70,94 34,100 8,86
        5 72,6 26,8 34,34 74,8 84,50 74,90 42,100 8,92 """,
}
# Letters, and signs that children and grown-ups draw where a digit is asked for.
OTHERS = """
    0,100 50,0 50,0! 100,100! | 20,62 80,62
    10,0 10,100! | 10,0 75,5 80,40 15,48 80,55 85,95 10,100
    90,15 50,0 8,50 45,100 92,85
    10,0 10,100! | 10,0 80,15 85,80 10,100
    90,0 10,0 10,0! 10,100 10,100! 90,100! | 10,50 75,50
    90,0 10,0 10,0! 10,100! | 10,48 75,48
    90,15 45,0 8,55 50,100 90,80 90,55! 55,55
    10,0 10,100! | 90,0 90,100! | 10,50 90,50
    90,0 80,85 40,100 10,75
    10,0 10,100! | 85,0 12,55! 90,100
    10,100 15,0 15,0! 50,70! 85,0! 90,100
    10,100 10,0 10,0! 90,100! 90,0
    10,100 10,0 70,5 80,40 10,55
    10,100 10,0 70,5 80,40 10,52! 88,100
    5,0 95,0! | 50,0 50,100
    10,0 15,80 50,100 85,80 90,0
    5,0 50,100 50,100! 95,0
    0,0 25,100 25,100! 50,30! 75,100! 100,0
    5,0 95,100! | 95,0 5,100
    5,0 50,50! | 95,0 20,100
    10,20 50,10 70,40 70,95! | 70,55 25,50 15,80 45,95 70,75
    85,40 40,30 15,65 45,98 85,85
    15,60 80,55 60,30 20,45 20,85 60,100 88,85
    15,0 15,100! | 15,60 45,40 75,55 75,100
    15,30 15,100! | 15,50 40,30 50,50 50,100! | 50,50 75,30 90,50 90,100
    15,30 15,100! | 15,55 45,30 80,50 80,100
    15,30 15,100! | 15,50 60,28 80,40
    50,0 50,80 65,100 90,90! | 20,35 85,35
    15,30 20,85 55,98 80,75! | 82,30 82,100
    50,10 80,0 95,25 50,100 5,25 20,0 50,10
    50,0 20,100 20,100! 98,35! 2,35! 80,100! 50,0
    50,0 100,100 100,100! 0,100! 50,0
    0,0 100,0 100,0! 100,100! 0,100! 0,0
    50,0 50,100! | 0,50 100,50
    0,50 35,100 35,100! 100,0
    50,50 60,45 58,62 40,60 36,38 66,28 78,64 40,82 12,50 40,6 90,18 96,80
    5,10 50,0 80,25 50,60 50,72! | 50,95 52,98
    35,0 25,100! | 75,0 65,100! | 5,33 95,33! | 0,68 90,68
    50,0 95,50 95,50! 50,100! 5,50! 50,0
    5,60 30,20 50,60 70,90 95,40
    0,50 0,50! 90,50! | 60,15 92,50! 60,85
    50,0 10,20 5,60 40,100 90,70 80,15 50,0! | 35,35 35,40! | 65,35 65,40! | 30,65 50,78 70,65
"""
# How many pictures of each kind there are for each one of MNIST's.
SHARES = {"handwritten": 0.3, "damaged": 0.35, "non_digits": 0.3}
NOT_A_DIGIT = -1
FEW_PIXELS_SHARE = 0.4  # of handwritten digits and of what is printed
PROCESSOR = MnistImageProcessor()
CANVAS = 84  # pixels
PRINTED_SHARE = 0.04  # of the digits: people show printed ones, too


def _parse(line: str) -> list[np.ndarray]:
    """One line of the tables -> strokes, each (points, 3): x, y in 0-1, and 1 for a corner."""
    return [
        np.array(
            [[*(int(n) / 100 for n in p.rstrip("!").split(",")), p[-1] == "!"] for p in s.split()]
        )
        for s in line.split("|")
    ]


@cache
def digit_models(digit: int) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """The ways to write `digit`, and the share (ways,) of each."""
    rows = [line.split(maxsplit=1) for line in DIGITS[digit].strip().splitlines()]
    shares = np.array([int(share) for share, _ in rows], float)
    return [_parse(line) for _, line in rows], shares / shares.sum()


@cache
def other_models() -> list[list[np.ndarray]]:
    return [_parse(line) for line in OTHERS.strip().splitlines()]


def curve(points: np.ndarray, steps: int = 8) -> np.ndarray:
    """A smooth line through points (N, 3), with corners -> (M, 2): Catmull & Rom's spline, 1974."""
    corner = points[:, 2] > 0
    xy = np.repeat(points[:, :2], np.where(corner, 2, 1), axis=0)
    xy = np.concatenate([2 * xy[:1] - xy[1:2], xy, 2 * xy[-1:] - xy[-2:-1]])
    before, start, end, after = xy[:-3], xy[1:-2], xy[2:-1], xy[3:]
    t = np.linspace(0, 1, steps)[:, None, None]
    line = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return line.swapaxes(0, 1).reshape(-1, 2)


def write(strokes: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """One person's way of writing a model: strokes (M, 2), in a box of about 1 by 1."""
    wobble = rng.choice([0.02, 0.035, 0.05])
    # Where the hand is off, it is off for neighbouring points alike: a smooth field of errors.
    frequency, phase = rng.normal(0, 2.5, (4, 2, 2)), rng.uniform(0, 2 * np.pi, (4, 2))
    aspect = np.exp(rng.normal(-0.45, 0.28))
    slant, turn = rng.normal(0.12, 0.22), rng.normal(0, 0.07)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    drift = rng.normal(0, 0.02, 2)
    written = []
    for number, stroke in enumerate(strokes):
        stroke = stroke.copy()
        xy = stroke[:, :2]
        bend = np.sin(np.einsum("pd,kcd->pkc", xy, frequency) + phase).sum(1)
        noise = rng.normal(0, wobble, xy.shape)
        repeated = np.r_[False, (xy[1:] == xy[:-1]).all(1)]  # a corner given as two points
        noise[repeated] = noise[np.flatnonzero(repeated) - 1]
        xy += bend * wobble * 0.8 + noise + number * drift
        line = (curve(stroke, steps=int(rng.integers(3, 10))) - 0.5) * (aspect, 1)
        line[:, 0] -= slant * line[:, 1]
        written.append(line @ rotation + 0.5)
    return written


def draw(strokes: list[np.ndarray], width: float, size: int = CANVAS) -> np.ndarray:
    """Strokes (M, 2) in ink of `width` pixels -> (size, size) float32 0-1, fitted to the canvas."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = (size - width - 6) / max(*(high - low), 1e-3)
    offset = (size - (low + high) * scale) / 2
    image = Image.new("L", (size, size))
    pen, radius = ImageDraw.Draw(image), width / 2
    for stroke in strokes:
        line = [tuple(p) for p in stroke * scale + offset]
        pen.line(line, 255, round(width), joint="curve")
        for x, y in (line[0], line[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    return np.asarray(image, np.float32) / 255


def pen_width(rng: np.random.Generator) -> float:
    """Pixels on the canvas: mostly a pen, at times a hair or a thick brush."""
    return float(np.exp(rng.normal(np.log(7), 0.6)).clip(2, 30))


def handwritten_digit(digit: int, rng: np.random.Generator) -> np.ndarray:
    """A digit as somebody somewhere writes it, (84, 84) float32 0-1."""
    models, shares = digit_models(digit)
    strokes = write(models[rng.choice(len(models), p=shares)], rng)
    if rng.random() < FEW_PIXELS_SHARE:
        return few_pixels(draw(strokes, rng.uniform(7, 16)), rng)
    return draw(strokes, pen_width(rng))


@cache
def fonts() -> list[str]:
    """The text fonts that come with matplotlib."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    symbols = ("cmex", "cmsy", "cmmi", "Display", "STIXSiz", "STIXNonUni", "LastResort")
    return sorted(str(f) for f in folder.glob("*.ttf") if not f.name.startswith(symbols))


def printed(characters: str, rng: np.random.Generator) -> np.ndarray:
    """Characters in a random font, a little turned and slanted, at times in few pixels.

    (H, W) float32 0-1, at most 84 a side.
    """
    font = ImageFont.truetype(rng.choice(fonts()), 80)
    left, top, right, bottom = font.getbbox(characters)
    image = Image.new("L", (right - left + 60, bottom - top + 60))
    ImageDraw.Draw(image).text((30 - left, 30 - top), characters, 255, font)
    slant = rng.normal(0, 0.1)
    image = image.transform(
        image.size, Image.Transform.AFFINE, (1, slant, -slant * image.height / 2, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    image = image.rotate(rng.normal(0, 5), Image.Resampling.BILINEAR)
    image = ImageOps.expand(image.crop(image.getbbox()), 10)
    image.thumbnail((CANVAS, CANVAS))
    picture = np.asarray(image, np.float32) / 255
    return few_pixels(picture, rng) if rng.random() < FEW_PIXELS_SHARE else picture


def letters(rng: np.random.Generator) -> np.ndarray:
    """One printed letter or sign, or two."""
    signs = string.ascii_letters * 3 + "&@#%?!+=*<>$" + "ΔΘΛΞΣΦΨΩαβδεθλμξπφψωБГДЖИЛПФЦЧШЫЭЮЯ"
    return printed("".join(rng.choice([*signs], 1 + (rng.random() < 0.1))), rng)


def handwritten_other(rng: np.random.Generator) -> np.ndarray:
    """A letter or sign by hand, or two digits side by side, which ask for two answers."""
    if rng.random() < 0.8:
        models = other_models()
        return draw(write(models[rng.integers(len(models))], rng), pen_width(rng))
    strokes = []
    for place in range(2):
        models, shares = digit_models(int(rng.integers(10)))
        digit = write(models[rng.choice(len(models), p=shares)], rng)
        offset = np.array([0.9 * place, rng.normal(0, 0.05)])
        strokes += [stroke + offset for stroke in digit]
    return draw(strokes, pen_width(rng))


def scribble(rng: np.random.Generator) -> np.ndarray:
    """One to four wild strokes."""
    strokes = []
    for _ in range(rng.integers(1, 5)):
        count = rng.integers(3, 12)
        points = rng.uniform(0, 1, (count, 2))
        if rng.random() < 0.5:  # wandering, not jumping
            points = np.cumsum(rng.normal(0, 0.3, (count, 2)), axis=0)
        corners = np.full((count, 1), rng.random() < 0.25)
        strokes.append(curve(np.hstack([points, corners])))
    return draw(strokes, pen_width(rng))


def thing(rng: np.random.Generator) -> np.ndarray:
    """A filled shape of smooth outline, often with a left that mirrors its right, shaded."""
    size, grain = CANVAS, int(rng.integers(3, 12))
    if rng.random() < 0.5:
        half = ndimage.zoom(rng.uniform(0.02, 0.5, rng.integers(3, 9)), 10, order=1)
        y = np.linspace(0, size, len(half))
        half *= size
        x = np.concatenate([size / 2 + half, (size / 2 - half)[::-1]])
        y = np.concatenate([y, y[::-1]])
    else:
        angle = np.linspace(0, 2 * np.pi, 90)
        radius = np.full(90, 0.3)
        for k in range(1, 7):
            radius += rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 7))
        stretch = rng.uniform(0.5, 1.5, 2)
        x = size * (0.5 + radius * np.cos(angle) * stretch[0])
        y = size * (0.5 + radius * np.sin(angle) * stretch[1])
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).polygon(np.stack([x, y], axis=1).ravel().tolist(), 255)
    texture = Image.fromarray(rng.uniform(0, 1, (grain, grain)).astype(np.float32))
    texture = np.asarray(texture.resize((size, size), Image.Resampling.BICUBIC))
    if rng.random() < 0.3:
        stripes = np.sin(np.linspace(0, rng.uniform(10, 80), size) + rng.uniform(0, 7))
        texture = texture * (stripes > 0)[:: rng.choice([-1, 1]), None]
    contrast = rng.uniform(0, 0.8)
    shape = np.asarray(image, np.float32) / 255 * (1 - contrast * texture.clip(0, 1))
    return np.asarray(Image.fromarray(shape).rotate(rng.choice([0, 0, 90, rng.uniform(0, 360)])))


def noise(rng: np.random.Generator) -> np.ndarray:
    """Noise of any grain and distribution."""
    size = int(rng.choice([28, 28, 56, 112]))
    grain = int(rng.choice([1, 1, 2, 4, 8]))
    field = rng.random((size // grain, size // grain), np.float32)
    kind = rng.integers(3)
    if kind == 1:
        field = rng.normal(0.5, rng.uniform(0.05, 0.3), field.shape).clip(0, 1)
    elif kind == 2:
        field = np.float32(field < rng.uniform(0.02, 0.98))
    field = np.kron(field, np.ones((grain, grain)))
    if rng.random() < 0.4:
        field = ndimage.gaussian_filter(field, rng.uniform(0.5, 3))
        field = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    return np.float32(field)


NON_DIGITS = {letters: 0.35, handwritten_other: 0.12, scribble: 0.22, thing: 0.23, noise: 0.08}


def lines(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other strokes across it, whole or broken, brighter or darker than the paper."""
    size = 4 * len(digit)
    image = Image.new("L", (size, size))
    for _ in range(rng.integers(1, 3)):
        count = rng.integers(2, 9)
        x = np.sort(rng.uniform(-0.1, 1.1, count)) if rng.random() < 0.7 else rng.random(count)
        y = rng.uniform(-0.1, 1.1) + rng.normal(0, rng.choice([0.05, 0.1, 0.3]), count)
        corners = np.full(count, rng.random() < 0.5)
        points = curve(np.stack([x, y, corners], axis=1)) * size
        if rng.random() < 0.5:
            points = points[:, ::-1]
        keep = int(rng.integers(1, 4)) if rng.random() < 0.3 else 0  # of a broken line
        width = int(rng.integers(4, 11))
        length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
        if length[-1] == 0:
            continue
        fine = np.linspace(0, length[-1], max(2, int(length[-1] / 3)))
        fine = np.stack([np.interp(fine, length, c) for c in points.T], axis=1)
        for n, (a, b) in enumerate(pairwise(fine)):
            if not keep or n // (2 * keep) % 2:
                ImageDraw.Draw(image).line([*a, *b], int(rng.integers(150, 256)), width)
    mark = np.asarray(image.reduce(4), np.float32) / 255
    return np.maximum(digit, mark) if rng.random() < 0.8 else digit * (1 - mark)


def grain(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise: everywhere, in the ink alone, or as specks."""
    normal = rng.normal(0, 1, digit.shape)
    kind = rng.integers(3)
    if kind == 0:
        return digit + normal * rng.uniform(0.02, 0.25)
    if kind == 1:
        return digit + digit * normal * rng.uniform(0.2, 0.8)
    specks = rng.random(digit.shape) < rng.uniform(0.01, 0.2)
    return np.where(specks, rng.choice([0.0, 1.0], digit.shape), digit)


def blots(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spots of ink or of nothing, larger than noise."""
    field = ndimage.gaussian_filter(rng.normal(0, 1, digit.shape), rng.uniform(0.7, 2.5))
    spots = field > np.quantile(field, rng.uniform(0.75, 0.97))
    return np.where(spots, rng.choice([0, rng.uniform(0.2, 1)]), digit)


def few_pixels(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As an old scanner saw it, with 8 to 20 pixels a side."""
    small = Image.fromarray(digit.astype(np.float32)).resize([int(rng.integers(8, 21))] * 2)
    return np.asarray(small.resize(digit.shape[::-1], Image.Resampling.BICUBIC)).clip(0, 1)


def blur(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, more in one direction than in the other, or of few pixels."""
    if rng.random() < 0.6:
        return ndimage.gaussian_filter(digit, rng.uniform(0, 1.6, 2))
    return few_pixels(digit, rng)


def hollow(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Its outline alone, as on a poster."""
    large = ndimage.zoom(digit, 3, order=1) > rng.uniform(0.2, 0.6)
    inner = ndimage.binary_erosion(large, iterations=int(rng.integers(1, 5)))
    return np.asarray(Image.fromarray(np.float32(large & ~inner)).reduce(3))


def squash(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wider or narrower."""
    rows, columns = ndimage.find_objects((digit > 0.25).astype(np.uint8))[0]
    crop = Image.fromarray(digit[rows, columns].astype(np.float32))
    crop = crop.resize((max(3, int(crop.width * np.exp(rng.normal(0, 0.35)))), crop.height))
    return np.pad(np.asarray(crop), rng.integers(0, 4, (2, 2)))


def paper(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faint on shaded paper."""
    y, x = np.mgrid[-1 : 1 : digit.shape[0] * 1j, -1 : 1 : digit.shape[1] * 1j]
    a, b, c = rng.uniform(-0.15, 0.15, 3)
    light = rng.uniform(0.2, 0.4) + a * x + b * y + c * x * y
    return light + digit * rng.uniform(0.25, 0.6)


DAMAGES = {
    lines: 0.35,
    grain: 0.28,
    blots: 0.14,
    blur: 0.18,
    hollow: 0.16,
    squash: 0.16,
    paper: 0.1,
}


def damaged(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A digit of MNIST (28, 28) float 0-1 in a bad state: one damage, or a few."""
    picked = [damage for damage, share in DAMAGES.items() if rng.random() < share]
    for damage in picked or [lines]:
        digit = damage(digit, rng)
    digit = digit.clip(0, 1)
    return 1 - digit if rng.random() < 0.5 else digit


def frame(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) 0-1, as the image processor frames it -> (28, 28) uint8."""
    rgb = np.repeat(np.float32(picture)[..., None], 3, axis=2)
    return np.uint8(PROCESSOR.frame(np.rint(rgb * 255) / 255) * 255 + 0.5)


def make_picture(kind: str, digit: int, image: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """One framed picture, (28, 28) uint8.

    Args:
        kind: A key of `SHARES`.
        digit: 0-9, which to draw; non-digits ignore it.
        image: (28, 28) uint8, which to damage; the other kinds ignore it.
        seed: The same gives the same picture.
    """
    rng = np.random.default_rng(seed)
    for _ in range(20):
        if kind == "non_digits":
            kinds = list(NON_DIGITS)
            picture = kinds[rng.choice(len(kinds), p=list(NON_DIGITS.values()))](rng)
        elif kind == "damaged":
            picture = damaged(np.float32(image) / 255, rng)
        elif rng.random() < PRINTED_SHARE:
            picture = printed(str(digit), rng)
        else:
            picture = handwritten_digit(digit, rng)
        if (framed := frame(picture)).any():
            return framed
    return framed


def make_pictures(
    images: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures to add to MNIST's (N, 28, 28) uint8 with labels (N,), as many as `SHARES` says.

    Returns:
        (M, 28, 28) uint8 and (M,) int64: 0-9, or -1 for what is no digit. About 1 % of the latter
        are blank, which is no digit either.
    """
    tasks = []
    for number, (kind, share) in enumerate(SHARES.items()):
        for n in range(round(share * len(images))):
            tasks.append((kind, labels[n], images[n], (seed, number, n)))
    with Parallel(n_jobs=-1 if len(tasks) > 5000 else 1) as parallel:
        pictures = np.stack(parallel(delayed(make_picture)(*task) for task in tasks))
    made = np.array([NOT_A_DIGIT if kind == "non_digits" else n for kind, n, *_ in tasks])
    blank = np.flatnonzero(made == NOT_A_DIGIT)[::100]
    pictures[blank] = 0
    return pictures, made
