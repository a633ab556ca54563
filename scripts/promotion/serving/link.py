"""The server's end of one worker: a message out, a message back, and the news of its end."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from promotion.errors import PromotionError
from promotion.serving.events import failure
from promotion.serving.frames import Reader, frame
from promotion.serving.nursery import cause, tell

LAST_WORDS_SECONDS = 0.2  # to read what a process wrote before it ended


class Link(asyncio.Protocol):
    """One worker. `batch` is what it is answering; it is free when it is ready and answers nothing.

    owner: the pool. Its `nursery` forks the worker, its `answered` is called with (link, meta, bodies) for each answer.
    gone: called with (link, reason) once, when the process is gone.
    """

    def __init__(self, owner: Any, gone: Callable[["Link", str], None]) -> None:
        self.owner = owner
        self.gone = gone
        self.pid: int | None = None
        self.ready = False
        self.closing = False
        self.batch: list[Any] = []
        self.asked = 0  # how many batches it was given
        self.heavy = False
        self.began = 0.0  # when it was given its batch
        self.loaded_at = 0.0
        self.proof: dict[str, Any] = {}
        self.notes: list[str] = []
        self._reader = Reader()
        self._transport: Any = None  # an asyncio.Transport, from connection_made on
        self._loaded: Any = None  # a future, from start on
        self._code: int | None = None
        self._ended = asyncio.Event()

    @property
    def free(self) -> bool:
        """Whether it waits for work."""
        return self.ready and not self.batch and not self.closing

    async def start(self, order: dict[str, Any], seconds: float, siblings: Sequence["Link"] = ()) -> None:
        """Fork the worker and let it load; raise PromotionError when it cannot, or dies, or takes over `seconds`.

        siblings: those of workers that it shall fork once it has loaded, where it can; `shared` tells whether it did.
        """
        loop = asyncio.get_running_loop()
        links, ends = [self, *siblings], []
        try:
            with contextlib.ExitStack() as stack:
                theirs = []
                for link in links:
                    link._loaded = loop.create_future()
                    link._loaded.add_done_callback(lambda done: done.cancelled() or done.exception())  # who asks or not
                    ours, end = socket.socketpair()
                    ends.append(ours)
                    theirs.append(stack.enter_context(end))
                future = self.owner.nursery.spawn(theirs, self._watcher())
                self.pid = await asyncio.wait_for(asyncio.wrap_future(future), seconds)
            for link, ours in zip(links, ends, strict=True):
                await loop.create_unix_connection(link._itself, sock=ours)
            self._send({"load": True, **order})
            await asyncio.wait_for(asyncio.shield(self._loaded), seconds)
        except (ConnectionError, OSError) as error:
            self.end()
            raise PromotionError(f"no process for it could be started ({error})") from None
        except TimeoutError:
            self.end()
            raise PromotionError(f"it did not load and answer within {seconds:g} s") from None
        finally:
            for link, ours in zip(links, ends, strict=False):
                if link._transport is None:
                    ours.close()  # which ends the worker

    async def shared(self, seconds: float) -> bool:
        """Whether the worker was forked by one that had loaded, within `seconds`; else it has to load by itself."""
        await asyncio.wait([self._loaded], timeout=seconds)
        return self._loaded.done() and not self._loaded.cancelled() and self._loaded.exception() is None

    def _watcher(self) -> Callable[[int], None]:
        """What the nursery calls, from its thread, with the exit code."""
        loop = asyncio.get_running_loop()

        def ended(code: int) -> None:
            self._code = code
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._over)

        return ended

    def ask(self, batch: list[Any], *, heavy: bool) -> None:
        """Send a batch of pending requests; the answer goes to the owner."""
        self.batch, self.heavy, self.began = batch, heavy, time.monotonic()
        self.asked += 1
        types = [pending.content_type for pending in batch]
        self._send({"types": types, "number": self.asked}, [pending.body for pending in batch])

    def close(self) -> None:
        """Let the worker end; it has nothing to do."""
        self.closing = True
        if self._transport is not None:
            self._transport.close()

    def end(self) -> None:
        """End the worker at once."""
        self._tell(signal.SIGKILL)

    def rest(self) -> None:
        """Let the process stand still, whatever the model does by itself; what still answers does so afterwards.

        Only a child of the zygote: it goes on when that dies (siblings.py), and sees then whether the server is gone.
        """
        if self.free and self.owner.nursery.holds(self.pid):
            self._tell(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process go on. Of the two, what was said last holds."""
        self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> None:
        tell(None if self._code is not None else self.pid, number)

    def _send(self, meta: dict[str, Any], bodies: Sequence[bytes] = ()) -> None:
        pieces = frame(meta, bodies)
        if sum(map(len, bodies)) <= 1 << 16:
            self._transport.write(b"".join(pieces))
        else:
            for piece in pieces:
                self._transport.write(piece)

    def _itself(self) -> "Link":
        return self

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Act on every message that is complete; a process that sends anything else is ended, its batch asked again."""
        try:
            for meta, bodies in self._reader.feed(data):
                self._heed(meta, bodies)
        except (ValueError, TypeError, KeyError, AttributeError):
            failure(f"what worker {self.pid} sent")
            self.end()
            if self.pid is None:
                self.close()

    def _heed(self, meta: dict[str, Any], bodies: list[bytes]) -> None:
        if "answers" in meta:
            count = len(self.batch)
            if meta["number"] != self.asked or not len(meta["answers"]) == len(bodies) == count > 0:
                raise ValueError("it answered what it was not asked; did the model fork?")
            self.proof["batching"] = meta["batching"]
            self.owner.answered(self, meta, bodies)
        elif "proved" in meta:
            self.proof = meta["proved"]
        elif "loaded" in meta:
            if self.pid is None:
                self.owner.nursery.adopt(meta["pid"], self._watcher())
                self.pid = meta["pid"]
            self.proof, self.notes, self.ready = meta["loaded"], meta["notes"], True
            self.loaded_at = time.monotonic()
            if not self._loaded.done():
                self._loaded.set_result(None)
        elif "failed" in meta and not self._loaded.done():
            self._loaded.set_exception(PromotionError(meta["failed"]))
        if self.owner.resting:
            self.rest()

    def _over(self) -> None:
        """The process has ended. Where what it has forked holds its end of the socket, nothing else would tell."""
        self._ended.set()
        if self._transport is not None:
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        """The process has ended, or is ending: wait for its exit code a little, then say so."""
        self.ready = False
        if self.pid is None:  # a sibling that was not forked
            self._loaded.cancel()
            return
        asyncio.get_running_loop().create_task(self._tell_end())

    async def _tell_end(self) -> None:
        try:
            await asyncio.wait_for(self._ended.wait(), 1.0)
        except TimeoutError:
            self.end()  # nobody hears from it any more, and the model may compute in it without end
        if self.closing and not self.batch and self._loaded.done():
            return
        reason = cause(self._code)
        if not self._loaded.done():
            self._loaded.set_exception(PromotionError(f"the process that loaded it died: {reason}"))
        elif self._loaded.exception() is None:
            self.gone(self, reason)
