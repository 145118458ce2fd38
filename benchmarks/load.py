"""How the app serves many visitors who write at once.

    python -m benchmarks.load

Each visitor calls as the page does: one call at a time, the next when the answer is there, but no
sooner than 50 ms after the last. Beside them, one visitor asks and never reads the answers, one
leaves before the answer and returns, again and again, and one uploads a file a few bytes at a time.
Their calls are not counted. The visitors share this machine's processors with the app. The
reference is the same app, asked as Gradio's own components are: by an upload, its queue and a
stream of events.
"""

import argparse
import asyncio
import base64
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import cycle

import httpx
import numpy as np

from scripts.serve import memory, processor_time, serve_app
from scripts.strokes import FIVE, growing, sent_by_sheet

SEND_EVERY = 0.05  # seconds, as ui/sheet.js


def url(png: bytes) -> str:
    """A PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


# A 5 has two strokes: at the end of each the pen rests.
PNGS = [sent_by_sheet(drawing) for drawing in growing(FIVE, 20)]
DRAWINGS = [(png, {"image": url(png), "resting": n in (14, 20)}) for n, png in enumerate(PNGS, 1)]


class SheetVisitor:
    """One browser that calls the sheet's function."""

    def __init__(self, http: httpx.AsyncClient, config: dict):
        components = config["components"]
        sheet = next(c["id"] for c in components if c["props"].get("elem_id") == "sheet")
        call = {"component_id": sheet, "fn_name": "read_sheet", "session_hash": uuid.uuid4().hex}
        self.http, self.call = http, call

    def request(self, drawing: dict) -> dict:
        """What the browser posts."""
        return {"url": "/gradio_api/component_server/", "json": {"data": drawing} | self.call}

    async def ask(self, drawing: tuple[bytes, dict]) -> None:
        """Wait for the answer to a drawing; an error if there is none."""
        answer = (await self.http.post(**self.request(drawing[1]))).raise_for_status().json()
        if answer["kind"] not in ("answer", "doubt"):
            raise RuntimeError("no digit")

    async def never_read(self, until: float) -> None:
        """Ask on and on, and read nothing of the answers."""
        while time.monotonic() < until:
            async with self.http.stream("POST", **self.request(DRAWINGS[0][1])):
                await asyncio.sleep(0.5)


class QueueVisitor(SheetVisitor):
    """One program that calls the same app through Gradio's queue."""

    async def ask(self, drawing: tuple[bytes, dict]) -> None:
        """Wait for the answer to a drawing; an error if there is none."""
        files = {"files": ("drawing.png", drawing[0])}
        (path,) = (await self.http.post("/gradio_api/upload", files=files)).json()
        image = {"path": path, "meta": {"_type": "gradio.FileData"}}
        joined = await self.http.post("/gradio_api/call/read", json={"data": [image]})
        event = joined.raise_for_status().json()["event_id"]
        if "event: complete" not in (await self.http.get(f"/gradio_api/call/read/{event}")).text:
            raise RuntimeError("no digit")


async def draw(visitor: SheetVisitor, until: float, times: list[float], errors: list[str]) -> None:
    """Draw until then; note how long each answer took, in seconds, and what went wrong."""
    for drawing in cycle(DRAWINGS):
        start = time.monotonic()
        if start > until:
            return
        try:
            await visitor.ask(drawing)
            times.append(time.monotonic() - start)
        except Exception as error:
            errors.append(repr(error))
        await asyncio.sleep(max(0, SEND_EVERY - (time.monotonic() - start)))


async def vanish(
    visit: Callable[[], AbstractAsyncContextManager[SheetVisitor]], until: float
) -> None:
    """Come, ask, and leave before the answer."""
    while time.monotonic() < until:
        async with visit() as visitor:
            with suppress(TimeoutError):
                await asyncio.wait_for(visitor.ask(DRAWINGS[-1]), 0.005)
        await asyncio.sleep(0.1)


async def upload_slowly(http: httpx.AsyncClient, until: float) -> None:
    """Send a file a few bytes at a time."""

    async def trickle():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        while time.monotonic() < until:
            yield b"0" * 16
            await asyncio.sleep(0.2)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    await http.post("/gradio_api/upload", content=trickle(), headers=headers)


async def watch_memory(pid: int, until: float) -> list[float]:
    """Resident memory in MB, every second."""
    samples = []
    while time.monotonic() < until:
        samples.append(memory(pid))
        await asyncio.sleep(1)
    return samples


async def run(
    kind: type[SheetVisitor], address: str, pid: int, visitors: int, seconds: float
) -> dict[str, float]:
    """Load the app: what is measured, by name."""
    # Each visitor has connections of its own, as browsers do: in a pool that they share, some wait
    # for others, or get one that the server is closing. Without `verify`, no certificates are read.
    browser = partial(httpx.AsyncClient, base_url=address, timeout=120, verify=False)
    async with browser() as http, AsyncExitStack() as stack:
        config = (await http.get("/config")).json()

        @asynccontextmanager
        async def visit():
            async with browser() as own:
                yield kind(own, config)

        first, *others = [await stack.enter_async_context(visit()) for _ in range(visitors + 1)]
        for drawing in DRAWINGS:  # the first calls are slower: not timed
            await first.ask(drawing)
        until = time.monotonic() + seconds
        busy = processor_time(pid)
        times, errors = [[] for _ in others], []
        samples, *_ = await asyncio.gather(
            watch_memory(pid, until),
            *(draw(other, until, own, errors) for other, own in zip(others, times, strict=True)),
            first.never_read(until),
            vanish(visit, until),
            upload_slowly(http, until),
        )
        busy = processor_time(pid) - busy
    every = np.concatenate(times)
    p50, p95, longest = 1000 * np.percentile(every, [50, 95, 100])
    counts = [len(own) for own in times]
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
    """Start the app, load it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    columns = []
    for kind in (SheetVisitor, QueueVisitor):
        with serve_app() as (address, pid):
            columns.append(
                asyncio.run(run(kind, address, pid, arguments.visitors, arguments.seconds))
            )
    print(
        f"| {arguments.visitors} visitors for {arguments.seconds:.0f} s | page | queue | ratio |\n"
        "|---|---:|---:|---:|"
    )
    for name, here in columns[0].items():
        there = columns[1][name]
        print(
            f"| {name} | {here:,.0f} | {there:,.0f} | {here / there:.2f} |"
            if there
            else f"| {name} | {here:,.0f} | 0 | |"
        )


if __name__ == "__main__":
    main()
