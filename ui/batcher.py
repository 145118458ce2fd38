"""One batch for all who wait: calls that come while another is answered are answered together."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Busy(Exception):
    """Too many calls wait already."""


class Batcher:
    """Calls `work` in a thread with all that waits, at most `size` items at a time.

    There is no timer: a call that comes alone is worked on at once. A caller who leaves holds up
    nobody, and what waits for it is skipped.

    Args:
        work: Takes a list of items, and returns as many results; it runs once at a time.
        size: Items in one call of `work`, at most.
        limit: Items that wait, at most.
    """

    def __init__(self, work: Callable[[list], list], size: int = 16, limit: int = 100):
        self.work, self.size, self.limit = work, size, limit
        self.waiting: deque[tuple[object, asyncio.Future]] = deque()
        self.worker: asyncio.Task | None = None
        self.thread = ThreadPoolExecutor(1)  # always the same: each keeps torch's buffers

    async def __call__(self, item: object) -> object:
        """The result for one item.

        Raises:
            Busy: `limit` items wait already.
            Exception: what `work` raised.
        """
        if len(self.waiting) >= self.limit:
            raise Busy
        result = asyncio.get_running_loop().create_future()
        self.waiting.append((item, result))
        if self.worker is None:
            self.worker = asyncio.create_task(self._work_off())
        return await result

    async def _work_off(self) -> None:
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(self.size, len(self.waiting)))]
            batch = [(item, result) for item, result in batch if not result.done()]
            items = [item for item, _ in batch]
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self.thread, self.work, items)
                outcomes = zip(batch, answers, strict=True)
                done = [(result, answer, None) for (_, result), answer in outcomes]
            except Exception as error:
                done = [(result, None, error) for _, result in batch]
            for result, answer, error in done:
                if result.done():  # its caller left in the meantime
                    continue
                result.set_exception(error) if error else result.set_result(answer)
        self.worker = None
