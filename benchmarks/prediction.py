"""How long one answer takes, from a picture to ten scores, beside a plain resize.

    python -m benchmarks.prediction

The same network in both columns. Ours finds the digit in the picture; the reference only resizes
the picture to 28x28, with transformers' own `ViTImageProcessorPil`. Pictures are decoded already.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from transformers import BaseImageProcessor, ViTImageProcessorPil

from benchmarks.serving import FIVE
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
    model = load_pretrained("model").eval()

    def answer(processor: BaseImageProcessor, images: Image.Image | list[Image.Image]) -> None:
        pixel_values = processor(images, return_tensors="pt")["pixel_values"]
        model(pixel_values[:, :1]).logits.softmax(1)

    ours = MnistImageProcessor.from_pretrained("model")
    plain = ViTImageProcessorPil(size={"height": 28, "width": 28}, do_normalize=False)
    many = [drawing(28, 28, 0)] * 1000
    tasks = (
        ("canvas of 280x280", 1, drawing(280, 280, 0), CALLS),
        ("photo of 12 megapixels", 1, drawing(4000, 3000, 8), CALLS),
        ("1,000 pictures of 28x28 in one call", 2, many, 5),
    )
    print("| p50, milliseconds | threads | ours | plain resize | ratio |\n|---|---|---|---|---|")
    for name, threads, images, calls in tasks:
        torch.set_num_threads(threads)
        times = [median_ms(lambda p=p, i=images: answer(p, i), calls) for p in (ours, plain)]
        print(
            f"| {name} | {threads} | {times[0]:.1f} | {times[1]:.1f} | {times[0] / times[1]:.2f} |"
        )


if __name__ == "__main__":
    main()
