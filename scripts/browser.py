"""Headless Chromium, and a pen in it: for the tests, latency, the screenshots and the video."""

import shutil

import numpy as np
from playwright.sync_api import Browser, Page, Playwright

from scripts.strokes import FOUR, SEVEN, ZERO, smooth

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--disable-gpu", "--disable-quic", "--disable-sync")  # beside Playwright's own


def launch_chromium(playwright: Playwright) -> Browser:
    """The system's Chromium, which asks nothing of the network; or `FileNotFoundError`."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise FileNotFoundError("No Chromium here. Install it (Debian: apt-get install chromium).")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def open_page(page: Page, url: str) -> None:
    """Load the app's page."""
    page.goto(url)
    page.locator("#sheet canvas").wait_for()


def on_screen(page: Page, points: np.ndarray) -> np.ndarray:
    """Points (N, 2), x and y, of the sheet, which is 150 x 100, in pixels of the window."""
    box = page.locator("#sheet canvas").bounding_box()
    return points * box["height"] / 100 + (box["x"], box["y"])


def draw(page: Page, strokes: list, left: float = 25, side: float = 100, top: float = 0) -> None:
    """Write strokes on the app's page at a person's pace, and wait a moment for the last answer.

    `strokes` are of a square of 100 x 100; `left`, `side` and `top` tell where it stands on the
    sheet, which is 150 x 100.
    """
    for stroke in strokes:
        points = (left, top) + side / 100 * smooth(stroke, rounds=2)
        first, *points = on_screen(page, points)
        page.mouse.move(*first, steps=5)
        page.mouse.down()
        for point in points:
            page.mouse.move(*point)
        page.mouse.up()
    page.wait_for_timeout(400)


def draw_number(page: Page) -> None:
    """Write 407."""
    for place, digit in enumerate((FOUR, ZERO, SEVEN)):
        draw(page, digit, left=7 + 40 * place, side=55, top=22.5)
