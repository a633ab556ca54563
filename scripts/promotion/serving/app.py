"""The HTTP application: MLflow's scoring protocol over a follower and a batcher."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promotion.serving.batching import Batcher, QueueFull
from promotion.serving.following import Follower
from promotion.serving.loading import Served
from promotion.serving.scoring import Request

RETRY_AFTER = {"Retry-After": "1"}


class TooLarge(Exception):
    """A body over the limit."""


class Endpoints:
    """The handlers; `max_body` is in bytes, `timeout` in seconds."""

    def __init__(self, follower: Follower, batcher: Batcher, *, max_body: int, timeout: float) -> None:
        self.follower = follower
        self.batcher = batcher
        self.max_body = max_body
        self.timeout = timeout

    async def invocations(self, http: HttpRequest) -> Response:
        """POST /invocations: as MLflow's scoring server, and the version that answered in the header."""
        if self.follower.current is None:
            return self._unavailable()
        try:
            body = await self._body(http)
        except TooLarge:
            limit = f"The request is larger than the limit of {self.max_body} bytes; send fewer rows at a time"
            return _error(413, "BAD_REQUEST", limit)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        try:
            future = self.batcher.submit(Request(body, http.headers.get("content-type", "")))
            served, answer = await asyncio.wait_for(future, self.timeout)
        except QueueFull:
            return _error(503, "TEMPORARILY_UNAVAILABLE", "Too many requests are waiting; try again", RETRY_AFTER)
        except TimeoutError:
            return Response("Request processing time exceeded limit", 504, media_type="application/json")
        if served is None:
            return self._unavailable()
        return Response(answer.text, answer.status, _version_header(served), media_type=answer.media_type)

    async def ping(self, http: HttpRequest) -> Response:
        """GET /ping: 200 while a version serves."""
        if self.follower.current is None:
            return self._unavailable()
        return Response("\n", 200, media_type="application/json")

    async def health(self, http: HttpRequest) -> Response:
        """GET /health: what serves, since when, and what is the matter; 503 only while nothing serves."""
        follower, served, problems = self.follower, self.follower.current, self.follower.problems()
        status = "waiting" if served is None else "degraded" if problems else "ok"
        found = {
            "status": status,
            "reason": "; ".join(problems) or None,
            "model": follower.model,
            "alias": follower.alias,
            "version": None if served is None else served.version,
            "since": follower.since,
            "loading": follower.loading,
            "last_poll": follower.last_poll,
            "last_error": follower.last_error,
            "requests": self.batcher.answered,
            "batches": self.batcher.batches,
            "refused": self.batcher.refused,
            "batching": None if served is None else served.scorer.batching,
            "notes": [] if served is None else list(served.notes),
        }
        return _json(200 if served is not None else 503, found)

    async def version(self, http: HttpRequest) -> Response:
        """GET /version: the version that serves."""
        served = self.follower.current
        if served is None:
            return self._unavailable()
        keys = ("name", "version", "run_id", "digest", "loaded_at")
        return _json(200, {key: getattr(served, key) for key in keys})

    async def _body(self, http: HttpRequest) -> bytes:
        declared = http.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_body:
            raise TooLarge
        parts, size = [], 0
        async for part in http.stream():
            size += len(part)
            if size > self.max_body:
                raise TooLarge
            parts.append(part)
        return b"".join(parts)

    def _unavailable(self) -> Response:
        return _error(503, "TEMPORARILY_UNAVAILABLE", self.follower.waiting_for(), RETRY_AFTER)


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(content) + "\n", status, headers, media_type="application/json")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the shape of MLflow's."""
    return _json(status, {"error_code": code, "message": message}, headers)


def _version_header(served: Served) -> dict[str, str]:
    return {"X-Model-Version": str(served.version)}


class ModelHeaders:
    """Puts X-Model-Name on every answer, and X-Model-Version where the handler did not."""

    def __init__(self, app: ASGIApp, follower: Follower) -> None:
        self.app = app
        self.follower = follower

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and add to the head of an HTTP answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                headers.append((b"x-model-name", quote(self.follower.model, safe=" ").encode()))
                served = self.follower.current
                if served is not None and not any(key.lower() == b"x-model-version" for key, _ in headers):
                    headers.append((b"x-model-version", str(served.version).encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, with_headers)


def make_app(follower: Follower, *, max_body: int = 1 << 26, timeout: float = 60.0, **limits: int) -> ASGIApp:
    """Return the application; its lifespan starts and stops the follower and the batcher.

    max_body: bytes of a request. timeout: seconds until 504. limits: the batcher's.
    """
    batcher = Batcher(lambda: follower.current, **limits)
    follower.retire = batcher.after_use
    endpoints = Endpoints(follower, batcher, max_body=max_body, timeout=timeout)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        worker = asyncio.create_task(batcher.run())
        follower.start()
        try:
            yield
        finally:
            follower.stop()
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            batcher.pool.shutdown(wait=False, cancel_futures=True)

    routes = [
        Route("/invocations", endpoints.invocations, methods=["POST"]),
        Route("/ping", endpoints.ping),
        Route("/health", endpoints.health),
        Route("/version", endpoints.version),
    ]
    return ModelHeaders(Starlette(routes=routes, lifespan=lifespan), follower)
