"""How well a model reads digits that look unlike MNIST's, and whether it tells what is no digit.

    pip install -r requirements-dev.txt
    apt-get install fonts-liberation dataset-fashion-mnist           (Debian) letters and clothing
    python -m benchmarks.robustness                                  the model in model/
    python -m benchmarks.robustness --rows photograph drawing --max_samples 500 --save_errors errors
    python -m benchmarks.robustness --train_val_split 0.1            no look at the test set
    python -m benchmarks.robustness --pen_digits_file penbased.dat   and digits written on a tablet

Prints a Markdown table. Every picture but those of the first row goes through the image processor,
as RGB, which is how `pipeline("image-classification")` gives it. The picture with the number i is
made with a generator seeded by i, so that every run gives the same table.
"""

import gzip
import re
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

from benchmarks.corruptions import CORRUPTIONS
from benchmarks.pictures import (
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
from data import carve_validation, load_splits, to_tensors
from image_processing_mnist import MnistImageProcessor
from metrics import expected_calibration_error
from modeling_mnist import MnistForImageClassification, load_pretrained

SLOW = 2000  # pictures at most in rows that take tens of milliseconds a picture

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
        default=None, metadata={"help": "Read so many pictures of each row only."}
    )
    rows: list[str] = field(
        default_factory=lambda: [""],
        metadata={"help": "Only rows whose names hold one of these, as in --rows MNIST-C letters."},
    )
    num_proc: int = field(
        default=1, metadata={"help": "Processes that make and frame the pictures."}
    )
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


@dataclass
class Row:
    """One kind of picture.

    Attributes:
        name: What the table calls it.
        view: Makes the picture from a source and a random generator.
        sources: What the pictures are made from, such as (28, 28) uint8 digits.
        labels: (N,) int64 digits, or None where the pictures are none.
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
        *(
            Row(f"MNIST-C {name}", lambda d, rng, c=c: Image.fromarray(c(d, rng)), digits, labels)
            for name, c in CORRUPTIONS.items()
        ),
    ]


def tablet_row(pen_digits_file: Path) -> Row:
    """Digits by other writers than MNIST's, on a tablet.

    UCI keeps eight points a digit and not where the pen was lifted, so that only those digits are
    taken that most people write in one stroke, and stretches each to a square: a likely width is
    drawn.
    """
    digits = np.loadtxt(pen_digits_file, delimiter=",", comments="@", ndmin=2)
    digits = digits[np.isin(digits[:, 16], (0, 1, 2, 3, 6, 8))][:SLOW]

    def drawing(digit, rng):
        width = rng.uniform(0.2, 0.5) if digit[16] == 1 else rng.uniform(0.45, 0.85)
        return ImageOps.invert(tablet_drawing(digit[:16].reshape(8, 2), width, rng))

    return Row("UCI pen digits 0, 1, 2, 3, 6, 8", drawing, digits, digits[:, 16].astype(int))


def other_rows(fashion_mnist_dir: Path) -> list[Row]:
    """The rows of what is no digit."""
    letters = list(product(LETTERS, fonts(), (28, 280)))
    np.random.default_rng(0).shuffle(letters)
    unlike_digits = [source for source in letters if source[0] not in LIKE_DIGITS]
    unlike = len(LETTERS) - len(LIKE_DIGITS)

    def print_letter(source, rng):
        ink = letter(*source, rng)
        return ink if ink.width == 28 else ImageOps.invert(ink)

    rows = [
        Row(f"letters, all {len(LETTERS)}", print_letter, letters),
        Row(f"letters, the {unlike} that look like no digit", print_letter, unlike_digits),
        Row("noise", lambda s, rng: noise(*s, rng), list(product(NOISES, (28, 280))) * 200),
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


def make_picture(view: View, source: Any, seed: int) -> Image.Image:
    """One picture, RGB."""
    return view(source, np.random.default_rng(seed)).convert("RGB")


def frame(row: Row, count: int, processor: MnistImageProcessor, num_proc: int) -> torch.Tensor:
    """`pixel_values` (count, 1, 28, 28) float32 0-1 of a row's first pictures."""

    def frame_one(view: View, source: Any, seed: int) -> np.ndarray:
        return processor(make_picture(view, source, seed), return_tensors="np")["pixel_values"][0]

    # The row itself stays here: its sources would be sent to the processes with each picture.
    tasks = (delayed(frame_one)(row.view, row.sources[i], i) for i in range(count))
    framed = Parallel(num_proc, return_as="generator")(tasks)
    return torch.from_numpy(np.stack(list(tqdm(framed, row.name, count, leave=False))))


@torch.inference_mode()
def probabilities(model: MnistForImageClassification, pixel_values: torch.Tensor) -> np.ndarray:
    """The model's answers (N, 10) to (N, 1, 28, 28)."""
    logits = torch.cat([model(batch).logits for batch in pixel_values.split(500)])
    return logits.softmax(1).numpy()


def measure(
    answers: np.ndarray,
    labels: np.ndarray | None,
    digit_scores: np.ndarray | None,
    limits: list[float],
) -> dict[str, float]:
    """The figures of a row, 0-1.

    Args:
        answers: (N, 10) probabilities.
        labels: (N,) digits, or None.
        digit_scores: (M,) top probabilities of MNIST's digits; needed where there are no labels.
        limits: Scores, 0-1, for each of which the share of pictures at or above it is given.
    """
    scores = answers.max(1)
    shares = {f"score >= {limit:g}": float((scores >= limit).mean()) for limit in limits}
    if labels is None:
        is_digit = np.repeat([1, 0], [len(digit_scores), len(scores)])
        auroc = roc_auc_score(is_digit, np.concatenate([digit_scores, scores]))
        return {"AUROC": float(auroc), **shares}
    return {
        "accuracy": float((answers.argmax(1) == labels).mean()),
        "ECE": expected_calibration_error(labels, answers),
        **shares,
    }


def contact_sheet(row: Row, pixel_values: torch.Tensor, answers: np.ndarray) -> Image.Image:
    """Up to 60 errors, the surest first: each picture beside what the processor made of it.

    The titles are the picture's number, true > predicted digit, and score. Where there is no digit
    every answer is an error, but to a blank one.
    """
    predicted, scores = answers.argmax(1), answers.max(1)
    if row.labels is None:
        wrong = pixel_values.flatten(1).any(1).numpy()
    else:
        wrong = predicted != row.labels[: len(answers)]
    errors = sorted(np.flatnonzero(wrong), key=lambda index: -scores[index])[:60]
    side, width, height = 84, 180, 104
    sheet = Image.new("RGB", (6 * width, -(-max(len(errors), 1) // 6) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(errors):
        x, y = place % 6 * width, place // 6 * height
        true = "" if row.labels is None else row.labels[index]
        title = f"#{index}: {true} > {predicted[index]}, {scores[index]:.2f}"
        draw.text((x + 4, y), title, fill="black")
        framed = Image.fromarray(np.uint8(pixel_values[index, 0].numpy() * 255))
        for step, picture in enumerate((make_picture(row.view, row.sources[index], index), framed)):
            fitted = ImageOps.contain(picture, (side, side))
            sheet.paste(fitted, (x + 4 + step * (side + 2), y + 14))
    return sheet


def main() -> None:
    """Print the table."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
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
    others = other_rows(arguments.fashion_mnist_dir)

    limits = sorted({0.5, model.config.score_threshold, 0.9})
    columns = ["accuracy", "ECE", "AUROC", *(f"score >= {limit:g}" for limit in limits), "blank"]
    table, lines = [], []

    def show(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    show(f"| pictures | count | {' | '.join(columns)} |\n|---{'|---:' * (len(columns) + 1)}|")

    def add(name: str, count: int, figures: dict[str, float]) -> None:
        cells = [f"{figures[c]:.2%}" if c in figures else "" for c in columns]
        show(f"| {name} | {count:,} | {' | '.join(cells)} |")
        table.append({"pictures": name, "count": count, **figures})

    def wanted(name: str) -> bool:
        return any(part in name for part in arguments.rows)

    count = min(arguments.max_samples or len(mnist), len(mnist))
    raw = probabilities(model, mnist.images[:count, None] / 255)
    framed = probabilities(model, frame(rows[0], count, processor, arguments.num_proc))
    if wanted(name := "MNIST, raw pixels, without the processor"):
        add(name, count, measure(raw, mnist.labels[:count].numpy(), None, limits))
    for row in filter(lambda row: wanted(row.name), [*rows, *others]):
        count = min(arguments.max_samples or len(row.sources), len(row.sources))
        pixel_values = frame(row, count, processor, arguments.num_proc)
        answers = probabilities(model, pixel_values)
        labels = None if row.labels is None else row.labels[:count]
        figures = measure(answers, labels, framed.max(1), limits)
        figures["blank"] = (pixel_values.flatten(1).amax(1) == 0).float().mean().item()
        add(row.name, count, figures)
        if row.name == "MNIST-C canny_edges" and wanted("MNIST-C"):
            corrupted = table[-len(CORRUPTIONS) :]
            mean = {key: float(np.mean([line[key] for line in corrupted])) for key in figures}
            add("MNIST-C, mean of the fifteen", count, mean)
        if arguments.save_errors is not None:
            arguments.save_errors.mkdir(parents=True, exist_ok=True)
            file = re.sub(r"\W+", "_", row.name) + ".png"
            contact_sheet(row, pixel_values, answers).save(arguments.save_errors / file)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
