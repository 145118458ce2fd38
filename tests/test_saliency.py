"""The saliency map is faithful: without the pixels that it marks, the answer loses confidence."""

import numpy as np
import pytest
import torch

from ui.saliency import probabilities, saliency_maps


@pytest.fixture(scope="module")
def pixel_values(digits, processor) -> torch.Tensor:
    """(100, 1, 28, 28)"""
    return processor(digits[0][:100], return_tensors="pt")["pixel_values"]


def test_maps_of_a_batch_are_those_of_each_image(model, pixel_values):
    maps = saliency_maps(model, pixel_values[:5])
    assert maps.shape == (5, 28, 28) and maps.min() >= 0
    np.testing.assert_allclose(maps.max((1, 2)), 1, rtol=1e-6)
    alone = np.concatenate([saliency_maps(model, image) for image in pixel_values[:5].split(1)])
    np.testing.assert_allclose(maps, alone, atol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


def test_marked_ink_matters_more_than_other_ink(model, pixel_values):
    """Erasing the most marked fifth of the ink costs more confidence than a random fifth."""
    rng = np.random.default_rng(0)
    erased = {"marked": pixel_values.clone(), "random": pixel_values.clone()}
    for row, saliency in enumerate(saliency_maps(model, pixel_values)):
        ink = np.flatnonzero(pixel_values[row].numpy() > 0.1)
        share = len(ink) // 5
        marked = ink[np.argsort(-saliency.ravel()[ink])[:share]]
        erased["marked"][row].view(-1)[torch.from_numpy(marked)] = 0
        chosen = torch.from_numpy(rng.choice(ink, share, replace=False))
        erased["random"][row].view(-1)[chosen] = 0
    before = probabilities(model, pixel_values)
    top = before.argmax(1)[:, None]
    marked, random = (
        np.take_along_axis(before - probabilities(model, images), top, 1).mean()
        for images in erased.values()
    )
    assert marked > 1.3 * random
