"""Printed characters, in the text fonts that come with matplotlib."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from training.handwriting import CANVAS, LOW_RESOLUTION_SHARE, low_resolution


@cache
def text_fonts() -> list[str]:
    """The font files, without those of mathematical symbols."""
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    symbols = ("cmex", "cmsy", "cmmi", "Display", "STIXSiz", "STIXNonUni", "LastResort")
    return sorted(str(f) for f in folder.glob("*.ttf") if not f.name.startswith(symbols))


def printed(characters: str, rng: np.random.Generator) -> np.ndarray:
    """Characters in a random font, slightly rotated and sheared, at times low-resolution.

    (H, W) float32 0-1, at most 84 pixels a side.
    """
    font = ImageFont.truetype(rng.choice(text_fonts()), 80)
    left, top, right, bottom = font.getbbox(characters)
    image = Image.new("L", (right - left + 60, bottom - top + 60))
    ImageDraw.Draw(image).text((30 - left, 30 - top), characters, 255, font)
    shear = rng.normal(0, 0.1)
    matrix = (1, shear, -shear * image.height / 2, 0, 1, 0)
    image = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    image = image.rotate(rng.normal(0, 5), Image.Resampling.BILINEAR)
    image = ImageOps.expand(image.crop(image.getbbox()), 10)
    image.thumbnail((CANVAS, CANVAS))
    pixels = np.asarray(image, np.float32) / 255
    return low_resolution(pixels, rng) if rng.random() < LOW_RESOLUTION_SHARE else pixels
