"""How long a visitor waits: for the app, for its page, and for the answer while drawing.

The app starts from `python app.py` to its first answer over HTTP. Then headless Chromium loads its
page, each time in a fresh browser context, until the sheet is painted. In mid-stroke, with the pen
moving at every frame, one pointer event is timed from its dispatch until the page shows the answer
that includes it. The reference is the same call alone, over HTTP.
"""

import time
from functools import partial
from itertools import pairwise

import httpx
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from benchmarks import common
from scripts.browser import launch_chromium
from scripts.serve import serve_app
from scripts.strokes import FIVE, growing, sent_by_sheet

# Moves the pen through `points`, one a frame, and resolves to the milliseconds from the last event
# to the answer that includes it, after which the page is at rest.
TIME_LAST_EVENT = """(points) => new Promise((resolve, reject) => {
  const canvas = document.querySelector("#sheet canvas");
  let sent = null, answered = null;
  const observer = new MutationObserver(() =>
    requestAnimationFrame(() => (answered = performance.now())));
  observer.observe(document.querySelector("#answer"),
    { subtree: true, childList: true, characterData: true, attributes: true });
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
PAINTED = """document.querySelector("#sheet canvas")
  && (window.seen = (window.seen ?? 0) + 1) > 2 && performance.now()"""  # asked at every frame


def time_start() -> float:
    """Milliseconds from `python app.py` until it answers."""
    start = time.perf_counter()
    with serve_app():
        return 1000 * (time.perf_counter() - start)


def load_page(browser: Browser, url: str) -> float:
    """Milliseconds from the start of navigation until the canvas is painted, nothing cached."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        return page.wait_for_function(PAINTED).json_value()


def time_strokes(browser: Browser, url: str, events: int) -> list[float]:
    """Milliseconds from a pointer event in mid-stroke to the answer that includes it."""
    rng, times = np.random.default_rng(0), []
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        box = page.locator("#sheet canvas").bounding_box()
        side = box["height"]
        corner = (box["x"] + (box["width"] - side) / 2, box["y"])
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


def time_calls(url: str, calls: int) -> list[float]:
    """Milliseconds of calls of the sheet's function over HTTP, one after the other."""
    drawing = {"image": common.data_url(sent_by_sheet(growing(FIVE, 1)[0])), "resting": False}
    body = common.sheet_call(url) | {"data": drawing}
    with httpx.Client(base_url=url, timeout=60) as http:
        ask = partial(http.post, common.SHEET_URL, json=body)
        return common.times_ms(lambda: ask().raise_for_status(), calls)


def main() -> None:
    """Print the table."""
    options = common.parse(
        __doc__,
        starts=(3, "how often the app is started"),
        loads=(10, "how often the page is loaded"),
        events=(200, "pointer events that are timed"),
    )
    times = {"start of the app": [time_start() for _ in range(options.starts)]}
    with sync_playwright() as playwright, serve_app() as (url, _):
        browser = launch_chromium(playwright)
        times["load to sheet"] = [load_page(browser, url) for _ in range(options.loads)]
        times["pointer event to answer"] = time_strokes(browser, url, options.events)
        times["the call alone"] = time_calls(url, options.events)
    common.print_head("milliseconds", "n", "p50", "p95")
    for name, column in times.items():
        p50, p95 = np.percentile(column, [50, 95])
        common.print_row(name, len(column), f"{p50:.0f}", f"{p95:.0f}")
    event, call = (np.median(times[n]) for n in ("pointer event to answer", "the call alone"))
    print(f"\nratio of an event's answer to the call alone: {event / call:.2f}")


if __name__ == "__main__":
    main()
