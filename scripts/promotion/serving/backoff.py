"""How long to wait after failures in a row."""

import random
from collections.abc import Callable

LONGEST_WAIT = 60.0


def backoff(
    failures: int, base: float, *, cap: float = LONGEST_WAIT, draw: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after `failures` failures in a row: base doubled each time, at most `cap`, half of it random."""
    longest = min(max(cap, base), base * 2.0 ** min(failures, 30))
    return longest * (0.5 + 0.5 * draw())
