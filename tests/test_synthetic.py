"""The synthetic images of training: reproducible, framed as MNIST frames its digits, complete."""

import numpy as np
import pytest

from training.data import NON_DIGIT_LABEL
from training.handwriting import draw, vary, ways_of_writing
from training.non_digits import NON_DIGITS
from training.synthetic import SHARES, frame, make_images


@pytest.fixture(scope="module")
def made(digits) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (M, 28, 28) and labels (M,) of each kind."""
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    synthetic, labels = make_images(images, labels, seed=7)
    ends = np.cumsum([round(share * len(images)) for share in SHARES.values()])
    kinds = zip(np.split(synthetic, ends), np.split(labels, ends), strict=True)
    return dict(zip(SHARES, kinds, strict=False))


def test_same_seed_same_images(digits, made):
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    again, _ = make_images(images, labels, seed=7)
    other, _ = make_images(images, labels, seed=8)
    first = np.concatenate([kind for kind, _ in made.values()])
    assert np.array_equal(again, first)
    assert (other != first).any((1, 2)).mean() > 0.95


def test_in_the_frame_of_mnist(made):
    for kind, (images, labels) in made.items():
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
        assert set(labels) == ({NON_DIGIT_LABEL} if kind == "non_digits" else set(range(10)))
    images, _ = made["handwritten"]
    assert all(image.max() >= 250 for image in images)
    spans = [np.ptp(np.nonzero(image > 64), axis=1).max() + 1 for image in images]
    assert np.isin(spans, (19, 20, 21)).mean() > 0.95


@pytest.mark.parametrize("label", [*"0123456789", "-"])
def test_every_way_of_writing_is_drawn_like_itself_and_unlike_the_others(label):
    """Variations of a way resemble its own mean more than that of other ways of the same label."""
    rng = np.random.default_rng(0)
    ways, shares = ways_of_writing(label)
    assert shares.sum() == pytest.approx(1) and len(ways) >= 5
    drawn = np.stack([[frame(draw(vary(way, rng), 7)) for _ in range(12)] for way in ways])
    flat = drawn.reshape(len(ways), 12, -1) / 255
    means = flat[:, ::2].mean(1)
    distance = ((flat[:, 1::2, None] - means[None, None]) ** 2).sum(-1)  # (ways, 6, ways)
    assert (distance.argmin(-1) == np.arange(len(ways))[:, None]).mean() > 2 / len(ways)


@pytest.mark.parametrize("kind", NON_DIGITS, ids=lambda kind: kind.__name__)
def test_non_digits_vary_and_leave_something_to_see(kind):
    rng = np.random.default_rng(1)
    images = [kind(rng) for _ in range(20)]
    assert all(image.ndim == 2 and 0 <= image.min() < image.max() <= 1 for image in images)
    assert len({image.tobytes() for image in images}) == 20
