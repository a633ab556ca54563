"""The server's hold on the zygote: workers are forked there, away from the server's threads and credentials."""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from promotion.sandbox.run import clean_environment
from promotion.serving.events import event
from promotion.serving.zygote import MOST

log = logging.getLogger("serve")

ZYGOTE = Path(__file__).with_name("zygote.py")
# One thread each: a second makes one row slower, and there are as many workers as cores are wanted.
# The limit is for libraries that ask OpenMP for more than its number (LightGBM, 2.8 times slower with two).
THREADS = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Nursery:
    """Forks workers by way of one zygote, which is started when it is first needed and again when it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._waiting: deque[Future[int]] = deque()
        self._watchers: dict[int, Callable[[int], None]] = {}
        self._home = tempfile.TemporaryDirectory(prefix="serve-home-", ignore_cleanup_errors=True)

    def start(self) -> None:
        """Start the zygote if it does not run, without waiting until it is ready."""
        with self._lock:
            self._started()

    def spawn(self, ends: Sequence[socket.socket], ended: Callable[[int], None]) -> "Future[int]":
        """Fork a worker with its end of a socket pair; return its process id to come.

        ends: the first is its own, further ones are for workers that it forks in turn, each of which is to be adopted.
        ended: called from another thread with the exit code once the process is gone.
        """
        future: Future[int] = Future()
        future.ended = ended  # type: ignore[attr-defined]
        with self._lock:
            control = self._started()
            self._waiting.append(future)
            try:
                socket.send_fds(control, [b"w"], [end.fileno() for end in ends[:MOST]])
            except OSError:
                self._waiting.remove(future)
                future.set_exception(ConnectionError("the zygote is gone"))
        return future

    def adopt(self, pid: int, ended: Callable[[int], None]) -> None:
        """Watch over a worker that another one forked. ValueError: it is no child of the zygote, or a known one."""
        with self._lock:
            if not self._is_parent(pid) or pid in self._watchers:
                raise ValueError(f"process {pid} is no worker")
            self._watchers[pid] = ended

    def holds(self, pid: int | None) -> bool:
        """Whether the zygote is a worker's parent; no where the system does not tell."""
        with self._lock:
            return pid is not None and self._is_parent(pid)

    def _is_parent(self, pid: int) -> bool:
        return self._process is not None and self._process.pid == _parent(pid)

    def close(self) -> None:
        """End the zygote, and with it every worker that is left; it may still be importing, which takes seconds."""
        with self._lock:
            process, control = self._process, self._control
            self._process = self._control = None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
            control.close()
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, where it has ended
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # hundreds of workers give back memory for longer
                process.wait(10)
        self._home.cleanup()

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        environment = clean_environment(self._home.name) | dict.fromkeys(THREADS, "1")
        environment["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"  # as MLflow's own server says to the model
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(ZYGOTE), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a model prints goes to the log
                env=environment,
                start_new_session=True,  # Ctrl-C is for the server, which drains first
            )
        self._control = ours
        listener = threading.Thread(target=self._listen, args=(self._process, ours), name="nursery", daemon=True)
        try:
            listener.start()
        except RuntimeError as error:  # no room for a thread, and without it nothing is heard from the zygote
            self._control = None
            ours.close()  # which ends it
            raise OSError(error) from None
        return ours

    def _listen(self, process: "subprocess.Popen[bytes]", control: socket.socket) -> None:
        """Take the zygote's facts until it is gone; then fail what still waits for it."""
        try:
            with control.makefile("rb") as lines:
                for line in lines:
                    self._fact(json.loads(line))
        except (OSError, ValueError):
            pass
        with self._lock:
            mine = self._control is control or self._control is None
            waiting = list(self._waiting) if mine else []
            if mine:
                self._waiting.clear()
                if self._control is control:
                    self._control = None
                    event("zygote-died", level=logging.ERROR, pid=process.pid)
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(ConnectionError("the zygote is gone"))

    def _fact(self, fact: dict[str, int]) -> None:
        if "started" in fact:
            with self._lock:
                future = self._waiting.popleft() if self._waiting else None
                if future is not None:
                    self._watchers[fact["started"]] = future.ended  # type: ignore[attr-defined]
            if future is not None and future.set_running_or_notify_cancel():
                future.set_result(fact["started"])
        elif "refused" in fact:
            with self._lock:
                future = self._waiting.popleft() if self._waiting else None
            if future is not None and future.set_running_or_notify_cancel():
                future.set_exception(OSError(fact["refused"], os.strerror(fact["refused"])))
        elif "ended" in fact:
            with self._lock:
                watcher = self._watchers.pop(fact["ended"], None)
            if watcher is not None:
                watcher(fact["code"])


def _parent(pid: int) -> int | None:
    """The process that would be told of the end of `pid`; None when there is none."""
    try:
        return int(Path(f"/proc/{pid:d}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None


def cause(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "its connection broke"
    return f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"


def tell(pid: int | None, number: signal.Signals) -> None:
    """Send a worker a signal, if it is there."""
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
