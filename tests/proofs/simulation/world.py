"""A synthetic test week with the fraud data's shape, in which the truth is known.

About 68,000 payments of 4,900 customers at 9,900 terminals, 0.8% of them fraud, in bursts: compromised
terminals (every payment there), stolen cards (a third of the card's payments, five times the amount) and
single large amounts. Two models find frauds and raise false alarms with luck of their own per
terminal and per card, drawn alike for both: neither is better, so every true difference is 0, and
`edge` makes the candidate better by a known step. Payments that are neither fraud nor flagged have sums
of zero, which change nothing, so they are not made.
"""

from dataclasses import dataclass

import numpy as np

CUSTOMERS, TERMINALS, ROWS, DAYS = 4_900, 9_900, 68_000, 7
REVIEW = 15.0


@dataclass(frozen=True)
class Week:
    """(n,) arrays of the payments that matter. flagged: (n, 2) decisions of champion and candidate.

    burst: the compromised terminal, stolen card or odd customer that a payment belongs to, as one number.
    """

    customer: np.ndarray
    terminal: np.ndarray
    amount: np.ndarray
    fraud: np.ndarray
    flagged: np.ndarray
    burst: np.ndarray
    day: np.ndarray

    def sums(self) -> np.ndarray:
        """(n, 8): tp, fp, fn and dollars of the champion, then of the candidate."""
        columns = []
        for side in (0, 1):
            hit = self.flagged[:, side]
            money = np.where(self.fraud & hit, self.amount, 0.0) - REVIEW * hit
            columns += [self.fraud & hit, ~self.fraud & hit, self.fraud & ~hit, money]
        return np.stack(columns, axis=1).astype(np.float64)


def _chance(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _luck(rng: np.random.Generator, groups: int, shared: float, own: float) -> np.ndarray:
    """(groups, 2): each model's luck with a cluster: a part that both have, and a part of its own."""
    return shared * rng.standard_normal((groups, 1)) + own * rng.standard_normal((groups, 2))


def _flags(rng: np.random.Generator, chance: np.ndarray, agree: float = 0.7) -> np.ndarray:
    """(n, 2) decisions with the chances given; both models see the same noise in a share `agree` of the rows."""
    noise = rng.random(chance.shape)
    noise[:, 1] = np.where(rng.random(len(chance)) < agree, noise[:, 0], noise[:, 1])
    return noise < chance


def week(rng: np.random.Generator, *, edge: float = 0.0, weeks: float = 1.0) -> Week:
    """Draw one test window of `weeks` weeks. edge: added to the candidate's log odds of finding a fraud."""
    parts = [_terminals(rng, edge, weeks), _cards(rng, edge, weeks), _large(rng, edge, weeks), _alarms(rng, weeks)]
    customer, terminal, amount, fraud, flagged, burst = (np.concatenate(column) for column in zip(*parts, strict=True))
    keep = fraud | flagged.any(axis=1)
    day = rng.integers(0, round(DAYS * weeks), len(keep))
    return Week(
        customer[keep], terminal[keep], np.round(amount[keep], 2), fraud[keep], flagged[keep], burst[keep], day[keep]
    )


def _usual(rng: np.random.Generator, n: int) -> np.ndarray:
    """Amounts as customers pay them: their own mean between 5 and 100 dollars, half of it as deviation."""
    mean = rng.uniform(5, 100, n)
    return np.maximum(0.5, rng.normal(mean, mean / 2))


Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
FAR = 100_000  # keeps bursts of different kinds apart


def _terminals(rng: np.random.Generator, edge: float, weeks: float) -> Parts:
    """Compromised terminals: all of a terminal's payments of the week, by any customers."""
    groups = rng.poisson(56 * weeks)
    size = rng.poisson(6.9, groups)
    which = np.repeat(np.arange(groups), size)
    n = len(which)
    chance = _chance(0.8 + np.array([0.0, edge]) + _luck(rng, groups, 1.2, 0.7)[which])
    names = rng.choice(TERMINALS, groups)
    customer = rng.integers(0, CUSTOMERS, n)
    return customer, names[which], _usual(rng, n), np.ones(n, bool), _flags(rng, chance), names[which] + FAR


def _cards(rng: np.random.Generator, edge: float, weeks: float) -> Parts:
    """Stolen cards: a third of the card's payments of up to a week, at five times the amount."""
    groups = rng.poisson(35 * weeks)
    size = rng.poisson(rng.gamma(3.0, 1.1, groups))
    which = np.repeat(np.arange(groups), size)
    n = len(which)
    mean = rng.uniform(5, 100, groups)[which]
    amount = 5 * np.maximum(0.5, rng.normal(mean, mean / 2))
    luck = _luck(rng, groups, 1.0, 0.7)[which]
    chance = _chance(0.3 + 0.8 * np.log(amount / 200)[:, None] + np.array([0.0, edge]) + luck)
    names = rng.choice(CUSTOMERS, groups)
    terminal = rng.integers(0, TERMINALS, n)
    return names[which], terminal, amount, np.ones(n, bool), _flags(rng, chance), names[which]


def _large(rng: np.random.Generator, edge: float, weeks: float) -> Parts:
    """Single payments over 220 dollars, nearly always found."""
    n = rng.poisson(37 * weeks)
    chance = np.broadcast_to(_chance(3.0 + np.array([0.0, edge])), (n, 2))
    amount = rng.uniform(220, 260, n)
    customer, terminal = rng.integers(0, CUSTOMERS, n), rng.integers(0, TERMINALS, n)
    return customer, terminal, amount, np.ones(n, bool), _flags(rng, chance), customer


def _alarms(rng: np.random.Generator, weeks: float) -> Parts:
    """False alarms: bursts at terminals that were compromised before and at customers who spend more than usual."""
    found = []
    for groups, mean, limit in ((60, 6.9, TERMINALS), (250, 3.0, CUSTOMERS)):
        groups = rng.poisson(groups * weeks)
        which = np.repeat(np.arange(groups), rng.poisson(mean, groups))
        n = len(which)
        chance = _chance(-1.8 + _luck(rng, groups, 1.0, 0.7)[which])
        names = rng.choice(limit, groups)[which]
        other = rng.integers(0, CUSTOMERS if limit == TERMINALS else TERMINALS, n)
        customer, terminal = (other, names) if limit == TERMINALS else (names, other)
        burst = names + (FAR if limit == TERMINALS else 0)
        found.append((customer, terminal, _usual(rng, n), np.zeros(n, bool), _flags(rng, chance), burst))
    first, second = found
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))  # type: ignore[return-value]
