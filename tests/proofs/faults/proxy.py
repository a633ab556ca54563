"""An intercepting HTTP proxy in front of a registry: it can hold, lose, break or answer any single request."""

import contextlib
import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import urlsplit

WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Seen:
    """One request: its number since `reset` (from 0), method, path without the query, body."""

    number: int
    method: str
    path: str
    body: bytes

    @property
    def name(self) -> str:
        """What kind of request it is, for reports."""
        return f"{self.method} {self.path.rsplit('/2.0/', 1)[-1]}"

    @property
    def is_write(self) -> bool:
        """Whether it changes something (some of MLflow's searches are POST)."""
        return self.method in WRITES and not self.path.endswith("/search")


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    before: called before it is forwarded; False drops it (the connection is closed).
    instead: the answer, without forwarding.
    after: called with the registry's answer; returns what the client gets, None drops the connection.
    """

    before: Callable[[], bool] | None = None
    instead: Answer | None = None
    after: Callable[[Answer], Answer | None] | None = None


Rule = Callable[[Seen], Fault | None]


def error(status: int, **headers: str) -> Answer:
    """An error as MLflow or a load balancer before it would answer."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, (("Content-Type", "application/json"), *pairs), b'{"error_code": "INTERNAL_ERROR"}')


class Proxy(ThreadingHTTPServer):
    """Forwards to `upstream`; `rule` says what happens to each request."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._lock = threading.Lock()
        self.reset()

    def reset(self, rule: Rule = lambda seen: None) -> None:
        """Forget what was seen and set what happens from now on."""
        with self._lock:
            self.seen: list[Seen] = []
            self.rule = rule

    def note(self, method: str, path: str, body: bytes) -> tuple[Seen, Fault | None]:
        """Number a request and look up what happens to it."""
        with self._lock:
            seen = Seen(len(self.seen), method, path, body)
            self.seen.append(seen)
            return seen, self.rule(seen)

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Ask the registry."""
        path = re.sub(r"^/p\d+/", "/", path)  # the name of a client that wants to be told apart
        connection = http.client.HTTPConnection(str(self.upstream.hostname), self.upstream.port, timeout=60)
        try:
            kept = {name: value for name, value in headers if name.lower() not in ("host", "connection")}
            connection.request(method, path, body=body or None, headers=kept)
            got = connection.getresponse()
            dropped = ("transfer-encoding", "content-length", "connection", "content-encoding")
            pairs = tuple((name, value) for name, value in got.getheaders() if name.lower() not in dropped)
            return Answer(got.status, pairs, got.read())
        finally:
            connection.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed leaves a broken connection behind, which is the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement that nobody hurries to send
    server: Proxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, fault = self.server.note(self.command, urlsplit(self.path).path, body)
        if fault is not None and fault.before is not None and not fault.before():
            return self._drop()
        if fault is not None and fault.instead is not None:
            return self._answer(fault.instead)
        headers = [pair for pair in self.headers.items() if pair[0].lower() != "accept-encoding"]
        answer: Answer | None = self.server.forward(self.command, self.path, headers, body)
        if fault is not None and fault.after is not None:
            answer = fault.after(answer)
        return self._drop() if answer is None else self._answer(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _drop(self) -> None:
        """Close with a reset, as a server that dies does."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


AnyProxy = TypeVar("AnyProxy", bound=Proxy)


@contextlib.contextmanager
def proxy(upstream: str, kind: type[AnyProxy] = Proxy) -> Iterator[AnyProxy]:
    """Run a proxy in a thread."""
    server = kind(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
