"""python -m scripts.record_video

Records docs/demo.webp: a digit and a number; training and starting the app; two lines, a
photograph, a non-digit and a correction. All of it is real: the commands run in a copy of this
repository, their output is shown as it comes, and the page is the app's, in Chromium. Where waiting
is shortened, the video says how much.
"""

import base64
import fcntl
import io
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from itertools import pairwise
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from scripts.browser import draw, launch_chromium
from scripts.serve import ROOT, serve_app
from scripts.strokes import FOUR, HOUSE, SEVEN, TWO, ZERO

VIDEO = ROOT / "docs" / "demo.webp"
ENVIRONMENT = os.environ | {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "TERM": "xterm",
}
SIZE = (1040, 940)  # of the browser's window
SHOWN_SIZE = (640, 578)  # of the video
FRAMES_A_SECOND = 6
COLUMNS, ROWS = 84, 26
TRAIN = "python train.py --dataset_name tests/mnist --max_steps 100 --logging_steps 20"
SERVE = "CORRECTIONS_DIR=corrections python app.py"

ONE_OR_SEVEN = [[(34, 34), (58, 14), (50, 86)]]  # a flag so long that the answer may be wrong

TERMINAL = """<body style="margin: 0; font: 19px/1.5 monospace; background: #0f172a; color: white">
<pre style="margin: 24px 28px; font: inherit"></pre>
<p style="position: fixed; right: 28px; bottom: 4px; color: #94a3b8"></p></body>"""
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


def run_in_terminal(command: str, folder: Path, until: bytes = b"") -> list[tuple[float, bytes]]:
    """Run a command in a terminal: its output in pieces, each with its time in seconds.

    Args:
        command: "python ...", run by this interpreter, after variables if there are any.
        folder: Where it runs.
        until: What it prints before it is interrupted; without it, it runs to its end.

    Raises:
        RuntimeError: the command failed.
    """
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    start = time.monotonic()
    command = ["env", *command.replace("python", sys.executable).split()]
    process = subprocess.Popen(
        command, cwd=folder, stdin=there, stdout=there, stderr=there, env=ENVIRONMENT
    )
    os.close(there)
    output = []
    try:
        while piece := os.read(here, 65536):
            output.append((time.monotonic() - start, piece))
            if until and until in b"".join(piece for _, piece in output):
                process.send_signal(signal.SIGINT)
                until = b""
    except OSError:  # how Linux says that the terminal's other side is closed
        pass
    if process.wait() not in (0, 1, -signal.SIGINT):
        raise RuntimeError(f"{command} failed:\n{b''.join(piece for _, piece in output).decode()}")
    return output


class Recorder:
    """Keeps what a page shows whenever it changes, with the time in seconds."""

    def __init__(self, page: Page):
        self.frames: list[tuple[float, str]] = []  # PNG, in base64
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self.keep)
        self.session.send("Page.startScreencast", {"format": "png"})

    def keep(self, event: dict) -> None:
        """Take a frame, in place of one that is too recent, and ask for the next."""
        self.session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        now = event["metadata"]["timestamp"]
        if self.frames and now - self.frames[-1][0] < 1 / FRAMES_A_SECOND:
            now, _ = self.frames.pop()
        self.frames.append((now, event["data"]))

    def save(self, path: Path) -> None:
        """Write the frames as an animated WebP, the last for two seconds."""
        times, shots = zip(*self.frames, strict=True)
        durations = [
            round(1000 * (end - start)) for start, end in pairwise([*times, times[-1] + 2])
        ]
        images = [
            Image.open(io.BytesIO(base64.b64decode(shot)))
            .convert("RGB")
            .resize(SHOWN_SIZE, Image.Resampling.LANCZOS)
            for shot in shots
        ]
        options = {"duration": durations, "loop": 0, "quality": 30, "method": 6}
        images[0].save(path, save_all=True, append_images=images[1:], **options)
        print(f"{path}: {sum(durations) / 1000:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


def show_terminal(
    page: Page, command: str, output: list[tuple[float, bytes]], seconds: int
) -> None:
    """Type a command, and replay its output in about that many seconds."""
    page.set_content(TERMINAL)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)

    def show() -> None:
        text = "\n".join(line.rstrip() for line in screen.display)
        page.evaluate("text => document.querySelector('pre').textContent = text", text)

    stream.feed(b"$ ")
    for letter in command:
        stream.feed(letter.encode())
        show()
        page.wait_for_timeout(15)
    stream.feed(b"\r\n")
    speed = max(1, round(output[-1][0] / seconds))
    note = f"{speed} times as fast as it was" if speed > 1 else ""
    page.evaluate("text => document.querySelector('p').textContent = text", note)
    start, shown = time.monotonic(), 0.0
    for at, piece in output:
        stream.feed(piece)
        if at / speed - shown < 1 / FRAMES_A_SECOND and at != output[-1][0]:
            continue
        shown = at / speed
        page.wait_for_timeout(max(0, 1000 * (start + shown - time.monotonic())))
        show()
    page.wait_for_timeout(1000)


def click(page: Page, selector: str) -> None:
    """Move the mouse to an element, and click."""
    page.locator(selector).scroll_into_view_if_needed()  # beyond the window a click is lost
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=8)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(400)


def open_page(page: Page, url: str) -> None:
    """Load the page."""
    page.goto(url)
    page.locator("#sheet canvas").wait_for()


def show_first(page: Page) -> None:
    """Write a digit and a number."""
    draw(page, TWO)
    click(page, "#sheet .clear")
    for place, digit in enumerate((FOUR, ZERO, SEVEN)):
        draw(page, digit, left=7 + 40 * place, side=55)
    click(page, "#answer .tiles button:first-child")


def show_more(page: Page) -> None:
    """Write two lines, give a photograph, draw a non-digit, and correct an answer."""
    page.wait_for_timeout(500)
    for place, digit in enumerate((TWO, FOUR, SEVEN, ZERO)):
        draw(page, digit, left=20 + 50 * (place % 2), side=38, top=6 + 50 * (place // 2))
    click(page, "#examples button:nth-child(5)")
    expect(page.locator("#answer .top")).to_contain_text("5")
    page.wait_for_timeout(1200)
    click(page, "#sheet .clear")
    draw(page, HOUSE)
    click(page, "#sheet .clear")
    draw(page, ONE_OR_SEVEN)
    click(page, "#answer .bars li:nth-child(2) button")
    expect(page.locator("#answer")).to_contain_text("To be saved as a 1")
    page.wait_for_timeout(1500)


def main() -> None:
    """Run the commands, show them and the page, and save the video."""
    with tempfile.TemporaryDirectory() as copy, sync_playwright() as playwright:
        ignored = shutil.ignore_patterns(".*", "mnist-cnn", "docs")
        folder = shutil.copytree(ROOT, Path(copy) / "digits", ignore=ignored)
        trained = run_in_terminal(TRAIN, folder)
        started = run_in_terminal(SERVE, folder, until=b"Streamable HTTP URL")
        page = launch_chromium(playwright).new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.add_init_script(POINTER)
        with serve_app(folder=folder, CORRECTIONS_DIR=copy) as (url, _):
            open_page(page, url)
            recorder = Recorder(page)
            show_first(page)
            show_terminal(page, TRAIN, trained, seconds=6)
            show_terminal(page, SERVE, started, seconds=2)
            open_page(page, url)
            show_more(page)
    recorder.save(VIDEO)


if __name__ == "__main__":
    main()
