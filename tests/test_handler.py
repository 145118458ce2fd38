"""The model as an Inference Endpoint: pushed, downloaded elsewhere, and asked over HTTP."""

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from page import encode


@pytest.fixture(scope="module")
def endpoint(hf, python, tmp_path_factory) -> Iterator[str]:
    """The address of an endpoint with the released model: pushed, downloaded, served from there."""
    folder = tmp_path_factory.mktemp("endpoint") / "repository"
    hf(f"hf upload user/released {ROOT}/model .", HF_TOKEN="hf_user")
    hf(f"hf download user/released --local-dir {folder}")
    command = [sys.executable, ROOT / "tests" / "endpoint.py", folder]
    with NamedTemporaryFile("r") as printed:
        server = python.popen(command, cwd=folder, stdout=printed)
        while not (url := Path(printed.name).read_text()).endswith("\n"):
            assert server.poll() is None, "The endpoint ended."
            time.sleep(0.02)
        yield url.strip()
    server.kill()
    server.wait(60)


def call(url: str, body: Any) -> tuple[int, Any]:
    """POST JSON, or the bytes of a PNG, and return the status and the answer."""
    is_file = isinstance(body, bytes)
    data, kind = (body, "image/png") if is_file else (json.dumps(body).encode(), "application/json")
    try:
        request = urllib.request.Request(url, data, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_an_endpoint_answers_200_calls_at_once(endpoint, digits, model, processor):
    images, labels = digits[0][:200], digits[1][:200]
    files = [encode(image) for image in images]
    forms = [
        lambda file: call(endpoint, {"inputs": b64(file)}),
        lambda file: call(endpoint, {"inputs": "data:image/png;base64," + b64(file)}),
        lambda file: call(endpoint + "?task=image-classification", file),
    ]
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda n: forms[n % 3](files[n]), range(200)))
    logits = model(processor(images, return_tensors="pt")["pixel_values"]).logits
    for (status, scores), expected in zip(answers, logits.softmax(-1), strict=True):
        assert status == 200 and len(scores) == 5
        for score in scores:
            own = expected[int(score["label"])].item()
            assert score["score"] == pytest.approx(own, rel=1e-3, abs=1e-6)
    read = np.array([int(scores[0]["label"]) for _, scores in answers])
    assert (read == labels).mean() > 0.97


def test_lists_transparency_and_the_hubs_own_client(endpoint, run_code, digits, tmp_path):
    images, labels = digits[0][:64], digits[1][:64]
    inputs = [b64(encode(image)) for image in images]
    single = [call(endpoint, {"inputs": image})[1] for image in inputs[:3]]
    inputs[5] = inputs[5][:200]
    status, answers = call(endpoint, {"inputs": inputs, "parameters": None})
    assert status == 200 and len(answers) == 64
    for one, other in zip(single, answers[:3], strict=True):
        assert one[0]["score"] == pytest.approx(other[0]["score"], rel=1e-3)
    assert "corrupted" in answers[5]["error"]
    read = [answer[0]["label"] for answer in answers[:5] + answers[6:]]
    assert (np.array(read, int) == np.delete(labels, 5)).mean() > 0.97

    ink = Image.new("RGBA", (200, 200))  # drawn on a transparent canvas
    ink.paste("black", (90, 30, 110, 170))
    assert call(endpoint, {"inputs": b64(encode(ink))})[1][0]["label"] == "1"

    images[0].save(tmp_path / "digit.png")
    ask = """
        import sys
        from huggingface_hub import InferenceClient
        url, path = sys.argv[1:]
        print(InferenceClient(url).image_classification(path)[0].label)
    """
    assert run_code(ask, endpoint, tmp_path / "digit.png") == [str(labels[0])]


def test_an_endpoint_reads_numbers_and_digits_at_once(endpoint, digits):
    pair = encode(Image.fromarray(np.hstack([np.asarray(image) for image in digits[0][:2]])))
    digit, number = str(digits[1][0]), "".join(map(str, digits[1][:2]))
    task = "number-recognition"
    calls = [(endpoint, encode(digits[0][0])), (f"{endpoint}?task={task}", pair)]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda n: call(*calls[n % 2]), range(100)))
    assert {status for status, _ in answers} == {200}
    assert {scores[0]["label"] for _, scores in answers[::2]} == {digit}
    assert {answer["number"] for _, answer in answers[1::2]} == {number}
    body = {"inputs": [b64(pair), "", b64(calls[0][1])], "parameters": {"task": task}}
    status, (first, bad, last) = call(endpoint, body)
    assert status == 200 and (first["number"], last["number"]) == (number, digit)
    assert "not an image" in bad["error"]


def test_an_endpoint_says_what_is_wrong_with_a_call(endpoint, digits):
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
    refused = [({"inputs": content}, sentence) for content, sentence in unreadable.items()]
    refused += [
        ("inputs", "JSON object"),
        ({"inputs": None}, "string"),
        ({"inputs": {"image": image}}, "string"),
        ({"inputs": []}, "1 to 64"),
        ({"inputs": [image] * 65}, "1 to 64"),
        ({"inputs": image, "parameters": {"task": "depth-estimation"}}, "image-classification"),
        ({"inputs": image, "parameters": {"task": ["image-classification"]}}, "one of"),
        ({"inputs": image, "parameters": {"top_k": 3}}, '"task"'),
        ({"inputs": image, "parameters": "image-classification"}, '"task"'),
    ]
    for body, sentence in refused:
        status, answer = call(endpoint, body)
        assert status == 400 and sentence in answer["error"], (str(body)[:100], answer)
    status, answers = call(endpoint, {"inputs": [*unreadable, image]})
    assert status == 200 and answers.pop()[0]["label"] == label
    assert [answer.keys() for answer in answers] == [{"error"}] * len(unreadable)
