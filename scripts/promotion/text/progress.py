"""How far a long step is: a bar with the time left in a terminal, elsewhere a line, and one a minute where it can."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

LOOK_SECONDS = 0.2
LINE_SECONDS = 60.0
Reached = Callable[[float, float], None]  # so much is done, of so much
BYTES = "B"  # the unit of a download
NEVER_DONE = 0.99  # how far a clock alone may bring a bar
WIDEST, SHORTEST, BAR = 120, 8, 24


class Step:
    """A step that is under way; in a terminal a bar shows it, elsewhere a line from time to time."""

    def __init__(
        self, what: str = "", total: float | None = None, unit: str = "", bar: Any = None, *, told: bool = False
    ) -> None:
        """told: where there is no bar, say now and then how far it is."""
        self._what, self._total, self._unit, self._bar, self._lines = what, total, unit, bar, told
        self.done, self._pass = 0.0, 1
        self.started = self._begun = self._told = time.monotonic()

    def advance(self, amount: float = 1) -> None:
        """So much more is done."""
        self._now(self.done + amount)

    def reached(self, done: float, total: float) -> None:
        """So much of `total` is done by now, for a step that learns only on its way how much there is.

        Where it is less than before, another pass over the same has begun.
        """
        if done < self.done:
            self.done, self._pass, self._begun = 0.0, self._pass + 1, time.monotonic()
            if self._bar is not None:
                self._bar.reset()
        if self._bar is not None:
            self._bar.total = total
            self._bar.desc, self._bar.bar_format = _form(self._name, total, self._unit)
        self._total = total
        self._now(done)

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)

    @property
    def _name(self) -> str:
        return self._what if self._pass == 1 else f"{self._what}, pass {self._pass}"

    def _now(self, done: float) -> None:
        before, self.done = self.done, done
        if self._bar is not None:
            self._bar.update(done - before)
        elif self._lines and self._total and 0 < done < self._total and time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            sys.stdout.write(f"{self._line()}\n")
            sys.stdout.flush()

    def _line(self) -> str:
        assert self._total is not None
        speed = self.done / max(time.monotonic() - self._begun, 1e-9)
        fast = f", {speed:,.0f} {self._unit}/s" if self._unit == "rows" else ""
        minutes, seconds = divmod(round((self._total - self.done) / speed), 60)
        return f"{self._name}: {self.done:,.0f} of {self._total:,.0f} {self._unit}{fast}, {minutes}:{seconds:02} left"


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
    step = Step(what, total, unit, bar, told=told)
    if bar is None and told:
        print(f"{what} ...", flush=True)
    if bar is None and (done is None or not told):
        yield step
        return
    over = threading.Event()
    if done is None and seconds is not None:
        done = _clock(step, seconds)
    follower = threading.Thread(target=_follow, args=(step, bar, done, over), daemon=True)
    follower.start()
    try:
        yield step
    finally:
        over.set()
        follower.join()
        if bar is not None:
            bar.close()


def _bar(what: str, total: float | None, unit: str) -> Any:
    """A bar on stderr, or None where nobody watches or the library is not installed (the promote job's lock)."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    desc, form = _form(what, total, unit)
    return tqdm(
        total=total,
        desc=desc,
        unit=unit if unit == BYTES else f" {unit}",
        unit_scale=True,
        bar_format=form,
        leave=False,
        ncols=_width(),
        nrows=shutil.get_terminal_size().lines,
        file=sys.stderr,
    )


def _width() -> int:
    """Of a line; some terminals say that they have no columns: then these are 80."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def _form(what: str, total: float | None, unit: str) -> tuple[str, str]:
    """What is under way, cut where there is no room for it, and the form of its line for tqdm."""
    if total is None:
        return what, "{desc} {elapsed}"
    amount = "{n:,.0f}/{total:,.0f} " + unit if unit else "{percentage:.0f}%"
    if unit == BYTES:
        amount = "{n_fmt}B/{total_fmt}B"
    speed = ", {rate_fmt}" if unit in ("rows", BYTES) else ""
    rest = "| " + amount + speed + ", {elapsed} gone, {remaining} left"
    longest = {"n": total, "total": total, "percentage": 100, "n_fmt": "99.9M", "total_fmt": "99.9M"}
    room = _width() - len(rest.format(**longest, rate_fmt="99.9M rows/s", elapsed="00:00", remaining="00:00")) - 2
    bar = max(min(room - len(what), BAR), min(SHORTEST, room // 4), 1)
    cut = what if len(what) <= room - bar else what[: max(room - bar - 1, 1)] + "…"
    return cut, "{desc} |{bar:" + str(bar) + "}" + rest


def _follow(step: Step, bar: Any, done: Callable[[], float] | None, over: threading.Event) -> None:
    """Keep the bar and its clock going, or the lines of a log, while the body works."""
    while not over.wait(LOOK_SECONDS):
        if done is not None:
            step.advance(done() - step.done)
        if bar is not None:
            bar.refresh()


def _clock(step: Step, seconds: float) -> Callable[[], float]:
    return lambda: min(time.monotonic() - step.started, NEVER_DONE * seconds)
