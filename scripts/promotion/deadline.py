"""A total deadline for a command, whatever it waits for: a slow registry, its retries, a `retry-after` of an hour."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from promotion.errors import PromotionError


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
