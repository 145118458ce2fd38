"""Images as people send them: drawings on a canvas, photographs, and non-digits.

Every function draws from a random generator, so that a seed gives the same image again. "As ink"
means a PIL image of mode L, 0 (background) to 255 (ink).
"""

from colorsys import hsv_to_rgb
from glob import glob
from io import BytesIO

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage
from scipy.interpolate import Akima1DInterpolator, CubicSpline
from scipy.spatial import KDTree
from skimage.morphology import skeletonize

from scripts.strokes import encode

CANVAS = 280  # pixels a side of a drawing
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LIKE_DIGITS = "IlOoSsZzBbgq"
FONTS = sorted(glob("/usr/share/fonts/truetype/liberation/*.ttf"))  # Debian's fonts-liberation


def from_levels(levels: np.ndarray) -> Image.Image:
    """Levels 0-1, (H, W) or (H, W, 3), as an image; what lies beyond is clipped."""
    return Image.fromarray(np.uint8(levels.clip(0, 1) * 255))


def as_jpeg(image: Image.Image, quality: int = 85) -> Image.Image:
    """An image, RGB, as a camera's file has it."""
    return Image.open(BytesIO(encode(image, "JPEG", quality=quality))).convert("RGB")


def pen_drawing(digit: np.ndarray, rng: Generator, pens: tuple = (6, 20)) -> Image.Image:
    """A digit's middle line drawn with a round pen, anywhere on a canvas of 280x280.

    Takes (28, 28) uint8 and the range of the pen's width in pixels; gives ink. The digit is 60-220
    pixels tall, and five pens or more, as with a thick brush nobody draws small.
    """
    return _draw(middle_line(digit), rng, pens)


def tablet_drawing(written: tuple, rng: Generator) -> Image.Image:
    """What `tablet_line` takes, drawn like `pen_drawing`'s, black on white."""
    return ImageOps.invert(_draw(tablet_line(written, rng), rng, (6, 20)))


def scribble(rng: Generator) -> Image.Image:
    """Two to four smooth curves, many with loops, on a canvas of 280x280, as ink."""
    pen, strokes = rng.uniform(6, 20), []
    for _ in range(rng.integers(2, 5)):
        knots = rng.uniform(pen, CANVAS - pen, (rng.integers(3, 8), 2))
        last = len(knots) - 1
        strokes.append(CubicSpline(range(last + 1), knots)(np.linspace(0, last, 600)))
    return _stroke(np.concatenate(strokes), pen)


def number_drawing(lines: list[np.ndarray], gap: str, rng: Generator) -> Image.Image:
    """Digits' middle lines drawn in one pen, slant and height on a common baseline, as ink.

    Takes points (N, 2) of each, as `middle_line` gives them. Neighbours overlap where they are
    slanted; they touch, or keep half a pen to half of their height apart, or stand one a line.
    """
    height = rng.uniform(60, 130)
    pen, slant = height * rng.uniform(0.06, 0.16), rng.uniform(-0.1, 0.4)
    written = np.zeros((0, 2))
    for points in lines:
        points = (points - points.max(0)) / np.ptp(points[:, 1]) * height * rng.uniform(0.85, 1.1)
        points[:, 0] -= slant * points[:, 1]
        if len(written) and gap == "one a line":
            points[:, 1] += written[:, 1].max() + height * rng.uniform(1.3, 1.8)
        elif len(written):
            near = np.abs(points[:, None, 1] - written[-2000:, 1]) < pen
            between = (points[:, None, 0] - written[-2000:, 0])[near].min()
            if gap == "touching":
                apart = rng.uniform(0.2, 0.9) * pen
            else:
                apart = pen * 1.5 + rng.uniform(0, 0.5) * height
            points[:, 0] -= between - apart
        written = np.concatenate([written, points])
    margin = pen + height * rng.uniform(0.1, 0.5)
    size = np.ptp(written, axis=0) + 2 * margin
    return _stroke(written - written.min(0) + margin, pen, size.round().astype(int))


def letter(source: tuple[str, str, int], rng: Generator) -> Image.Image:
    """A printed letter in a font and an image of so many pixels a side.

    White and centred in 28x28, as MNIST's digits are, or black and anywhere on a larger sheet.
    """
    text, font, side = source
    is_small = side == 28
    size = rng.uniform(20, 26) if is_small else rng.uniform(0.3, 0.8) * side
    face = ImageFont.truetype(font, size)
    left, top, right, bottom = face.getbbox(text)
    room = np.array([side - (right - left), side - (bottom - top)])
    x, y = room / 2 if is_small else rng.uniform(0, np.maximum(room, 0))
    ink = Image.new("L", (side, side))
    ImageDraw.Draw(ink).text((x - left, y - top), text, fill=255, font=face)
    return ink if is_small else ImageOps.invert(ink)


def photograph(
    ink: Image.Image, rng: Generator, ruled: bool = False, sides: tuple[int, int] = (200, 640)
) -> Image.Image:
    """Square ink on tinted paper, in uneven light, as a camera sees it: an RGB JPEG.

    `rng` draws the size, of which `sides` limits the longer one, up to 8 degrees of tilt, the
    colours of paper and ink, light with a shadow's edge, blur, noise and quality. `ruled` paper has
    faint lines.
    """
    longer = rng.integers(sides[0], sides[1] + 1)
    height, width = rng.permutation([longer, round(longer * rng.uniform(0.75, 1))])
    side = int(rng.uniform(0.6, 1) * min(height, width))
    tilt = rng.uniform(-8, 8)
    ink = ink.resize((side, side), Image.Resampling.BICUBIC)
    ink = ink.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    ink = ink.resize((side, side), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (width, height))
    sheet.paste(ink, (int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))))

    paper = np.array(hsv_to_rgb(rng.uniform(), rng.uniform(0, 0.25), rng.uniform(0.75, 1)))
    pen = np.array(hsv_to_rgb(rng.uniform(), rng.uniform(), rng.uniform(0.05, 0.6)))
    luminance = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    pen *= min(1, 0.6 * (paper @ luminance) / (pen @ luminance))
    y, x = np.mgrid[:height, :width]
    if ruled:
        across = y * np.cos(np.deg2rad(tilt)) + x * np.sin(np.deg2rad(tilt))
        spacing = rng.uniform(0.12, 0.35) * side
        to_line = np.abs((across + rng.uniform(0, spacing)) % spacing - spacing / 2)
        line = (rng.uniform(0.5, 1.5) + 0.5 - to_line).clip(0, 1)[..., None]
        paper = paper * (1 - line * rng.uniform(0.1, 0.35) * np.array([1, 0.8, 0.4]))
    covered = np.asarray(sheet)[..., None] / 255
    rgb = (paper * (1 - covered) + pen * covered) * _light(x / width, y / height, rng)[..., None]
    blur = rng.uniform(0.3, 1.5) * longer / 400
    rgb = ndimage.gaussian_filter(rgb, (blur, blur, 0))
    rgb += rng.normal(0, rng.uniform(0.01, 0.04), rgb.shape)
    return as_jpeg(from_levels(rgb), int(rng.integers(40, 91)))


def _light(x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Brightness at places (H, W) of 0-1: a gradient, times a shadow with a soft straight edge."""

    def slope() -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        return (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)

    gradient = 1 - rng.uniform(0, 0.4) * (slope() + 0.5)
    edge = (slope() - rng.uniform(-0.4, 0.4)) / rng.uniform(0.01, 0.08)
    return gradient * (1 - rng.uniform(0, 0.4) / (1 + np.exp(-edge.clip(-50, 50))))


def middle_line(digit: np.ndarray) -> np.ndarray:
    """Points (N, 2), x and y, close together along the strokes of a digit (28, 28) uint8."""
    enlarged = Image.fromarray(digit).resize((224, 224), Image.Resampling.BICUBIC)
    smooth = ndimage.gaussian_filter(np.asarray(enlarged, np.float32), 3)
    # Of thick digits only the darkest part, since at half of full ink their holes are closed.
    points = np.argwhere(skeletonize(smooth > 0.6 * smooth.max()))[:, ::-1].astype(float)
    # A skeleton runs in steps of a pixel; the mean of what is near makes it a curve.
    near = KDTree(points).query_ball_point(points, 7)
    return np.array([points[indices].mean(0) for indices in near])


def tablet_line(written: tuple[np.ndarray, tuple], rng: Generator) -> np.ndarray:
    """The pen's way, (600, 2), x and y downwards, of a digit that was written on a tablet.

    Takes eight points (8, 2), x and y upwards, 0-100, as in UCI's pen digits (Alimoglu & Alpaydin
    1996), and between which widths, in heights, the digit may be: the points do not tell.
    """
    points = written[0] * (rng.uniform(*written[1]), -1)
    way = np.cumsum(np.hypot(*np.diff(points, axis=0, prepend=points[:1]).T) + 1e-3)
    smooth = Akima1DInterpolator(way, points, method="makima")
    return smooth(np.linspace(way[0], way[-1], 600))


def _draw(points: np.ndarray, rng: Generator, pens: tuple[float, float]) -> Image.Image:
    """A digit's points (N, 2), x and y, in ink, as large and where `pen_drawing` says."""
    pen = rng.uniform(*pens)
    height = rng.uniform(max(60, 5 * pen), 220)
    size = np.ptp(points, axis=0)
    scale = min((height - pen) / max(size[1], 1), (CANVAS - 2 * pen) / size.max())
    corner = rng.uniform(pen / 2, CANVAS - pen / 2 - scale * size)
    return _stroke((points - points.min(0)) * scale + corner, pen)


def _stroke(points: np.ndarray, pen: float, size: tuple = (CANVAS, CANVAS)) -> Image.Image:
    """A round pen's ink at points (N, 2) on a canvas of that width and height, smooth edges."""
    finer = 4
    ink = Image.new("L", (int(size[0]) * finer, int(size[1]) * finer))
    draw = ImageDraw.Draw(ink)
    for x, y in points * finer:
        draw.circle((x, y), pen / 2 * finer, fill=255)
    return ink.reduce(finer)
