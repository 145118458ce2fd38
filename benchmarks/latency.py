"""How long a writing visitor waits for the answer, against the call alone.

In headless Chromium, in mid-stroke, with the pen moving at every frame, one pointer event is timed
until the page shows the answer that includes it. The reference is the same call, over HTTP.
"""

from functools import partial
from itertools import pairwise
from timeit import repeat

import httpx
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from benchmarks import common
from benchmarks.common import print_head, print_row
from scripts.browser import launch_chromium, on_screen, open_page
from scripts.serve import serve_app
from scripts.strokes import FIVE

FRAME = 16  # milliseconds
# Keeps when the pen has moved, and when an answer has been shown: the last time of each.
WATCH = """() => {
  addEventListener("pointermove", () => (window.moved = performance.now()), true);
  const shown = () => (window.answered = performance.now());
  new MutationObserver(() => requestAnimationFrame(shown)).observe(
    document.querySelector("#answer"),
    { subtree: true, childList: true, characterData: true, attributes: true });
}"""
AT_REST = "answered > moved && performance.now() > answered + 400 && answered - moved"


def time_events(browser: Browser, url: str, count: int) -> list[float]:
    """Milliseconds from a pointer event in mid-stroke to the answer that includes it."""
    rng, times = np.random.default_rng(0), []
    with browser.new_page() as page:
        open_page(page, url)
        page.evaluate(WATCH)
        for _ in range(count):
            # Part of a 5 at a pen's pace, of random length: calls are under way at its end.
            path = np.concatenate([np.linspace(*ends, 10) for ends in pairwise(FIVE[0])])
            path = on_screen(page, np.add(path, (25, 0)))
            first, *others = path[: rng.integers(15, len(path))]
            page.mouse.move(*first)
            page.mouse.down()
            for point in others:
                page.wait_for_timeout(FRAME)
                page.mouse.move(*point)
            times.append(page.wait_for_function(AT_REST).json_value())
            page.mouse.up()
            page.get_by_role("button", name="Clear", exact=True).click()
    return times


def time_calls(url: str, count: int) -> list[float]:
    """Milliseconds of the call alone."""
    drawing = {"image": common.data_url(common.drawings()[0]), "resting": False}
    body = common.sheet_call(url) | {"data": drawing}
    with httpx.Client(base_url=url) as http:
        call = partial(http.post, common.SHEET_URL, json=body)
        seconds = repeat(lambda: call().raise_for_status(), number=1, repeat=count)
    return [1000 * each for each in seconds]


def main() -> None:
    options = common.parse(__doc__, events=(200, "pointer events that are timed"))
    with sync_playwright() as playwright, serve_app() as (url, _):
        browser = launch_chromium(playwright)
        times = {
            "pointer event to answer": time_events(browser, url, options.events),
            "the call alone": time_calls(url, options.events),
        }
    print_head("milliseconds", "n", "p50", "p95")
    for name, each in times.items():
        print_row(name, len(each), *(f"{p:.0f}" for p in np.percentile(each, [50, 95])))
    ratio = np.divide(*map(np.median, times.values()))
    print(f"\nratio of an event's answer to the call alone: {ratio:.2f}")


if __name__ == "__main__":
    main()
