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

from conftest import ROOT
from page import encode

CLASSIFY, READ = {"task": "image-classification"}, {"task": "number-recognition"}


@pytest.fixture(scope="module")
def handler(tmp_path_factory) -> Callable[[Any], Any]:
    folder = shutil.copytree(ROOT / "model", tmp_path_factory.mktemp("endpoint") / "repository")
    return runpy.run_path(str(folder / "handler.py"))["EndpointHandler"](str(folder))


@pytest.fixture(scope="module")
def call(handler) -> Callable[..., Any]:
    def run(inputs: Any, parameters: Any = None) -> Any:
        answer = handler({"inputs": inputs, "parameters": parameters})
        return json.loads(json.dumps(answer))

    return run


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_an_endpoint_answers_200_calls_at_once(call, digits, model, processor):
    images, labels = digits[0][:200], digits[1][:200]
    forms = [
        lambda image: call(b64(encode(image))),
        lambda image: call("data:image/png;base64," + b64(encode(image))),
        lambda image: call(image.convert("RGB"), CLASSIFY),
    ]
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda n: forms[n % 3](images[n]), range(200)))
    logits = model(processor(images, return_tensors="pt")["pixel_values"]).logits
    for scores, expected in zip(answers, logits.softmax(-1), strict=True):
        assert len(scores) == 5
        for score in scores:
            own = expected[int(score["label"])].item()
            assert score["score"] == pytest.approx(own, rel=1e-3, abs=1e-6)
    # As the Hub's own client reads it.
    read = [ImageClassificationOutputElement.parse_obj_as_list(scores)[0] for scores in answers]
    assert (np.array([best.label for best in read], int) == labels).mean() > 0.97


def test_an_endpoint_takes_lists_and_transparency(call, digits):
    images, labels = digits[0][:64], digits[1][:64]
    inputs = [b64(encode(image)) for image in images]
    single = [call(image) for image in inputs[:3]]
    inputs[5] = inputs[5][:200]
    answers = call(inputs)
    assert len(answers) == 64 and "corrupted" in answers[5]["error"]
    for one, other in zip(single, answers[:3], strict=True):
        assert one[0]["score"] == pytest.approx(other[0]["score"], rel=1e-3)
    read = [answer[0]["label"] for answer in answers[:5] + answers[6:]]
    assert (np.array(read, int) == np.delete(labels, 5)).mean() > 0.97

    ink = Image.new("RGBA", (200, 200))  # drawn on a transparent canvas
    ink.paste("black", (90, 30, 110, 170))
    assert call(b64(encode(ink)))[0]["label"] == "1"


def test_an_endpoint_reads_numbers_and_digits_at_once(call, digits, pixels):
    pair = Image.fromarray(np.hstack(pixels[:2]))
    digit, number = str(digits[1][0]), "".join(map(str, digits[1][:2]))
    calls = [(digits[0][0], None), (pair, READ)]
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda n: call(*calls[n % 2]), range(100)))
    assert {scores[0]["label"] for scores in answers[::2]} == {digit}
    assert {answer["number"] for answer in answers[1::2]} == {number}
    first, bad, last = call([b64(encode(pair)), "", b64(encode(digits[0][0]))], READ)
    assert (first["number"], last["number"]) == (number, digit)
    assert "not an image" in bad["error"]


def test_an_endpoint_says_what_is_wrong_with_a_call(handler, call, digits):
    file = encode(digits[0][0])
    image, label = b64(file), str(digits[1][0])
    unreadable = {  # what is said of them
        "": "not an image",
        "/etc/passwd": "not an image",
        "http://127.0.0.1/digit.png": "not an image",
        "ziffer, grün": "not an image",
        "data:image/svg+xml;base64," + b64(b"<svg xmlns='http://www.w3.org/2000/svg'/>"): "PNG",
        b64(b"%PDF-1.7"): "PNG",
        b64(file[:-30]): "corrupted",
        b64(encode(Image.new("1", (8001, 8001)))): "64 megapixels",
        "A" * 28_000_000: "20 MB",
    }
    for *arguments, sentence in (
        *unreadable.items(),
        (None, "string"),
        ({"image": image}, "string"),
        ([], "1 to 64"),
        ([image] * 65, "1 to 64"),
        (image, {"task": "depth-estimation"}, "image-classification"),
        (image, {"task": ["image-classification"]}, "one of"),
        (image, {"top_k": 3}, '"task"'),
        (image, "image-classification", '"task"'),
    ):
        with pytest.raises(ValueError, match=sentence):
            call(*arguments)
    with pytest.raises(ValueError, match="JSON object"):
        handler("inputs")
    *answers, last = call([*unreadable, image])
    assert last[0]["label"] == label
    assert [answer.keys() for answer in answers] == [{"error"}] * len(unreadable)
