"""Requests that wait on each other share one `predict`; a lone request waits for nothing."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from promotion.serving.loading import Served
from promotion.serving.scoring import Answer, Request

log = logging.getLogger("serve")

Result = tuple[Served | None, Answer]


class QueueFull(Exception):
    """More requests or bytes wait than the server will hold."""


class Batcher:
    """A bounded queue in front of one worker thread.

    While the worker predicts, requests queue; when it is free it takes all of them, at most `most`.
    There is no timer. `current` is read in the worker at the start of a batch, so all requests of a
    batch are answered by one version, and a barrier on `pool` outlasts every use of an older one.
    """

    def __init__(
        self, current: Callable[[], Served | None], *, limit: int = 256, limit_bytes: int = 1 << 28, most: int = 64
    ) -> None:
        self.current = current
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.most = most
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self.batches = 0
        self.answered = 0
        self.refused = 0
        self._queue: deque[tuple[Request, asyncio.Future[Result]]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def submit(self, request: Request) -> "asyncio.Future[Result]":
        """Queue a request; raise QueueFull when the queue has no room for it."""
        size = len(request.body)
        if len(self._queue) >= self.limit or (self._queue and self._bytes + size > self.limit_bytes):
            self.refused += 1
            raise QueueFull
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((request, future))
        self._bytes += size
        self._wake.set()
        return future

    async def run(self) -> None:
        """Answer what is queued, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                served, answers = await loop.run_in_executor(self.pool, self._answer, [r for r, _ in batch])
                self.batches += 1
                self.answered += len(batch) if served is not None else 0
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():  # else it timed out meanwhile
                        future.set_result((served, answer))

    def after_use(self, action: Callable[[], None]) -> None:
        """Run `action` once every batch that has begun is done."""
        with contextlib.suppress(RuntimeError):  # the pool is shut down: the server's own clean-up follows
            self.pool.submit(action)

    def _take(self) -> list[tuple[Request, "asyncio.Future[Result]"]]:
        batch = []
        while self._queue and len(batch) < self.most:
            request, future = self._queue.popleft()
            self._bytes -= len(request.body)
            if not future.done():  # else it timed out while it waited
                batch.append((request, future))
        return batch

    def _answer(self, requests: list[Request]) -> tuple[Served | None, list[Answer]]:
        served = self.current()
        if served is None:
            return None, [Answer("", 503)] * len(requests)
        try:
            return served, served.scorer.answers(requests)
        except Exception:
            log.exception("event=error what=batch")
            return served, [Answer("Internal Server Error", 500, "text/plain")] * len(requests)
