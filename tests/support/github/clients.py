"""Clients of the stand-in whose waits are only counted."""

from collections.abc import Callable
from typing import Any

import pytest
from promotion.errors import PromotionError
from promotion.github.client import GitHub
from promotion.github.http import Patience

from tests.support.github.standin import StandIn

QUICK = Patience(connect=5, read=0.3, attempts=6, deadline=600)


class FakeTime:
    """A clock that only sleep() moves: no test waits."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since 1970, and of the monotonic clock."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Note the wait and move the clock."""
        self.slept.append(seconds)
        self.seconds += seconds


def client_of(github: StandIn, fake_time: FakeTime, token: str = "t-actions", **more: Any) -> GitHub:
    """A client of the stand-in with a fake clock; the default token may do everything."""
    options = {"patience": QUICK, "clock": fake_time.now, "now": fake_time.now, "sleep": fake_time.sleep} | more
    return GitHub(github.url, github.hub.repo, token, **options)


def sentence_of(call: Callable[[], Any]) -> str:
    """The message of the PromotionError that `call` raises; it is one line."""
    with pytest.raises(PromotionError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text
