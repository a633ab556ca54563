"""What each model would reach at every threshold: the first challenge metric by how many rows may be flagged.

Two models' thresholds cannot be compared, the number of rows that they flag can. Rows are counted in bins of their
score (the leading 20 bits of a float32, so that a bin is 0.05% of a score wide), and dollars in whole 1/1024, so
the counts are exact and the same on every machine and partitioning, whatever the number of rows.
"""

from dataclasses import dataclass, field

import numpy as np

from promotion.config.policy import Policy
from promotion.judgement.metrics import Metric, dollars, metrics_of
from promotion.judgement.table import Part, Scores
from promotion.records import Curve, SideCurve, finite

SHIFT = 12  # bits of a float32 that make no difference
BINS = (0x3F800000 >> SHIFT) + 1  # the bits of a probability are those of 1.0 at most, and in its order
CENTS = 1024.0
POINTS = 40
FEWEST = 10  # rows; what a model says of its first few is chance
SUMS = {"tp", "fp", "fn", "dollars"}


@dataclass
class _Tally:
    """(BINS,) rows, positives, and dollars that flagging adds; what flagging nobody is worth; rows really flagged."""

    rows: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    positives: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    gains: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    nobody: float = 0.0
    flagged: int = 0

    def add(self, other: "_Tally") -> None:
        """Take in the counts of other rows; all are whole numbers, so in any order."""
        self.rows += other.rows
        self.positives += other.positives
        self.gains += other.gains
        self.nobody += other.nobody
        self.flagged += other.flagged


def curve(scores: Scores, policy: Policy) -> Curve | None:
    """Return the curves of both models; None without probabilities, or for a metric that thresholds do not move."""
    metric = metrics_of(policy, scores.task)[policy.challenge.rules[0].target.metric]
    sides = [side for side in scores.sides if f"{side}.score" in scores.names]
    if not scores.probabilities or "candidate" not in sides or not set(metric.sums) <= SUMS:
        return None
    money = sorted({f"column.{spec}" for spec in policy.measure.dollars.values() if isinstance(spec, str)})
    wanted = ["label", "column.day", *money, *(f"{side}.{part}" for side in sides for part in ("score", "decision"))]
    tallies = {side: _Tally() for side in sides}
    for share in scores.shares(_counted, policy, sides, wanted):
        for side, tally in tallies.items():
            tally.add(share[side])
    grid = np.unique(np.geomspace(min(FEWEST, scores.rows), scores.rows, POINTS).round().astype(np.int64))
    found = {side: _curve(tally, metric, grid) for side, tally in tallies.items()}
    return Curve(
        metric=metric.name,
        flagged=tuple(int(n) for n in grid),
        candidate=found["candidate"],
        champion=found.get("champion"),
    )


def _counted(scores: Scores, policy: Policy, sides: list[str], wanted: list[str]) -> dict[str, _Tally]:
    """The counts of these rows by side."""
    tallies = {side: _Tally() for side in sides}
    for part in scores.parts(wanted):
        for side, tally in tallies.items():
            _count(part, side, policy, scores, tally)
    return tallies


def _count(part: Part, side: str, policy: Policy, scores: Scores, tally: _Tally) -> None:
    y = part.y
    bins = np.minimum(part.number(f"{side}.score").astype(np.float32).view(np.uint32) >> SHIFT, BINS - 1)
    tally.rows += np.bincount(bins, minlength=BINS)
    tally.positives += np.bincount(bins, weights=y, minlength=BINS)
    tally.flagged += int(part.number(f"{side}.decision").sum())
    if not policy.measure.dollars:
        return
    columns = {spec: part.number(f"column.{spec}") for spec in policy.measure.dollars.values() if isinstance(spec, str)}
    nobody, everybody = (
        np.round(CENTS * dollars(policy.measure, y, np.full(len(y), decision), columns, scores.task))
        for decision in (0, 1)
    )
    tally.gains += np.bincount(bins, weights=everybody - nobody, minlength=BINS)
    tally.nobody += float(nobody.sum())


def _curve(tally: _Tally, metric: Metric, grid: np.ndarray) -> SideCurve:
    """The metric where as many bins of the highest scores are flagged as fit into each number of rows of `grid`."""
    flagged, caught, gained = (
        np.append(0, np.cumsum(counted[::-1])) for counted in (tally.rows, tally.positives, tally.gains)
    )
    last = np.searchsorted(flagged, grid, side="right") - 1
    sums = {
        "tp": caught[last],
        "fp": flagged[last] - caught[last],
        "fn": caught[-1] - caught[last],
        "dollars": (tally.nobody + gained[last]) / CENTS,
    }
    values = metric.value({name: sums[name] for name in metric.sums})
    return SideCurve(values=tuple(finite(float(value), 6) for value in values), chosen=tally.flagged)
