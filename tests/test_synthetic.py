"""The pictures that training adds show what they are called, to a model that knows."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from conftest import ROOT
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import MnistForImageClassification
from synthetic import (
    DIGITS,
    NON_DIGITS,
    NOT_A_DIGIT,
    SHARES,
    digit_models,
    draw,
    frame,
    make_pictures,
    write,
)


@pytest.fixture(scope="module")
def model() -> MnistForImageClassification:
    return MnistForImageClassification.from_pretrained(ROOT / "model").eval()


@pytest.fixture(scope="module")
def made(digits) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (M, 28, 28) and labels (M,) of each kind, of another seed than the shipped model's."""
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    pictures, labels = make_pictures(images, labels, seed=7)
    ends = np.cumsum([round(share * len(images)) for share in SHARES.values()])
    kinds = zip(np.split(pictures, ends), np.split(labels, ends), strict=True)
    return dict(zip(SHARES, kinds, strict=False))


def test_same_seed_same_pictures(digits, made):
    images, labels = np.stack([np.asarray(image) for image in digits[0]]), digits[1]
    again, _ = make_pictures(images, labels, seed=7)
    other, _ = make_pictures(images, labels, seed=8)
    first = np.concatenate([pictures for pictures, _ in made.values()])
    assert np.array_equal(again, first)
    assert (other != first).any((1, 2)).mean() > 0.95


def test_in_the_frame_of_mnist(made):
    for kind, (pictures, labels) in made.items():
        assert pictures.dtype == np.uint8 and pictures.shape[1:] == (28, 28)
        assert set(labels) == ({NOT_A_DIGIT} if kind == "non_digits" else set(range(10)))
    pictures, _ = made["handwritten"]
    assert all(image.max() >= 250 for image in pictures)
    spans = [np.ptp(np.nonzero(image > 64), axis=1).max() + 1 for image in pictures]
    assert np.isin(spans, (19, 20, 21)).mean() > 0.95


@pytest.mark.parametrize(("kind", "share"), [("handwritten", 0.97), ("damaged", 0.85)])
def test_the_model_reads_digits_as_what_they_are_called(model, made, kind, share):
    pictures, labels = made[kind]
    predicted = model(torch.tensor(pictures)[:, None] / 255).logits.argmax(1).numpy()
    assert (predicted == labels).mean() >= share


def test_each_way_of_writing_is_read_as_its_digit(model):
    """Each line of the table, by itself, so that none is a misprint."""
    rng = np.random.default_rng(0)
    for digit in DIGITS:
        for way, share in zip(*digit_models(digit), strict=True):
            drawn = np.stack([frame(draw(write(way, rng), 7)) for _ in range(40)])
            predicted = model(torch.tensor(drawn)[:, None] / 255).logits.argmax(1)
            enough = 0.75 if share >= 0.05 else 0.6  # the rarest are 1s that are nearly a 7
            assert (predicted == digit).float().mean() >= enough, (digit, way)


@pytest.fixture(scope="module")
def classify(model):
    """The pipeline as a program uses it."""
    return pipeline("image-classification", model=model, image_processor=MnistImageProcessor())


@pytest.mark.parametrize("kind", NON_DIGITS, ids=lambda kind: kind.__name__)
def test_what_is_no_digit_gets_a_low_score_from_the_plain_pipeline(kind, model, classify):
    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(np.uint8(kind(rng) * 255)) for _ in range(40)]
    scores = np.array([result[0]["score"] for result in classify(pictures, top_k=1)])
    assert (scores < model.config.score_threshold).mean() >= 0.85


def test_a_blank_picture_gets_a_low_score_from_the_plain_pipeline(model, classify):
    scores = classify(Image.new("L", (280, 280), 255), top_k=10)
    assert len(scores) == 10 and scores[0]["score"] < model.config.score_threshold
