"""How the app serves many visitors who write at once.

Each visitor calls as the page does: one call at a time, the next when the answer is there, but no
sooner than 50 ms after the last. Beside them, uncounted, one leaves before the answer and returns,
again and again. The reference is the same app, asked as Gradio's own components are: by an upload,
its queue and a stream of events.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle

import httpx
import numpy as np

from benchmarks.common import SHEET_URL, data_url, parse, print_head, print_row, sheet_call
from scripts.serve import memory, processor_time, serve_app
from scripts.strokes import FIVE, growing, sent_by_sheet

SEND_EVERY = 0.05  # seconds, as ui/sheet.js
PNGS = [sent_by_sheet(drawing) for drawing in growing(FIVE, 20)]


async def ask_sheet(call: dict, http: httpx.AsyncClient, n: int) -> None:
    """Wait for the answer of the sheet's function to drawing n; an error if there is none."""
    # A 5 has two strokes: at the end of each the pen rests.
    drawing = {"image": data_url(PNGS[n]), "resting": n in (13, 19)}
    body = call | {"data": drawing, "session_hash": str(id(http))}
    answer = await http.post(SHEET_URL, json=body)
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


async def run(
    ask: Callable, address: str, pid: int, visitors: int, seconds: float
) -> dict[str, float]:
    """Load the app: what is measured, by name."""
    call, errors, samples = sheet_call(address), [], []
    # Each visitor has connections of its own, as browsers do: in a pool that they share, some wait
    # for others, or get one that the server is closing. Without `verify`, no certificates are read.
    browser = partial(httpx.AsyncClient, base_url=address, timeout=120, verify=False)

    async def draw(http: httpx.AsyncClient) -> list[float]:
        times = []  # seconds, of each answer
        for n in cycle(range(len(PNGS))):
            start = time.monotonic()
            if start > until:
                return times
            try:
                await ask(call, http, n)
                times.append(time.monotonic() - start)
            except Exception as error:
                errors.append(error)
            await asyncio.sleep(max(0, start + SEND_EVERY - time.monotonic()))

    async def vanish() -> None:
        while time.monotonic() < until:
            samples.append(memory(pid))
            async with browser() as leaving:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ask(call, leaving, 19), 0.005)
            await asyncio.sleep(0.1)

    http, *others = [browser() for _ in range(visitors + 1)]
    for n in range(len(PNGS)):  # the first calls are slower: not timed
        await ask(call, http, n)
    until, busy = time.monotonic() + seconds, processor_time(pid)
    _, *times = await asyncio.gather(vanish(), *map(draw, others))
    busy = processor_time(pid) - busy
    every, counts = np.concatenate(times), list(map(len, times))
    p50, p95, longest = 1000 * np.percentile(every, [50, 95, 100])
    return {
        "answers a second": len(every) / seconds,
        "answer time, p50, ms": p50,
        "answer time, p95, ms": p95,
        "answer time, longest, ms": longest,
        "the app's processor time per answer, ms": 1000 * busy / len(every),
        "errors": len(errors),
        "answers to the visitor with the fewest": min(counts),
        "answers to the visitor with the most": max(counts),
        "memory at the start, MB": samples[0],
        "memory after a third, MB": samples[len(samples) // 3],
        "memory at the end, MB": samples[-1],
    }


def main() -> None:
    options = parse(__doc__, visitors=(50, "who write at once"), seconds=(60.0, "of each load"))
    columns = []
    for ask in (ask_sheet, ask_queue):
        with serve_app() as app:
            columns.append(asyncio.run(run(ask, *app, options.visitors, options.seconds)))
    print_head(f"{options.visitors} visitors for {options.seconds:.0f} s", "page", "queue", "ratio")
    for name, here in columns[0].items():
        there = columns[1][name]
        ratio = f"{here / there:.2f}" if there else ""
        print_row(name, f"{here:,.0f}", f"{there:,.0f}", ratio)


if __name__ == "__main__":
    main()
