"""python -m scripts.record_video

Records docs/demo.webp: a digit and a number; training and starting the app; two lines, a
photograph, a non-digit and a correction. All of it is real: the commands run in a copy of this
repository, their output is shown as it comes, faster, and the page is the app's, in Chromium.
"""

import base64
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

import numpy as np
import pyte
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from scripts.browser import draw, draw_number, launch_chromium, open_page
from scripts.serve import ROOT, serve_app
from scripts.strokes import FOUR, HOUSE, SEVEN, TWO, ZERO

VIDEO = ROOT / "docs" / "demo.webp"
SIZE = {"width": 1040, "height": 940}  # of the browser's window
SHOWN_SIZE = (640, 578)  # of the video
FRAME = 1 / 6  # seconds
SPEED = 20  # of the terminal
COLUMNS, ROWS = 84, 26  # of the terminal
ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "84"}
TRAIN = "python train.py --dataset_name tests/mnist --max_steps 100 --logging_steps 20"
SERVE = "CORRECTIONS_DIR=corrections python app.py"
ONE_OR_SEVEN = [[(34, 34), (58, 14), (50, 86)]]  # a flag so long that the answer may be wrong
TERMINAL = f"""<body style="margin: 0; font: 19px/1.5 monospace; background: #0f172a; color: white">
<pre style="margin: 24px 28px; font: inherit"></pre>
<p style="position: fixed; right: 28px; bottom: 4px; color: #94a3b8">
Output {SPEED} times as fast as it was</p></body>"""
# Headless browsers show no pointer: a ring follows it.
POINTER = """addEventListener("DOMContentLoaded", () => {
  const ring = document.body.appendChild(document.createElement("div"));
  ring.style = "position: fixed; z-index: 9999; width: 18px; height: 18px; margin: -11px;" +
    "border: 2px solid #f59e0b; border-radius: 50%; pointer-events: none; left: -50px";
  addEventListener("pointermove", (event) => {
    ring.style.left = event.clientX + "px";
    ring.style.top = event.clientY + "px";
  }, true);
});"""


class Recorder:
    """Keeps what a page shows whenever it changes."""

    def __init__(self, page: Page):
        self.frames: list[tuple[float, str]] = []  # the clock's seconds, and a PNG in base64
        self.clock, self.video = [time.time()], [0.0]  # the same moments in seconds of both
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self.keep)
        self.session.send("Page.startScreencast", {"format": "png"})

    def keep(self, event: dict) -> None:
        """Take a frame, and ask for the next."""
        self.session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        self.frames.append((event["metadata"]["timestamp"], event["data"]))

    def pass_time(self, speed: float = 1) -> None:
        """Since the last call the video has been so many times as fast as the page."""
        now = time.time()
        self.video.append(self.video[-1] + (now - self.clock[-1]) / speed)
        self.clock.append(now)

    def save(self, path: Path) -> None:
        """Write the frames as an animated WebP, the last for two seconds."""
        self.pass_time()
        times, shots = zip(*self.frames, strict=True)
        places = np.interp(times, self.clock, self.video) // FRAME
        shown = dict(zip(places, shots, strict=True))  # the last shot of each place
        ends = pairwise([*shown, places[-1] + 2 / FRAME])
        durations = [round(1000 * FRAME * (end - start)) for start, end in ends]
        files = [io.BytesIO(base64.b64decode(shot)) for shot in shown.values()]
        first, *others = (Image.open(file).convert("RGB").resize(SHOWN_SIZE) for file in files)
        options = {"duration": durations, "loop": 0, "quality": 30, "method": 6}
        first.save(path, save_all=True, append_images=others, **options)
        print(f"{path}: {sum(durations) / 1000:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


def show_terminal(
    page: Page, recorder: Recorder, command: str, folder: Path, until: bytes = b""
) -> None:
    """Type a command, run it in a folder, and show what it prints, `SPEED` times as fast.

    The command is "python ...", run by this interpreter, after variables if there are any. After it
    has printed `until`, it is interrupted. A `RuntimeError` if it fails.
    """
    page.set_content(TERMINAL)
    screen = pyte.Screen(COLUMNS, ROWS)
    screen.set_mode(pyte.modes.LNM)  # a line feed begins a new line
    stream, output = pyte.ByteStream(screen), b""

    def feed(piece: bytes) -> None:
        stream.feed(piece)
        text = "\n".join(line.rstrip() for line in screen.display)
        page.evaluate("text => document.querySelector('pre').textContent = text", text)

    for letter in f"$ {command}":
        feed(letter.encode())
        page.wait_for_timeout(15)
    feed(b"\n")
    words = ["env", *command.replace("python", sys.executable).split()]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
    recorder.pass_time()
    with subprocess.Popen(words, cwd=folder, env=ENVIRONMENT, **pipe) as process:
        while piece := process.stdout.read(65536):
            feed(piece)
            output += piece
            if until and until in output:
                process.send_signal(signal.SIGINT)
                until = b""
    page.wait_for_timeout(1000 * SPEED)
    recorder.pass_time(SPEED)
    if process.returncode not in (0, 1, -signal.SIGINT):
        raise RuntimeError(f"{command} failed:\n{output.decode()}")


def click(page: Page, selector: str) -> None:
    """Click an element, and wait a moment."""
    page.locator(selector).click()
    page.wait_for_timeout(400)


def show_first(page: Page) -> None:
    """Write a digit and a number."""
    draw(page, TWO)
    click(page, "#sheet .clear")
    draw_number(page)
    click(page, "#answer .tiles button:first-child")


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


def main() -> None:
    """Run the commands, show them and the page, and save the video."""
    with tempfile.TemporaryDirectory() as copy, sync_playwright() as playwright:
        ignored = shutil.ignore_patterns(".*", "mnist-cnn", "docs")
        folder = shutil.copytree(ROOT, Path(copy) / "digits", ignore=ignored)
        page = launch_chromium(playwright).new_page(viewport=SIZE)
        page.add_init_script(POINTER)
        with serve_app(folder=folder, CORRECTIONS_DIR=copy) as (url, _):
            open_page(page, url)
            recorder = Recorder(page)
            show_first(page)
            show_terminal(page, recorder, TRAIN, folder)
            show_terminal(page, recorder, SERVE, folder, until=b"Streamable HTTP URL")
            open_page(page, url)
            show_more(page)
    recorder.save(VIDEO)


if __name__ == "__main__":
    main()
