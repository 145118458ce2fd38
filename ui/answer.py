"""What the page says of an image: the `value` of answer.js, a dict.

kind         "answer", "doubt" (likely a non-digit), "invitation" or "error"
text, line   what was read, large, or "", and the sentences beside it
digits       one dict for each digit; absent if the kind is one of the last two:
    label            "0" to "9", or "?"
    best             the most likely class, an int
    probabilities    ten floats 0-1
    seen, saliency   28x28 levels 0-255, in base64: the model's input, and how much each pixel
                     supports the answer; saliency is "" while the pen moves
"""

import base64
from collections.abc import Awaitable, Callable

import gradio as gr
import numpy as np
from transformers import PreTrainedConfig

from ui.sheet import assets

HINT_BELOW = 0.8  # confidence under which the second guess is named, too


class Answer(gr.HTML):
    """Shows its value, or its first value, the invitation, where that is None.

    Args:
        correct: Called by corrections.js with a correction (ui/corrections.py), returns "" or a
            sentence. Without it the page asks for none.
    """

    def __init__(self, correct: Callable[[dict], Awaitable[str]] | None = None):
        parts = assets("answer")
        if correct:
            parts = {part: text + assets("corrections")[part] for part, text in parts.items()}
        functions = [correct] if correct else None
        super().__init__(INVITATION, **parts, server_functions=functions, elem_id="answer")
        self.props["component"] = self._id

    def postprocess(self, value: dict | None) -> dict | None:
        return value


def message(kind: str, line: str) -> dict:
    """An answer without a digit."""
    return {"kind": kind, "text": "", "line": line}


INVITATION = message("invitation", "Write a digit or a number, or drop an image of one.")


def levels(pixels: np.ndarray | None) -> str:
    """Pixels (28, 28) 0-1 as 784 bytes in base64; "" for None."""
    return "" if pixels is None else base64.b64encode(np.uint8(pixels * 255 + 0.5)).decode()


def describe(
    config: PreTrainedConfig,
    probabilities: np.ndarray,
    seen: np.ndarray,
    saliency: np.ndarray | None,
) -> dict:
    """The answer to `probabilities` (10,), the input `seen` and `saliency` (28, 28), all 0-1."""
    if not seen.any():
        return INVITATION | {"line": f"Nothing is written here yet.\n{INVITATION['line']}"}
    top, second = (-probabilities).argsort()[:2]
    digit, other = config.id2label[top], config.id2label[second]
    confidence = probabilities[top]
    percent = ">99%" if confidence > 0.99 else f"{confidence:.0%}"
    kind, shown, line = "answer", digit, f"Confidence: {percent}"
    if confidence < config.confidence_threshold:
        kind, shown = "doubt", "?"
        line = f"This does not look like a digit.\nBest guess: {digit} ({percent})"
    elif confidence < HINT_BELOW:
        line += f"\nSecond guess: {other}. Write it more clearly?"
    shown_digit = {
        "label": shown,
        "best": int(top),
        "probabilities": [round(float(p), 4) for p in probabilities],
        "seen": levels(seen),
        "saliency": levels(saliency),
    }
    return {"kind": kind, "text": shown, "line": line, "digits": [shown_digit]}
