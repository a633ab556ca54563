"""The server: one event loop that holds connections, models and their workers, from first poll to last answer."""

import asyncio
import contextlib
import functools
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.records.files import allow_files
from promotion.registry.client import Registry
from promotion.serving.app import App, Model
from promotion.serving.batching import Batcher
from promotion.serving.connection import Connection, Gate, Limits
from promotion.serving.events import event
from promotion.serving.following import Follower
from promotion.serving.logbook import Logbook
from promotion.serving.nursery import Nursery
from promotion.serving.shadow import Shadow
from promotion.serving.store import Store

BACKLOG = 2048
GRACE_SECONDS = 30.0
SWEEP_SECONDS = 0.25
SPARE_FILES = 64
ACCEPTED_AT_ONCE = 8  # a connection is counted a moment after it was accepted, and is an open file at once
LOG_GRACE_SECONDS = 5.0
SHADOW_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Settings:
    """What a server is told. workers: processes a model. timeout: seconds until 504. batch: limits of the queue.

    shadow: the alias that answers beside, with `budget` seconds for a batch. log: the folder that keeps what was
    asked and answered, `log_bytes` in all.
    """

    alias: str = "champion"
    poll_seconds: float = 2.0
    workers: int = 2
    timeout: float = 60.0
    shadow: str | None = None
    budget: float = 5.0
    log: Path | None = None
    log_bytes: int = 1_000_000_000
    limits: Limits = field(default_factory=Limits)
    batch: dict[str, Any] = field(default_factory=dict)


class Server:
    """Serves `names` on a bound listener. announce: called once a model was polled for the first time."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        listener: socket.socket,
        registry: Registry,
        store: Store,
        settings: Settings,
        nursery: Nursery | None = None,
        announce: Callable[[Model], None] = lambda _: None,
    ) -> None:
        self.listener = listener
        self.settings = settings
        self.store = store
        self.own_nursery = nursery is None
        self.nursery = nursery or Nursery()
        self.gate = Gate(settings.limits)
        self.logbook = None if settings.log is None else Logbook(settings.log, settings.log_bytes)
        self.models = [self._model(name, registry, announce) for name in names]
        self.app = App(self.models, self.gate)
        self.started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: Any = None  # an asyncio.Event of the loop

    def _model(self, name: str, registry: Registry, announce: Callable[[Model], None]) -> Model:
        settings = self.settings
        model = Model(name, Batcher(timeout=settings.timeout, **settings.batch), self.nursery, settings.workers)
        model.follower = Follower(registry, name, settings.alias, settings.poll_seconds, self.store, model.install)
        model.follower.polled_once = functools.partial(announce, model)
        model.follower.spare = model.spare
        model.logbook = self.logbook
        if settings.shadow is not None:
            shadow = model.shadow = Shadow(name, settings.shadow, self.nursery, settings.budget, told=model.log)
            seconds = max(settings.poll_seconds, SHADOW_POLL_SECONDS)
            shadow.follower = Follower(registry, name, settings.shadow, seconds, self.store, shadow.install)
        return model

    def run(self) -> None:
        """Serve until `stop`, or SIGTERM or SIGINT where this is the main thread; then finish what is in flight."""
        sys.setswitchinterval(0.00001)  # a poll in its thread must not hold up requests for 5 ms at a time
        self._allow_files()
        try:
            asyncio.run(self._run())
        finally:
            if self.own_nursery:
                self.nursery.close()

    def _allow_files(self) -> None:
        """Have as many open files as may be needed; where the system permits fewer, take fewer connections."""
        limits = self.settings.limits
        spare = SPARE_FILES + 2 * self.settings.workers * len(self.models)  # there are two versions of each
        files = allow_files(limits.connections + spare)
        self.gate.limits = replace(limits, connections=min(limits.connections, max(files - spare, files // 2)))

    def stop(self) -> None:
        """Ask it to drain and end, from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def _run(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopping.set)
        self.nursery.start()
        server = await loop.create_server(lambda: Connection(self.gate), sock=self.listener, backlog=ACCEPTED_AT_ONCE)
        self.listener.listen(BACKLOG)
        for model in self.models:
            model.loop = loop
            model.follower.start()
            if model.shadow is not None:
                model.shadow.loop = loop
                model.shadow.follower.start()
        if self.logbook is not None:
            await self.logbook.start()
        sweeper = loop.create_task(self._sweep())
        self.started.set()
        await self._stopping.wait()
        event("drain", connections=len(self.gate.connections))
        server.close()
        self.gate.drain()
        await self._drained()
        sweeper.cancel()
        for model in self.models:
            model.follower.stop()
            model.close()
        if self.logbook is not None:
            await self.logbook.close(LOG_GRACE_SECONDS)
        for connection in list(self.gate.connections):
            connection.abort()
        await asyncio.sleep(0)

    async def _drained(self) -> None:
        """Wait until everything that was asked is answered and sent, at most GRACE_SECONDS."""
        loop = asyncio.get_running_loop()
        end = loop.time() + GRACE_SECONDS
        while loop.time() < end and self.gate.connections:
            await asyncio.sleep(0.01)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                self.gate.sweep()
                for model in self.models:
                    model.batcher.sweep()
                    if model.shadow is not None:
                        model.shadow.sweep()
            except Exception as error:
                event("error", what="sweep", text=repr(error))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host:port (port 0: a free one); PromotionError when it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # else `*` is ::1
        family, kind, proto, _, address = found[0]
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:  # the latter: no host can have such a name
        reason = getattr(error, "strerror", None) or error
        raise PromotionError(f"cannot listen on {host}:{port} ({reason}); choose another --host or --port") from None
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
