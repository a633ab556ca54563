"""The application: MLflow's scoring protocol for one or several models, over their followers and batchers."""

import asyncio
import functools
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

from promotion.cli import now
from promotion.errors import PromotionError
from promotion.serving.batching import Answered, Batcher, QueueFull
from promotion.serving.connection import Connection, Gate, HttpRequest
from promotion.serving.following import Follower, Served
from promotion.serving.logbook import Logbook
from promotion.serving.metrics import Metrics
from promotion.serving.nursery import Nursery
from promotion.serving.pool import Pool
from promotion.serving.shadow import Mirrored, Pair, Shadow
from promotion.serving.store import Local

Refusal = tuple[int, str, bytes, tuple[tuple[str, str], ...]]

JSON = "application/json"
RETRY_AFTER = (("Retry-After", "1"),)
GETS = ("ping", "health", "version")
KEPT_SECONDS = 600.0


class Model:
    """One model of the server: what follows it, what answers for it, what is sent with every answer.

    kept: the version before, whose workers stay for KEPT_SECONDS and stand still, so that a rollback has nothing to
    load. They end as a third version is to be loaded: two are in memory, as there are in any swap.
    """

    follower: Follower  # given by the server, as the loop is
    loop: asyncio.AbstractEventLoop

    def __init__(self, name: str, batcher: Batcher, nursery: Nursery, workers: int) -> None:
        self.name = name
        self.batcher = batcher
        self.nursery = nursery
        self.workers = workers
        self.shadow: Shadow | None = None
        self.logbook: Logbook | None = None
        self.kept: Served | None = None
        self._kept_until: asyncio.TimerHandle | None = None
        self._headers: dict[int | None, str] = {}
        self._restarts_before = 0  # of versions that are gone
        self._proofs: dict[str, dict[str, Any]] = {}

    @property
    def served(self) -> Served | None:
        """The version that serves."""
        return self.batcher.served

    def install(self, local: Local, unwanted: Callable[[], bool]) -> Served:
        """Load a version beside what serves and let it take over; called from the follower's thread."""
        pool = Pool(local.folder, local.label, self.nursery, self.workers, whole=local.whole)
        work = asyncio.run_coroutine_threadsafe(self._install(pool, local), self.loop)
        return pool.installed(work, self.loop, unwanted)

    async def _install(self, pool: Pool, local: Local) -> Served:
        before, served = self.served, self._back(local)
        if served is None:
            self._let_go()
            try:
                if local.unread and not await asyncio.to_thread(local.whole):
                    raise PromotionError(f"its files in {local.folder} are not what they were")
                await pool.start(self._proofs.get(local.digest), in_place=before is not None)
            except BaseException:
                pool.close()
                raise
            served = Served(local, pool, now())
        if served.pool.proof.get("batching"):
            self._proofs[local.digest] = dict(served.pool.proof)  # the same files need not show it twice
        self._keep(before)
        self.batcher.serve(served)
        return served

    def spare(self) -> Served | None:
        """The version that was kept, if all of its workers are there and wait."""
        kept = self.kept
        return kept if kept is not None and sum(link.free for link in kept.pool.links) >= self.workers else None

    def _back(self, local: Local) -> Served | None:
        """The version that was kept, if it is this one."""
        spare = self.spare()
        if spare is None or (spare.version, spare.local.digest) != (local.version, local.digest):
            return None
        spare.pool.wake()
        return Served(local, spare.pool, spare.loaded_at)

    def _keep(self, before: Served | None) -> None:
        if self._kept_until is not None:
            self._kept_until.cancel()
        self.kept = before
        if before is not None:
            before.pool.rest()
            self._kept_until = self.loop.call_later(KEPT_SECONDS, self._let_go)

    def _let_go(self) -> None:
        if self.kept is not None:
            self._restarts_before += self.kept.pool.restarts
            self.kept.pool.close()
            self.kept = None

    def close(self) -> None:
        """Let all workers end."""
        for one in (self.served, self.kept):
            if one is not None:
                one.pool.close(apart=False)
        if self.shadow is not None:
            self.shadow.close()

    def restarts(self) -> int:
        """How many workers died and were replaced."""
        return self._restarts_before + sum(one.pool.restarts for one in (self.served, self.kept) if one is not None)

    def headers(self, served: Served | None) -> str:
        """X-Model-Name and X-Model-Version as lines."""
        version = None if served is None else served.version
        found = self._headers.get(version)
        if found is None:
            found = f"x-model-name: {quote(self.name, safe=' ')}\r\n"
            if version is not None:
                found += f"x-model-version: {version}\r\n"
            self._headers[version] = found
        return found

    def problems(self) -> list[str]:
        """What is the matter, in sentences."""
        served = self.served
        own = [] if served is None or served.pool.problem is None else [served.pool.problem]
        return self.follower.problems() + own

    def health(self) -> dict[str, Any]:
        """What serves, since when, and what is the matter."""
        follower, served, problems = self.follower, self.served, self.problems()
        return {
            "status": "waiting" if served is None else "degraded" if problems else "ok",
            "reason": "; ".join(problems) or None,
            "model": self.name,
            "alias": follower.alias,
            "version": None if served is None else served.version,
            "since": follower.since,
            "kept": None if self.kept is None else self.kept.version,
            "loading": follower.loading,
            "last_poll": follower.last_poll,
            "last_error": follower.last_error,
            "requests": self.batcher.answered,
            "batches": self.batcher.batches,
            "refused": self.batcher.refused,
            "workers": 0 if served is None else len(served.pool.ready),
            "restarts": self.restarts(),
            "batching": None if served is None else bool(served.pool.proof.get("batching")),
            "array": None if served is None else bool(served.pool.proof.get("array")),
            "notes": [] if served is None else served.notes,
            **({} if self.shadow is None else {"shadow": self.shadow.health()}),
            **({} if self.logbook is None else {"log": self.logbook.health()}),
        }

    def mirror(self, served: Served, answered: list[Answered]) -> None:
        """Hand what was answered to the shadow, and by way of it, or else at once, to the log."""
        if self.shadow is None and self.logbook is None:
            return
        at = time.time()
        requests = [
            Mirrored(pending.body, pending.content_type, pending.key, at, served.version, body)
            for pending, (status, _), body in answered
            if status == 200
        ]
        if self.shadow is not None:
            self.shadow.offer(requests)
        else:
            self.log([(request, None, None) for request in requests])

    def log(self, pairs: list[Pair]) -> None:
        """Keep what was asked and answered, where there is a log."""
        if self.logbook is not None:
            self.logbook.keep(self.name, pairs)

    def version(self, served: Served) -> dict[str, Any]:
        """What /version says."""
        local = served.local
        return {
            "name": local.model,
            "version": local.version,
            "run_id": local.run_id,
            "digest": local.digest,
            "loaded_at": served.loaded_at,
        }

    def unavailable(self) -> Refusal:
        """503: nothing serves."""
        return error(503, "TEMPORARILY_UNAVAILABLE", self.follower.waiting_for(), RETRY_AFTER)


class App:
    """Routes. `/invocations` and the rest are the one model's; with several, each has them below /models/NAME."""

    def __init__(self, models: list[Model], gate: Gate) -> None:
        self.models = {model.name: model for model in models}
        self.only = models[0] if len(models) == 1 else None
        self.gate = gate
        self.metrics = Metrics(SimpleNamespace(models=models, gate=gate))
        self.pages: dict[str, Callable[[], tuple[str, bytes]]] = {"metrics": self.metrics.page}
        for model in models:
            model.batcher.observed = functools.partial(self._observed, model)
            model.batcher.failed = functools.partial(self._failed, model)
        gate.admit = self.admit
        gate.handle = self.handle

    def route(self, path: str) -> tuple[Model | None, str]:
        """Return the model and the last part of a path; an unknown path is (None, "")."""
        if path.startswith("/models/"):
            name, _, what = path[8:].partition("/")
            model = self.models.get(unquote(name))
            return (model, what) if model is not None and what in (*GETS, "invocations") else (None, "")
        what = path[1:]
        if self.only is not None and what in (*GETS, "invocations"):
            return self.only, what
        return None, what if what in ("ping", "health") or what in self.pages else ""

    def admit(self, request: HttpRequest) -> Refusal | None:
        """Refuse by the head (or by the size so far) what need not be read."""
        model, what = self.route(request.path)
        if not what or (model is None and what == "invocations"):
            return 404, JSON, self._nowhere(request.path), ()
        allowed = "POST" if what == "invocations" else "GET, HEAD"
        if request.method not in allowed.split(", "):
            return 405, JSON, b'{"detail":"Method Not Allowed"}', (("Allow", allowed),)
        if model is None or what != "invocations":
            return None
        if model.served is None:
            return model.unavailable()
        declared = request.headers.get("content-length", "")
        most = self.gate.limits.body
        if request.size > most or (declared.isdecimal() and int(declared[:20]) > most):
            return error(
                413, "BAD_REQUEST", f"The request is larger than the limit of {most} bytes; send fewer rows at a time"
            )
        return None if model.batcher.room() else FULL

    def handle(self, request: HttpRequest, connection: Connection) -> None:
        """Answer a request that is whole."""
        model, what = self.route(request.path)
        if request.refused is not None:
            self._send(connection, request, request.refused, model or self.only)
        elif what == "invocations" and model is not None:
            self._invoke(request, connection, model)
        elif what in self.pages and model is None:
            media, body = self.pages[what]()
            self._send(connection, request, (200, media, body, ()), self.only)
        elif model is None:
            self._send(connection, request, self._all(what), None)
        else:
            self._send(connection, request, _about(model, what), model)

    def _invoke(self, request: HttpRequest, connection: Connection, model: Model) -> None:
        if model.served is None:
            self._send(connection, request, model.unavailable(), model)
            return

        def done(served: Served | None, status: int, media: str, body: bytes) -> None:
            connection.respond(status, media, body, model.headers(served), request=request)

        try:
            kind, key = request.headers.get("content-type", ""), request.headers.get("x-request-id")
            connection.asked = model.batcher.submit(request.body, kind, done, key)
        except QueueFull:
            self._send(connection, request, FULL, model)
        else:
            request.parts.clear()  # the batcher has it; a second copy of a large body helps nobody

    def _send(self, connection: Connection, request: HttpRequest, answer: Refusal, model: Model | None) -> None:
        status, media, body, more = answer
        if model is not None and request.path.endswith("/invocations"):
            self.metrics.refused(model.name, None if model.served is None else model.served.version, status)
        headers = "" if model is None else model.headers(model.served)
        headers += "".join(f"{name.lower()}: {value}\r\n" for name, value in more)
        connection.respond(status, media, body, headers, request=request)

    def _observed(self, model: Model, served: Served | None, answered: list[Answered], seconds: float) -> None:
        """Count what a worker has answered."""
        begun = time.monotonic() + model.batcher.timeout
        ages = [begun - pending.deadline for pending, _, _ in answered]
        version = None if served is None else served.version
        self.metrics.batch(model.name, version, ages, [status for _, (status, _), _ in answered], seconds)
        if served is not None:
            model.mirror(served, answered)

    def _failed(self, model: Model, served: Served | None, status: int) -> None:
        self.metrics.refused(model.name, None if served is None else served.version, status)

    def _all(self, what: str) -> Refusal:
        """/ping and /health of a server of several models: well while each serves."""
        waiting = [model for model in self.models.values() if model.served is None]
        if what == "ping":
            return (200, JSON, b"\n", ()) if not waiting else waiting[0].unavailable()
        found = {name: model.health() for name, model in self.models.items()}
        states = {one["status"] for one in found.values()}
        status = next(state for state in ("waiting", "degraded", "ok") if state in states)
        return 503 if waiting else 200, JSON, encoded({"status": status, "models": found}), ()

    def _nowhere(self, path: str) -> bytes:
        if self.only is None and path[1:] in (*GETS, "invocations"):
            names = ", ".join(f"/models/{quote(name)}{path}" for name in self.models)
            return encoded({"detail": f"Not Found: several models are served; ask {names}"})
        return b'{"detail":"Not Found"}'


def _about(model: Model, what: str) -> Refusal:
    """GET /ping, /health, /version of one model."""
    if what == "health":
        return 503 if model.served is None else 200, JSON, encoded(model.health()), ()
    served = model.served
    if served is None:
        return model.unavailable()
    return 200, JSON, b"\n" if what == "ping" else encoded(model.version(served)), ()


def encoded(content: Any) -> bytes:
    """JSON on a line."""
    return json.dumps(content).encode() + b"\n"


def error(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Refusal:
    """An error in the shape of MLflow's."""
    return status, JSON, encoded({"error_code": code, "message": message}), headers


FULL = error(503, "TEMPORARILY_UNAVAILABLE", "Too many requests are waiting; try again", RETRY_AFTER)
