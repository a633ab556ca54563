"""Workers that are forked from one that has loaded: a version is loaded once, and its memory is shared."""

import contextlib
import ctypes
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TASKS, FILES = Path("/proc/self/task"), Path("/proc/self/fd")
MOMENT = 0.0005
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> bool:
    """Become the parent of what a worker forks and leaves; return whether that is so (Linux)."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def go_on_with_parent_gone() -> None:
    """When its parent dies this process goes on, where it stands still, and sees whether the server is gone too."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def _prctl(option: int, value: int) -> bool:
    try:
        return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def opened() -> set[str]:
    """The descriptors that this process has open; none where the system does not tell."""
    return set(os.listdir(FILES)) if FILES.is_dir() else set()


def alone() -> bool:
    """Whether this process has one thread and no other; no where the system does not tell."""
    return TASKS.is_dir() and len(os.listdir(TASKS)) == 1


def ended(thread: threading.Thread) -> None:
    """Wait until a thread is gone; join() returns a moment before it is."""
    thread.join()
    while (TASKS / str(thread.native_id)).exists():
        time.sleep(MOMENT)


def multiplied(connection: socket.socket, ends: Sequence[socket.socket], before: set[str]) -> socket.socket:
    """Fork a worker for each of the sockets `ends`; return the one that is this process's own, and close the others.

    before: what was `opened` before the model was loaded. A model that runs threads or has opened something since then
    cannot be forked: the server sees the ends closed, and lets each load by itself. The siblings are forked by a fork
    that ends at once: so the zygote becomes their parent, as it is of every worker.
    """
    mine = connection
    if ends and opened() == before and alone():
        gc.freeze()  # what is shared is not touched
        with contextlib.suppress(OSError):  # no room for another process
            mine = _fork(ends) or connection
    for one in (connection, *ends):
        if one is not mine:
            one.close()
    return mine


def _fork(ends: Sequence[socket.socket]) -> socket.socket | None:
    """Return in each of the new processes, with its end, and here, with None, once they were forked."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return None
    between = os.getpid()
    try:
        for end in ends:
            if not os.fork():
                while os.getppid() == between:
                    time.sleep(MOMENT)
                go_on_with_parent_gone()
                return end
    finally:
        if os.getpid() == between:
            os.nice(19)  # to give back its memory takes as long as a request, and whatever serves goes first
            os._exit(0)
    return None
