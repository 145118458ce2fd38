"""Reads what sheets send, many at once. What the page shows of an image, an answer, is a dict:

kind         "answer", "doubt" (a score below the threshold), "invitation" or "error"
line         sentences, beside the text; the last two kinds have no more, but for `busy`: ask again
text         what was read
digits       one dict for each digit:
    label            "0" to "9", or "?"
    line             which line it stands in, from 0 on
    probabilities    ten floats 0-1
    seen, saliency   28x28 levels 0-255, in base64: the model's input, and how much each pixel
                     supports the answer; saliency is "" while the pen moves
lines        of a number at rest: `seen`, levels of the line as the network sees it, `width` and
             `height` of these, and the `places` of digits in it, in its pixels from the left
boxes        of a number: left, top, right and bottom of each digit, as shares 0-1 of the image
"""

import base64
import io
import logging
from itertools import chain, pairwise

import gradio as gr
import numpy as np
import torch

from pipeline_mnist import NumberRecognitionPipeline, Reading
from ui.images import open_image
from ui.saliency import encode_levels, saliency_maps

HINT_BELOW = 0.8  # confidence under which the second guess is named, too
MAX_CHARACTERS = 200_000  # of a data URL; sheet.js sends fewer
MAX_SENT_PIXELS = 10**6  # sheet.js sends at most 512 a side
MAPS_AT_ONCE = 64  # saliency maps: each keeps the network's layers
GUESS_FROM = 0.3  # confidence: less is no guess worth a word
BUSY = {"kind": "error", "busy": True, "line": "Too many people are here. Please wait."}
INVITATION = "What is read appears here."


def read_sheets(read: NumberRecognitionPipeline, sheets: list) -> list[dict]:
    """The answers to what sheets sent, {"image": data URL, "resting": whether the pen rests} each.

    Anyone can send anything: what cannot be read fails alone. The lines of all images are read in
    one batch, and their digits in another.
    """
    answers, opened = {}, {}
    for index, sent in enumerate(sheets):
        try:
            content = sent["image"][:MAX_CHARACTERS].partition(";base64,")[2]
            file = io.BytesIO(base64.b64decode(content, validate=True))
            image, resting = open_image(file, MAX_SENT_PIXELS), bool(sent["resting"])
            opened[index] = read.preprocess(image), image.size, resting
        except (TypeError, KeyError, AttributeError, ValueError, gr.Error):
            problem = "The sheet did not arrive whole. Please write once more."
            answers[index] = {"kind": "error", "line": problem}
    try:
        with torch.inference_mode():
            found = read.read([image["pixels"] for image, _, _ in opened.values()])
    except Exception:
        if len(sheets) > 1:
            return [read_sheets(read, [sheet])[0] for sheet in sheets]
        logging.exception("A sheet could not be read")
        return [{"kind": "error", "line": "This cannot be read. Write it otherwise."}]
    # Only where the pen rests: else the next image comes before anyone could study a map.
    at_rest = [
        result.digits if opened[n][-1] else [] for n, result in zip(opened, found, strict=True)
    ]
    seen = [digit.pixels[None] for digits in at_rest for digit in digits]
    maps = chain.from_iterable(
        saliency_maps(read.model, torch.from_numpy(np.array(seen[n : n + MAPS_AT_ONCE])))
        for n in range(0, len(seen), MAPS_AT_ONCE)
    )
    for (index, (image, size, _)), result, digits in zip(
        opened.items(), found, at_rest, strict=True
    ):
        share = image["scale"] / np.tile(size, 2), np.tile(image["corner"], 2) / np.tile(size, 2)
        answers[index] = describe(read, result, share, [next(maps) for _ in digits])
    return [answers[index] for index in range(len(sheets))]


def describe(
    read: NumberRecognitionPipeline,
    found: Reading,
    share: tuple[np.ndarray, np.ndarray],
    maps: list[np.ndarray],
) -> dict:
    """The answer to an image, of what the pipeline has found in it.

    Its boxes times the first of `share`, plus the second, are shares of the image. Where the pen
    rests there is a saliency map of each digit.
    """
    read_digits, score = found.digits, found.score
    if not read_digits:
        return {"kind": "invitation", "line": "No digit is seen here."}
    config, is_number = read.model.config, len(read_digits) > 1
    percent = ">99%" if score > 0.99 else f"{score:.0%}"
    line = f"Confidence: {percent}"
    scores = [digit.score for digit in read_digits]
    weakest = scores.index(min(scores))
    guesses = read_digits[weakest].probabilities.argsort()[:-3:-1].tolist()
    first, second = (config.id2label[guess] for guess in guesses)
    if is_number:
        if score < HINT_BELOW:
            line += f". Is digit {weakest + 1} a {first} or a {second}?"
            touching = any(
                one.line == next_one.line and one.box[2] >= next_one.box[0]
                for one, next_one in pairwise(read_digits)
            )
            line += "\nLeave a gap between digits." if touching else ""
    elif score < config.confidence_threshold:
        line = "This does not look like a digit.\nWrite only digits, one number a line."
        line += f"\nBest guess: {first} ({percent})" if score >= GUESS_FROM else ""
    elif score < HINT_BELOW:
        line += f"\nSecond guess: {second}. Write it more clearly?"
    is_read = is_number or score >= config.confidence_threshold
    if is_read and (count := len(found.ignored)):
        signs = "A sign was" if count == 1 else "Signs were"
        line += f"\n{signs} left out: only digits are read."
    digits = [
        {
            "label": read.spell([digit]).strip(),
            "line": digit.line,
            "probabilities": [round(float(p), 4) for p in digit.probabilities],
            "seen": encode_levels(digit.pixels),
            "saliency": "" if saliency is None else encode_levels(saliency),
        }
        for digit, saliency in zip(read_digits, maps or [None] * len(read_digits), strict=True)
    ]
    lines = [
        {
            "seen": encode_levels(line.pixels),
            "width": line.pixels.shape[1],
            "height": line.pixels.shape[0],
            "places": line.places.tolist(),
        }
        for line in found.lines
    ]
    boxes = np.array([digit.box for digit in read_digits]) * share[0] + share[1]
    return {
        "kind": "answer" if score >= config.confidence_threshold else "doubt",
        "text": read.spell(read_digits),
        "line": line,
        "digits": digits,
        "lines": lines if is_number and maps else [],
        "boxes": boxes.tolist() if is_number else [],
    }
