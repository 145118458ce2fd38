"""Which pixels support an answer: a saliency map of what the model sees."""

import numpy as np
import torch
from scipy import ndimage
from transformers import PreTrainedModel

SMOOTHING = 1.0  # pixels: standard deviation of the Gaussian that joins neighbours into strokes


def classify_with_saliency(
    model: PreTrainedModel, pixel_values: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and saliency map of one image, in one forward and one backward pass.

    The map is gradient times input (Shrikumar et al. 2016, arXiv 1605.01713, section 3.1) of the
    log odds of the top class: to first order, how much each pixel adds to them. Only what it adds
    is kept, not what it takes away, and the map is smoothed.

    Args:
        model: In evaluation mode; maps `pixel_values` to `logits` (1, num_labels).
        pixel_values: (1, 1, H, W) float, 0 (background) to 1 (ink).

    Returns:
        Probabilities (num_labels,) float32, and saliency (H, W) float32 in 0-1. Its maximum is 1,
        or 0 where no pixel supports the answer.
    """
    pixel_values = pixel_values.detach().requires_grad_()
    logits = model(pixel_values).logits[0]
    top = logits.argmax()
    others = logits[torch.arange(len(logits)) != top]
    # Probabilities close to 1 have no gradient left in float32; logits do.
    (gradient,) = torch.autograd.grad(logits[top] - others.logsumexp(0), pixel_values)
    support = (gradient * pixel_values).detach()[0, 0].clamp(min=0).numpy()
    support = ndimage.gaussian_filter(support, SMOOTHING)
    return logits.detach().softmax(0).numpy(), support / max(support.max(), 1e-12)
