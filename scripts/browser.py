"""Headless Chromium, and a pen in it: for the tests, latency, the screenshots and the video."""

import shutil

from playwright.sync_api import Browser, Page, Playwright

from scripts.strokes import smooth

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
)


def launch_chromium(playwright: Playwright) -> Browser:
    """Start the system's Chromium, which asks nothing of the network by itself.

    Raises:
        FileNotFoundError: there is none.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise FileNotFoundError("No Chromium here. Install it (Debian: apt-get install chromium).")
    return playwright.chromium.launch(executable_path=path, args=FLAGS.split())


def draw(
    page: Page, strokes: list, left: float = 25, side: float = 100, top: float | None = None
) -> None:
    """Write strokes on the sheet at a person's pace, and wait a moment for the last answer.

    Args:
        page: The app's.
        strokes: On a square of 100 x 100.
        left, side, top: Where on the sheet, 150 x 100, that square stands; by default in the
            middle of its height.
    """
    box = page.locator("#sheet canvas").bounding_box()
    unit = box["height"] / 100
    top = (100 - side) / 2 if top is None else top
    corner = (box["x"] + left * unit, box["y"] + top * unit)
    for stroke in strokes:
        points = [corner + side / 100 * unit * xy for xy in smooth(stroke)]
        page.mouse.move(*points[0], steps=5)
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()
    page.wait_for_timeout(700)
