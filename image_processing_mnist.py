"""Any picture of one digit, put into the frame in which MNIST shows its digits.

    from image_processing_mnist import MnistImageProcessor

    pixel_values = MnistImageProcessor()("photo.jpg", return_tensors="pt")["pixel_values"]

MNIST was made by scaling each digit to fit 20x20 pixels, aspect kept, and placing its centre of
mass at the centre of 28x28 (LeCun, Cortes & Burges, "The MNIST database of handwritten digits";
LeCun et al. 1998, section III.A), white ink on black. A network trained on MNIST expects just that.
Visitors draw where and how they like, on any paper; so the picture is read in four steps:

    to_rgb -> find_ink -> isolate_digit -> frame_digit
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import load_image

ImageLike = Image.Image | np.ndarray | torch.Tensor | str | Path

# Found on pictures made from MNIST's training digits, none on the test set.
WORKING_SIZE = 448  # pixels: larger pictures are reduced first
MIN_CONTRAST = 0.1  # 0-1: fainter than this is paper, not ink
NOISE_SIGMAS = 4.0  # how far above the paper's noise ink must stand
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends; at this level MNIST digits span 20 pixels
SPECK_SHARE = 0.04  # of the largest stroke's area: smaller marks are dirt
MIN_STROKE = 1.6  # pixels, after scaling: thinner strokes are thickened to this


class MnistImageProcessor(BaseImageProcessor):
    """Finds the digit in a picture and frames it as MNIST does.

    Args:
        image_size: Height and width of the result, in pixels.
        digit_size: Length of the digit's longer side in the result, in pixels.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, image_size: int = 28, digit_size: int = 20, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size
        self.digit_size = digit_size

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        return_tensors: str | None = None,
        **kwargs,
    ) -> BatchFeature:
        """Frame one picture or a list of them.

        Args:
            images: PIL images of any mode; arrays or tensors (H, W), (1, H, W), (H, W, C) or
                (C, H, W) with C = 1, 2, 3 or 4 (grey, grey and alpha, RGB, RGB and alpha), and
                batches (B, C, H, W) or (B, H, W, C); bool, unsigned integers over their full range,
                or floats 0-1 or 0-255; paths or URLs of image files.
            return_tensors: "pt" for a torch tensor, "np" for an array, None for a list of arrays.
            kwargs: Accepted, as every image processor does, and unused.

        Returns:
            `pixel_values`: (B, 1, 28, 28) float32, 0 (paper) to 1 (ink). Where no ink is found the
            picture is blank and every pixel is 0.

        Raises:
            ValueError: what was given is no picture; the message says what would be.
            OSError: a file is missing, damaged or not an image.
        """
        if isinstance(images, (Image.Image, str, Path)):
            images = [images]
        elif isinstance(images, (np.ndarray, torch.Tensor)):
            images = images if images.ndim == 4 else [images]
        pixel_values = [self.frame(to_rgb(image))[None] for image in images]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=return_tensors)

    def frame(self, rgb: np.ndarray) -> np.ndarray:
        """One picture (H, W, 3) float32 0-1 -> (28, 28) float32, 0 (paper) to 1 (ink)."""
        digit = isolate_digit(find_ink(rgb))
        if digit is None:
            return np.zeros((self.image_size, self.image_size), np.float32)
        return frame_digit(digit, self.image_size, self.digit_size)


def to_rgb(image: ImageLike) -> np.ndarray:
    """A picture of any kind -> (H, W, 3) float32 0-1, at most 448 pixels a side, no alpha."""
    if isinstance(image, (str, Path)):
        image = Image.open(image) if Path(image).is_file() else load_image(str(image))
    if not isinstance(image, Image.Image):
        image = _array_to_pil(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16- and 32-bit grey, which convert() would clip
        levels = np.nan_to_num(np.asarray(image, np.float32))
        image = Image.fromarray(np.uint8(levels.clip(0) / max(levels.max(), 1) * 255))
    has_alpha = "A" in image.mode or "transparency" in image.info
    image = image.convert("RGBA" if has_alpha else "RGB")
    image = image.reduce(max(1, -(-max(image.size) // WORKING_SIZE)))
    pixels = np.asarray(image, np.float32) / 255
    return _flatten_alpha(pixels) if has_alpha else pixels


def find_ink(rgb: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its paper in the ink's direction of colour.

    (H, W, 3) float32 0-1 -> (H, W) float32; 0 is paper. Dark on light, light on dark and coloured
    are all alike here, since only the difference counts. Noise is set to 0.
    """
    difference = rgb - _paper(rgb)
    # The ink is whichever side of the paper's colour holds the stronger differences.
    strength = np.linalg.norm(difference, axis=2, keepdims=True)
    direction = (difference * strength).sum((0, 1))
    direction /= max(np.linalg.norm(direction), 1e-6)
    # Full contrast, black to white, is sqrt(3) long.
    ink = difference @ direction / np.sqrt(3)
    noise = 1.4826 * np.median(np.abs(ink))  # MAD -> standard deviation
    if noise > 0.01:
        ink = ndimage.gaussian_filter(ink, 1.0)
        noise = 1.4826 * np.median(np.abs(ink))
    ink[ink < max(MIN_CONTRAST, NOISE_SIGMAS * noise)] = 0
    return ink


def isolate_digit(ink: np.ndarray) -> np.ndarray | None:
    """The digit alone, cropped: (H, W) ink -> (h, w) float32 0-1, or None where there is no ink.

    Specks and frame lines go; a second stroke, as in 4 or 5, stays. Full ink becomes 1.
    """
    if not ink.any():
        return None
    full = np.percentile(ink[ink > ink.max() / 2], 80)
    ink = np.minimum(ink / full, 1)
    strokes, _ = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    areas = np.bincount(strokes.ravel())[1:]
    kept = areas > SPECK_SHARE * areas.max()
    for number, (rows, columns) in enumerate(ndimage.find_objects(strokes)):
        spans = rows.stop - rows.start == len(ink) and columns.stop - columns.start == ink.shape[1]
        if spans and kept.sum() > 1:
            kept[number] = False
    # One pixel around the strokes holds their soft edges.
    mask = np.concatenate([[False], kept])[strokes]
    digit = ink * ndimage.binary_dilation(mask, np.ones((3, 3)))
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    return digit[rows, columns]


def frame_digit(digit: np.ndarray, image_size: int, digit_size: int) -> np.ndarray:
    """Scale a cropped digit (h, w) 0-1 and centre its mass -> (image_size, image_size) 0-1."""
    height, width = digit.shape
    scale = digit_size / max(height, width)
    if abs(max(height, width) - digit_size) > 1:  # resampling what fits would only blur it
        digit = _thicken(digit, MIN_STROKE / scale)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        digit = np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.HAMMING))
        digit = digit.clip(0, 1) / digit.max()
    height, width = digit.shape
    mass_y, mass_x = ndimage.center_of_mass(digit)
    top = round(np.clip(image_size / 2 - mass_y, 0, image_size - height))
    left = round(np.clip(image_size / 2 - mass_x, 0, image_size - width))
    framed = np.zeros((image_size, image_size), np.float32)
    framed[top : top + height, left : left + width] = digit
    return framed


def _array_to_pil(array: np.ndarray | torch.Tensor) -> Image.Image:
    """An array of one picture, as `MnistImageProcessor.preprocess` takes it -> 8-bit PIL image."""
    if not isinstance(array, (np.ndarray, torch.Tensor)):
        raise ValueError(
            f"A picture must be a PIL image, an array, a tensor, a path or a URL, "
            f"not {type(array).__name__}."
        )
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[-1] > 4:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] <= 4)):
        raise ValueError(
            f"A picture must have the shape (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels, "
            f"not {array.shape}. Give several pictures as a list or as (B, C, H, W)."
        )
    if array.dtype == bool:
        full = 1.0
    elif np.issubdtype(array.dtype, np.integer):
        full = 255.0 if array.max() <= 255 else float(np.iinfo(array.dtype).max)
    else:
        array = np.nan_to_num(array)
        full = 1.0 if array.max() <= 1 else 255.0
    return Image.fromarray(np.uint8((array / full).clip(0, 1) * 255 + 0.5))


def _flatten_alpha(rgba: np.ndarray) -> np.ndarray:
    """Lay a transparent picture on paper: (H, W, 4) 0-1 -> (H, W, 3) 0-1.

    If all that is opaque has one colour, it is ink on a transparent canvas: the paper becomes black
    or white, whichever is farther from it. Otherwise paper is part of the picture, and what is
    transparent takes the paper's colour.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    opaque = rgb[alpha[..., 0] > 0.5]
    if len(opaque) == 0:
        return np.ones_like(rgb)
    paper = np.median(opaque, axis=0)
    if np.abs(opaque - paper).max(1).mean() < MIN_CONTRAST / 2:
        paper = np.full(3, 1.0 if paper.mean() < 0.5 else 0.0)
    return (rgb * alpha + paper * (1 - alpha)).astype(np.float32)


def _paper(rgb: np.ndarray) -> np.ndarray:
    """The paper's colour at each pixel, (H, W, 3) -> (H, W, 3): flat, or smoothly shaded.

    A robust fit of a quadratic surface: pixels that differ much from the present fit are ink and
    are left out of the next.
    """
    height, width, _ = rgb.shape
    step = max(1, max(height, width) // 64)
    samples = rgb[::step, ::step]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    design = terms[::step, ::step].reshape(-1, 6)
    colours = samples.reshape(-1, 3)
    surface = np.median(colours, axis=0)
    if np.median(np.abs(colours - surface).max(1)) == 0:
        return surface  # one flat colour, as on every drawn canvas
    fit = np.broadcast_to(surface, colours.shape)
    for degree_terms in (1, 3, 3, 6, 6):
        distance = np.abs(colours - fit).max(1)
        inliers = distance <= 0.02 + 2.5 * np.median(distance)
        weights, *_ = np.linalg.lstsq(design[inliers, :degree_terms], colours[inliers], rcond=None)
        fit = design[:, :degree_terms] @ weights
    return terms @ weights


def _thicken(digit: np.ndarray, width: float) -> np.ndarray:
    """Widen strokes thinner than `width` pixels to about that, so that scaling keeps them."""
    # The mean distance to the paper is a quarter of the width of a long bar.
    stroke = (
        4 * ndimage.distance_transform_edt(digit > EDGE_LEVEL).sum() / (digit > EDGE_LEVEL).sum()
    )
    missing = round(width - stroke)
    return (
        digit if missing <= 0 else ndimage.grey_dilation(np.pad(digit, missing), size=missing + 1)
    )


MnistImageProcessor.register_for_auto_class()
