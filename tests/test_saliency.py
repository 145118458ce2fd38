"""The saliency map is faithful: without the pixels that it marks, the answer loses confidence."""

import numpy as np
import pytest
import torch

from conftest import ROOT
from image_processing_mnist import MnistImageProcessor
from modeling_mnist import load_pretrained
from ui.saliency import classify_with_saliency


@pytest.fixture(scope="module")
def model():
    return load_pretrained(str(ROOT / "model"))


@pytest.fixture(scope="module")
def pixel_values(digits) -> torch.Tensor:
    """(100, 1, 28, 28)"""
    return MnistImageProcessor()(digits[0][:100], return_tensors="pt")["pixel_values"]


def test_probabilities_are_the_models_and_saliency_is_a_map(model, pixel_values):
    with torch.inference_mode():
        expected = model(pixel_values[:1]).logits.softmax(-1)[0].numpy()
    probabilities, saliency = classify_with_saliency(model, pixel_values[:1])
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert saliency.shape == (28, 28) and saliency.min() >= 0 and saliency.max() == pytest.approx(1)
    assert all(weight.grad is None for weight in model.parameters())


def test_marked_ink_matters_more_than_other_ink(model, pixel_values):
    """Erasing the most marked fifth of the ink costs more confidence than a random fifth."""
    rng = np.random.default_rng(0)
    marked_falls, random_falls = [], []
    for image in pixel_values.split(1):
        probabilities, saliency = classify_with_saliency(model, image)
        ink = np.flatnonzero(image.numpy() > 0.1)
        share = len(ink) // 5
        marked = ink[np.argsort(-saliency.ravel()[ink])[:share]]
        for falls, erased in (
            (marked_falls, marked),
            (random_falls, rng.choice(ink, share, replace=False)),
        ):
            erased_image = image.clone()
            erased_image.view(-1)[torch.from_numpy(erased)] = 0
            after, _ = classify_with_saliency(model, erased_image)
            falls.append(probabilities.max() - after[probabilities.argmax()])
    assert np.mean(marked_falls) > 1.3 * np.mean(random_falls)
