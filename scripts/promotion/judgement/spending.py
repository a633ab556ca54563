"""How one probability of a false alarm is spent over several looks at data that grow; pure.

After j of K looks, j / K of it may have been used: the spending function of Lan and DeMets (1983) that Kim and
DeMets (1987) write as alpha * t. tests/proofs/simulation/watch.md has it beside others: an even split without
what the earlier looks saw, O'Brien and Fleming's, and a confidence sequence.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from promotion.frozen import finite

POINTS = 301  # of the density between two looks; twice as many change no digit that is kept
REACH = 6.0  # standard deviations below 0 at which the density ends
DIGITS = 6
NORMAL = NormalDist()
Spending = Callable[[float], float]  # share of the looks -> probability spent until then


@lru_cache(maxsize=8)
def nominal_tails(false_alarm: float, looks: int) -> tuple[float, ...]:
    """Return for each look the tail at which a claim about all data so far is to be judged.

    A claim that is never true is then made in any of the looks with probability `false_alarm`, when each look adds
    as much data as the others, independent of it. Where the looks' data depend on each other positively, as those
    of a burst that lasts for weeks do, it is less (Slepian 1962).
    """
    return spent(lambda share: false_alarm * share, looks)


def spent(spending: Spending, looks: int) -> tuple[float, ...]:
    """Return the tails that spend probability as `spending` says, rounded to DIGITS digits.

    The sum of what K looks add is a walk of K normal steps; its density below the boundaries so far is carried from
    look to look (Armitage, McPherson and Rowe 1969).
    """
    at = np.zeros(1)
    mass = np.ones(1)  # probability at each point
    found: list[float] = []
    for look in range(1, looks + 1):
        share = spending(look / looks) - spending((look - 1) / looks)
        bound = _boundary(at, mass, share)
        tail = 1 - NORMAL.cdf(bound / math.sqrt(look))
        found.append(finite(tail, DIGITS) or 0.0)
        grid = np.linspace(-REACH * math.sqrt(look), bound, POINTS)
        weights = np.full(POINTS, grid[1] - grid[0])
        weights[[0, -1]] /= 2
        steps = np.exp(-((grid[:, None] - at) ** 2) / 2) / math.sqrt(2 * math.pi)
        at, mass = grid, (steps @ mass) * weights
    return tuple(found)


def _boundary(at: np.ndarray, mass: np.ndarray, share: float) -> float:
    """What the walk, now at `at` with probabilities `mass`, exceeds after one step of deviation 1 with `share`."""
    places, masses = at.tolist(), mass.tolist()
    low, high = -REACH, float(at[-1]) + 2 * REACH

    def beyond(bound: float) -> float:
        return math.fsum(p * math.erfc((bound - x) / math.sqrt(2)) / 2 for x, p in zip(places, masses, strict=True))

    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > share else (low, middle)
    return high
