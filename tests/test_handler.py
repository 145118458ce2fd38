"""The model as an Inference Endpoint: pushed, downloaded elsewhere, and asked over HTTP."""

import base64
import io
import json
import sys
import textwrap
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
from modeling_mnist import MnistForImageClassification


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


def call(url: str, body: Any, content_type: str = "application/json") -> tuple[int, Any]:
    """POST JSON, or the bytes of a file, and return the status and the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_an_endpoint_answers_200_calls_at_once(endpoint, digits, processor):
    images, labels = digits[0][:200], digits[1][:200]
    files = [png(image) for image in images]
    forms = [
        lambda file: call(endpoint, {"inputs": b64(file)}),
        lambda file: call(endpoint, {"inputs": "data:image/png;base64," + b64(file)}),
        lambda file: call(endpoint + "?task=image-classification", file, "image/png"),
    ]
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda n: forms[n % 3](files[n]), range(200)))
    model = MnistForImageClassification.from_pretrained(ROOT / "model").eval()
    logits = model(processor(images, return_tensors="pt")["pixel_values"]).logits
    for (status, scores), expected in zip(answers, logits.softmax(-1), strict=True):
        assert status == 200 and len(scores) == 5
        for score in scores:
            own = expected[int(score["label"])].item()
            assert score["score"] == pytest.approx(own, rel=1e-3, abs=1e-6)
    read = np.array([int(scores[0]["label"]) for _, scores in answers])
    assert (read == labels).mean() > 0.97


def test_lists_transparency_and_the_hubs_own_client(endpoint, python, digits, tmp_path):
    images, labels = digits[0][:64], digits[1][:64]
    inputs = [b64(png(image)) for image in images]
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
    assert call(endpoint, {"inputs": b64(png(ink))})[1][0]["label"] == "1"

    images[0].save(tmp_path / "digit.png")
    ask = """
        import sys
        from huggingface_hub import InferenceClient
        url, path = sys.argv[1:]
        print(InferenceClient(url).image_classification(path)[0].label)
    """
    (tmp_path / "ask.py").write_text(textwrap.dedent(ask))
    answer = python.run(tmp_path / "ask.py", endpoint, tmp_path / "digit.png")
    assert answer.stdout.strip() == str(labels[0]), answer.stderr


def test_an_endpoint_reads_numbers_and_digits_at_once(endpoint, digits):
    pair = png(Image.fromarray(np.hstack([np.asarray(image) for image in digits[0][:2]])))
    digit, number = str(digits[1][0]), "".join(map(str, digits[1][:2]))
    task = "number-recognition"
    calls = [(endpoint, png(digits[0][0])), (f"{endpoint}?task={task}", pair)]
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda n: call(*calls[n % 2], "image/png"), range(100)))
    assert {status for status, _ in answers} == {200}
    assert {scores[0]["label"] for _, scores in answers[::2]} == {digit}
    assert {answer["number"] for _, answer in answers[1::2]} == {number}
    body = {"inputs": [b64(pair), "", b64(calls[0][1])], "parameters": {"task": task}}
    status, (first, bad, last) = call(endpoint, body)
    assert status == 200 and (first["number"], last["number"]) == (number, digit)
    assert "not an image" in bad["error"]


def test_an_endpoint_says_what_is_wrong_with_a_call(endpoint, digits):
    file = png(digits[0][0])
    image, label = b64(file), str(digits[1][0])
    unreadable = {  # what is said of them
        "": "not an image",
        "/etc/passwd": "not an image",
        "http://127.0.0.1/digit.png": "not an image",
        "ziffer, grün": "not an image",
        "data:image/svg+xml;base64," + b64(b"<svg xmlns='http://www.w3.org/2000/svg'/>"): "PNG",
        b64(b"%PDF-1.7"): "PNG",
        b64(file[:-30]): "corrupted",
        b64(png(Image.new("1", (8001, 8001)))): "64 megapixels",
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
