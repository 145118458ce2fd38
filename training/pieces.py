"""Pieces of numbers: what cutting touching digits leaves, digits among them and non-digits.

    image, label = random_piece([3, 3, 8], images, np.random.default_rng(0))  # (28, 28) 0-1

Two or three digits are set side by side, with one pen, on one baseline, apart or touching. The
number pipeline's own segmenter cuts them. Whose ink is in a piece says what it is.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from image_processing_mnist import DIGIT_SIZE, IMAGE_SIZE, frame_digit
from pipeline_mnist import EDGE_LEVEL, find_gaps, find_line, find_runs, place
from training.data import NON_DIGIT_LABEL
from training.handwriting import draw, write

BY_HAND = 0.5  # of numbers are drawn, the others made of MNIST's digits
THREE = 0.3  # of numbers have three digits
TWICE = 0.2  # of second digits are the first again, as 00 and 33 are hard
GAP, GAP_SPREAD = 0.02, 0.08  # between digits, of their height: below 0 they overlap
NON_DIGIT_SHARE = 0.6  # of pieces, where a number has both kinds
# Shares of a digit's ink.
WHOLE, FOREIGN = 0.82, 0.12  # a piece with so much of it, and no more of others', is the digit
PART, TWO = 0.5, 0.35  # a piece with no more of any digit, or so much of others', is a non-digit
BAR = 0.33  # of its length: what is narrower can be a 1


def random_piece(
    digits: Sequence[int], images: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """One piece of a number as the pipeline would frame it.

    Args:
        digits: The labels of three images, 0-9.
        images: (3, 28, 28) uint8, of MNIST.
        rng: Where all randomness comes from.

    Returns:
        (28, 28) float32 0-1, and 0-9 or `NON_DIGIT_LABEL`; a blank image where no piece is certain.
    """
    order = [0, 0 if rng.random() < TWICE else 1, 2][: 3 if rng.random() < THREE else 2]
    digits = [digits[n] for n in order]
    layers = set_side_by_side(digits, images[order], rng)
    ink, parts, wide, height, *_ = find_line(layers.max(0), is_level=True)
    before, is_cut = find_gaps(ink, parts, wide, height)
    runs, boxes, low = find_runs(before & (parts > 0), is_cut, height)
    chosen, wants_non_digit = None, rng.random() < NON_DIGIT_SHARE
    for i in rng.permutation(np.flatnonzero(~low)):
        piece = before[runs[i, 1]] & ~before[runs[i, 0]]
        if (label := label_of(piece & (parts > 0), layers > EDGE_LEVEL, digits)) is not None:
            chosen = ink[place(boxes[i])] * piece[place(boxes[i])], label
            if wants_non_digit == (label == NON_DIGIT_LABEL):
                break
    if chosen is None:
        return np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32), NON_DIGIT_LABEL
    return frame_digit(chosen[0]), chosen[1]


def set_side_by_side(
    digits: Sequence[int], images: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A number with one pen on one baseline: the ink of its n digits, (n, H, W) float32 0-1.

    Args:
        digits: The n labels, 0-9, for digits that are drawn.
        images: (n, 28, 28) uint8, for the others.
        rng: Where all randomness comes from.
    """
    height = int(rng.integers(28, 57))
    sizes = np.rint(height * np.exp(rng.normal(0, 0.08, len(digits)))).astype(int)
    if rng.random() < BY_HAND:
        pen = height * np.exp(rng.normal(np.log(0.09), 0.4)).clip(0.04, 0.2)
        drawn = [
            draw(write(str(digit), rng), pen, size + 6)
            for digit, size in zip(digits, sizes, strict=True)
        ]
    else:
        drawn = with_one_pen(
            [
                ndimage.zoom(np.float32(image) / 255, size / DIGIT_SIZE, order=1)
                for image, size in zip(images, sizes, strict=True)
            ]
        )
    layers = np.zeros((len(drawn), 3 * height, 6 * height), np.float32)
    for layer, digit in zip(layers, drawn, strict=True):
        digit = digit[ndimage.find_objects((digit > EDGE_LEVEL).astype(int))[0]]
        rows, columns = digit.shape
        bottom = int(height * rng.normal(2, 0.04))
        before, inside = layers[:, bottom - rows : bottom].max(0) > EDGE_LEVEL, digit > EDGE_LEVEL
        # How far to the right the digit only just meets those before it.
        ends = before.shape[1] - before[:, ::-1].argmax(1)
        meets = np.where(before.any(1) & inside.any(1), ends - inside.argmax(1), 0).max()
        left = max(0, meets + int(height * rng.normal(GAP, GAP_SPREAD))) if before.any() else 0
        layer[bottom - rows : bottom, left : left + columns] = digit
    rows, columns = ndimage.find_objects(layers.any(0).astype(int))[0]
    return np.pad(layers[:, rows, columns], ((0, 0), (4, 4), (4, 4)))


def with_one_pen(digits: list[np.ndarray]) -> list[np.ndarray]:
    """Thin or thicken digits (h, w) 0-1 until their strokes are equally wide."""
    depths = [
        ndimage.distance_transform_edt(digit > 0.5) - ndimage.distance_transform_edt(digit <= 0.5)
        for digit in digits
    ]  # of each pixel inside the ink, negative outside
    widths = [4 * depth[depth > 0].mean() for depth in depths]  # a bar's mean depth is w / 4
    return [
        np.float32(depth + (np.mean(widths) - width) / 2 + 0.5).clip(0, 1)
        for depth, width in zip(depths, widths, strict=True)
    ]


def label_of(mask: np.ndarray, ink: np.ndarray, digits: Sequence[int]) -> int | None:
    """What a piece is by whose ink is in it: 0-9, `NON_DIGIT_LABEL`, or None where in doubt.

    Args:
        mask: (H, W) bool, the piece.
        ink: (n, H, W) bool, of each digit; where digits overlap it is of both.
        digits: The n labels, 0-9.
    """
    own, total = (ink & mask).sum((1, 2)), ink.sum((1, 2))
    whole, foreign = own / total, (mask.sum() - own) / total
    for digit in np.flatnonzero((whole >= WHOLE) & (foreign <= FOREIGN)):
        return digits[digit] if digits[digit] == 1 or not is_bar(mask) else None
    if ((whole > PART) & (foreign < TWO)).any() or is_bar(mask):
        return None
    most = own.argmax()
    if whole[most] <= PART and own[most] > (1 - FOREIGN) * mask.sum():  # a part of one digit
        is_left = (ink[most] & mask).any(0).argmax() == ink[most].any(0).argmax()
        if not is_left or has_hole(mask):
            return None
    return NON_DIGIT_LABEL


def is_bar(mask: np.ndarray) -> bool:
    """Whether a shape (H, W) is long and narrow, in any direction."""
    spread = np.linalg.eigvalsh(np.cov(np.nonzero(mask)))  # variances along the axes
    return bool(spread[0] < BAR**2 * spread[1])


def has_hole(mask: np.ndarray) -> bool:
    """Whether a shape (H, W) closes around a hole, as a 0 does."""
    return ndimage.label(~np.pad(mask, 1))[1] > 1
