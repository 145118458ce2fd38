"""Any picture of one digit, put into the frame in which MNIST shows its digits.

    from image_processing_mnist import MnistImageProcessor

    pixel_values = MnistImageProcessor()("photo.jpg", return_tensors="pt")["pixel_values"]

MNIST was made by scaling each digit to fit 20x20 pixels, aspect kept, and placing its centre of
mass at the centre of 28x28 (LeCun, Cortes & Burges, "The MNIST database of handwritten digits";
LeCun et al. 1998, section III.A), white ink on black. A network trained on MNIST expects just that.
Visitors draw where and how they like, on any paper; so the picture is read in four steps:

    to_rgb -> find_ink -> isolate_digit -> frame_digit
"""

import functools
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

WORKING_SIZE = 224  # pixels: larger pictures are reduced first
MIN_CONTRAST = 0.1  # 0-1: fainter than this is paper, not ink
EVEN_CONTRAST = 0.06  # 0-1: paper that varies by less is even
PAPER_WINDOW = 0.3  # of the picture's side: strokes are thinner
ENLARGED_LOSS = 0.03  # 0-1: a picture that loses less with half its pixels has been enlarged
NOISE_SIGMAS = 4.0  # how far above the paper's noise ink must stand
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends; at this level MNIST digits span 20 pixels
SPECK_SHARE = 0.04  # of the largest stroke's area: smaller marks are dirt
EDGE_SPECK_SHARE = 0.25  # the same, at the picture's edge, where the digit keeps clear of it
MIN_STROKE = 1.8  # pixels, after scaling: thinner strokes are thickened to this


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
                batches (B, C, H, W) or (B, H, W, C); values 0-1, 0-255, or 0 to more than that, as
                in 16 bits; paths of image files, or URLs, of which transparency is lost.
            return_tensors: "pt" for a torch tensor, "np" for an array, None for a list of arrays.
            kwargs: Accepted, as every image processor does, and unused.

        Returns:
            `pixel_values`: (B, 1, 28, 28) float32, 0 (paper) to 1 (ink). Where no ink is found the
            picture is blank and every pixel is 0.

        Raises:
            ValueError: what was given is no picture, or one in colours that Pillow cannot turn into
                RGB; the message says so.
            OSError: a file is damaged or not an image.
        """
        if isinstance(images, (Image.Image, str, Path)):
            images = [images]
        elif isinstance(images, (np.ndarray, torch.Tensor)):
            images = images if images.ndim == 4 else [images]
        pixel_values = [self.frame(to_rgb(image))[None] for image in images]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=return_tensors)

    def frame(self, rgb: np.ndarray) -> np.ndarray:
        """One picture (H, W, 3) float32 0-1 -> (28, 28) float32, 0 (paper) to 1 (ink)."""
        grey = rgb[..., 0]
        is_mnist = not (grey[[0, -1]].any() or grey[:, [0, -1]].any() or np.ptp(rgb, axis=2).any())
        if is_mnist and is_framed(grey, self.image_size, self.digit_size):
            return grey.copy()
        ink = find_ink(rgb)
        if is_framed(ink, self.image_size, self.digit_size):
            return ink.clip(0, 1).astype(np.float32)
        digit = isolate_digit(ink)
        if digit is None:
            return np.zeros((self.image_size, self.image_size), np.float32)
        return frame_digit(digit, self.image_size, self.digit_size)


def to_rgb(image: ImageLike) -> np.ndarray:
    """A picture of any kind -> (H, W, 3) float32 0-1, at most 224 pixels a side, no alpha."""
    if isinstance(image, (str, Path)):
        image = Image.open(image) if os.path.isfile(image) else load_image(str(image))
    if not isinstance(image, Image.Image):
        image = _array_to_pil(image)
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        image = _reduce(image)  # first, as every other step would copy all of a large photo
    with suppress(Exception):  # where the note of how to turn it is damaged, it stays as it is
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16- and 32-bit grey, which convert() would clip
        levels = np.nan_to_num(np.asarray(image, np.float32))
        image = Image.fromarray(np.uint8(levels.clip(0) / max(levels.max(), 1) * 255))
    has_alpha = image.has_transparency_data
    image = _reduce(image.convert("RGBA" if has_alpha else "RGB"))
    pixels = np.asarray(image, np.float32) / 255
    return _flatten_alpha(pixels) if has_alpha else pixels


def find_ink(rgb: np.ndarray) -> np.ndarray:
    """How much each pixel differs from its paper in the ink's direction of colour.

    (H, W, 3) float32 0-1 -> (H, W) float32; 0 is paper. Dark on light, light on dark and coloured
    are all alike here, since only the difference counts. Noise is set to 0.
    """
    if (bands := _bands(rgb)) is not None:
        ink = _length(rgb - bands) / np.sqrt(3)
    else:
        difference = _difference_to_paper(rgb)
        # The ink is whichever side of the paper's colour holds the stronger differences.
        direction = np.einsum("hwc,hw->c", difference, _length(difference))
        direction /= max(np.linalg.norm(direction), 1e-6)
        # Full contrast, black to white, is sqrt(3) long.
        ink = difference @ direction / np.sqrt(3)
    noise = _noise(ink)
    if noise > 0.01:
        ink = ndimage.gaussian_filter(ink, 1.0)
        noise = _noise(ink)
    ink[ink < max(MIN_CONTRAST, NOISE_SIGMAS * noise)] = 0
    return ink


def is_framed(ink: np.ndarray, image_size: int, digit_size: int) -> bool:
    """Whether ink (H, W) is in MNIST's frame already, give or take a pixel, as MNIST's own are."""
    if ink.shape != (image_size, image_size) or ink.max() < 0.9:
        return False
    rows, columns = ndimage.find_objects((ink > EDGE_LEVEL).astype(np.uint8))[0]
    size = max(rows.stop - rows.start, columns.stop - columns.start)
    off_centre = np.abs(np.subtract(ndimage.center_of_mass(ink), image_size / 2)).max()
    return abs(size - digit_size) <= 1 and off_centre <= 1


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
    boxes = ndimage.find_objects(strokes)
    touching = np.array(
        [
            (rows.start == 0) + (columns.start == 0)
            + (rows.stop == ink.shape[0]) + (columns.stop == ink.shape[1])
            for rows, columns in boxes
        ]
    )  # fmt: skip
    kept = areas > SPECK_SHARE * areas.max()
    if kept.sum() > 1:
        kept &= touching < 4  # a frame
    largest = np.argmax(areas * kept)
    if touching[largest] == 0:  # what comes in from outside of the picture is not of this digit
        kept &= (touching == 0) | (areas > EDGE_SPECK_SHARE * areas[largest])
    mask = np.concatenate([[False], kept])[strokes]
    spans = zip(*(box for box, keep in zip(boxes, kept, strict=True) if keep), strict=True)
    box = tuple(slice(min(s.start for s in span), max(s.stop for s in span)) for span in spans)
    # One pixel around the strokes holds their soft edges.
    return ink[box] * ndimage.binary_dilation(mask[box], np.ones((3, 3)))


def frame_digit(digit: np.ndarray, image_size: int, digit_size: int) -> np.ndarray:
    """Scale a cropped digit (h, w) 0-1 and centre its mass -> (image_size, image_size) 0-1."""
    scale = 1.0
    if abs(max(digit.shape) - digit_size) > 1:  # resampling what fits would only blur it
        digit = _thicken(digit, MIN_STROKE * max(digit.shape) / digit_size)
        scale = digit_size / max(digit.shape)
    # The frame in pixels of the digit: how large it is, and where in it the centre of mass belongs.
    side = image_size / scale
    centre = (image_size / 2 + 0.5) / scale
    margin = int(np.ceil(side))
    corner = []
    for mass, length in zip(ndimage.center_of_mass(digit), digit.shape, strict=True):
        # All of the digit stays within the frame, even where that takes it off its centre.
        start = np.clip(mass + 0.5, length - side + centre, centre) - centre + margin
        corner.append(start if scale != 1 else round(start))
    top, left = corner
    framed = Image.fromarray(np.pad(digit, margin)).resize(
        (image_size, image_size),
        Image.Resampling.HAMMING,
        box=(left, top, left + side, top + side),
    )
    framed = np.asarray(framed).clip(0, 1)
    return framed / framed.max()


def _reduce(image: Image.Image) -> Image.Image:
    """A picture of at most 224 pixels a side."""
    factor = -(-max(image.size) // WORKING_SIZE)
    return image.reduce(factor) if factor > 1 else image


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
    array = np.nan_to_num(array.astype(np.float32))
    brightest = array.max()  # a little above 1 where floats were interpolated
    full = 1 if brightest < 2 else max(255, brightest)
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


def _distance(colours: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Largest difference in any channel, (N, 3) and (3,) -> (N,)."""
    return functools.reduce(np.maximum, np.abs(colours - colour).T)


def _length(difference: np.ndarray) -> np.ndarray:
    """Euclidean length of each colour difference, (H, W, 3) -> (H, W)."""
    return np.sqrt(np.einsum("hwc,hwc->hw", difference, difference))


def _bands(rgb: np.ndarray) -> np.ndarray | None:
    """The paper, (H, W, 3), of a digit written across bands of dark and light, or None.

    Such bands run from edge to edge: two opposite edges are alike, pixel for pixel, and have two
    colours; the picture between them has the same, but for something that covers less than half.
    """
    for picture, axes in ((rgb, (0, 1, 2)), (rgb.swapaxes(0, 1), (1, 0, 2))):
        first, last = np.median(picture[:2], axis=0), np.median(picture[-2:], axis=0)
        contrast = _distance(first, first[0])
        other = contrast > 0.5
        if not (
            np.mean(_distance(first, last) < MIN_CONTRAST) > 0.8
            and 0.35 < other.mean() < 0.65
            and np.mean((contrast < MIN_CONTRAST) | (contrast > 0.7)) > 0.9
        ):
            continue
        covered = _length(picture - first) > 0.5
        if (
            covered.mean() > 0.03
            and covered[:, other].mean() < 0.45
            and covered[:, [0, -1]].mean() < 0.3
        ):
            return np.broadcast_to((first + last) / 2, picture.shape).transpose(axes)
    return None


def _difference_to_paper(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W, 3): from one flat colour, or from paper with shading or shadows."""
    edges = np.concatenate([*rgb[[0, -1]], *rgb[:, [0, -1]].swapaxes(0, 1)])
    small = min(rgb.shape[:2]) < 64
    _, index, counts = np.unique(
        np.rint(edges * 255) @ (65536, 256, 1), return_index=True, return_counts=True
    )
    # On a drawing or a scan all paper is of exactly one colour, most of which a closely cropped
    # digit may cover at the edge; on a photo, none is, unless it is overexposed.
    one_colour = counts.max() / len(edges)
    if one_colour > 2 / 3 or (one_colour > 1 / 3 and (small or _is_enlarged(rgb))):
        paper = edges[index[counts.argmax()]]
        flat = True
    else:
        paper = np.median(edges, axis=0)
        flat = not small and np.mean(_distance(edges, paper) < EVEN_CONTRAST) > 0.9
    if (_distance(edges, paper) < EVEN_CONTRAST).all() and (
        np.mean(_distance(rgb.reshape(-1, 3), paper) < MIN_CONTRAST) < 1 / 3
    ):
        paper = np.median(rgb, axis=(0, 1))  # the edge is a frame around the paper
        flat = False
    if flat:
        return rgb - paper
    return rgb - _smooth_paper(rgb, paper) if small else _without_shadows(rgb)


def _is_enlarged(rgb: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) looks much the same with half its pixels a side."""
    picture = Image.fromarray(np.uint8(rgb * 255 + 0.5))
    half = picture.reduce(2).resize(picture.size, Image.Resampling.BICUBIC)
    return np.quantile(np.abs(np.asarray(half, np.float32) / 255 - rgb), 0.99) < ENLARGED_LOSS


def _smooth_paper(rgb: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Smoothly shaded paper in a small picture, (H, W, 3) -> (H, W, 3).

    A robust fit of a quadratic surface: pixels that differ much from the present fit, at first the
    colour `start` (3,), are ink and are left out of the next.
    """
    height, width, _ = rgb.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    colours = rgb.reshape(-1, 3)
    paper = np.broadcast_to(start, colours.shape)
    for degree_terms in (1, 3, 3, 6, 6):
        distance = _distance(colours, paper)
        inliers = distance <= 0.02 + 1.7 * np.quantile(distance, 1 / 3) / 0.43
        weights, *_ = np.linalg.lstsq(terms[inliers, :degree_terms], colours[inliers], rcond=None)
        paper = terms[:, :degree_terms] @ weights
    return paper.reshape(rgb.shape)


def _without_shadows(rgb: np.ndarray) -> np.ndarray:
    """The difference to paper with shading and shadows, (H, W, 3) -> (H, W, 3).

    Morphological closing fills strokes that are darker than the paper on both of their sides, and
    leaves edges of shadows where they are (the black top-hat transform: Gonzalez & Woods, Digital
    Image Processing, section 9.6); opening does the same for light strokes.
    """
    height, width, _ = rgb.shape
    window = max(7, int(min(height, width) * PAPER_WINDOW)) | 1
    smooth = ndimage.gaussian_filter(rgb, (height / 200, width / 200, 0))
    # Strokes are thin: they differ more from their surroundings than these from their mean.
    detail = smooth - ndimage.uniform_filter(smooth, (window, window, 1))
    dark = (detail**3).sum() < 0
    # Continued beyond its edges, shading does not end there like a stroke.
    wide = np.pad(smooth, [(window, window)] * 2 + [(0, 0)], "reflect", reflect_type="odd")
    fill = ndimage.grey_closing if dark else ndimage.grey_opening
    paper = fill(wide, (window, window, 1))[window:-window, window:-window]
    difference = smooth - paper
    if dark:  # ink takes the same share of the light from paper in the sun and in the shade
        level = np.median(paper, axis=(0, 1))
        difference *= level / np.maximum(paper, 0.4 * level + 0.01)
    return difference - np.median(difference, axis=(0, 1))


def _noise(ink: np.ndarray) -> float:
    """The standard deviation of noise in the paper, (H, W) -> 0-1."""
    # A third of a normal distribution lies within 0.43. Ink covers less than two thirds of the
    # picture, or, if that is closely cropped, of its edge.
    edges = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    noise = np.quantile(np.abs(edges), 1 / 3)
    if noise > 0:
        noise = min(noise, np.quantile(np.abs(ink), 1 / 3))
    return float(noise / 0.43)


def _thicken(digit: np.ndarray, width: float) -> np.ndarray:
    """Widen strokes thinner than `width` pixels to about that, so that scaling keeps them."""
    inside = np.pad(digit > EDGE_LEVEL, 1)
    # In a bar that is w pixels wide the mean distance to the paper is w/4 + 1/2.
    stroke = 4 * ndimage.distance_transform_edt(inside)[inside].mean() - 2
    missing = 2 * round((width - stroke) / 2)
    if missing <= 0:
        return digit
    return ndimage.grey_dilation(np.pad(digit, missing // 2), size=missing + 1)


MnistImageProcessor.register_for_auto_class()
