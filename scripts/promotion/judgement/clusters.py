"""Sums per cluster, exact: whole numbers of a power of two, so that partitions merge to the same bits in any order.

A value v of a column whose largest size is at most 2^e is kept as high * 2^(e-30) + low * 2^(e-60), both
int64: rounding at 2^-61 of the largest value, and after that only additions of whole numbers. Clusters are
named by 64-bit hashes and kept in their order. Above MOST clusters the top 14 bits of the hash are the
cluster: pseudo-clusters, which are nested, so it does not matter when it happened.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from promotion.errors import PromotionError

LIMB = 30
MOST = 1 << 16
PSEUDO_BITS = 14


@dataclass(frozen=True)
class ClusterSums:
    """Sums of G clusters over C columns. ids: (G,) uint64, ascending. high, low: (G, C) int64. exponents: (C,).

    coarse: the ids are pseudo-clusters.
    """

    columns: tuple[str, ...]
    exponents: tuple[int, ...]
    ids: np.ndarray
    high: np.ndarray
    low: np.ndarray
    coarse: bool = False

    def values(self) -> np.ndarray:
        """(G, C) float64 sums."""
        exponents = np.array(self.exponents, dtype=np.int64)
        whole = np.ldexp(self.high.astype(np.float64), LIMB) + self.low
        found: np.ndarray = np.ldexp(whole, exponents - 2 * LIMB)
        return found

    def totals(self) -> dict[str, float]:
        """Each column's sum over all clusters, correctly rounded from the exact one."""
        found = {}
        for j, name in enumerate(self.columns):
            exact = (sum(_whole(self.high[:, j])) << LIMB) + sum(_whole(self.low[:, j]))
            shift = self.exponents[j] - 2 * LIMB
            found[name] = float(exact << shift) if shift >= 0 else exact / (1 << -shift)
        return found


def _whole(column: np.ndarray) -> list[int]:
    """A few Python integers with the same sum as an int64 column, without overflow."""
    return [int(column[i : i + 1024].astype(object).sum()) for i in range(0, len(column), 1024)] if len(column) else [0]


def exponent(largest: float) -> int:
    """The e for a column whose values are at most `largest` in size: the smallest with largest <= 2^e."""
    if largest == 0:
        return 0
    if not math.isfinite(largest):
        raise PromotionError("a value to be summed is NaN or infinite; is a prediction far outside its range?")
    mantissa, e = math.frexp(largest)
    return e - 1 if mantissa == 0.5 else e


def grouped(
    ids: np.ndarray | None,
    matrix: Sequence[np.ndarray],
    columns: Sequence[str],
    exponents: Sequence[int],
    whole: Sequence[bool] | None = None,
) -> ClusterSums:
    """Sum (n,) columns of one part within (n,) uint64 ids; None: all of it is one group, named 0.

    n is at most 2^22, so the floats below are exact. whole: columns of small whole numbers, which need no rounding.
    """
    unique, inverse = (np.zeros(1, np.uint64), None) if ids is None else _coded(ids)
    shape = (len(unique), len(columns))
    high, low = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def summed(values: np.ndarray) -> np.ndarray:
        found = values.sum() if inverse is None else np.bincount(inverse, weights=values, minlength=len(unique))
        return np.asarray(found).astype(np.int64)

    for j, values in enumerate(matrix):
        if whole is not None and whole[j]:
            high[:, j] = summed(values) << (LIMB - exponents[j])
            continue
        scaled = np.ldexp(values, LIMB - exponents[j])
        top = np.rint(scaled)
        high[:, j] = summed(top)
        rest = scaled - top
        if rest.any():
            low[:, j] = summed(np.rint(np.ldexp(rest, LIMB)))
    return _settled(ClusterSums(tuple(columns), tuple(exponents), unique, high, low))


def _coded(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(unique ids in order, which of them each row has): as np.unique, by hashing and not by sorting the rows."""
    coded = pa.array(ids).dictionary_encode()
    found = coded.dictionary.to_numpy()
    order = np.argsort(found)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return found[order], place[coded.indices.to_numpy()]


class Accumulator:
    """Adds up partial sums as they come, in bounded memory and in any order to the same bits."""

    def __init__(self, start: ClusterSums) -> None:
        self._waiting = [start]
        self._size = len(start.ids)

    def add(self, part: ClusterSums) -> None:
        """Add partial sums; raise PromotionError when they are not of the same columns and scales."""
        first = self._waiting[0]
        if (part.columns, part.exponents) != (first.columns, first.exponents):
            raise PromotionError("partial sums of different columns or scales do not add up; sum them under one plan")
        self._waiting.append(part)
        self._size += len(part.ids)
        if self._size > 4 * MOST:
            self.total()

    def total(self) -> ClusterSums:
        """The sums so far."""
        self._waiting = [_added(self._waiting)]
        self._size = len(self._waiting[0].ids)
        return self._waiting[0]


def _added(parts: list[ClusterSums]) -> ClusterSums:
    coarse = any(part.coarse for part in parts)
    parts = [_coarsened(part) if coarse else part for part in parts]
    ids, inverse = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    first = parts[0]
    total = ClusterSums(
        first.columns,
        first.exponents,
        ids,
        _summed(np.concatenate([part.high for part in parts]), inverse, len(ids)),
        _summed(np.concatenate([part.low for part in parts]), inverse, len(ids)),
        coarse,
    )
    return _settled(total)


def _summed(values: np.ndarray, inverse: np.ndarray, groups: int) -> np.ndarray:
    total = np.zeros((groups, values.shape[1]), np.int64)
    order = np.argsort(inverse, kind="stable")
    if len(order):
        starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
        total[:] = np.add.reduceat(values[order], starts, axis=0)
    return total


def _settled(sums: ClusterSums) -> ClusterSums:
    """Carry low into high, and go to pseudo-clusters when there are more clusters than MOST."""
    carry = (sums.low + (1 << (LIMB - 1))) >> LIMB
    settled = ClusterSums(
        sums.columns, sums.exponents, sums.ids, sums.high + carry, sums.low - (carry << LIMB), sums.coarse
    )
    return _added([_coarsened(settled)]) if not sums.coarse and len(sums.ids) > MOST else settled


def _coarsened(sums: ClusterSums) -> ClusterSums:
    if sums.coarse:
        return sums
    return ClusterSums(
        sums.columns, sums.exponents, sums.ids >> np.uint64(64 - PSEUDO_BITS), sums.high, sums.low, coarse=True
    )


def coarser(sums: ClusterSums, most: int) -> ClusterSums:
    """Return sums of at most `most` (a power of two) clusters: where there are more, by the top bits of their hash."""
    if len(sums.ids) <= most:
        return sums
    bits = PSEUDO_BITS if sums.coarse else 64
    ids = sums.ids >> np.uint64(bits - most.bit_length() + 1)
    starts = np.flatnonzero(np.diff(ids, prepend=ids[:1] + np.uint64(1)))
    high, low = (np.add.reduceat(limb, starts, axis=0) for limb in (sums.high, sums.low))
    return ClusterSums(sums.columns, sums.exponents, ids[starts], high, low, coarse=True)


def empty(columns: Sequence[str], exponents: Sequence[int]) -> ClusterSums:
    """Sums of no rows."""
    nothing = np.zeros((0, len(columns)), np.int64)
    return ClusterSums(tuple(columns), tuple(exponents), np.zeros(0, np.uint64), nothing, nothing)
