"""How the app serves many visitors who write at once.

    python -m benchmarks.load
    python -m benchmarks.load --against 0e612f6      # beside the app of an earlier commit

Each visitor calls as the page does: one call at a time, the next when the answer is there, but no
sooner than 50 ms after the last. Beside them, one visitor asks and never reads the answers, one
leaves before the answer and returns, again and again, and one uploads a file a few bytes at a time.
Their calls are not counted. The visitors share this machine's processors with the app.
"""

import argparse
import asyncio
import base64
import io
import json
import time
import uuid
from collections.abc import Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    suppress,
)
from functools import partial
from itertools import cycle

import httpx
import numpy as np
from PIL import Image

from scripts.serve import ROOT, checked_out, memory, processor_time, serve_app
from scripts.strokes import FIVE, growing, sent_by_sheet

SEND_EVERY = 0.05  # seconds, as ui/sheet.js
GROWING = growing(FIVE, 20)


def url(png: bytes) -> str:
    """A PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def sent_by_canvas(drawing: Image.Image) -> bytes:
    """A drawing as the square canvas of pages before the sheet sent it."""
    file = io.BytesIO()
    left = (drawing.width - drawing.height) // 2
    square = drawing.crop((left, 0, left + drawing.height, drawing.height))
    square.resize((140, 140), Image.Resampling.BILINEAR).save(file, "PNG")
    return file.getvalue()


class SheetVisitor:
    """One browser that calls the sheet's function."""

    DRAWINGS = tuple(
        {"image": url(sent_by_sheet(drawing)), "resting": number in (14, 20)}
        for number, drawing in enumerate(GROWING, 1)
    )  # a 5 has two strokes: at the end of each the pen rests

    def __init__(self, http: httpx.AsyncClient, config: dict):
        components = config["components"]
        sheet = next(c["id"] for c in components if c["props"].get("elem_id") == "sheet")
        call = {"component_id": sheet, "fn_name": "read_sheet", "session_hash": uuid.uuid4().hex}
        self.http, self.call = http, call

    def request(self, drawing: dict) -> dict:
        """What the browser posts."""
        return {"url": "/gradio_api/component_server/", "json": {"data": drawing} | self.call}

    async def ask(self, drawing: dict) -> dict:
        """The answer to a drawing."""
        return (await self.http.post(**self.request(drawing))).raise_for_status().json()

    async def never_read(self, until: float) -> None:
        """Ask on and on, and read nothing of the answers."""
        while time.monotonic() < until:
            async with self.http.stream("POST", **self.request(self.DRAWINGS[0])):
                await asyncio.sleep(0.5)


class QueueVisitor:
    """One browser's session with Gradio's queue, which pages before the sheet used."""

    DRAWINGS = tuple(url(sent_by_canvas(drawing)) for drawing in GROWING)

    def __init__(self, http: httpx.AsyncClient, config: dict):
        canvas = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "draw")
        self.fn_index = next(
            d["id"]
            for d in config["dependencies"]
            if d["targets"] == [[canvas, "input"]] and d["backend_fn"]
        )
        self.http, self.session = http, {"session_hash": uuid.uuid4().hex}

    async def join(self, drawing: str) -> None:
        """Put a drawing into the queue."""
        body = {"data": [drawing], "fn_index": self.fn_index} | self.session
        (await self.http.post("/gradio_api/queue/join", json=body)).raise_for_status()

    async def ask(self, drawing: str) -> dict:
        """The answer to a drawing, from the session's event stream."""
        await self.join(drawing)
        stream = self.http.stream("GET", "/gradio_api/queue/data", params=self.session)
        async with stream as response:
            async for line in response.aiter_lines():
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(message["output"])
                    return message["output"]["data"][0]
        raise RuntimeError("the stream ended without an answer")

    async def never_read(self, until: float) -> None:
        """Ask on and on, open the stream, and read nothing of it."""
        await self.join(self.DRAWINGS[0])
        async with self.http.stream("GET", "/gradio_api/queue/data", params=self.session):
            while time.monotonic() < until:
                await self.join(self.DRAWINGS[0])
                await asyncio.sleep(0.5)


Visitor = SheetVisitor | QueueVisitor


async def draw(visitor: Visitor, until: float, times: list[float], errors: list[str]) -> None:
    """Draw until then; note how long each answer took, in seconds, and what went wrong."""
    for drawing in cycle(visitor.DRAWINGS):
        start = time.monotonic()
        if start > until:
            return
        try:
            if (await visitor.ask(drawing))["kind"] not in ("answer", "doubt"):
                errors.append("no digit")
        except Exception as error:
            errors.append(repr(error))
        times.append(time.monotonic() - start)
        await asyncio.sleep(max(0, SEND_EVERY - times[-1]))


async def vanish(visit: Callable[[], AbstractAsyncContextManager[Visitor]], until: float) -> None:
    """Come, ask, and leave before the answer."""
    while time.monotonic() < until:
        async with visit() as visitor:
            with suppress(TimeoutError):
                await asyncio.wait_for(visitor.ask(visitor.DRAWINGS[-1]), 0.005)
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


async def run(address: str, pid: int, visitors: int, seconds: float) -> dict:
    """Load the app: what is measured, by name."""
    # Each visitor has connections of its own, as browsers do: in a pool that they share, some wait
    # for others, or get one that the server is closing. Without `verify`, no certificates are read.
    browser = partial(httpx.AsyncClient, base_url=address, timeout=120, verify=False)
    async with browser() as http, AsyncExitStack() as stack:
        config = (await http.get("/config")).json()
        names = {component["props"].get("elem_id") for component in config["components"]}
        kind = SheetVisitor if "sheet" in names else QueueVisitor

        @asynccontextmanager
        async def visit():
            async with browser() as own:
                yield kind(own, config)

        first, *others = [await stack.enter_async_context(visit()) for _ in range(visitors + 1)]
        for drawing in first.DRAWINGS:  # the first calls are slower: not timed
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
    parser.add_argument("--against", metavar="COMMIT", help="a commit to compare with")
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    columns, codes = [], [ROOT]
    with ExitStack() as stack:
        if arguments.against:
            codes.append(stack.enter_context(checked_out(arguments.against)))
        for folder in codes:
            with serve_app(folder=folder) as (address, pid):
                run_app = run(address, pid, arguments.visitors, arguments.seconds)
                columns.append(asyncio.run(run_app))
    heads = ["here", arguments.against, "ratio"] if arguments.against else ["here"]
    print(f"| {arguments.visitors} visitors for {arguments.seconds:.0f} s | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for name, here in columns[0].items():
        cells = [f"{here:,.0f}"]
        if arguments.against:
            there = columns[1][name]
            cells += [f"{there:,.0f}", f"{here / there:.2f}" if there else ""]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
