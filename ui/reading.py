"""Reads what sheets send, many at once. What the page shows of an image, an answer, is a dict:

kind         "answer", "doubt" (a score below the threshold), "invitation" or "error"
said         sentences; an invitation or an error has nothing else, except `busy`: ask again
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
from itertools import chain, pairwise, zip_longest

import gradio as gr
import numpy as np
import torch

from pipeline_mnist import ON_ITS_SIDE, NumberRecognitionPipeline, Reading
from ui.images import open_image
from ui.saliency import encode_levels, saliency_maps

HINT_BELOW = 0.8  # confidence under which the second guess is named, too
MAX_CHARACTERS = 200_000  # of a data URL; sheet.js sends fewer
MAX_SENT_PIXELS = 10**6  # sheet.js sends at most 512 a side
MAPS_AT_ONCE = 64  # saliency maps: each keeps the network's layers
GUESS_FROM = 0.3  # confidence: less is no guess worth a word
BUSY = {"kind": "error", "busy": True, "said": "Too many people are here. Please wait."}
INVITATION = "What is read appears here."


def read_sheets(reader: NumberRecognitionPipeline, sheets: list) -> list[dict]:
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
            opened[index] = reader.preprocess(image), image.size, resting
        except (TypeError, KeyError, AttributeError, ValueError, gr.Error):
            problem = "The sheet did not arrive whole. Please write once more."
            answers[index] = {"kind": "error", "said": problem}
    try:
        with torch.inference_mode():
            results = reader.read([ink["pixels"] for ink, _, _ in opened.values()])
    except Exception:
        if len(sheets) > 1:
            return [read_sheets(reader, [sheet])[0] for sheet in sheets]
        logging.exception("A sheet could not be read")
        return [{"kind": "error", "said": "This cannot be read. Write it differently."}]
    found = {n: (*opened[n], result) for n, result in zip(opened, results, strict=True)}
    # Only where the pen rests: else the next image comes before anyone could study a map.
    studied = [
        digit.pixels[None]
        for _, _, resting, result in found.values()
        for digit in result.digits
        if resting
    ]
    batches = torch.from_numpy(np.array(studied)).split(MAPS_AT_ONCE)
    maps = chain.from_iterable(saliency_maps(reader.model, batch) for batch in batches)
    for index, (ink, size, resting, result) in found.items():
        sides = [digit.box * ink["scale"] + np.tile(ink["corner"], 2) for digit in result.digits]
        boxes = [(box / np.tile(size, 2)).clip(0, 1).tolist() for box in sides]
        own_maps = [next(maps) for _ in result.digits] if resting else []
        answers[index] = describe(reader, result, boxes, own_maps)
        if resting and reader.is_on_its_side(ink["pixels"], result):
            answers[index] = {"kind": "error", "said": ON_ITS_SIDE}
    return [answers[index] for index in range(len(sheets))]


def describe(reader: NumberRecognitionPipeline, found: Reading, boxes: list, maps: list) -> dict:
    """The answer to an image, of what the pipeline has found in it.

    Of each digit there is a box, shares of the image, and where the pen rests a saliency map.
    """
    if not found.digits:
        return {"kind": "invitation", "said": "No digit is seen here."}
    is_number = len(found.digits) > 1
    is_sure = found.score >= reader.model.config.confidence_threshold
    return {
        "kind": "answer" if is_sure else "doubt",
        "text": reader.spell(found.digits),
        "said": sentences(reader, found),
        "digits": [
            {
                "label": reader.spell([digit]).strip(),
                "line": digit.line,
                "probabilities": [round(float(p), 4) for p in digit.probabilities],
                "seen": encode_levels(digit.pixels),
                "saliency": "" if saliency is None else encode_levels(saliency),
            }
            for digit, saliency in zip_longest(found.digits, maps)
        ],
        "lines": [
            {
                "seen": encode_levels(line.pixels),
                "width": line.pixels.shape[1],
                "height": line.pixels.shape[0],
                "places": line.places.tolist(),
            }
            for line in (found.lines if is_number and maps else [])
        ],
        "boxes": boxes if is_number else [],
    }


def sentences(reader: NumberRecognitionPipeline, found: Reading) -> str:
    """What is said beside the text: the confidence, what is in doubt, and what to do."""
    config, digits, score = reader.model.config, found.digits, found.score
    percent = ">99%" if score > 0.99 else f"{score:.0%}"
    weakest = min(range(len(digits)), key=lambda n: digits[n].score)
    guesses = digits[weakest].probabilities.argsort()[:-3:-1].tolist()
    first, second = (config.id2label[guess] for guess in guesses)
    if len(digits) == 1 and score < config.confidence_threshold:
        text = "This does not look like a digit.\nWrite only digits, one number a line."
        return text + (f"\nBest guess: {first} ({percent})" if score >= GUESS_FROM else "")
    text = f"Confidence: {percent}"
    if score < HINT_BELOW and len(digits) == 1:
        text += f"\nSecond guess: {second}. Write it more clearly?"
    elif score < HINT_BELOW:
        first, second = (("an " if label == "8" else "a ") + label for label in (first, second))
        text += f". Is digit {weakest + 1} {first} or {second}?"
        if any(a.line == b.line and a.box[2] >= b.box[0] for a, b in pairwise(digits)):
            text += "\nLeave a gap between digits."
    if found.ignored.size:
        signs = "A sign was" if len(found.ignored) == 1 else "Signs were"
        text += f"\n{signs} left out: only digits are read."
    return text
