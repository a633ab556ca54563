"""Sums by cluster and place, for pictures: what is drawn at many points at once, with the cluster bootstrap's bands.

Clusters are put together by the top bits of their hash into BUCKETS, so a table of sums does not grow with the rows.
Only whole numbers are summed, so the order of rows and partitions changes nothing. With two cluster columns the
ends of an interval are the farther ones of both.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from promotion.frozen import finite
from promotion.judgement.resample import percentile_ends, replicates
from promotion.judgement.table import Part
from promotion.judgement.work import Work
from promotion.records.charts import Band

BUCKET_BITS = 12
REPLICATES = 2000
DIGITS = 6


class Buckets:
    """Sums of whole numbers, (1 << BUCKET_BITS, places) by name, for each way of resampling."""

    def __init__(self, work: Work) -> None:
        """Start with nothing."""
        self._cluster, self._seed = work.policy.measure.cluster, work.seed
        self._count = min(REPLICATES, work.replicates)
        self._sums: list[dict[str, np.ndarray]] = [{} for _ in range(max(1, len(self._cluster)))]
        self._part: Part | None = None
        self._ids: list[np.ndarray] = []
        self._keys = [name for name in work.scores.names if name.startswith("key.")]

    def needed(self, names: Sequence[str]) -> list[str]:
        """The columns of a table to be read: `names`, and those of the clusters."""
        mine = [f"column.{name}" for name in self._cluster] or self._keys
        return list(dict.fromkeys([*names, *mine]))

    def add(self, part: Part, name: str, summands: np.ndarray, place: np.ndarray, places: int) -> None:
        """Add (n,) whole numbers of a part's rows, each to its cluster and its (n,) place, 0 to places - 1."""
        if part is not self._part:
            found = [part.hashes(one) for one in self._cluster] or [part.key_hashes()]
            self._part, self._ids = part, [(ids >> np.uint64(64 - BUCKET_BITS)).astype(np.int64) for ids in found]
        for ids, sums in zip(self._ids, self._sums, strict=True):
            shape = (1 << BUCKET_BITS, places)
            more = np.bincount(ids * places + place, weights=summands, minlength=shape[0] * places).reshape(shape)
            sums[name] = sums[name] + more if name in sums else more

    def sums(self) -> list[dict[str, np.ndarray]]:
        """The sums of each way."""
        return self._sums

    def drawn(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield for each way the (replicates, places) totals by name, with the same weights for all names."""
        for i, sums in enumerate(self._sums):
            if not sums:
                continue
            table = np.concatenate(list(sums.values()), axis=1)
            table = table[(table != 0).any(axis=1)]
            ends = np.cumsum([one.shape[1] for one in sums.values()])[:-1]
            parts = np.split(replicates(table, self._seed + 30 + i, self._count), ends, axis=1)
            yield dict(zip(sums, parts, strict=True))


def percentile_of(drawn: Sequence[np.ndarray], tail: float) -> tuple[np.ndarray, np.ndarray]:
    """(J,) percentile ends of (R, J) replicates, the farther ones of all ways of resampling."""
    ends = [percentile_ends(one, tail) for one in drawn]
    return np.min([one[0] for one in ends], axis=0), np.max([one[1] for one in ends], axis=0)


def band(values: np.ndarray, drawn: Sequence[np.ndarray], tail: float) -> Band:
    """(J,) values with the percentile ends of their (R, J) replicates, the farther ones of all ways."""
    low, high = percentile_of(drawn, tail)

    def figures(numbers: np.ndarray) -> tuple[float | None, ...]:
        return tuple(finite(float(number), DIGITS) for number in numbers)

    return Band(values=figures(values), low=figures(low), high=figures(high))
