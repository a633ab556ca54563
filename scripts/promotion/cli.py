"""The command line that every verb shares: the one handler of errors, a deadline, output that Actions never obeys."""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from promotion.errors import BAD_INPUT, PromotionError
from promotion.text.escape import log_text


def handled(main: Callable[..., int]) -> Callable[..., int]:
    """Turn an expected error of a verb's `main` into one line on stderr and exit code 2; a bug stays a traceback."""

    @functools.wraps(main)
    def wrapper(argv: list[str] | None = None) -> int:
        with _harmless_output():
            return run(argv)

    def run(argv: list[str] | None) -> int:
        try:
            return main(argv)
        except PromotionError as error:
            print(f"error: {error}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            sys.stderr.close()
            return 141

    return wrapper


class _Harmless:
    """A stream whose lines the Actions runner shows and never obeys: model code chooses some of their words."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self._part = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Pass whole lines on; the rest waits for its end or for flush."""
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._stream.write(log_text(line) + "\n")  # type: ignore[attr-defined]
        return len(text)

    def flush(self) -> None:
        """Pass on what waits."""
        if self._part:
            self._stream.write(log_text(self._part))  # type: ignore[attr-defined]
            self._part = ""
        self._stream.flush()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _harmless_output() -> Iterator[None]:
    """In Actions, keep what a verb prints from being a workflow command."""
    if not os.environ.get("GITHUB_ACTIONS"):
        yield
        return
    with (
        contextlib.redirect_stdout(_Harmless(sys.stdout)) as out,
        contextlib.redirect_stderr(_Harmless(sys.stderr)) as err,
    ):
        try:
            yield
        finally:
            out.flush()
            err.flush()


class _Overdue(BaseException):
    """Not an Exception, so that no library on the way takes it for a failure of its own and goes on."""


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise PromotionError once the body took longer than `seconds` (0: no limit).

    Works where signals do (the main thread, not Windows); elsewhere each request's own timeout holds.
    """
    usable = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if not seconds or not usable:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _Overdue

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _Overdue:
        raise PromotionError(
            f"{what} took longer than {seconds:g} s and was stopped; run it again: it goes on from where things are"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
