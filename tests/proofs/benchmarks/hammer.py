"""A client that asks as fast as the server answers: raw HTTP over many connections in a process of its own.

`python tests/proofs/benchmarks/hammer.py PORT CLIENTS SECONDS BODY_FILE [PATH]` prints one line of JSON: requests
a second, percentiles in milliseconds, counts by status, a sample of the answers, the versions seen.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the same request again and again."""

    def __init__(self, request: bytes, tally: "Tally") -> None:
        self.request = request
        self.tally = tally
        self.buffer = b""
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take an answer when it is whole, and ask again."""
        self.buffer = self.buffer + data if self.buffer else data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        size = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < size:
            return
        now = time.perf_counter()
        self.tally.take(now - self.began, int(head[9:12]), lower, rest[:size])
        self.buffer = b""
        if now < self.tally.end:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count a connection that ended before its time."""
        if time.perf_counter() < self.tally.end:
            self.tally.lost += 1
        self.tally.open -= 1
        if not self.tally.open and not self.tally.done.done():
            self.tally.done.set_result(None)


class Tally:
    """What was measured."""

    def __init__(self, clients: int, seconds: float) -> None:
        self.times: list[float] = []
        self.statuses: dict[int, int] = {}
        self.versions: dict[str, int] = {}
        self.texts: set[str] = set()
        self.lost = 0
        self.open = clients
        self.end = time.perf_counter() + seconds
        self.done = asyncio.get_running_loop().create_future()

    def take(self, seconds: float, status: int, head: bytes, body: bytes) -> None:
        """Count one answer."""
        self.times.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        version = head.partition(b"x-model-version: ")[2].partition(b"\r\n")[0].decode()
        self.versions[version] = self.versions.get(version, 0) + 1
        if len(self.texts) < 20:
            self.texts.add(body.decode(errors="replace")[:200])


async def hammer(port: int, clients: int, seconds: float, body: bytes, path: str) -> dict[str, Any]:
    """Ask with `clients` connections for `seconds`; return what was measured."""
    fields = f"host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    request = f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body
    tally = Tally(clients, seconds)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(clients):
        await loop.create_connection(lambda: Client(request, tally), "127.0.0.1", port)
    await asyncio.wait_for(tally.done, seconds + 60)
    spent = time.perf_counter() - began
    times = sorted(tally.times)

    def at(share: float) -> float:
        return round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 3) if times else float("nan")

    return {
        "rate": round(len(times) / spent, 1),
        "p50": at(0.5),
        "p99": at(0.99),
        "most": at(1.0),
        "statuses": tally.statuses,
        "versions": tally.versions,
        "lost": tally.lost,
        "texts": sorted(tally.texts),
    }


def measured(port: int, clients: int, seconds: float, body: Path, path: str = "/invocations") -> dict[str, Any]:
    """Run it in a process of its own; return what it measured."""
    command = [sys.executable, __file__, str(port), str(clients), str(seconds), str(body), path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    port, clients, seconds, body, *rest = sys.argv[1:]
    found = asyncio.run(
        hammer(int(port), int(clients), float(seconds), Path(body).read_bytes(), rest[0] if rest else "/invocations")
    )
    print(json.dumps(found))
