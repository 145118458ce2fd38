"""How well a model reads MNIST's test digits, as they are and as people would send them.

    python benchmark.py                                  the model in model/
    python benchmark.py --model_name_or_path user/mnist-cnn --dataset_name path/to/mnist

Prints a Markdown table. Every picture but those of the first row goes through the image processor.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm
from transformers import HfArgumentParser

from data import load_splits, to_tensors
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained


@dataclass
class BenchmarkArguments:
    model_name_or_path: str = field(
        default="model", metadata={"help": "A saved model, a folder or a Hub id."}
    )
    dataset_name: str = field(
        default="ylecun/mnist", metadata={"help": "MNIST on the Hub or in a local folder."}
    )
    max_samples: int | None = field(
        default=None, metadata={"help": "Read the first so many test digits only."}
    )


def on_canvas(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A digit of 40-200 pixels anywhere on a white canvas of 280x280, in black."""
    side = int(rng.integers(56, 280))  # of MNIST's 28 pixels a digit takes 20
    ink = digit.resize((side, side), Image.Resampling.BICUBIC)
    canvas = Image.new("L", (280, 280))
    canvas.paste(ink, tuple(rng.integers(0, 281 - side, 2)))
    return ImageOps.invert(canvas)


def as_photo(digit: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same in coloured ink on tinted paper, with a shadow across it and a camera's noise."""
    ink = 1 - np.asarray(on_canvas(digit, rng), np.float32)[..., None] / 255
    paper, pen = rng.uniform(0.75, 1, 3), rng.uniform(0, 0.45, 3)
    y, x = np.mgrid[-1:1:280j, -1:1:280j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 0.8 + 0.2 * (np.cos(angle) * x + np.sin(angle) * y)[..., None]
    rgb = light * (paper * (1 - ink) + pen * ink) + rng.normal(0, 0.03, (280, 280, 3))
    return Image.fromarray(np.uint8(rgb.clip(0, 1) * 255))


VIEWS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "as they are": lambda digit, rng: digit,
    "black on white": lambda digit, rng: ImageOps.invert(digit),
    "small to large, anywhere on a canvas": on_canvas,
    "the same, like a photograph": as_photo,
}


def main() -> None:
    """Print the table."""
    (arguments,) = HfArgumentParser(BenchmarkArguments).parse_args_into_dataclasses()
    test = load_splits(arguments.dataset_name)["test"]
    test = to_tensors(test.take(arguments.max_samples or len(test)), "image", "label")
    model = load_pretrained(arguments.model_name_or_path)
    processor = MnistImageProcessor.from_pretrained(arguments.model_name_or_path)

    @torch.inference_mode()
    def accuracy(pixel_values: torch.Tensor) -> float:
        predicted = torch.cat([model(b).logits.argmax(1) for b in pixel_values.split(500)])
        return (predicted == test.labels).float().mean().item()

    print(f"| {len(test):,} test digits | accuracy |\n|---|---|")
    print(f"| raw pixels, without the processor | {accuracy(test.images[:, None] / 255):.2%} |")
    digits = [Image.fromarray(image) for image in test.images.numpy()]
    for name, view in VIEWS.items():
        rng = np.random.default_rng(0)
        framed = [
            processor(view(digit, rng), return_tensors="pt")["pixel_values"]
            for digit in tqdm(digits, desc=name, leave=False)
        ]
        print(f"| {name} | {accuracy(torch.cat(framed)):.2%} |")


if __name__ == "__main__":
    main()
