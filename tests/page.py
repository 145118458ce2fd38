"""The app's page in a browser: visits, a pen, what is expected of an answer; an image for it."""

import asyncio
import re
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from scripts.browser import on_screen, open_page

INVITATION = "What is read appears here"
TOUCH = {"has_touch": True, "is_mobile": True}
PHONE = TOUCH | {"width": 360, "height": 740}
PIXELS = "canvas => canvas.toDataURL()"
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
# How each digit is written on a square of 280x280: the corners of each stroke.
CORNERS = {
    "0": "140,50 95,75 80,140 95,205 140,230 185,205 200,140 185,75 140,50",
    "1": "124,78 150,50 150,230",
    "2": "85,95 105,60 150,50 190,75 185,120 130,175 80,228 205,228",
    "3": "90,65 140,50 185,75 180,115 130,135 185,155 195,200 150,232 85,215",
    "4": "110,50 80,150 205,150; 165,90 165,235",
    "5": "100,60 95,130 150,120 190,150 185,205 140,232 85,215; 100,58 190,55",
    "6": "165,50 115,95 90,160 100,215 145,232 185,205 180,160 140,140 95,170",
    "7": "80,60 200,60 125,235",
    "8": "185,80 140,50 100,80 115,120 165,150 190,195 140,232 92,200 115,150 170,115 185,80",
    "9": "185,85 140,55 100,85 110,130 155,135 185,85 180,160 165,235",
}
STROKES = {
    digit: [np.array([xy.split(",") for xy in path.split()], float) for path in text.split(";")]
    for digit, text in CORNERS.items()
}


@contextmanager
def visit(who, url, width=1280, height=900, server_fails=False, time_stands=False, **options):
    """The page, whose `asked` are the functions of the server that it calls.

    `who` is a browser for somebody who comes for the first time, a context for one who comes again.
    At its end: no error in the console, no request elsewhere, the sheet unmoved. Of a failed
    request the browser itself notes an error: `server_fails` allows that. Where `time_stands`, the
    page's clock goes on by `page.clock` alone.
    """
    with who.new_page(**options) as page:
        page.set_viewport_size({"width": width, "height": height})
        problems, page.asked = [], []
        elsewhere = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")

        def note(request):
            if elsewhere.match(request.url):
                problems.append(request.url)
            if "component_server" in request.url:
                page.asked.append(request.post_data_json["fn_name"])

        page.on("request", note)
        page.on("pageerror", lambda error: problems.append(str(error)))
        if not server_fails:
            page.on("console", lambda m: m.type == "error" and problems.append(m.text))
        page.add_init_script(WATCH_CANVAS)
        if time_stands:
            page.clock.install(time=0)
        open_page(page, url)
        if time_stands:
            page.clock.pause_at(86400)
        yield page
        assert not problems
        assert len(page.evaluate("[...places]")) == (page.url != "about:blank")
        assert page.evaluate("[...covers]") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def place(page: Page, points: list) -> np.ndarray:
    """Where in the window a point, or points, of the sheet's middle, 280x280, are."""
    return on_screen(page, np.add(points, (70, 0)) / 2.8)


def drag(page: Page, first: tuple, *points: tuple, steps: int = 1) -> None:
    """Move the mouse, its button pressed, along points of the window."""
    page.mouse.move(*first)
    page.mouse.down()
    for point in points:
        page.mouse.move(*point, steps=steps)
    page.mouse.up()


def draw(page: Page, strokes: list) -> None:
    """Draw with the mouse, stroke after stroke."""
    for stroke in strokes:
        drag(page, *place(page, stroke))


def write(page: Page, number: str, width: float, gap: float, middle: float = 140) -> None:
    """Write digits of that width side by side on the sheet, 420x280, with a gap."""
    left = 140 - (len(number) * width + (len(number) - 1) * gap) / 2
    for index, digit in enumerate(number):
        start = left + index * (width + gap), middle
        draw(page, [(path - (70, 140)) * width / 140 + start for path in STROKES[digit]])


def clear(page: Page) -> None:
    """Empty the sheet, and with it the answer."""
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#answer .verdict")).to_contain_text(INVITATION)


def expect_digit(page: Page, digit: object) -> None:
    """The first text of the answer is the digit, and its bar stands out."""
    expect(page.locator("#answer")).to_have_text(re.compile(rf"^\s*{digit}"))
    expect(page.locator("#answer .bars .best")).to_have_attribute("data-digit", str(digit))


def expect_number(page: Page, number: str) -> None:
    """The first text of the answer is the number; each digit has a tile, and a box on the sheet."""
    expect(page.locator("#answer .top")).to_have_text(number)
    expect(page.locator("#answer .tiles b")).to_have_text(list(number))
    expect(page.locator("#sheet .boxes i")).to_have_count(len(number))


def call_server(url: str, component: str, function: str, data: object) -> object:
    """What the app answers when the script of a part of its page calls a function."""
    parts = httpx.get(f"{url}/config", timeout=60).json()["components"]
    (part,) = [part["id"] for part in parts if part["props"].get("elem_id") == component]
    call = {"data": data, "fn_name": function, "component_id": part, "session_hash": "test"}
    answer = httpx.post(f"{url}/gradio_api/component_server/", json=call, timeout=60)
    return answer.raise_for_status().json()


def run_apart(coroutine: Coroutine) -> object:
    """As `asyncio.run`, in a thread: in this one runs the event loop of Playwright."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def seven(background: int = 255, ink: int = 0) -> Image.Image:
    image = Image.new("L", (200, 200), background)
    ImageDraw.Draw(image).line([(50, 40), (150, 40), (90, 170)], ink, 12, joint="curve")
    return image
