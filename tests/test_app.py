"""The app as its visitors meet it: over HTTP, and with a mouse in a real browser."""

import io
import json
import re
import struct
import urllib.error
import urllib.request
import zlib

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import expect

from conftest import ROOT

INVITATION = "Draw a digit from 0 to 9"
# How each digit is written on a canvas of 280x280: one list of corners per stroke.
STROKES = {
    "0": [[(140, 50), (95, 75), (80, 140), (95, 205), (140, 230), (185, 205), (200, 140),
           (185, 75), (140, 50)]],
    "1": [[(110, 85), (150, 50), (150, 230)]],
    "2": [[(85, 95), (105, 60), (150, 50), (190, 75), (185, 120), (130, 175), (80, 228),
           (205, 228)]],
    "3": [[(90, 65), (140, 50), (185, 75), (180, 115), (130, 135), (185, 155), (195, 200),
           (150, 232), (85, 215)]],
    "4": [[(110, 50), (80, 150), (205, 150)], [(165, 90), (165, 235)]],
    "5": [[(100, 60), (95, 130), (150, 120), (190, 150), (185, 205), (140, 232), (85, 215)],
          [(100, 58), (190, 55)]],
    "6": [[(165, 50), (115, 95), (90, 160), (100, 215), (145, 232), (185, 205), (180, 160),
           (140, 140), (95, 170)]],
    "7": [[(80, 60), (200, 60), (125, 235)]],
    "8": [[(185, 80), (140, 50), (100, 80), (115, 120), (165, 150), (190, 195), (140, 232),
           (92, 200), (115, 150), (170, 115), (185, 80)]],
    "9": [[(185, 85), (140, 55), (100, 85), (110, 130), (155, 135), (185, 85), (180, 160),
           (165, 235)]],
}  # fmt: skip


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


@pytest.fixture
def page(app_url, browser):
    """The page, watched: nothing on the console, no request that leaves the machine."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        problems = []
        page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        elsewhere = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")
        page.on("request", lambda r: elsewhere.match(r.url) and problems.append(r.url))
        page.goto(app_url)
        page.locator("#draw canvas").wait_for()
        yield page
        assert not problems


def draw(page, strokes) -> None:
    """Draw with the mouse, stroke after stroke."""
    box = page.locator("#draw canvas").bounding_box()
    for stroke in strokes:
        points = [
            (box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280)
            for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=5)
        page.mouse.up()


def test_ten_digits_drawn_with_a_mouse_are_read(page):
    answer = page.locator("#digit")
    expect(answer).to_contain_text(INVITATION)
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        expect(answer).to_have_text(re.compile(rf"^\s*{digit}"))
        assert page.locator("#digit .bars b").count() == 10
        expect(page.locator("#digit .bars .best")).to_have_attribute("data-digit", digit)
        for image in page.locator("#digit img").all():
            expect(image).to_have_attribute("src", re.compile("^data:image/png"))
        page.get_by_role("button", name="Clear", exact=True).click()
        expect(answer).to_contain_text(INVITATION)


def test_answer_comes_while_the_stroke_is_being_drawn(page):
    box = page.locator("#draw canvas").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 300, steps=20)
    expect(page.locator("#digit")).to_have_text(re.compile(r"^\s*1"))
    page.mouse.up()


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 360)])
def test_same_answer_in_dark_theme_and_on_a_phone(app_url, browser, scheme, width):
    viewport = {"width": width, "height": 800}
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(app_url)
        page.locator("#draw canvas").wait_for()
        draw(page, STROKES["5"])
        expect(page.locator("#digit")).to_have_text(re.compile(r"^\s*5"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_uploads_in_the_page(page, tmp_path, digits):
    images, labels = digits
    files = page.locator("input[type=file]")
    images[0].save(tmp_path / "digit.png")
    files.set_input_files(tmp_path / "digit.png")
    expect(page.locator("#digit")).to_have_text(re.compile(rf"^\s*{labels[0]}"))
    page.get_by_label("Clear", exact=True).or_(page.get_by_label("Remove")).first.click()
    whole = (tmp_path / "digit.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])
    files.set_input_files(tmp_path / "broken.png")
    expect(page.locator("#digit")).to_contain_text("damaged")


def test_predict_returns_a_label_for_every_test_digit(client, tmp_path, digits):
    right = 0
    for image, label in list(zip(*digits, strict=True))[:50]:
        image.save(tmp_path / "digit.png")
        result = client.predict(handle_file(tmp_path / "digit.png"), api_name="/predict")
        scores = {entry["label"]: entry["confidence"] for entry in result["confidences"]}
        assert scores.keys() == set("0123456789")
        assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
        assert result["label"] == max(scores, key=scores.get)
        right += result["label"] == str(label)
    assert right >= 49


def huge_png(side: int) -> bytes:
    """A valid white PNG of side x side pixels in few bytes: a decompression bomb."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * (side // 8)) * side, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seven(background=255, ink=0) -> Image.Image:
    picture = Image.new("L", (200, 200), background)
    ImageDraw.Draw(picture).line([(50, 40), (150, 40), (90, 170)], ink, 12, joint="curve")
    return picture


REFUSED = {
    "blank.png": (encode(Image.new("L", (280, 280), 255), "PNG"), "blank"),
    "one-pixel.png": (encode(Image.new("L", (1, 1)), "PNG"), "blank"),
    "bomb.png": (huge_png(20_000), "too large.*64 megapixels"),
    "corrupt.jpg": (encode(seven(), "JPEG")[:500], "damaged"),
    "text.png": (b"This is no image.", "not an image that can be read"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that can be read"),
    "empty.png": (b"", "not an image that can be read"),
}
READ = {
    "animated.gif": encode(
        seven().convert("P"), "GIF", save_all=True, append_images=[Image.new("P", (200, 200))] * 3
    ),
    "16-bit.png": encode(Image.fromarray(np.asarray(seven()).astype(np.uint16) * 257), "PNG"),
    "cmyk.jpg": encode(seven().convert("CMYK"), "JPEG"),
    "cmyk.tiff": encode(seven().convert("CMYK"), "TIFF"),
    "palette.png": encode(
        ImageOps.colorize(seven(), "navy", "white").quantize(4), "PNG", transparency=0
    ),
    "white-on-black.webp": encode(seven(0, 255), "WEBP"),
    "broken-orientation.png": encode(seven(), "PNG", exif=b"Exif\0\0broken"),
    "photo.jpg": encode(seven(190, 60).resize((4000, 3000)), "JPEG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(client, tmp_path, name):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(tmp_path / name), api_name="/predict")


@pytest.mark.parametrize("name", READ)
def test_unusual_formats_are_read(client, tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    result = client.predict(handle_file(tmp_path / name), api_name="/predict")
    assert result["label"] == "7"


def test_no_picture_is_refused_with_a_sentence(client):
    with pytest.raises(AppError, match="There is no picture"):
        client.predict(None, api_name="/predict")


def test_no_file_of_the_server_can_be_read(app_url):
    """A path that was not uploaded is refused, whatever it points to."""
    body = json.dumps({"data": [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}]})
    request = urllib.request.Request(
        f"{app_url}/gradio_api/call/predict",
        body.encode(),
        {"Content-Type": "application/json"},
    )
    event = json.load(urllib.request.urlopen(request))["event_id"]
    stream = urllib.request.urlopen(f"{app_url}/gradio_api/call/predict/{event}").read()
    assert b"event: error" in stream and b"confidence" not in stream
    for path in ("/etc/hostname", str(ROOT / "app.py"), "app.py"):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{app_url}/gradio_api/file={path}")
