"""The processor: whatever the image looks like, the digit lands in MNIST's frame."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps
from transformers import AutoImageProcessor

from conftest import ROOT
from image_processing_mnist import MnistImageProcessor

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


def as_rgba(ink):
    """SEVEN as ink of one colour on a transparent canvas."""
    return Image.merge("RGBA", [*Image.new("RGB", SEVEN.size, ink).split(), ImageOps.invert(SEVEN)])


def shaded_photo() -> Image.Image:
    """SEVEN in blue ink on a yellowish background, lit from one corner, with a camera's noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1:280j, 0:1:280j]
    light = (0.95 - 0.4 * x - 0.15 * y)[..., None]
    ink = (1 - np.asarray(SEVEN) / 255)[..., None]
    background = np.array([1.0, 0.97, 0.85])
    rgb = light * (background * (1 - ink) + np.array([0.2, 0.25, 0.6]) * ink)
    rgb += rng.normal(0, 0.03, rgb.shape)
    return Image.fromarray(np.uint8(rgb.clip(0, 1) * 255))


def shadowed_photo() -> Image.Image:
    """The same, with the edge of a shadow across it."""
    rgb = np.asarray(shaded_photo(), np.float32)
    y, x = np.mgrid[0:1:280j, 0:1:280j]
    return Image.fromarray(np.uint8(rgb * np.where(x + 0.3 * y > 0.75, 0.55, 1)[..., None]))


CROPPED = SEVEN.crop(ImageOps.invert(SEVEN).getbbox())
LEVELS, COLOURS = np.asarray(SEVEN), np.asarray(SEVEN.convert("RGB"))
IMAGES = {
    "white on black": ImageOps.invert(SEVEN),
    "grey on grey": Image.eval(SEVEN, lambda level: 120 + level // 4),
    "bilevel": SEVEN.convert("1"),
    "palette": SEVEN.convert("RGB").quantize(8),
    "grey and alpha": SEVEN.convert("LA"),
    "CMYK": SEVEN.convert("CMYK"),
    "16-bit": Image.fromarray(LEVELS.astype(np.uint16) * 257),
    "32-bit integer": Image.fromarray(LEVELS.astype(np.int32) * 257),
    "float": Image.fromarray(LEVELS.astype(np.float32) / 255),
    "black ink on transparent": as_rgba("black"),
    "white ink on transparent": as_rgba("white"),
    "red ink on transparent": as_rgba("red"),
    "red on green": ImageOps.colorize(SEVEN, "red", "green"),
    "yellow on white": ImageOps.colorize(SEVEN, "gold", "white"),
    "small, in a corner": draw_seven(scale=0.3, shift=(180, 10), pen=4),
    "large canvas": draw_seven(side=3000, scale=9, pen=126),
    "wide canvas": ImageOps.pad(SEVEN, (900, 280), color=255),
    "cropped to its edges": CROPPED,
    "dark frame around it": ImageOps.expand(SEVEN, 12, fill=0),
    "photograph": shaded_photo(),
    "photograph with a shadow": shadowed_photo(),
    "low-resolution photograph": shaded_photo().reduce(10),
    "small scan, cropped": CROPPED.resize((13, 16)),
    "array (H, W)": LEVELS,
    "array (1, H, W) bool": LEVELS[None] > 127,
    "array (H, W, 3) float": COLOURS / 255.0,
    "mask (H, W)": LEVELS // 255,
    "array (H, W) 0-1000": LEVELS.astype(np.int64) * 4,
    "tensor (3, H, W)": torch.from_numpy(COLOURS.copy()).permute(2, 0, 1),
}


@pytest.mark.parametrize("name", IMAGES)
def test_same_digit_however_it_is_given(name):
    assert similarity(frame(IMAGES[name]), frame(SEVEN)) > 0.85


@pytest.mark.parametrize("draw", [draw_seven, draw_one])
@pytest.mark.parametrize("pen", [3, 6, 14, 30])
def test_framed_as_mnist_is(draw, pen):
    framed = frame(draw(pen=pen))
    assert framed.sum() / 20 > 1.4  # pixels of ink in each of the digit's rows: it did not thin out
    assert framed.shape == (28, 28) and framed.dtype == np.float32
    assert framed.min() == 0 and framed.max() > 0.9
    rows, columns = np.nonzero(framed > 0.25)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20, 21)
    y, x = np.average(np.argwhere(framed >= 0), axis=0, weights=framed.ravel())
    assert abs(y - 14) <= 0.6 and abs(x - 14) <= 0.6


@pytest.mark.parametrize("polarity", [lambda image: image, ImageOps.invert])
def test_thick_digit_cropped_to_its_edges_is_not_read_inside_out(polarity):
    thick = draw_line(WHITE, (170, 60), (110, 220), pen=72)
    cropped = thick.crop(ImageOps.invert(thick).getbbox())
    assert np.mean(np.asarray(cropped) == 0) > 0.5
    assert similarity(frame(polarity(cropped)), frame(thick)) > 0.95


def test_specks_go_but_the_second_stroke_of_a_five_stays():
    five = draw_line(WHITE, (100, 60), (100, 130))
    ImageDraw.Draw(five).arc([70, 120, 190, 230], -120, 130, fill=0, width=14)
    with_bar = draw_line(five, (115, 52), (190, 52))
    assert similarity(frame(with_bar), frame(five)) < 0.95
    speck = with_bar.copy()
    ImageDraw.Draw(speck).ellipse([20, 250, 26, 256], fill=0)
    assert similarity(frame(speck), frame(with_bar)) > 0.99


def test_what_is_around_a_digit_goes_but_what_is_in_a_zero_stays():
    zero = WHITE.copy()
    ImageDraw.Draw(zero).ellipse((90, 60, 190, 220), outline=0, width=12)
    boxed = draw_line(zero, (20, -5), (16, 285), pen=6)
    ImageDraw.Draw(boxed).rectangle((60, 30, 220, 250), outline=0, width=4)
    assert similarity(frame(boxed), frame(zero)) > 0.99
    dotted = zero.copy()
    ImageDraw.Draw(dotted).circle((140, 140), 9, 0)
    assert similarity(frame(dotted), frame(zero)) > 0.9


def test_a_line_beside_a_digit_goes_but_a_one_beside_a_point_stays():
    seven = draw_seven(scale=0.5, pen=8)
    assert similarity(frame(draw_line(seven, (20, 8), (24, 270), pen=5)), frame(seven)) > 0.99
    pointed = draw_one(14)
    ImageDraw.Draw(pointed).circle((175, 225), 9, 0)
    assert (frame(pointed) > 0.25).sum(0).max() >= 18  # a column of ink: the 1


def test_what_comes_in_from_outside_of_the_image_is_not_of_the_digit():
    image = SEVEN.copy()
    ImageDraw.Draw(image).polygon([(280, 100), (262, 130), (280, 160)], fill=0)
    assert similarity(frame(image), frame(SEVEN)) > 0.99


def test_low_resolution_zero_that_touches_two_edges_is_read_like_one_with_a_margin():
    zero = Image.new("L", (160, 160))
    ImageDraw.Draw(zero).ellipse((40, 0, 120, 159), outline=255, width=30)
    small = zero.resize((16, 16), Image.Resampling.BOX)
    assert similarity(frame(small), frame(ImageOps.expand(zero, 40))) > 0.85


@pytest.mark.parametrize("size", [84, 140, 224])
def test_an_enlarged_scan_is_read_like_the_scan_itself(digits, size):
    """Closely cropped low-resolution strokes must not pass for shadows when they are enlarged."""
    alike = []
    for image in digits[0][:50]:
        scan = ImageOps.pad(image.crop(image.getbbox()), (16, 16))
        enlarged = scan.resize((size, size), Image.Resampling.BICUBIC)
        alike.append(similarity(frame(enlarged), frame(scan)))
    # The ink finder's strokes are thinner than a soft scan's: in one of the fifty it shows.
    assert sorted(alike)[1] > 0.9 and min(alike) > 0.85


def test_mnist_passes_through(digits, pixels, model):
    images, labels = digits
    raw = pixels[:, None] / 255
    framed = processor(images, return_tensors="np")["pixel_values"]
    difference = np.abs(framed - raw)
    assert np.percentile(difference.max((1, 2, 3)), 98) <= 0.1  # no more than faint grey edges

    predicted = [model(torch.tensor(p).float()).logits.argmax(1).numpy() for p in (raw, framed)]
    assert (predicted[0] == labels).mean() >= 0.99
    assert np.array_equal(*predicted)


BLANK = {
    "white": WHITE,
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "transparent": Image.new("RGBA", (40, 60), (0, 0, 0, 0)),
    "noise": Image.fromarray(np.uint8(np.random.default_rng(0).normal(200, 4, (200, 200)))),
    "gradient": Image.linear_gradient("L"),
}


@pytest.mark.parametrize("name", BLANK)
def test_blank_is_blank(name):
    assert not frame(BLANK[name]).any()


def test_batches_and_round_trip(tmp_path, digits, pixels):
    batch, one_by_one = pixels[:3, None], [frame(image) for image in digits[0][:3]]
    processor.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path, trust_remote_code=True)
    for each in (processor, loaded):
        assert np.array_equal(each(batch, return_tensors="np")["pixel_values"][:, 0], one_by_one)


@pytest.mark.parametrize("nonsense", [np.zeros(7), np.zeros((0, 5)), [None], np.zeros((9, 9, 9))])
def test_what_is_no_image_is_refused_with_a_sentence(nonsense):
    with pytest.raises(ValueError, match="An image must"):
        processor(nonsense)
