"""What most constants set by hand bring: how many images are read with each, and how many without.

    python -m benchmarks.constants --train_val_split 0.1     on held-out digits

Prints a Markdown table. Each constant alone is set to a value at which what it does is left out.
All images, those of one digit too, are read by the number pipeline, as the app reads them.
"""

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
from benchmarks.whole_numbers import GAPS, KINDS, LENGTHS, compose
from training.errors import told_by

ROWS = ("UCI", "drawing, ", "photograph", "sheet", "dotted_line", "zigzag", "spatter", "scribbles")
LEFT_OUT = (  # the values at which constants do nothing
    (processing, 0, "MIN_CONTRAST SMALL MIN_MARK SURE_MARK COARSE MARGIN MIN_STROKE"),
    (processing, 0, "SPECK_SHARE EDGE_SPECK_SHARE"),
    (processing, 1, "TALL SURE_PART"),
    (processing, np.inf, "FRAMED_CONTRAST MIN_BACKGROUND MAX_UNEVEN ENCLOSED FORM_SHARE FULL_BAR"),
    (processing, np.inf, "EVEN RULE_LENGTH POINT_LENGTH LONG"),
    (numbers, 0, "SPECK_SHARE SURE_DIGIT LOW"),
    (numbers, np.inf, "ONE_PART ONE_DIGIT WIDEST MIN_PARTS DIGIT_HEIGHT NEAR"),
)


def make_images(
    pixels: np.ndarray, labels: np.ndarray, count: int
) -> dict[str, list[tuple[Image.Image, tuple[str, ...]]]]:
    """Of each row so many images, of digits (N, 28, 28) and labels (N,), with all right answers."""
    rows = robustness.digit_rows(pixels, labels) + robustness.non_digit_rows()
    images = {}
    for row in tqdm([row for row in rows if any(part in row.name for part in ROWS)], "images"):
        made = [robustness.make_image(row.view, s, i) for i, s in enumerate(row.sources[:count])]
        right = [("", "?")] * count if row.labels is None else [(str(n),) for n in row.labels]
        images[row.name] = [*zip(made, right, strict=False)]
    digits = (lambda digit, _: middle_line(digit), pixels, labels)
    for (name, kind), gap in product(KINDS.items(), GAPS):
        made = [compose(kind, LENGTHS[n % len(LENGTHS)], gap, n, digits) for n in range(count)]
        images[f"number, {name}, {gap}"] = [(i, (number,)) for i, number in made]
    return images


def main() -> None:
    options = parse(__doc__, **robustness.MODEL, max_samples=(200, "images of a row"))
    torch.set_num_threads(1)
    *mnist, model, processor = robustness.load(options)
    read = numbers.NumberRecognitionPipeline(model, image_processor=processor, device="cpu")
    images = make_images(*mnist, options.max_samples)

    def are_read() -> dict[str, np.ndarray]:
        """Of each row, which of its images are read, bool."""
        return {
            name: np.array([read(i)["number"].replace(" ", "") in right for i, right in row])
            for name, row in images.items()
        }

    before = are_read()
    print_head("constant", "left out by", "images lost", "gained", "most lost of a row", "")
    for module, value, names in LEFT_OUT:
        for name in names.split():
            with patch.object(module, name, value):
                after = are_read()
            lost = sum(np.count_nonzero(before[row] & ~after[row]) for row in images)
            gained = sum(np.count_nonzero(after[row] & ~before[row]) for row in images)
            fewer = {row: before[row].sum() - after[row].sum() for row in images}
            row = max(fewer, key=fewer.get)
            worst = max(fewer[row], 0), f"{row}: {before[row].sum()} of {len(before[row])}"
            print_row(f"`{name}` {getattr(module, name):.3g}", value, lost, gained, *worst)


if __name__ == "__main__":
    with told_by("benchmarks.constants"):
        main()
