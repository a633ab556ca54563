"""What a score table says about metrics: values, intervals and differences, on all rows and on slices.

Two passes over the parts: the first finds the largest values and the slices, the second sums per
cluster. Then everything is in tables of cluster sums, whose size does not grow with the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.clusters import Accumulator, ClusterSums, empty, exponent, grouped
from promotion.judgement.hashing import combine
from promotion.judgement.metrics import Metric, dollars, metrics_of, row_sums
from promotion.judgement.resample import Sample, interval, replicates
from promotion.judgement.table import MOST_SLICE_VALUES, Part, Scores

Slice = tuple[str, str] | None  # (column, value); None: all rows
DAY = "day"


@dataclass(frozen=True)
class Column:
    """One column of the tables of cluster sums."""

    side: str
    name: str
    slice: Slice = None

    def __str__(self) -> str:
        where = "" if self.slice is None else f" by {self.slice[0]}={self.slice[1]}"
        return f"{self.side}.{self.name}{where}"


@dataclass(frozen=True)
class Statistic:
    """A metric on a slice, or on all rows."""

    metric: Metric
    slice: Slice = None

    @property
    def label(self) -> str | None:
        """`weekend=1`, None for all rows."""
        return None if self.slice is None else f"{self.slice[0]}={self.slice[1]}"


@dataclass(frozen=True)
class Contrast:
    """candidate - factor * champion, or a level when one side is left out (None)."""

    candidate: float | None = 1.0
    champion: float | None = None

    def weights(self) -> dict[str, float]:
        """Side -> factor."""
        both = {"candidate": self.candidate, "champion": self.champion}
        return {side: factor for side, factor in both.items() if factor is not None}


CANDIDATE, CHAMPION, DIFFERENCE = Contrast(1.0), Contrast(None, 1.0), Contrast(1.0, -1.0)


@dataclass(frozen=True)
class Finding:
    """A contrast's value, the sample behind its interval, and its standard error.

    changed: in how many clusters the contrast has any influence; clusters: how many the table has.
    """

    value: float
    sample: Sample | None
    error: float
    changed: int
    clusters: int

    def interval(self, tail: float) -> tuple[float, float] | None:
        """(low, high), each end missed with probability `tail`; None when it cannot be computed."""
        return None if self.sample is None else interval(self.sample, tail)


@dataclass
class _Group:
    """Columns that are summed together: sparse ones (rows that are all zero are skipped), or dense ones."""

    sparse: bool
    columns: list[Column] = field(default_factory=list)
    tables: dict[str, ClusterSums] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)


class Measured:
    """The tables of cluster sums of one score table, and everything that follows from them."""

    def __init__(
        self,
        scores: Scores,
        policy: Policy,
        statistics: Sequence[Statistic],
        *,
        seed: int,
        count: int,
        days: Metric | None = None,
    ) -> None:
        self.scores, self.policy, self.seed, self.count = scores, policy, seed, count
        self.slice_rows: dict[Slice, int] = {None: scores.rows}
        self._groups = {True: _Group(True), False: _Group(False)}
        for statistic in statistics:
            columns = self._groups[statistic.metric.sparse].columns
            for side in scores.sides:
                wanted = [Column(side, name, statistic.slice) for name in statistic.metric.sums]
                columns += [c for c in wanted if c not in columns]
        self._days = days
        self._day_columns = [] if days is None else [Column(s, n) for s in scores.sides for n in days.sums]
        self.day_table: ClusterSums | None = None
        self._sum()

    def finding(self, statistic: Statistic, contrast: Contrast) -> Finding:
        """Return the contrast of one statistic, with what its interval needs."""
        weights = contrast.weights()
        group = self._groups[statistic.metric.sparse]
        values, slopes = {}, {}
        for side in weights:
            totals = self._totals(group, side, statistic)
            values[side] = float(statistic.metric.value(totals))
            slopes[side] = gradient(statistic.metric, totals)
        value = sum(weights[side] * values[side] for side in weights)
        ways = self._ways
        if not np.isfinite(value):
            return Finding(float("nan"), None, float("nan"), 0, len(group.tables[ways[0]].ids))
        influence = {way: self._influence(group, way, statistic, weights, slopes) for way in ways}
        spread = {way: _variance(influence[way]) for way in ways}
        way = max(ways[:2], key=lambda w: spread[w])
        total = spread[way]
        if len(ways) == 3:
            total = max(spread[ways[0]] + spread[ways[1]] - spread[ways[2]], total)
        scale = float(np.sqrt(total / spread[way])) if spread[way] > 0 else 1.0
        draws = self._draws(group, way, statistic, weights)
        few = min(len(group.tables[w].ids) for w in ways)
        changed = min(int(np.count_nonzero(influence[w])) for w in ways)
        sample = Sample(value, draws, scale)
        return Finding(value, sample, float(np.sqrt(total)), changed, few)

    def by_day(self) -> list[tuple[int, int, float, float | None]]:
        """Return (day number, rows, candidate's value, champion's value) of the day metric."""
        assert self._days is not None and self.day_table is not None
        table = self.day_table
        values = {name: table.values()[:, j] for j, name in enumerate(table.columns)}
        found = {
            side: self._days.value({n: values[f"{side}.{n}"] for n in self._days.sums}) for side in self.scores.sides
        }
        champion = found.get("champion")
        return [
            (
                int(day),
                int(values["rows"][i]),
                float(found["candidate"][i]),
                None if champion is None else float(champion[i]),
            )
            for i, day in enumerate(table.ids.astype(np.int64))
        ]

    def missing_clusters(self) -> int:
        """The smallest number of clusters over the ways."""
        return min((len(g.tables[w].ids) for g in self._groups.values() if g.columns for w in self._ways), default=0)

    @cached_property
    def _ways(self) -> tuple[str, ...]:
        """Names of the ways of resampling: each cluster column, and their intersection; else rows."""
        cluster = self.policy.measure.cluster
        return ("row",) if not cluster else cluster if len(cluster) == 1 else (*cluster, " and ".join(cluster))

    def _sum(self) -> None:
        largest: dict[tuple[bool, str, str], float] = {}
        for part in self.scores.parts():
            for group in self._groups.values():
                if not group.columns:
                    continue
                for (side, name), values in self._rows(part, group)[1].items():
                    key = (group.sparse, side, name)
                    largest[key] = max(largest.get(key, 0.0), _largest(values, f"{side}.{name}", self.scores))
            self._count_slices(part)
        exponents = {
            sparse: [exponent(largest.get((sparse, c.side, c.name), 0.0)) for c in group.columns]
            for sparse, group in self._groups.items()
        }
        for sparse, group in self._groups.items():
            if group.columns:
                self._sum_group(group, exponents[sparse])

    def _sum_group(self, group: _Group, exponents: list[int]) -> None:
        names = [str(c) for c in group.columns]
        ways = self._ways
        parts = {way: Accumulator(empty(names, exponents)) for way in ways}
        day_names = [*(str(c) for c in self._day_columns), "rows"]
        days = self._days is not None and self._days.sparse == group.sparse
        day_exponents = [exponents[group.columns.index(c)] for c in self._day_columns] if days else []
        day_sums = Accumulator(empty(day_names, [*day_exponents, 0])) if days else None
        for part in self.scores.parts():
            chosen, base = self._rows(part, group)
            masks = self._masks(part, chosen, group)
            matrix = [
                base[c.side, c.name] if c.slice is None else base[c.side, c.name] * masks[c.slice]
                for c in group.columns
            ]
            ids = self._ids(part, chosen)
            for way in ways:
                parts[way].add(grouped(ids[way], matrix, names, exponents))
            if day_sums is not None:
                day_sums.add(self._sum_days(part, chosen, base, day_names, day_exponents))
        group.tables = {way: _without_zero_rows(sums.total()) for way, sums in parts.items()}
        if day_sums is not None:
            self.day_table = day_sums.total()

    def _sum_days(
        self,
        part: Part,
        chosen: np.ndarray,
        base: dict[tuple[str, str], np.ndarray],
        names: list[str],
        exponents: list[int],
    ) -> ClusterSums:
        every = part.days
        nothing = np.zeros(part.rows)
        matrix = []
        for column in self._day_columns:
            whole = nothing.copy()
            whole[chosen] = base[column.side, column.name]
            matrix.append(whole)
        return grouped(every.astype(np.uint64), [*matrix, nothing + 1], names, [*exponents, 0])

    def _rows(self, part: Part, group: _Group) -> tuple[np.ndarray, dict[tuple[str, str], np.ndarray]]:
        """Return (indices of the rows that matter, (side, sum) -> their summands)."""
        y = part.y
        sides = self.scores.sides
        predicted = {side: (part.score(side), part.decision(side)) for side in sides}
        chosen = np.arange(part.rows)
        if group.sparse:
            chosen = np.flatnonzero(np.logical_or.reduce([y == 1, *(predicted[s][1] == 1 for s in sides)]))
        names = {(c.side, c.name): None for c in group.columns}
        found: dict[tuple[str, str], np.ndarray] = {}
        for side, name in names:
            p, d = (None if a is None else a[chosen] for a in predicted[side])
            if name == "dollars":
                measure = self.policy.measure
                columns = {
                    c: part.number(f"column.{c}")[chosen] for c in measure.dollars.values() if isinstance(c, str)
                }
                used = d if self.scores.task == "classification" else p
                found[side, name] = dollars(measure, y[chosen], used, columns, self.scores.task)
            elif "." in name:
                found[side, name] = part.number(f"{side}.sum.{name}")[chosen]
            else:
                found[side, name] = row_sums((name,), y[chosen], p, d, centre=self.scores.centre)[name]
        return chosen, found

    def _masks(self, part: Part, chosen: np.ndarray, group: _Group) -> dict[Slice, np.ndarray]:
        masks: dict[Slice, np.ndarray] = {}
        for name in dict.fromkeys(c.slice[0] for c in group.columns if c.slice is not None):
            codes, values = part.texts(name)
            for code, value in enumerate(values):
                masks[name, value] = codes[chosen] == code
        nothing = np.zeros(len(chosen), dtype=bool)
        return {c.slice: masks.get(c.slice, nothing) for c in group.columns if c.slice is not None}

    def _ids(self, part: Part, chosen: np.ndarray) -> dict[str, np.ndarray]:
        ways = self._ways
        if ways == ("row",):
            return {"row": part.key_hashes()[chosen]}
        ids = {way: part.hashes(way)[chosen] for way in ways[:2]}
        if len(ways) == 3:
            ids[ways[2]] = combine([ids[way] for way in ways[:2]])
        return ids

    def _count_slices(self, part: Part) -> None:
        for name in self.policy.measure.slices:
            codes, values = part.texts(name)
            for value, rows in zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True):
                self.slice_rows[name, value] = self.slice_rows.get((name, value), 0) + rows

    def _indices(self, group: _Group, side: str, statistic: Statistic) -> list[int]:
        return [group.columns.index(Column(side, name, statistic.slice)) for name in statistic.metric.sums]

    def _totals(self, group: _Group, side: str, statistic: Statistic) -> dict[str, np.ndarray]:
        if not group.totals:
            group.totals = group.tables[self._ways[0]].totals()
        return {n: np.float64(group.totals[str(Column(side, n, statistic.slice))]) for n in statistic.metric.sums}

    def _influence(
        self,
        group: _Group,
        way: str,
        statistic: Statistic,
        weights: dict[str, float],
        slopes: dict[str, dict[str, float]],
    ) -> np.ndarray:
        if way not in group.values:
            group.values[way] = group.tables[way].values()
        values = group.values[way]
        total = np.zeros(len(values))
        for side, factor in weights.items():
            for name, index in zip(statistic.metric.sums, self._indices(group, side, statistic), strict=True):
                total += factor * slopes[side][name] * values[:, index]
        return total

    def _draws(self, group: _Group, way: str, statistic: Statistic, weights: dict[str, float]) -> np.ndarray:
        if way not in group.draws:
            salt = self.seed + self._ways.index(way) + (10 if group.sparse else 20)
            group.draws[way] = replicates(group.tables[way].values(), salt, self.count)
        drawn = group.draws[way]
        total = np.zeros(self.count)
        for side, factor in weights.items():
            indices = self._indices(group, side, statistic)
            total += factor * statistic.metric.value(
                {n: drawn[:, i] for n, i in zip(statistic.metric.sums, indices, strict=True)}
            )
        return total


def gradient(metric: Metric, totals: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the metric's slope in each sum at `totals`, by central differences."""
    largest = max(abs(float(v)) for v in totals.values()) or 1.0
    slopes = {}
    for name, value in totals.items():
        step = 2.0 ** np.round(np.log2(1e-5 * (abs(float(value)) or largest)))
        up, down = (float(metric.value({**totals, name: value + s})) for s in (step, -step))
        slopes[name] = (up - down) / (2 * step)
    return slopes


def slices_of(scores: Scores, policy: Policy) -> dict[str, list[str]]:
    """Return the values of every slice column, sorted; raise PromotionError for one with too many."""
    found: dict[str, set[str]] = {name: set() for name in policy.measure.slices}
    names = [f"column.{name}" for name in found]
    for part in scores.parts(names) if names else ():
        for name, values in found.items():
            values.update(part.texts(name)[1])
            if len(values) > MOST_SLICE_VALUES:
                raise PromotionError(
                    f"the slice column `{name}` has more than {MOST_SLICE_VALUES} values; give it fewer, as bands",
                    file=scores.where,
                )
    return {name: sorted(values) for name, values in found.items()}


def available(scores: Scores, policy: Policy) -> dict[str, Metric]:
    """Return the metrics that this table's columns can answer."""
    found = {}
    for name, metric in metrics_of(policy, scores.task).items():
        if metric.custom:
            lacking = [s for s in metric.sums if s not in scores.custom_sums()]
            if lacking:
                raise PromotionError(
                    f"measure.metrics.{name} needs the sum `{lacking[0]}`, which metrics.py did not give",
                    file=policy.file,
                )
        elif metric.needs == "p" and scores.task == "classification" and not _has_probabilities(scores):
            continue
        found[name] = metric
    return found


def _has_probabilities(scores: Scores) -> bool:
    return scores.probabilities and "candidate.score" in scores.names


def _variance(influence: np.ndarray) -> float:
    """Sum of squares, with the small-sample factor G / (G - 1)."""
    groups = len(influence)
    return float(np.sum(influence * influence)) * groups / max(1, groups - 1)


def _largest(values: np.ndarray, name: str, scores: Scores) -> float:
    largest = float(np.abs(values).max()) if len(values) else 0.0
    if not np.isfinite(largest):
        raise PromotionError(f"{name} has a value that is NaN or infinite", file=scores.where)
    return largest


def _without_zero_rows(table: ClusterSums) -> ClusterSums:
    keep = (table.high != 0).any(axis=1) | (table.low != 0).any(axis=1)
    return ClusterSums(table.columns, table.exponents, table.ids[keep], table.high[keep], table.low[keep], table.coarse)
