"""Reads what sheets send, many at once. What the page shows of an image, an answer, is a dict:

kind         "answer", "doubt" (a score below the threshold), "invitation" or "error"
line         sentences, beside the text; the last two kinds have no more, but for `busy`: ask again
text         what was read
digits       one dict for each digit:
    label            "0" to "9", or "?"
    probabilities    ten floats 0-1
    seen, saliency   28x28 levels 0-255, in base64: the model's input, and how much each pixel
                     supports the answer; saliency is "" while the pen moves
boxes        of a number: left, top, right and bottom of each digit, as shares 0-1 of the image
"""

import base64
import io

import gradio as gr
import numpy as np
import torch

from modeling_mnist import IMAGE_SIZE
from pipeline_mnist import NumberRecognitionPipeline
from ui.images import open_image
from ui.saliency import classify, levels, saliency_maps

HINT_BELOW = 0.8  # confidence under which the second guess is named, too
MAX_CHARACTERS = 200_000  # of a data URL; sheet.js sends fewer
MAX_SENT_PIXELS = 10**6  # sheet.js sends at most 512 a side
GUESS_FROM = 0.3  # confidence: less is no guess worth a word
INVITATION = "Write a digit or a number, or choose an image of one."


def read_sheets(read: NumberRecognitionPipeline, sheets: list) -> list[dict]:
    """The answers to what sheets sent, {"image": data URL, "resting": whether the pen rests} each.

    Anyone can send anything: what cannot be read fails alone. The candidates of all images are
    classified in one batch.
    """
    answers, found = {}, {}
    for index, sent in enumerate(sheets):
        try:
            content = sent["image"][:MAX_CHARACTERS].partition(";base64,")[2]
            file = io.BytesIO(base64.b64decode(content, validate=True))
            image = open_image(file, MAX_SENT_PIXELS)
            about = {"size": image.size, "resting": bool(sent["resting"])}
            found[index] = read.preprocess(image, cuts=about["resting"]) | about
        except (TypeError, KeyError, AttributeError, ValueError, gr.Error):
            problem = "The sheet did not arrive whole. Please write once more."
            answers[index] = {"kind": "error", "line": problem}
    batch = [torch.empty(0, 1, IMAGE_SIZE, IMAGE_SIZE)]
    batch += [candidates["pixel_values"] for candidates in found.values()]
    probabilities = classify(read.model, torch.cat(batch))
    for index, candidates in found.items():
        count = len(candidates["pixel_values"])
        answers[index] = describe(read, candidates, probabilities[:count])
        probabilities = probabilities[count:]
    return [answers[index] for index in range(len(sheets))]


def describe(read: NumberRecognitionPipeline, candidates: dict, probabilities: np.ndarray) -> dict:
    """The answer to an image, of whose candidates these are the probabilities (N, 10).

    Where the number and half of its digits are in doubt, `digits` is the whole image as one. Only
    where the pen rests are touching digits cut, and are there saliency maps: else the next image
    comes before anyone could study them.
    """
    config, threshold = read.model.config, read.model.config.confidence_threshold
    path, score = read.find_path(candidates, probabilities)
    if not path:
        return {"kind": "invitation", "line": f"No digit is seen here.\n{INVITATION}"}
    if score < threshold and (probabilities[path].max(1) < threshold).mean() >= 0.5:
        path, score = [0], float(probabilities[0].max())
    percent = ">99%" if score > 0.99 else f"{score:.0%}"
    line = f"Confidence: {percent}"
    first, second = (config.id2label[i] for i in (-probabilities[path[0]]).argsort()[:2])
    if len(path) > 1:
        if score < HINT_BELOW:
            weakest = int(probabilities[path].max(1).argmin()) + 1
            line += f". Digit {weakest} of {len(path)} is in doubt."
            line += "\nLeave a gap between digits, one number a line."
    elif score < threshold and candidates["several_lines"]:
        line = "These seem to be several lines. Write one line."
    elif score < threshold:
        line = "This does not look like a digit.\nWrite only digits, one number a line."
        line += f"\nBest guess: {first} ({percent})" if score >= GUESS_FROM else ""
    elif score < HINT_BELOW:
        line += f"\nSecond guess: {second}. Write it more clearly?"
    inputs = candidates["pixel_values"][path]
    maps = saliency_maps(read.model, inputs) if candidates["resting"] else None
    digits = [
        {
            "label": read.spell(candidates, probabilities, [index]),
            "probabilities": [round(float(p), 4) for p in probabilities[index]],
            "seen": levels(inputs[place, 0].numpy()),
            "saliency": levels(maps[place]) if maps is not None else "",
        }
        for place, index in enumerate(path)
    ]
    return {
        "kind": "answer" if score >= threshold else "doubt",
        "text": read.spell(candidates, probabilities, path),
        "line": line,
        "digits": digits,
        "boxes": (candidates["boxes"][path] / (candidates["size"] * 2)).tolist() * (len(path) > 1),
    }
