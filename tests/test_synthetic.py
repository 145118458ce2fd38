"""The synthetic images of training: reproducible, framed as MNIST frames its digits, complete."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, find_objects

from training.corruptions import corrupted
from training.data import NON_DIGIT_LABEL
from training.handwriting import draw, smooth_line, vary, ways_of_writing
from training.non_digits import NON_DIGITS
from training.pieces import label_of, set_side_by_side
from training.synthetic import SHARES, make_image, make_images


@pytest.fixture(scope="module")
def made(digits, processor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (M, 28, 28) and labels (M,) of each kind."""
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    synthetic, labels = make_images(images, labels, 7, processor)
    ends = np.cumsum([round(share * len(images)) for share in SHARES.values()])
    kinds = zip(np.split(synthetic, ends), np.split(labels, ends), strict=True)
    return dict(zip(SHARES, kinds, strict=False))


def test_same_seed_same_images(digits, processor, made):
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    again, _ = make_images(images, labels, 7, processor)
    other, _ = make_images(images, labels, 8, processor)
    first = np.concatenate([kind for kind, _ in made.values()])
    assert np.array_equal(again, first)
    assert (other != first).any((1, 2)).mean() > 0.95


def test_for_one_image_there_are_none(digits, processor):
    images, labels = make_images(np.asarray(digits[0][0])[None], digits[1][:1], 7, processor)
    assert images.shape == (0, 28, 28) and labels.shape == (0,)


def test_in_the_frame_of_mnist(made):
    for kind, (images, labels) in made.items():
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
        if kind != "pieces":
            assert set(labels) == ({NON_DIGIT_LABEL} if kind == "non_digits" else set(range(10)))
    images, _ = made["handwritten"]
    assert all(image.max() >= 250 for image in images)
    spans = [np.ptp(np.nonzero(image > 64), axis=1).max() + 1 for image in images]
    assert np.isin(spans, (19, 20, 21)).mean() > 0.95


def test_pieces_are_of_all_digits_and_of_what_is_between_them(digits, processor):
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    numbers = np.random.default_rng(0).integers(0, len(images), (200, 3))
    pieces = [
        make_image("pieces", labels[chosen], images[chosen], (7, i), processor)[1]
        for i, chosen in enumerate(numbers)
    ]
    assert 0.4 < np.mean(np.equal(pieces, NON_DIGIT_LABEL)) < 0.8
    assert set(pieces) == {NON_DIGIT_LABEL, *range(10)}


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


def test_a_piece_is_what_the_ink_in_it_belongs_to():
    ink = np.zeros((3, 40, 80), bool)
    for digit, left in enumerate((5, 35)):  # two rings, as of 0 and 6, and a bar
        ink[digit, 5:35, left : left + 25] = True
        ink[digit, 9:31, left + 4 : left + 21] = False
    ink[2, 5:35, 70:73] = True
    whole, other, bar = ink
    x, y = np.arange(80), np.arange(40)[:, None]
    for piece, label in (
        (whole, 0),
        (other, 6),
        (bar, 1),
        (whole | bar & (y < 18), 0),  # with a sliver of its neighbour
        (whole | other, NON_DIGIT_LABEL),
        (whole & (y < 18), NON_DIGIT_LABEL),  # an arch
        (whole & (x < 9), None),  # but a bar can be a 1, whatever it is a part of
        (whole & (x >= 15), None),  # and the right-hand side of a 0 a 7
        (whole | bar, None),
    ):
        assert label_of(piece, ink, [0, 6, 1]) == label


def test_digits_stand_side_by_side_on_one_baseline(digits):
    images, labels = digits
    images = np.stack([np.asarray(image) for image in images[:3]])
    for seed in range(10):
        layers = set_side_by_side(labels[:3], images, np.random.default_rng(seed))
        boxes = [find_objects((layer > 0.25).astype(int))[0] for layer in layers]
        height = max(rows.stop - rows.start for rows, _ in boxes)
        assert np.ptp([rows.stop for rows, _ in boxes]) < height / 3
        centres = [columns.start + columns.stop for _, columns in boxes]
        assert layers.min() >= 0 and layers.max() <= 1 and centres == sorted(centres)
