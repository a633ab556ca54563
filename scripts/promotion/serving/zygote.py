"""Imports the libraries once and forks a worker for every version; started by nursery.py, without credentials.

Run as a file: `python -I zygote.py DESCRIPTOR`, as the first of a session. On that socket it gets one byte and the
worker's end of a socket pair for every worker (further ends are for those that this worker forks once it has loaded),
answers with the process id, or why there is none, and tells when a worker has ended: it is the parent of all of them.
When the server is gone it ends what is left.
"""

import contextlib
import errno
import gc
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
MOST = 64  # sockets at a time: a worker without one of them is not forked, and loads by itself


def main(descriptor: int) -> None:
    """Fork on request until the other side is gone."""
    sys.path.insert(0, str(SCRIPTS))
    from promotion.serving import siblings, worker

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
    adopts = siblings.adopt_orphans()
    _tell(control, {"ready": os.getpid()})
    while True:
        ready = select.select([control.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _reap(control)
        if control.fileno() in ready:
            data, given, _, _ = socket.recv_fds(control, 1, MOST)
            if not data:
                break
            try:
                child, fact = os.fork(), "started"
            except OSError as error:  # no room for another process
                child, fact = error.errno or errno.EAGAIN, "refused"
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                os.close(woken)
                os.close(wake)
                for descriptor in given[1:] if not adopts else ():
                    os.close(descriptor)
                worker.begin(given[0], given[1:] if adopts else ())
            for descriptor in given:
                os.close(descriptor)
            _tell(control, {fact: child})
    os.killpg(0, signal.SIGKILL)


def _tell(control: socket.socket, fact: dict[str, int]) -> None:
    with contextlib.suppress(OSError):  # the loop sees that the other side is gone
        control.sendall(json.dumps(fact).encode() + b"\n")


def _reap(control: socket.socket) -> None:
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if child == 0:
            return
        _tell(control, {"ended": child, "code": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main(int(sys.argv[1]))
