"""How well a model classifies digits that look unlike MNIST's, and whether it detects non-digits.

    pip install -r requirements-dev.txt
    apt-get install fonts-liberation dataset-fashion-mnist           (Debian) letters and clothing
    python -m benchmarks.robustness                                  the model in model/
    python -m benchmarks.robustness --rows photograph drawing --max_samples 500 --save_errors errors
    python -m benchmarks.robustness --train_val_split 0.1            on held-out images
    python -m benchmarks.robustness --pen_digits_file penbased.dat   and digits written on a tablet
    python -m benchmarks.robustness --update_card                    put the table into the card

Prints a Markdown table. Every image but those of the first row goes through the image processor,
as RGB, which is how `pipeline("image-classification")` gives it. Image i is made with a generator
seeded by i, so that every run prints the same table.
"""

import gzip
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image, ImageDraw, ImageOps
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from tqdm import tqdm
from transformers import HfArgumentParser

from benchmarks.images import (
    LETTERS,
    LIKE_DIGITS,
    NOISES,
    fonts,
    letter,
    noise,
    pen_drawing,
    photograph,
    scribble,
    tablet_drawing,
)
from benchmarks.mnist_c import CORRUPTIONS
from benchmarks.sheets import KINDS, empty, empty_with_glare
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistForImageClassification, load_pretrained
from training.data import carve_validation, load_splits, to_tensors
from training.errors import told_by
from training.evaluation import expected_calibration_error
from training.model_card import BENCHMARK_FILE, write_model_card

MNIST_C = "re-implemented MNIST-C"  # not the published files
SLOW = 2000  # images at most in rows that take tens of milliseconds an image

View = Callable[[Any, np.random.Generator], Image.Image]


@dataclass
class BenchmarkArguments:
    model_name_or_path: str = field(
        default="model", metadata={"help": "A saved model, a folder or a Hub id."}
    )
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    train_val_split: float = field(
        default=0.0,
        metadata={
            "help": "Take the images that train.py holds out of the training set with the same "
            "--train_val_split and --seed, in place of the test set."
        },
    )
    seed: int = field(default=42, metadata={"help": "Of the split."})
    max_samples: int | None = field(
        default=None, metadata={"help": "Classify so many images of each row only."}
    )
    rows: list[str] = field(
        default_factory=lambda: [""],
        metadata={"help": "Only rows whose names hold one of these, as in --rows MNIST-C letters."},
    )
    num_proc: int = field(default=1, metadata={"help": "Processes that make and frame the images."})
    fashion_mnist_dir: Path = field(
        default=Path("/usr/share/datasets/fashion-mnist"),
        metadata={"help": "Where t10k-images-idx3-ubyte.gz lies (Debian: dataset-fashion-mnist)."},
    )
    pen_digits_file: Path | None = field(
        default=None, metadata={"help": "UCI's pen digits: pendigits.tes, or KEEL's penbased.dat."}
    )
    save_errors: Path | None = field(
        default=None, metadata={"help": "A folder for a contact sheet of each row's errors."}
    )
    output: Path | None = field(default=None, metadata={"help": "A file for the table as well."})
    update_card: bool = field(
        default=False,
        metadata={"help": "Write the table into the card of the model, which is a local folder."},
    )


@dataclass
class Row:
    """One kind of image.

    Attributes:
        name: What the table calls it.
        view: Makes the image from a source and a random generator.
        sources: What the images are made from, such as (28, 28) uint8 digits.
        labels: (N,) int64 digits, or None where the images are non-digits.
    """

    name: str
    view: View
    sources: Sequence
    labels: np.ndarray | None = None


def digit_rows(digits: np.ndarray, labels: np.ndarray) -> list[Row]:
    """The rows of digits: MNIST's (N, 28, 28) uint8 and what is made from them, and UCI's."""

    def drawing(digit, rng, pens=(6, 20)):
        return ImageOps.invert(pen_drawing(digit, rng, pens))

    def photo_of_drawing(digit, rng, ruled=False):
        return photograph(pen_drawing(digit, rng), rng, ruled)

    slow = digits[:SLOW], labels[:SLOW]
    uci = load_digits()
    uci_digits = [Image.fromarray(np.uint8(np.round(image / 16 * 255))) for image in uci.images]
    return [
        Row("MNIST", lambda digit, rng: Image.fromarray(digit), digits, labels),
        Row("UCI digits, 8x8", lambda digit, rng: digit, uci_digits, uci.target),
        Row(
            "UCI digits, 16x16",
            lambda digit, rng: digit.resize((16, 16), Image.Resampling.BICUBIC),
            uci_digits,
            uci.target,
        ),
        Row("drawing, pen 6-20", drawing, *slow),
        Row("drawing, brush 22", partial(drawing, pens=(22, 22)), *slow),
        Row("drawing, pen 5", partial(drawing, pens=(5, 5)), *slow),
        Row("drawing, white on black, pen 6-20", pen_drawing, *slow),
        Row("photograph of MNIST", lambda d, rng: photograph(Image.fromarray(d), rng), *slow),
        Row("photograph of drawing", photo_of_drawing, *slow),
        Row("photograph of drawing, ruled paper", partial(photo_of_drawing, ruled=True), *slow),
        *(Row(f"sheet, {name}", kind, *slow) for name, kind in KINDS.items()),
        *(
            Row(
                f"{MNIST_C}, {name}", lambda d, rng, c=c: Image.fromarray(c(d, rng)), digits, labels
            )
            for name, c in CORRUPTIONS.items()
        ),
    ]


def load_pen_digits(pen_digits_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Digits by other writers than MNIST's, on a tablet: points (N, 8, 2) 0-100 and labels (N,).

    UCI keeps eight points a digit and not where the pen was lifted, so that only those digits are
    taken that most people write in one stroke.
    """
    digits = np.loadtxt(pen_digits_file, delimiter=",", comments="@", ndmin=2)
    digits = digits[np.isin(digits[:, 16], (0, 1, 2, 3, 6, 8))]
    return digits[:, :16].reshape(-1, 8, 2), digits[:, 16].astype(int)


def likely_width(label: int, rng: np.random.Generator) -> float:
    """How wide, in heights, a digit may have been that UCI has stretched to a square."""
    return rng.uniform(0.2, 0.5) if label == 1 else rng.uniform(0.45, 0.85)


def tablet_row(pen_digits_file: Path) -> Row:
    """UCI's pen digits, drawn."""

    def drawing(digit, rng):
        points, label = digit
        return ImageOps.invert(tablet_drawing(points, likely_width(label, rng), rng))

    points, labels = (column[:SLOW] for column in load_pen_digits(pen_digits_file))
    digits = list(zip(points, labels, strict=True))
    return Row("UCI pen digits 0, 1, 2, 3, 6, 8", drawing, digits, labels)


def non_digit_rows(fashion_mnist_dir: Path) -> list[Row]:
    """The rows of non-digits."""
    letters = list(product(LETTERS, fonts(), (28, 280)))
    np.random.default_rng(0).shuffle(letters)
    unlike_digits = [source for source in letters if source[0] not in LIKE_DIGITS]
    unlike = len(LETTERS) - len(LIKE_DIGITS)

    def print_letter(source, rng):
        ink = letter(*source, rng)
        return ink if ink.width == 28 else ImageOps.invert(ink)

    rows = [
        Row(f"letters, all {len(LETTERS)}", print_letter, letters),
        Row(f"letters, the {unlike} unlike any digit", print_letter, unlike_digits),
        Row("noise", lambda s, rng: noise(*s, rng), list(product(NOISES, (28, 280))) * 200),
        Row("empty sheet", empty, range(SLOW)),
        Row("empty sheet, glare, not simulated", empty_with_glare, range(SLOW)),
        Row("scribbles", lambda _, rng: ImageOps.invert(scribble(rng)), range(SLOW)),
    ]
    file = fashion_mnist_dir / "t10k-images-idx3-ubyte.gz"
    if file.exists():
        clothes = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=16)
        clothes = clothes.reshape(-1, 28, 28)
        rows.insert(0, Row("clothing", lambda image, rng: Image.fromarray(image), clothes))
    else:
        print(f"No row of clothing: there is no {file}.\n")
    return rows


def make_image(view: View, source: Any, seed: int) -> Image.Image:
    """One image, RGB."""
    return view(source, np.random.default_rng(seed)).convert("RGB")


def frame(row: Row, count: int, processor: MnistImageProcessor, num_proc: int) -> torch.Tensor:
    """`pixel_values` (count, 1, 28, 28) float32 0-1 of a row's first images."""

    def frame_one(view: View, source: Any, seed: int) -> np.ndarray:
        return processor(make_image(view, source, seed), return_tensors="np")["pixel_values"][0]

    # The row itself stays here: its sources would be sent to the processes with each image.
    tasks = (delayed(frame_one)(row.view, row.sources[i], i) for i in range(count))
    framed = Parallel(num_proc, return_as="generator")(tasks)
    return torch.from_numpy(np.stack(list(tqdm(framed, row.name, count, leave=False))))


@torch.inference_mode()
def probabilities(model: MnistForImageClassification, pixel_values: torch.Tensor) -> np.ndarray:
    """The model's probabilities (N, 10) for (N, 1, 28, 28)."""
    logits = torch.cat([model(batch).logits for batch in pixel_values.split(500)])
    return logits.softmax(1).numpy()


def measure(
    answers: np.ndarray,
    labels: np.ndarray | None,
    digit_confidences: np.ndarray | None,
    limits: list[float],
) -> dict[str, float]:
    """The figures of a row, 0-1.

    Args:
        answers: (N, 10) probabilities.
        labels: (N,) digits, or None.
        digit_confidences: (M,) of MNIST's digits; needed where there are no labels.
        limits: Confidences, 0-1, for each of which the share of images at or above it is given.
    """
    confidence = answers.max(1)
    shares = {f"confidence >= {limit:g}": float((confidence >= limit).mean()) for limit in limits}
    if labels is None:
        is_digit = np.repeat([1, 0], [len(digit_confidences), len(confidence)])
        auroc = roc_auc_score(is_digit, np.concatenate([digit_confidences, confidence]))
        return {"AUROC": float(auroc), **shares}
    return {
        "accuracy": float((answers.argmax(1) == labels).mean()),
        "ECE": expected_calibration_error(labels, answers),
        **shares,
    }


def contact_sheet(row: Row, pixel_values: torch.Tensor, answers: np.ndarray) -> Image.Image:
    """Up to 60 errors, the most confident first: each image beside what the processor made of it.

    The titles are the image's number, true > predicted digit, and confidence. Of non-digits, all
    that the processor did not leave blank count as errors.
    """
    predicted, confidence = answers.argmax(1), answers.max(1)
    if row.labels is None:
        wrong = pixel_values.flatten(1).any(1).numpy()
    else:
        wrong = predicted != row.labels[: len(answers)]
    errors = sorted(np.flatnonzero(wrong), key=lambda index: -confidence[index])[:60]
    side, width, height = 84, 180, 104
    sheet = Image.new("RGB", (6 * width, math.ceil(max(len(errors), 1) / 6) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(errors):
        x, y = place % 6 * width, place // 6 * height
        true = "" if row.labels is None else row.labels[index]
        title = f"#{index}: {true} > {predicted[index]}, {confidence[index]:.2f}"
        draw.text((x + 4, y), title, fill="black")
        framed = Image.fromarray(np.uint8(pixel_values[index, 0].numpy() * 255))
        for step, image in enumerate((make_image(row.view, row.sources[index], index), framed)):
            fitted = ImageOps.contain(image, (side, side))
            sheet.paste(fitted, (x + 4 + step * (side + 2), y + 14))
    return sheet


def main() -> None:
    """Print the table."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
    partial_table = arguments.rows != [""] or arguments.max_samples or arguments.train_val_split
    if arguments.update_card and partial_table:
        sys.exit(
            "--update_card takes the whole table: leave out --rows, --max_samples and the split."
        )
    if arguments.update_card and not Path(arguments.model_name_or_path).is_dir():
        sys.exit("--update_card needs a model in a local folder.")
    splits = load_splits(arguments.dataset_name)
    if arguments.train_val_split > 0:
        training = to_tensors(splits["train"], "image", "label")
        _, mnist = carve_validation(training, arguments.train_val_split, arguments.seed)
    else:
        mnist = to_tensors(splits["test"], "image", "label")
    model = load_pretrained(arguments.model_name_or_path)
    processor = MnistImageProcessor.from_pretrained(arguments.model_name_or_path)
    rows = digit_rows(mnist.images.numpy(), mnist.labels.numpy())
    if arguments.pen_digits_file is not None:
        rows.append(tablet_row(arguments.pen_digits_file))
    non_digits = non_digit_rows(arguments.fashion_mnist_dir)

    limits = sorted({0.5, model.config.confidence_threshold, 0.9})
    columns = [
        "accuracy",
        "ECE",
        "AUROC",
        *(f"confidence >= {limit:g}" for limit in limits),
        "blank",
    ]
    table, lines = [], []

    def show(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    show(f"| images | count | {' | '.join(columns)} |\n|---{'|---:' * (len(columns) + 1)}|")

    def add(name: str, count: int, figures: dict[str, float]) -> None:
        cells = [f"{figures[c]:.2%}" if c in figures else "" for c in columns]
        show(f"| {name} | {count:,} | {' | '.join(cells)} |")
        table.append({"images": name, "count": count, **figures})

    def wanted(name: str) -> bool:
        return any(part in name for part in arguments.rows)

    count = min(arguments.max_samples or len(mnist), len(mnist))
    raw = probabilities(model, mnist.images[:count, None] / 255)
    framed = probabilities(model, frame(rows[0], count, processor, arguments.num_proc))
    if wanted(name := "MNIST, raw pixels, without the processor"):
        add(name, count, measure(raw, mnist.labels[:count].numpy(), None, limits))
    for row in filter(lambda row: wanted(row.name), [*rows, *non_digits]):
        count = min(arguments.max_samples or len(row.sources), len(row.sources))
        pixel_values = frame(row, count, processor, arguments.num_proc)
        answers = probabilities(model, pixel_values)
        labels = None if row.labels is None else row.labels[:count]
        figures = measure(answers, labels, framed.max(1), limits)
        figures["blank"] = (pixel_values.flatten(1).amax(1) == 0).float().mean().item()
        add(row.name, count, figures)
        if row.name == f"{MNIST_C}, canny_edges" and wanted(MNIST_C):
            corrupted = table[-len(CORRUPTIONS) :]
            mean = {key: float(np.mean([line[key] for line in corrupted])) for key in figures}
            add(f"{MNIST_C}, mean of the fifteen", count, mean)
        if arguments.save_errors is not None:
            arguments.save_errors.mkdir(parents=True, exist_ok=True)
            file = re.sub(r"\W+", "_", row.name) + ".png"
            contact_sheet(row, pixel_values, answers).save(arguments.save_errors / file)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")
    if arguments.update_card:
        folder = Path(arguments.model_name_or_path)
        (folder / BENCHMARK_FILE).write_text("\n".join(lines) + "\n")
        write_model_card(folder)


if __name__ == "__main__":
    with told_by("benchmarks.robustness"):
        main()
