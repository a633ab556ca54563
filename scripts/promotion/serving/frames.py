"""The messages between server and workers: JSON beside raw bytes, never pickle, for one side runs model code."""

import socket
import struct
from collections.abc import Sequence
from typing import Any

import orjson

HEAD = struct.Struct("!IQ")  # bytes of the JSON, bytes of all bodies
MOST_META = 1 << 26

Message = tuple[dict[str, Any], list[bytes]]


def frame(meta: dict[str, Any], bodies: Sequence[bytes] = ()) -> list[bytes]:
    """Return the pieces of a message to be sent one after the other."""
    text = orjson.dumps({**meta, "sizes": [len(body) for body in bodies]})
    return [HEAD.pack(len(text), sum(map(len, bodies))) + text, *bodies]


def unframe(text: bytes, rest: bytes) -> Message:
    """Return a message from its JSON and its bodies, which `rest` holds in a row."""
    meta = orjson.loads(text)
    bodies, start = [], 0
    for size in meta.pop("sizes"):
        bodies.append(rest[start : start + size])
        start += size
    return meta, bodies


class Reader:
    """Cuts a stream of bytes, as it comes in, into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted: tuple[int, int] | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Take what came in; return the messages that are complete by now. ValueError: it is none of ours."""
        self._buffer += data
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        if self._wanted is None:
            if len(self._buffer) < HEAD.size:
                return None
            self._wanted = HEAD.unpack_from(self._buffer)
            if self._wanted[0] > MOST_META:
                raise ValueError("a message without end")
        meta, rest = self._wanted
        end = HEAD.size + meta + rest
        if len(self._buffer) < end:
            return None
        text = bytes(self._buffer[HEAD.size : HEAD.size + meta])
        bodies = bytes(self._buffer[HEAD.size + meta : end])
        del self._buffer[:end]
        self._wanted = None
        return unframe(text, bodies)


def receive(connection: socket.socket) -> Message | None:
    """Wait for the next message on a blocking socket; None when the other side is gone."""
    head = _exactly(connection, HEAD.size)
    if head is None:
        return None
    meta, rest = HEAD.unpack(head)
    text, bodies = _exactly(connection, meta), _exactly(connection, rest)
    return None if text is None or bodies is None else unframe(text, bodies)


def send(connection: socket.socket, meta: dict[str, Any], bodies: Sequence[bytes] = ()) -> None:
    """Send a message on a blocking socket."""
    pieces = frame(meta, bodies)
    connection.sendall(pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    if size <= 1 << 16:
        data = connection.recv(size) if size else b""
        if len(data) == size:
            return data
        if not data:
            return None
    else:
        data = b""
    buffer = bytearray(size)
    buffer[: len(data)] = data
    view, done = memoryview(buffer), len(data)
    while done < size:
        got = connection.recv_into(view[done:])
        if got == 0:
            return None
        done += got
    return bytes(buffer)
