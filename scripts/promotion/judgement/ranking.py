"""Metrics that are not sums over rows: ROC AUC, average precision, and precision among a day's top k.

They need all scores at once, so above MOST_ROWS they are left out with a reason. They are reported and may
be floors; they are never challenge rules.
"""

from dataclasses import dataclass

import numpy as np

from promotion.config.policy import Policy
from promotion.judgement.table import Scores
from promotion.records import Comparison, Estimate, finite

MOST_ROWS = 2_000_000


@dataclass(frozen=True)
class Ranked:
    """One ranking metric of both sides; None where it cannot be computed (`reason` says why)."""

    name: str
    candidate: float | None
    champion: float | None = None
    both: bool = False
    reason: str | None = None

    def comparison(self, rows: int, tail: float) -> Comparison:
        """As a record."""
        gap = None
        if self.candidate is not None and self.champion is not None:
            gap = self.candidate - self.champion
        return Comparison(
            metric=self.name,
            rows=rows,
            candidate=Estimate(value=finite(self.candidate), reason=self.reason),
            champion=Estimate(value=finite(self.champion), reason=self.reason) if self.both else None,
            difference=Estimate(value=finite(gap), reason=self.reason) if self.both else None,
        )


def rank(scores: Scores, policy: Policy) -> dict[str, Ranked]:
    """Return the ranking metrics of a classification's scores, by name; {} where there are no scores."""
    sides = [side for side in scores.sides if f"{side}.score" in scores.names]
    if scores.task != "classification" or not sides:
        return {}
    both = "champion" in sides
    if scores.rows > MOST_ROWS:
        reason = f"needs all scores at once; left out above {MOST_ROWS:,} rows"
        return {n: Ranked(n, None, None, both, reason) for n in ("roc_auc", "average_precision", "precision_at_k")}
    names = ["label", "column.day", *(f"{side}.score" for side in sides)]
    parts = list(scores.parts(names))
    y = np.concatenate([part.y for part in parts]) == 1
    days = np.concatenate([part.days for part in parts])
    values: dict[str, dict[str, float | None]] = {}
    for side in sides:
        p = np.concatenate([part.number(f"{side}.score") for part in parts])
        values[side] = {
            "roc_auc": roc_auc(y, p),
            "average_precision": average_precision(y, p),
            "precision_at_k": precision_at_k(y, p, days, policy.measure.daily_reviews),
        }
    one_class = None if y.any() and not y.all() else "one class only"
    return {
        name: Ranked(name, values["candidate"][name], values["champion"][name] if both else None, both, one_class)
        for name in values["candidate"]
    }


def roc_auc(y: np.ndarray, p: np.ndarray) -> float | None:
    """Area under the ROC curve, ties counted half (Mann-Whitney); y: (n,) bool. None with one class."""
    positives = int(y.sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = ends - (counts - 1) / 2
    return float((ranks[inverse][y].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(y: np.ndarray, p: np.ndarray) -> float | None:
    """Sum over distinct thresholds of (recall step) * precision, as scikit-learn's. None without positives."""
    if not y.any() or y.all():
        return None
    values, inverse = np.unique(p, return_inverse=True)
    hits = np.bincount(inverse, weights=y, minlength=len(values))[::-1]
    rows = np.bincount(inverse, minlength=len(values))[::-1]
    precision = np.cumsum(hits) / np.cumsum(rows)
    return float((hits * precision).sum() / y.sum())


def precision_at_k(y: np.ndarray, p: np.ndarray, days: np.ndarray, k: int) -> float | None:
    """Mean over days of the share of positives among the day's k highest scores; ties share their places evenly."""
    if not y.any() or y.all():
        return None
    order = np.lexsort((-p, days))
    starts = np.flatnonzero(np.diff(days[order], prepend=days.min() - 1))
    found = []
    for rows in np.split(order, starts[1:]):
        top = min(k, len(rows))
        limit = p[rows[top - 1]]
        above, tied = rows[p[rows] > limit], rows[p[rows] == limit]
        found.append((y[above].sum() + y[tied].mean() * (top - len(above))) / top)
    return float(np.mean(found))
