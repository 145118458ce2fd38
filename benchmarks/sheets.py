"""Digits on sheets of kinds that photographs and forms have; none of this code makes training data.

    image = KINDS["dim light"](digit, np.random.default_rng(0))  # (28, 28) uint8 -> an RGB image

Each function is one kind. `glare` and `wood` are of kinds that nothing in training simulates.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from scipy import ndimage

from benchmarks.images import CANVAS, as_jpeg, from_levels, pen_drawing, photograph

NO_DIGIT = np.zeros((28, 28), np.uint8)


def small_drawing(digit: np.ndarray, rng: Generator) -> Image.Image:
    """A digit drawn on the middle of a canvas, as ink, with room around it."""
    drawn = pen_drawing(digit, rng)
    drawn = ImageOps.contain(drawn.crop(drawn.getbbox()), [int(rng.integers(60, 131))] * 2)
    canvas = Image.new("L", (CANVAS, CANVAS))
    canvas.paste(drawn, ((CANVAS - drawn.width) // 2, (CANVAS - drawn.height) // 2))
    return canvas


def drawn_or_photographed(ink: Image.Image, rng: Generator) -> Image.Image:
    """Half of them are photographs."""
    return photograph(ink, rng) if rng.random() >= 0.5 else ImageOps.invert(ink).convert("RGB")


def photo(digit: np.ndarray, rng: Generator) -> Image.Image:
    """A photograph of a digit that a pen has drawn, or of an empty sheet if there is none."""
    ink = pen_drawing(digit, rng) if digit.any() else Image.new("L", (CANVAS, CANVAS))
    return photograph(ink, rng)


def dim(digit: np.ndarray, rng: Generator) -> Image.Image:
    """In 10 to 35% of the light."""
    return as_jpeg(ImageEnhance.Brightness(photo(digit, rng)).enhance(rng.uniform(0.1, 0.35)))


def straightened(digit: np.ndarray, rng: Generator) -> Image.Image:
    """Rotated by 1 to 8 degrees, as by a scanner's app: its corners have one colour."""
    image = photo(digit, rng)
    fill = [image.getpixel((3, 3)), (255, 255, 255), (0, 0, 0)][rng.integers(3)]
    angle = rng.choice([-1, 1]) * rng.uniform(1, 8)
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=fill)


def pasted(digit: np.ndarray, rng: Generator) -> Image.Image:
    """On a page of one colour, of which it takes 40 to 80% of each side."""
    image = photo(digit, rng)
    size = np.int64(image.size / rng.uniform(0.4, 0.8, 2))
    page = Image.new("RGB", tuple(size.tolist()), ["white", "#e1e4eb"][rng.integers(2)])
    page.paste(image, tuple(rng.integers(0, size - image.size + 1).tolist()))
    return page


def framed(digit: np.ndarray, rng: Generator) -> Image.Image:
    """In a box or a circle that somebody has drawn around it."""
    ink = small_drawing(digit, rng)
    box = np.add(ink.getbbox(), rng.uniform(12, 35) * np.array([-1, -1, 1, 1]))
    pen, width = ImageDraw.Draw(ink), int(rng.integers(2, 9))
    if rng.random() < 0.5:
        pen.rounded_rectangle(tuple(box), rng.uniform(0, 12), None, 255, width)
    else:
        out = 0.21 * (box[2:] - box[:2])  # of an ellipse around a box
        pen.ellipse((*(box[:2] - out), *(box[2:] + out)), None, 255, width)
    return drawn_or_photographed(ink, rng)


def cells(digit: np.ndarray, rng: Generator) -> Image.Image:
    """In one of a form's two to four cells, the others empty."""
    ink = small_drawing(digit, rng)
    box, count = ink.getbbox(), int(rng.integers(2, 5))
    side = max(box[2] - box[0], box[3] - box[1]) + rng.uniform(16, 40)
    wide = Image.new("L", [int(count * side + 60)] * 2)
    place, top = int(rng.integers(count)), (wide.height - side) / 2
    pen, width = ImageDraw.Draw(wide), int(rng.integers(1, 5))
    for edge in np.linspace(30, 30 + count * side, count + 1):
        pen.line((edge, top, edge, top + side), 255, width)
    for y in (top, top + side):
        pen.line((30, y, 30 + count * side, y), 255, width)
    middle = (30 + (place + 0.5) * side, top + side / 2)
    corner = [round(m - (a + b) / 2) for m, a, b in zip(middle, box[:2], box[2:], strict=True)]
    wide.paste(255, tuple(corner), ink)
    return drawn_or_photographed(wide, rng)


def margin(digit: np.ndarray, rng: Generator) -> Image.Image:
    """Beside a line that runs from edge to edge, thin or as thick as a bar."""
    ink = small_drawing(digit, rng)
    left, _, right, _ = ink.getbbox()
    width = int(rng.integers(2, 16))
    room = [x for x in (left - width - 4, right + width + 4) if width < x < CANVAS - width]
    at, lean = room[rng.integers(len(room))], rng.uniform(-0.01, 0.01) * CANVAS
    ImageDraw.Draw(ink).line((at - lean, -5, at + lean, CANVAS + 5), 255, width)
    return drawn_or_photographed(ink, rng)


def faint_stroke(digit: np.ndarray, rng: Generator) -> Image.Image:
    """A drawing whose upper or lower third has a quarter to a half of the contrast."""
    ink = np.array(pen_drawing(digit, rng), np.float32)
    rows, y = np.flatnonzero(ink.any(1)), np.arange(len(ink))
    third = np.ptp(rows) / 3
    faint = y < rows[0] + third if rng.random() < 0.5 else y > rows[-1] - third
    ink[faint] *= rng.uniform(0.25, 0.5)
    return ImageOps.invert(Image.fromarray(np.uint8(ink)))


def tight_crop(digit: np.ndarray, rng: Generator) -> Image.Image:
    """A photograph of a soft marker, cropped to the digit, with a margin of 1 to 8%."""
    drawn = pen_drawing(digit, rng, (14, 22))
    ink = drawn.crop(drawn.getbbox())
    ink = ImageOps.expand(ink, int(rng.uniform(0.01, 0.08) * max(ink.size)) + 1)
    soft = ndimage.gaussian_filter(np.asarray(ink, np.float32) / 255, rng.uniform(2, 5))
    background, strength = rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.9)
    grey = background * (1 - strength * soft) + rng.normal(0, 0.012, soft.shape)
    return as_jpeg(from_levels(grey).convert("RGB"))


def squared(digit: np.ndarray, rng: Generator) -> Image.Image:
    """On squared paper."""
    image = photo(digit, rng)
    spacing, strength = rng.uniform(0.07, 0.2) * min(image.size), rng.uniform(0.15, 0.4)
    y, x = np.mgrid[: image.height, : image.width]
    tilt, lines = rng.uniform(-0.05, 0.05), 0
    for along in (x + tilt * y, y - tilt * x):
        away = np.abs((along + rng.uniform(0, spacing)) % spacing - spacing / 2)
        half = rng.uniform(0.4, 1.2) * image.width / 400 + 0.5
        lines = np.maximum(lines, (half - away).clip(0, 1))
    tinted = strength * lines[..., None] * rng.permutation([1, 0.8, 0.5])
    return as_jpeg(Image.fromarray(np.uint8(np.asarray(image) * (1 - tinted))))


def shadow(digit: np.ndarray, rng: Generator) -> Image.Image:
    """With the hard edge of a deep shadow across the digit."""
    image = photo(digit, rng)
    y, x = np.mgrid[: image.height, : image.width] / max(image.size)
    angle = rng.uniform(0, 2 * np.pi)
    across = (x - x.mean()) * np.cos(angle) + (y - y.mean()) * np.sin(angle)
    covered = ((across - rng.uniform(-0.15, 0.15)) / rng.uniform(0.003, 0.02)).clip(0, 1)
    shaded = np.asarray(image) * (1 - rng.uniform(0.4, 0.65) * covered)[..., None]
    return as_jpeg(Image.fromarray(np.uint8(shaded)))


def glare(digit: np.ndarray, rng: Generator) -> Image.Image:
    """With the reflection of a lamp, which washes a part of it out."""
    image = photo(digit, rng)
    y, x = np.mgrid[: image.height, : image.width] / min(image.size)
    centre, radius = rng.uniform(0.2, 0.8, 2), rng.uniform(0.06, 0.16, 2)
    distance = np.hypot((x - centre[0]) / radius[0], (y - centre[1]) / radius[1])
    spot = rng.uniform(0.4, 0.85) * np.exp(-(distance**2))[..., None]
    return as_jpeg(Image.fromarray(np.uint8(255 - (255 - np.asarray(image)) * (1 - spot))))


def wood(digit: np.ndarray, rng: Generator) -> Image.Image:
    """Written on a board whose grain shows."""
    ink = np.asarray(small_drawing(digit, rng), np.float32)[..., None] / 255
    y, x = np.mgrid[:CANVAS, :CANVAS] / CANVAS
    warp = ndimage.gaussian_filter(rng.normal(0, 1, x.shape), 40) * 40
    rings = np.sin(2 * np.pi * (rng.uniform(6, 18) * x + rng.uniform(0.5, 1.5) * warp + 0.3 * y))
    fibres = ndimage.gaussian_filter(rng.normal(0, 1, x.shape), (12, 0.7))
    grain = 1 - rng.uniform(0.05, 0.14) * (rings + 1) / 2 + rng.uniform(0.1, 0.3) * fibres
    board = np.array([0.8, 0.62, 0.42]) * rng.uniform(0.75, 1.1) * grain[..., None]
    return as_jpeg(from_levels(board * (1 - ink * rng.uniform(0.7, 0.95))))


def empty(_: object, rng: Generator) -> Image.Image:
    """A photograph of an empty sheet, of any of the kinds that need no digit."""
    kinds = (photo, dim, straightened, pasted, shadow)
    return kinds[rng.integers(len(kinds))](NO_DIGIT, rng)


KINDS = {
    "dim light": dim, "straightened": straightened, "pasted on a page": pasted, "framed": framed,
    "in a row of cells": cells, "beside a margin": margin, "faint stroke": faint_stroke,
    "tight crop": tight_crop, "squared paper": squared, "hard shadow": shadow,
    "glare, unseen kind": glare, "wood, unseen kind": wood,
}  # fmt: skip
