"""Which ink spoke for the answer: a heat map over what the model saw.

from explain import classify_and_explain

probabilities, heat = classify_and_explain(model, pixel_values)
"""

import numpy as np
import torch
from scipy import ndimage
from transformers import PreTrainedModel

SMOOTHING = 1.0  # pixels: the standard deviation of the Gaussian that joins neighbouring pixels


def classify_and_explain(
    model: PreTrainedModel, pixel_values: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and a heat map of one picture, in one forward and one backward pass.

    The map is gradient times input (Shrikumar et al. 2016, arXiv 1605.01713, section 3.1), of the
    log odds of the top class against all others: to first order, how much each pixel's ink adds to
    them. Ink that speaks against the answer counts as none. Smoothed, it marks parts of strokes.

    Args:
        model: In evaluation mode; it takes `pixel_values` and gives `logits` (1, num_labels).
        pixel_values: (1, 1, H, W) float, 0 (paper) to 1 (ink).

    Returns:
        Probabilities (num_labels,) float32, and heat (H, W) float32, 0 to 1, which is the strongest
        pixel's, or 0 everywhere where nothing speaks for the answer.
    """
    pixel_values = pixel_values.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(pixel_values).logits[0]
        top = logits.argmax()
        others = torch.cat([logits[:top], logits[top + 1 :]])
        log_odds = logits[top] - others.logsumexp(0)
        (gradient,) = torch.autograd.grad(log_odds, pixel_values)
    heat = (gradient * pixel_values).detach()[0, 0].clamp(min=0).numpy()
    heat = ndimage.gaussian_filter(heat, SMOOTHING)
    return logits.detach().softmax(0).numpy(), heat / max(heat.max(), 1e-12)
