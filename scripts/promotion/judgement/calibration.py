"""Calibration: whether a model's probabilities are what they say, as bins, a slope and an intercept.

The slope is Cox's (1958): of a logistic regression of the label on the score's log odds; the intercept is that with
the slope held at 1, calibration in the large (Van Calster and others 2019). Both from exact counts by score; their
intervals from the cluster-robust (sandwich) variance, with two cluster columns the larger of V_a and V_b (an
intersection is not counted). The bins of the curve hold equal information, the sum of p (1 - p), and not equal rows:
where positives are rare, rows are nearly all at one end.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from promotion.frozen import finite
from promotion.judgement.binned import bins_of, centres, summed
from promotion.judgement.buckets import Buckets, percentile_of
from promotion.judgement.rules import rounded
from promotion.judgement.table import Part
from promotion.judgement.work import Work
from promotion.records.charts import Bin, Calibration, Reliability
from promotion.records.figures import Estimate

MOST_BINS = 10
STEPS = 50
DONE = 1e-10
STEEPEST = 1e3  # a slope beyond is that of scores which separate the classes
UNITS = 2.0**24  # residuals are summed in whole parts of it
DIGITS = 6


@dataclass(frozen=True)
class Fit:
    """Labels on log odds. bins: (K,) that have rows; odds: (K,) their log odds. reason: why there is no slope."""

    bins: np.ndarray
    rows: np.ndarray
    positives: np.ndarray
    odds: np.ndarray
    intercept: float
    slope: tuple[float, float] | None
    reason: str | None

    def chances(self, *, sloped: bool) -> np.ndarray:
        """(K,) probabilities of a positive by the fit with its own slope, or with the slope 1."""
        if sloped and self.slope is not None:
            return _chance(self.slope[0] + self.slope[1] * self.odds)
        return _chance(self.intercept + self.odds)


def fits(work: Work) -> dict[str, Fit]:
    """Each side's fit; {} without probabilities, or where every label is the same."""
    found = {}
    for side in work.binned:
        bins, rows, positives = summed(work.binned, side)
        if not 0 < positives.sum() < rows.sum():
            return {}
        # a score of exactly 0 or 1 claims more than so many rows could show
        edge = 1 / (2 * rows.sum())
        p = np.clip(centres()[bins], edge, 1 - edge)
        found[side] = _fit(bins, rows, positives, np.log(p / (1 - p)))
    return found


def calibration(work: Work) -> Calibration | None:
    """Return both models' calibration; None without probabilities, or where every label is the same."""
    found = fits(work)
    if not found:
        return None
    edges = {side: _edges(fit) for side, fit in found.items()}
    buckets = Buckets(work)
    names = [f"{side}.score" for side in found]
    for part in work.scores.parts(buckets.needed(["label", "column.day", *names])):
        for side, fit in found.items():
            bins = bins_of(part, side)
            _add_residuals(buckets, part, side, fit, bins)
            place, size = np.searchsorted(edges[side], bins, side="right"), len(edges[side]) + 1
            buckets.add(part, f"{side}.rows", np.ones(part.rows), place, size)
            buckets.add(part, f"{side}.hits", part.y, place, size)
    drawn = list(buckets.drawn())
    made = {side: _reliability(side, fit, edges[side], buckets, drawn, work.tail) for side, fit in found.items()}
    return Calibration(candidate=made["candidate"], champion=made.get("champion"))


def _fit(bins: np.ndarray, rows: np.ndarray, positives: np.ndarray, odds: np.ndarray) -> Fit:
    intercept = _newton(rows, positives, odds, np.ones((1, len(odds))))
    alike = np.ptp(odds) == 0
    both = None if alike else _newton(rows, positives, np.zeros(len(odds)), np.stack([np.ones(len(odds)), odds]))
    slope = None if both is None or abs(both[1]) > STEEPEST else (float(both[0]), float(both[1]))
    why = "every row has the same score" if alike else "the scores separate the classes"
    level = float("nan") if intercept is None else float(intercept[0])
    return Fit(bins, rows, positives, odds, level, slope, None if slope is not None else why)


def _newton(rows: np.ndarray, positives: np.ndarray, offset: np.ndarray, design: np.ndarray) -> np.ndarray | None:
    """(k,) maximum-likelihood coefficients of a logistic regression on (k, K) columns; None where there are none."""
    start = np.zeros(len(design))
    if len(design) == 2:
        start[1] = 1.0
    found = start
    for _ in range(STEPS):
        chance = _chance(offset + found @ design)
        weights = rows * chance * (1 - chance)
        step = _solved((design * weights) @ design.T, design @ (positives - rows * chance))
        if step is None or not np.isfinite(step).all():
            return None
        size = float(np.abs(step).max())
        found = found + step * min(1.0, 5.0 / size if size else 1.0)
        if size < DONE * max(1.0, float(np.abs(found).max())):
            return np.asarray(found)
    return None


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """The solution of one or two equations; None where there is none."""
    if len(right) == 1:
        return None if matrix[0, 0] <= 0 else right / matrix[0, 0]
    determinant = float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])
    if not determinant > 0:
        return None
    inverse = np.array([[matrix[1, 1], -matrix[0, 1]], [-matrix[1, 0], matrix[0, 0]]]) / determinant
    return np.asarray(inverse @ right)


def _chance(odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))))


def _edges(fit: Fit) -> np.ndarray:
    """Bins of the score at which the next of MOST_BINS begins, so that each holds as much information."""
    p = centres()[fit.bins]
    information = np.cumsum(fit.rows * p * (1 - p))
    if information[-1] == 0:
        return np.zeros(0, np.int64)
    wanted = information[-1] * np.arange(1, MOST_BINS) / MOST_BINS
    return np.unique(fit.bins[np.searchsorted(information, wanted, side="left")] + 1)


def _add_residuals(buckets: Buckets, part: Part, side: str, fit: Fit, bins: np.ndarray) -> None:
    """Sum what each row pulls at intercept and slope."""
    place = np.zeros(len(bins), np.int64)
    index = np.searchsorted(fit.bins, bins)
    y, odds = part.y, fit.odds[index]
    alone, sloped = (y - fit.chances(sloped=which)[index] for which in (False, True))
    for name, pull in (("alone", alone), ("level", sloped), ("slope", sloped * odds)):
        buckets.add(part, f"{side}.{name}", np.round(UNITS * pull), place, 1)


def _deviations(side: str, fit: Fit, buckets: Buckets) -> tuple[float, float]:
    """Cluster-robust standard errors of intercept and slope."""
    found = []
    for sums in buckets.sums():
        alone, level, slope = (sums[f"{side}.{name}"][:, 0] / UNITS for name in ("alone", "level", "slope"))
        groups = int(np.count_nonzero(alone))
        small = groups / max(1, groups - 1)
        chance = fit.chances(sloped=False)
        weight = float((fit.rows * chance * (1 - chance)).sum())
        error = float(np.sqrt(small * (alone @ alone))) / weight
        chance = fit.chances(sloped=True)
        design = np.stack([np.ones(len(fit.odds)), fit.odds])
        bread = (design * (fit.rows * chance * (1 - chance))) @ design.T
        row = _solved(bread, np.array([0.0, 1.0]))  # the slope's row of the inverse, which is symmetric
        pull = np.zeros(1) if row is None else row[0] * level + row[1] * slope
        found.append((error, float(np.sqrt(small * (pull @ pull)))))
    return max(one[0] for one in found), max(one[1] for one in found)


def _reliability(
    side: str,
    fit: Fit,
    edges: np.ndarray,
    buckets: Buckets,
    drawn: list[dict[str, np.ndarray]],
    tail: float,
) -> Reliability:
    level, slope = _deviations(side, fit, buckets)
    z = NormalDist().inv_cdf(1 - tail)
    return Reliability(
        slope=Estimate(reason=fit.reason) if fit.slope is None else _estimate(fit.slope[1], z * slope),
        intercept=_estimate(fit.intercept, z * level),
        bins=tuple(_bins(side, fit, edges, drawn, tail)),
    )


def _estimate(value: float, half: float) -> Estimate:
    if not np.isfinite(value):
        return Estimate(reason="it cannot be computed")
    ends = rounded((value - half, value + half))
    return Estimate(value=finite(value, DIGITS), interval=ends)


def _bins(side: str, fit: Fit, edges: np.ndarray, drawn: list[dict[str, np.ndarray]], tail: float) -> list[Bin]:
    place, size = np.searchsorted(edges, fit.bins, side="right"), len(edges) + 1
    p = centres()[fit.bins]
    rows, hits, expected = (
        np.bincount(place, weights=weights, minlength=size) for weights in (fit.rows, fit.positives, fit.rows * p)
    )
    with np.errstate(all="ignore"):
        ends = percentile_of([one[f"{side}.hits"] / one[f"{side}.rows"] for one in drawn], tail)
    found = []
    for i in range(size):
        mine = p[place == i]
        if rows[i] == 0 or len(mine) == 0:
            continue
        low, high = (finite(float(end[i]), DIGITS) if 0 < hits[i] < rows[i] else None for end in ends)
        found.append(
            Bin(
                low=round(float(mine.min()), DIGITS),
                high=round(float(mine.max()), DIGITS),
                rows=int(rows[i]),
                expected=finite(float(expected[i] / rows[i]), DIGITS) or 0.0,
                observed=finite(float(hits[i] / rows[i]), DIGITS) or 0.0,
                interval=None if low is None or high is None else (low, high),
            )
        )
    return found
