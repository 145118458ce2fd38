"""How long one answer takes, and how long with a plain resize in place of the image processor.

Drawings are timed as the page answers them while they grow, from PNG to probabilities and saliency
map, the mean over all of them. Photo and MNIST are timed from pixels to probabilities. The plain
resize turns an image grey and resizes it to 28x28, which no digit off its centre survives, and has
no saliency map.
"""

from io import BytesIO

import numpy as np
import torch
from datasets import load_dataset
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from benchmarks.common import least_time, print_head, print_row
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from scripts.serve import ROOT
from scripts.strokes import EIGHT, FIVE, SEVEN, TWO, growing, sent_by_sheet
from ui.saliency import probabilities, saliency_maps


def photo(width: int = 4000, height: int = 3000) -> Image.Image:
    """A 5 in dark ink on light, noisy paper, RGB."""
    image = Image.new("RGB", (width, height), (250, 245, 235))
    for stroke in FIVE:
        points = [(x * width / 100, y * height / 100) for x, y in stroke]
        ImageDraw.Draw(image).line(points, (40, 40, 90), width // 18, joint="curve")
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3)).astype(np.float32)
    return Image.fromarray(np.uint8((np.asarray(image) + noise).clip(0, 255)))


def main() -> None:
    model = load_pretrained(str(ROOT / "model")).eval()
    processor = MnistImageProcessor.from_pretrained(ROOT / "model")
    growth = [image for strokes in (TWO, FIVE, SEVEN, EIGHT) for image in growing(strokes, 5)]
    digits = load_dataset(str(ROOT / "tests" / "mnist"), split="train")["image"]

    def answer(images: list[Image.Image | bytes], plain: bool) -> None:
        if files := isinstance(images[0], bytes):
            images = [Image.open(BytesIO(file)) for file in images]
        if plain:
            grey = np.stack([image.convert("L").resize((28, 28)) for image in images])
            pixel_values = torch.from_numpy(grey[:, None] / np.float32(255))
        else:
            pixel_values = processor(images, return_tensors="pt")["pixel_values"]
        probabilities(model, pixel_values)
        if files and not plain:
            saliency_maps(model, pixel_values)

    print_head("least milliseconds", "here", "plain resize", "ratio")
    for name, threads, calls in (
        ("drawing, as it grows", 1, [[sent_by_sheet(drawing)] for drawing in growth]),
        ("photo of 12 megapixels", 1, [[photo()]]),
        ("1,000 digits of MNIST in one call", 2, [list(digits)]),
    ):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):  # numpy's and scipy's
            # The least time is what other work on the machine disturbs least.
            times = [
                [least_time(answer, images, plain, calls=15) for plain in (False, True)]
                for images in calls
            ]
        here, plain = 1000 * np.mean(times, axis=0)
        print_row(name, f"{here:.1f}", f"{plain:.1f}", f"{here / plain:.1f}")


if __name__ == "__main__":
    main()
