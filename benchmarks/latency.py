"""How long a visitor waits: for the app, for its page, and for the answer while drawing.

    python -m benchmarks.latency
    python -m benchmarks.latency --against 0e612f6      # beside the page of an earlier commit

The app starts from `python app.py` to its first answer over HTTP. Then headless Chromium on the
same machine loads its page, each time in a fresh browser context. The sheet works as soon as it is
painted. In mid-stroke, with the pen moving at every frame, one pointer event is timed from its
dispatch until the page shows the answer that includes it: the sheet's own delay, a call that is
still under way, the round trip to the server, and one frame.
"""

import argparse
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from scripts.browser import launch_chromium
from scripts.serve import ROOT, checked_out, serve_app
from scripts.strokes import FIVE

# Moves the pen through `points`, one a frame, and resolves to the milliseconds from the last event
# to the answer that includes it, after which the page is at rest.
TIME_LAST_EVENT = """(points) => new Promise((resolve, reject) => {
  const canvas = document.querySelector("#sheet canvas, #draw canvas");
  let sent = null, answered = null;
  const observer = new MutationObserver(() =>
    requestAnimationFrame(() => (answered = performance.now())));
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  observer.observe(document.querySelector("#answer, #digit"), all);
  (function move() {
    const [clientX, clientY] = points.shift();
    sent = performance.now();
    const place = { clientX, clientY, pointerId: 1, isPrimary: true, bubbles: true };
    canvas.dispatchEvent(new PointerEvent("pointermove", place));
    if (points.length) return requestAnimationFrame(move);
    const poll = setInterval(() => {
      const now = performance.now();
      if (now - sent > 5000) reject("no answer within 5 s");
      else if (!(answered > sent) || now - answered < 400) return;
      clearInterval(poll);
      observer.disconnect();
      resolve(answered - sent);
    }, 50);
  })();
})"""
FIRST_CANVAS = """
const seen = new MutationObserver(() => {
  if (!document.querySelector("#sheet canvas, #draw canvas")) return;
  seen.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => (window.drawn = performance.now())));
});
seen.observe(document, { subtree: true, childList: true });
"""


def time_start(folder: Path) -> float:
    """Milliseconds from `python app.py` until it answers."""
    start = time.perf_counter()
    with serve_app(folder=folder):
        return 1000 * (time.perf_counter() - start)


def load_page(browser: Browser, url: str) -> float:
    """Milliseconds from the start of navigation until the canvas is painted, nothing cached."""
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script(FIRST_CANVAS)
        page.goto(url)
        return page.wait_for_function("window.drawn").json_value()


def time_strokes(browser: Browser, url: str, events: int) -> list[float]:
    """Milliseconds from a pointer event in mid-stroke to the answer that includes it."""
    rng = np.random.default_rng(0)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        box = page.locator("#sheet canvas, #draw canvas").bounding_box()
        side = box["height"]
        corner = (box["x"] + (box["width"] - side) / 2, box["y"])
        times = []
        for _ in range(events):
            # Part of a 5 at a pen's pace, of random length: calls are under way at its end.
            path = np.concatenate([np.linspace(*ends, 10) for ends in pairwise(FIVE[0])])
            path = (corner + side / 100 * path)[: rng.integers(15, len(path))]
            page.mouse.move(*path[0])
            page.mouse.down()
            times.append(page.evaluate(TIME_LAST_EVENT, path.tolist()))
            page.mouse.up()
            page.get_by_role("button", name="Clear", exact=True).click()
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="COMMIT", help="a commit to compare with")
    parser.add_argument("--starts", type=int, default=3, help="how often the app is started")
    parser.add_argument("--loads", type=int, default=10, help="how often the page is loaded")
    parser.add_argument("--events", type=int, default=200, help="pointer events that are timed")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        browser = launch_chromium(stack.enter_context(sync_playwright()))
        codes = {"here": ROOT}
        if arguments.against:
            codes[arguments.against] = stack.enter_context(checked_out(arguments.against))
        times = {}
        for name, folder in codes.items():
            starts = [time_start(folder) for _ in range(arguments.starts)]
            with serve_app(folder=folder) as (url, _):
                loads = [load_page(browser, url) for _ in range(arguments.loads)]
                times[name] = starts, loads, time_strokes(browser, url, arguments.events)
    print("| milliseconds | of | n | p50 | p95 |\n|---|---|---|---|---|")
    for row, title in enumerate(("start of the app", "load to sheet", "pointer event to answer")):
        for name, columns in times.items():
            p50, p95 = np.percentile(columns[row], [50, 95])
            print(f"| {title} | {name} | {len(columns[row])} | {p50:.0f} | {p95:.0f} |")


if __name__ == "__main__":
    main()
