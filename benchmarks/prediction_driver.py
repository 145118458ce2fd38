"""Times the code in the working directory, for `benchmarks.prediction`; prints JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from threadpoolctl import threadpool_limits

sys.path.insert(0, os.getcwd())
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained

try:
    from ui.saliency import classify, saliency_maps

    def answer(pixel_values: torch.Tensor) -> object:
        """Probabilities and saliency maps."""
        return classify(model, pixel_values), saliency_maps(model, pixel_values)
except ModuleNotFoundError:  # at 0e612f6
    from explain import classify_and_explain

    def answer(pixel_values: torch.Tensor) -> object:
        """Probabilities and saliency maps."""
        return classify_and_explain(model, pixel_values)

model = load_pretrained("model").eval()
processor = MnistImageProcessor.from_pretrained("model")


def median_ms(call: Callable[[], object], calls: int) -> float:
    """Median time of a call in milliseconds, after a fifth as many that do not count."""
    times = []
    for _ in range(calls + calls // 5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[-calls:]))


def ours(images: list[Image.Image]) -> torch.Tensor:
    """Framed as MNIST: (B, 1, 28, 28) float32 0-1."""
    return processor(images, return_tensors="pt")["pixel_values"]


def resized(images: list[Image.Image]) -> torch.Tensor:
    """Grey and resized: (B, 1, 28, 28) float32 0-1."""
    grey = np.stack([image.convert("L").resize((28, 28)) for image in images])
    return torch.from_numpy(grey[:, None] / np.float32(255))


@torch.inference_mode()
def probabilities(pixel_values: torch.Tensor) -> torch.Tensor:
    """Probabilities (B, 10)."""
    return model(pixel_values).logits.softmax(1)


def time_drawings(paths: list[Path], calls: int) -> tuple[float, float]:
    """Mean over the drawings, of ours and of the plain resize."""
    times = [
        (
            median_ms(lambda p=p: answer(ours([Image.open(p)])), calls),
            median_ms(lambda p=p: probabilities(resized([Image.open(p)])), calls),
        )
        for p in paths
    ]
    return tuple(np.mean(times, axis=0))


def time_pixels(file: Path, calls: int) -> tuple[float, float]:
    """All images of a file in one call, by ours and by the plain resize."""
    images = [Image.fromarray(pixels) for pixels in np.load(file)]
    return tuple(median_ms(lambda f=f: probabilities(f(images)), calls) for f in (ours, resized))


def main(inputs: Path) -> None:
    """Print the milliseconds of each task, and of each with a plain resize."""
    times = {}
    for task, threads, measure in (
        ("drawing", 1, lambda: time_drawings(sorted(inputs.glob("drawing-*.png")), 20)),
        ("photo", 1, lambda: time_pixels(inputs / "photo.npy", 20)),
        ("mnist", 2, lambda: time_pixels(inputs / "mnist.npy", 3)),
    ):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):  # numpy's and scipy's
            times[task], times[f"plain {task}"] = measure()
    print(json.dumps(times))


main(Path(sys.argv[1]))
