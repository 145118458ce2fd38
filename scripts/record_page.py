"""python -m scripts.record_page

Takes the screenshots of the page and what a shared link shows, and records docs/demo.webp: a digit
and a number; training and starting the app; two lines, a photograph, a non-digit and a correction.
All of it is real: the commands run in a copy of this repository, their output is shown as it comes,
faster, and the page is the app's, in Chromium.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Browser, Page, ScreencastFrame, expect, sync_playwright

from scripts.browser import draw, draw_number, launch_chromium, open_page
from scripts.serve import ROOT, serve_app
from scripts.strokes import FOUR, HOUSE, SEVEN, TWO, ZERO

SCREENSHOTS = (  # file, width, height, theme
    ("docs/app-dark.png", 1080, 720, "dark"),
    ("docs/app-phone.png", 360, 740, "light"),
    ("ui/preview.png", 1200, 630, "light"),
)
VIDEO = ROOT / "docs" / "demo.webp"
WINDOW = {"width": 1040, "height": 940}
SIZE = {"width": 640, "height": 640}  # which the video fits into
FRAME = 1 / 6  # seconds
SPEED = 20  # of the terminal
COLUMNS, ROWS = 84, 26  # of the terminal
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": str(COLUMNS)}
TRAIN = "python train.py --dataset_name tests/mnist --max_steps 100 --logging_steps 20"
SERVE, IS_SERVING = "CORRECTIONS_DIR=corrections python app.py", "Streamable HTTP URL"
ONE_OR_SEVEN = [[(34, 34), (58, 14), (50, 86)]]  # a flag so long that the answer may be wrong
TERMINAL = f"""<body style="margin: 0; font: 19px/1.5 monospace; background: #0f172a; color: white">
<pre style="margin: 24px 28px; font: inherit">$ COMMAND</pre>
<p style="position: fixed; right: 28px; bottom: 4px; color: #94a3b8">
Output {SPEED} times as fast as it was</p></body>"""
# Headless browsers show no pointer: a ring follows it.
POINTER = """addEventListener("pointermove", ({ clientX, clientY }) => {
  window.ring ??= document.body.appendChild(document.createElement("div"));
  ring.style = `position: fixed; left: ${clientX}px; top: ${clientY}px; margin: -11px;
    z-index: 9999; width: 18px; height: 18px; border: 2px solid #f59e0b; border-radius: 50%;
    pointer-events: none`;
}, true);"""


class Recorder:
    """Keeps what a page shows, at the moments of the video, which may run faster than the page."""

    def __init__(self, page: Page):
        self.shots: dict[int, bytes] = {}  # a JPEG, by the number of the video's frame
        self.speed, self.clock, self.video = 1, time.time(), 0.0  # seconds of page and video
        page.screencast.start(on_frame=self.keep, size=SIZE, quality=100)

    def keep(self, shot: ScreencastFrame) -> None:
        """Take what the page shows after a change."""
        self.pass_time(shot["timestamp"] / 1000)
        self.shots[int(self.video / FRAME)] = shot["data"]

    def pass_time(self, now: float) -> None:
        """Move the video on to this moment of the page."""
        self.video += (now - self.clock) / self.speed
        self.clock = now

    def run_at(self, speed: int) -> None:
        """From now on the video is so many times as fast as the page."""
        self.pass_time(time.time())
        self.speed = speed

    def save(self, path: Path) -> None:
        """Write an animated WebP, whose last shot stays for two seconds."""
        places = sorted(self.shots)
        ends = pairwise([*places, places[-1] + 2 / FRAME])
        durations = [round(1000 * FRAME * (end - start)) for start, end in ends]
        first, *others = (Image.open(io.BytesIO(self.shots[place])) for place in places)
        options = {"duration": durations, "loop": 0, "quality": 30, "method": 6}
        first.save(path, save_all=True, append_images=others, **options)
        print(f"{path}: {sum(durations) / 1000:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


def show_terminal(page: Page, command: str, folder: Path) -> None:
    """Show a command and what it prints in a folder, until it ends or the app is serving.

    The command is "python ...", run by this interpreter, after variables if there are any.
    """
    page.set_content(TERMINAL.replace("COMMAND", command))
    screen = pyte.Screen(COLUMNS, ROWS)
    screen.set_mode(pyte.modes.LNM)  # a line feed begins a new line
    stream, text = pyte.ByteStream(screen), f"$ {command}\n"
    stream.feed(text.encode())
    words = ["env", *command.replace("python", sys.executable).split()]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
    with subprocess.Popen(words, cwd=folder, env=ENVIRONMENT, **pipe) as process:
        while piece := process.stdout.read(65536):
            stream.feed(piece)
            text = "\n".join(screen.display)
            page.evaluate("text => document.querySelector('pre').textContent = text", text)
            if IS_SERVING in text:
                process.terminate()
    if process.returncode not in (0, -signal.SIGTERM):
        raise RuntimeError(f"{command} failed:\n{text}")
    page.wait_for_timeout(1000 * SPEED)


def click(page: Page, selector: str) -> None:
    """Click an element, and wait a moment."""
    page.locator(selector).click()
    page.wait_for_timeout(400)


def show_more(page: Page) -> None:
    """Write two lines, give a photograph, draw a non-digit, and correct an answer."""
    page.wait_for_timeout(500)
    for place, digit in enumerate((TWO, FOUR, SEVEN, ZERO)):
        draw(page, digit, left=20 + 50 * (place % 2), side=38, top=6 + 50 * (place // 2))
    click(page, "#examples button:nth-child(5)")
    expect(page.locator("#answer .top")).to_contain_text("5")
    page.wait_for_timeout(800)
    for strokes in (HOUSE, ONE_OR_SEVEN):
        click(page, "#sheet .clear")
        draw(page, strokes)
    click(page, "#answer .bars li:nth-child(2) button")
    expect(page.locator("#answer")).to_contain_text("To be saved as a 1")
    page.wait_for_timeout(1500)


def take_screenshots(browser: Browser, url: str) -> None:
    """Save what the page looks like with a number or, on a phone, with a non-digit."""
    for file, width, height, scheme in SCREENSHOTS:
        size = {"width": width, "height": height}
        with browser.new_page(viewport=size, color_scheme=scheme) as page:
            open_page(page, url)
            draw(page, HOUSE) if "phone" in file else draw_number(page)
            page.locator("#answer .verdict:not(.writing)").wait_for()  # the sentences
            page.screenshot(path=ROOT / file, animations="disabled")


def main() -> None:
    """Take the screenshots; then run the commands, show them and the page, and save the video."""
    with tempfile.TemporaryDirectory() as copy, sync_playwright() as playwright:
        ignored = shutil.ignore_patterns(".*", "mnist-cnn", "docs")
        folder = shutil.copytree(ROOT, Path(copy) / "digits", ignore=ignored)
        browser = launch_chromium(playwright)
        with serve_app() as (url, _):
            take_screenshots(browser, url)
        page = browser.new_page(viewport=WINDOW)
        page.add_init_script(POINTER)
        with serve_app(folder=folder, CORRECTIONS_DIR=copy) as (url, _):
            open_page(page, url)
            recorder = Recorder(page)
            draw(page, TWO)
            click(page, "#sheet .clear")
            draw_number(page)
            click(page, "#answer .tiles button:first-child")
            recorder.run_at(SPEED)
            show_terminal(page, TRAIN, folder)
            show_terminal(page, SERVE, folder)
            recorder.run_at(1)
            open_page(page, url)
            show_more(page)
    recorder.save(VIDEO)


if __name__ == "__main__":
    main()
