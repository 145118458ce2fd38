"""Lines of digits, composed as one hand writes them, for the network that reads lines.

    lines = make_lines(images, labels, count=100_000, seed=42)
    batch = lines.batch(np.random.default_rng(0))

A line is written with one pen, one slant, one habit of gaps; in half of them by our strokes, in
half by MNIST's digits. Points, rules, dashes and hashes stand beside and below as part of the
image and not of the text; some lines are no number at all, and their text is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image, ImageDraw
from scipy import ndimage
from tqdm import tqdm

from image_processing_mnist import EDGE_LEVEL, LINE_HEIGHT, frame_line
from pipeline_mnist import COLUMN, PADDING, find_lines, find_parts
from training.glyphs import Glyph, glyph_by_hand, glyph_of_image, make_glyph
from training.handwriting import NON_DIGIT
from training.non_digits import random_non_digit
from training.printed import printed

HEIGHT = 40  # pixels of a digit while a line is composed
LONGEST = 14  # digits
CHUNK = 2000  # lines that share glyphs, each of which stands in a few of them
GLYPHS = 0.6  # of each source, per line of a chunk
BATCH_COLUMNS = 6144  # pixels of width of all lines in a batch
ALIKE = 8  # a batch is drawn from so many times as many lines of similar width
NO_NUMBER_SHARE = 0.08
SIGN = 10  # stands among the digits for a letter or a sign, which the text leaves out
LETTERS = [*"ACEFGHJKLMNPRTUVWXYabcdefhijkmnprtuvwxy"]  # those mostly unlike digits

Generator = np.random.Generator
Pools = list[list[list[Glyph]]]  # of each source, of each digit


@dataclass
class Lines:
    """Lines side by side, from the narrowest to the widest.

    Attributes:
        pixels: (32, columns) uint8, 0 (background) to 255 (ink).
        starts: (N + 1,) int64, the column where each begins, and the end.
        labels: (N, 14) int64, the digits of each, and then -1.
    """

    pixels: torch.Tensor
    starts: np.ndarray
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rng: Generator) -> dict[str, torch.Tensor]:
        """Some lines of similar width, each as likely as any other.

        Returns:
            `lines` (B, 1, 32, W) uint8; `line_labels` (B, 14); `line_columns` (B,), how many
            columns of the logits are of each.
        """
        middle = self.starts.searchsorted(rng.integers(self.starts[-1]), "right") - 1
        count = max(1, BATCH_COLUMNS // (self.starts[middle + 1] - self.starts[middle]))
        first = max(0, min(middle - ALIKE * count // 2, len(self) - ALIKE * count))
        alike = np.arange(first, min(first + ALIKE * count, len(self)))
        return self.select(rng.permutation(alike)[:count], rng.integers(COLUMN, size=count))

    def select(self, chosen: np.ndarray, shifts: np.ndarray) -> dict[str, torch.Tensor]:
        """What `batch` gives, of chosen lines, each so many pixels further to the right."""
        widths = self.starts[chosen + 1] - self.starts[chosen]
        columns = (widths + 2 * PADDING + COLUMN - 1) // COLUMN  # rounded up
        lines = torch.zeros(len(chosen), 1, LINE_HEIGHT, COLUMN * columns.max(), dtype=torch.uint8)
        for line, start, width, shift in zip(
            lines, self.starts[chosen], widths, PADDING + shifts, strict=False
        ):
            line[0, :, shift : shift + width] = self.pixels[:, start : start + width]
        return {
            "lines": lines,
            "line_labels": self.labels[chosen],
            "line_columns": torch.from_numpy(columns),
        }


def make_lines(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> Lines:
    """Compose lines.

    Args:
        images: (N, 28, 28) uint8, of MNIST.
        labels: (N,) int64, 0-9.
        count: How many lines.
        seed: The same seed makes the same lines.
    """
    by_digit = [images[labels == digit] for digit in range(10)]
    tasks = [
        delayed(make_chunk)(by_digit, min(CHUNK, count - first), (seed, first))
        for first in range(0, count, CHUNK)
    ]
    with Parallel(n_jobs=-1 if len(tasks) > 1 else 1, return_as="generator") as parallel:
        made = list(tqdm(parallel(tasks), "lines", len(tasks), unit_scale=CHUNK))
    pairs = sorted((pair for chunk in made for pair in chunk), key=lambda pair: pair[0].shape[1])
    labels = np.full((count, LONGEST), -1)
    for row, (_, digits) in zip(labels, pairs, strict=True):
        row[: len(digits)] = digits
    return Lines(
        torch.from_numpy(np.hstack([line for line, _ in pairs])),
        np.cumsum([0, *(line.shape[1] for line, _ in pairs)]),
        torch.from_numpy(labels),
    )


def make_chunk(
    by_digit: list[np.ndarray], count: int, seed: tuple[int, ...]
) -> list[tuple[np.ndarray, list[int]]]:
    """Lines (32, W) uint8, each with its digits, of glyphs that they share."""
    rng = np.random.default_rng(seed)
    pools: Pools = [[[] for _ in range(SIGN + 1)] for _ in range(2)]
    for number in range(max(SIGN + 1, round(GLYPHS * count))):
        label = number % (SIGN + 1)
        if label == SIGN:
            made = make_glyph(printed(rng.choice(LETTERS), rng)), glyph_by_hand(NON_DIGIT, rng)
        else:
            image = rng.choice(by_digit[label]) if len(by_digit[label]) else np.zeros((28, 28))
            made = glyph_of_image(image), glyph_by_hand(str(label), rng)
        for pool, glyph in zip(pools, made, strict=True):
            if glyph is not None:
                pool[label].append(glyph)
    # A sample may lack a digit; drawn ones take its place.
    pools[0] = [own or drawn for own, drawn in zip(*pools, strict=True)]
    return [make_line(pools, rng) for _ in range(count)]


def make_line(pools: Pools, rng: Generator) -> tuple[np.ndarray, list[int]]:
    """One line (32, W) uint8 as the pipeline frames it, and its digits; none if it is no number."""
    if rng.random() < NO_NUMBER_SHARE:
        return finish(non_number(rng), rng), []
    digits = random_digits(rng)
    ink, pen, ends = write_digits(digits, pools, rng)
    for kind, share in BESIDES.items():
        if rng.random() < share:
            image = Image.fromarray(np.uint8(ink * 255))
            kind(ImageDraw.Draw(image), pen, ends, rng)
            ink = np.asarray(image, np.float32) / 255
    return finish(ink, rng), [digit for digit in digits if digit != SIGN]


def random_digits(rng: Generator) -> list[int]:
    """One to fourteen digits, at times with signs; runs, as in 777, and zeros are frequent."""
    lengths = [(1, 2), (2, 5), (5, 11), (11, LONGEST + 1)]
    count = int(rng.integers(*lengths[rng.choice(4, p=[0.1, 0.5, 0.32, 0.08])]))
    digits, kind = rng.integers(0, 10, count), rng.random()
    if kind < 0.15:
        for n in range(1, count):
            if rng.random() < 0.6:
                digits[n] = digits[n - 1]
    elif kind < 0.25:
        digits[rng.random(count) < 0.5] = 0
    elif kind < 0.33:
        digits[rng.integers(0, count, rng.integers(1, 3))] = SIGN
    return digits.tolist()


def random_gaps(count: int, rng: Generator) -> np.ndarray:
    """Gaps before digits (count,) as one hand leaves them, in heights; below 0 digits overlap."""
    habit = rng.random()
    if habit < 0.4:
        mean, spread, touching = rng.uniform(0.05, 0.35), 0.08, 0.05
    elif habit < 0.65:
        mean, spread, touching = rng.uniform(-0.03, 0.1), 0.06, 0.35
    elif habit < 0.85:
        mean, spread, touching = 0, 0, 1
    elif habit < 0.97:
        mean, spread, touching = rng.uniform(0.3, 1.2), 0.15, 0
    else:
        mean, spread, touching = rng.uniform(0.3, 0.6), 0.5, 0
    gaps = rng.normal(mean, spread, count)
    touches = rng.random(count) < touching
    gaps[touches] = -np.abs(rng.normal(0, 0.05, touches.sum()))
    return gaps.clip(-0.22)


def write_digits(
    digits: Sequence[int], pools: Pools, rng: Generator
) -> tuple[np.ndarray, float, np.ndarray]:
    """Digits from left to right on one baseline, 2.5 heights below the top.

    Returns:
        The ink (H, W) float32 0-1; the pen's width in pixels; and where each digit begins and ends,
        (n, 2).
    """
    source, is_mixed = rng.integers(2), rng.random() < 0.1
    pen = HEIGHT * np.exp(rng.normal(np.log(0.1), 0.42)).clip(0.03, 0.3)
    shear = rng.normal(0.05, 0.2 if source == 0 else 0.12)
    size_spread, base_spread = rng.choice([0.04, 0.1, 0.18]), rng.choice([0.02, 0.05, 0.1])
    gaps = HEIGHT * random_gaps(len(digits), rng)
    ink = np.zeros((4 * HEIGHT, int(3.2 * HEIGHT * (len(digits) + 1))), np.float32)
    reach = np.full(len(ink), -np.inf)  # how far to the right each row has ink
    ends = []
    for digit, gap in zip(digits, gaps, strict=True):
        pool = pools[1 - source if is_mixed and rng.random() < 0.5 else source][digit]
        height = HEIGHT * np.exp(rng.normal(0, size_spread)).clip(0.55, 1.6)
        glyph = pool[rng.integers(len(pool))]
        drawn = glyph.draw(height, pen, rng, shear + rng.normal(0, 0.04), rng.normal(0, 0.02))
        inside = drawn > 0.5
        rows = np.flatnonzero(inside.any(1))
        starts, stops = inside.argmax(1)[rows], drawn.shape[1] - inside[:, ::-1].argmax(1)[rows]
        bottom = 2.5 * HEIGHT + HEIGHT * rng.normal(0, base_spread)
        top = int(np.clip(bottom - rows[-1], 0, len(ink) - len(drawn)))
        # Where it only just meets what is written, within two rows.
        meets = (ndimage.maximum_filter1d(reach, 5)[top + rows] - starts).max()
        left = 20 - starts.min()
        if ends:
            if not np.isfinite(meets):  # one is above the other
                meets = ends[-1][1] - starts.min()
            progress = ends[-1][0] + 0.2 * (ends[-1][1] - ends[-1][0]) - starts.min()
            left = int(max(meets + gap, progress))
        left = max(0, min(left, ink.shape[1] - drawn.shape[1]))
        here = slice(top, top + len(drawn)), slice(left, left + drawn.shape[1])
        ink[here] = np.maximum(ink[here], drawn)
        reach[top + rows] = np.maximum(reach[top + rows], left + stops)
        ends.append((left + starts.min(), left + stops.max()))
    ends = np.array(ends)
    return ink[:, : ends.max() + 2 * HEIGHT], pen, ends


def cut_digit(digits: np.ndarray, images: np.ndarray, rng: Generator) -> np.ndarray:
    """The first of three digits in one line, as the pipeline divides the ink among them.

    Args:
        digits: (3,) 0-9.
        images: (3, 28, 28) uint8, MNIST's images of these.
        rng: Where all randomness comes from.

    Returns:
        The ink (h, w) float32 0-1; blank if the three do not make one line.
    """
    pool, order = glyphs_of(digits, images, rng), rng.permutation(3)
    ink, _, ends = write_digits(digits[order].tolist(), [pool, pool], rng)
    lines = find_lines(ink, find_parts(ink))
    if len(lines) != 1:
        return np.zeros((1, 1), np.float32)
    (line,) = lines
    _, line.step = frame_line(line.ink)
    middles = (ends.mean(1) - line.corner[0]) / line.step + PADDING
    columns = np.rint(middles / COLUMN - 0.5).astype(int)
    if columns.min() < 0:  # one is no part of the line: it has hardly any ink
        return np.zeros((1, 1), np.float32)
    seen = np.full((columns.max() + 2, 11), -np.inf, np.float32)
    seen[:, -1] = -1
    seen[columns, digits[order]] = 0
    line.find_digits(torch.from_numpy(seen))
    line.divide()
    place = order.argmin()
    return line.crops[place] if len(line.crops) == 3 else np.zeros((1, 1), np.float32)


def several_digits(digits: np.ndarray, images: np.ndarray, rng: Generator) -> np.ndarray:
    """Two or all of three digits in one line, apart or touching: (H, W) float32 0-1."""
    pool = glyphs_of(digits, images, rng)
    ink, _, _ = write_digits(digits[: rng.integers(2, 4)].tolist(), [pool, pool], rng)
    return ink


def glyphs_of(digits: np.ndarray, images: np.ndarray, rng: Generator) -> dict[int, list[Glyph]]:
    """A glyph of each digit (n,), of our strokes, or of MNIST's images of them (n, 28, 28)."""
    by_hand = rng.random() < 0.5
    pool: dict[int, list[Glyph]] = {}
    for digit, image in zip(digits.tolist(), images, strict=True):
        glyph = None if by_hand else glyph_of_image(image)
        while glyph is None:  # at times there is hardly any ink
            glyph = glyph_by_hand(str(digit), rng)
        pool[digit] = [glyph]
    return pool


# What stands beside the digits: each draws with a pen of some width, of digits that begin and end
# at (n, 2), whose baseline is at 2.5 heights.


def joining_stroke(draw: ImageDraw.ImageDraw, pen: float, ends: np.ndarray, rng: Generator) -> None:
    """From one digit to the next."""
    if len(ends) > 1:
        n = rng.integers(1, len(ends))
        y = HEIGHT * rng.uniform(1.55, 2.45, 2)
        line = (ends[n - 1][1] - 3, y[0], ends[n][0] + 3, y[1])
        draw.line(line, 255, max(1, int(0.8 * pen)))


def signs(draw: ImageDraw.ImageDraw, pen: float, ends: np.ndarray, rng: Generator) -> None:
    """A dash, an equals sign, a plus or a hash before the number, after it, or both."""
    width = max(1, int(pen))
    for side in ((0,), (1,), (0, 1))[rng.integers(3)]:
        size, gap = HEIGHT * rng.uniform((0.3, 0.1), (0.7, 0.5))
        left = ends[-1, 1] + gap if side else ends[0, 0] - gap - size
        middle, lean = HEIGHT * rng.uniform(1.9, 2.2), HEIGHT * rng.normal(0, 0.04)
        kind = rng.integers(4)
        for n in range((1, 2, 1, 2)[kind]):
            y = middle + n * HEIGHT * (0.22 if kind == 1 else 0.3)
            draw.line((left, y, left + size, y + lean), 255, width)
        for n in range((0, 0, 1, 2)[kind]):
            x = left + size * (0.5 if kind == 2 else (n + 1) / 3)
            draw.line((x, middle - size / 2, x - lean, middle + size / 2), 255, width)


def points(draw: ImageDraw.ImageDraw, pen: float, ends: np.ndarray, rng: Generator) -> None:
    """Points and commas at the baseline, between digits or beside them."""
    for _ in range(rng.integers(1, 4)):
        x = rng.uniform(15, ends[-1, 1] + 10)
        if len(ends) > 1 and rng.random() < 0.5:
            n = rng.integers(1, len(ends))
            x = (ends[n - 1, 1] + ends[n, 0]) / 2
        y, radius = HEIGHT * rng.normal(2.5, 0.05), max(1, pen * rng.uniform(0.4, 0.9))
        if rng.random() < 0.6:
            draw.circle((x, y), radius, 255)
        else:
            tail = HEIGHT * rng.uniform((0, 0.05), (0.12, 0.25))
            draw.line((x, y, x - tail[0], y + tail[1]), 255, max(1, int(pen)))


def rule(draw: ImageDraw.ImageDraw, pen: float, ends: np.ndarray, rng: Generator) -> None:
    """A line below the digits or through their feet, across all of them or some."""
    left, right = -10, ends[-1, 1] + 60
    if rng.random() < 0.4:
        left, right = np.sort(rng.uniform(0, ends[-1, 1] + 20, 2))
    y, slope = HEIGHT * rng.uniform(2.35, 2.85), rng.normal(0, 0.02)
    width = max(1, int(HEIGHT * rng.uniform(0.02, 0.07)))
    line = (left, y, right, y + slope * (right - left))
    draw.line(line, int(rng.uniform(120, 256)), width)


BESIDES = {joining_stroke: 0.1, signs: 0.12, points: 0.22, rule: 0.15}


def non_number(rng: Generator) -> np.ndarray:
    """A word, or one or two non-digits side by side, (H, W) 0-1."""
    if rng.random() < 0.4:
        return printed("".join(rng.choice(LETTERS, rng.integers(2, 8))), rng)
    made = [random_non_digit(rng) for _ in range(rng.integers(1, 3))]
    height = max(len(ink) for ink in made)
    return np.hstack([np.pad(ink, ((height - len(ink), 6), (6, 0))) for ink in made])


def finish(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Ink (H, W) 0-1, tilted and bent a little, cropped and framed as a line -> (32, W) uint8."""
    if rng.random() < 0.6:
        angle = rng.normal(0, 2.5)
        image = Image.fromarray(np.float32(ink))
        ink = np.asarray(image.rotate(angle, Image.Resampling.BILINEAR, expand=True))
    if rng.random() < 0.3:  # a baseline that bends
        x = np.arange(ink.shape[1])
        bend = rng.normal(0, 3) * np.sin(x / HEIGHT * rng.uniform(0.2, 1) + rng.uniform(0, 7))
        ink = np.pad(ink, ((9, 9), (0, 0)))
        rows = np.arange(len(ink))[:, None] + bend.clip(-9, 9).round().astype(int)
        ink = ink[rows.clip(0, len(ink) - 1), x]
    if not (found := Image.fromarray(ink > EDGE_LEVEL).getbbox()):
        return np.zeros((LINE_HEIGHT, LINE_HEIGHT), np.uint8)
    height = found[3] - found[1]
    sides = found + height * rng.uniform(0, 0.12) * rng.random(4) * [-1, -1, 1, 1]
    size = int((sides[2] - sides[0]) * np.exp(rng.normal(0, 0.12))), height
    image = Image.fromarray(np.pad(ink, HEIGHT).astype(np.float32))
    box = tuple((sides + HEIGHT).tolist())
    cropped = image.resize((max(size[0], 2), size[1]), Image.Resampling.BILINEAR, box=box)
    line, _ = frame_line(np.asarray(cropped))
    if rng.random() < 0.15:
        shape = [max(4, int(side * rng.uniform(0.3, 0.7))) for side in line.shape[::-1]]
        small = Image.fromarray(line).resize(shape, Image.Resampling.BOX)
        line = np.asarray(small.resize(line.shape[::-1], Image.Resampling.BICUBIC))
    if rng.random() < 0.2:
        line = ndimage.gaussian_filter(line, rng.uniform(0.3, 0.9))
    line = line / max(line.max(), 1e-3)
    if rng.random() < 0.15:  # faint, and grainy where there is ink
        line = line * (rng.uniform(0.6, 1) + rng.normal(0, rng.uniform(0.05, 0.3), line.shape))
    if rng.random() < 0.1:
        count = rng.integers(1, 8)
        line[rng.integers(0, len(line), count), rng.integers(0, line.shape[1], count)] = 1
    return np.uint8(line.clip(0, 1) * 255 + 0.5)
