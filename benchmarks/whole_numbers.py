"""How well whole numbers are read, what is taken for a number, and how long it takes.

    python -m benchmarks.whole_numbers --max_samples 50 --train_val_split 0.1     # held-out digits

Prints three Markdown tables. Numbers are composed of MNIST's test digits, drawn with one pen: as
they are, photographed, and on a form with a rule below and points between; and of UCI's pen digits.
Number i of a length and gap has a generator seeded by these, so that every run prints the same.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from timeit import repeat

import numpy as np
import pandas as pd
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageOps import invert, pad
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm
from transformers import pipeline

from benchmarks import robustness
from benchmarks.common import parse, print_head, print_row
from benchmarks.images import FONTS, middle_line, number_drawing, photograph, tablet_line
from benchmarks.robustness import CARD, MODEL, Row, load_pen_digits
from modeling_mnist import load_pretrained
from pipeline_mnist import NumberRecognitionPipeline
from training.errors import told_by
from training.evaluation import expected_calibration_error
from training.model_card import NUMBERS_FILE, write_model_card

LENGTHS = (1, 2, 3, 5, 10)
GAPS = ("apart", "touching", "one a line")
PAPER = "a folder of images of numbers, with which the names of the files begin"


def on_a_form(ink: Image.Image, rng: Generator) -> Image.Image:
    """A drawing on a thin printed rule, with one to three points as high as the rule is."""
    draw = ImageDraw.Draw(ink)
    left, _, right, bottom = ink.getbbox()
    rule = bottom + rng.uniform(-4, 4)
    draw.line([(2, rule), (ink.width - 3, rule)], fill=200, width=2)
    for x in rng.uniform(left, right, rng.integers(1, 4)):
        draw.circle((x, rule - 5), rng.uniform(1, 3), fill=255)
    return invert(ink)


def house(_: object, rng: Generator) -> Image.Image:
    """Walls, a roof, a door and a window in one pen, black on white."""
    image = Image.new("L", (280, 280), 255)
    draw, pen = ImageDraw.Draw(image), int(rng.integers(4, 14))
    left, right, roof, floor = rng.uniform((40, 180, 90, 200), (90, 240, 130, 250))
    peak, door = rng.uniform(left + 30, right - 30), rng.uniform(left + 15, right - 50)
    draw.line([(left, roof), (peak, roof - 70), (right, roof)], 0, pen, joint="curve")
    window = (right - 40, roof + 20, right - 15, roof + 45)
    for box in (left, roof, right, floor), (door, floor - 60, door + 30, floor), window:
        draw.rectangle(box, outline=0, width=pen)
    return image


def word(font: str, rng: Generator) -> Image.Image:
    """Three to seven printed letters that look unlike digits, black on white."""
    text = "".join(rng.choice([*"ACDEFHKMNPRUVWXYacdefhkmnprtuvwxy"], rng.integers(3, 8)))
    face = ImageFont.truetype(font, rng.uniform(40, 90))
    _, _, right, bottom = face.getbbox(text)
    image = Image.new("L", (round(right) + 60, round(bottom) + 60), 255)
    ImageDraw.Draw(image).text((30, 30), text, 0, face)
    return image


KINDS = {
    "drawing": lambda ink, rng: invert(ink),
    # of 640 to 1,280 pixels, with the number across it
    "photograph": lambda ink, rng: photograph(pad(ink, (1200, 1200)), rng, sides=(640, 1280)),
    "form": on_a_form,
}


def compose(kind: Callable, length: int, gap: str, seed: int, digits: tuple) -> tuple:
    """The image of one number of a row, and the number.

    `digits` are a function that makes a middle line of a source, N sources and labels (N,).
    """
    rng, (line, sources, labels) = np.random.default_rng((seed, length, GAPS.index(gap))), digits
    chosen = rng.integers(0, len(sources), length)
    ink = number_drawing([line(sources[n], rng) for n in chosen], gap, rng)
    return kind(ink, rng), ("\n" if gap == "one a line" else "").join(map(str, labels[chosen]))


def measure(results: list[dict], true: list[str]) -> dict[str, float]:
    """The figures of a row, 0-1; a "?" is an error, spaces are ignored."""
    numbers = [result["number"].replace(" ", "") for result in results]
    right = np.array(numbers) == np.array(true)
    score = np.array([result["score"] for result in results])
    # Calibration takes probabilities; here of two classes, of which the answer claims the first.
    claims = np.stack([score, np.zeros(len(score))], axis=1)
    return {
        "wholly right": right.mean(),
        "error per digit": sum(map(Levenshtein.distance, numbers, true))
        / sum(len(t) - t.count("\n") for t in true),
        "wrong with score >= 0.9": (~right & (score >= 0.9)).mean(),
        "ECE": expected_calibration_error(np.where(right, 0, 1), claims),
    }


def print_numbers(readers: list[Callable], rows: list[tuple], count: int, paper: str) -> list[str]:
    """Print the table of numbers, by length and what is between their digits.

    A row has a name, what to make of the ink, and what `compose` takes as digits; count is of each
    length. `paper` is a folder or "". Gives the table's head and the rows over all lengths.
    """
    seeds = [f"{len(readers)} seeds"] if len(readers) > 1 else []
    columns = [*measure([{"number": "1", "score": 1}], ["1"]), *seeds]
    lines = [print_head("numbers", "count", *columns)]

    def add(name: str, results: list[list[dict]], true: list[str]) -> str:
        figures = pd.DataFrame(measure(of_reader, true) for of_reader in zip(*results, strict=True))
        right = 100 * figures["wholly right"]
        cells = [*map("{:.1%}".format, figures.iloc[0]), f"{right.mean():.1f} ± {right.std():.1f}%"]
        return print_row(name, len(true), *cells[: len(columns)])

    for (name, kind, digits), gap in product(rows, GAPS):
        results, true = [], []
        for length in LENGTHS if gap == "apart" else LENGTHS[1:]:
            for seed in tqdm(range(count), leave=False):
                image, number = compose(kind, length, gap, seed, digits)
                results.append([read(image) for read in readers])
                true.append(number)
            add(f"{name}, {length} digits, {gap}", results[-count:], true[-count:])
        lines.append(add(f"{name}, {gap}", results, true))
    if paper:
        files = sorted(Path(paper).glob("[0-9]*.*"))
        results = [[read(str(file)) for read in readers] for file in tqdm(files, leave=False)]
        lines.append(add("paper", results, [re.match(r"\d+", file.name)[0] for file in files]))
    return lines


def print_non_digits(read: Callable, count: int) -> None:
    """The table of non-digits: how many are taken for a number of two or more digits."""
    rows = [Row("houses", house, range(count)), Row("words", word, FONTS * count)]
    rows += robustness.non_digit_rows()
    print()
    print_head("non-digits", "count", "two or more digits, score >= 0.5")
    for row in (row for row in rows if len(row.sources)):
        images = (robustness.make_image(row.view, s, i) for i, s in enumerate(row.sources[:count]))
        results = map(read, tqdm(images, leave=False))
        taken = [len(result["digits"]) > 1 and result["score"] >= 0.5 for result in results]
        print_row(row.name, len(taken), f"{np.mean(taken):.1%}")


def print_times(read: Callable, classify: Callable, digits: tuple, drawings: int = 40) -> None:
    """The table of times, as ratios to `image-classification` of one digit."""

    def seconds(call: Callable, length: int, seed: int) -> float:
        drawing, _ = compose(KINDS["drawing"], length, "apart", seed, digits)
        # Of five calls the fastest: what else runs on the machine disturbs it least.
        return min(repeat(partial(call, drawing), number=1, repeat=5))

    print()
    print_head("a number", "time as a ratio to image-classification of one digit")
    for length in (1, 5, 10):
        # In turns, as a machine is not equally fast all the time.
        times = [(seconds(read, length, n), seconds(classify, 1, n)) for n in range(drawings)]
        print_row(f"{length} digits", f"{np.divide(*np.mean(times, axis=0)):.1f}")


def main() -> None:
    options = parse(__doc__, **MODEL, **CARD, max_samples=(200, "a length"), paper=("", PAPER))
    folder, pen_file = Path(options.model_name_or_path), options.pen_digits_file
    if options.update_card and (options.train_val_split or not pen_file or not folder.is_dir()):
        sys.exit("--update_card takes --pen_digits_file, no split, and a model in a local folder.")
    if options.paper and not any(Path(options.paper).glob("[0-9]*.*")):
        sys.exit(f"--paper {options.paper} holds no image whose name begins with a number.")
    torch.set_num_threads(1)
    *mnist, model, processor = robustness.load(options)
    mnist_lines = (lambda digit, _: middle_line(digit), *mnist)
    rows = [(name, kind, mnist_lines) for name, kind in KINDS.items()]
    if pen_file:
        rows.append(("UCI pen digits", KINDS["drawing"], (tablet_line, *load_pen_digits(pen_file))))
    models = [model, *map(load_pretrained, filter(None, options.other_seeds))]
    parts = {"image_processor": processor, "device": "cpu"}
    readers = [NumberRecognitionPipeline(each, **parts) for each in models]
    lines = print_numbers(readers, rows, options.max_samples, options.paper)
    if options.update_card:
        (folder / NUMBERS_FILE).write_text("\n".join(lines) + "\n")
        write_model_card(folder)
    print_non_digits(readers[0], options.max_samples)
    print_times(readers[0], pipeline("image-classification", model, **parts), mnist_lines)


if __name__ == "__main__":
    with told_by("benchmarks.whole_numbers"):
        main()
