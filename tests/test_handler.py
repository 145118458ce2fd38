"""The handler of an Inference Endpoint, beside the model in a folder of its own.

The platform calls it with what it is sent, JSON or an image, answers JSON, and makes a `ValueError`
the status 400.
"""

import base64
import json
import runpy
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ImageClassificationOutputElement
from PIL import Image

from benchmarks.common import data_url
from conftest import ROOT
from scripts.strokes import encode
from ui.saliency import probabilities

CLASSIFY, READ = {"task": "image-classification"}, {"task": "number-recognition"}


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Callable[..., Any]:
    folder = shutil.copytree(ROOT / "model", tmp_path_factory.mktemp("endpoint") / "repository")
    handler = runpy.run_path(str(folder / "handler.py"))["EndpointHandler"](str(folder))

    def run(inputs: Any, parameters: Any = None) -> Any:
        return json.loads(json.dumps(handler({"inputs": inputs, "parameters": parameters})))

    return run


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_an_endpoint_answers_calls_of_both_tasks_at_once(call, digits, pixels, model, processor):
    images, labels = digits[0][:90], digits[1][:90]
    pair = Image.fromarray(np.hstack(pixels[:2]))
    forms = [
        lambda image: call(b64(encode(image))),
        lambda image: call(data_url(encode(image))),
        lambda image: call(image.convert("RGB"), CLASSIFY),
    ]
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(forms[n % 3], image) for n, image in enumerate(images)]
        numbers = [pool.submit(call, pair, READ) for _ in images]
    answers = [answer.result() for answer in answers]
    assert {number.result()["number"] for number in numbers} == {f"{labels[0]}{labels[1]}"}

    expected = probabilities(model, processor(images, return_tensors="pt")["pixel_values"])
    # As the Hub's own client reads it.
    best = [ImageClassificationOutputElement.parse_obj_as_list(scores)[0] for scores in answers]
    np.testing.assert_allclose([one.score for one in best], expected.max(1), rtol=1e-3)
    assert (np.array([one.label for one in best], int) == labels).mean() > 0.97


def test_an_endpoint_takes_lists_and_transparency(call, digits, pixels):
    inputs = [b64(encode(image)) for image in digits[0][:64]]
    inputs[5] = inputs[5][:200]
    answers = call(inputs)
    assert "corrupted" in answers.pop(5)["error"]
    read = [answer[0]["label"] for answer in answers]
    assert (np.array(read, int) == np.delete(digits[1][:64], 5)).mean() > 0.97

    pair = b64(encode(Image.fromarray(np.hstack(pixels[:2]))))
    first, bad, last = call([pair, "", inputs[0]], READ)
    assert first["number"] == f"{digits[1][0]}{digits[1][1]}"
    assert "not an image" in bad["error"] and last["number"] == str(digits[1][0])

    ink = Image.new("RGBA", (200, 200))  # drawn on a transparent canvas
    ink.paste("black", (90, 30, 110, 170))
    assert call(b64(encode(ink)))[0]["label"] == "1"


def test_an_endpoint_says_what_is_wrong_with_a_call(call, digits):
    image = b64(encode(digits[0][0]))
    for *arguments, sentence in (
        ("", "not an image"),
        ("http://127.0.0.1/digit.png", "not an image"),
        (b64(b"%PDF-1.7"), "PNG"),
        (image[:-40], "corrupted"),
        (b64(encode(Image.new("1", (8001, 8001)))), "64 megapixels"),
        ("A" * 28_000_000, "20 MB"),
        (None, "string"),
        ([], "1 to 64"),
        ([image] * 65, "1 to 64"),
        (image, {"task": "depth-estimation"}, "image-classification"),
        (image, {"task": ["image-classification"]}, "one of"),
        (image, {"top_k": 3}, '"task"'),
        (image, "image-classification", '"task"'),
    ):
        with pytest.raises(ValueError, match=sentence):
            call(*arguments)
