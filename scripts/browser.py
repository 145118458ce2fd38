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


def draw(page: Page, strokes: list) -> None:
    """Draw strokes on the canvas at a person's pace, and wait a second for the last answer."""
    box = page.locator("#draw canvas").bounding_box()
    for stroke in strokes:
        points = [(box["x"], box["y"]) + box["width"] / 100 * xy for xy in smooth(stroke)]
        page.mouse.move(*points[0], steps=5)
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()
    page.wait_for_timeout(1000)
