"""Metrics that are not sums over rows: ROC AUC, average precision, and precision among a day's top k.

They need all scores at once, so above MOST_ROWS they are left out with a reason. They are reported and may
be floors; they are never challenge rules. Each side's scores are sorted once for all three.
"""

from dataclasses import dataclass

import numpy as np

from promotion.config.policy import Policy
from promotion.frozen import finite
from promotion.judgement.metrics import RANKED
from promotion.judgement.table import Scores
from promotion.records.figures import Comparison, Estimate

MOST_ROWS = 2_000_000


@dataclass(frozen=True)
class Ranked:
    """One ranking metric of both sides; None where it cannot be computed (`reason` says why)."""

    name: str
    candidate: float | None
    champion: float | None = None
    both: bool = False
    reason: str | None = None

    def comparison(self, rows: int) -> Comparison:
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
        return {name: Ranked(name, None, None, both, reason) for name in RANKED}
    parts = list(scores.parts(["label", "column.day", *(f"{side}.score" for side in sides)]))
    y = np.concatenate([part.y for part in parts]) == 1
    days = np.concatenate([part.days for part in parts])
    values = {}
    for side in sides:
        ordered = Ordered.of(y, np.concatenate([part.number(f"{side}.score") for part in parts]))
        values[side] = {
            "roc_auc": ordered.roc_auc(),
            "average_precision": ordered.average_precision(),
            "precision_at_k": ordered.precision_at_k(days, policy.measure.daily_reviews),
        }
    one_class = None if y.any() and not y.all() else "one class only"
    return {
        name: Ranked(name, values["candidate"][name], values["champion"][name] if both else None, both, one_class)
        for name in RANKED
    }


@dataclass(frozen=True)
class Ordered:
    """(n,) labels and scores from the highest score to the lowest. order: where each row came from.

    ends: for each distinct score, the number of rows with it or a higher one.
    """

    y: np.ndarray
    p: np.ndarray
    order: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, p: np.ndarray) -> "Ordered":
        """Sort; y: (n,) bool, p: (n,) scores."""
        order = np.argsort(p)[::-1]
        p = p[order]
        ends = np.append(np.flatnonzero(p[1:] != p[:-1]) + 1, len(p))
        return cls(y[order], p, order, ends)

    @property
    def _mixed(self) -> bool:
        return bool(self.y.any() and not self.y.all())

    @property
    def _hits(self) -> np.ndarray:
        """Positives among the rows up to each end."""
        return np.asarray(np.cumsum(self.y)[self.ends - 1])

    def roc_auc(self) -> float | None:
        """Area under the ROC curve, ties counted half (the trapezoids of Mann-Whitney). None with one class."""
        if not self._mixed:
            return None
        hits = np.append(0, self._hits)
        alarms = np.append(0, self.ends) - hits
        area = float((np.diff(alarms) * (hits[1:] + hits[:-1])).sum()) / 2
        return area / (float(hits[-1]) * float(alarms[-1]))

    def average_precision(self) -> float | None:
        """Sum over distinct scores of (recall step) * precision, as scikit-learn's. None with one class."""
        if not self._mixed:
            return None
        hits = self._hits
        return float((np.diff(hits, prepend=0) * (hits / self.ends)).sum() / hits[-1])

    def precision_at_k(self, days: np.ndarray, k: int) -> float | None:
        """Mean over days of the share of positives among the day's k highest scores; ties share their places evenly.

        days: (n,) in the order of the rows before sorting. None with one class.
        """
        if not self._mixed:
            return None
        days = days[self.order]
        by_day = np.argsort((days - days.min()).astype(np.uint16), kind="stable")  # a counting sort
        starts = np.flatnonzero(np.diff(days[by_day], prepend=days.min() - 1))
        found = []
        for rows in np.split(by_day, starts[1:]):
            top = min(k, len(rows))
            p, limit = self.p[rows], self.p[rows[top - 1]]
            above, last = (int(np.searchsorted(-p, -limit, side=side)) for side in ("left", "right"))
            tied = self.y[rows[above:last]]
            found.append((self.y[rows[:above]].sum() + tied.mean() * (top - above)) / top)
        return float(np.mean(found))
