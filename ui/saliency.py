"""Looks into the network: probabilities, saliency maps, what its layers make of a digit."""

import base64

import numpy as np
import torch
from scipy import ndimage
from transformers import PreTrainedModel

MAX_LEVELS = 2000  # characters of base64: 28x28 levels take 1,048
SMOOTHING = 1.0  # pixels: standard deviation of the Gaussian that joins neighbours into strokes


def probabilities(model: PreTrainedModel, pixel_values: torch.Tensor) -> np.ndarray:
    """Probabilities (B, num_labels) float32 of images (B, 1, H, W)."""
    with torch.inference_mode():
        return model(pixel_values).logits.softmax(1).numpy()


def saliency_maps(model: PreTrainedModel, pixel_values: torch.Tensor) -> np.ndarray:
    """The saliency maps (B, H, W) float32 0-1 of images (B, 1, H, W) 0-1.

    A map is gradient times input (Shrikumar et al. 2016, arXiv 1605.01713, section 3.1) of the log
    odds of the top class: to first order, how much each pixel adds to them. Only what it adds is
    kept, and smoothed. A map's maximum is 1, or 0 where no pixel supports the answer.
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


def trace(model: PreTrainedModel, digits: np.ndarray) -> list[dict]:
    """What the layers make of digits (B, 28, 28) uint8: for each digit a dict.

    levels   of each stage the feature maps, highest mean first, and the values of the dense layer:
             0-255 of the layer's maximum, in base64
    outputs  ten logits
    """
    layers, maps = [], torch.from_numpy(digits)[:, None] / 255
    with torch.inference_mode():
        for stage in model.stages:
            layers.append(maps := stage(maps))
        layers.append(model.dense(model.flatten(maps)).relu())
        logits = model.classifier(layers[-1])

    def encode(layer: torch.Tensor) -> str:
        if layer.ndim == 3:
            layer = layer[layer.mean((1, 2)).argsort(descending=True)]
        return encode_levels((layer / layer.max().clamp(min=1e-12)).numpy())

    return [
        {"levels": [encode(layer) for layer in of_digit], "outputs": outputs.tolist()}
        for *of_digit, outputs in zip(*layers, logits, strict=True)
    ]


def encode_levels(values: np.ndarray) -> str:
    """Values 0-1, of pixels or others, as bytes 0-255 in base64."""
    return base64.b64encode(np.uint8(values * 255 + 0.5)).decode()
