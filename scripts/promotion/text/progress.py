"""How far a long step is: a bar with the time left in a terminal, one line elsewhere."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

LOOK_SECONDS = 0.2
Reached = Callable[[float, float], None]  # so much is done, of so much
BYTES = "B"  # the unit of a download
NEVER_DONE = 0.99  # how far a clock alone may bring a bar


class Step:
    """A step that is under way; in a terminal a bar shows it."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self.started = time.monotonic()

    def advance(self, amount: float = 1) -> None:
        """So much more is done."""
        if self._bar is not None:
            self._bar.update(amount)

    def reached(self, done: float, total: float) -> None:
        """So much of `total` is done by now; for a step that learns only on its way how much there is."""
        if self._bar is not None:
            self._bar.total = total
            self._bar.bar_format = _form(total, self._bar.unit)
            self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)


@contextlib.contextmanager
def progress(
    what: str,
    total: float | None = None,
    unit: str = "",
    *,
    done: Callable[[], float] | None = None,
    seconds: float | None = None,
    told: bool = True,
) -> Iterator[Step]:
    """Show that `what` is under way: in a terminal how far it is and how long it will take, else one line.

    total: how many `unit`s there are; the body calls `advance`, or `done()` says how many are done, asked
    several times a second from a thread. seconds: for a step that cannot say how far it is, how long it
    took before. With neither, the bar shows the time gone. told: False where the body has lines of its own.
    """
    bar = _bar(what, total or seconds, unit)
    if bar is None:
        if told:
            print(f"{what} ...", flush=True)
        yield Step()
        return
    step = Step(bar)
    over = threading.Event()
    if done is None and seconds is not None:
        done = _clock(step, seconds)
    follower = threading.Thread(target=_follow, args=(bar, done, over), daemon=True)
    follower.start()
    try:
        yield step
    finally:
        over.set()
        follower.join()
        bar.close()


def _bar(what: str, total: float | None, unit: str) -> Any:
    """A bar on stderr, or None where nobody watches or the library is not installed (the promote job's lock)."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    screen = shutil.get_terminal_size()  # some terminals say that they have no columns: then these are 80 by 24
    width, height = min(screen.columns, 110), screen.lines
    form = _form(total, unit)
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        unit_scale=True,
        bar_format=form,
        leave=False,
        ncols=width,
        nrows=height,
        file=sys.stderr,
    )


def _form(total: float | None, unit: str) -> str:
    if total is None:
        return "{desc} {elapsed}"
    amount = "{n:,.0f}/{total:,.0f} " + unit if unit else "{percentage:.0f}%"
    if unit == BYTES:
        amount = "{n_fmt}B/{total_fmt}B"
    speed = ", {rate_fmt}" if unit in ("rows", BYTES) else ""
    return "{desc} |{bar:24}| " + amount + speed + ", {elapsed} gone, {remaining} left"


def _follow(bar: Any, done: Callable[[], float] | None, over: threading.Event) -> None:
    """Keep the bar and its clock going while the body works."""
    while not over.wait(LOOK_SECONDS):
        if done is not None:
            bar.update(done() - bar.n)
        bar.refresh()


def _clock(step: Step, seconds: float) -> Callable[[], float]:
    return lambda: min(time.monotonic() - step.started, NEVER_DONE * seconds)
