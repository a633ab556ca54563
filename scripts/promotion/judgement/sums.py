"""What is summed from a score table: columns per cluster, exact, in one pass over the rows.

A column is a sum of one side (candidate, champion, or one that `SIDES_OF` lists) on all rows or on a slice.
Columns that are summed over the same rows into the same clusters are a tally. Then everything is in tables
of cluster sums, whose size does not grow with the rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np

from promotion.config.policy import Measure
from promotion.judgement.clusters import Accumulator, ClusterSums, empty, exponent, grouped
from promotion.judgement.metrics import EPSILON, Metric, Task, dollars, row_sums
from promotion.judgement.statistic import Slice

R = TypeVar("R")
ALL, DAY = "all", "day"  # ways that are no clusters: one sum over everything, one a day

# Which rows a side that is no model stands for, and what it decides there.
Kind = Literal["newly_caught", "newly_missed", "new_false_alarm", "false_alarm_gone"]
WON: Final = "newly_caught"
LOST: Final = "newly_missed"
ALARMED: Final = "new_false_alarm"
CALMED: Final = "false_alarm_gone"
FLIPS: tuple[Kind, ...] = (WON, LOST, ALARMED, CALMED)
COUNTS = {"tp", "fp", "fn", "right", "n", "positives"}  # sums of zeros and ones
NOBODY, EVERYBODY, MEAN, ROWS = "flag nobody", "flag everybody", "predict the mean", "rows"


@dataclass(frozen=True)
class Column:
    """One column of a table of cluster sums."""

    side: str
    name: str
    slice: Slice = None

    def __str__(self) -> str:
        where = "" if self.slice is None else f" by {self.slice[0]}={self.slice[1]}"
        return f"{self.side}.{self.name}{where}"


@dataclass(frozen=True)
class Tally:
    """Columns that are summed together. sparse: rows that are neither positive nor flagged add nothing to any.

    ways: names of the cluster columns, `a and b` for their intersection, `row`, ALL or DAY.
    """

    columns: tuple[Column, ...]
    ways: tuple[str, ...]
    sparse: bool


@dataclass(frozen=True)
class Rows:
    """(n,) arrays of some rows. score, decision: by side, None where there is none. ids: uint64 by way of resampling.

    columns: dollars by the name of their column. custom: a side's own sums. slices: (codes, values) by column.
    days: days since 1970-01-01.
    """

    y: np.ndarray
    score: Mapping[str, np.ndarray | None]
    decision: Mapping[str, np.ndarray | None]
    ids: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    custom: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    slices: Mapping[str, tuple[np.ndarray, list[str]]] = field(default_factory=dict)
    days: np.ndarray | None = None


class Source(Protocol):
    """Where rows come from. limits: the largest size of a column's values, by its name in the score table.

    centre, mean: constants near the labels and their mean (regressions).
    """

    @property
    def task(self) -> Task: ...
    @property
    def sides(self) -> tuple[str, ...]: ...
    @property
    def limits(self) -> Mapping[str, float]: ...
    @property
    def centre(self) -> float: ...
    @property
    def mean(self) -> float: ...

    def rows(self, tallies: tuple[Tally, ...]) -> Iterator[Rows]:
        """Yield all rows in parts of at most 2^18, with what the tallies need."""
        ...

    def shares(self, work: Callable[..., R], *more: Any) -> Iterator[R]:
        """Yield work(source, *more) of all rows at once, or of some after others."""
        ...


def ways_of(cluster: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the ways of resampling: each cluster column, and their intersection; else rows."""
    return ("row",) if not cluster else cluster if len(cluster) == 1 else (*cluster, " and ".join(cluster))


def summed(source: Source, measure: Measure, tallies: tuple[Tally, ...]) -> tuple[dict[str, ClusterSums], ...]:
    """Return the sums of each tally by its ways; clusters whose sums are all zero are left out, days are not."""
    totals: list[dict[str, Accumulator]] = []
    for share in source.shares(partial, measure, tallies):
        if not totals:
            totals = [{way: Accumulator(found) for way, found in tally.items()} for tally in share]
            continue
        for total, tally in zip(totals, share, strict=True):
            for way, found in tally.items():
                total[way].add(found)
    return tuple(
        {way: sums.total() if way == DAY else _without_zero_rows(sums.total()) for way, sums in tally.items()}
        for tally in totals
    )


def partial(source: Source, measure: Measure, tallies: tuple[Tally, ...]) -> tuple[dict[str, ClusterSums], ...]:
    """Return the sums of each tally over these rows, by its ways, those that are zero among them.

    Partial sums under the same limits add up to the same bits, however the rows are parted.
    """
    scales = [[_exponent(column, source, measure) for column in tally.columns] for tally in tallies]
    names = [[str(column) for column in tally.columns] for tally in tallies]
    counts = [[column.name in COUNTS for column in tally.columns] for tally in tallies]
    totals = [{way: Accumulator(empty(names[i], scales[i])) for way in tally.ways} for i, tally in enumerate(tallies)]
    for rows in source.rows(tallies):
        chosen = {sparse: _Chosen(rows, source, measure, sparse) for sparse in {tally.sparse for tally in tallies}}
        for i, tally in enumerate(tallies):
            part = chosen[tally.sparse]
            matrix = [part.column(column) for column in tally.columns]
            for way in tally.ways:
                totals[i][way].add(grouped(part.ids(way), matrix, names[i], scales[i], counts[i]))
    return tuple({way: sums.total() for way, sums in tally.items()} for tally in totals)


class _Chosen:
    """The rows of a part that matter for a tally, and their summands, each made once."""

    def __init__(self, rows: Rows, source: Source, measure: Measure, sparse: bool) -> None:
        self._rows, self._source, self._measure = rows, source, measure
        self._index: np.ndarray | slice = slice(None)
        if sparse:
            flagged = [d == 1 for d in (rows.decision[side] for side in source.sides) if d is not None]
            self._index = np.flatnonzero(np.logical_or.reduce([rows.y == 1, *flagged]))
        self.y = rows.y[self._index]
        self._made: dict[tuple[str, str], np.ndarray] = {}
        self._masks: dict[Slice, np.ndarray] = {}

    def ids(self, way: str) -> np.ndarray | None:
        """uint64 names of the groups to sum into; None: one for all."""
        if way == ALL:
            return None
        if way == DAY:
            assert self._rows.days is not None
            return self._rows.days[self._index].astype(np.uint64)
        return np.asarray(self._rows.ids[way][self._index])

    def column(self, column: Column) -> np.ndarray:
        """(n,) summands of a column."""
        key = (column.side, column.name)
        if key not in self._made:
            self._made[key] = self._summands(*key).astype(np.float64)
        return self._made[key] if column.slice is None else self._made[key] * self._mask(column.slice)

    def _mask(self, where: tuple[str, str]) -> np.ndarray:
        if where not in self._masks:
            codes, values = self._rows.slices[where[0]]
            code = values.index(where[1]) if where[1] in values else -1
            self._masks[where] = codes[self._index] == code
        return self._masks[where]

    def _side(self, side: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """(score, decision) of a model, or of one that always says the same."""
        if side in (NOBODY, EVERYBODY):
            return None, np.full(len(self.y), float(side == EVERYBODY))
        if side == MEAN:
            return np.full(len(self.y), self._source.mean), None
        found = self._rows.score[side], self._rows.decision[side]
        score, decision = (None if part is None else part[self._index] for part in found)
        return score, decision

    def _summands(self, side: str, name: str) -> np.ndarray:
        if side == ROWS:
            return np.ones(len(self.y)) if name == "n" else self.y == 1
        if side in FLIPS:
            return np.asarray(self._flipped(side) * self._flip_value(name))
        if "." in name:
            return np.asarray(self._rows.custom[side, name][self._index])
        score, decision = self._side(side)
        if name == "stake":
            assert decision is not None
            return np.asarray(self._stake() * ((self.y == 1) & (decision == 1)))
        if name == "dollars":
            used = decision if self._source.task == "classification" else score
            assert used is not None
            return dollars(self._measure, self.y, used, self._money(), self._source.task)
        return row_sums((name,), self.y, score, decision, centre=self._source.centre)[name]

    def _flipped(self, kind: str) -> np.ndarray:
        """Whether the two models decide differently on a row, in the way of `kind`."""
        (_, old), (_, new) = self._side("champion"), self._side("candidate")
        assert old is not None and new is not None
        label, now = {WON: (1, 1), LOST: (1, 0), ALARMED: (0, 1), CALMED: (0, 0)}[kind]
        return np.asarray((self.y == label) & (new == now) & (old == 1 - now))

    def _flip_value(self, name: str) -> np.ndarray | float:
        if name == "stake":
            return self._stake()
        if name == "dollars":
            return np.asarray(self.column(Column("candidate", name)) - self.column(Column("champion", name)))
        return 1.0

    def _stake(self) -> np.ndarray:
        """What flagging a row gains over not flagging it, in dollars, where it gains."""
        every, money = np.ones(len(self.y)), self._money()
        both = [dollars(self._measure, self.y, every * d, money, "classification") for d in (1, 0)]
        return np.asarray(np.maximum(both[0] - both[1], 0.0))

    def _money(self) -> dict[str, np.ndarray]:
        return {name: values[self._index] for name, values in self._rows.columns.items()}


def _exponent(column: Column, source: Source, measure: Measure) -> int:
    """The scale of a column, from what its values cannot exceed: the same on any part of the rows."""
    return exponent(_most(column.side, column.name, source, measure))


def _most(side: str, name: str, source: Source, measure: Measure) -> float:
    limits = source.limits
    if "." in name:
        return limits[f"{side}.sum.{name}"]
    if name in ("dollars", "stake"):
        specs = {
            key: limits[f"column.{spec}"] if isinstance(spec, str) else spec for key, spec in measure.dollars.items()
        }
        if source.task == "classification":
            return 2 * sum(specs.values())
        return sum(specs.values()) * _error(side, source)
    if name == "log_loss":
        return float(-np.log(EPSILON)) + 1
    if name in ("ae", "se"):
        return _error(side, source) ** (1 if name == "ae" else 2)
    if name in ("y", "yy"):
        return (limits["label"] + abs(source.centre)) ** (1 if name == "y" else 2)
    return 1.0


def _error(side: str, source: Source) -> float:
    """What a regression's error cannot exceed."""
    return source.limits["label"] + (abs(source.mean) if side == MEAN else source.limits[f"{side}.score"])


def _without_zero_rows(table: ClusterSums) -> ClusterSums:
    keep = (table.high != 0).any(axis=1) | (table.low != 0).any(axis=1)
    return ClusterSums(table.columns, table.exponents, table.ids[keep], table.high[keep], table.low[keep], table.coarse)


def columns_of(metric: Metric, sides: Iterable[str], where: Slice = None) -> list[Column]:
    """The columns of a metric's own sums."""
    return [Column(side, name, where) for side in sides for name in metric.sums]


def catches_of(metric: Metric, where: Slice = None) -> list[Column]:
    """The columns that say what is at stake between two models: each one's catches, and those that changed hands."""
    return (
        [Column(side, metric.catches, where) for side in ("champion", LOST, "candidate", WON)] if metric.catches else []
    )


def trivial_sides(metric: Metric) -> tuple[str, ...]:
    """The models that always say the same, which a metric of decisions, scores or predictions can be compared with."""
    return {"d": (NOBODY, EVERYBODY), "p": (MEAN,), "": ()}[metric.needs]


def trivial_counts(side: str, positives: int, negatives: int, mean: float) -> dict[str, float]:
    """The sums of a model of a classification that always says the same, as far as they follow from the classes."""
    rows = positives + negatives
    if side != MEAN:
        flagged = side == EVERYBODY
        hits, alarms = (positives, negatives) if flagged else (0, 0)
        return {
            "tp": hits,
            "fp": alarms,
            "fn": positives - hits,
            "right": hits + (0 if flagged else negatives),
            "n": rows,
        }
    share = min(max(mean, EPSILON), 1 - EPSILON)
    return {
        "brier": positives * (1 - mean) ** 2 + negatives * mean**2,
        "log_loss": -(positives * math.log(share) + negatives * math.log1p(-share)),
        "n": rows,
    }
