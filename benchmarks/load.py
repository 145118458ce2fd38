"""How the app serves many visitors who write at once.

Each visitor calls as the page does: one call at a time, the next when the answer is there, but no
sooner than 50 ms after the last. The reference is the same app, asked as Gradio's own components
are: by an upload, its queue and a stream of events. An error ends the benchmark.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import cycle

import httpx
import numpy as np
import psutil

from benchmarks import common
from benchmarks.common import data_url, print_head, print_row
from scripts.serve import serve_app

SEND_EVERY = 0.05  # seconds, as ui/sheet.js
PNGS = common.drawings()


async def ask_sheet(call: dict, http: httpx.AsyncClient, n: int) -> None:
    """Wait for the answer of the sheet's function to drawing n; an error if there is none."""
    # A 5 has two strokes: at the end of each the pen rests.
    drawing = {"image": data_url(PNGS[n]), "resting": n in (14, 19)}
    body = call | {"data": drawing, "session_hash": str(id(http))}
    answer = await http.post(common.SHEET_URL, json=body)
    if answer.raise_for_status().json()["kind"] not in ("answer", "doubt"):
        raise RuntimeError("no digit")


async def ask_queue(call: dict, http: httpx.AsyncClient, n: int) -> None:
    """Wait for the answer that comes through Gradio's queue; an error if there is none."""
    files = {"files": ("drawing.png", PNGS[n])}
    (path,) = (await http.post("/gradio_api/upload", files=files)).json()
    image = {"path": path, "meta": {"_type": "gradio.FileData"}}
    joined = await http.post("/gradio_api/call/read", json={"data": [image]})
    event = joined.raise_for_status().json()["event_id"]
    if "event: complete" not in (await http.get(f"/gradio_api/call/read/{event}")).text:
        raise RuntimeError("no digit")


async def write(ask: Callable, call: dict, url: str, until: float) -> list[float]:
    """One visitor, who writes until then: the seconds that each answer took."""
    times = []
    # Connections of their own, as browsers have: in a pool that visitors share, some wait for
    # others, or get one that the server is closing. Without `verify`, no certificates are read.
    async with httpx.AsyncClient(base_url=url, timeout=120, verify=False) as http:
        for n in cycle(range(len(PNGS))):
            start = time.monotonic()
            if start > until:
                break
            await ask(call, http, n)
            times.append(time.monotonic() - start)
            await asyncio.sleep(max(0, start + SEND_EVERY - time.monotonic()))
    return times


async def measure(ask: Callable, visitors: int, seconds: float) -> dict[str, float]:
    """What the visitors get, and what it costs the app, by name."""
    with serve_app() as (url, pid):
        app, call = psutil.Process(pid), common.sheet_call(url)
        await write(ask, call, url, time.monotonic() + 2)  # the first calls are slower: not timed
        until, before = time.monotonic() + seconds, app.cpu_times()
        written = await asyncio.gather(*(write(ask, call, url, until) for _ in range(visitors)))
        after, memory = app.cpu_times(), app.memory_info().rss
    times = np.concatenate(written)
    p50, p95 = 1000 * np.percentile(times, [50, 95])
    busy = after.user + after.system - before.user - before.system
    return {
        "answers a second": len(times) / seconds,
        "answer time, p50, ms": p50,
        "answer time, p95, ms": p95,
        "the app's processor time per answer, ms": 1000 * busy / len(times),
        "memory at the end, MB": memory / 1e6,
    }


def main() -> None:
    options = common.parse(__doc__, visitors=(50, "who write at once"), seconds=(60.0, "of each"))
    load = options.visitors, options.seconds
    page, queue = (asyncio.run(measure(ask, *load)) for ask in (ask_sheet, ask_queue))
    print_head(f"{options.visitors} visitors for {options.seconds:.0f} s", "page", "queue", "ratio")
    for name, here in page.items():
        print_row(name, f"{here:,.0f}", f"{queue[name]:,.0f}", f"{here / queue[name]:.2f}")


if __name__ == "__main__":
    main()
