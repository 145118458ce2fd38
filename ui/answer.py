"""What the page says of an image: the `value` of answer.js, a dict.

kind             "answer", "doubt" (likely a non-digit), "invitation" or "error"
digit, line      the large character, or "", and the sentences beside it
probabilities    ten floats 0-1; absent, like the images below, if the kind is one of the last two
seen, saliency   data URLs of PNGs, 28x28: the model's input, and the overlay that marks its pixels
"""

import base64
import io

import numpy as np
from PIL import Image
from transformers import PreTrainedConfig

HINT_BELOW = 0.8  # confidence under which the second guess is named, too
MARKER = (255, 212, 0)  # yellow stands out for every kind of colour vision


def message(kind: str, line: str) -> dict:
    """An answer without a digit."""
    return {"kind": kind, "digit": "", "line": line}


INVITATION = message("invitation", "Draw a digit from 0 to 9, or upload an image of one.")


def describe(
    config: PreTrainedConfig, probabilities: np.ndarray, seen: np.ndarray, saliency: np.ndarray
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
    return {
        "kind": kind,
        "digit": shown,
        "line": line,
        "probabilities": [round(float(p), 4) for p in probabilities],
        "seen": png_url(seen),
        "saliency": png_url(saliency, MARKER),
    }


def png_url(levels: np.ndarray, colour: tuple[int, int, int] | None = None) -> str:
    """Grey levels (H, W) 0-1 as the data URL of a PNG; with a colour, they are its opacity."""
    image = Image.fromarray(np.uint8(levels * 255 + 0.5))
    if colour:
        grey, image = image, Image.new("RGB", image.size, colour)
        image.putalpha(grey)
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
