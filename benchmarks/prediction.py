"""How long one answer takes, from a picture to ten scores, beside a plain resize.

    python -m benchmarks.prediction

The same network in both columns. Ours finds the digit in the picture, and looks again at what it is
not sure of; the reference only turns the picture grey and resizes it to 28x28 with Pillow, which no
digit off its centre survives, and looks once. Pictures are decoded already, as RGB; MNIST's digits
are the sample under tests/, grey.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from benchmarks.serving import FIVE, ROOT
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from data import load_splits
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained

CALLS = 50


def drawing(width: int, height: int, noise: float) -> Image.Image:
    """A 5 in dark ink on light paper, RGB, with noise of that standard deviation, 0-255."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (width, height), (250, 245, 235))
    for stroke in FIVE:
        points = [(x * width, y * height) for x, y in stroke]
        ImageDraw.Draw(image).line(points, (40, 40, 90), width // 18, joint="curve")
    if noise:
        pixels = np.asarray(image) + rng.normal(0, noise, (height, width, 3)).astype(np.float32)
        image = Image.fromarray(np.uint8(pixels.clip(0, 255)))
    return image


def median_ms(call: Callable[[], object], calls: int = CALLS) -> float:
    """The median time of a call, in milliseconds."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times[calls // 5 :])) * 1000


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    model, looks_once = (load_pretrained("model").eval() for _ in range(2))
    looks_once.config.second_look_threshold = 0
    processor = MnistImageProcessor.from_pretrained("model")

    def ours(images: list[Image.Image]) -> torch.Tensor:
        return processor(images, return_tensors="pt")["pixel_values"]

    def resized(images: list[Image.Image]) -> torch.Tensor:
        grey = np.stack([image.convert("L").resize((28, 28)) for image in images])
        return torch.from_numpy(grey[:, None] / np.float32(255))

    digits = list(load_splits(str(ROOT / "tests" / "mnist"))["train"]["image"])
    tasks = (
        ("canvas of 280x280", 1, [drawing(280, 280, 0)], CALLS),
        ("photo of 12 megapixels", 1, [drawing(4000, 3000, 8)], CALLS),
        ("1,000 digits of MNIST in one call", 2, digits, 10),
    )
    print("| p50, milliseconds | threads | ours | plain resize | ratio |\n|---|---|---|---|---|")
    for name, threads, images, calls in tasks:
        torch.set_num_threads(threads)
        with threadpool_limits(threads):  # numpy's and scipy's
            own, plain = (
                median_ms(lambda m=m, f=f, i=images: m(f(i)).logits.softmax(1), calls)
                for m, f in ((model, ours), (looks_once, resized))
            )
        print(f"| {name} | {threads} | {own:.1f} | {plain:.1f} | {own / plain:.2f} |")


if __name__ == "__main__":
    main()
