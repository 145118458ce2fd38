"""How well a model classifies digits that look unlike MNIST's, and whether it detects non-digits.

    python -m benchmarks.robustness --rows photograph drawing --max_samples 500
    python -m benchmarks.robustness --train_val_split 0.1            on held-out images

Prints a Markdown table. Every image goes through the image processor, as RGB. Image i is made with
a generator seeded by i, so that every run prints the same table.
"""

import gzip
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from itertools import product, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.random import Generator
from PIL import Image
from PIL.ImageOps import invert
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from tqdm import tqdm
from transformers import PreTrainedModel

from benchmarks import common, images
from benchmarks.images import pen_drawing, photograph, tablet_drawing
from benchmarks.mnist_c import CORRUPTIONS
from benchmarks.sheets import KINDS, NO_DIGIT, empty, glare
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from training.data import carve_validation, load_splits, to_tensors
from training.errors import told_by
from training.evaluation import expected_calibration_error
from training.model_card import BENCHMARK_FILE, write_model_card
from ui.saliency import probabilities

MNIST_C = "re-implemented MNIST-C"  # not the published files
SLOW = 2000  # images at most in rows that take tens of milliseconds an image
CLOTHING = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
TAKEN = "confidence >= 0.5"  # the threshold of the released model
LIMITS = {TAKEN: 0.5, "confidence >= 0.9": 0.9}
COLUMNS = ("accuracy", "ECE", "AUROC", *LIMITS, "blank")
MODEL = {  # options
    "model_name_or_path": ("model", "a saved model, a folder or a Hub id"),
    "dataset_name": common.DATASET,
    "train_val_split": (0.0, "the share that train.py holds out, in place of the test set"),
    "seed": (42, "of that split"),
}
CARD = {
    "pen_digits_file": ("", "UCI's pen digits: pendigits.tes, or KEEL's penbased.dat"),
    "update_card": (False, "write the table into the card of the model, a local folder"),
    "other_seeds": ([""], "models trained with other seeds, for another column"),
}
OPTIONS = {
    "max_samples": (0, "images of each row; 0 means all"),
    "rows": ([""], "rows beside MNIST's, by parts of their names, as in --rows MNIST-C letters"),
    "num_proc": (1, "processes that make and frame the images"),
}


class Row(NamedTuple):
    """One kind of image."""

    name: str  # in the table
    view: Callable[[Any, Generator], Image.Image | np.ndarray]  # makes the image from a source
    sources: Sequence  # what the images are made from, such as (28, 28) uint8 digits
    labels: np.ndarray | None = None  # (N,) int64 digits, or None where the images are non-digits


def load(options: Namespace) -> tuple[np.ndarray, np.ndarray, PreTrainedModel, MnistImageProcessor]:
    """MNIST's test digits (N, 28, 28) uint8 or, with `train_val_split`, what train.py holds out.

    And their labels (N,) int64, the model and its image processor.
    """
    share, name = options.train_val_split, options.model_name_or_path
    split = load_splits(options.dataset_name)["train" if share else "test"]
    mnist = to_tensors(split, "image", "label")
    if share:
        _, mnist = carve_validation(mnist, share, options.seed)
    parts = load_pretrained(name), MnistImageProcessor.from_pretrained(name)
    return mnist.images.numpy(), mnist.labels.numpy(), *parts


def as_it_is(source: Image.Image | np.ndarray, rng: Generator) -> Image.Image | np.ndarray:
    """An image that needs no change."""
    return source


def digit_rows(digits: np.ndarray, labels: np.ndarray) -> list[Row]:
    """The rows of digits: MNIST's (N, 28, 28) uint8 and what is made from them, and UCI's."""
    uci = load_digits()
    scans = np.uint8(np.round(uci.images / 16 * 255))
    fine = [Image.fromarray(scan).resize((16, 16), Image.Resampling.BICUBIC) for scan in scans]
    slow = {
        "drawing, pen 6-20": lambda d, rng: invert(pen_drawing(d, rng)),
        "drawing, brush 22": lambda d, rng: invert(pen_drawing(d, rng, (22, 22))),
        "drawing, pen 5": lambda d, rng: invert(pen_drawing(d, rng, (5, 5))),
        "photograph of MNIST": lambda d, rng: photograph(Image.fromarray(d), rng),
        "photograph of drawing": lambda d, rng: photograph(pen_drawing(d, rng), rng),
        "photograph of drawing, ruled paper": lambda d, rng: photograph(
            pen_drawing(d, rng), rng, ruled=True
        ),
        **{f"sheet, {name}": kind for name, kind in KINDS.items()},
    }
    return [
        Row("MNIST", as_it_is, digits, labels),
        Row("UCI digits, 8x8", as_it_is, scans, uci.target),
        Row("UCI digits, 16x16", as_it_is, fine, uci.target),
        *(Row(name, view, digits[:SLOW], labels[:SLOW]) for name, view in slow.items()),
        *(Row(f"{MNIST_C}, {name}", c, digits, labels) for name, c in CORRUPTIONS.items()),
    ]


def load_pen_digits(pen_digits_file: str) -> tuple[list[tuple[np.ndarray, tuple]], np.ndarray]:
    """Digits by other writers than MNIST's, on a tablet, and their labels (N,).

    Each is eight points (8, 2) 0-100, and between which widths, in heights, it may have been before
    UCI stretched it to a square. Only those digits are taken that most write in one stroke, as UCI
    does not keep where the pen was lifted.
    """
    digits = np.loadtxt(pen_digits_file, delimiter=",", comments="@", ndmin=2)
    digits = digits[np.isin(digits[:, 16], (0, 1, 2, 3, 6, 8))]
    points, labels = digits[:, :16].reshape(-1, 8, 2), digits[:, 16].astype(int)
    widths = [(0.2, 0.5) if label == 1 else (0.45, 0.85) for label in labels]
    return list(zip(points, widths, strict=True)), labels


def tablet_row(pen_digits_file: str) -> Row:
    """UCI's pen digits, drawn."""
    digits, labels = load_pen_digits(pen_digits_file)
    return Row("UCI pen digits 0, 1, 2, 3, 6, 8", tablet_drawing, digits[:SLOW], labels[:SLOW])


def non_digit_rows() -> list[Row]:
    """The rows of non-digits, of those for which data are installed."""
    letters = list(product(images.LETTERS, images.FONTS, (28, 280)))
    np.random.default_rng(0).shuffle(letters)
    unlike = [source for source in letters if source[0] not in images.LIKE_DIGITS]
    clothes = gzip.decompress(CLOTHING.read_bytes())[16:] if CLOTHING.exists() else b""
    rows = [
        Row("clothing", as_it_is, np.frombuffer(clothes, np.uint8).reshape(-1, 28, 28)),
        Row("letters, all 52", images.letter, letters),
        Row("letters, the 40 unlike any digit", images.letter, unlike),
        Row("empty sheet", empty, range(SLOW)),
        Row("empty sheet, glare, unseen kind", lambda _, rng: glare(NO_DIGIT, rng), range(SLOW)),
        Row("scribbles", lambda _, rng: invert(images.scribble(rng)), range(SLOW)),
    ]
    for row in (row for row in rows if len(row.sources) == 0):
        print(f"No row of {row.name}: benchmarks/README.md tells what to install.\n")
    return [row for row in rows if len(row.sources) > 0]


def make_image(view: Callable, source: Any, seed: int) -> Image.Image:
    """One image, RGB, of a view that gives an image or its pixels."""
    image = view(source, np.random.default_rng(seed))
    return (Image.fromarray(image) if isinstance(image, np.ndarray) else image).convert("RGB")


def frame(row: Row, count: int, processor: MnistImageProcessor, num_proc: int) -> torch.Tensor:
    """`pixel_values` (count, 1, 28, 28) float32 0-1 of a row's first images."""

    def frame_one(*image: Any) -> np.ndarray:
        return processor(make_image(*image), return_tensors="np")["pixel_values"][0]

    # The row itself stays here: its sources would be sent to the processes with each image.
    tasks = (delayed(frame_one)(row.view, row.sources[i], i) for i in range(count))
    framed = Parallel(num_proc, return_as="generator")(tasks)
    return torch.from_numpy(np.stack(list(tqdm(framed, row.name, count, leave=False))))


def measure(answers: np.ndarray, labels: np.ndarray | None, of_digits: np.ndarray) -> dict:
    """The figures of a row, 0-1, by name, from probabilities (N, 10) and labels (N,) of digits.

    Non-digits have no labels; `of_digits` are confidences (M,) of MNIST's digits.
    """
    confidence = answers.max(1)
    shares = {name: float((confidence >= limit).mean()) for name, limit in LIMITS.items()}
    if labels is None:
        is_digit = np.repeat([1, 0], [len(of_digits), len(confidence)])
        return {"AUROC": roc_auc_score(is_digit, [*of_digits, *confidence]), **shares}
    calibration = expected_calibration_error(labels, answers)
    return {"accuracy": (answers.argmax(1) == labels).mean(), "ECE": calibration, **shares}


def main() -> None:
    options = common.parse(__doc__, **MODEL, **CARD, **OPTIONS)
    folder = Path(options.model_name_or_path)
    in_part = options.rows != [""] or options.max_samples or options.train_val_split
    if options.update_card and (in_part or not folder.is_dir()):
        sys.exit("--update_card takes all rows and images, and a model in a local folder.")
    digits, labels, model, processor = load(options)
    models = [model, *map(load_pretrained, filter(None, options.other_seeds))]
    rows = digit_rows(digits, labels)
    rows += [tablet_row(options.pen_digits_file)] if options.pen_digits_file else []
    rows += non_digit_rows()
    columns = COLUMNS if len(models) == 1 else (*COLUMNS, f"{len(models)} seeds")
    lines, corrupted = [common.print_head("images", "count", *columns)], []

    def add(name: str, count: int, figures: pd.DataFrame) -> None:
        cells = [f"{figures[c][0]:.2%}" if c in figures else "" for c in COLUMNS]
        if len(models) > 1:
            share = 100 * figures["accuracy" if "accuracy" in figures else TAKEN]
            cells.append(f"{share.mean():.2f} ± {share.std():.2f}%")
        lines.append(common.print_row(name, f"{count:,}", *cells))

    for row in rows:
        if row.name != "MNIST" and not any(part in row.name for part in options.rows):
            continue
        count = len(row.sources[: options.max_samples or None])
        framed = frame(row, count, processor, options.num_proc)
        batches = framed.split(500)
        answers = [np.concatenate([probabilities(m, batch) for batch in batches]) for m in models]
        if row.name == "MNIST":
            of_digits = [of_model.max(1) for of_model in answers]
        true = None if row.labels is None else row.labels[:count]
        figures = pd.DataFrame(map(measure, answers, repeat(true), of_digits))
        figures["blank"] = (framed.amax((1, 2, 3)) == 0).double().mean().item()
        add(row.name, count, figures)
        if row.name.startswith(MNIST_C):
            corrupted.append(figures)
            if len(corrupted) == len(CORRUPTIONS):
                add(f"{MNIST_C}, mean of the fifteen", count, sum(corrupted) / len(corrupted))
    if options.update_card:
        (folder / BENCHMARK_FILE).write_text("\n".join(lines) + "\n")
        write_model_card(folder)


if __name__ == "__main__":
    with told_by("benchmarks.robustness"):
        main()
