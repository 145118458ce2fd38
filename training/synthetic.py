"""Synthetic images: what MNIST lacks, made for training to mix in.

    images, labels = make_images(mnist_images, mnist_labels, seed=42)

Three kinds: digits by hand as people write them elsewhere, MNIST's digits corrupted, and
non-digits. All go through the image processor, as a visitor's images do.
"""

import numpy as np
from joblib import Parallel, delayed

from image_processing_mnist import MnistImageProcessor
from training.corruptions import corrupted
from training.data import NON_DIGIT_LABEL
from training.handwriting import handwritten_digit
from training.non_digits import random_non_digit
from training.printed import printed

# Synthetic images of each kind, per training image.
SHARES = {"handwritten": 0.3, "corrupted": 0.35, "non_digits": 0.3}
PRINTED_SHARE = 0.04  # of the handwritten kind: people show printed digits, too
BLANK_EVERY = 100  # one non-digit in so many is blank
ATTEMPTS = 20  # at most so many, until the framed image is not blank
PROCESSOR = MnistImageProcessor()


def make_images(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images to add to MNIST's, as many as `SHARES` says.

    Args:
        images: (N, 28, 28) uint8, to corrupt.
        labels: (N,) int64, 0-9, which also say which digits are drawn.
        seed: The same seed makes the same images.

    Returns:
        (M, 28, 28) uint8 and (M,) int64, 0-9 or `NON_DIGIT_LABEL`.
    """
    tasks = [
        (kind, labels[n], images[n], (seed, number, n))
        for number, (kind, share) in enumerate(SHARES.items())
        for n in range(round(share * len(images)))
    ]
    with Parallel(n_jobs=-1 if len(tasks) > 5000 else 1) as parallel:
        made = np.stack(parallel(delayed(make_image)(*task) for task in tasks))
    made_labels = np.array(
        [NON_DIGIT_LABEL if kind == "non_digits" else label for kind, label, *_ in tasks]
    )
    made[np.flatnonzero(made_labels == NON_DIGIT_LABEL)[::BLANK_EVERY]] = 0
    return made, made_labels


def make_image(kind: str, digit: int, image: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """One framed image, (28, 28) uint8.

    Args:
        kind: A key of `SHARES`.
        digit: 0-9, for handwritten digits.
        image: (28, 28) uint8, for corrupted digits.
        seed: The same seed makes the same image.
    """
    rng = np.random.default_rng(seed)
    for _ in range(ATTEMPTS):
        if kind == "non_digits":
            pixels = random_non_digit(rng)
        elif kind == "corrupted":
            pixels = corrupted(np.float32(image) / 255, rng)
        elif rng.random() < PRINTED_SHARE:
            pixels = printed(str(digit), rng)
        else:
            pixels = handwritten_digit(digit, rng)
        if (framed := frame(pixels)).any():
            break
    return framed


def frame(pixels: np.ndarray) -> np.ndarray:
    """(H, W) 0-1 -> (28, 28) uint8, by the image processor."""
    rgb = np.repeat(np.float32(pixels)[..., None], 3, axis=2)
    return np.uint8(PROCESSOR.frame(np.rint(rgb * 255) / 255) * 255 + 0.5)
