"""Any image of one digit, framed as MNIST frames its digits.

    from image_processing_mnist import MnistImageProcessor

    processor = MnistImageProcessor.from_pretrained("model")
    pixel_values = processor("photo.jpg", return_tensors="pt")["pixel_values"]

MNIST was made by scaling each digit to fit 20x20 pixels, aspect kept, and placing its centre of
mass at the centre of 28x28, white on black (LeCun et al. 1998, "Gradient-based learning applied to
document recognition", section III.A). An image of any kind gets there in four steps:

    to_rgb -> find_marks -> isolate_digit -> frame_digit
"""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import nn
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import load_image
from transformers.utils import cached_file

ImageLike = Image.Image | np.ndarray | torch.Tensor | str | Path
Place = tuple[slice, slice]  # rows and columns

IMAGE_SIZE = 28  # pixels: height and width of the result
DIGIT_SIZE = 20  # pixels: the digit's longer side in it
LINE_HEIGHT, LINE_MARGIN = 32, 2  # pixels: of a line, margins included
WORKING_SIZE = 224  # pixels of the shorter side: larger images are reduced, a digit needs but 20
LONGEST = 5 * WORKING_SIZE  # pixels of the longer side: a row of digits needs more
HUB_OPTIONS = {
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
}
# Contrasts: 0 is the background, 1 is black on white.
MIN_CONTRAST = 0.1  # in a drawing, what differs less from the background is not ink
ONE_COLOUR = 0.05  # pixels that differ less from their median, on average, have one colour
FRAMED_CONTRAST = 0.9  # MNIST's digits reach full white; fainter ink has to be stretched first
# Drawings, whose ink is its difference from the background.
SMALL = 40  # pixels of the shorter side: in smaller images strokes are nothing but edges
MIN_BACKGROUND = 1 / 3  # of the image, or of a small image's edge, even around a thick digit
FLAT = 0.03  # of full ink: the same pen differs less, but for the edges of its strokes
MAX_UNEVEN = 0.01  # share of the ink that is neither of that pen nor at an edge: else, a photograph
# Probabilities of marks.
MIN_MARK = 0.1  # less is background
SURE_MARK = 0.85  # a tenth of the writing reaches it: else the image is blank
SURE_PART = 0.9  # the quantile where that tenth begins: noise has single such pixels, a pen many
# Shapes.
EDGE_LEVEL = 0.25  # of full ink: where a stroke ends; at this level MNIST's digits span 20 pixels
SPECK_SHARE = 0.04  # of the largest part's area: smaller parts are dirt
EDGE_SPECK_SHARE = 0.25  # the same at the image's edge, if the largest part keeps clear of it
ENCLOSED = 0.3  # of a frame's height: what is lower, as a dot in a 0, is of the same digit
RULE_THICKNESS = 0.22  # of a rule's length: the box around a bar that is tilted by 8 degrees
EVEN = 1.5  # times a rule's thickness, and a pixel: touching digits are thicker somewhere
MIN_BAR = 40  # pixels: of a smaller part the directions are noise
FORM_SHARE = 1 / 3  # of a bar's pixels: with more, all of it is a form
FULL_BAR = 1.5  # times its area: a bar's width by length is no more; a T's or an L's is
RULE_LENGTH = 1.6  # of the tallest other part's height, at least: no digit is so long
POINT_LENGTH = 5  # the same: from there on the others are as low as points, and it may be a 1
MOST_PARTS = 100  # in an image with more, none is a frame or a rule
TALL = 0.75  # quantile of the parts' heights: digits, beside points, or a rule that joins some
LOW = 0.45  # of that height: what is lower, as a point, is not searched for
COARSE = 64  # pixels: lower digits are found anew, at a higher resolution
MARGIN = 0.5  # of their height, around them
LONG = 2.5  # heights: a longer line is made level
MIN_STROKE = 1.8  # pixels after scaling: thinner strokes would fade, and are widened to this


class InkFinder(nn.Module):
    """Tells of each pixel whether a pen or a printer has marked it, however faintly, in any light.

    A U-Net (Ronneberger et al. 2015) with batch normalisation (Ioffe & Szegedy 2015) that starts at
    half the resolution, its input's 2x2 pixels as channels, and halves it four times more.

    Args:
        channels: At each resolution, from the finest.
    """

    FILE = "ink_finder.safetensors"
    SIZE = 128  # pixels of the shorter side, as in training
    LONGEST = 5 * SIZE  # pixels of the longer side
    STEP = 32  # pixels: each side is halved five times

    def __init__(self, channels: tuple[int, ...] = (16, 32, 48, 64, 64)):
        super().__init__()

        def convolution(before: int, after: int) -> nn.Sequential:
            layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
            return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU())

        pairs = [*pairwise(channels)]
        self.stem = convolution(12, channels[0])
        self.down = nn.ModuleList(
            nn.Sequential(convolution(fine, coarse), convolution(coarse, coarse))
            for fine, coarse in pairs
        )
        self.up = nn.ModuleList(convolution(coarse + fine, fine) for fine, coarse in pairs[::-1])
        self.classifier = nn.Conv2d(channels[0], 8, 3, padding=1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Find marks.

        Args:
            pixel_values: (B, 3, H, W) float RGB, on any scale: contrast is normalised. H and W are
                multiples of 32.

        Returns:
            Logits (B, 2, H, W): of writing, and of forms: rules, squares, margins, boxes and cells.
        """
        pixels = pixel_values - pixel_values.mean((2, 3), keepdim=True)
        pixels = pixels / pixels.std((1, 2, 3), keepdim=True).clamp(min=1e-4)
        features = [self.stem(F.pixel_unshuffle(pixels, 2))]
        for stage in self.down:
            features.append(stage(F.max_pool2d(features[-1], 2)))
        coarse = features.pop()
        for stage in self.up:
            coarse = stage(torch.cat([F.interpolate(coarse, scale_factor=2), features.pop()], 1))
        return F.pixel_shuffle(self.classifier(coarse), 2)

    @torch.inference_mode()
    def predict(self, rgb: np.ndarray) -> np.ndarray:
        """An image (H, W, 3) float32 0-1 -> the probabilities of writing and forms, (2, H, W)."""
        size = rgb.shape[:2]
        scale = max(min(size) / self.SIZE, max(size) / self.LONGEST)
        known = [max(1, round(side / scale / self.STEP)) * self.STEP for side in size]
        pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        pixels = F.interpolate(pixels, known, mode="bilinear", antialias=True)
        marks = self(pixels.contiguous(memory_format=torch.channels_last)).sigmoid()
        return F.interpolate(marks, size, mode="bilinear", antialias=True)[0].numpy()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options) -> "InkFinder":
        """The one that is saved with a processor.

        Args:
            name_or_path: A model on the Hub, a folder, or the processor's file in it.
            options: Some of `MnistImageProcessor.from_pretrained`'s.

        Raises:
            OSError: it is missing or damaged, or the Hub is out of reach.
        """
        folder = Path(name_or_path).parent if os.path.isfile(name_or_path) else name_or_path
        hub_options = {key: options[key] for key in HUB_OPTIONS & options.keys()}
        finder = cls()
        try:
            finder.load_state_dict(load_file(cached_file(folder, cls.FILE, **hub_options)))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise OSError(
                f"{folder} has no {cls.FILE} that can be loaded. Download it again. If an earlier "
                f"train.py has made it, train it anew, or load it with its own code "
                f"(trust_remote_code=True). The cause: {error}"
            ) from error
        return finder


class Ink(NamedTuple):
    """The ink in an image, or in the part of it that holds ink.

    Attributes:
        pixels: (h, w) float32, 0 (background) to 1 (ink).
        corner: The left and the top of these in the image after its EXIF rotation, in its pixels.
        scale: How many pixels of the image each of these is wide and high.
    """

    pixels: np.ndarray
    corner: tuple[int, int]
    scale: int


class MnistImageProcessor(BaseImageProcessor):
    """Finds the digit in an image and frames it as MNIST does."""

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, ink_finder: InkFinder | None = None, **kwargs):
        super().__init__(**kwargs)
        self.ink_finder = ink_finder and ink_finder.eval().requires_grad_(False)

    @classmethod
    def get_image_processor_dict(cls, name_or_path: str | Path, **kwargs) -> tuple[dict, dict]:
        """What `from_pretrained` makes a processor of; `OSError` if some of it is missing."""
        settings, unused = super().get_image_processor_dict(name_or_path, **kwargs)
        return settings | {"ink_finder": InkFinder.from_pretrained(name_or_path, **kwargs)}, unused

    def to_json_file(self, json_file_path: str | Path) -> None:
        """Write the settings, and the ink finder beside them: what `save_pretrained` calls."""
        self.check_ink_finder()
        super().to_json_file(json_file_path)
        save_file(self.ink_finder.state_dict(), Path(json_file_path).with_name(InkFinder.FILE))

    def check_ink_finder(self) -> None:
        """Raise a `ValueError` that says what to do, if there is none."""
        if self.ink_finder is None:
            raise ValueError(
                "This image processor has no ink finder. Load one that is saved with a model: "
                "MnistImageProcessor.from_pretrained(...)."
            )

    def to_dict(self) -> dict:
        """The settings, which JSON takes: without the ink finder."""
        return {key: value for key, value in super().to_dict().items() if key != "ink_finder"}

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
        if not isinstance(images, (list, tuple)) and getattr(images, "ndim", 0) != 4:
            images = [images]
        pixel_values = [self.frame(image)[None] for image in images]
        return BatchFeature({"pixel_values": pixel_values}, tensor_type=return_tensors)

    def frame(self, image: ImageLike) -> np.ndarray:
        """The digit in one image -> (28, 28) float32, 0 (background) to 1 (ink)."""
        return self.frame_ink(self.find_ink(image).pixels)

    def find_ink(self, image: ImageLike) -> Ink:
        """The ink in one image; of a large one, that of small digits at a higher resolution."""
        image = to_pil(image)
        scale = reduction(image.size)
        ink, marks = self.find_marks(to_rgb(image))
        found = Ink(ink, (0, 0), scale)
        box = np.array(box_to_enlarge(ink, marks)) * scale if scale > 1 else []
        if not len(box):
            return found
        image = upright(image)
        left, top, right, bottom = box.round().astype(int).clip(0, np.tile(image.size, 2)).tolist()
        part = image.crop((left, top, right, bottom))
        if reduction(part.size) == scale:
            return found
        ink, _ = self.find_marks(to_rgb(part))
        return Ink(ink, (left, top), reduction(part.size)) if (ink > EDGE_LEVEL).any() else found

    def find_marks(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ink in (H, W, 3) float32 0-1, and all marks, forms too: (H, W) float32 0-1 each."""
        grey = rgb[..., 0]
        if is_framed(grey) and not (edge(rgb).any() or np.ptp(rgb, axis=2).any()):
            return grey.copy(), grey  # one of MNIST's own
        marks = ink = drawn_ink(rgb)
        if ink is None:
            self.check_ink_finder()
            ink, form = self.ink_finder.predict(rgb)
            ink, form = ink * (ink > MIN_MARK), form * (form > MIN_MARK)
            marks = np.maximum(ink, form)
            written = ink[ink > np.maximum(form, EDGE_LEVEL)]
            if not written.size or np.quantile(written, SURE_PART) < SURE_MARK:
                ink[:] = 0
            else:
                ink *= ~straight_forms(ink, form)
        return without_forms(ink), marks

    def frame_ink(self, ink: np.ndarray) -> np.ndarray:
        """The digit in (H, W) ink, or in a part of it -> (28, 28) float32 0-1."""
        if is_framed(ink):
            return ink.clip(0, 1).astype(np.float32)
        return self.frame_part(isolate_digit(ink))

    def frame_part(self, ink: np.ndarray) -> np.ndarray:
        """Cropped ink (h, w) 0-1 that may be a digit -> (28, 28) float32 0-1."""
        return frame_digit(ink) if ink.any() else np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)

    def frame_line(self, ink: np.ndarray) -> tuple[np.ndarray, float]:
        """A cropped line (h, w) 0-1 -> (32, W) float32 0-1, and the width of one of its pixels."""
        return frame_line(ink)


def to_rgb(image: Image.Image) -> np.ndarray:
    """A PIL image of any mode -> (H, W, 3) float32 0-1, reduced as `reduction` says, no alpha."""
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        image = reduce(image)  # first, as every other step would copy all of a large photo
    image = upright(image)
    if image.mode.startswith(("I", "F")):  # 16- and 32-bit grey, which convert() would clip
        levels = np.nan_to_num(np.asarray(image, np.float32))
        image = Image.fromarray(np.uint8(levels.clip(0) / max(levels.max(), 1) * 255))
    has_alpha = image.has_transparency_data
    image = reduce(image.convert("RGBA" if has_alpha else "RGB"))
    pixels = np.asarray(image, np.float32) / 255
    if has_alpha and pixels[..., 3].min() < 1:  # a canvas sends alpha without transparency
        return flatten_alpha(pixels)
    return np.ascontiguousarray(pixels[..., :3])


def to_pil(image: ImageLike) -> Image.Image:
    """An image of any kind -> PIL image, as large as it is."""
    if isinstance(image, (str, Path)):
        return Image.open(image) if os.path.isfile(image) else load_image(str(image))
    return image if isinstance(image, Image.Image) else array_to_pil(image)


def array_to_pil(array: np.ndarray | torch.Tensor) -> Image.Image:
    """An array or tensor, as `MnistImageProcessor.preprocess` takes it -> 8-bit PIL image."""
    if not isinstance(array, (np.ndarray, torch.Tensor)):
        raise ValueError(
            f"An image must be a PIL image, an array, a tensor, a path or a URL, "
            f"not {type(array).__name__}."
        )
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().float()  # numpy knows no bfloat16
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


def upright(image: Image.Image) -> Image.Image:
    """An image rotated as its EXIF data says."""
    with suppress(Exception):  # an image whose EXIF data is corrupted stays as it is
        image = ImageOps.exif_transpose(image)
    return image


def reduction(size: Sequence[int]) -> int:
    """By what to divide an image's sides, so that they are 224 by 1120 pixels at most."""
    return max(1, math.ceil(min(size) / WORKING_SIZE), math.ceil(max(size) / LONGEST))


def reduce(image: Image.Image) -> Image.Image:
    """An image at its working size."""
    factor = reduction(image.size)
    return image.reduce(factor) if factor > 1 else image


def flatten_alpha(rgba: np.ndarray) -> np.ndarray:
    """Lay a transparent image on a background: (H, W, 4) 0-1 -> (H, W, 3) 0-1.

    If all that is opaque has one colour, it is ink on a transparent canvas: the background becomes
    black or white, whichever is farther from it. Otherwise the background is part of the image, and
    what is transparent takes its colour.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    opaque = rgb[alpha[..., 0] > alpha.max() / 2]  # a thin pen is nowhere opaque once it is reduced
    if len(opaque) == 0:
        return np.ones_like(rgb)
    background = np.median(opaque, axis=0)
    if np.abs(opaque - background).max(1).mean() < ONE_COLOUR:
        background = np.full(3, 1.0 if background.mean() < 0.5 else 0.0)
    return (rgb * alpha + background * (1 - alpha)).astype(np.float32)


def drawn_ink(rgb: np.ndarray) -> np.ndarray | None:
    """The ink of one pen on a background of exactly one colour, as in drawings: the difference.

    For these it loses less than the ink finder does, and takes a fraction of the time. Dark on
    light, light on dark and coloured are all alike.

    Args:
        rgb: (H, W, 3) float32 0-1.

    Returns:
        (H, W) float32, 0 (background) to 1 (full ink). None if the image is of another kind.
    """
    colours = edge(rgb)
    _, first, counts = np.unique(colours @ (65536, 256, 1), return_index=True, return_counts=True)
    background = np.tile(colours[first[counts.argmax()]], rgb.shape[1])  # faster than to broadcast
    difference = (rgb.reshape(len(rgb), -1) - background).reshape(-1, 3)
    strength = np.abs(difference) @ np.ones(3, np.float32)
    if not strength.any():
        return np.zeros(rgb.shape[:2], np.float32)
    is_small = min(rgb.shape[:2]) < SMALL
    share = counts.max() / len(colours) if is_small else np.mean(strength == 0)
    if share < MIN_BACKGROUND:
        return None
    # The ink is on whichever side of the background holds the stronger differences. A difference
    # times the direction is a contrast: 1 for black and white, which are sqrt(3) apart.
    direction = strength @ difference
    direction /= max(np.linalg.norm(direction), 1e-6) * np.sqrt(3)
    ink = (difference @ direction).reshape(rgb.shape[:2])
    ink[ink < MIN_CONTRAST] = 0
    if not ink.any():  # faint, or in dim light
        return None
    ink /= ink.max()
    if is_small:
        return ink
    inside, flat = ink > EDGE_LEVEL, ink > 1 - FLAT
    at_edge = near(flat) & near(ink == 0)
    uneven = np.count_nonzero(inside & ~flat & ~at_edge)
    return ink if uneven < MAX_UNEVEN * np.count_nonzero(inside) else None


def near(mask: np.ndarray) -> np.ndarray:
    """What lies within two pixels of (H, W) bool, several times faster than by scipy's filters."""
    wide = with_border(mask, 2)
    tall = np.logical_or.reduce([wide[:, n : n + mask.shape[1]] for n in range(5)])
    return np.logical_or.reduce([tall[n : n + mask.shape[0]] for n in range(5)])


def with_border(image: np.ndarray, width: int) -> np.ndarray:
    """(H, W) with so many pixels of 0 around it: what `np.pad` gives, in a quarter of its time."""
    wide = np.zeros(np.add(image.shape, 2 * width), image.dtype)
    wide[width : width + image.shape[0], width : width + image.shape[1]] = image
    return wide


def edge(image: np.ndarray) -> np.ndarray:
    """The outermost pixels, (H, W, ...) -> (2W + 2H, ...)."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def extent(mask: np.ndarray) -> Place:
    """The rows and columns that hold all that is true in (H, W) bool."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def is_framed(ink: np.ndarray) -> bool:
    """Whether ink (H, W) is framed as MNIST's digits are, give or take a pixel."""
    if ink.shape != (IMAGE_SIZE, IMAGE_SIZE) or ink.max() < FRAMED_CONTRAST:
        return False
    size = max(ink[extent(ink > EDGE_LEVEL)].shape)
    off_centre = np.abs(np.subtract(ndimage.center_of_mass(ink), IMAGE_SIZE / 2)).max()
    return abs(size - DIGIT_SIZE) <= 1 and off_centre <= 1


def box_to_enlarge(ink: np.ndarray, marks: np.ndarray) -> tuple[float, ...]:
    """Left, top, right and bottom around the ink of small digits; nothing if they are large.

    Args:
        ink: (H, W) 0-1.
        marks: (H, W) 0-1. What of them goes on from the ink to its left or right is included: among
            the lines of a form, small digits are easily taken for forms themselves.
    """
    parts, areas = parts_of(ink)
    large = areas[1:] > SPECK_SHARE * areas.max()
    places = [place for place, kept in zip(ndimage.find_objects(parts), large, strict=True) if kept]
    heights = [rows.stop - rows.start for rows, _ in places] or [COARSE]
    height = np.quantile(heights, TALL, method="nearest")
    if height >= COARSE:
        return ()
    digits = [place for place in places if place[0].stop - place[0].start >= LOW * height]
    first = min(rows.start for rows, _ in digits) - height
    last = max(rows.stop for rows, _ in digits) + height
    beside = ndimage.find_objects(parts_of(marks)[0])
    places = digits + [p for p in beside if p[0].start < last and p[0].stop > first]
    low = np.min([(columns.start, rows.start) for rows, columns in places], 0) - MARGIN * height
    high = np.max([(columns.stop, rows.stop) for rows, columns in places], 0) + MARGIN * height
    return *low, *high


def without_forms(ink: np.ndarray) -> np.ndarray:
    """(H, W) ink without frames around other ink, and without lines far longer than digits."""
    parts, areas = parts_of(ink)
    numbers = np.flatnonzero(areas > SPECK_SHARE * areas.max())
    if not 1 < len(numbers) <= MOST_PARTS or min(ink.shape) < SMALL:
        return ink
    found = ndimage.find_objects(parts)
    places = {number: found[number - 1] for number in numbers}
    frames = {
        number
        for number, place in places.items()
        if any(encloses(parts, number, place, other) for other in places.values())
    }
    others = {number: place for number, place in places.items() if number not in frames}
    heights = {number: rows.stop - rows.start for number, (rows, _) in others.items()}
    rules = {
        number
        for number, place in others.items()
        if is_rule(place, max((heights[n] for n in others if n != number), default=0), ink.shape)
        and is_even(parts[place] == number)
    }
    forms = np.array([*frames, *rules])
    if not len(forms):
        return ink
    return ink * ~ndimage.binary_dilation(np.isin(parts, forms), np.ones((3, 3)))


def straight_forms(ink: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Which of (H, W) pixels lie in straight parts that are forms for a third at least, (H, W)."""
    parts, areas = parts_of(np.maximum(ink, form))
    shares = ndimage.mean(form > ink, parts, np.arange(len(areas)))
    straight = [
        number
        for number, place in enumerate(ndimage.find_objects(parts), 1)
        if shares[number] > FORM_SHARE and is_bar(parts[place] == number)
    ]
    return ndimage.binary_dilation(np.isin(parts, straight), np.ones((3, 3)))


def is_bar(part: np.ndarray) -> bool:
    """Whether (h, w) bool is long and narrow, in any direction, and has nothing at its sides."""
    area = np.count_nonzero(part)
    if area < MIN_BAR:
        return False
    # Of a bar, the variances across and along it are a twelfth of its squared width and length.
    across, along = np.sqrt(12 * np.linalg.eigvalsh(np.cov(np.nonzero(part))).clip(0))
    return across < RULE_THICKNESS * along and across * along < FULL_BAR * area


def is_rule(place: Place, height: int, size: tuple[int, int]) -> bool:
    """Whether a part is thin, and 1.6 to 5 times as long as others are high.

    It may be even longer if it runs from edge to edge.

    Args:
        place: Its rows and columns.
        height: Of the tallest other part, in pixels.
        size: Height and width of the image.
    """
    sides = [side.stop - side.start for side in place]
    across, length = sorted(sides)
    if across > RULE_THICKNESS * length or length < RULE_LENGTH * height:
        return False
    return length < POINT_LENGTH * height or any(np.equal(sides, size))


def is_even(part: np.ndarray) -> bool:
    """Whether (h, w) bool, low or narrow, is nowhere thick: digits in a row that touch are."""
    thickness = part.sum(np.argmin(part.shape))
    return thickness.max() <= EVEN * np.median(thickness) + 1


def encloses(parts: np.ndarray, number: int, place: Place, other: Place) -> bool:
    """Whether part `number` of (H, W), at some place, lies on all four sides of another place."""
    rows, columns = other
    if rows.stop - rows.start < ENCLOSED * (place[0].stop - place[0].start):
        return False
    y, x = (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2
    if not (place[0].start < y < place[0].stop and place[1].start < x < place[1].stop):
        return False
    above, below = parts[: rows.start, x], parts[rows.stop :, x]
    left, right = parts[y, : columns.start], parts[y, columns.stop :]
    return all(number in side for side in (above, below, left, right))


def isolate_digit(ink: np.ndarray) -> np.ndarray:
    """The digit alone, cropped: (H, W) ink -> (h, w) float32 0-1, empty where there is no ink.

    Specks go; a second stroke, as in 4 or 5, stays.
    """
    parts, areas = parts_of(ink)
    if not areas.any():
        return ink[:0]
    kept = areas > SPECK_SHARE * areas.max()
    at_edge = edge(parts)
    if areas.argmax() not in at_edge:  # what comes in from outside of the image is of other things
        kept[at_edge] &= areas[at_edge] > EDGE_SPECK_SHARE * areas.max()
    digit = kept[parts]
    box = extent(digit)
    # One pixel around the strokes holds their soft edges.
    return ink[box] * ndimage.grey_dilation(digit[box], 3)


def parts_of(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of (H, W) ink, numbered from 1 on, and the area of each, after a 0, in pixels."""
    parts, _ = ndimage.label(ink > EDGE_LEVEL, np.ones((3, 3)))
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    return parts, areas


def frame_digit(digit: np.ndarray) -> np.ndarray:
    """Scale a cropped digit (h, w) 0-1 and centre its mass -> (28, 28) 0-1."""
    # More than a digit, or a long one.
    if (factor := math.ceil(max(digit.shape) / WORKING_SIZE)) > 1:
        digit = np.asarray(Image.fromarray(digit).reduce(factor))
    scale = 1.0
    if abs(max(digit.shape) - DIGIT_SIZE) > 1:  # resampling what fits would only blur it
        digit = widen(digit, MIN_STROKE * max(digit.shape) / DIGIT_SIZE)
        scale = DIGIT_SIZE / max(digit.shape)
    # The frame in pixels of the digit: how large it is, and where in it the centre of mass belongs.
    side = IMAGE_SIZE / scale
    centre = (IMAGE_SIZE / 2 + 0.5) / scale
    corner = np.add(ndimage.center_of_mass(digit), 0.5) - centre
    # All of the digit stays within the frame, even where that takes it off its centre.
    corner = corner.clip(np.subtract(digit.shape, side), 0)
    margin = int(np.ceil(side)) - min(digit.shape)
    top, left = margin + (corner.round() if scale == 1 else corner)
    box = left, top, left + side, top + side
    framed = Image.fromarray(with_border(digit, margin))
    framed = framed.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.HAMMING, box)
    framed = np.asarray(framed).clip(0, 1)
    return framed / framed.max()


def frame_line(ink: np.ndarray) -> tuple[np.ndarray, float]:
    """Scale a cropped line (h, w) 0-1 -> (32, W) 0-1, and the side of a new pixel in old ones.

    A long line is made level. It fills 28 rows, or fewer where it would exceed 1,120 columns.
    """
    ink = level(ink)
    step = max(ink.shape[0] / (LINE_HEIGHT - 2 * LINE_MARGIN), ink.shape[1] / LONGEST)
    widened = widen(ink, MIN_STROKE * step)
    added = (len(widened) - len(ink)) // 2
    size = max(1, round(ink.shape[1] / step)), LINE_HEIGHT
    margin = math.ceil(LINE_HEIGHT * step)
    left, top = margin + added, margin + added + (ink.shape[0] - LINE_HEIGHT * step) / 2
    box = left, top, left + size[0] * step, top + LINE_HEIGHT * step
    line = Image.fromarray(with_border(widened, margin).astype(np.float32))
    line = line.resize(size, Image.Resampling.HAMMING, box)
    return np.asarray(line).clip(0, 1), step


def level(line: np.ndarray) -> np.ndarray:
    """Move the columns of a long line (h, w) 0-1 up or down, so that its ink has no slope."""
    if line.shape[1] < LONG * line.shape[0]:  # of few digits: which they are decides the slope
        return line
    (_, both), (_, horizontal) = np.cov(np.nonzero(line > EDGE_LEVEL))
    if not horizontal > 0:  # hardly any ink
        return line
    slope = both / horizontal  # of the regression of rows on columns
    drop = math.ceil(abs(slope) * line.shape[1] / 2)
    size = line.shape[1], len(line) + 2 * drop
    matrix = 1, 0, 0, slope, 1, -slope * line.shape[1] / 2 - drop
    image = Image.fromarray(line.astype(np.float32))
    image = image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    levelled = np.asarray(image)
    rows = np.flatnonzero((levelled > EDGE_LEVEL).any(1))
    if not len(rows):  # a hair, that resampling has made faint
        return line
    return levelled[max(rows[0] - 1, 0) : rows[-1] + 2]


def widen(digit: np.ndarray, width: float) -> np.ndarray:
    """Widen strokes thinner than `width` pixels to about that, so that scaling keeps them."""
    inside = with_border(digit > EDGE_LEVEL, 1)
    if not inside.any():  # fine dots, that reducing has made faint
        return digit
    # In a bar that is w pixels wide the mean distance to the background is w/4 + 1/2.
    stroke = 4 * ndimage.distance_transform_cdt(inside)[inside].mean() - 2
    missing = 2 * round((width - stroke) / 2)
    if missing <= 0:
        return digit
    return ndimage.grey_dilation(with_border(digit, missing // 2), size=missing + 1)


MnistImageProcessor.register_for_auto_class()
