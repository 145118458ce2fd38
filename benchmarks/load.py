"""How the app serves many visitors who draw at once.

    python -m benchmarks.load
    python -m benchmarks.load --visitors 50 --seconds 60

Each visitor speaks Gradio's queue protocol as the page does: one call at a time, the next when the
answer is there, but no sooner than 50 ms after the last. Beside them, one visitor asks and never
reads the answers, one leaves before the answer and returns, again and again, and one uploads a file
a few bytes at a time. Their calls are not counted. The visitors share this machine's processors
with the app.
"""

import argparse
import asyncio
import base64
import json
import time
import uuid
from contextlib import suppress
from itertools import cycle

import httpx
import numpy as np

from scripts.serve import memory, processor_time, serve_app
from scripts.strokes import FIVE, sent_by_canvas

SEND_EVERY = 0.05  # seconds, as ui/canvas.js
# The drawing of a 5, as the canvas sends it while it grows.
DRAWINGS = [
    "data:image/png;base64," + base64.b64encode(file).decode() for file in sent_by_canvas(FIVE, 20)
]


class Visitor:
    """One browser's session with the queue."""

    def __init__(self, http: httpx.AsyncClient, fn_index: int):
        self.http, self.fn_index, self.session = http, fn_index, uuid.uuid4().hex

    async def join(self, drawing: str) -> None:
        """Put a drawing into the queue."""
        body = {"data": [drawing], "fn_index": self.fn_index, "session_hash": self.session}
        (await self.http.post("/gradio_api/queue/join", json=body)).raise_for_status()

    async def answer(self) -> dict:
        """Wait for the answer that comes back on the session's event stream."""
        stream = self.http.stream(
            "GET", "/gradio_api/queue/data", params={"session_hash": self.session}
        )
        async with stream as response:
            async for line in response.aiter_lines():
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(message["output"])
                    return message["output"]["data"][0]
        raise RuntimeError("the stream ended without an answer")


async def draw(visitor: Visitor, until: float, times: list[float], errors: list[str]) -> None:
    """Draw until then; note how long each answer took, in seconds, and what went wrong."""
    for drawing in cycle(DRAWINGS):
        start = time.monotonic()
        if start > until:
            return
        try:
            await visitor.join(drawing)
            if "line" not in await visitor.answer():
                errors.append("an answer without a line")
        except Exception as error:
            errors.append(repr(error))
        times.append(time.monotonic() - start)
        await asyncio.sleep(max(0, SEND_EVERY - times[-1]))


async def never_read(visitor: Visitor, until: float) -> None:
    """Ask on and on, open the stream, and read nothing of it."""
    stream = visitor.http.stream(
        "GET", "/gradio_api/queue/data", params={"session_hash": visitor.session}
    )
    await visitor.join(DRAWINGS[0])
    async with stream:
        while time.monotonic() < until:
            await visitor.join(DRAWINGS[0])
            await asyncio.sleep(0.5)


async def vanish(http: httpx.AsyncClient, fn_index: int, until: float) -> None:
    """Come, ask, and leave before the answer."""
    while time.monotonic() < until:
        visitor = Visitor(http, fn_index)
        await visitor.join(DRAWINGS[-1])
        with suppress(TimeoutError):
            await asyncio.wait_for(visitor.answer(), 0.005)
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


async def run(url: str, pid: int, visitors: int, seconds: float) -> None:
    """Load the app and print the table."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        config = (await http.get("/config")).json()
        canvas = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "draw")
        fn_index = next(
            d["id"]
            for d in config["dependencies"]
            if d["targets"] == [[canvas, "input"]] and d["backend_fn"]
        )
        first = Visitor(http, fn_index)
        for drawing in DRAWINGS:  # the first calls are slower: not timed
            await first.join(drawing)
            await first.answer()
        until = time.monotonic() + seconds
        busy = processor_time(pid)
        times, errors = [[] for _ in range(visitors)], []
        samples, *_ = await asyncio.gather(
            watch_memory(pid, until),
            *(draw(Visitor(http, fn_index), until, own, errors) for own in times),
            never_read(Visitor(http, fn_index), until),
            vanish(http, fn_index, until),
            upload_slowly(http, until),
        )
        busy = processor_time(pid) - busy
    every = np.concatenate(times)
    fewest = min(times, key=len)
    third = max(1, len(samples) // 3)
    print(f"| {visitors} visitors for {seconds:.0f} s | |\n|---|---|")
    print(f"| answers | {len(every):,} ({len(every) / seconds:.0f} a second) |")
    print(f"| errors | {len(errors)} {errors[:1] or ''} |")
    print(f"| answer time p50, p95, longest | {milliseconds(every)} |")
    print(f"| the app's processor time per answer | {1000 * busy / len(every):.0f} ms |")
    print(f"| answers to the visitor with the fewest, the most | {len(fewest)}, {most(times)} |")
    print(f"| memory at the start, after a third, at the end | {samples[0]:.0f}, "
          f"{samples[third]:.0f}, {samples[-1]:.0f} MB |")  # fmt: skip


def milliseconds(seconds: np.ndarray) -> str:
    """Median, 95th percentile and maximum of times in seconds, in milliseconds."""
    return ", ".join(f"{1000 * q:.0f}" for q in np.percentile(seconds, [50, 95, 100])) + " ms"


def most(times: list[list[float]]) -> int:
    """How many answers the busiest visitor got."""
    return max(map(len, times))


def main() -> None:
    """Start the app, load it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with serve_app() as (url, pid):
        asyncio.run(run(url, pid, arguments.visitors, arguments.seconds))


if __name__ == "__main__":
    main()
