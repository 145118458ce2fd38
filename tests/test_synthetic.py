"""The synthetic images of training: framed as MNIST frames its digits, complete."""

import numpy as np
import pytest

from training.data import NON_DIGIT_LABEL
from training.handwriting import smooth_line, ways_of_writing
from training.lines import cut_digit
from training.non_digits import NON_DIGITS
from training.synthetic import SHARES, make_images


def test_the_images_are_in_the_frame_of_mnist(digits, pixels, processor):
    synthetic, labels = make_images(pixels, digits[1], 7, processor)
    ends = np.cumsum([round(share * len(pixels)) for share in SHARES.values()])
    assert synthetic.dtype == np.uint8 and synthetic.shape == (ends[-1], 28, 28)
    made = dict(zip(SHARES, np.split(synthetic, ends[:-1]), strict=True))
    for kind, its_labels in zip(SHARES, np.split(labels, ends[:-1]), strict=True):
        is_digit = kind not in ("non_digits", "several")
        assert set(its_labels) <= (set(range(10)) if is_digit else {NON_DIGIT_LABEL})
        assert len(its_labels) >= 30
    assert all(image.max() >= 250 for image in made["handwritten"])
    spans = [np.ptp(np.nonzero(image > 64), axis=1).max() + 1 for image in made["handwritten"]]
    assert np.isin(spans, (19, 20, 21)).mean() > 0.95


def test_a_digit_that_is_hardly_there_does_not_end_the_training():
    bar, faint = np.zeros((2, 28, 28), np.uint8)
    bar[4:24, 13:15] = faint[14:18, 8:20] = 255
    for seed in range(100):
        cut_digit(np.array([1, 2, 2]), np.stack([bar, faint, faint]), np.random.default_rng(seed))


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


@pytest.mark.parametrize("kind", NON_DIGITS, ids=lambda kind: kind.__name__)
def test_non_digits_vary_and_leave_something_to_see(kind):
    rng = np.random.default_rng(1)
    images = [kind(rng) for _ in range(40)]
    assert all(image.ndim == 2 and 0 <= image.min() <= image.max() <= 1 for image in images)
    # A few printed ones are blank, where a font lacks the letter; `make_image` tries again.
    assert len({image.tobytes() for image in images if image.any()}) >= 35
