"""Any image of one digit, framed as MNIST frames its digits.

    from image_processing_mnist import MnistImageProcessor

    pixel_values = MnistImageProcessor()("photo.jpg", return_tensors="pt")["pixel_values"]

MNIST was made by scaling each digit to fit 20x20 pixels, aspect kept, and placing its centre of
mass at the centre of 28x28, white on black (LeCun et al. 1998, "Gradient-based learning applied to
document recognition", section III.A). An image of any kind gets there in four steps:

    to_rgb -> find_ink -> isolate_digit -> frame_digit
"""

import os
from collections.abc import Sequence
from contextlib import suppress
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

IMAGE_SIZE = 28  # pixels: height and width of the result
DIGIT_SIZE = 20  # pixels: the digit's longer side in it
WORKING_SIZE = 224  # pixels of the shorter side: larger images are reduced, a digit needs but 20
LONGEST = 5 * WORKING_SIZE  # pixels of the longer side: a row of digits needs more
# Contrasts: 0 is the background, 1 is black on white.
MIN_CONTRAST = 0.1  # what differs less from the background is not ink
ONE_COLOUR = 0.05  # pixels that differ less from their median, on average, have one colour
FRAMED_CONTRAST = 0.9  # MNIST's digits reach full white; fainter ink has to be stretched first
# Shares.
MIN_BACKGROUND = 1 / 3  # of the image, and of its edge even where a cropped digit touches it
STROKE_WINDOW = 0.3  # of the shorter side: a photographed stroke is narrower
MIN_LIGHT = 0.4  # of the median: the darkest shadow that ink is corrected for, lest noise grow
FULL_INK = 0.8  # quantile of the ink's contrast that becomes 1: a few outliers lie above it
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends; at this level MNIST's digits span 20 pixels
SPECK_SHARE = 0.04  # of the largest stroke's area: smaller marks are dirt
EDGE_SPECK_SHARE = 0.25  # the same at the image's edge, if the largest stroke keeps clear of it
FAINT = 0.8  # of full ink: what nowhere exceeds it is no stroke, at the image's edge
# Lengths and multiples.
SMOOTHING = 1 / 150  # of the shorter side: a Gaussian's sigma that removes grain, not strokes
NOISE_SIGMAS = 4.0  # standard deviations of the noise: normal noise almost never goes beyond
MIN_STROKE = 1.8  # pixels after scaling: thinner strokes would fade, and are widened to this


class MnistImageProcessor(BaseImageProcessor):
    """Finds the digit in an image and frames it as MNIST does."""

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def preprocess(
        self,
        images: ImageLike | Sequence[ImageLike],
        return_tensors: str | None = None,
        **kwargs,
    ) -> BatchFeature:
        """Frame one image or a list of them.

        Args:
            images: PIL images of any mode; arrays or tensors (H, W), (1, H, W), (H, W, C) or
                (C, H, W) with C = 1, 2, 3 or 4 (grey, grey and alpha, RGB, RGB and alpha), and
                batches (B, C, H, W) or (B, H, W, C); values 0-1, 0-255, or 0 to more than that, as
                in 16 bits; paths of image files, or URLs, of which transparency is lost.
            return_tensors: "pt" for a torch tensor, "np" for an array, None for a list of arrays.
            kwargs: Accepted, as by every image processor, and unused.

        Returns:
            `pixel_values`: (B, 1, 28, 28) float32, 0 (background) to 1 (ink). Where no ink is
            found, every pixel is 0.

        Raises:
            ValueError: what was given is no image, or one in colours that Pillow cannot turn into
                RGB; the message says so.
            OSError: a file is corrupted or not an image.
        """
        if isinstance(images, (Image.Image, str, Path)):
            images = [images]
        elif isinstance(images, (np.ndarray, torch.Tensor)):
            images = images if images.ndim == 4 else [images]
        pixel_values = [self.frame(to_rgb(image))[None] for image in images]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=return_tensors)

    def frame(self, rgb: np.ndarray) -> np.ndarray:
        """One image (H, W, 3) float32 0-1 -> (28, 28) float32, 0 (background) to 1 (ink)."""
        return self.frame_ink(find_ink(rgb))

    def open(self, image: ImageLike) -> Image.Image:
        """An image of any kind as a PIL image of the same size."""
        return to_pil(image)

    def crop(self, image: Image.Image, box: Sequence[int]) -> Image.Image:
        """What lies within left, top, right and bottom of an image after its EXIF rotation."""
        image = _upright(image)
        return image.crop(np.minimum(box, image.size * 2))

    def find_ink(self, image: ImageLike) -> np.ndarray:
        """The ink of an image of any kind, (H, W) float32, as `find_ink` gives it."""
        return find_ink(to_rgb(image))

    def frame_ink(self, ink: np.ndarray) -> np.ndarray:
        """The digit in (H, W) ink, or in a part of it -> (28, 28) float32 0-1."""
        if is_framed(ink):
            return ink.clip(0, 1).astype(np.float32)
        digit = isolate_digit(ink)
        if digit is None:
            return np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
        return frame_digit(digit)

    def frame_part(self, ink: np.ndarray) -> np.ndarray:
        """Cropped ink (h, w) 0-1 that may be a digit -> (28, 28) float32 0-1."""
        return frame_digit(ink)


def to_rgb(image: ImageLike) -> np.ndarray:
    """An image of any kind -> (H, W, 3) float32 0-1, reduced as `_reduce` says, no alpha."""
    image = to_pil(image)
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        image = _reduce(image)  # first, as every other step would copy all of a large photo
    image = _upright(image)
    if image.mode.startswith(("I", "F")):  # 16- and 32-bit grey, which convert() would clip
        levels = np.nan_to_num(np.asarray(image, np.float32))
        image = Image.fromarray(np.uint8(levels.clip(0) / max(levels.max(), 1) * 255))
    has_alpha = image.has_transparency_data
    image = _reduce(image.convert("RGBA" if has_alpha else "RGB"))
    pixels = np.asarray(image, np.float32) / 255
    if has_alpha and pixels[..., 3].min() < 1:  # a canvas sends alpha without transparency
        return _flatten_alpha(pixels)
    return np.ascontiguousarray(pixels[..., :3])


def to_pil(image: ImageLike) -> Image.Image:
    """An image of any kind -> PIL image, as large as it is."""
    if isinstance(image, (str, Path)):
        return Image.open(image) if os.path.isfile(image) else load_image(str(image))
    return image if isinstance(image, Image.Image) else _array_to_pil(image)


def _array_to_pil(array: np.ndarray | torch.Tensor) -> Image.Image:
    """An array or tensor, as `MnistImageProcessor.preprocess` takes it -> 8-bit PIL image."""
    if not isinstance(array, (np.ndarray, torch.Tensor)):
        raise ValueError(
            f"An image must be a PIL image, an array, a tensor, a path or a URL, "
            f"not {type(array).__name__}."
        )
    pixels = np.asarray(array)
    if pixels.ndim == 3 and pixels.shape[-1] > 4:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] <= 4)):
        raise ValueError(
            f"An image must have the shape (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels, "
            f"not {tuple(array.shape)}. Give several images as a list or as (B, C, H, W)."
        )
    pixels = np.nan_to_num(pixels.astype(np.float32))
    brightest = pixels.max()  # a little above 1 where floats were interpolated
    full = 1 if brightest < 2 else max(255, brightest)
    return Image.fromarray(np.uint8((pixels / full).clip(0, 1) * 255 + 0.5))


def _upright(image: Image.Image) -> Image.Image:
    """An image rotated as its EXIF data says."""
    with suppress(Exception):  # an image whose EXIF data is corrupted stays as it is
        image = ImageOps.exif_transpose(image)
    return image


def _reduce(image: Image.Image) -> Image.Image:
    """Divide an image's sides by a whole number, so that they are 224 by 1120 pixels at most."""
    factor = max(-(-min(image.size) // WORKING_SIZE), -(-max(image.size) // LONGEST))
    return image.reduce(factor) if factor > 1 else image


def _flatten_alpha(rgba: np.ndarray) -> np.ndarray:
    """Lay a transparent image on a background: (H, W, 4) 0-1 -> (H, W, 3) 0-1.

    If all that is opaque has one colour, it is ink on a transparent canvas: the background becomes
    black or white, whichever is farther from it. Otherwise the background is part of the image, and
    what is transparent takes its colour.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    opaque = rgb[alpha[..., 0] > 0.5]
    if len(opaque) == 0:
        return np.ones_like(rgb)
    background = np.median(opaque, axis=0)
    if np.abs(opaque - background).max(1).mean() < ONE_COLOUR:
        background = np.full(3, 1.0 if background.mean() < 0.5 else 0.0)
    return (rgb * alpha + background * (1 - alpha)).astype(np.float32)


def find_ink(rgb: np.ndarray) -> np.ndarray:
    """How far each pixel's colour lies from the background's, towards the ink's.

    Only the difference counts: dark on light, light on dark and coloured are all alike.

    Args:
        rgb: (H, W, 3) float32 0-1.

    Returns:
        (H, W) float32. 0 is background, noise included; 1 is the contrast of black and white.
    """
    grey = rgb[..., 0]
    if is_framed(grey) and not (_edge(rgb).any() or np.ptp(rgb, axis=2).any()):
        return grey.copy()  # one of MNIST's own
    background, share = _most_common(_edge(rgb))
    difference = rgb - background
    ink = difference @ _direction(difference)
    unmarked = np.abs(ink) < MIN_CONTRAST
    # Where the edge is all of one colour that the image hardly has elsewhere, it is a border.
    border = _edge(unmarked).all() and unmarked.mean() < MIN_BACKGROUND
    # Drawings and scans have a background of exactly one colour. In a photo few pixels agree.
    if border or share < MIN_BACKGROUND:
        ink = _ink_on_uneven_background(rgb)
    ink[ink < MIN_CONTRAST] = 0
    return ink


def _edge(image: np.ndarray) -> np.ndarray:
    """The outermost pixels, (H, W, ...) -> (2W + 2H, ...)."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _most_common(colours: np.ndarray) -> tuple[np.ndarray, float]:
    """The most common of colours (N, 3) 0-1 in 8 bits, and its share, 0-1."""
    codes = np.rint(colours * 255) @ (65536, 256, 1)
    _, index, counts = np.unique(codes, return_index=True, return_counts=True)
    return colours[index[counts.argmax()]], counts.max() / len(colours)


def _direction(difference: np.ndarray) -> np.ndarray:
    """The direction in colour space from the background to the ink, (H, W, 3) -> (3,).

    The ink is on whichever side of the background holds the stronger differences. A difference
    times the direction is a contrast: 1 for black and white, which are sqrt(3) apart.
    """
    difference = difference.reshape(-1, 3)
    strength = np.abs(difference) @ np.ones(3, np.float32)
    direction = strength @ difference
    return direction / max(np.linalg.norm(direction), 1e-6) / np.sqrt(3)


def _ink_on_uneven_background(rgb: np.ndarray) -> np.ndarray:
    """Ink on a background with shading, shadows and noise, (H, W, 3) -> (H, W).

    Projected on the ink's direction, ink is bright. Morphological opening then removes all strokes
    narrower than its window and leaves edges of shadows where they are: what it removes is ink (the
    white top-hat transform: Gonzalez & Woods, Digital Image Processing, section 9.6).
    """
    height, width, _ = rgb.shape
    window = int(STROKE_WINDOW * min(height, width)) | 1  # odd, so that it has a centre
    grain = SMOOTHING * min(height, width)
    smooth = ndimage.gaussian_filter(rgb, (grain, grain, 0))
    # Shading is wide: strokes differ more from the mean around them.
    direction = _direction(smooth - ndimage.uniform_filter(smooth, (window, window, 1)))
    grey = smooth @ direction
    # Continued beyond its edges, shading does not end there like a stroke.
    wide = np.pad(grey, window, "reflect", reflect_type="odd")
    background = ndimage.grey_opening(wide, window)[window:-window, window:-window]
    ink = grey - background
    level = np.median(background)
    if level < 0:  # dark ink takes the same share of the light in the sun and in the shade
        ink *= level / np.minimum(background, MIN_LIGHT * level)
    ink -= np.median(ink)
    # Ink covers less than half of the image, so that the median of distances is that of the noise;
    # a normal distribution's standard deviation is 1.4826 times as large.
    noise = 1.4826 * np.median(np.abs(ink))
    ink[ink < NOISE_SIGMAS * noise] = 0
    return ink


def is_framed(ink: np.ndarray) -> bool:
    """Whether ink (H, W) is framed as MNIST's digits are, give or take a pixel."""
    if ink.shape != (IMAGE_SIZE, IMAGE_SIZE) or ink.max() < FRAMED_CONTRAST:
        return False
    rows, columns = ndimage.find_objects((ink > EDGE_LEVEL).astype(np.uint8))[0]
    size = max(rows.stop - rows.start, columns.stop - columns.start)
    off_centre = np.abs(np.subtract(ndimage.center_of_mass(ink), IMAGE_SIZE / 2)).max()
    return abs(size - DIGIT_SIZE) <= 1 and off_centre <= 1


def isolate_digit(ink: np.ndarray) -> np.ndarray | None:
    """The digit alone, cropped: (H, W) ink -> (h, w) float32 0-1, or None where there is no ink.

    Specks and borders go; a second stroke, as in 4 or 5, stays. Full ink becomes 1.
    """
    if not ink.any():
        return None
    full = np.quantile(ink[ink > ink.max() / 2], FULL_INK)
    ink = np.minimum(ink / full, 1)
    strokes, count = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    areas = np.bincount(strokes.ravel())
    areas[0] = 0
    sides = (strokes[0], strokes[-1], strokes[:, 0], strokes[:, -1])
    touched = sum(np.bincount(side, minlength=count + 1) > 0 for side in sides)  # 0 to 4
    kept = areas > SPECK_SHARE * areas.max()
    if kept.sum() > 1:
        kept &= touched < 4  # a border touches all four edges
    strong = np.bincount(strokes[ink > FAINT], minlength=count + 1) > 0
    if (kept & strong).any():  # a table beyond the paper, or a shadow, is fainter
        kept &= (touched == 0) | strong
    largest = np.argmax(areas * kept)
    if touched[largest] == 0:  # what comes in from outside of the image is not of this digit
        kept &= (touched == 0) | (areas > EDGE_SPECK_SHARE * areas[largest])
    mask = kept[strokes]
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    # One pixel around the strokes holds their soft edges.
    return ink[box] * ndimage.grey_dilation(mask[box], 3)


def frame_digit(digit: np.ndarray) -> np.ndarray:
    """Scale a cropped digit (h, w) 0-1 and centre its mass -> (28, 28) 0-1."""
    if (factor := -(-max(digit.shape) // WORKING_SIZE)) > 1:  # more than a digit, or a long one
        digit = np.asarray(Image.fromarray(digit).reduce(factor))
    scale = 1.0
    if abs(max(digit.shape) - DIGIT_SIZE) > 1:  # resampling what fits would only blur it
        digit = _widen(digit, MIN_STROKE * max(digit.shape) / DIGIT_SIZE)
        scale = DIGIT_SIZE / max(digit.shape)
    # The frame in pixels of the digit: how large it is, and where in it the centre of mass belongs.
    side = IMAGE_SIZE / scale
    centre = (IMAGE_SIZE / 2 + 0.5) / scale
    corner = np.add(ndimage.center_of_mass(digit), 0.5) - centre
    # All of the digit stays within the frame, even where that takes it off its centre.
    corner = corner.clip(np.subtract(digit.shape, side), 0)
    margin = int(np.ceil(side)) - min(digit.shape)
    top, left = margin + (corner.round() if scale == 1 else corner)
    framed = Image.fromarray(np.pad(digit, margin)).resize(
        (IMAGE_SIZE, IMAGE_SIZE),
        Image.Resampling.HAMMING,
        box=(left, top, left + side, top + side),
    )
    framed = np.asarray(framed).clip(0, 1)
    return framed / framed.max()


def _widen(digit: np.ndarray, width: float) -> np.ndarray:
    """Widen strokes thinner than `width` pixels to about that, so that scaling keeps them."""
    inside = np.pad(digit > EDGE_LEVEL, 1)
    if not inside.any():  # fine dots, that reducing has made faint
        return digit
    # In a bar that is w pixels wide the mean distance to the background is w/4 + 1/2.
    stroke = 4 * ndimage.distance_transform_cdt(inside)[inside].mean() - 2
    missing = 2 * round((width - stroke) / 2)
    if missing <= 0:
        return digit
    return ndimage.grey_dilation(np.pad(digit, missing // 2), size=missing + 1)


MnistImageProcessor.register_for_auto_class()
