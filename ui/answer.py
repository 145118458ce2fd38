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

# Probabilities (10,), input (28, 28) and saliency map (28, 28), if there is one; all 0-1.
Digit = tuple[np.ndarray, np.ndarray, np.ndarray | None]


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
    """Pixels (28, 28), or any values, 0-1 as bytes 0-255 in base64; "" for None."""
    return "" if pixels is None else base64.b64encode(np.uint8(pixels * 255 + 0.5)).decode()


def percent(share: float) -> str:
    """A share 0-1 in words."""
    return ">99%" if share > 0.99 else f"{share:.0%}"


def describe(config: PreTrainedConfig, number: str, score: float, digits: list[Digit]) -> dict:
    """The answer to a number, with "?" for a likely non-digit, its score 0-1, and its digits.

    Where as many digits are in doubt as not, `digits` is best the whole image as one.
    """
    if not digits:
        return INVITATION | {"line": f"Nothing is written here yet.\n{INVITATION['line']}"}
    kind, line = "answer", f"Confidence: {percent(score)}"
    probabilities = digits[0][0]
    top, second = (config.id2label[i] for i in (-probabilities).argsort()[:2])
    if len(digits) > 1:
        kind = "answer" if score >= config.confidence_threshold else "doubt"
        line += "\nThe digit framed below is the least confident." if score < HINT_BELOW else ""
    elif score < config.confidence_threshold:
        kind = "doubt"
        line = f"This does not look like a digit.\nBest guess: {top} ({percent(score)})"
    elif score < HINT_BELOW:
        line += f"\nSecond guess: {second}. Write it more clearly?"
    return {
        "kind": kind,
        "text": number,
        "line": line,
        "digits": [describe_digit(config, *digit) for digit in digits],
    }


def describe_digit(
    config: PreTrainedConfig,
    probabilities: np.ndarray,
    seen: np.ndarray,
    saliency: np.ndarray | None,
) -> dict:
    """An element of `digits`, of one `Digit`."""
    best = int(probabilities.argmax())
    is_doubtful = probabilities[best] < config.confidence_threshold
    return {
        "label": "?" if is_doubtful else config.id2label[best],
        "best": best,
        "probabilities": [round(float(p), 4) for p in probabilities],
        "seen": levels(seen),
        "saliency": levels(saliency),
    }
