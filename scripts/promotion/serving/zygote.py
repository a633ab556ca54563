"""Imports the libraries once and forks a worker for every version; started by nursery.py, without credentials.

Run as a file: `python -I zygote.py DESCRIPTOR`. On that socket it gets one byte and the worker's end of a
socket pair for every worker, answers with the process id, and tells when a worker has ended. When the
server is gone it ends what is left.
"""

import array
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]


def main(descriptor: int) -> None:
    """Fork on request until the other side is gone."""
    sys.path.insert(0, str(SCRIPTS))
    from promotion.serving import worker

    worker.preload()
    worker.forget(SCRIPTS)
    gc.freeze()  # what is shared with the workers is not touched by them
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    children: set[int] = set()
    _tell(control, {"ready": os.getpid()})
    while True:
        ready = select.select([control.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _reap(control, children)
        if control.fileno() in ready:
            data, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
            if not data:
                break
            given = array.array("i")
            given.frombytes(ancillary[0][2])
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                os.close(woken)
                os.close(wake)
                worker.begin(given[0])
            os.close(given[0])
            children.add(child)
            _tell(control, {"started": child})
    for child in children:
        os.kill(child, signal.SIGKILL)


def _tell(control: socket.socket, fact: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # the loop sees that the other side is gone
        control.sendall(json.dumps(fact).encode() + b"\n")


def _reap(control: socket.socket, children: set[int]) -> None:
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        children.discard(child)
        _tell(control, {"ended": child, "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main(int(sys.argv[1]))
