"""The server's hand on the process that keeps the log: what does not fit into its ear is dropped and counted."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.sandbox.run import clean_environment
from promotion.serving.backoff import backoff
from promotion.serving.events import event
from promotion.serving.frames import Reader, frame
from promotion.serving.shadow import Pair

SCRIBE = Path(__file__).with_name("scribe.py")
MOST_EAR = 16_000_000  # bytes that may wait for the process
MOST_BODY = 1_000_000
RESTART_SECONDS, LONGEST_RESTART = 1.0, 60.0


class Logbook(asyncio.Protocol):
    """Sends what was asked and answered to scribe.py, which writes Parquet below `folder`, `most` bytes in all."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder.absolute()
        self.most = most
        self.dropped = self.written = 0
        self.problem: str | None = None
        self.writable()
        self._transport: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = Reader()
        self._failures = 0
        self._closing = False
        self._lost: asyncio.Event | None = None

    def writable(self) -> None:
        """Raise PromotionError where nothing can be written."""
        probe = self.folder / ".probe"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or error
            raise PromotionError(f"cannot write into {self.folder} ({reason}); choose another --log") from None

    async def start(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(SCRIBE), str(theirs.fileno()), str(self.folder), str(self.most)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=clean_environment(str(self.folder)),
                start_new_session=True,
            )
        self._reader = Reader()
        self._lost = asyncio.Event()
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)

    async def close(self, seconds: float) -> None:
        """Let the process write what it has, for at most `seconds`."""
        self._closing = True
        transport, process = self._transport, self._process
        if transport is None or process is None or self._lost is None:
            return
        if transport.can_write_eof():
            transport.write_eof()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), seconds)
        transport.abort()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        process.kill()
        process.wait()

    def keep(self, model: str, pairs: list[Pair]) -> None:
        """Hand over what was asked and answered, as far as there is room."""
        fits = [pair for pair in pairs if len(pair[0].body) <= MOST_BODY]
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > MOST_EAR:
            fits = []
        self.dropped += len(pairs) - len(fits)
        if not fits:
            return
        entries, bodies = [], []
        for request, version, answer in fits:
            key = None if request.key is None else request.key[:200]
            entries.append((request.at, key, request.content_type, request.version, version, answer is not None))
            bodies += [request.body, request.answer, answer or b""]
        transport.writelines(frame({"model": model, "entries": entries}, bodies))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what the process says about itself."""
        for meta, _ in self._reader.feed(data):
            self.written += meta.get("written", 0)
            self.dropped += meta.get("dropped", 0)
            self._say(meta.get("problem"))

    def connection_lost(self, error: Exception | None) -> None:
        """Start the process again, unless the server ends."""
        self._transport = None
        if self._lost is not None:
            self._lost.set()
        if not self._closing:
            self._failures += 1
            self._say("the process that writes the log died")
            asyncio.get_running_loop().create_task(self._again())

    def _say(self, problem: str | None) -> None:
        """Note what is the matter, and say so once."""
        if problem != self.problem:
            self.problem = problem
            event("log", text=problem or "the log is written again", folder=self.folder)

    async def _again(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        while True:
            await asyncio.sleep(backoff(self._failures, RESTART_SECONDS, cap=LONGEST_RESTART))
            if self._closing:
                return
            try:
                await self.start()
            except OSError as error:  # no room for a process; the next try comes
                self._failures += 1
                self._say(f"the process that writes the log cannot be started ({error.strerror or error})")
            else:
                self._say(None)
                return

    def health(self) -> dict[str, Any]:
        """What /health says about it."""
        return {
            "folder": str(self.folder),
            "written": self.written,
            "dropped": self.dropped,
            "reason": self.problem,
        }
