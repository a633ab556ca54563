"""What the benchmarks share: time a call, watch its memory, print Markdown rows with ratios from one run."""

import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Seconds by the clock and of processor time, and what the call returned."""

    seconds: float
    processor: float
    result: Any


def timed(function: Callable[[], Any], *, rounds: int = 1) -> Timing:
    """Call `function` `rounds` times and keep the fastest: the machine may be busy."""
    best: Timing | None = None
    for _ in range(rounds):
        clock, processor = time.perf_counter(), time.process_time()
        result = function()
        found = Timing(time.perf_counter() - clock, time.process_time() - processor, result)
        if best is None or found.seconds < best.seconds:
            best = found
    assert best is not None
    return best


class Resident:
    """Megabytes of resident memory: `before` on entry, and the most seen while the block ran in `most`."""

    def __enter__(self) -> "Resident":
        self.before = self.most = resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, resident())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.most = max(self.most, resident())

    @property
    def over(self) -> float:
        """Megabytes over what was there before."""
        return self.most - self.before


def resident() -> float:
    """Megabytes of this process that are resident now (Linux), or the most there ever were (elsewhere)."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


@dataclass(frozen=True)
class Line:
    """One measurement beside another of the same run. ratio: None where `theirs` says why there is none."""

    what: str
    ours: str
    peer: str
    theirs: str
    ratio: float | None = None
    goal: str = ""


def table(lines: Iterable[Line]) -> str:
    """The table that `make bench` prints."""
    cells = [
        [line.what, line.ours, line.peer, line.theirs, "" if line.ratio is None else told(line.ratio), line.goal]
        for line in lines
    ]
    return markdown(["measured", "here", "beside", "there", "ratio", "asked"], cells)


def told(ratio: float) -> str:
    """A ratio with as many digits as it deserves."""
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def end_when_asked() -> None:
    """Let SIGTERM end this process as an exception does, so that what it started is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
