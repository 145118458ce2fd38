"""The app as programs use it over HTTP: Gradio's client, curl, agents."""

import asyncio
import base64
import http.client
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image, ImageOps

from conftest import ROOT
from page import encode, post, seven
from scripts.serve import serve_app


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


def test_a_shared_address_shows_a_title_a_sentence_and_an_image(app_url):
    html = urllib.request.urlopen(app_url).read().decode()
    tags = re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]*)" content="([^"]*)">', html)
    assert len(tags) == len(dict(tags)) == len(re.findall('"(?:og|twitter):', html))
    assert dict(tags)["og:title"] == "Handwritten digits"
    assert dict(tags)["og:url"].rstrip("/") == app_url
    with urllib.request.urlopen(dict(tags)["og:image"]) as response:
        assert response.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(response.read())).size == (1200, 630)


def test_predict_returns_a_label_and_ten_probabilities(client, tmp_path, digits):
    right = 0
    for image, label in list(zip(*digits, strict=True))[:20]:
        image.save(tmp_path / "digit.png")
        result = client.predict(handle_file(tmp_path / "digit.png"), api_name="/predict")
        probabilities = {entry["label"]: entry["confidence"] for entry in result["confidences"]}
        assert probabilities.keys() == set("0123456789")
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert result["label"] == max(probabilities, key=probabilities.get)
        right += result["label"] == str(label)
    assert right >= 19


SMALL = encode(Image.new("L", (1, 1)), "GIF")
NO_IMAGE = "not an image that can be read"
REFUSED = {
    "blank.png": (encode(Image.new("L", (280, 280), 255)), "blank"),
    "one-pixel.gif": (SMALL, "blank"),
    "large.png": (encode(Image.new("1", (8001, 8001))), "too large.*64 megapixels"),
    "bomb.gif": (SMALL[:6] + struct.pack("<HH", 20_000, 20_000) + SMALL[10:], "too large.*64"),
    "corrupt.jpg": (encode(seven(), "JPEG")[:500], "corrupted"),
    "text.png": (b"This is no image.", NO_IMAGE),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_IMAGE),
    "empty.png": (b"", NO_IMAGE),
}
FRAMES = {"save_all": True, "append_images": [Image.new("P", (200, 200))] * 3}
COLOURED = ImageOps.colorize(seven(), "navy", "white")
READ = {
    "animated.gif": encode(seven().convert("P"), "GIF", **FRAMES),
    "16-bit.png": encode(Image.fromarray(np.asarray(seven()).astype(np.uint16) * 257)),
    "cmyk.jpg": encode(seven().convert("CMYK"), "JPEG"),
    "cmyk.tiff": encode(seven().convert("CMYK"), "TIFF"),
    "palette.png": encode(COLOURED.quantize(4), "PNG", transparency=0),
    "white-on-black.webp": encode(seven(0, 255), "WEBP"),
    "broken-orientation.png": encode(seven(), "PNG", exif=b"Exif\0\0broken"),
    "photo.jpg": encode(seven(190, 60).resize((4000, 3000)), "JPEG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(client, tmp_path, name):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    call = partial(client.predict, handle_file(tmp_path / name))
    with pytest.raises(AppError, match=sentence):
        call(api_name="/predict")
    if sentence == "blank":
        assert call(api_name="/read")["number"] == ""
    else:
        with pytest.raises(AppError, match=sentence):
            call(api_name="/read")


@pytest.mark.parametrize("name", READ)
def test_unusual_formats_are_read(client, tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    result = client.predict(handle_file(tmp_path / name), api_name="/predict")
    assert result["label"] == "7"


EXAMPLE = "examples/1-a-4-from-MNIST.png"
FILE = {"meta": {"_type": "gradio.FileData"}}


def call_predict(app_url: str, values: list) -> bytes:
    """The events that answer a call with these values, whatever they are."""
    url = f"{app_url}/gradio_api/call/predict"
    event = json.loads(post(url, {"data": values}))["event_id"]
    return urllib.request.urlopen(f"{url}/{event}").read()


@pytest.mark.parametrize("marks", [FILE, {}], ids=["as a file", "unmarked"])
def test_no_file_of_the_server_can_be_read(app_url, marks):
    """A path that was not uploaded is refused, whatever it points to: an image, too."""
    for path in ("/etc/hostname", str(ROOT / EXAMPLE)):
        assert Path(path).is_file()
        stream = call_predict(app_url, [{"path": path} | marks])
        assert b"event: error" in stream and b"not uploaded" in stream
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{app_url}/gradio_api/file={path}")


def test_requests_are_limited_in_size(app_url):
    connection = http.client.HTTPConnection(urlsplit(app_url).netloc)
    connection.putrequest("POST", "/gradio_api/call/predict")
    connection.putheader("Content-Length", 23_000_000)
    connection.endheaders()
    assert connection.getresponse().status == 413


@pytest.mark.parametrize("shell", ["bash", "zsh", "python"])
def test_the_documented_calls_work_as_they_stand(app_url, shell):
    """Pasted: into zsh, which takes no comments then, and into Python, which ends a block there."""
    command = {"python": [sys.executable, "-i"], "zsh": ["zsh", "-fi"]}.get(shell, [shell])
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    api = (ROOT / "docs" / "api.md").read_text().replace("http://127.0.0.1:7860", app_url)
    calls = re.search(rf"```{shell.replace('zsh', 'bash')}\n(.*?)```", api, re.S)[1]
    done = subprocess.run(command, input=calls, cwd=ROOT, capture_output=True, text=True)
    answers = done.stdout.replace("'", '"')
    assert '"label": "4"' in answers and '"number": "407"' in answers, done.stderr
    refusals = done.stderr if shell == "python" else answers
    assert refusals.count("This file is not an image that can be read") == 1


def test_the_api_is_described_in_the_words_of_the_documentation(app_url):
    description = urllib.request.urlopen(f"{app_url}/gradio_api/info").read().decode()
    for endpoint in json.loads(description)["named_endpoints"].values():
        (image,) = endpoint["parameters"]
        assert image["parameter_name"] == image["label"] == "image"
        assert image["component"] == "Image"
        assert f"image=handle_file('{EXAMPLE}')" in endpoint["code_snippets"]["python"]
    assert not re.search(r"bus\.png|(parameter|value)_\d", description)


def test_a_refused_call_is_one_line_in_the_log(app_url, app_log, client):
    written = app_log.stat().st_size
    assert b"There is no image" in call_predict(app_url, [None])
    for values in ([], [3], [FILE | {"path": "/etc/hostname"}]):
        assert b"event: error" in call_predict(app_url, values)
    with pytest.raises(AppError):
        client.predict(handle_file(ROOT / "README.md"), api_name="/predict")
    lines = app_log.read_bytes()[written:].splitlines()
    assert len(lines) == 5 and all(b"Refused: " in line for line in lines), lines


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("MODEL_ID", "/nope", "app.py: MODEL_ID '/nope': There is no such folder."),
        ("CORRECTIONS_DIR", "/dev/null/kept", "app.py: CORRECTIONS_DIR .* cannot be written"),
    ],
)
def test_a_setting_that_cannot_work_is_a_sentence_at_the_start(
    python, tmp_path, variable, value, sentence
):
    with (
        pytest.raises(RuntimeError, match=sentence) as raised,
        serve_app(tmp_path / "log", popen=python.popen, **{variable: value}),
    ):
        pass
    assert "Traceback" not in str(raised.value)


def test_agents_find_and_call_predict(app_url):
    """Over the Model Context Protocol: two tools, with their docstrings, which read an image."""

    async def use():
        async with (
            streamable_http_client(f"{app_url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            content = base64.b64encode(encode(seven())).decode()
            image = {"image": f"data:image/png;base64,{content}"}
            broken = {"image": "data:image/png;base64,AAAA"}
            calls = (("predict", image), ("predict", broken), ("read", image))
            return tools, [await session.call_tool(*call) for call in calls]

    with ThreadPoolExecutor() as thread:  # Playwright's own event loop runs in this one
        tools, (good, bad, number) = thread.submit(asyncio.run, use()).result()
    assert tools.keys() == {"predict", "read"}
    assert "handwritten digit" in tools["predict"].description
    assert "handwritten digits" in tools["read"].description
    for tool in tools.values():
        assert "64 megapixels" in tool.inputSchema["properties"]["image"]["description"]
    assert "'number': '7'" in number.content[0].text
    assert "'label': '7'" in good.content[0].text
    assert bad.isError and "not an image that can be read" in bad.content[0].text
