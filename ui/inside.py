"""Inside the network: what each of its layers makes of a digit."""

import base64
import copy

import gradio as gr
import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from modeling_mnist import IMAGE_SIZE
from ui.answer import levels, message
from ui.batcher import Batcher, Busy
from ui.sheet import assets


class Inside(gr.HTML):
    """Shows its value, `seen` of a digit (ui/answer.py) or "", at each layer, while it is open."""

    def __init__(self, model: PreTrainedModel):
        model = copy.deepcopy(model)  # the hooks would catch the passes of others, too
        batcher = Batcher(lambda digits: trace(model, np.stack(digits)))

        async def look(seen: str) -> dict:
            try:
                if len(seen) > 2 * IMAGE_SIZE**2:
                    raise ValueError
                digit = np.frombuffer(base64.b64decode(seen, validate=True), np.uint8)
                return await batcher(digit.reshape(IMAGE_SIZE, IMAGE_SIZE))
            except (TypeError, ValueError):
                return message("error", "The digit did not arrive whole. Please write once more.")
            except Busy:
                return message("error", "Too many people look at the moment. Please wait a little.")

        super().__init__(
            "",
            **assets("inside"),
            server_functions=[look],
            stages=[
                {
                    "count": count,
                    "side": IMAGE_SIZE >> stage,
                    # The receptive field: a stage pools by 2 between two 3x3 convolutions.
                    "field": min(7 * 2**stage - 6, IMAGE_SIZE),
                }
                for stage, count in enumerate(model.config.conv_channels, 1)
            ],
            hidden_size=model.config.hidden_size,
            elem_id="inside",
        )


def trace(model: PreTrainedModel, digits: np.ndarray) -> list[dict]:
    """What the layers make of digits (B, 28, 28) uint8, by forward hooks: for each digit a dict.

    levels   for each stage, its feature maps, those with the highest mean first, and for the dense
             layer its values: levels 0-255 of the layer's maximum, in base64
    outputs  ten logits
    """
    caught = []
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    hooks = [
        relu.register_forward_hook(lambda *call: caught.append(call[-1]))
        for relu in (*relus[1::2], relus[-1])  # a stage has two, the dense layer one
    ]
    with torch.inference_mode():
        logits = model(torch.from_numpy(digits)[:, None] / 255).logits
    for hook in hooks:
        hook.remove()
    return [
        {"levels": [layer_levels(layer[row]) for layer in caught], "outputs": outputs}
        for row, outputs in enumerate(logits.tolist())
    ]


def layer_levels(layer: torch.Tensor) -> str:
    """Maps (C, H, W), or values (C,), as in `trace`."""
    if layer.ndim == 3:
        layer = layer[layer.mean((1, 2)).argsort(descending=True)]
    return levels((layer / layer.max().clamp(min=1e-12)).numpy())
