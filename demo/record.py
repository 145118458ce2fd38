"""Record docs/demo.webp anew: training, starting the app, drawing, a picture, and what is no digit.

    python demo/record.py

All of it is real: the commands run in a copy of this repository, their output is shown as it came,
and the page is the app's, in Chromium. Waiting is shortened where the picture says how much.
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
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pyte
from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.append(str(Path(__file__).parent.parent / "examples"))
from make import FIVE, HOUSE, TWO, smooth

ROOT = Path(__file__).parent.parent
VIDEO = ROOT / "docs" / "demo.webp"
ENVIRONMENT = os.environ | {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SERVER_PORT": "7860",
    "HF_HUB_OFFLINE": "1",
    "TERM": "xterm",
}
URL = "http://127.0.0.1:7860"
SIZE = (1040, 860)  # of the browser's window
SHOWN_SIZE = (780, 645)  # of the video
FRAMES_A_SECOND = 8
COLUMNS, ROWS = 84, 26
TRAIN = "python train.py --dataset_name tests/mnist --max_steps 100 --logging_steps 20"
SERVE = "python app.py"

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
    """Run a command in a terminal: its output in pieces, each with the second at which it came.

    With `until` it is interrupted once it has printed that.

    Raises:
        RuntimeError: the command failed.
    """
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    start = time.monotonic()
    arguments = [sys.executable, *command.split()[1:]]
    process = subprocess.Popen(
        arguments, cwd=folder, stdin=there, stdout=there, stderr=there, env=ENVIRONMENT
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
    """Keeps what a page shows, each time that it changes, with the second at which it did."""

    def __init__(self, page: Page):
        self.frames: list[tuple[float, str]] = []  # PNG, in base64
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self.keep)
        self.session.send("Page.startScreencast", {"format": "png"})

    def keep(self, event: dict) -> None:
        """Take a frame, in place of the last one if that is too fresh, and ask for the next."""
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
        pictures = [
            Image.open(io.BytesIO(base64.b64decode(shot)))
            .convert("RGB")
            .resize(SHOWN_SIZE, Image.Resampling.LANCZOS)
            for shot in shots
        ]
        options = {"duration": durations, "loop": 0, "quality": 40, "method": 5}
        pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
        print(f"{path}: {sum(durations) / 1000:.0f} s, {path.stat().st_size / 1e6:.2f} MB")


def show_terminal(
    page: Page, command: str, output: list[tuple[float, bytes]], seconds: int
) -> None:
    """Type a command, and replay its output in about so many seconds."""
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


def draw(page: Page, strokes: list) -> None:
    """Draw at a person's pace."""
    box = page.locator("#draw canvas").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"] / 100, box["y"] + y * box["height"] / 100)
                  for x, y in smooth(stroke, 1)]  # fmt: skip
        page.mouse.move(*points[0], steps=5)
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=3)
        page.mouse.up()
    page.wait_for_timeout(1000)


def click(page: Page, selector: str) -> None:
    """Move there, and click."""
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=8)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(400)


def show_app(page: Page) -> None:
    """Draw, take back, clear, draw what is no digit, and give a picture."""
    page.goto(URL)
    page.locator("#draw canvas").wait_for()
    page.wait_for_timeout(700)
    draw(page, TWO)
    click(page, "#draw .clear")
    draw(page, FIVE)
    click(page, "#draw .undo")
    page.wait_for_timeout(800)
    click(page, "#draw .clear")
    draw(page, HOUSE)
    page.locator("#upload input[type=file]").set_input_files(ROOT / "examples" / "5-photo.jpg")
    page.wait_for_timeout(1800)


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """The app, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, stdout=subprocess.DEVNULL, env=ENVIRONMENT
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Run the commands, show them and the page, and save the video."""
    with tempfile.TemporaryDirectory() as copy, sync_playwright() as playwright:
        ignored = shutil.ignore_patterns(".*", "mnist-cnn", "docs")
        folder = shutil.copytree(ROOT, Path(copy) / "digits", ignore=ignored)
        trained = run_in_terminal(TRAIN, folder)
        started = run_in_terminal(SERVE, folder, until=b"Streamable HTTP URL")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.add_init_script(POINTER)
        with served(folder):
            page.set_content(TERMINAL)
            recorder = Recorder(page)
            show_terminal(page, TRAIN, trained, seconds=7)
            show_terminal(page, SERVE, started, seconds=3)
            show_app(page)
    recorder.save(VIDEO)


if __name__ == "__main__":
    main()
