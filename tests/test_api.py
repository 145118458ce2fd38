"""The app as programs use it over HTTP: Gradio's client, curl, agents."""

import http.client
import io
import re
import shutil
import struct
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image, ImageOps

from benchmarks.common import data_url
from conftest import ROOT
from page import run_apart, seven
from scripts.serve import serve_app
from scripts.strokes import encode

NO_IMAGE = "not an image that can be read"


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


def test_a_shared_address_shows_a_title_and_an_image(app_url):
    html = httpx.get(app_url, timeout=60).text
    tags = dict(re.findall(r'<meta property="(og:[^"]*)" content="([^"]*)">', html))
    assert tags["og:title"] == "Handwritten digits"
    image = httpx.get(tags["og:image"], timeout=60).content
    assert Image.open(io.BytesIO(image)).size == (1200, 630)


DOT = encode(Image.new("L", (1, 1)), "GIF")
REFUSED = {
    "large.png": (encode(Image.new("1", (8001, 8001))), "too large.*64 megapixels"),
    "bomb.gif": (DOT[:6] + struct.pack("<HH", 20_000, 20_000) + DOT[10:], "too large.*64"),
    "corrupt.jpg": (encode(seven(), "JPEG")[:500], "corrupted"),
    "text.png": (b"This is no image.", NO_IMAGE),
    "empty.png": (b"", NO_IMAGE),
}
FRAMES = {"save_all": True, "append_images": [Image.new("P", (200, 200))] * 3}
READ = {
    "animated.gif": encode(seven().convert("P"), "GIF", **FRAMES),
    "cmyk.tiff": encode(seven().convert("CMYK"), "TIFF"),
    "white-on-black.webp": encode(ImageOps.invert(seven()), "WEBP"),
    "broken-orientation.png": encode(seven(), "PNG", exif=b"Exif\0\0broken"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(client, tmp_path, name):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    for api_name in ("/predict", "/read"):
        with pytest.raises(AppError, match=sentence):
            client.predict(handle_file(tmp_path / name), api_name=api_name)


def test_a_blank_image_has_no_digit_and_an_empty_number(client, tmp_path):
    (tmp_path / "blank.png").write_bytes(encode(Image.new("L", (280, 280), 255)))
    with pytest.raises(AppError, match="blank"):
        client.predict(handle_file(tmp_path / "blank.png"), api_name="/predict")
    assert client.predict(handle_file(tmp_path / "blank.png"), api_name="/read")["number"] == ""


@pytest.mark.parametrize("name", READ)
def test_any_format_is_read_and_gives_ten_probabilities(client, tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    result = client.predict(handle_file(tmp_path / name), api_name="/predict")
    assert result["label"] == "7"
    probabilities = [entry["confidence"] for entry in result["confidences"]]
    assert len(probabilities) == 10 and sum(probabilities) == pytest.approx(1, abs=1e-4)


IMAGE = {"path": str(ROOT / "examples" / "1-a-4-from-MNIST.png")}
MARKED = IMAGE | {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("values", [[], [None], [3], [IMAGE], [MARKED]], ids=str)
def test_a_call_without_an_upload_is_refused(app_url, values):
    """An image that lies on the server is refused as well, marked as a file or not."""
    url = f"{app_url}/gradio_api/call/predict"
    event = httpx.post(url, json={"data": values}, timeout=60).json()["event_id"]
    stream = httpx.get(f"{url}/{event}", timeout=60).text
    assert "event: error" in stream and re.search("There is no|not uploaded", stream)


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


def test_a_setting_that_cannot_work_is_a_sentence_at_the_start(python, tmp_path):
    for variable, value, sentence in (
        ("MODEL_ID", "/nope", "app.py: MODEL_ID '/nope': There is no such folder."),
        ("CORRECTIONS_DIR", "/dev/null/kept", "app.py: CORRECTIONS_DIR .* cannot be written"),
    ):
        app = serve_app(tmp_path / "log", popen=python.popen, **{variable: value})
        with pytest.raises(RuntimeError, match=sentence) as raised, app:
            pass
        assert "Traceback" not in str(raised.value)


def test_agents_find_and_call_both_tools(app_url):
    """Over the Model Context Protocol."""

    async def use() -> tuple[set[str], list]:
        async with (
            streamable_http_client(f"{app_url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            image = {"image": data_url(encode(seven()))}
            broken = {"image": "data:image/png;base64,AAAA"}
            calls = (("predict", image), ("read", image), ("predict", broken))
            return names, [await session.call_tool(*call) for call in calls]

    names, (digit, number, bad) = run_apart(use())
    assert names == {"predict", "read"}
    assert "'label': '7'" in digit.content[0].text and "'number': '7'" in number.content[0].text
    assert bad.isError and NO_IMAGE in bad.content[0].text
