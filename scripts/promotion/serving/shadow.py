"""A second version that answers what the champion has answered, and decides nothing.

It is asked after the client has its answer, in a process of its own that gives way to everything, may use so
much memory and so much time; what it does not get to is dropped and counted. So it cannot delay, fail or grow
a champion's request, whatever it does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promotion.cli import now
from promotion.sandbox.same import same
from promotion.serving.events import event
from promotion.serving.following import Follower, Served
from promotion.serving.link import Link
from promotion.serving.nursery import Nursery
from promotion.serving.pool import Pool
from promotion.serving.store import Local

MOST_WAITING, MOST_BYTES, MOST_BODY = 256, 16_000_000, 1_000_000
MOST = 64
MEMORY_BYTES = 2 << 30


@dataclass(slots=True)
class Mirrored:
    """A request and what the champion said to it. at: seconds since 1970."""

    body: bytes
    content_type: str
    key: str | None
    at: float
    version: int
    answer: bytes


Pair = tuple[Mirrored, int | None, bytes | None]  # what was asked, who answered beside the champion, and what


@dataclass
class Counts:
    """What became of the requests: the same answer, another, none in time, none at all."""

    same: int = 0
    differ: int = 0
    dropped: int = 0
    failed: int = 0
    seconds: float = 0.0
    batches: int = 0


@dataclass
class Shadow:
    """The version that `alias` names, beside the champion of `model`. budget: seconds for a batch.

    told: called with pairs once it is known what the shadow says, or that it says nothing.
    """

    model: str
    alias: str
    nursery: Nursery
    budget: float
    told: Callable[[list[Pair]], None] = lambda _: None
    counts: Counts = field(default_factory=Counts)
    served: Served | None = None

    follower: Follower = field(init=False)  # given by the server, as the loop is
    loop: asyncio.AbstractEventLoop = field(init=False)

    def __post_init__(self) -> None:
        self._waiting: deque[Mirrored] = deque()
        self._bytes = 0

    def install(self, local: Local, unwanted: Callable[[], bool]) -> Served:
        """Load a version; called from the follower's thread."""
        pool = Pool(local.folder, local.label, self.nursery, 1, background=MEMORY_BYTES, whole=local.whole)
        work = asyncio.run_coroutine_threadsafe(self._install(pool, local), self.loop)
        return pool.installed(work, self.loop, unwanted)

    async def _install(self, pool: Pool, local: Local) -> Served:
        pool.answered, pool.gone, pool.freed = self._answered, self._gone, self._dispatch
        try:
            await pool.start()
        except BaseException:
            pool.close()
            raise
        before, self.served = self.served, Served(local, pool, now())
        if before is not None:
            before.pool.close()
        self._dispatch()
        return self.served

    def offer(self, requests: list[Mirrored]) -> None:
        """Take what the champion has answered, as far as there is room."""
        served = self.served
        for request in requests:
            if served is None or served.version == request.version:
                self.told([(request, None, None)])
                continue
            room = len(self._waiting) < MOST_WAITING and self._bytes + len(request.body) <= MOST_BYTES
            if not room or len(request.body) > MOST_BODY:
                self._none(request, "dropped")
                continue
            self._waiting.append(request)
            self._bytes += len(request.body)
        self._dispatch()

    def close(self) -> None:
        """End: nothing is owed to anybody."""
        self.follower.stop()
        if self.served is not None:
            self.served.pool.close()
            for link in self.served.pool.links:
                link.end()

    def sweep(self) -> None:
        """End a worker that has used up its budget."""
        if self.served is None:
            return
        for link in list(self.served.pool.links):
            if link.batch and time.monotonic() - link.began > self.budget:
                event("shadow-late", model=self.model, version=self.served.version, seconds=self.budget)
                link.end()

    @property
    def waiting(self) -> int:
        """How many requests it has yet to answer."""
        links = () if self.served is None else self.served.pool.links
        return len(self._waiting) + sum(len(link.batch) for link in links)

    def health(self) -> dict[str, Any]:
        """What /health says about it."""
        problems = self.follower.problems()
        counts = self.counts
        return {
            "alias": self.alias,
            "version": None if self.served is None else self.served.version,
            "reason": "; ".join(problems) or None,
            "waiting": self.waiting,
            "same": counts.same,
            "differ": counts.differ,
            "dropped": counts.dropped,
            "failed": counts.failed,
        }

    def _dispatch(self) -> None:
        served = self.served
        while served is not None and self._waiting:
            link = next((link for link in served.pool.links if link.free), None)
            if link is None:
                return
            most = MOST if link.proof.get("batching") else 1
            batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._bytes -= sum(len(request.body) for request in batch)
            link.ask(batch, heavy=False)

    def _answered(self, link: Link, meta: dict[str, Any], bodies: list[bytes]) -> None:
        batch, link.batch = link.batch, []
        pairs: list[Pair] = []
        version = self.served.version if self.served is not None and self.served.pool is link.owner else None
        self.counts.seconds += meta["seconds"]
        self.counts.batches += 1
        for request, (status, _), body in zip(batch, meta["answers"], bodies, strict=True):
            if status != 200 or version is None:
                self.counts.failed += 1
                pairs.append((request, version, None))
                continue
            if request.answer == body or _agree(request.answer, body):
                self.counts.same += 1
            else:
                self.counts.differ += 1
            pairs.append((request, version, body))
        self.told(pairs)
        self._dispatch()

    def _gone(self, link: Link) -> None:
        batch, link.batch = link.batch, []
        for request in batch:
            self._none(request, "failed")
        self._dispatch()

    def _none(self, request: Mirrored, what: str) -> None:
        setattr(self.counts, what, getattr(self.counts, what) + 1)
        self.told([(request, None if self.served is None else self.served.version, None)])


def _agree(one: bytes, other: bytes) -> bool:
    """Whether two answers are the same up to the last bits; long ones only if they are the same text."""
    if len(one) > 10_000 or len(other) > 10_000:
        return False
    try:
        return same(one.decode(), other.decode())
    except (ValueError, RecursionError):
        return False
