"""One HTTP/1.1 connection, parsed by llhttp, within limits: of heads, bodies, time, and all memory together."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import httptools

from promotion.serving.events import event

MOST_HEAD = 1 << 16
PART_BYTES = 64  # what a part of a body takes beside its bytes


@dataclass(frozen=True)
class Limits:
    """What a client may do. Bytes: body (one), held (unfinished bodies and unread answers of all). Seconds: the rest.

    head: from the first byte to the end of the head, and until a new connection says anything. keep_alive: between
    requests. receive: for the body. send: for reading the answer.
    """

    body: int = 64_000_000
    held: int = 256_000_000
    connections: int = 8192
    head: float = 10.0
    keep_alive: float = 75.0
    receive: float = 30.0
    send: float = 30.0


@dataclass(slots=True)
class HttpRequest:
    """A request; `refused` is its answer where its head already decided that."""

    method: str
    path: str
    headers: dict[str, str]
    keep_alive: bool
    version: str = "1.1"
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    refused: tuple[int, str, bytes, tuple[tuple[str, str], ...]] | None = None

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


class Gate:
    """What the connections of a server share: the application, the limits, what they hold.

    admit: called with a request's head; returns an answer to refuse it before its body is read, or None.
    handle: called with (request, connection) when the body is there; ends in `connection.respond`.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections: dict[Connection, None] = {}
        self.held = 0
        self.evicted = 0
        self.draining = False
        self.admit: Callable[[HttpRequest], Any] = lambda _: None
        self.handle: Callable[[HttpRequest, Connection], None] = lambda *_: None
        self._date = (0, "")

    def date(self) -> str:
        """The Date header of this second."""
        second = int(time.time())
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    def sweep(self) -> None:
        """Close what has overstayed."""
        now = time.monotonic()
        for connection in [c for c in self.connections if c.deadline is not None and now > c.deadline]:
            connection.expire()

    def relieve(self, asking: "Connection") -> None:
        """Make room when all bodies together are too large: who was silent for longest has to go."""
        for stalled in sorted((c for c in self.connections if c.holding), key=lambda c: c.heard):
            if self.held <= self.limits.held:
                return
            self.evicted += 1
            event("evicted", bytes=stalled.holding, what="unfinished body or unread answer")
            if stalled.unread:
                stalled.abort()  # one more answer would not be read either
            else:
                stalled.refuse(408, "Too many bytes are being received; yours came slowest")
            if stalled is asking:
                return

    def make_room(self, newcomer: "Connection") -> None:
        """Close the connection that has been idle for longest when there are too many."""
        self.evicted += 1
        idle = [c for c in self.connections if c.idle and c is not newcomer]
        (min(idle, key=lambda c: c.heard) if idle else newcomer).abort()

    def drain(self) -> None:
        """Close what is idle; the rest closes after its answer."""
        self.draining = True
        for connection in list(self.connections):
            if connection.idle:
                connection.close()


class Connection(asyncio.Protocol):
    """A client. Requests that come before the last is answered (pipelining) wait, and reading stops meanwhile."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.heard = time.monotonic()
        self.deadline: float | None = self.heard + gate.limits.head
        self.received = self.unread = 0  # bytes of an unfinished body, of answers that the client does not read
        self.asked: Any = None  # what the application waits for; `over` is set when the client leaves
        self._transport: Any = None  # an asyncio.Transport, from connection_made on
        self._parser = httptools.HttpRequestParser(self)
        self._request: HttpRequest | None = None
        self._waiting: deque[HttpRequest] = deque()
        self._busy = False
        self._head = 0  # bytes of a head that is not complete, or since the last part of a body: of a trailer
        self._last = False  # nothing more is read from this client
        self._malformed: str | None = None  # what is wrong with its bytes, told after what it asked before
        self._ended = False  # it has shut its sending side
        self._in_next = False
        self._expects = False  # it waits for 100 Continue
        self._url = b""
        self._headers: dict[str, str] = {}

    @property
    def holding(self) -> int:
        """Bytes that are kept for this client."""
        return self.received + self.unread

    @property
    def idle(self) -> bool:
        """Whether no request is being received or answered; one that is being closed is not idle, it is gone."""
        asked = self._busy or self._request is not None or self._waiting or self.holding
        return not asked and not self._transport.is_closing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, and make room for it."""
        self._transport = transport
        self.gate.connections[self] = None
        if len(self.gate.connections) > self.gate.limits.connections:
            self.gate.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP is answered with 400, and the connection closed."""
        self.heard = time.monotonic()
        if self._last:
            return  # nothing more is read from this client
        if self._head == 0 and not self._busy and self._request is None:
            self.deadline = self.heard + self.gate.limits.head
        self._head += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._malformed = f"Invalid HTTP request received: {error}"
            self._last, self._request = True, None
            self._next()
        else:
            if self._head > MOST_HEAD + len(data):
                self.refuse(431, f"The head of a request, and what follows its body, may have {MOST_HEAD} bytes")

    def _feed(self, data: bytes) -> None:
        """Parse. A wish to go on in another protocol is ignored (RFC 9110, 7.8), but ends a parser: it is read without.

        Java's client asks for HTTP/2 so in its first request, whose body follows all the same.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as wish:
                fields = "".join(f"{name}: {text}\r\n" for name, text in self._headers.items() if name != "upgrade")
                method, version = self._parser.get_method().decode("latin-1"), self._parser.get_http_version()
                head = f"{method} {self._url.decode('latin-1')} HTTP/{version}\r\n{fields}\r\n".encode("latin-1")
                if method == "CONNECT":
                    raise httptools.HttpParserError("this is no proxy") from None
                data, self._parser = head + data[wish.args[0] :], httptools.HttpRequestParser(self)
            else:
                return

    def eof_received(self) -> bool:
        """A client that has shut its sending side still gets the answers to what it has asked."""
        self._ended = True
        return self._busy

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; nobody waits for its answer."""
        self.gate.connections.pop(self, None)
        self._keep(0, 0)
        self._waiting.clear()
        if self.asked is not None:
            self.asked.over = True

    def pause_writing(self) -> None:
        """The client does not read: what waits for it counts as held, for a while."""
        self._keep(self.received, self._transport.get_write_buffer_size())
        self.deadline = time.monotonic() + self.gate.limits.send

    def resume_writing(self) -> None:
        """It reads again."""
        self._keep(self.received, 0)
        self._next()

    # httptools

    def on_message_begin(self) -> None:
        """A new request."""
        self._url, self._headers = b"", {}

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; those that come twice are joined, as RFC 9110 says. What comes after the body means nothing."""
        if self._request is not None:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is there: refuse what need not be read, else let the client send its body."""
        self._head = 0
        if self._parser.should_upgrade():
            return  # it comes again, without that
        method = self._parser.get_method().decode("latin-1")
        path = self._url.partition(b"?")[0].decode("latin-1")
        if path.startswith(("http://", "https://")):
            path = "/" + path.partition("://")[2].partition("/")[2]
        keep = self._parser.should_keep_alive()
        self._request = request = HttpRequest(method, path, self._headers, keep, self._parser.get_http_version())
        if not self._busy:
            self.deadline = self.heard + self.gate.limits.receive
        if len(self._url) > 1 << 13:
            request.refused = (414, "text/plain", b"URI Too Long", ())
        else:
            request.refused = self.gate.admit(request)
        self._expects = self._headers.get("expect", "").lower() == "100-continue" and request.version != "1.0"
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        """Let a client that waits with its body send it, or hear why not; the answer before goes first."""
        request, expects, self._expects = self._request, self._expects, False
        if request is None or not expects:
            return
        if request.refused is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:  # the body will not come, or need not
            request.keep_alive, self._request = False, None
            self._waiting.append(request)
            self._next()

    def on_body(self, part: bytes) -> None:
        """A part of the body; that of a refused request is passed over."""
        self._head = 0
        self._expects = False  # it did not wait
        request = self._request
        if request is None:
            return
        request.size += len(part)
        if request.refused is None and request.size > self.gate.limits.body:
            request.refused = self.gate.admit(request)
            request.parts.clear()
            self._keep(0, self.unread)
        if request.refused is not None:
            if request.size > 4 * self.gate.limits.body:
                self.abort()  # it goes on and on
            return
        request.parts.append(part)
        self._keep(self.received + len(part) + PART_BYTES, self.unread)

    def on_message_complete(self) -> None:
        """The request is whole: answer it, after those before it."""
        self._head = 0
        request, self._request = self._request, None
        if request is None or self._transport.is_closing():
            return
        self._keep(0, self.unread)
        self._waiting.append(request)
        if self._busy:
            self._transport.pause_reading()
        else:
            self._next()

    # Answers

    def respond(
        self, status: int, media: str, body: bytes, headers: str = "", *, request: HttpRequest, close: bool = False
    ) -> None:
        """Send the answer to the request that waits. headers: whole lines, each with its CRLF."""
        if self._transport.is_closing():
            return
        close = close or self.gate.draining or not request.keep_alive
        close = close or ((self._ended or self._last) and not self._waiting and self._malformed is None)
        media = "text/plain; charset=utf-8" if media == "text/plain" else media
        head = (
            f"{_status_line(status)}date: {self.gate.date()}\r\n{headers}content-length: {len(body)}\r\n"
            f"content-type: {media}\r\n{_connection_line(request, close)}\r\n"
        ).encode("latin-1", "replace")
        if request.method == "HEAD":
            body = b""
        if len(body) < 1 << 16:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self.asked = None
        self._busy = False
        if close:
            self.close()
        else:
            self._next()

    def refuse(self, status: int, text: str) -> None:
        """Answer what is wrong with the client's bytes, if nothing else is being answered, and close."""
        self._last = True
        self._request = None
        if self._busy or self._transport.is_closing():
            self.abort()
            return
        body = text.encode()
        self._transport.write(
            f"{_status_line(status)}content-length: {len(body)}\r\ncontent-type: text/plain\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        self.close()

    def expire(self) -> None:
        """Time is up."""
        if self._request is not None or self._head:
            self.refuse(408, "The request did not arrive in time")
        else:
            self.abort()

    def close(self) -> None:
        """Close once what is written was sent."""
        self._keep(0, self._transport.get_write_buffer_size())
        self._waiting.clear()
        self._last = True
        self.deadline = time.monotonic() + self.gate.limits.send
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._keep(0, 0)
        self._transport.abort()

    def _next(self) -> None:
        """Answer the next request that waits; without one, wait for it."""
        if self._in_next:
            return  # an answer that came at once: the loop below goes on
        self._in_next = True
        while self._waiting and not self._busy and not self.unread:
            request = self._waiting.popleft()
            self._busy = True
            self.deadline = None
            self.gate.handle(request, self)
        self._in_next = False
        if self._busy or self.unread or self._transport.is_closing():
            return
        if self._malformed is not None:
            self.refuse(400, self._malformed)
            return
        self._go_on()
        if self._transport.is_closing():
            return
        limits = self.gate.limits
        self.deadline = time.monotonic() + (limits.keep_alive if self._request is None else limits.receive)
        if not self._transport.is_reading():
            self._transport.resume_reading()

    def _keep(self, received: int, unread: int) -> None:
        """Count what is kept for this client, and make room where that makes all together too much."""
        more = received + unread - self.holding
        self.gate.held += more
        self.received, self.unread = received, unread
        if more > 0 and self.gate.held > self.gate.limits.held:
            self.gate.relieve(self)


def _connection_line(request: HttpRequest, close: bool) -> str:
    """What a client has to be told: HTTP/1.0 closes unless it is told otherwise, 1.1 does not."""
    if close:
        return "connection: close\r\n"
    return "connection: keep-alive\r\n" if request.version == "1.0" else ""


_LINES: dict[int, str] = {}


def _status_line(status: int) -> str:
    line = _LINES.get(status)
    if line is None:
        with contextlib.suppress(ValueError):
            line = HTTPStatus(status).phrase
        line = _LINES[status] = f"HTTP/1.1 {status} {line or 'Unknown'}\r\n"
    return line
