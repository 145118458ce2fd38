"""The processor: whatever the image looks like, the digit lands in MNIST's frame.

Photographs are in test_ink_finder.py.
"""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from conftest import ROOT
from image_processing_mnist import MnistImageProcessor, without_forms

processor = MnistImageProcessor.from_pretrained(ROOT / "model")


def frame(image) -> np.ndarray:
    return processor(image, return_tensors="np")["pixel_values"][0, 0]


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine between two framed digits: 1 for the same image, about 0.3 for different digits."""
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def draw_line(image: Image.Image, *points: tuple[float, float], pen: int = 14) -> Image.Image:
    """A copy with a black line on it."""
    image = image.copy()
    ImageDraw.Draw(image).line(points, fill=0, width=pen, joint="curve")
    return image


def draw_ellipse(image: Image.Image, box: tuple[int, int, int, int], pen: int = 0) -> Image.Image:
    """A copy with a black ellipse on it, or with a spot."""
    image = image.copy()
    ImageDraw.Draw(image).ellipse(box, fill=None if pen else 0, outline=0, width=pen)
    return image


def draw_seven(side: int = 280, scale: float = 1.0, shift: tuple[int, int] = (0, 0), pen: int = 14):
    """A black 7 on white, as it might be drawn on a canvas."""
    corners = [(70, 60), (200, 60), (110, 230)]
    path = [(scale * x + shift[0], scale * y + shift[1]) for x, y in corners]
    return draw_line(Image.new("L", (side, side), 255), *path, pen=pen)


def draw_one(pen: int) -> Image.Image:
    """A black 1 on white: one straight stroke."""
    return draw_line(WHITE, (140, 60), (140, 230), pen=pen)


WHITE = Image.new("L", (280, 280), 255)
SEVEN = draw_seven()


def as_rgba(ink: str, drawn: Image.Image = SEVEN) -> Image.Image:
    """A drawing as ink of one colour on a transparent canvas."""
    return Image.merge("RGBA", [*Image.new("RGB", drawn.size, ink).split(), ImageOps.invert(drawn)])


CROPPED = SEVEN.crop(ImageOps.invert(SEVEN).getbbox())
LEVELS = np.asarray(SEVEN)
IMAGES = {
    "white on black": ImageOps.invert(SEVEN),
    "grey on grey": Image.eval(SEVEN, lambda level: 120 + level // 4),
    "bilevel": SEVEN.convert("1"),
    "palette": SEVEN.convert("RGB").quantize(8),
    "16-bit": Image.fromarray(LEVELS.astype(np.uint16) * 257),
    "float": Image.fromarray(LEVELS.astype(np.float32) / 255),
    "white ink on transparent": as_rgba("white"),
    "faint ink on transparent": as_rgba("black", Image.eval(SEVEN, lambda level: 150 + level // 3)),
    "red on green": ImageOps.colorize(SEVEN, "red", "green"),
    "small, in a corner": draw_seven(scale=0.3, shift=(180, 10), pen=4),
    "large canvas": draw_seven(side=3000, scale=9, pen=126),
    "wide canvas": ImageOps.pad(SEVEN, (900, 280), color=255),
    "cropped to its edges": CROPPED,
    "dark frame around it": ImageOps.expand(SEVEN, 12, fill=0),
    "small scan, cropped": CROPPED.resize((13, 16)),
    "array (1, H, W) bool": LEVELS[None] > 127,
    "tensor (3, H, W)": torch.tensor(LEVELS / 255).bfloat16().requires_grad_().expand(3, -1, -1),
}


@pytest.mark.parametrize("name", IMAGES)
def test_same_digit_however_it_is_given(name):
    assert similarity(frame(IMAGES[name]), frame(SEVEN)) > 0.85


@pytest.mark.parametrize("draw", [draw_seven, draw_one])
@pytest.mark.parametrize("pen", [3, 14, 30])
def test_framed_as_mnist_is(draw, pen):
    framed = frame(draw(pen=pen))
    assert framed.sum() / 20 > 1.4  # pixels of ink in each of the digit's rows: it did not thin out
    assert framed.shape == (28, 28) and framed.dtype == np.float32
    assert framed.min() == 0 and framed.max() > 0.9
    rows, columns = np.nonzero(framed > 0.25)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20, 21)
    y, x = np.average(np.argwhere(framed >= 0), axis=0, weights=framed.ravel())
    assert abs(y - 14) <= 0.6 and abs(x - 14) <= 0.6


def test_what_is_around_a_digit_goes_but_its_own_strokes_stay():
    thick = draw_line(WHITE, (170, 60), (110, 220), pen=72)
    filled = thick.crop(ImageOps.invert(thick).getbbox())  # more of it is ink than is not
    zero = draw_ellipse(WHITE, (90, 60, 190, 220), pen=12)
    boxed = draw_line(zero, (20, -5), (16, 285), pen=6)
    ImageDraw.Draw(boxed).rectangle((60, 30, 220, 250), outline=0, width=4)
    pushed_in = SEVEN.copy()
    ImageDraw.Draw(pushed_in).polygon([(280, 100), (262, 130), (280, 160)], fill=0)
    small = draw_seven(scale=0.5, pen=8)
    for marked, clean, least in (
        (filled, thick, 0.95),
        (ImageOps.invert(filled), thick, 0.95),
        (draw_ellipse(SEVEN, (20, 250, 26, 256)), SEVEN, 0.99),  # a speck
        (boxed, zero, 0.99),  # and a line beside it
        (draw_line(small, (20, 8), (24, 270), pen=5), small, 0.99),
        (pushed_in, SEVEN, 0.99),  # from outside of the image
        (draw_ellipse(zero, (131, 131, 149, 149)), zero, 0.9),  # a dotted zero stays one
    ):
        assert similarity(frame(marked), frame(clean)) > least

    five = draw_line(WHITE, (100, 60), (100, 130))
    ImageDraw.Draw(five).arc([70, 120, 190, 230], -120, 130, fill=0, width=14)
    with_bar = draw_line(five, (115, 52), (190, 52))  # which touches nothing
    assert similarity(frame(with_bar), frame(five)) < 0.95
    one_and_point = frame(draw_ellipse(draw_one(14), (166, 216, 184, 234)))
    assert (one_and_point > 0.25).sum(0).max() >= 18  # a column of ink: the 1


@pytest.mark.parametrize("pen", [3, 8])
@pytest.mark.parametrize("bow", [0, 20, None], ids=["straight", "bowed", "digits that touch"])
def test_a_long_low_part_is_a_rule_but_for_digits_that_touch(pen, bow):
    image = Image.new("L", (480, 140))
    draw = ImageDraw.Draw(image)
    draw.line([(20, 40), (60, 40), (30, 90)], 255, pen)  # a 7
    x = np.linspace(90, 350, 10)
    if bow is None:
        for left in x:
            draw.ellipse((left, 40, left + 32, 90), outline=255, width=pen)
    else:
        y = 100 + bow * np.sin(np.linspace(0, np.pi, 10))
        draw.line([*zip(x, y, strict=True)], 255, pen, joint="curve")
    left = without_forms(np.asarray(image, np.float32) / 255)
    assert left[:, :80].any() and left[:, 80:].any() == (bow is None)


def test_mnist_passes_through(digits, pixels, model):
    images, labels = digits
    raw = pixels[:, None] / 255
    framed = processor(images, return_tensors="np")["pixel_values"]
    difference = np.abs(framed - raw)
    assert np.percentile(difference.max((1, 2, 3)), 98) <= 0.1  # no more than faint grey edges

    predicted = [model(torch.tensor(p).float()).logits.argmax(1).numpy() for p in (raw, framed)]
    assert (predicted[0] == labels).mean() >= 0.99
    assert np.array_equal(*predicted)


def test_blank_is_blank():
    for image in (
        WHITE,
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGBA", (40, 60)),  # transparent
        Image.fromarray(np.uint8(np.random.default_rng(0).normal(200, 4, (200, 200)))),
        Image.linear_gradient("L"),
    ):
        assert not frame(image).any(), image


@pytest.mark.parametrize("nonsense", [np.zeros(7), np.zeros((0, 5)), [None], np.zeros((9, 9, 9))])
def test_what_is_no_image_is_refused_with_a_sentence(nonsense):
    with pytest.raises(ValueError, match="An image must"):
        processor(nonsense)
