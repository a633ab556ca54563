"""Requests that wait on each other share one `predict`; a lone request waits for nothing."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promotion.serving.events import event
from promotion.serving.following import Served
from promotion.serving.link import Link
from promotion.serving.pool import Pool

HEAVY_BYTES = 1 << 18
PATIENCE_SECONDS = 0.02
MOST_TRIES = 3

TIMED_OUT = (504, "application/json", b"Request processing time exceeded limit")
BUG = (500, "text/plain", b"Internal Server Error")

Done = Callable[[Served | None, int, str, bytes], None]


class QueueFull(Exception):
    """More requests or bytes wait than the server will hold."""


@dataclass(slots=True)
class Pending:
    """A request that waits. done: called once with (version, status, media type, body). deadline: monotonic.

    key: what the client calls it (X-Request-Id), for the log.
    """

    body: bytes
    content_type: str
    done: Done
    deadline: float
    key: str | None = None
    tries: int = 0
    over: bool = field(default=False)

    def finish(self, served: Served | None, status: int, media: str, body: bytes) -> None:
        """Answer it, unless it was."""
        if not self.over:
            self.over = True
            self.done(served, status, media, body)


Answered = tuple[Pending, tuple[int, str], bytes]  # (request, (status, media type), body)


class Batcher:
    """Two bounded queues, of quick and of heavy requests, in front of the workers of whichever version serves.

    A free worker takes all that waits, at most `most`, if the model was shown to answer each row for itself,
    else one request. While a batch is out, a second worker is asked only after PATIENCE_SECONDS, for one batch
    of 64 costs less than two of 32. Heavy requests never hold the last worker where there are several. All
    requests of a batch are answered by one version, the one that served when the batch began. When a worker
    dies its requests are asked again one by one; what was there at three deaths is not asked again. A batch that takes
    half of the time limit is ended likewise, while there is time to answer what is quick in it.

    observed: called after every batch with (version, what was answered, seconds that the worker took).
    failed: called with (version, status) for every request that no worker answered.
    """

    def __init__(
        self,
        *,
        timeout: float,
        limit: int = 256,
        limit_bytes: int = 1 << 28,
        most: int = 64,
    ) -> None:
        self.timeout = timeout
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.most = most
        self.observed: Callable[[Served | None, list[Answered], float], None] = lambda *_: None
        self.failed: Callable[[Served | None, int], None] = lambda *_: None
        self.served: Served | None = None
        self.batches = 0
        self.answered = 0
        self.refused = 0
        self._quick: deque[Pending] = deque()
        self._heavy: deque[Pending] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._pools: dict[Pool, Served] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait for a worker."""
        return len(self._quick) + len(self._heavy)

    def serve(self, served: Served) -> None:
        """Let a version take over; the one before answers what it has begun."""
        self.served = served
        self.adopt(served)
        self._dispatch()

    def adopt(self, served: Served) -> None:
        """Take a pool's answers."""
        pool = served.pool
        self._pools[pool] = served
        pool.answered, pool.gone, pool.freed = self._answered, self._gone, self._dispatch

    def room(self) -> bool:
        """Whether one more request may wait."""
        if self.waiting < self.limit:
            return True
        self.refused += 1
        return False

    def submit(self, body: bytes, content_type: str, done: Done, key: str | None = None) -> Pending:
        """Queue a request; raise QueueFull when the queue has no room for it."""
        if self.waiting >= self.limit or (self.waiting and self._bytes + len(body) > self.limit_bytes):
            self.refused += 1
            raise QueueFull
        pending = Pending(body, content_type, done, time.monotonic() + self.timeout, key)
        self._bytes += len(body)
        (self._heavy if len(body) > HEAVY_BYTES else self._quick).append(pending)
        self._dispatch()
        return pending

    def sweep(self) -> None:
        """Answer what is overdue with 504, and end workers that are still at it."""
        now = time.monotonic()
        for queue in (self._quick, self._heavy):
            for pending in queue:
                if now > pending.deadline and not pending.over:
                    self._fail(pending, self.served, TIMED_OUT)
        for pool in list(self._pools):
            if pool.closed and not pool.links:
                del self._pools[pool]
            for link in list(pool.links):
                late = [pending for pending in link.batch if now > pending.deadline]
                for pending in late:
                    if not pending.over:
                        self._fail(pending, self._pools.get(pool), TIMED_OUT)
                taken, several = now - link.began, sum(not pending.over for pending in link.batch) > 1
                if (late and taken > self.timeout) or (several and taken > self.timeout / 2):
                    event("worker-stuck", model=pool.label, pid=link.pid, seconds=round(taken, 1))
                    link.end()

    def _fail(self, pending: Pending, served: Served | None, answer: tuple[int, str, bytes]) -> None:
        pending.finish(served, *answer)
        self.failed(served, answer[0])

    def _dispatch(self) -> None:
        served = self.served
        if served is None:
            return
        while self._quick or self._heavy:
            ready = served.pool.ready
            free = [link for link in ready if link.free]
            if not free:
                return
            batch, heavy = self._choose(ready, free)
            if heavy is None:
                return
            if batch:
                free[0].ask(batch, heavy=heavy)

    def _choose(self, ready: list[Link], free: list[Link]) -> tuple[list[Pending], bool | None]:
        """Return what a free worker shall do now: (batch, whether it is heavy); heavy None: nothing for now."""
        if self._heavy:
            alone = len(ready) == 1
            running = sum(link.heavy and bool(link.batch) for link in ready)
            older = not self._quick or self._heavy[0].deadline < self._quick[0].deadline
            if (older or not alone) and (running < len(ready) - 1 or alone):
                return self._take(self._heavy, 1), True
        if not self._quick:
            return [], None
        together = bool(free[0].proof.get("batching"))
        if together:
            now = time.monotonic()
            out = [link.began for link in ready if link.batch and not link.heavy]
            recent = [began for began in out if now - began < PATIENCE_SECONDS]
            if recent and len(self._quick) < self.most:
                self._look_again(PATIENCE_SECONDS - (now - min(recent)))
                return [], None
        return self._take(self._quick, self.most if together else 1), False

    def _take(self, queue: deque[Pending], most: int) -> list[Pending]:
        batch: list[Pending] = []
        while queue and len(batch) < most:
            if batch and (queue[0].tries or batch[0].tries):
                break  # one that was there when a worker died is asked by itself
            pending = queue.popleft()
            self._bytes -= len(pending.body)
            if not pending.over:
                batch.append(pending)
        return batch

    def _look_again(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._dispatch()

    def _answered(self, link: Link, meta: dict[str, Any], bodies: list[bytes]) -> None:
        batch, link.batch = link.batch, []
        pool = link.owner
        served = self._pools.get(pool, self.served)
        self.batches += 1
        answered = [
            (pending, answer, body)
            for pending, answer, body in zip(batch, meta["answers"], bodies, strict=True)
            if not pending.over
        ]
        self.answered += len(answered)
        for pending, (status, media), body in answered:
            pending.finish(served, status, media, body)
        self._dispatch()
        self.observed(served, answered, meta["seconds"])

    def _gone(self, link: Link) -> None:
        batch, link.batch = link.batch, []
        for pending in reversed(batch):
            pending.tries += 1
            if pending.over:
                continue
            if pending.tries >= MOST_TRIES:
                event("request-failed", what="its worker died each time", bytes=len(pending.body))
                self._fail(pending, self.served, BUG)
                continue
            self._bytes += len(pending.body)
            (self._heavy if link.heavy else self._quick).appendleft(pending)
        self._dispatch()
