"""What tables of cluster sums say about metrics: values, intervals, differences, and what those rest on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from promotion.config.policy import Measure
from promotion.judgement import sums
from promotion.judgement.metrics import Metric
from promotion.judgement.resample import Sample, interval
from promotion.judgement.statistic import Contrast, Slice, Statistic
from promotion.judgement.sums import ALL, DAY, FLIPS, ROWS, Column, Source
from promotion.judgement.support import Influences
from promotion.judgement.tables import Group, Table, summed_groups, wanted


@dataclass(frozen=True)
class Finding:
    """A contrast's value, the sample behind its interval, its standard error, and what it rests on.

    limits: (low, high) that the contrast cannot leave. clusters: how many have anything in them, here and of
    the way with fewest. differing: in how many the models' sums differ. counted: how many the rate is over
    (those with positives, for recall). ways: what each cluster does, where more is better; without: the value
    without each way's largest cluster. base: the champion's own value. sign: the metric's.
    """

    value: float
    sample: Sample | None = None
    error: float = float("nan")
    limits: tuple[float, float] = (-np.inf, np.inf)
    clusters: int = 0
    differing: int = 0
    counted: int = 0
    ways: tuple[Influences, ...] = ()
    without: tuple[float, ...] = ()
    base: float = float("nan")
    sign: int = 1

    def interval(self, tail: float) -> tuple[float, float] | None:
        """(low, high), each end missed with probability `tail`, within the limits; None when it cannot be computed."""
        found = None if self.sample is None else interval(self.sample, tail)
        return None if found is None else self.within(*found)

    def within(self, low: float, high: float) -> tuple[float, float]:
        """Two ends, where they leave the limits brought back to them."""
        return max(low, self.limits[0]), min(high, self.limits[1])


class Measured:
    """The sums of one source of rows, and everything that follows from them."""

    def __init__(
        self,
        source: Source,
        measure: Measure,
        statistics: Sequence[Statistic],
        *,
        seed: int,
        count: int,
        trivial: Sequence[Statistic] = (),
        days: Metric | None = None,
    ) -> None:
        """Sum. trivial: statistics that models which always say the same are wanted for. days: a metric by day."""
        self._sides, self._task, self._mean, self._days = source.sides, source.task, source.mean, days
        self._ways = sums.ways_of(measure.cluster)
        tallies = wanted(source, measure, statistics, trivial=trivial, days=days)
        self._groups = summed_groups(source, measure, tallies, seed=seed, count=count)

    def finding(self, statistic: Statistic, contrast: Contrast) -> Finding:
        """Return the contrast of one statistic, with what its interval and its claims need."""
        metric, weights = statistic.metric, contrast.weights()
        limits = metric.limits(weights)
        group = self._group(statistic)
        totals = {side: self._totals(group, statistic, side) for side in weights}
        value = sum(weights[side] * float(metric.value(totals[side])) for side in weights)
        first = group.tables[self._ways[0]]
        if not np.isfinite(value):
            return Finding(float("nan"), limits=limits, clusters=int(self._filled(first, statistic, weights).sum()))
        slopes = {side: gradient(metric, totals[side]) for side in weights}
        changes = {way: _influence(table, statistic, weights, slopes) for way, table in group.tables.items()}
        way, total = _spread(changes, self._ways)
        deviation = float(np.sqrt(total))
        scale = deviation / float(np.sqrt(_variance(changes[way]))) if deviation > 0 else 1.0
        tables = [group.tables[one] for one in self._ways[:2]]
        pairs = [(Column("candidate", n, statistic.slice), Column("champion", n, statistic.slice)) for n in metric.sums]
        compared = len(weights) == 2
        return Finding(
            value,
            Sample(value, self._draws(group.tables[way], statistic, weights), scale),
            deviation,
            limits,
            clusters=min(int(self._filled(table, statistic, weights).sum()) for table in tables),
            differing=min(int(table.differ(pairs).sum()) for table in tables) if compared else 0,
            counted=min(self._counted(table, statistic) for table in tables) if compared else 0,
            ways=self._influences(tables, changes, statistic, slopes) if compared else (),
            without=tuple(
                _without(table, change, statistic, weights)
                for table, change in zip(tables, changes.values(), strict=False)
            )
            if compared
            else (),
            base=float(metric.value(totals["champion"])) if compared else float("nan"),
            sign=metric.sign,
        )

    def rows(self, where: Slice = None) -> int:
        """How many rows there are on a slice."""
        return int(self._whole(Column(ROWS, "n", where)))

    def classes(self, where: Slice = None) -> tuple[int, int]:
        """How many rows with label 1 and with label 0 there are on a slice of a classification."""
        positives = int(self._whole(Column(ROWS, "positives", where)))
        return positives, self.rows(where) - positives

    def of_trivial(self, statistic: Statistic) -> dict[str, float]:
        """Return the metric's value of each model that always says the same, by its name, where it has one.

        The statistic is one of those that `trivial` named.
        """
        metric, found = statistic.metric, {}
        for side in sums.trivial_sides(metric):
            known = {}
            if self._task == "classification":
                known = sums.trivial_counts(side, *self.classes(statistic.slice), self._mean)
            totals = {
                name: np.float64(known[name] if name in known else self._whole(Column(side, name, statistic.slice)))
                for name in metric.sums
            }
            value = float(metric.value(totals))
            if np.isfinite(value):
                found[side] = value
        return found

    def flips(self, *, money: bool) -> dict[str, tuple[int, float | None]]:
        """Return (rows, candidate's dollars minus the champion's) of each kind of changed decision."""
        return {
            kind: (int(self._whole(Column(kind, "n"))), self._whole(Column(kind, "dollars")) if money else None)
            for kind in FLIPS
        }

    def by_day(self) -> list[tuple[int, int, float, float | None]]:
        """Return (day number, rows, candidate's value, champion's value) of the day metric."""
        metric = self._days
        assert metric is not None
        found: dict[int, dict[Column, float]] = {}
        for table in (group.tables[DAY] for group in self._groups if group.tally.ways == (DAY,)):
            for i, day in enumerate(table.sums.ids.tolist()):
                found.setdefault(day, {}).update({column: table.values[i, j] for column, j in table.columns.items()})

        def value(side: str, sums_of: dict[Column, float]) -> float:
            return float(metric.value({n: np.float64(sums_of.get(Column(side, n), 0.0)) for n in metric.sums}))

        return [
            (
                day - (1 << 64) if day >= 1 << 63 else day,
                int(found[day][Column(ROWS, "n")]),
                value("candidate", found[day]),
                value("champion", found[day]) if "champion" in self._sides else None,
            )
            for day in sorted(found, key=lambda one: one - (1 << 64) if one >= 1 << 63 else one)
        ]

    def _group(self, statistic: Statistic) -> Group:
        column = Column("candidate", statistic.metric.sums[0], statistic.slice)
        return next(g for g in self._groups if g.tally.ways == self._ways and column in g.tally.columns)

    def _whole(self, column: Column) -> float:
        return next(g.totals[column] for g in self._groups if g.tally.ways == (ALL,) and column in g.totals)

    @staticmethod
    def _totals(group: Group, statistic: Statistic, side: str) -> dict[str, np.ndarray]:
        return {n: np.asarray(group.totals[Column(side, n, statistic.slice)]) for n in statistic.metric.sums}

    @staticmethod
    def _filled(table: Table, statistic: Statistic, sides: Iterable[str]) -> np.ndarray:
        return table.filled(sums.columns_of(statistic.metric, sides, statistic.slice))

    def _counted(self, table: Table, statistic: Statistic) -> int:
        names = statistic.metric.rate_over
        return int(table.filled(Column("champion", name, statistic.slice) for name in names).sum()) if names else 0

    @staticmethod
    def _draws(table: Table, statistic: Statistic, weights: dict[str, float]) -> np.ndarray:
        metric, total = statistic.metric, np.zeros(table.count)
        for side, factor in weights.items():
            index = {n: table.columns[Column(side, n, statistic.slice)] for n in metric.sums}
            total += factor * metric.value({n: table.draws[:, i] for n, i in index.items()})
        return total

    @staticmethod
    def _influences(
        tables: list[Table], changes: dict[str, np.ndarray], statistic: Statistic, slopes: dict[str, dict[str, float]]
    ) -> tuple[Influences, ...]:
        """What each cluster does, by way of resampling; catches count by what they are worth to the candidate."""
        metric, found = statistic.metric, []
        for table, change in zip(tables, changes.values(), strict=False):
            change = metric.sign * change
            catches = sums.catches_of(metric, statistic.slice)
            if not catches or any(column not in table.columns for column in catches):
                found.append(Influences.of_changes(change))
                continue
            worth = metric.sign * sum(factor * slopes["candidate"][name] for name, factor in metric.caught.items())
            stake, lost, chance, won = (max(0.0, worth) * table.values[:, table.columns[column]] for column in catches)
            found.append(Influences(change, stake, lost, chance, won))
        return tuple(found)


def _influence(
    table: Table, statistic: Statistic, weights: dict[str, float], slopes: dict[str, dict[str, float]]
) -> np.ndarray:
    total = np.zeros(len(table.values))
    for side, factor in weights.items():
        for name in statistic.metric.sums:
            total += factor * slopes[side][name] * table.values[:, table.columns[Column(side, name, statistic.slice)]]
    return total


def _without(table: Table, change: np.ndarray, statistic: Statistic, weights: dict[str, float]) -> float:
    """The contrast without the cluster that has the largest influence on it."""
    if len(change) == 0:
        return float("nan")
    rest = table.values.sum(axis=0) - table.values[int(np.argmax(np.abs(change)))]
    value = 0.0
    for side, factor in weights.items():
        index = {n: table.columns[Column(side, n, statistic.slice)] for n in statistic.metric.sums}
        value += factor * float(statistic.metric.value({n: rest[i] for n, i in index.items()}))
    return value


def _spread(changes: dict[str, np.ndarray], ways: tuple[str, ...]) -> tuple[str, float]:
    """The way to resample by, and the variance: the larger of V_a + V_b - V_ab, V_a and V_b for two columns.

    Cameron, Gelbach and Miller (2011), kept from falling below one way's.
    """
    spread = {way: _variance(change) for way, change in changes.items()}
    way = max(ways[:2], key=lambda one: spread[one])
    if len(ways) == 3:
        return way, max(spread[ways[0]] + spread[ways[1]] - spread[ways[2]], spread[way])
    return way, spread[way]


def gradient(metric: Metric, totals: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the metric's slope in each sum at `totals`, by central differences."""
    largest = max(abs(float(v)) for v in totals.values()) or 1.0
    slopes = {}
    for name, value in totals.items():
        step = float(2.0 ** np.round(np.log2(1e-5 * (abs(float(value)) or largest))))
        up, down = (float(metric.value({**totals, name: value + s})) for s in (step, -step))
        slopes[name] = (up - down) / (2 * step)
    return slopes


def _variance(influence: np.ndarray) -> float:
    """Sum of squares, with the small-sample factor G / (G - 1) of the clusters that have any influence."""
    groups = int(np.count_nonzero(influence))
    return float(np.sum(influence * influence)) * groups / max(1, groups - 1)
