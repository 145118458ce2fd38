"""Synthetic images: what MNIST lacks, made for training to mix in.

    images, labels = make_images(mnist_images, mnist_labels, seed=42)

Five kinds: digits by hand as people write them elsewhere, MNIST's digits corrupted, digits that are
cut from a line of three, non-digits, and several digits at once, which are non-digits, too. All are
framed by the image processor, as a visitor's images are.
"""

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from image_processing_mnist import MnistImageProcessor
from training.corruptions import corrupted
from training.data import NON_DIGIT_LABEL
from training.handwriting import handwritten_digit
from training.lines import cut_digit, several_digits
from training.non_digits import random_non_digit
from training.printed import printed

# Synthetic images of each kind, per training image.
SHARES = {"handwritten": 0.5, "corrupted": 0.35, "non_digits": 0.25, "cut": 0.12, "several": 0.15}
PRINTED_SHARE = 0.04  # of the handwritten kind: people show printed digits, too
BLANK_EVERY = 100  # one non-digit in so many is blank
ATTEMPTS = 20  # at most so many, until the framed image is not blank


def make_images(
    images: np.ndarray, labels: np.ndarray, seed: int, processor: MnistImageProcessor
) -> tuple[np.ndarray, np.ndarray]:
    """Images to add to MNIST's, as many as `SHARES` says.

    Args:
        images: (N, 28, 28) uint8, to corrupt.
        labels: (N,) int64, 0-9, which also say which digits are drawn.
        seed: The same seed makes the same images.
        processor: Frames them.

    Returns:
        (M, 28, 28) uint8 and (M,) int64, 0-9 or `NON_DIGIT_LABEL`.
    """
    others = np.random.default_rng(seed).integers(0, len(images), (len(images), 2))
    tasks = [
        (kind, labels[[n, *others[n]]], images[[n, *others[n]]], (seed, number, n))
        for number, (kind, share) in enumerate(SHARES.items())
        for n in range(round(share * len(images)))
    ]
    # In batches, each with one copy of the processor.
    with Parallel(n_jobs=-1 if len(tasks) > 5000 else 1, batch_size=500) as parallel:
        progress = tqdm(tasks, "synthetic images")
        pairs = parallel(delayed(make_image)(*task, processor) for task in progress)
    made = np.array([image for image, _ in pairs], np.uint8).reshape(-1, *images.shape[1:])
    made_labels = np.array([label for _, label in pairs], np.int64)
    made[np.flatnonzero(made_labels == NON_DIGIT_LABEL)[::BLANK_EVERY]] = 0
    return made, made_labels


def make_image(
    kind: str,
    digits: np.ndarray,
    images: np.ndarray,
    seed: tuple[int, ...],
    processor: MnistImageProcessor,
) -> tuple[np.ndarray, int]:
    """One framed image, (28, 28) uint8, and what it shows, 0-9 or `NON_DIGIT_LABEL`.

    Args:
        kind: A key of `SHARES`.
        digits: (3,) 0-9; what is shown: one, cut from a line of three, or several.
        images: (3, 28, 28) uint8, MNIST's images of these digits.
        seed: The same seed makes the same image.
        processor: Frames it.
    """
    rng = np.random.default_rng(seed)
    frame = processor.frame_part if kind == "cut" else processor.frame
    for _ in range(ATTEMPTS):
        label = int(digits[0])
        if kind == "cut":
            made = cut_digit(digits, images, rng)
        elif kind == "several":
            made, label = several_digits(digits, images, rng), NON_DIGIT_LABEL
        elif kind == "non_digits":
            made, label = random_non_digit(rng), NON_DIGIT_LABEL
        elif kind == "corrupted":
            made = corrupted(np.float32(images[0]) / 255, rng)
        elif rng.random() < PRINTED_SHARE:
            made = printed(str(label), rng)
        else:
            made = handwritten_digit(label, rng)
        framed = np.uint8(frame(np.float32(made)) * 255 + 0.5)
        if framed.any():
            break
    return framed, label
