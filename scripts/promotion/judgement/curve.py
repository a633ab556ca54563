"""What each model would reach at every threshold: the first challenge metric by how many rows may be flagged.

Two models' thresholds cannot be compared, the number of rows that they flag can. The bands are pointwise: each
threshold's own interval by the cluster bootstrap, of both models with the same weights.
"""

from dataclasses import dataclass

import numpy as np

from promotion.frozen import finite
from promotion.judgement.binned import BINS, CENTS, Binned, bins_of, flagging, money_columns
from promotion.judgement.buckets import Buckets, band
from promotion.judgement.metrics import Metric
from promotion.judgement.work import Work
from promotion.records.charts import Curve, SideCurve

POINTS = 40
FEWEST = 10  # rows; what a model says of its first few is chance
SUMS = {"tp", "fp", "fn", "dollars"}


def curve(work: Work) -> Curve | None:
    """Return the curves of both models; None without probabilities, or for a metric that thresholds do not move."""
    scores, metric, tallies = work.scores, work.first, work.binned
    if not tallies or not set(metric.sums) <= SUMS:
        return None
    grid = np.unique(np.geomspace(min(FEWEST, scores.rows), scores.rows, POINTS).round().astype(np.int64))
    tops = {side: _Tops.of(tally, grid) for side, tally in tallies.items()}
    values = {side: metric.value(top.sums()) for side, top in tops.items()}
    drawn = _drawn(work, tops, metric)
    ends = {side: band(values[side], [one[side] for one in drawn], work.tail) for side in tallies}
    gap = None
    if "champion" in tallies:
        gaps = [one["candidate"] - one["champion"] for one in drawn]
        gap = band(values["candidate"] - values["champion"], gaps, work.tail)
    sides = {
        side: SideCurve(
            values=tuple(finite(float(value), 6) for value in values[side]),
            chosen=tallies[side].flagged,
            low=ends[side].low,
            high=ends[side].high,
        )
        for side in tallies
    }
    return Curve(
        metric=metric.name,
        flagged=tuple(int(n) for n in grid),
        candidate=sides["candidate"],
        champion=sides.get("champion"),
        difference=gap,
    )


@dataclass(frozen=True)
class _Tops:
    """One side's highest scores. last: (J,) how many bins of the highest are flagged at each point of the grid."""

    tally: Binned
    last: np.ndarray

    @classmethod
    def of(cls, tally: Binned, grid: np.ndarray) -> "_Tops":
        """As many bins as fit into each number of rows of `grid`."""
        flagged = np.append(0, np.cumsum(tally.rows[::-1]))
        return cls(tally, np.searchsorted(flagged, grid, side="right") - 1)

    def sums(self) -> dict[str, np.ndarray]:
        """(J,) sums at each point."""
        rows, positives, gains = (
            np.append(0, np.cumsum(counted[::-1]))[self.last]
            for counted in (self.tally.rows, self.tally.positives, self.tally.gains)
        )
        return _sums(rows, positives, gains, float(self.tally.positives.sum()), self.tally.nobody)

    def places(self) -> np.ndarray:
        """(BINS,) the first point at which a bin is flagged; J where it never is."""
        return np.searchsorted(self.last, np.arange(BINS)[::-1], side="right")


def _sums(
    rows: np.ndarray, hits: np.ndarray, gains: np.ndarray, positives: np.ndarray | float, nobody: np.ndarray | float
) -> dict[str, np.ndarray]:
    """Sums of a metric where `rows` are flagged, `hits` of them rightly."""
    return {"tp": hits, "fp": rows - hits, "fn": positives - hits, "dollars": (nobody + gains) / CENTS}


def _drawn(work: Work, tops: dict[str, _Tops], metric: Metric) -> list[dict[str, np.ndarray]]:
    """(R, J) replicates of the metric by side, for each way of resampling."""
    size = {side: len(top.last) + 1 for side, top in tops.items()}
    places = {side: top.places() for side, top in tops.items()}
    kinds = ("gains", "nobody") if metric.sums == ("dollars",) else ("rows", "hits")
    buckets = Buckets(work)
    names = [name for side in tops for name in (f"{side}.score",)]
    for part in work.scores.parts(buckets.needed(["label", "column.day", *money_columns(work.policy), *names])):
        nobody, gains = flagging(part, work.policy) if "gains" in kinds else (np.zeros(0), np.zeros(0))
        summands = {"rows": np.ones(part.rows), "hits": part.y, "gains": gains, "nobody": nobody}
        for side in tops:
            place = places[side][bins_of(part, side)]
            for kind in kinds:
                buckets.add(part, f"{side}.{kind}", summands[kind], place, size[side])
    found = []
    for drawn in buckets.drawn():
        one = {}
        for side in tops:
            nothing = np.zeros((1, size[side]))
            rows, hits, gains, nobody = (
                np.cumsum(drawn.get(f"{side}.{kind}", nothing), axis=1) for kind in ("rows", "hits", "gains", "nobody")
            )
            sums = _sums(rows[:, :-1], hits[:, :-1], gains[:, :-1], hits[:, -1:], nobody[:, -1:])
            one[side] = metric.value({name: sums[name] for name in metric.sums})
        found.append(one)
    return found
