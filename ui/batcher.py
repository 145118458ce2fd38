"""One batch for all who wait: calls that come while another is answered are answered together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps

MAX_BATCH = 16  # items: no call waits longer for a batch before it
MAX_WAITING = 100  # callers: those who come after them are told that it is busy


def batched(work: Callable[[list], list[dict]], busy: dict) -> Callable[[object], Awaitable[dict]]:
    """Turn a function of a list of items into one of a single item, for many callers at once.

    `work` gets, in a thread, all that waits. There is no timer: a call that comes alone is worked
    on at once. A caller who leaves holds up nobody: its item is skipped. Each gets its own result,
    or what `work` raised, or, with too many before it, `busy`.
    """
    waiting: deque[tuple[object, asyncio.Future]] = deque()
    thread = ThreadPoolExecutor(1)  # always the same: each keeps torch's buffers
    worker = None

    async def work_off() -> None:
        nonlocal worker
        while batch := [waiting.popleft() for _ in range(min(MAX_BATCH, len(waiting)))]:
            batch = [(item, result) for item, result in batch if not result.done()]
            items = [item for item, _ in batch]
            try:
                answers = await asyncio.get_running_loop().run_in_executor(thread, work, items)
                for (_, result), answer in zip(batch, answers, strict=True):
                    if not result.done():  # or its caller has left in the meantime
                        result.set_result(answer)
            except Exception as error:
                for _, result in batch:
                    if not result.done():
                        result.set_exception(error)
        worker = None

    @wraps(work)
    async def call(item: object) -> dict:
        nonlocal worker
        if len(waiting) >= MAX_WAITING:
            return busy
        result = asyncio.get_running_loop().create_future()
        waiting.append((item, result))
        worker = worker or asyncio.create_task(work_off())
        return await result

    return call
