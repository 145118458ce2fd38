"""The synthetic images of training: reproducible, framed as MNIST frames its digits, complete."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from training.corruptions import corrupted
from training.data import NON_DIGIT_LABEL
from training.handwriting import draw, smooth_line, vary, ways_of_writing
from training.non_digits import NON_DIGITS
from training.synthetic import SHARES, make_images


@pytest.fixture(scope="module")
def made(digits, pixels, processor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (M, 28, 28) and labels (M,) of each kind."""
    synthetic, labels = make_images(pixels, digits[1], 7, processor)
    ends = np.cumsum([round(share * len(pixels)) for share in SHARES.values()])
    kinds = zip(np.split(synthetic, ends), np.split(labels, ends), strict=True)
    return dict(zip(SHARES, kinds, strict=False))


def test_same_seed_same_images(digits, pixels, processor, made):
    again, other = (make_images(pixels, digits[1], seed, processor)[0] for seed in (7, 8))
    first = np.concatenate([kind for kind, _ in made.values()])
    assert np.array_equal(again, first)
    assert (other != first).any((1, 2)).mean() > 0.95


def test_for_one_image_there_are_none(digits, pixels, processor):
    images, labels = make_images(pixels[:1], digits[1][:1], 7, processor)
    assert images.shape == (0, 28, 28) and labels.shape == (0,)


def test_in_the_frame_of_mnist(made):
    for kind, (images, labels) in made.items():
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
        is_digit = kind not in ("non_digits", "several")
        assert set(labels) <= (set(range(10)) if is_digit else {NON_DIGIT_LABEL})
        assert len(images) == len(labels) >= 30
    images, _ = made["handwritten"]
    assert all(image.max() >= 250 for image in images)
    spans = [np.ptp(np.nonzero(image > 64), axis=1).max() + 1 for image in images]
    assert np.isin(spans, (19, 20, 21)).mean() > 0.95


@pytest.mark.parametrize("label", [*"0123456789", "-"])
def test_the_pen_goes_through_every_point_of_the_table(label):
    """Whether the drawings are legible is for a person to judge: docs/strokes.png."""
    ways, shares = ways_of_writing(label)
    assert shares.sum() == pytest.approx(1) and shares.min() > 0 and len(ways) >= 5
    for stroke in (stroke for way in ways for stroke in way):
        assert len(stroke) >= 2 and stroke[:, :2].min() >= 0 and stroke[:, :2].max() <= 1
        line = smooth_line(stroke, steps=9)
        distance = np.linalg.norm(stroke[:, None, :2] - line, axis=2)
        assert distance.min(1).max() < 1e-9


def test_a_hand_varies_and_the_pen_is_as_wide_as_it_says():
    rng = np.random.default_rng(0)
    (way, *_), _ = ways_of_writing("1")
    drawn = [draw(vary(way, rng), width) for width in (4, 4, 12)]
    assert all(image.shape == (84, 84) and image.max() == 1 for image in drawn)
    assert not np.array_equal(drawn[0], drawn[1])
    thickness = [2 * distance_transform_edt(image > 0.5).max() for image in drawn]
    assert thickness == pytest.approx([4, 4, 12], abs=2)


@pytest.mark.parametrize("kind", NON_DIGITS, ids=lambda kind: kind.__name__)
def test_non_digits_vary_and_leave_something_to_see(kind):
    rng = np.random.default_rng(1)
    images = [kind(rng) for _ in range(40)]
    assert all(image.ndim == 2 and 0 <= image.min() <= image.max() <= 1 for image in images)
    # A few printed ones are blank, where a font lacks the letter; `make_image` tries again.
    assert len({image.tobytes() for image in images if image.any()}) >= 35


def test_a_blank_image_can_be_corrupted():
    for seed in range(30):
        corrupted(np.zeros((28, 28)), np.random.default_rng(seed))
