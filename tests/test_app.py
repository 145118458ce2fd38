"""The app as visitors use it in a browser, and programs over HTTP."""

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
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import expect

from conftest import ROOT
from scripts.serve import serve_app
from ui.batcher import batched

INVITATION = "What is read appears here"
# Notes every place on the page where the sheet is seen, and what covers it.
WATCH_CANVAS = """
window.places = new Set();
window.covers = new Set();
(function look() {
  const canvas = document.querySelector("#sheet canvas");
  if (canvas?.offsetParent) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    places.add([left + scrollX, top + scrollY, width, height].map(Math.round).join());
    const topmost = document.elementFromPoint(left + width / 3, top + height / 3);
    if (topmost && !topmost.closest("#sheet")) covers.add(topmost.className);
  }
  requestAnimationFrame(look);
})();
"""
# How each digit is written on a canvas of 280x280: one list of corners per stroke.
STROKES = {
    "0": [[(140, 50), (95, 75), (80, 140), (95, 205), (140, 230), (185, 205), (200, 140),
           (185, 75), (140, 50)]],
    "1": [[(124, 78), (150, 50), (150, 230)]],
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


TOUCH = {"has_touch": True, "is_mobile": True}
PIXELS = "canvas => canvas.toDataURL()"
HAS_YELLOW = """() => {
  const map = document.querySelector("#answer .saliency").getContext("2d");
  const { data } = map.getImageData(0, 0, 28, 28);
  return data.some((red, i) => i % 4 === 0 && red > data[i + 2] + 20);
}"""


@pytest.fixture(scope="module")
def client(app_url) -> Client:
    return Client(app_url, verbose=False)


@contextmanager
def visit(context, url, width=1280, height=900, color_scheme="light"):
    """The page; at its end: no error in the console, no request elsewhere, the sheet unmoved."""
    with context.new_page() as page:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=color_scheme)
        problems = []
        page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        elsewhere = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")
        page.on("request", lambda r: elsewhere.match(r.url) and problems.append(r.url))
        page.add_init_script(WATCH_CANVAS)
        page.goto(url)
        page.locator("#sheet canvas").wait_for()
        yield page
        assert not problems
        assert len(page.evaluate("[...places]")) == 1
        assert page.evaluate("[...covers]") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def context(browser):
    """Somebody who comes again: the browser need not fetch and compile the page's scripts anew."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(app_url, context):
    with visit(context, app_url) as page:
        yield page


def place(page, x, y) -> tuple[float, float]:
    """Where on the page a point of the sheet's middle, 280x280, is."""
    box = page.locator("#sheet canvas").bounding_box()
    unit = box["height"] / 280
    return box["x"] + box["width"] / 2 + (x - 140) * unit, box["y"] + y * unit


def draw(page, strokes) -> None:
    """Draw with the mouse, stroke after stroke."""
    for stroke in strokes:
        points = [place(page, *point) for point in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def expect_held(page, held, count) -> None:
    """That many requests have come to a route that holds them."""
    for _ in range(600):
        if len(held) >= count:
            return
        page.wait_for_timeout(50)
    pytest.fail("The sheet has sent nothing.")


def expect_digit(page, digit) -> None:
    """The first text of the answer is the digit, and its bar stands out."""
    expect(page.locator("#answer")).to_have_text(re.compile(rf"^\s*{digit}"))
    expect(page.locator("#answer .bars .best")).to_have_attribute("data-digit", str(digit))


def test_ten_digits_drawn_with_a_mouse_are_read(page):
    expect(page.locator("#answer")).to_contain_text(INVITATION)
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        expect_digit(page, digit)
        assert page.locator("#answer .bars b").all_inner_texts() == list("0123456789")
        # The pen rests: the saliency map comes, yellow on what the model sees.
        page.wait_for_function(HAS_YELLOW)
        page.get_by_role("button", name="Clear", exact=True).click()
        expect(page.locator("#answer")).to_contain_text(INVITATION)


def write(page, number, width, gap=0.0) -> None:
    """Write digits of that width side by side on the sheet's middle, 420x280, with a gap."""
    left = 140 - (len(number) * width + (len(number) - 1) * gap) / 2
    for place, digit in enumerate(number):
        corner, scale = left + place * (width + gap), width / 140
        strokes = [
            [(corner + (x - 70) * scale, 140 + (y - 140) * scale) for x, y in stroke]
            for stroke in STROKES[digit]
        ]
        draw(page, strokes)


def expect_number(page, number) -> None:
    """The first text of the answer is the number; each digit has a tile, and a box on the sheet."""
    expect(page.locator("#answer .top")).to_have_text(number)
    expect(page.locator("#answer .tiles b")).to_have_text(list(number))
    expect(page.locator("#sheet .boxes i")).to_have_count(len(number))


def test_numbers_are_read_digit_by_digit(page):
    for number, size, gap in (("42", 110, 15), ("407", 90, 12), ("1234567890", 34, 6)):
        write(page, number, size, gap)
        expect_number(page, number)
        page.keyboard.press("Delete")
        expect(page.locator("#answer .tiles button")).to_have_count(0)
        expect(page.locator("#sheet .boxes i")).to_have_count(0)


def test_a_tile_shows_more_of_its_digit(page):
    write(page, "407", 90, 12)
    expect_number(page, "407")
    for index, digit in enumerate("407"):
        page.locator("#answer .tiles button").nth(index).click()
        expect(page.locator("#answer .bars .best")).to_have_attribute("data-digit", digit)
        expect(page.locator("#answer .tiles [aria-pressed=true] b")).to_have_text(digit)
    write(page, "407", 90, 12)  # over itself: new answers, the same number
    expect_number(page, "407")
    expect(page.locator("#answer .bars .best")).to_have_attribute("data-digit", "7")


def test_touching_digits_come_apart(page):
    write(page, "33", 100, -8)
    expect_number(page, "33")


def test_the_number_comes_while_the_pen_is_down_and_sentences_when_it_rests(page):
    page.evaluate("""() => {
        window.said = [];
        const status = document.querySelector("#answer [role=status]");
        new MutationObserver(() => said.push(status.textContent))
            .observe(status, { subtree: true, childList: true, characterData: true });
    }""")
    line = page.locator("#answer .line")
    page.mouse.move(*place(page, 80, 60))
    page.mouse.down()
    for x, y in (200, 60), (125, 235):  # a 1 on its side, and then a 7
        page.mouse.move(*place(page, x, y), steps=10)
        page.wait_for_timeout(700)
        expect(line).to_have_css("opacity", "0")
    expect_digit(page, 7)
    assert page.evaluate("said") == []
    page.mouse.up()
    expect(line).to_have_css("opacity", "1")
    expect(line).to_contain_text("Confidence")
    assert {said[0] for said in page.evaluate("said")} == {"7"}


def test_undo_redo_and_clear_by_button_and_by_key(page):
    canvas, answer = page.locator("#sheet canvas"), page.locator("#answer")
    undo = page.get_by_role("button", name="Undo")
    clear = page.get_by_role("button", name="Clear", exact=True)
    drawings = [canvas.evaluate(PIXELS)]
    expect(undo).to_be_disabled()
    for stroke in STROKES["4"]:
        draw(page, [stroke])
        drawings.append(canvas.evaluate(PIXELS))
    press = page.keyboard.press
    for steps in (
        [(undo.click, 1), (undo.click, 0), (lambda: press("Control+y"), 1)],
        [(lambda: press("Control+Shift+z"), 2), (lambda: press("Backspace"), 1)],
        [(lambda: press("Control+y"), 2), (lambda: press("Control+z"), 1)],
    ):
        for step, strokes in steps:
            step()
            assert canvas.evaluate(PIXELS) == drawings[strokes]
    press("Control+y")
    for wipe in (clear.click, lambda: press("Delete"), lambda: press("Escape")):
        wipe()
        assert canvas.evaluate(PIXELS) == drawings[0]
        expect(answer).to_contain_text(INVITATION)
        expect(clear).to_be_disabled()
        page.get_by_role("tab", name="Read").focus()  # keys work wherever the focus is
        press("Control+z")
        assert canvas.evaluate(PIXELS) == drawings[2]
        expect_digit(page, 4)
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.locator("body > textarea").fill("12")  # but in a field of text
    press("Backspace")
    expect(page.locator("body > textarea")).to_have_value("1")
    assert canvas.evaluate(PIXELS) == drawings[2]
    page.evaluate("document.querySelector('body > textarea').remove()")


def test_a_stroke_that_begins_beside_the_sheet_is_drawn_from_its_edge(page):
    box = page.locator("#sheet canvas").bounding_box()
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] - 15)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 0.8 * box["height"], steps=8)
    page.mouse.up()
    expect_digit(page, 1)
    dark = "canvas => canvas.getContext('2d').getImageData(420, 2, 1, 1).data[0] < 50"
    assert page.locator("#sheet canvas").evaluate(dark)
    page.keyboard.press("Delete")
    for y in (box["y"] - 200, box["y"] + box["height"] + 40):  # a text far away, and a button
        page.mouse.move(box["x"] + 20, y)
        page.mouse.down()
        page.mouse.move(x, box["y"] + box["height"] / 2, steps=8)
        page.mouse.up()
    expect(page.get_by_role("button", name="Clear", exact=True)).to_be_disabled()


def test_same_answer_and_drawing_in_both_themes(app_url, context):
    drawings = []
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360)):
        with visit(context, app_url, width, color_scheme=scheme) as page:
            draw(page, STROKES["5"])
            expect_digit(page, 5)
            drawings.append(page.locator("#sheet canvas").evaluate("canvas => canvas.toDataURL()"))
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert drawings[0] == drawings[1]


def swipe(page, *points) -> None:
    """Move a finger along points of the window."""
    touch = page.context.new_cdp_session(page)
    for i, (x, y) in enumerate(points):
        event = {"type": "touchMove" if i else "touchStart", "touchPoints": [{"x": x, "y": y}]}
        touch.send("Input.dispatchTouchEvent", event)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_draws_and_does_not_scroll(app_url, browser):
    with browser.new_context(**TOUCH) as context, visit(context, app_url, 360, 640) as page:
        assert page.evaluate("document.documentElement.scrollHeight") > 700  # it could scroll
        for (x0, y0), (x1, y1) in [[(80, 60), (200, 60)], [(200, 60), (125, 235)]]:
            steps = np.linspace(0, 1, 11)
            swipe(page, *(place(page, x0 + s * (x1 - x0), y0 + s * (y1 - y0)) for s in steps))
        expect_digit(page, 7)
        page.keyboard.press("Delete")
        box = page.locator("#sheet canvas").bounding_box()
        x = box["x"] + box["width"] / 2  # a finger that begins beside it draws as well
        swipe(page, *((x, y) for y in np.linspace(box["y"] - 8, box["y"] + 180, 11)))
        expect_digit(page, 1)
        assert page.evaluate("scrollY") == 0


HAND_OVER = """([base64, name, type, event]) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
  document.querySelector("h1").dispatchEvent(
    event === "drop" ? new DragEvent("drop", { ...options, dataTransfer: data })
                     : new ClipboardEvent("paste", { ...options, clipboardData: data }));
}"""


def hand_over(page, how, content, name="7.png", kind="image/png") -> None:
    """Give a file to the page: chosen, or dropped or pasted on its title."""
    if how == "choose":
        file = {"name": name, "mimeType": kind, "buffer": content}
        page.locator("#sheet input[type=file]").set_input_files(file)
    else:
        page.evaluate(HAND_OVER, [base64.b64encode(content).decode(), name, kind, how])


@pytest.mark.parametrize("how", ["drop", "paste", "choose"])
def test_an_image_can_be_given_and_written_on(page, how):
    undo = page.get_by_role("button", name="Undo")
    blank = page.locator("#sheet canvas").evaluate(PIXELS)
    hand_over(page, how, encode(seven(), "PNG"))
    expect_digit(page, 7)
    image = page.locator("#sheet canvas").evaluate(PIXELS)
    assert image != blank
    draw(page, [[(105, 60), (160, 60)], [(70, 220), (200, 220)]])  # a line under it
    assert page.locator("#sheet canvas").evaluate(PIXELS) != image
    undo.click()
    undo.click()
    assert page.locator("#sheet canvas").evaluate(PIXELS) == image
    expect_digit(page, 7)
    undo.click()
    assert page.locator("#sheet canvas").evaluate(PIXELS) == blank
    expect(page.locator("#answer")).to_contain_text(INVITATION)


def test_a_blank_image_is_called_so_and_the_pen_is_seen_on_and_beside_it(page):
    canvas = page.locator("#sheet canvas")
    luminance = "(canvas, x) => canvas.getContext('2d').getImageData(x, 280, 1, 1).data[1]"
    half = Image.new("RGB", (900, 600), (240, 240, 240))
    half.paste((40, 42, 50), (450, 0, 900, 600))
    for image, digit in (
        (Image.new("RGB", (900, 700), (210, 205, 190)), 4),
        (Image.new("RGB", (300, 700), (40, 42, 50)), 4),  # a dark one, with room beside it
        (half, None),
    ):
        hand_over(page, "drop", encode(image, "PNG"))
        if digit:
            expect(page.locator("#answer")).to_contain_text("This image is blank")
            draw(page, STROKES["4"])
            expect_digit(page, 4)
            page.get_by_role("button", name="Undo").click(click_count=2)
        expect(page.get_by_role("button", name="Clear", exact=True)).to_be_enabled()
        for x in (120, 420 + 100, 720):
            before = canvas.evaluate(luminance, x)
            draw(page, [[(140 + (x - 420) / 2, 100), (140 + (x - 420) / 2, 180)]])
            assert abs(canvas.evaluate(luminance, x) - before) > 150


def test_a_photograph_is_turned_by_its_exif_and_sent_small(page):
    sizes = []

    def measure(route):
        sizes.append(len(route.request.post_data))
        route.continue_()

    page.route("**/component_server/", measure)
    photo = ImageOps.expand(seven(190, 60), (0, 60), 190).resize((2400, 3840))
    noise = np.random.default_rng(0).normal(0, 6, (3840, 2400))
    photo = Image.fromarray(np.uint8((np.asarray(photo) + noise).clip(0, 255)))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    hand_over(page, "drop", encode(turned, "JPEG", exif=exif), "7.jpg", "image/jpeg")
    expect_digit(page, 7)
    assert max(sizes) < 150_000


def test_a_photograph_of_60_megapixels_is_read(page):
    large = seven(190, 60).resize((9000, 6700))
    hand_over(page, "choose", encode(large, "JPEG"), "7.jpg", "image/jpeg")
    expect(page.locator("#answer")).to_have_text(re.compile(r"^\s*7"))


def test_files_that_are_no_images_get_a_sentence_and_then_the_answer_comes_back(page):
    draw(page, STROKES["2"])
    expect_digit(page, 2)
    for name, content in {
        "broken.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "text.png": b"This is no image.",
        "photo.heic": b"\0\0\0\x18ftypheic" + bytes(100),
        "letter.pdf": b"%PDF-1.7\n%%EOF",
    }.items():
        hand_over(page, "choose", content, name, "application/octet-stream")
        expect(page.locator("#answer .error")).to_contain_text("not an image that can be read. Use")
    expect_digit(page, 2)


@pytest.mark.parametrize("newest", ["drawing", "image", "nothing"])
def test_the_answer_to_an_earlier_input_never_comes_late(page, newest):
    held = []
    page.route("**/component_server/", lambda route: held.append(route))
    draw(page, STROKES["3"])
    expect_held(page, held, 1)
    if newest == "image":
        hand_over(page, "drop", encode(seven(), "PNG"))
    else:
        page.get_by_role("button", name="Clear", exact=True).click()
    if newest == "drawing":
        draw(page, STROKES["2"])
    shown = []
    page.expose_function("note", lambda text: shown.append(text))
    page.evaluate("""() => new MutationObserver(() =>
        note(document.querySelector("#answer .top").textContent)
    ).observe(document.querySelector("#answer"), { subtree: true, childList: true })""")
    page.unroute("**/component_server/")
    if newest == "nothing":
        expect(page.locator("#answer")).to_contain_text(INVITATION)
    else:
        expect_digit(page, {"drawing": 2, "image": 7}[newest])
    assert "3" not in shown


def test_the_server_fails_and_comes_back(app_url, browser):
    with browser.new_context() as context:  # the browser itself notes failed requests as errors
        page = context.new_page()
        page.goto(app_url)
        page.locator("#sheet canvas").wait_for()
        page.route("**/component_server/", lambda route: route.abort())
        draw(page, STROKES["4"])
        expect(page.locator("#answer .error")).to_contain_text("stays here")
        page.unroute("**/component_server/")
        expect_digit(page, 4)  # without another stroke
        page.route("**/component_server/", lambda route: route.fulfill(status=500))
        draw(page, [[(60, 260), (70, 260)]])
        expect(page.locator("#answer .error")).to_contain_text("stays here")
        page.unroute("**/component_server/")
        busy = {"kind": "error", "busy": True, "line": "Too many people are here."}
        page.route("**/component_server/", lambda route: route.fulfill(json=busy))
        expect(page.locator("#answer .error")).to_contain_text("Too many")
        page.unroute("**/component_server/")
        expect_digit(page, 4)


def test_who_finds_a_hundred_waiting_is_told_so_and_the_hundred_get_their_own_answers():
    def double(numbers: list[int]) -> list[dict]:
        return [{"double": 2 * number} for number in numbers]

    async def ask_at_once() -> list[dict]:
        ask = batched(double, {"busy": True})
        return await asyncio.gather(*map(ask, range(130)))

    with ThreadPoolExecutor(1) as thread:  # in this one runs the loop of the browser
        answers = thread.submit(asyncio.run, ask_at_once()).result()
    assert answers[:100] == [{"double": 2 * number} for number in range(100)]
    assert all(answer["busy"] for answer in answers[100:])


def test_examples_are_read_as_their_names_say(page):
    examples = page.locator("#examples button")
    for index, name in enumerate(page.locator("#examples img").all()):
        shows = re.fullmatch(
            "Example: (an? [0-9]|the number 407|a house)\\b.*", name.get_attribute("alt")
        )
        digits = re.sub(r"\D", "", shows[1])
        examples.nth(index).click()
        if len(digits) == 1:
            expect_digit(page, digits)
        elif digits:
            expect_number(page, digits)
    line = page.locator("#answer .line")
    expect(line).to_contain_text("does not look like a digit.\nWrite only digits")
    guess = re.search(r"Best guess: \d \((\d+)%", line.inner_text())
    assert not guess or int(guess[1]) >= 30


def test_what_is_left_out_of_a_number_is_said(page):
    plus = [[(90, 150), (190, 150)], [(140, 100), (140, 200)]]
    for left, strokes in ((-95, STROKES["4"]), (30, plus), (155, STROKES["7"])):
        draw(page, [[(left + 0.8 * x, 28 + 0.8 * y) for x, y in stroke] for stroke in strokes])
    left_out = re.compile(r"Confidence: .*\s+A sign was left out: only digits are read.")
    expect(page.locator("#answer .line")).to_have_text(left_out)
    expect(page.locator("#answer .top")).to_have_text("4 7")


MOVES = """() => {
  window.moves = new Set();
  (function look() {
    for (const name of ["#sheet canvas", "#answer .bars", "#examples", "html"])
      moves.add(name + document.querySelector(name).getBoundingClientRect().top);
    requestAnimationFrame(look);
  })();
}"""


@pytest.mark.parametrize(
    "width, height, options",
    [
        (1280, 800, {}),
        (360, 740, TOUCH),
        (740, 360, TOUCH),  # held sideways
        (640, 400, {"device_scale_factor": 2}),  # enlarged to 200%
    ],
)
def test_on_every_screen_sheet_and_answer_are_seen_together_and_nothing_moves(
    app_url, browser, width, height, options
):
    with browser.new_context(**options) as context, visit(context, app_url, width, height) as page:
        sheet, answer = page.locator("#sheet canvas"), page.locator("#answer .verdict")
        box, beside = sheet.bounding_box(), answer.bounding_box()
        assert box["height"] <= 0.7 * height
        assert (beside["x"] >= box["x"] + box["width"]) == (width >= 640)
        expect(page.locator("#sheet .hint span")).to_be_visible(
            visible=not options.get("has_touch")
        )
        for seen in ("#sheet canvas", "#sheet .tools", "#answer .verdict", "#answer .tiles"):
            expect(page.locator(seen)).to_be_in_viewport(ratio=1)
        if height > width:
            expect(page.locator("#answer .images")).to_be_in_viewport(ratio=1)
        page.evaluate("""() => {
            window.scrolled = new Promise((end) =>
                addEventListener("scrollend", () => end(scrollY)));
        }""")
        x, y = beside["x"] + 50, beside["y"] + 70
        swipe(page, *((x, y - 5 * step) for step in range(14)))
        assert page.evaluate("scrolled") > 30

        page.evaluate(MOVES)
        for _ in range(2):
            write(page, "407", 90, 12)
            expect_number(page, "407")
            for _ in range(4):
                page.keyboard.press("Control+z")
            expect(page.locator("#answer .tiles button")).to_have_count(0)
            expect(page.locator("#answer .line")).to_have_css("opacity", "1")
        assert len(page.evaluate("[...moves]")) == 4

        page.locator("#examples button").last.click()  # scrolls down to it
        page.locator("#examples button").first.click()
        expect_digit(page, 4)
        expect(sheet).to_be_in_viewport(ratio=1)


def share(page, how) -> str:
    """Choose one of what the menu offers -> what the clipboard holds then."""
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name=how).click()
    expect(page.locator("#share [role=status]")).not_to_have_text("")
    page.keyboard.press("Escape")
    return page.evaluate("navigator.clipboard.readText()")


def test_what_is_written_is_copied_saved_and_linked_to(page, app_url, context):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.get_by_role("button", name="Share")).to_be_disabled()
    write(page, "42", 110, 15)
    expect_number(page, "42")
    assert share(page, "Copy what") == "42"
    draw(page, [[(140, 270), (140, 279), (140, 320)]])  # a stroke that leaves the sheet
    with visit(context, share(page, "Copy a link")) as other:
        expect(other.locator("#sheet .hint")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect_number(page, "42")
    with page.expect_download() as download:
        share(page, "Save")
    with Image.open(download.value.path()) as saved:
        ink = np.asarray(saved.convert("L")) < 128
        assert saved.size == (840, 700) and ink[:560].any() and ink[560:].any()
    link = share(page, "Copy a link")
    assert link.startswith(f"{app_url}/#strokes=") and len(link) < 4100
    with visit(context, link) as other:
        expect_number(other, "42")
        other.goto(link[:-5])  # a link that was cut is no drawing, and no error
        expect_number(other, "42")
    with visit(context, f"{app_url}/#strokes=7!") as other:
        expect(other.locator("#sheet .hint")).to_be_visible()
    hand_over(page, "choose", encode(seven(), "PNG"))
    expect_digit(page, 7)
    share(page, "Copy a link")
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator("#share [role=status]")).to_have_text(re.compile("no image"))


VISITOR = "Object.defineProperty(navigator, 'webdriver', { get: () => false })"  # a person


def test_on_the_first_visit_the_sheet_writes_a_7_until_it_is_touched(app_url, browser):
    with browser.new_context() as context:
        context.add_init_script(VISITOR)
        with visit(context, app_url) as page:
            expect_digit(page, 7)
            expect(page.locator("#answer .line")).to_have_text(re.compile("This is an example"))
            expect(page.get_by_role("button", name="Undo")).to_be_disabled()
            draw(page, STROKES["3"])
            expect_digit(page, 3)
        with visit(context, app_url) as page:  # again
            page.wait_for_timeout(1000)
            expect(page.locator("#sheet .hint")).to_be_visible()
    with browser.new_context(reduced_motion="reduce") as context:
        context.add_init_script(VISITOR)
        with visit(context, app_url) as page:
            page.wait_for_timeout(1000)
            expect(page.locator("#sheet .hint")).to_be_visible()


def test_games(page):
    status = page.locator("#play [role=status]")
    page.get_by_role("button", name="Write a number").click()
    for streak in (1, 2):
        expect(status).to_have_text(
            re.compile(rf"^Write \d+{'. Streak: 1' if streak > 1 else ''}$")
        )
        number = re.search(r"\d+", status.inner_text())[0]
        write(page, number, 60, 12)
        expect(status).to_have_text(re.compile(rf"^{number} in .* s.*\. Streak: {streak}$"))
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Fool it").click()
    expect(page.locator("#sheet .hint")).to_be_visible()
    target = re.search(r"Write a (\d)", status.inner_text())[1]
    draw(page, STROKES[target])
    expect(status).to_have_text(re.compile(f"It reads your {target}"))
    page.keyboard.press("Delete")
    other = "3" if target != "3" else "7"
    draw(page, STROKES[other])
    expect(status).to_have_text(re.compile(f"took your {target} for {other}"))


def test_a_shared_address_shows_a_title_a_sentence_and_an_image(app_url):
    html = urllib.request.urlopen(app_url).read().decode()
    tags = re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]*)" content="([^"]*)">', html)
    assert len(tags) == len(dict(tags)) == len(re.findall('"(?:og|twitter):', html))
    assert dict(tags)["og:title"] == "Handwritten digits"
    assert dict(tags)["og:url"].rstrip("/") == app_url
    with urllib.request.urlopen(dict(tags)["og:image"]) as response:
        assert response.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(response.read())).size == (1200, 630)


RING = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return [document.activeElement.tagName, outlineStyle, outlineWidth].join(" ");
}"""
IN_FORCED_COLORS = """() => {
  const looks = (name) => {
    const { color, backgroundColor } = getComputedStyle(document.querySelector(name));
    return color + backgroundColor;
  };
  const bar = getComputedStyle(document.querySelector("#answer .best i")).backgroundImage;
  const alike = ["#answer .tiles [aria-pressed=%]", "[role=tab][aria-selected=%]"]
    .filter((name) => looks(name.replace("%", true)) === looks(name.replace("%", false)));
  return [bar !== "none", alike];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_for_everyone(app_url, context, scheme):
    with visit(context, app_url, color_scheme=scheme) as page:

        def check(*disabled):
            options = {"rules": {rule: {"enabled": False} for rule in disabled}}
            plots = [".plot button"]  # Gradio puts one without a name around each
            results = Axe().run(page, {"exclude": [plots]}, options)
            assert not results.response["violations"], results.generate_report()

        check()
        write(page, "407", 90, 12)
        expect_number(page, "407")
        expect(page.locator("#answer .line")).to_have_css("opacity", "1")
        check()
        confident = re.compile("4, (more than )?[0-9.]+ percent")
        expect(page.locator("#answer").get_by_role("button", name=confident)).to_have_count(1)
        page.locator("#answer .tiles button").first.click()
        expect(page.get_by_role("listitem").filter(has_text=confident)).to_have_count(1)
        expect(page.get_by_role("application", name="Write a digit or a number")).to_be_visible()

        rings = set()
        page.get_by_role("tab", name="Read").focus()
        for _ in range(22):
            page.keyboard.press("Tab")
            rings.add(page.evaluate(RING))
        rings = {ring for ring in rings if not ring.startswith("BODY")}  # between two rounds
        assert rings == {f"{tag} solid 3px" for tag in ("A", "BUTTON", "CANVAS", "SUMMARY")}

        page.emulate_media(forced_colors="active")
        assert page.evaluate(IN_FORCED_COLORS) == [True, []]
        page.emulate_media(forced_colors="none")
        page.get_by_role("tab", name="About the model").click()
        page.get_by_role("button", name="Details").click()
        expect(page.locator(".plot img")).to_have_count(4)
        check("scrollable-region-focusable")  # Chromium focuses these by itself


def test_about_tab_shows_the_files_of_the_model(page):
    page.get_by_role("tab", name="About the model").click()
    accuracy = json.loads((ROOT / "model" / "eval_results.json").read_text())["eval_accuracy"]
    expect(page.locator("body")).to_contain_text(f"{accuracy:.2%}")
    expect(page.locator("body")).to_contain_text('pipeline("number-recognition"')
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollHeight") <= 3 * 740
    page.get_by_role("button", name="Details").click()
    expect(page.locator("body")).to_contain_text("ECE, expected calibration error")
    page.set_viewport_size({"width": 1280, "height": 900})
    plots = page.locator(".plot img")
    expect(plots).to_have_count(4)
    for plot in plots.all():
        plot.scroll_into_view_if_needed()
        expect(plot).to_have_js_property("complete", True)
        assert plot.evaluate("image => image.naturalWidth") > 100


def test_a_model_that_doubts_and_brings_nothing_but_itself(context, python, tmp_path):
    for name in ("model.safetensors", "preprocessor_config.json", "ink_finder.safetensors"):
        shutil.copy(ROOT / "model" / name, tmp_path)
    config = json.loads((ROOT / "model" / "config.json").read_text()) | {
        "confidence_threshold": 1.01
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (
        serve_app(tmp_path / "log", popen=python.popen, MODEL_ID=str(tmp_path)) as (url, _),
        visit(context, url) as page,
    ):
        draw(page, STROKES["3"])
        expect(page.locator("#answer")).to_have_text(
            re.compile(r"^\s*\?[\s?]*This does not look like")
        )
        expect(page.locator("#answer .verdict")).to_contain_text("Best guess: 3")
        page.get_by_role("tab", name="About the model").click()
        expect(page.locator("body")).to_contain_text("Use it in a program")
        expect(page.locator(".plot img")).to_have_count(0)


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
    image = Image.new("L", (200, 200), background)
    ImageDraw.Draw(image).line([(50, 40), (150, 40), (90, 170)], ink, 12, joint="curve")
    return image


REFUSED = {
    "blank.png": (encode(Image.new("L", (280, 280), 255), "PNG"), "blank"),
    "one-pixel.png": (encode(Image.new("L", (1, 1)), "PNG"), "blank"),
    "bomb.png": (huge_png(20_000), "too large.*64 megapixels"),
    "corrupt.jpg": (encode(seven(), "JPEG")[:500], "corrupted"),
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


def test_read_returns_a_number_with_its_digits_and_their_places(client):
    number = ROOT / "examples" / "6-the-number-407.jpg"
    result = client.predict(handle_file(number), api_name="/read")
    assert result["number"] == "407" and 0 < result["score"] <= 1
    assert [digit["label"] for digit in result["digits"]] == ["4", "0", "7"]
    left = [digit["box"]["xmin"] for digit in result["digits"]]
    assert left == sorted(left) and left[0] >= 0 and result["digits"][2]["box"]["xmax"] <= 440


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(client, tmp_path, name):
    content, sentence = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(tmp_path / name), api_name="/predict")
    if sentence == "blank":
        assert client.predict(handle_file(tmp_path / name), api_name="/read")["number"] == ""
    else:
        with pytest.raises(AppError, match=sentence):
            client.predict(handle_file(tmp_path / name), api_name="/read")


@pytest.mark.parametrize("name", READ)
def test_unusual_formats_are_read(client, tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    result = client.predict(handle_file(tmp_path / name), api_name="/predict")
    assert result["label"] == "7"


def test_no_image_is_refused_with_a_sentence(client):
    with pytest.raises(AppError, match="There is no image"):
        client.predict(None, api_name="/predict")


FILE = {"meta": {"_type": "gradio.FileData"}}


def call_predict(app_url: str, values: list) -> bytes:
    """The events that answer a call with these values, whatever they are."""
    url, body = f"{app_url}/gradio_api/call/predict", json.dumps({"data": values}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    event = json.load(urllib.request.urlopen(request))["event_id"]
    return urllib.request.urlopen(f"{url}/{event}").read()


@pytest.mark.parametrize("marks", [FILE, {}], ids=["as a file", "unmarked"])
def test_no_file_of_the_server_can_be_read(app_url, marks):
    """A path that was not uploaded is refused, whatever it points to: an image, too."""
    for path in ("/etc/hostname", str(ROOT / "examples" / "1-a-4-from-MNIST.png")):
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


API = (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "python"])
def test_the_documented_calls_work_as_they_stand(app_url, shell):
    """Pasted: into zsh, which takes no comments then, and into Python, which ends a block there."""
    command = {"python": [sys.executable, "-i"], "zsh": ["zsh", "-fi"]}.get(shell, [shell])
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    calls = re.search(rf"```{'python' if shell == 'python' else 'bash'}\n(.*?)```", API, re.S)[1]
    calls = calls.replace("http://127.0.0.1:7860", app_url)
    done = subprocess.run(command, input=calls, cwd=ROOT, capture_output=True, text=True)
    answers = done.stdout.replace("'", '"')
    assert '"label": "4"' in answers and '"number": "407"' in answers, done.stderr
    refusals = done.stderr if shell == "python" else answers
    assert refusals.count("This file is not an image that can be read") == 1


def test_the_api_is_described_in_the_words_of_the_documentation(app_url):
    description = urllib.request.urlopen(f"{app_url}/gradio_api/info").read().decode()
    for endpoint in json.loads(description)["named_endpoints"].values():
        (image,) = endpoint["parameters"]
        assert (
            image["parameter_name"] == image["label"] == "image" and image["component"] == "Image"
        )
        assert (
            "image=handle_file('examples/1-a-4-from-MNIST.png')"
            in endpoint["code_snippets"]["python"]
        )
    assert (ROOT / "examples" / "1-a-4-from-MNIST.png").is_file()
    assert not re.search(r"bus\.png|(parameter|value)_\d", description)


def test_a_refused_call_is_one_line_in_the_log(app_url, app_log, client):
    written = app_log.stat().st_size
    for values in ([None], [], [3], [FILE | {"path": "/etc/hostname"}]):
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
            content = base64.b64encode(encode(seven(), "PNG")).decode()
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
