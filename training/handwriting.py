"""Digits, letters and signs by hand: ways of writing, varied as a person's hand varies them.

    image = handwritten_digit(7, np.random.default_rng(0))  # (84, 84) float32, 0-1

`strokes.txt` lists ways of writing, many of them rare in MNIST: a 1 with flag and foot, a
crossed 7, an open 4.
"""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CANVAS = 84  # pixels a side: three times MNIST's
LOW_RESOLUTION_SHARE = 0.4  # of handwritten digits and of printed characters
SLIM = 0.3  # of its height: a 1 that is no wider is a bar
SHORT_BAR_SHARE = 0.5  # of those: a fifth to two thirds as wide as high, with the pen
FLAT_SHARE = 0.25  # of drawings: strokes end flat, as a highlighter's or a drawing program's do
NON_DIGIT = "-"  # the label in strokes.txt

Strokes = list[np.ndarray]  # one array (points, 2 or 3) a stroke: x, y in 0-1, and 1 for a corner


@cache
def ways_of_writing(label: str) -> tuple[list[Strokes], np.ndarray]:
    """The ways to write a label, "0" to "9" or "-", and the share (ways,) of each, 0-1."""
    table = Path(__file__).with_name("strokes.txt").read_text().splitlines()
    rows = [line.split(maxsplit=2) for line in table if line.startswith(f"{label} ")]
    ways = [[_parse(stroke) for stroke in strokes.split("|")] for _, _, strokes in rows]
    weights = np.array([float(weight) for _, weight, _ in rows])
    return ways, weights / weights.sum()


def _parse(stroke: str) -> np.ndarray:
    """Such as "50,0 25,10!" -> (points, 3)."""
    points = [(*point.rstrip("!").split(","), point.endswith("!")) for point in stroke.split()]
    return np.array(points, float) / (100, 100, 1)


def write(label: str, rng: np.random.Generator) -> Strokes:
    """A label as some hand writes it: strokes (M, 2) in a box of about 1 by 1."""
    ways, shares = ways_of_writing(label)
    return vary(ways[rng.choice(len(ways), p=shares)], rng)


def vary(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """One hand's variation of a way of writing: strokes (points, 3) -> (M, 2)."""
    wobble = rng.choice([0.02, 0.035, 0.05])
    # Neighbouring points deviate alike: a smooth random field, a sum of sines.
    frequency, phase = rng.normal(0, 2.5, (4, 2, 2)), rng.uniform(0, 2 * np.pi, (4, 2))
    aspect = np.exp(rng.normal(-0.35, 0.38)).clip(0.25, 1.5)
    shear, angle = rng.normal(0.12, 0.22), rng.normal(0, 0.07)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    drift = rng.normal(0, 0.02, 2)
    written = []
    for number, stroke in enumerate(strokes):
        stroke = stroke.copy()
        xy = stroke[:, :2]
        field = np.sin(np.einsum("pd,kcd->pkc", xy, frequency) + phase).sum(1)
        noise = rng.normal(0, wobble, xy.shape)
        repeated = np.r_[False, (xy[1:] == xy[:-1]).all(1)]  # a corner given as two points
        noise[repeated] = noise[np.flatnonzero(repeated) - 1]
        xy += field * wobble * 0.8 + noise + number * drift
        line = (smooth_line(stroke, steps=int(rng.integers(3, 10))) - 0.5) * (aspect, 1)
        line[:, 0] -= shear * line[:, 1]
        written.append(line @ rotation + 0.5)
    return written


def smooth_line(points: np.ndarray, steps: int = 8) -> np.ndarray:
    """A line through points (N, 3), smooth but for corners -> (M, 2).

    A uniform Catmull-Rom spline (Catmull & Rom 1974) with `steps` points a segment.
    """
    xy = np.repeat(points[:, :2], np.where(points[:, 2] > 0, 2, 1), axis=0)
    xy = np.concatenate([2 * xy[:1] - xy[1:2], xy, 2 * xy[-1:] - xy[-2:-1]])
    before, start, end, after = xy[:-3], xy[1:-2], xy[2:-1], xy[3:]
    t = np.linspace(0, 1, steps)[:, None, None]
    linear, square = end - before, 2 * before - 5 * start + 4 * end - after
    cube = 3 * start - before - 3 * end + after
    line = 0.5 * (2 * start + linear * t + square * t**2 + cube * t**3)
    return line.swapaxes(0, 1).reshape(-1, 2)


def draw(strokes: Strokes, pen_width: float, is_flat: bool = False) -> np.ndarray:
    """Strokes (M, 2) fitted to a canvas -> (84, 84) float32 0-1.

    The pen has a width in pixels; its strokes end round, or flat.
    """
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = (CANVAS - pen_width - 6) / max(*(high - low), 1e-3)
    offset = (CANVAS - (low + high) * scale) / 2
    image = Image.new("L", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        line = [tuple(point) for point in stroke * scale + offset]
        pen.line(line, 255, round(pen_width), joint="curve")
        for end in () if is_flat else (line[0], line[-1]):
            pen.circle(end, pen_width / 2, 255)
    return np.asarray(image, np.float32) / 255


def random_pen_width(rng: np.random.Generator) -> float:
    """Pixels on the canvas: mostly a pen's 7, at times a hair or a thick brush."""
    return float(np.exp(rng.normal(np.log(7), 0.6)).clip(2, 30))


def handwritten_digit(digit: int, rng: np.random.Generator) -> np.ndarray:
    """A digit by hand, (84, 84) float32 0-1."""
    strokes, is_flat = write(str(digit), rng), rng.random() < FLAT_SHARE
    width, height = np.ptp(np.concatenate(strokes), axis=0)
    if digit == 1 and width < SLIM * height and rng.random() < SHORT_BAR_SHARE:
        is_flat = rng.random() < 0.5  # with so short a stroke its ends are what is seen
        return draw(strokes, rng.uniform(14, 32 if is_flat else 45), is_flat=is_flat)
    if rng.random() < LOW_RESOLUTION_SHARE:
        return low_resolution(draw(strokes, rng.uniform(7, 16), is_flat=is_flat), rng)
    return draw(strokes, random_pen_width(rng), is_flat=is_flat)


def low_resolution(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image (H, W) 0-1 as a scanner of 8 to 20 pixels a side sees it, enlarged again."""
    small = Image.fromarray(np.float32(image)).resize([int(rng.integers(8, 21))] * 2)
    return np.asarray(small.resize(image.shape[::-1], Image.Resampling.BICUBIC)).clip(0, 1)
