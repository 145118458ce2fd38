"""Which pixels support an answer: a saliency map of what the model sees."""

import numpy as np
import torch
from scipy import ndimage
from transformers import PreTrainedModel

SMOOTHING = 1.0  # pixels: standard deviation of the Gaussian that joins neighbours into strokes


def classify(model: PreTrainedModel, pixel_values: torch.Tensor) -> np.ndarray:
    """Probabilities (B, num_labels) float32 of images (B, 1, H, W)."""
    with torch.inference_mode():
        return model(pixel_values).logits.softmax(1).numpy()


def saliency_maps(model: PreTrainedModel, pixel_values: torch.Tensor) -> np.ndarray:
    """The saliency maps of a batch, in one forward and one backward pass.

    A map is gradient times input (Shrikumar et al. 2016, arXiv 1605.01713, section 3.1) of the
    log odds of the top class: to first order, how much each pixel adds to them. Only what it adds
    is kept, not what it takes away, and the map is smoothed.

    Args:
        model: In evaluation mode; maps `pixel_values` to `logits` (B, num_labels).
        pixel_values: (B, 1, H, W) float, 0 (background) to 1 (ink).

    Returns:
        (B, H, W) float32 in 0-1. A map's maximum is 1, or 0 where no pixel supports the answer.
    """
    pixel_values = pixel_values.detach().requires_grad_()
    logits = model(pixel_values).logits
    top = logits.argmax(1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf).logsumexp(1)
    # Probabilities close to 1 have no gradient left in float32; logits do. Images of a batch do not
    # mix, so that the gradient of the sum is that of each.
    (gradient,) = torch.autograd.grad((logits.gather(1, top)[:, 0] - others).sum(), pixel_values)
    support = (gradient * pixel_values).detach()[:, 0].clamp(min=0).numpy()
    support = ndimage.gaussian_filter(support, (0, SMOOTHING, SMOOTHING))
    return support / np.maximum(support.max((1, 2), keepdims=True), 1e-12)
