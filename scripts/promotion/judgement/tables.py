"""Tables of cluster sums: which columns are wanted, the sums by cluster, and their replicates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from promotion.config.policy import Measure
from promotion.judgement import sums
from promotion.judgement.clusters import ClusterSums, coarser
from promotion.judgement.metrics import Metric
from promotion.judgement.resample import replicates
from promotion.judgement.statistic import Slice, Statistic
from promotion.judgement.sums import ALL, DAY, FLIPS, ROWS, Column, Source, Tally

MOST_DRAWN = 1 << 12  # replicates are drawn of at most so many clusters; more are put together, by hash


@dataclass(frozen=True)
class Table:
    """The sums of a tally by clusters of one way, and its replicates."""

    sums: ClusterSums
    columns: dict[Column, int]
    seed: int
    count: int

    @cached_property
    def values(self) -> np.ndarray:
        """(G, C) float64 sums."""
        return self.sums.values()

    @cached_property
    def draws(self) -> np.ndarray:
        """(count, C) replicates of the totals."""
        return replicates(coarser(self.sums, MOST_DRAWN).values(), self.seed, self.count)

    def differ(self, pairs: Iterable[tuple[Column, Column]]) -> np.ndarray:
        """(G,) whether the exact sums of any pair of columns differ."""
        found = np.zeros(len(self.sums.ids), dtype=bool)
        for one, two in pairs:
            i, j = self.columns[one], self.columns[two]
            found |= (self.sums.high[:, i] != self.sums.high[:, j]) | (self.sums.low[:, i] != self.sums.low[:, j])
        return found

    def filled(self, columns: Iterable[Column]) -> np.ndarray:
        """(G,) whether any of the columns is not zero."""
        found = np.zeros(len(self.sums.ids), dtype=bool)
        for column in columns:
            found |= self.values[:, self.columns[column]] != 0
        return found


@dataclass(frozen=True)
class Group:
    """One tally's tables by way, and the totals of its columns."""

    tally: Tally
    tables: dict[str, Table]
    totals: dict[Column, float] = field(default_factory=dict)


def wanted(
    source: Source,
    measure: Measure,
    statistics: Sequence[Statistic],
    *,
    trivial: Sequence[Statistic],
    days: Metric | None,
) -> tuple[Tally, ...]:
    """Everything that is to be summed: by cluster, in total, and by day."""
    ways = sums.ways_of(measure.cluster)
    places = tuple(dict.fromkeys([None, *(one.slice for one in (*statistics, *trivial))]))
    tallies = [_clustered(statistics, source, ways, sparse) for sparse in (True, False)]
    tallies.append(Tally(_changed(source, bool(measure.dollars)), (ALL,), sparse=True))
    tallies.append(Tally((*_counts(places, source), *_trivial(trivial, source)), (ALL,), sparse=False))
    if days is not None:
        tallies.append(Tally(tuple(sums.columns_of(days, source.sides)), (DAY,), days.sparse))
        tallies.append(Tally((Column(ROWS, "n"),), (DAY,), sparse=False))
    return tuple(tally for tally in tallies if tally.columns)


def summed_groups(
    source: Source, measure: Measure, tallies: tuple[Tally, ...], *, seed: int, count: int
) -> tuple[Group, ...]:
    """Sum, in one pass over the rows. seed, count: of the replicates that are drawn when they are asked for."""
    found = sums.summed(source, measure, tallies)
    return tuple(_group(tally, tables, seed, count) for tally, tables in zip(tallies, found, strict=True))


def _clustered(statistics: Sequence[Statistic], source: Source, ways: tuple[str, ...], sparse: bool) -> Tally:
    """What is summed by cluster: the metrics' own sums, and what is at stake between two models."""
    found: dict[Column, None] = {}
    for one in statistics:
        if one.metric.sparse == sparse and one.metric.sums:
            found.update(dict.fromkeys(sums.columns_of(one.metric, source.sides, one.slice)))
            if len(source.sides) == 2:
                found.update(dict.fromkeys(sums.catches_of(one.metric, one.slice)))
    return Tally(tuple(found), ways, sparse)


def _counts(places: Iterable[Slice], source: Source) -> tuple[Column, ...]:
    """Rows, and those with label 1, on every slice."""
    names = ("n", "positives") if source.task == "classification" else ("n",)
    return tuple(Column(ROWS, name, where) for where in places for name in names)


def _trivial(statistics: Sequence[Statistic], source: Source) -> tuple[Column, ...]:
    """The sums of models that always say the same, where they do not follow from the number of positives."""
    found: dict[Column, None] = {}
    for one in statistics:
        for side in sums.trivial_sides(one.metric):
            known = sums.trivial_counts(side, 1, 1, 0.5) if source.task == "classification" else {}
            found.update(dict.fromkeys(Column(side, name, one.slice) for name in one.metric.sums if name not in known))
    return tuple(found)


def _changed(source: Source, money: bool) -> tuple[Column, ...]:
    """Changed decisions, where there are two models that decide."""
    if source.task != "classification" or len(source.sides) != 2:
        return ()
    return tuple(Column(kind, name) for kind in FLIPS for name in (("n", "dollars") if money else ("n",)))


def _group(tally: Tally, found: dict[str, ClusterSums], seed: int, count: int) -> Group:
    columns = {column: i for i, column in enumerate(tally.columns)}
    salts = {way: seed + i + (10 if tally.sparse else 20) for i, way in enumerate(tally.ways)}
    tables = {way: Table(table, columns, salts[way], count) for way, table in found.items()}
    by_name = {} if tally.ways == (DAY,) else found[tally.ways[0]].totals()
    return Group(tally, tables, {column: by_name[str(column)] for column in tally.columns} if by_name else {})
