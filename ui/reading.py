"""Reads what sheets send, many at once: each a digit, a number, or neither."""

import gradio as gr
import numpy as np
import torch
from PIL import Image

from pipeline_mnist import NumberRecognitionPipeline
from ui.answer import describe, message
from ui.images import UNREADABLE
from ui.saliency import classify, saliency_maps
from ui.sheet import decode


def find_candidates(read: NumberRecognitionPipeline, image: Image.Image) -> dict:
    """What may be digits in an image: see `NumberRecognitionPipeline.preprocess`.

    Raises:
        gr.Error: the image's colours, such as L*a*b*, cannot be turned into RGB.
    """
    try:
        return read.preprocess(image)
    except ValueError as error:
        raise gr.Error(UNREADABLE) from error


def answer_all(read: NumberRecognitionPipeline, sheets: list) -> list[dict]:
    """The answers (ui/answer.py) to what sheets sent; an image that cannot be read fails alone.

    All candidates of all images are classified in one batch. There are saliency maps only where the
    pen rests: while it moves, the next image comes before anyone could study them.
    """
    answers, found = {}, {}
    for index, sent in enumerate(sheets):
        try:
            image, resting = decode(sent)
            found[index] = find_candidates(read, image), image.size, resting
        except gr.Error as error:
            answers[index] = message("error", error.message)
    inputs = [candidates["pixel_values"] for candidates, _, _ in found.values()]
    probabilities = classify(read.model, torch.cat(inputs)) if inputs else np.empty((0, 10))
    ends = np.cumsum([len(pixel_values) for pixel_values in inputs])
    shares = np.split(probabilities, ends[:-1]) if inputs else []
    threshold = read.model.config.confidence_threshold
    for (index, (candidates, size, resting)), own in zip(found.items(), shares, strict=True):
        path, score = read.find_path(candidates, own)
        if path and score < threshold and (own[path].max(1) < threshold).mean() >= 0.5:
            path, score = [0], own[0].max()  # a non-digit: it is shown whole
        pixel_values = candidates["pixel_values"][path]
        maps = saliency_maps(read.model, pixel_values) if resting and path else [None] * len(path)
        digits = list(zip(own[path], pixel_values[:, 0].numpy(), maps, strict=True))
        number = read.spell(candidates, own, path)
        answers[index] = describe(read.model.config, number, float(score), digits)
        if candidates["several_lines"] and number == "?":
            answers[index]["line"] = "These seem to be several lines. Write one line."
        if len(path) > 1:
            answers[index]["boxes"] = (candidates["boxes"][path] / (size * 2)).tolist()
    return [answers[index] for index in range(len(sheets))]
