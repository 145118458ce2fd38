"""Simulated images as people send them, and which of their pixels a pen or a printer has marked.

    image, marks = photograph(glyphs, np.random.default_rng(0))

`image` is (128, 128, 3) uint8; `marks` is (2, 128, 128) uint8, 0 to 255: writing, circles around it
included, and forms, that is rules, squares, margins, boxes and cells. Light, shadows, folds, the
table and the edge of a photograph are no marks. Each kind is a function; docs/photographs.png shows
them.

How often each kind is drawn, and how strongly, are assumptions about what people send: broad ones,
none of them fitted to a benchmark's images.

On the way an image is a scene, (5, 128, 128) float32: red, green, blue, writing, forms, 0-1 each.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from image_processing_mnist import InkFinder
from training.glyphs import MARGIN, Glyph
from training.non_digits import shape

SIZE = InkFinder.SIZE  # pixels a side
FINER = 3  # lines are drawn so many times as large, for smooth edges
BLANK_SHARE = 0.15
OUTWARD = np.array([-1, -1, 1, 1])  # of the sides of a box
Y, X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


Generator = np.random.Generator
Points = Sequence[tuple[float, float]] | np.ndarray


def photograph(glyphs: Sequence[Glyph], rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image and its marks, as the module says."""
    writing, pen = np.zeros((SIZE, SIZE), np.float32), float(rng.uniform(1, 8))
    if rng.random() > BLANK_SHARE:
        layout = rng.choice(list(LAYOUTS), p=list(LAYOUTS.values()))
        writing, pen = layout(glyphs, rng)
    circle, form = np.zeros((2, SIZE, SIZE), np.float32)
    if rng.random() < 0.09:
        circle = draw_lines(rng, {circle_around: 1}, writing)
    elif rng.random() < 0.5:
        form = draw_lines(rng, FORMS, writing)
    background, ink = two_colours(rng)
    is_photo = rng.random() < 0.65
    scene = np.zeros((5, SIZE, SIZE), np.float32)
    lay_on(scene, np.ones((SIZE, SIZE)), background)
    if is_photo and rng.random() < 0.5:  # paper is not quite even
        fibres = rng.uniform(0, 0.08) * smooth(rng, rng.choice([8, 32, 64]))
        scene[:3] *= 1 + fibres
    line_colour = another_ink(background, ink, rng)
    faint = rng.uniform(0.1, 0.5)
    lay_on(scene, form, line_colour, rng.choice([faint, 1], p=[0.6, 0.4]))
    lay_on(scene, circle, line_colour if rng.random() < 0.5 else ink)
    strength = rng.uniform(0.2, 0.6) if rng.random() < 0.25 else rng.uniform(0.6, 1)
    lay_on(scene, writing * pressure(rng, pen), ink, strength)
    scene[3] = np.maximum(writing, circle)
    scene[4] = form * (1 - scene[3])
    if rng.random() < (0.04 if scene[3].any() else 0.35):
        scene = thing(scene, rng)
    if is_photo:
        for kind, share in ON_PHOTOS.items():
            if rng.random() < share:
                scene = kind(scene, rng)
    if rng.random() < 0.35:
        softness = pen if rng.random() < 0.4 else 2.0
        sigma = rng.uniform(0.15, 0.5) * softness
        scene[:3] = ndimage.gaussian_filter(scene[:3], (0, sigma, sigma), truncate=2.5)
    if is_photo:
        scene = exposed(scene, rng)
    for kind, share in AFTERWARDS.items():
        if rng.random() < share * (1 if is_photo else 0.6):
            scene = kind(scene, rng)
    layers = np.uint8(scene.clip(0, 1) * 255 + 0.5)
    image = Image.fromarray(layers[:3].transpose(1, 2, 0))
    if rng.random() < (0.6 if is_photo else 0.2):
        image = as_jpeg(image, rng)
    return np.asarray(image), layers[3:]


# What is written: the share of each pixel that ink covers, (SIZE, SIZE), and the pen in pixels.


def one_glyph(glyphs: Sequence[Glyph], rng: Generator) -> tuple[np.ndarray, float]:
    """One character, from a fourteenth of the image to all of it, at times cut by its edge."""
    if rng.random() < 0.55:
        return write_row(glyphs, 1, SIZE * rng.uniform(0.4, 1.05), rng)
    return write_row(glyphs, 1, SIZE * log_uniform(rng, 0.07, 0.6), rng)


def close_up(glyphs: Sequence[Glyph], rng: Generator) -> tuple[np.ndarray, float]:
    """One character that fills the image from edge to edge, or is cut by some."""
    height = SIZE * rng.uniform(0.5, 0.8)
    pen = height * rng.uniform(0.04, 0.3)
    written, _ = write_row(glyphs, 1, height, rng, SIZE * 0.1, pen)
    if not (found := Image.fromarray(written > 0.5).getbbox()):
        return written, pen
    sides = np.array(found, float)
    sides += rng.uniform(-0.04, 0.1, 4) * (sides[2:] - sides[:2]).max() * OUTWARD
    image = Image.fromarray(np.pad(written, SIZE // 4))
    box = tuple((sides + SIZE // 4).tolist())
    filled = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
    return np.asarray(filled), pen * SIZE / (sides[3] - sides[1])


def row_of_glyphs(glyphs: Sequence[Glyph], rng: Generator) -> tuple[np.ndarray, float]:
    """A row of two to eight, as one hand writes them with one pen."""
    height = SIZE * log_uniform(rng, 0.08, 0.6)
    return write_row(glyphs, int(rng.integers(2, 9)), height, rng)


def page_of_glyphs(glyphs: Sequence[Glyph], rng: Generator) -> tuple[np.ndarray, float]:
    """Several rows."""
    count = int(rng.integers(2, 5))
    height = SIZE * rng.uniform(0.06, 0.6 / count)
    pen, page = None, np.zeros((SIZE, SIZE), np.float32)
    for row in range(count):
        top = (row + rng.uniform(0.1, 0.3)) * SIZE / count
        line, pen = write_row(glyphs, int(rng.integers(1, 9)), height, rng, top, pen)
        page = np.maximum(page, line)
    return page, pen


LAYOUTS = {one_glyph: 0.52, close_up: 0.1, row_of_glyphs: 0.27, page_of_glyphs: 0.11}


def write_row(
    glyphs: Sequence[Glyph],
    count: int,
    height: float,
    rng: Generator,
    top: float | None = None,
    pen: float | None = None,
) -> tuple[np.ndarray, float]:
    """`count` glyphs side by side, apart or touching."""
    if pen is None:
        pen = max(0.8, height * np.exp(rng.normal(np.log(0.075), 0.6)).clip(0.012, 0.3))
    shear, angle = rng.normal(0, 0.12), rng.normal(0, 0.08)
    slope, gap = np.tan(angle), rng.uniform(-0.05, 0.4)
    if top is None:
        overlap = 0.08 * height  # as much may lie beyond the image
        top = rng.uniform(-overlap, max(SIZE - height + overlap, 1 - overlap))
    written, left = np.zeros((SIZE, SIZE), np.float32), None
    for _ in range(count):
        glyph = glyphs[rng.integers(len(glyphs))]
        size = height * np.exp(rng.normal(0, 0.08)) if count > 1 else height
        drawn = glyph.draw(size, pen, rng, shear, angle)
        margin = MARGIN * size / (len(glyph.distances) - 2 * MARGIN)
        inner = drawn.shape[1] - 2 * margin
        if left is None:
            room = max(SIZE - inner * count, 0)
            left = rng.uniform(-0.08 * inner, room + 0.08 * inner)
        elif left > SIZE:
            break
        sag = slope * (left - SIZE / 2) if count > 1 else 0
        y = round(top + sag - (len(drawn) - height) / 2)
        paste(written, drawn, y, round(left - margin))
        left += inner + gap * height * np.exp(rng.normal(0, 0.3))
    return written, pen


def paste(onto: np.ndarray, drawn: np.ndarray, top: int, left: int) -> None:
    """Lay (h, w) on (SIZE, SIZE), in place; what lies beyond is lost."""
    rows = slice(max(top, 0), max(min(top + drawn.shape[0], SIZE), 0))
    columns = slice(max(left, 0), max(min(left + drawn.shape[1], SIZE), 0))
    part = drawn[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if part.size:
        onto[rows, columns] = np.maximum(onto[rows, columns], part)


BEFORE, BEYOND = -0.03, 1.03  # of an image: where lines that run from edge to edge begin and end

# Lines, each through points x and y; 0 to 1 lie in the image. `box` is that of what is written.


def ruled(box: np.ndarray, rng: Generator) -> list[Points]:
    """Lines from edge to edge, evenly apart, slightly tilted."""
    step, slope = rng.uniform(0.1, 0.5), rng.normal(0, 0.06)
    heights = np.arange(rng.uniform(-0.5, 1) * step, 1 + step, step)
    return [[(BEFORE, y - slope), (BEYOND, y + slope)] for y in heights]


def squared(box: np.ndarray, rng: Generator) -> list[Points]:
    """Such lines both ways."""
    step, slope = rng.uniform(0.06, 0.4), rng.normal(0, 0.06)
    across, down = rng.uniform(-0.5, 1, 2) * step
    offsets = np.arange(-step, 1 + 2 * step, step)
    level = [[(BEFORE, y - slope), (BEYOND, y + slope)] for y in across + offsets]
    return level + [[(x + slope, BEFORE), (x - slope, BEYOND)] for x in down + offsets]


def margin_line(box: np.ndarray, rng: Generator) -> list[Points]:
    """One line, upright or level, close to what is written or anywhere.

    It runs from edge to edge, or ends within the image, if it is far longer than what is written.
    """
    is_level = rng.random() < 0.3
    left, top, right, bottom = box[[1, 0, 3, 2]] if is_level else box
    at = rng.choice([rng.random(), left - rng.uniform(0.01, 0.1), right + rng.uniform(0.01, 0.1)])
    start, end = BEFORE, BEYOND
    longer = 1.7 * (bottom - top)
    if longer < 0.9 and rng.random() < 0.7:
        length = rng.uniform(max(longer, 0.4), 1)
        start = rng.uniform(min(0, bottom - length), max(1 - length, top))
        end = start + length
    lean = rng.normal(0, 0.05)
    ends = np.array([[at - lean, start], [at + lean, end]])
    return [ends[:, ::-1] if is_level else ends]


def box_around(box: np.ndarray, rng: Generator) -> list[Points]:
    """A rectangle around it, by ruler or by hand."""
    left, top, right, bottom = box + rng.uniform(0.05, 0.4, 4) * (box[2:] - box[:2]).max() * OUTWARD
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    return [corners + rng.normal(0, rng.choice([0, 0.02]) * (right - left), corners.shape)]


def cells(box: np.ndarray, rng: Generator) -> list[Points]:
    """A row of boxes, of which it stands in one or in all."""
    left, top, right, bottom = box + rng.uniform(0.05, 0.3) * (box[2:] - box[:2]).max() * OUTWARD
    if rng.random() < 0.5:
        edges = np.linspace(left, right, rng.integers(2, 7))
    else:
        edges = left + (right - left) * np.arange(-rng.integers(0, 4), 1 + rng.integers(1, 5))
    upright = [[(edge, top), (edge, bottom)] for edge in edges]
    return upright + [[(edges[0], y), (edges[-1], y)] for y in (top, bottom)]


def circle_around(box: np.ndarray, rng: Generator) -> list[Points]:
    """An ellipse around it, at times not quite closed, as by hand."""
    radius = (box[2:] - box[:2]) / 2 * 1.2 + rng.uniform(0.05, 0.4) / 4
    turn = np.linspace(0, rng.uniform(6, 6.8), 60)[:, None] + rng.uniform(0, 7)
    drift = 1 + rng.normal(0, 0.05) * np.linspace(0, 1, 60)[:, None]
    return [(box[2:] + box[:2]) / 2 + radius * np.hstack([np.cos(turn), np.sin(turn)]) * drift]


FORMS = {ruled: 0.14, squared: 0.14, margin_line: 0.38, box_around: 0.14, cells: 0.2}


def draw_lines(rng: Generator, kinds: dict, writing: np.ndarray) -> np.ndarray:
    """Lines of one of these kinds, in a pen of their own, (SIZE, SIZE) 0-1."""
    kind = rng.choice(list(kinds), p=list(kinds.values()))
    found = Image.fromarray(writing > 0.3).getbbox()
    box = np.array(found) / SIZE if found else np.array([0.3, 0.3, 0.7, 0.7])
    image = Image.new("L", (SIZE * FINER, SIZE * FINER))
    width = max(1, round(FINER * np.exp(rng.normal(np.log(1.2), 0.6))))
    lines = kind(box, rng)
    if kind is margin_line and rng.random() > 0.6:  # as thick as a bar
        width = int(rng.integers(2, 12 * FINER))
    for line in lines:
        points = [tuple(point) for point in np.array(line) * SIZE * FINER]
        ImageDraw.Draw(image).line(points, 255, width, joint="curve")
    return np.asarray(image.reduce(FINER), np.float32) / 255


# Colours, 0-1, and how strongly ink lies on them.


def two_colours(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Those of background and ink, (3,) each: paper, a board, or any two of unlike brightness."""
    kind = rng.random()
    if kind < 0.55:  # a pen on paper
        background = rng.uniform(0.6, 1) * (1 - rng.uniform(0, rng.choice([0.06, 0.3]), 3))
        ink = rng.uniform(0, 0.35) + rng.uniform(0, 0.35, 3) * (rng.random() < 0.5)
    elif kind < 0.7:  # chalk on a board, a light screen in the dark
        background, ink = rng.uniform(0, 0.3, 3), rng.uniform(0.6, 1, 3)
    elif kind < 0.82:  # a drawing
        background, ink = np.ones(3), np.zeros(3)
        if rng.random() < 0.4:
            background, ink = ink, background
    else:
        background, ink = rng.uniform(0, 1, (2, 3))
        if abs((background - ink).mean()) < 0.15:
            ink = ink + 0.35 * np.sign(0.5 - background.mean())
    return background.clip(0, 1), np.clip(ink * np.ones(3), 0, 1)


def another_ink(background: np.ndarray, ink: np.ndarray, rng: Generator) -> np.ndarray:
    """The same ink, or one of another hue, mostly fainter."""
    if rng.random() < 0.4:
        return ink
    return (ink + rng.uniform(0, 0.5, 3) * np.sign(background.mean() - ink.mean())).clip(0, 1)


def lay_on(scene: np.ndarray, covered: np.ndarray, colour: np.ndarray, strength: float = 1) -> None:
    """Cover a share of each pixel, (SIZE, SIZE) 0-1, with a colour (3,) or (3, SIZE, SIZE)."""
    colour = np.float32(colour if np.ndim(colour) == 3 else np.reshape(colour, (3, 1, 1)))
    scene[:3] += np.float32(strength * covered) * (colour - scene[:3])


def pressure(rng: Generator, pen: float) -> np.ndarray | float:
    """How much of the ink a pen leaves, (SIZE, SIZE) 0-1: it fades, or breaks up as chalk does."""
    left = 1.0
    if rng.random() < 0.35:
        left = (0.75 + 0.6 * smooth(rng, rng.integers(2, 6))).clip(0.25, 1)
    if rng.random() < 0.2:  # one stroke is fainter
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.15, 0.5)
        inside = np.hypot(X - centre[0], Y - centre[1]) < radius
        if rng.random() < 0.5:
            inside = half_plane(rng, 0.002) > 0.5
        left = left * np.where(inside, rng.uniform(0.2, 0.7), 1)
    if rng.random() < 0.12 and pen > 2:
        left = left * (rng.uniform(0.7, 1) + 0.6 * smooth(rng, SIZE)).clip(0, 1)
    return left


# What else an image has: each takes and gives a scene.


def thing(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """Something that lies on the sheet or fills the image: no mark, whatever its texture."""
    size = int(SIZE * rng.uniform(0.25, 1.1))
    outline = Image.fromarray(np.float32(shape(rng)))
    outline = outline.resize((size, size), Image.Resampling.BILINEAR)
    covered = np.zeros((SIZE, SIZE), np.float32)
    low, high = min(0, SIZE - size), max(0, SIZE - size)
    paste(covered, np.asarray(outline), *rng.integers(low, high + 1, 2))
    lay_on(scene, covered, rng.uniform(0, 1, 3))
    scene[3:] *= 1 - covered
    return scene


def table(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """What lies beyond one or two edges of the paper."""
    for _ in range(rng.integers(1, 3)):
        distance = distance_to_line((0.5, 0.5), rng.integers(4) * np.pi / 2 + rng.normal(0, 0.15))
        beyond = ((distance - rng.uniform(0.25, 0.5)) * SIZE / rng.uniform(0.5, 2) + 0.5).clip(0, 1)
        if (beyond * scene[3]).max() > 0.3 and rng.random() < 0.8:
            continue
        colour = rng.uniform(0, 1, (3, 1, 1)) * rng.uniform(0.1, 1)
        lay_on(scene, beyond, colour * (1 + 0.2 * smooth(rng, rng.integers(2, 32))))
        scene[3:] *= 1 - beyond
    return scene


def fold(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """A crease in the paper: a ridge or a step of light."""
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.005, 0.03)
    distance = distance_to_line(rng.uniform(0.1, 0.9, 2), angle)
    # Of one brightness, or bright on one side and dark on the other.
    ridge = np.exp(-np.abs(distance) / width) * np.sign(distance + rng.choice([0, 1]))
    scene[:3] *= 1 + rng.uniform(-0.15, 0.15) * ridge + rng.uniform(0, 0.1) * np.sign(distance)
    return scene


def uneven_light(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """Light that falls off to one side, in some direction, or to the corners."""
    light = 1 + rng.uniform(0, 0.5) * smooth(rng, rng.integers(2, 5))
    darkest = rng.uniform(0, 0.85) * rng.random()
    light = light * (1 - darkest * half_plane(rng, rng.uniform(0.2, 0.6)))
    if rng.random() < 0.3:
        light = light * (1 - rng.uniform(0, 1.2) * ((X - 0.5) ** 2 + (Y - 0.5) ** 2))
    scene[:3] *= light
    return scene


def shadow(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """One or two shadows, with a hard edge or a soft one."""
    for _ in range(rng.integers(1, 3)):
        softness = log_uniform(rng, 0.003, 0.1)
        shade = half_plane(rng, softness)
        if rng.random() < 0.4:
            shade = shade * half_plane(rng, softness)
        scene[:3] *= 1 - rng.uniform(0.1, 0.75) * shade
    return scene


ON_PHOTOS = {table: 0.2, fold: 0.1, uneven_light: 0.7, shadow: 0.5}


def exposed(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """As a camera takes it, in light of any strength: dim, and with noise."""
    light = log_uniform(rng, 0.08, 1) if rng.random() < 0.5 else rng.uniform(0.8, 1.1)
    pixels = scene[:3]
    pixels *= light / max(pixels.mean() * 1.4, pixels.max() * rng.uniform(0.5, 1), 1e-3)
    noise = rng.standard_normal((rng.choice([1, 3]), SIZE, SIZE), np.float32)
    if rng.random() < 0.4:
        noise = 2 * ndimage.uniform_filter(noise, (0, 2, 2))
    strength = rng.uniform(0.003, 0.05 if rng.random() < 0.8 else 0.12) * light**0.7
    if scene[3:].any():  # what is written stays visible
        strength = min(strength, pixels.std() + 0.002)
    pixels += strength * noise
    return scene


# What happens to an image afterwards.


def straightened(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """Rotated by some degrees, so that the corners have one flat colour."""
    fill = flat_colour(rng)
    if rng.random() < 0.4:
        fill = scene[:3, 2, 2]
    angle = np.deg2rad(rng.choice([-1, 1]) * rng.uniform(1, 14))
    zoom = rng.uniform(0.85, 1.1)
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    shift = SIZE / 2 * (1 - cosine - sine), SIZE / 2 * (1 - cosine + sine)
    matrix = cosine, sine, shift[0], -sine, cosine, shift[1]
    how = Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    layers = zip(map(Image.fromarray, scene), [*fill, 0, 0], strict=True)
    return np.stack([x.transform(x.size, *how, fillcolor=float(colour)) for x, colour in layers])


def pasted(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """Bars of one colour at some of its sides, as of a video or of a page that it is pasted on."""
    share = 0.9 if rng.random() < 0.5 else 0.4
    bars = np.int64(rng.uniform(0.02, 0.3, 4) * SIZE * (rng.random(4) < share))
    top, bottom, left, right = bars.tolist()
    size = SIZE - left - right, SIZE - top - bottom
    page = np.zeros_like(scene)
    page[:3] = flat_colour(rng)[:, None, None]
    smaller = [layer.resize(size, Image.Resampling.BOX) for layer in map(Image.fromarray, scene)]
    page[:, top : SIZE - bottom, left : SIZE - right] = np.stack(smaller)
    return page


def low_resolution(scene: np.ndarray, rng: Generator) -> np.ndarray:
    """As from 8 to 64 pixels a side, enlarged again."""
    size = [int(log_uniform(rng, 8, 64))] * 2
    back = rng.choice(ENLARGING)
    image = Image.fromarray(np.uint8(scene[:3].clip(0, 1) * 255).transpose(1, 2, 0))
    image = image.resize(size, Image.Resampling.BOX).resize((SIZE, SIZE), back)
    scene[:3] = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    return scene


def as_jpeg(image: Image.Image, rng: Generator) -> Image.Image:
    """Compressed at one to three times its size: an image is reduced before its ink is found."""
    factor = int(rng.integers(1, 4))
    file = io.BytesIO()
    image = image.resize((SIZE * factor, SIZE * factor), Image.Resampling.BILINEAR)
    image.save(file, "JPEG", quality=int(rng.integers(30, 96)))
    return Image.open(file).reduce(factor)


AFTERWARDS = {straightened: 0.12, pasted: 0.12, low_resolution: 0.2}
ENLARGING = [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST]


def flat_colour(rng: Generator) -> np.ndarray:
    """White, black or a grey, (3,)."""
    return rng.choice([0.0, 1.0, 1.0, rng.random()]) * np.ones(3)


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# Fields over the image, (SIZE, SIZE).


def smooth(rng: Generator, grid: int) -> np.ndarray:
    """A random field of -1 to 1, about, that varies over a `grid`th of the image."""
    field = Image.fromarray(rng.uniform(-1, 1, (grid, grid)).astype(np.float32))
    return np.asarray(field.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def half_plane(rng: Generator, softness: float) -> np.ndarray:
    """0 on one side of a random straight edge, 1 on the other, over `softness` of the image."""
    angle = rng.uniform(0, 2 * np.pi)
    distance = distance_to_line(rng.uniform(0.1, 0.9, 2), angle)
    return 1 / (1 + np.exp(-(distance / softness).clip(-30, 30)))


def distance_to_line(point: Sequence[float], angle: float) -> np.ndarray:
    """Of each pixel from a line through a point, in images, signed."""
    return (X - point[0]) * np.cos(angle) + (Y - point[1]) * np.sin(angle)
