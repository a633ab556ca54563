"""Whether the clusters of a test set can carry a claim: skew, what is at stake, and what was not seen; pure.

An interval from resampling knows only what happened. Where few and large losses pull one way, the windows
in which they happen to be missing show both a better value and a shorter interval, so "better" is claimed
far more often than declared (no interval is free of this without a bound on the losses: Bahadur and Savage
1956). Here there is a bound: a candidate can lose in a cluster at most what the champion catches there. So a
claim is checked against

- the skew of the differences that were seen: clusters > 25 * skew^2 (Cochran 1977, section 2.15);
- the skew to be expected from what is at stake, when losses of stakes are as frequent as they were seen, and
  once more (the one event more of Fay and Feuer 1997 and of the rule of succession), the largest stakes first;
- where that is too much, a bound that needs no normality: Clopper and Pearson's for the share of the stakes
  that is lost (for shares between 0 and 1 as Gaffke 2005 and Learned-Miller and Thomas 2019 have it; auditors
  know the kind as Stringer's bound). With none lost among m it is the rule of three: 1 - tail^(1/m)
  (Hanley and Lippman-Hand 1983).

Sugden, Smith and Jones (2000) ask for 28 clusters more than Cochran where the deviation is estimated; the sums
of squares here are about 0 and not about the mean, which errs on the safe side, so the 28 are left out.
tests/proofs/simulation/table.md shows each guard's error and power in every world, and without it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from promotion.judgement.beta import beta_quantile

COCHRAN = 25.0
LIMIT = 1 / math.sqrt(COCHRAN)  # clusters > 25 skew^2 says: the sum over clusters has a skew below 0.2
KIND = 10  # how many of the largest stakes make a kind of loss; fewer are lost or kept by luck (table.md)
PREFIXES = 10  # how many sets of largest stakes are tried
SAME = 1e-24  # of the sum of squares: clusters that differ by rounding only are all alike
LARGEST = 1000  # beyond so many of the largest stakes nothing is rare


@dataclass(frozen=True)
class Influences:
    """One way of resampling: what each of G clusters does to a contrast, in its units, where more is better.

    change: (G,) influence on candidate minus champion. stake: (G,) what the candidate would lose by missing
    everything that the champion catches there; lost: what it did lose so. chance, won: the mirror image, what
    the champion misses of the candidate's catches. known: whether the metric has catches at all.
    """

    change: np.ndarray
    stake: np.ndarray
    lost: np.ndarray
    chance: np.ndarray
    won: np.ndarray
    known: bool = True

    @classmethod
    def of_changes(cls, change: np.ndarray) -> "Influences":
        """Influences of a metric without catches."""
        nothing = np.zeros(len(change))
        return cls(change, nothing, nothing, nothing, nothing, known=False)

    def mirrored(self) -> "Influences":
        """The same for the claim that the candidate is worse."""
        return Influences(-self.change, self.chance, self.won, self.stake, self.lost, self.known)


@dataclass(frozen=True)
class Bound:
    """The largest loss beyond those seen that is still compatible: `rate` of each of the `clusters` largest stakes.

    beyond: the sum of squares of the losses seen at smaller stakes.
    """

    loss: float
    clusters: int
    rate: float
    beyond: float = 0.0


def skew_seen(ways: tuple[Influences, ...]) -> float:
    """Skew of the sum of the differences over clusters (< 0: few large losses), of the worst way of resampling."""
    return min((_skew(*_moments(way.change)) for way in ways), default=0.0)


def skew_expected(ways: tuple[Influences, ...]) -> float:
    """Skew of the sum as the stakes let expect it, with one loss more than was seen, of the worst way."""
    return min((_expected(way) for way in ways), default=0.0)


def clusters_needed(change: np.ndarray, skew: float) -> int:
    """How many differing clusters like these a sum with `skew` needs: 25 * skew^2 of one cluster."""
    return math.ceil(COCHRAN * skew * skew * np.count_nonzero(change))


def bounds(ways: tuple[Influences, ...], tail: float) -> tuple[tuple["Bound", ...], ...]:
    """What could have gone unseen at `tail`, by way of resampling; () for one on which nothing is at stake."""
    return tuple(tuple(_bounds(way, tail)) if way.known else () for way in ways)


def unseen(found: tuple[tuple["Bound", ...], ...]) -> "Bound | None":
    """Return the largest unseen loss of all; None where nothing is at stake."""
    return max((bound for way in found for bound in way), key=lambda one: one.loss, default=None)


def exact_end(
    value: float,
    ways: tuple[Influences, ...],
    found: tuple[tuple["Bound", ...], ...],
    tail: float,
    scale: float = 1.0,
) -> float | None:
    """Return the low end that needs no normality of the losses; None where the metric knows no stakes.

    That is the value, less the largest unseen loss of the champion's catches, less z deviations of all
    other differences and of one more as large as the largest of them. scale: how much wider than by one way of
    resampling the deviation is (two-way clusters).
    """
    if not all(way.known for way in ways):
        return None
    z, ends = NormalDist().inv_cdf(1 - tail) * scale, []
    for way, mine in zip(ways, found, strict=True):
        rest = way.change + way.lost
        largest = float(np.abs(rest).max()) if len(rest) else 0.0
        squares = float(rest @ rest) + largest**2
        ends += [
            value - largest - z * math.sqrt(squares + one.beyond) - one.loss for one in mine or (Bound(0.0, 0, 0.0),)
        ]
    return min(ends, default=None)


def _moments(change: np.ndarray) -> tuple[float, float]:
    """Sums of squares and cubes about the mean of the clusters that differ, the cubes without bias (Fisher's G1)."""
    differing = change[change != 0]
    n = len(differing)
    if n < 3:
        return float(differing @ differing), 0.0
    centred = differing - differing.mean()
    squares, cubes = float((centred**2).sum()), float((centred**3).sum())
    if squares <= SAME * float(differing @ differing):
        return 0.0, 0.0
    return squares, cubes * math.sqrt(n * (n - 1)) / (n - 2)


def _skew(squares: float, cubes: float) -> float:
    return cubes / squares**1.5 if squares > 0 else 0.0


def _expected(way: Influences) -> float:
    squares, cubes = _moments(way.change)
    if not way.known:
        return _skew(squares, cubes)
    gained = _shares(way.chance, way.won)
    lost = _shares(way.stake, way.lost)
    more_gained = [gained.expected(power) - float((way.won**power).sum()) for power in (2, 3)]
    squares, cubes = squares + max(0.0, more_gained[0]), cubes + more_gained[1]
    if len(lost.stakes) == 0:
        return _skew(squares, cubes)
    found = []
    for m in lost.prefixes():
        more = [max(0.0, lost.expected(power, m, extra=1.0) - float((way.lost**power).sum())) for power in (2, 3)]
        found.append(_skew(squares + more[0], cubes - more[1]))
    return min(found)


@dataclass(frozen=True)
class _Shares:
    """The (M,) stakes, largest first, and the share of each that was lost."""

    stakes: np.ndarray
    shares: np.ndarray

    def prefixes(self) -> list[int]:
        """Sizes of sets of largest stakes, from KIND on; stakes of one size stay together."""
        many = len(self.stakes)
        ends = np.append(np.flatnonzero(np.diff(self.stakes)) + 1, many)
        wanted = np.geomspace(min(KIND, many), min(many, LARGEST), PREFIXES)
        chosen = ends[np.minimum(np.searchsorted(ends, np.round(wanted)), len(ends) - 1)]
        return sorted({*chosen.tolist(), many})

    def expected(self, power: int, first: int | None = None, extra: float = 0.0) -> float:
        """Expected sum of lost^power when the first stakes are lost like their mean share^power; the others as seen.

        extra: 1 for one total loss more than was seen.
        """
        if len(self.stakes) == 0:
            return 0.0
        m = len(self.stakes) if first is None else first
        mean = (float((self.shares[:m] ** power).sum()) + extra) / (m + extra)
        rest = float(((self.stakes[m:] * self.shares[m:]) ** power).sum())
        return mean * float((self.stakes[:m] ** power).sum()) + rest


def _shares(stake: np.ndarray, lost: np.ndarray) -> _Shares:
    there = stake > 0
    order = np.argsort(-stake[there], kind="stable")
    stakes = stake[there][order]
    return _Shares(stakes, np.clip(lost[there][order] / stakes, 0.0, 1.0))


def _bounds(way: Influences, tail: float) -> Iterator[Bound]:
    """A bound for each set of largest stakes."""
    lost = _shares(way.stake, way.lost)
    for m in lost.prefixes() if len(lost.stakes) else ():
        stakes, shares = lost.stakes[:m], lost.shares[:m]
        rate = upper_share(shares, tail)
        loss = float(stakes.sum()) * rate - float(stakes @ shares)
        yield Bound(max(0.0, loss), m, rate, float(((lost.stakes[m:] * lost.shares[m:]) ** 2).sum()))


def upper_share(shares: np.ndarray, tail: float) -> float:
    """Upper confidence bound of the mean of (m,) shares in 0..1, exceeded with probability `tail`.

    Gaffke's bound is a quantile of the mean of the shares and one more of 1 under uniform Dirichlet weights;
    it is taken here from the beta distribution of the same mean and variance, which for shares of 0 and 1 is
    the very distribution, and the bound Clopper and Pearson's (1934).
    """
    m, total = len(shares), float(shares.sum())
    if total == 0:
        return float(-math.expm1(math.log(tail) / m))
    mean = (total + 1) / (m + 1)
    if mean >= 1:
        return 1.0
    variance = ((float((shares**2).sum()) + 1) / (m + 1) - mean**2) / (m + 2)
    size = mean * (1 - mean) / variance - 1
    return beta_quantile(1 - tail, mean * size, (1 - mean) * size)
