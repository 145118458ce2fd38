"""How long one answer takes, and how long with a plain resize in place of the image processor.

    python -m benchmarks.prediction

Drawings are timed as the page answers them while they grow, from PNG to probabilities and saliency
map, the mean over all of them. Photo and MNIST are timed from pixels to probabilities. The plain
resize turns an image grey and resizes it to 28x28, which no digit off its centre survives, and has
no saliency map.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import load_dataset
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from scripts.strokes import EIGHT, FIVE, SEVEN, TWO, growing, sent_by_sheet
from ui.saliency import probabilities, saliency_maps

ROOT = Path(__file__).parent.parent


def photo(width: int = 4000, height: int = 3000) -> Image.Image:
    """A 5 in dark ink on light, noisy paper, RGB."""
    image = Image.new("RGB", (width, height), (250, 245, 235))
    for stroke in FIVE:
        points = [(x * width / 100, y * height / 100) for x, y in stroke]
        ImageDraw.Draw(image).line(points, (40, 40, 90), width // 18, joint="curve")
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3)).astype(np.float32)
    return Image.fromarray(np.uint8((np.asarray(image) + noise).clip(0, 255)))


def resized(images: list[Image.Image]) -> torch.Tensor:
    """Grey and resized: (B, 1, 28, 28) float32 0-1."""
    grey = np.stack([image.convert("L").resize((28, 28)) for image in images])
    return torch.from_numpy(grey[:, None] / np.float32(255))


def least_ms(call: Callable[[], object], calls: int = 15) -> float:
    """Least milliseconds of a call, which other work on the machine disturbs least."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Print the table."""
    model = load_pretrained(str(ROOT / "model")).eval()
    processor = MnistImageProcessor.from_pretrained(ROOT / "model")
    growth = [image for strokes in (TWO, FIVE, SEVEN, EIGHT) for image in growing(strokes, 5)]
    drawings = [io.BytesIO(sent_by_sheet(drawing)) for drawing in growth]
    digits = load_dataset(str(ROOT / "tests" / "mnist"), split="train")["image"]

    def framed(images: list[Image.Image]) -> torch.Tensor:
        return processor(images, return_tensors="pt")["pixel_values"]

    def answer(file: io.BytesIO) -> object:
        pixel_values = framed([Image.open(file)])
        return probabilities(model, pixel_values), saliency_maps(model, pixel_values)

    def with_resize(file: io.BytesIO) -> object:
        return probabilities(model, resized([Image.open(file)]))

    def of_pixels(images: list[Image.Image]) -> tuple[Callable, Callable]:
        return tuple(
            lambda make=make: probabilities(model, make(images)) for make in (framed, resized)
        )

    tasks = {
        "drawing, as it grows": (
            1,
            [(lambda f=f: answer(f), lambda f=f: with_resize(f)) for f in drawings],
        ),
        "photo of 12 megapixels": (1, [of_pixels([photo()])]),
        "1,000 digits of MNIST in one call": (2, [of_pixels(list(digits))]),
    }
    print("| least milliseconds | here | plain resize | ratio |\n|---|---:|---:|---:|")
    for name, (threads, pairs) in tasks.items():
        torch.set_num_threads(threads)
        with threadpool_limits(threads):  # numpy's and scipy's
            times = [[least_ms(call) for call in pair] for pair in pairs]
        here, plain = np.mean(times, axis=0)
        print(f"| {name} | {here:.1f} | {plain:.1f} | {here / plain:.1f} |", flush=True)


if __name__ == "__main__":
    main()
