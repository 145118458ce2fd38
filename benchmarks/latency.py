"""How long a visitor waits: for the app, for its page, and for the answer while drawing.

The app starts from `python app.py` to its first answer over HTTP. Then headless Chromium loads its
page, each time in a fresh browser context, until the sheet is painted. In mid-stroke, with the pen
moving at every frame, one pointer event is timed from its dispatch until the page shows the answer
that includes it. The reference is the same call alone, over HTTP.
"""

import time
from itertools import pairwise
from timeit import repeat

import httpx
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from benchmarks.common import SHEET_URL, data_url, parse, print_head, print_row, sheet_call
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


def time_strokes(browser: Browser, url: str, events: int) -> list[float]:
    """Milliseconds from a pointer event in mid-stroke to the answer that includes it."""
    rng, times = np.random.default_rng(0), []
    with browser.new_page() as page:
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


def main() -> None:
    options = parse(
        __doc__,
        starts=(3, "how often the app is started"),
        loads=(10, "how often the page is loaded"),
        events=(200, "pointer events that are timed"),
    )
    starts, loads = [], []
    for _ in range(options.starts):
        start = time.perf_counter()
        with serve_app():
            starts.append(1000 * (time.perf_counter() - start))
    with sync_playwright() as playwright, serve_app() as (url, _):
        browser = launch_chromium(playwright)
        for _ in range(options.loads):
            with browser.new_page() as page:  # in a context of its own: nothing is cached
                page.goto(url, wait_until="commit")
                loads.append(page.wait_for_function(PAINTED).json_value())
        events = time_strokes(browser, url, options.events)
        drawing = {"image": data_url(sent_by_sheet(growing(FIVE, 1)[0])), "resting": False}
        body = sheet_call(url) | {"data": drawing}
        with httpx.Client(base_url=url, timeout=60) as http:
            seconds = repeat(
                lambda: http.post(SHEET_URL, json=body).raise_for_status(),
                number=1,
                repeat=options.events,
            )
    calls = 1000 * np.array(seconds)
    print_head("milliseconds", "n", "p50", "p95")
    for name, times in {
        "start of the app": starts,
        "load to sheet": loads,
        "pointer event to answer": events,
        "the call alone": calls,
    }.items():
        print_row(name, len(times), *(f"{p:.0f}" for p in np.percentile(times, [50, 95])))
    ratio = np.median(events) / np.median(calls)
    print(f"\nratio of an event's answer to the call alone: {ratio:.2f}")


if __name__ == "__main__":
    main()
