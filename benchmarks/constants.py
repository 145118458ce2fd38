"""What each constant set by hand brings: how many images are read with it, and how many without.

    python -m benchmarks.constants --train_val_split 0.1     on held-out digits

Prints a Markdown table. Each constant alone is set to a value at which what it does is left out.
All images, those of one digit too, are read by the number pipeline, as the app reads them.
"""

from argparse import Namespace
from itertools import product
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import image_processing_mnist as processing
import pipeline_mnist as numbers
from benchmarks import robustness
from benchmarks.common import parse, print_head, print_row
from benchmarks.images import middle_line
from benchmarks.whole_numbers import KINDS, LENGTHS, compose
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from pipeline_mnist import NumberRecognitionPipeline
from training.errors import told_by

ROWS = ("UCI", "drawing, ", "photograph", "sheet", "dotted_line", "zigzag", "spatter", "scribbles")
NEVER, ALWAYS = np.inf, 0
LEFT_OUT = {  # the values at which constants do nothing
    processing: {
        "MIN_CONTRAST": 0,
        "FRAMED_CONTRAST": NEVER,
        "SMALL": 0,
        "MIN_BACKGROUND": NEVER,  # no image is a drawing
        "FULL_INK": 1,
        "MAX_UNEVEN": NEVER,
        "MIN_MARK": 0,
        "SURE_MARK": 0,
        "SPECK_SHARE": 0,
        "EDGE_SPECK_SHARE": 0,
        "ENCLOSED": NEVER,
        "FORM_SHARE": NEVER,
        "FULL_BAR": NEVER,
        "RULE_LENGTH": NEVER,
        "POINT_LENGTH": NEVER,
        "TALL": 1,
        "COARSE": 0,
        "FINER": 1,
        "MARGIN": 0,
        "LONG": NEVER,
        "MIN_STROKE": 0,
    },
    numbers: {
        "SPECK_SHARE": 0,
        "ONE_DIGIT": NEVER,
        "WIDEST": NEVER,
        "SURE_DIGIT": ALWAYS,
        "MIN_PARTS": 0,
        "DIGIT_HEIGHT": NEVER,
        "LOW": 0,
        "NEAR": NEVER,
    },
}


def make_images(options: Namespace) -> dict[str, list[tuple[Image.Image, tuple[str, ...]]]]:
    """Of each row its images, and the answers that are right for each."""
    mnist, count = robustness.load_mnist(options), options.max_samples
    pixels, labels = mnist.images.numpy(), mnist.labels.numpy()
    rows = robustness.digit_rows(pixels, labels) + robustness.non_digit_rows()
    images = {}
    for row in tqdm([row for row in rows if any(part in row.name for part in ROWS)], "images"):
        made = [robustness.make_image(row.view, s, i) for i, s in enumerate(row.sources[:count])]
        is_digits = row.labels is not None
        right = [(str(label),) for label in row.labels] if is_digits else [("", "?")] * count
        images[row.name] = [*zip(made, right, strict=False)]
    digits = (lambda digit, _: middle_line(digit), pixels, labels)
    for (name, kind), touching in product(KINDS.items(), (False, True)):
        made = [compose(kind, LENGTHS[n % len(LENGTHS)], touching, n, digits) for n in range(count)]
        images[f"number, {name}{', touching' * touching}"] = [(i, (number,)) for i, number in made]
    return images


def main() -> None:
    """Print the table."""
    options = parse(__doc__, **robustness.MODEL, max_samples=(200, "images of a row"))
    torch.set_num_threads(1)
    model = load_pretrained(options.model_name_or_path).eval()
    processor = MnistImageProcessor.from_pretrained(options.model_name_or_path)
    read = NumberRecognitionPipeline(model, image_processor=processor, device="cpu")
    images = make_images(options)

    def are_read() -> dict[str, np.ndarray]:
        """Of each row, which of its images are read, bool."""
        return {
            name: np.array(
                [read(image)["number"].replace(" ", "") in right for image, right in row]
            )
            for name, row in images.items()
        }

    before = are_read()
    print_head("constant", "left out by", "images lost", "gained", "most lost of a row", "")
    for module, values in LEFT_OUT.items():
        for name, value in values.items():
            with patch.object(module, name, value):
                after = are_read()
            lost = {row: before[row].sum() - after[row].sum() for row in images}
            row = max(lost, key=lost.get)
            print_row(
                f"`{name}` {getattr(module, name):.3g}",
                value,
                sum(np.count_nonzero(before[row] & ~after[row]) for row in images),
                sum(np.count_nonzero(after[row] & ~before[row]) for row in images),
                max(lost[row], 0),
                f"{row}: {before[row].sum()} of {len(before[row])}",
            )


if __name__ == "__main__":
    with told_by("benchmarks.constants"):
        main()
