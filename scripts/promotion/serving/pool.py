"""The workers of one version: started, watched, started again when they die, closed when the version leaves."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.serving.backoff import backoff
from promotion.serving.events import event
from promotion.serving.link import Link
from promotion.serving.nursery import Nursery

LOAD_SECONDS = 300.0
SHARE_SECONDS = 10.0
LOOK_SECONDS = 0.1
GIVE_UP_SECONDS = 15.0  # a version that loads for longer is given up once it is unwanted; the next may be as slow
APART_SECONDS = 0.25
RESTART_SECONDS, LONGEST_RESTART = 0.25, 5.0
CALM_SECONDS = 30.0  # a worker that lived so long did not die of its loading


class Pool:
    """`count` workers that hold the model in `folder`. label: the version's name in sentences.

    background: bytes that a worker may add to its memory, where it has to give way to everything else.
    whole: whether the files are what they were, asked (in a thread) before a worker is started in place of one that
    died; `damaged` says that they were not.
    answered, gone: what the batcher does with a link's answers, and with its batch when it died.
    """

    def __init__(
        self,
        folder: Path,
        label: str,
        nursery: Nursery,
        count: int,
        *,
        background: int = 0,
        whole: Callable[[], bool] = lambda: True,
    ) -> None:
        self.folder = folder
        self.label = label
        self.nursery = nursery
        self.count = count
        self.background = background
        self.whole = whole
        self.damaged = False
        self.links: list[Link] = []
        self.answered: Callable[..., None] = lambda *_: None
        self.gone: Callable[[Link], None] = lambda _: None
        self.freed: Callable[[], None] = lambda: None
        self.problem: str | None = None
        self.restarts = 0
        self.closed = False
        self.resting = False
        self._unwanted = False
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> list[Link]:
        """The workers that have loaded."""
        return [link for link in self.links if link.ready]

    @property
    def proof(self) -> dict[str, Any]:
        """What was shown about the model, by whichever worker has shown most."""
        return max((link.proof for link in self.links if link.proof), key=lambda p: bool(p.get("batching")), default={})

    @property
    def notes(self) -> list[str]:
        """What is worth knowing, for /health."""
        notes = list(next((link.notes for link in self.links if link.ready), []))
        note = self.proof.get("note")
        return notes if note is None else [*notes, note]

    async def start(self, proof: dict[str, Any] | None = None, *, in_place: bool = False) -> None:
        """Start the first worker, which proves what `proof` does not say; it forks the others, where that can be.

        in_place: the version takes the place of one that serves, with as many workers from the first request on; only
        where one of them cannot be started it does not wait for them. PromotionError: it cannot serve.
        """
        siblings = [Link(self, self._died) for _ in range(self.count - 1)]
        self.links += siblings
        link = await self._load(proof, siblings)
        others = [self._later(self._beside(sibling, dict(link.proof))) for sibling in siblings]
        while in_place and not all(task.done() for task in others) and self.problem is None and not self._unwanted:
            await asyncio.wait(others, timeout=LOOK_SECONDS)

    def installed(self, work: "Future[Any]", loop: asyncio.AbstractEventLoop, unwanted: Callable[[], bool]) -> Any:
        """Wait in the follower's thread until `work` has started it; where it is unwanted by then, end its loading."""
        given_up = False
        while True:
            try:
                return work.result(GIVE_UP_SECONDS)
            except TimeoutError:
                if work.done():
                    raise
                if given_up or unwanted():
                    given_up = True
                    loop.call_soon_threadsafe(self._give_up)
            except PromotionError:
                if given_up:
                    raise PromotionError("another took its place while it was loading") from None
                raise

    def _give_up(self) -> None:
        self._unwanted = True
        if not self.ready:  # else it is about to serve, and the next poll takes what is wanted
            for link in self.links:
                link.end()

    def rest(self) -> None:
        """Nobody asks it any more: its workers stand still once they have answered, and one that dies is not replaced.

        So a version that was left because it spins, leaks or calls out in a thread of its own does so no longer.
        """
        self.resting = True
        for link in self.links:
            link.rest()

    def wake(self) -> None:
        """It is asked again, or to end."""
        self.resting = False
        for link in self.links:
            link.wake()

    def close(self, *, apart: bool = True) -> None:
        """Let the workers end: those that answer, after their answer.

        apart: one after another, because to give back a worker's memory takes as long as some requests, on cores that
        others are answered on.
        """
        self.closed = True
        self.wake()
        for task in self._tasks:
            task.cancel()
        self._retire(apart)

    def _retire(self, apart: bool) -> None:
        idle = [link for link in self.links if not link.batch]
        for link in idle[:1] if apart else idle:
            link.close()
            self.links.remove(link)
        if self.links:
            asyncio.get_running_loop().call_later(APART_SECONDS, self._retire, apart)

    async def _load(self, proof: dict[str, Any] | None, siblings: Sequence[Link] = ()) -> Link:
        link = Link(self, self._died)
        self.links.append(link)
        order = {"folder": str(self.folder), "label": self.label, "proof": proof, "background": self.background}
        try:
            await link.start(order, LOAD_SECONDS, siblings)
        except BaseException:
            if link in self.links:
                self.links.remove(link)
            link.close()
            link.end()
            raise
        return link

    async def _beside(self, sibling: Link, proof: dict[str, Any]) -> None:
        """Take a worker that the first one forked; where it did not, start one that loads by itself."""
        if await sibling.shared(SHARE_SECONDS):
            self.freed()
            return
        self.links.remove(sibling)
        sibling.close()
        await self._again(0.0, proof)

    def _later(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _again(self, delay: float, proof: dict[str, Any] | None, *, check: bool = False) -> None:
        """Start one more worker, as often as it takes."""
        await asyncio.sleep(delay)
        while not (self.closed or self.resting):
            try:
                self.damaged = check and not await asyncio.to_thread(self.whole)
                if self.damaged:
                    raise PromotionError(f"its files in {self.folder} are not what they were")
                await self._load(proof)
            except Exception as error:  # whatever it is, the next try comes
                self._failures += 1
                self.problem = f"a worker of {self.label} could not be started: {error}"
                event("worker-failed", level=logging.ERROR, model=self.label, text=str(error))
                await asyncio.sleep(backoff(self._failures, RESTART_SECONDS, cap=LONGEST_RESTART))
                continue
            self.problem = None
            self.freed()
            return

    def _died(self, link: Link, reason: str) -> None:
        if link in self.links:
            self.links.remove(link)
        event("worker-died", level=logging.ERROR, model=self.label, pid=link.pid, text=reason)
        self._failures = 0 if time.monotonic() - link.loaded_at > CALM_SECONDS else self._failures + 1
        if not (self.closed or self.resting):
            self.restarts += 1
            wait = 0.0 if self._failures < 2 else backoff(self._failures, RESTART_SECONDS, cap=LONGEST_RESTART)
            self._later(self._again(wait, link.proof, check=True))
        self.gone(link)
