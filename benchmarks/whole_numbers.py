"""How well whole numbers are read, what is taken for a number, and how long it takes.

    pip install -r requirements-dev.txt
    apt-get install fonts-liberation dataset-fashion-mnist           (Debian) words and clothing
    python -m benchmarks.whole_numbers                               the model in model/
    python -m benchmarks.whole_numbers --max_samples 50 --train_val_split 0.1     held-out digits
    python -m benchmarks.whole_numbers --pen_digits_file penbased.dat     and UCI's pen digits
    python -m benchmarks.whole_numbers --update_card                 put the result into the card

Prints three Markdown tables. Numbers are composed of MNIST's test digits, drawn with one pen on a
common baseline: as they are, photographed, and on a form with a rule below and points between; and
of digits that other people wrote on a tablet.
Number i of a row is made with a generator seeded by i, so that every run prints the same.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rapidfuzz.distance import Levenshtein
from threadpoolctl import threadpool_limits
from tqdm import tqdm
from transformers import HfArgumentParser, pipeline

from benchmarks.images import fonts, middle_line, number_drawing, photograph, tablet_line
from benchmarks.prediction import least_ms, photo
from benchmarks.robustness import (
    Row,
    likely_width,
    load_pen_digits,
    make_image,
    non_digit_rows,
)
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from pipeline_mnist import NumberRecognitionPipeline
from training.data import carve_validation, load_splits, to_tensors
from training.errors import told_by
from training.evaluation import expected_calibration_error
from training.model_card import NUMBERS_FILE, write_model_card

LENGTHS = (1, 2, 3, 5, 10)
SAMPLES = 200  # numbers of a row
TIMED = 40  # drawings


def drawn(ink: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A drawing, black on white."""
    return ImageOps.invert(ink)


def photographed(ink: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A photograph of 640 to 1,280 pixels with the number across it."""
    return photograph(ImageOps.pad(ink, (1200, 1200)), rng, sides=(640, 1280))


def on_a_form(ink: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A drawing on a thin printed rule, with one to three points as high as the rule is."""
    draw = ImageDraw.Draw(ink)
    left, _, right, bottom = ink.getbbox()
    rule = bottom + rng.uniform(-4, 4)
    draw.line([(2, rule), (ink.width - 3, rule)], fill=200, width=2)
    for x in rng.uniform(left, right, rng.integers(1, 4)):
        draw.circle((x, rule - 5), rng.uniform(1, 3), fill=255)
    return ImageOps.invert(ink)


def house(_: object, rng: np.random.Generator) -> Image.Image:
    """Walls, a roof, a door and a window in one pen, black on white."""
    image = Image.new("L", (280, 280), 255)
    draw, pen = ImageDraw.Draw(image), int(rng.integers(4, 14))
    left, right, roof, floor = rng.uniform((40, 180, 90, 200), (90, 240, 130, 250))
    peak, door = rng.uniform(left + 30, right - 30), rng.uniform(left + 15, right - 50)
    draw.rectangle((left, roof, right, floor), outline=0, width=pen)
    draw.line([(left, roof), (peak, roof - 70), (right, roof)], 0, pen, joint="curve")
    draw.rectangle((door, floor - 60, door + 30, floor), outline=0, width=pen)
    draw.rectangle((right - 40, roof + 20, right - 15, roof + 45), outline=0, width=pen)
    return image


def word(font: str | None, rng: np.random.Generator) -> Image.Image:
    """Three to seven printed letters that look unlike digits, black on white."""
    text = "".join(rng.choice([*"ACDEFHKMNPRUVWXYacdefhkmnprtuvwxy"], rng.integers(3, 8)))
    size = rng.uniform(40, 90)
    face = ImageFont.load_default(size) if font is None else ImageFont.truetype(font, size)
    box = face.getbbox(text)
    image = Image.new("L", (round(box[2]) + 60, round(box[3]) + 60), 255)
    ImageDraw.Draw(image).text((30, 30), text, 0, face)
    return image


def mnist_line(image: np.ndarray, label: int, rng: np.random.Generator) -> np.ndarray:
    """The middle line of one of MNIST's digits."""
    return middle_line(image)


def pen_line(points: np.ndarray, label: int, rng: np.random.Generator) -> np.ndarray:
    """The line of one of UCI's pen digits."""
    return tablet_line(points, likely_width(label, rng))


KINDS = {"drawing": drawn, "photograph": photographed, "form": on_a_form}


@dataclass
class BenchmarkArguments:
    model_name_or_path: str = field(default="model", metadata={"help": "A folder or a Hub id."})
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    train_val_split: float = field(
        default=0.0,
        metadata={"help": "Take digits held out of the training set, not the test set."},
    )
    seed: int = field(default=42, metadata={"help": "Of the split."})
    update_card: bool = field(
        default=False, metadata={"help": "Write the result into the card, of a local folder."}
    )
    max_samples: int = field(default=SAMPLES, metadata={"help": "Images of a row."})
    pen_digits_file: Path | None = field(
        default=None, metadata={"help": "UCI's pen digits: pendigits.tes, or KEEL's penbased.dat."}
    )
    fashion_mnist_dir: Path = field(
        default=Path("/usr/share/datasets/fashion-mnist"),
        metadata={"help": "Where t10k-images-idx3-ubyte.gz lies (Debian: dataset-fashion-mnist)."},
    )


def compose(
    kind: Callable,
    length: int,
    touching: bool,
    seed: int,
    line: Callable,
    digits: np.ndarray,
    labels: np.ndarray,
) -> tuple[Image.Image, str]:
    """One number of a row and what it is, of N digits, of which `line` makes middle lines."""
    rng = np.random.default_rng((seed, length, touching))
    chosen = rng.integers(0, len(digits), length)
    lines = [line(digits[n], labels[n], rng) for n in chosen]
    ink = number_drawing(lines, touching, rng)
    return kind(ink, rng), "".join(map(str, labels[chosen]))


def measure(results: list[dict], true: list[str]) -> dict[str, float]:
    """The figures of a row, 0-1; a "?" is an error, spaces are ignored."""
    numbers = [result["number"].replace(" ", "") for result in results]
    right = np.array(numbers) == np.array(true)
    score = np.array([result["score"] for result in results])
    edits = sum(map(Levenshtein.distance, numbers, true))
    # Calibration takes probabilities; here of two classes, of which the answer claims the first.
    claims = np.stack([score, np.zeros(len(score))], axis=1)
    return {
        "wholly right": right.mean(),
        "error per digit": edits / sum(map(len, true)),
        "wrong with score >= 0.9": (~right & (score >= 0.9)).mean(),
        "ECE": expected_calibration_error(np.where(right, 0, 1), claims),
    }


def print_numbers(read: Callable, rows: list[tuple], count: int) -> list[str]:
    """Print the table of numbers, by length and whether digits touch.

    Args:
        read: Reads an image.
        rows: Each has a name, what to make of the ink, and what `compose` takes as digits.
        count: Of numbers of each length.

    Returns:
        The table's head and the rows over all lengths.
    """
    columns = list(measure([{"number": "1", "score": 1}], ["1"]))
    dashes = "|---:" * (len(columns) + 1)
    lines = [f"| numbers | count | {' | '.join(columns)} |", f"|---{dashes}|"]
    print(*lines, sep="\n")
    for name, kind, *digits in rows:
        for touching in (False, True):
            together: tuple[list, list] = ([], [])
            for length in LENGTHS[touching:]:
                tasks = [(kind, length, touching, seed, *digits) for seed in range(count)]
                pairs = [compose(*task) for task in tqdm(tasks, leave=False)]
                row = ([read(image) for image, _ in pairs], [true for _, true in pairs])
                print_row(f"{name}, {length} digits", touching, *row)
                for all_of, some in zip(together, row, strict=True):
                    all_of += some
            lines.append(print_row(name, touching, *together))
    return lines


def print_row(name: str, touching: bool, results: list[dict], true: list[str]) -> str:
    """One line of the table of numbers, which it gives."""
    cells = " | ".join(f"{figure:.1%}" for figure in measure(results, true).values())
    line = f"| {name}, {'touching' if touching else 'apart'} | {len(true):,} | {cells} |"
    print(line, flush=True)
    return line


def print_non_digits(read: Callable, fashion_mnist_dir: Path, count: int) -> None:
    """The table of non-digits: how many are taken for a number of two or more digits."""
    rows = [
        Row("houses", house, range(count)),
        Row("words", word, fonts() * count),
        *(
            row
            for row in non_digit_rows(fashion_mnist_dir)
            if row.name.startswith(("clothing", "scribbles", "letters, all"))
        ),
    ]
    print("\n| non-digits | count | two or more digits, score >= 0.5 |\n|---|---:|---:|")
    for row in rows:
        sources = row.sources[:count]
        results = [
            read(make_image(row.view, source, i))
            for i, source in enumerate(tqdm(sources, leave=False))
        ]
        numbers = [len(result["digits"]) > 1 and result["score"] >= 0.5 for result in results]
        print(f"| {row.name} | {len(numbers)} | {np.mean(numbers):.1%} |", flush=True)


def print_times(read: Callable, classify: Callable, *digits: Callable | np.ndarray) -> None:
    """The table of times, of one thread, as ratios to `image-classification` of one digit."""
    single, five, ten = (
        [compose(drawn, length, False, seed, *digits)[0] for seed in range(TIMED)]
        for length in (1, 5, 10)
    )
    large = [five[0].convert("RGB").resize((4000, 3000))]
    print("\n| time as a ratio to image-classification | |\n|---|---:|")
    for name, numbers, references in (
        (f"one digit, mean of {TIMED}", single, single),
        (f"five digits, mean of {TIMED}", five, single),
        (f"ten digits, mean of {TIMED}", ten, single),
        ("five digits, 12 megapixels", large, [photo()]),
    ):
        # In turns, as a machine is not equally fast all the time.
        times = [
            (least_ms(partial(read, image), 5), least_ms(partial(classify, reference), 5))
            for image, reference in zip(numbers, references, strict=True)
        ]
        print(f"| {name} | {np.divide(*np.mean(times, axis=0)):.1f} |", flush=True)


def main() -> None:
    """Print the tables."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
    is_whole = arguments.pen_digits_file is not None and not arguments.train_val_split
    if arguments.update_card and not is_whole:
        sys.exit("--update_card takes the whole table: give --pen_digits_file, and no split.")
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's and scipy's
    splits = load_splits(arguments.dataset_name)
    mnist = to_tensors(splits["train" if arguments.train_val_split else "test"], "image", "label")
    if arguments.train_val_split:
        _, mnist = carve_validation(mnist, arguments.train_val_split, arguments.seed)
    digits = mnist_line, mnist.images.numpy(), mnist.labels.numpy()
    rows = [(name, kind, *digits) for name, kind in KINDS.items()]
    if arguments.pen_digits_file is not None:
        rows.append(
            ("UCI pen digits", drawn, pen_line, *load_pen_digits(arguments.pen_digits_file))
        )
    model = load_pretrained(arguments.model_name_or_path).eval()
    processor = MnistImageProcessor.from_pretrained(arguments.model_name_or_path)
    parts = {"model": model, "image_processor": processor, "device": "cpu"}
    read, classify = NumberRecognitionPipeline(**parts), pipeline("image-classification", **parts)
    lines = print_numbers(read, rows, arguments.max_samples)
    if arguments.update_card:
        folder = Path(arguments.model_name_or_path)
        (folder / NUMBERS_FILE).write_text("\n".join(lines) + "\n")
        write_model_card(folder)
    print_non_digits(read, arguments.fashion_mnist_dir, arguments.max_samples)
    print_times(read, classify, *digits)


if __name__ == "__main__":
    with told_by("benchmarks.whole_numbers"):
        main()
