"""The heat map tells the truth: the ink that it marks is the ink that the answer rests on."""

import numpy as np
import pytest
import torch

from conftest import ROOT
from explain import classify_and_explain
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained


@pytest.fixture(scope="module")
def model():
    return load_pretrained(str(ROOT / "model"))


@pytest.fixture(scope="module")
def pixel_values(digits) -> torch.Tensor:
    """(100, 1, 28, 28)"""
    return MnistImageProcessor()(digits[0][:100], return_tensors="pt")["pixel_values"]


def test_probabilities_are_the_models_and_heat_is_a_map(model, pixel_values):
    with torch.inference_mode():
        expected = model(pixel_values[:1]).logits.softmax(-1)[0].numpy()
    probabilities, heat = classify_and_explain(model, pixel_values[:1])
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert heat.shape == (28, 28) and heat.min() >= 0 and heat.max() == pytest.approx(1)
    assert all(weight.grad is None for weight in model.parameters())


def test_marked_ink_matters_more_than_other_ink(model, pixel_values):
    """Without the fifth of its ink that is marked most, the answer's score falls further."""
    rng = np.random.default_rng(0)
    marked_falls, random_falls = [], []
    for picture in pixel_values.split(1):
        probabilities, heat = classify_and_explain(model, picture)
        ink = np.flatnonzero(picture.numpy() > 0.1)
        share = len(ink) // 5
        marked = ink[np.argsort(-heat.ravel()[ink])[:share]]
        for falls, erased in (
            (marked_falls, marked),
            (random_falls, rng.choice(ink, share, replace=False)),
        ):
            damaged = picture.clone()
            damaged.view(-1)[torch.from_numpy(erased)] = 0
            after, _ = classify_and_explain(model, damaged)
            falls.append(probabilities.max() - after[probabilities.argmax()])
    assert np.mean(marked_falls) > 1.3 * np.mean(random_falls)
