"""How long one answer takes: here, by a plain resize, and by the code of an earlier commit.

    python -m benchmarks.prediction
    python -m benchmarks.prediction --against 0e612f6

Drawings are timed as the page answers them while they grow, from PNG to probabilities and saliency
map, the mean over all of them. Photo and MNIST are timed from pixels to probabilities. The
plain resize turns an image grey and resizes it to 28x28, which no digit off its centre survives,
and has no saliency map. Commits take turns, each in processes of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from datasets import load_dataset
from PIL import Image, ImageDraw

from scripts.serve import ROOT, checked_out
from scripts.strokes import EIGHT, FIVE, SEVEN, TWO, growing, sent_by_sheet

DRIVER = Path(__file__).parent / "prediction_driver.py"
TASKS = {"drawing": "drawing, as it grows", "photo": "photo of 12 megapixels",
         "mnist": "1,000 digits of MNIST in one call"}  # fmt: skip


def photo(width: int = 4000, height: int = 3000) -> Image.Image:
    """A 5 in dark ink on light, noisy paper, RGB."""
    image = Image.new("RGB", (width, height), (250, 245, 235))
    for stroke in FIVE:
        points = [(x * width / 100, y * height / 100) for x, y in stroke]
        ImageDraw.Draw(image).line(points, (40, 40, 90), width // 18, joint="curve")
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3)).astype(np.float32)
    return Image.fromarray(np.uint8((np.asarray(image) + noise).clip(0, 255)))


def save_inputs(folder: Path) -> None:
    """Write what is timed: growing drawings, a photo, and the training part of MNIST's sample."""
    drawings = [image for strokes in (TWO, FIVE, SEVEN, EIGHT) for image in growing(strokes, 5)]
    for number, drawing in enumerate(drawings):
        (folder / f"drawing-{number:02}.png").write_bytes(sent_by_sheet(drawing))
    np.save(folder / "photo.npy", np.asarray(photo())[None])
    digits = load_dataset(str(ROOT / "tests" / "mnist"), split="train")["image"]
    np.save(folder / "mnist.npy", np.stack(digits))


def time_code(code: Path, inputs: Path) -> dict[str, float]:
    """Milliseconds of each task, and of each with a plain resize, by the code in a folder."""
    command = [sys.executable, str(DRIVER), str(inputs)]
    return json.loads(subprocess.run(command, cwd=code, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="COMMIT", help="a commit to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each commit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        inputs, codes = Path(folder), {"here": ROOT}
        save_inputs(inputs)
        if arguments.against:
            codes[arguments.against] = stack.enter_context(checked_out(arguments.against))
        rounds = [
            {name: time_code(code, inputs) for name, code in codes.items()}
            for _ in range(arguments.rounds)
        ]
    print("| median, milliseconds | here | reference | | ratio |\n|---|---|---|---|---|")
    for task, title in TASKS.items():
        here, plain = (
            np.median([r["here"][key] for r in rounds]) for key in (task, f"plain {task}")
        )
        references = {"plain resize": plain}
        if arguments.against:
            references[arguments.against] = np.median([r[arguments.against][task] for r in rounds])
        for name, there in references.items():
            print(f"| {title} | {here:.1f} | {there:.1f} | {name} | {here / there:.2f} |")


if __name__ == "__main__":
    main()
