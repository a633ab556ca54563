"""The cluster bootstrap: Poisson(1) weights times a table of cluster sums, the same bits on every machine.

A replicate draws one weight per cluster and multiplies the table by them. The table is scaled to whole
numbers below 2^52 in total, so the matrix product is exact whatever the order, the number of threads or
the BLAS; the weights come from SFC64's raw stream, 16 bits a weight, through a table whose mean and
variance are exactly 1. A cluster whose sums are all zero changes no replicate, so it is not in the table.
"""

from dataclasses import dataclass

import numpy as np

# How many of 65,536 equally likely numbers give the weights 0 to 8: Poisson(1) rounded so that the mean
# and the variance are exactly 1 (third and fourth moments 5.00003 and 14.9999; Poisson's are 5 and 15).
COUNTS = (24109, 24110, 12055, 4017, 1005, 201, 34, 4, 1)
WEIGHTS = np.repeat(np.arange(len(COUNTS), dtype=np.float64), COUNTS)
BLOCK_DRAWS = 1 << 19
TOTAL_BITS = 48  # times the largest weight, 8, is 2^51: every sum is a whole number that float64 holds


def replicates(sums: np.ndarray, seed: int, count: int) -> np.ndarray:
    """Return (count, C) weighted totals of (G, C) cluster sums; replicate r is the same on every machine.

    seed: any non-negative integer. Rounds each sum to 2^-48 of its column's total size.
    """
    groups, columns = sums.shape
    size = np.array([float(np.abs(sums[:, j]).sum()) for j in range(columns)])
    exponents = np.where(size > 0, np.frexp(size)[1], 0)
    whole = np.rint(np.ldexp(sums, TOTAL_BITS - exponents))
    result = np.empty((count, columns))
    rows = max(1, min(count, BLOCK_DRAWS // max(1, groups)))
    for block, first in enumerate(range(0, count, rows)):
        height = min(rows, count - first)
        np.matmul(weights(height, groups, seed, block), whole, out=result[first : first + height])
    return np.ldexp(result, exponents - TOTAL_BITS)


def weights(height: int, groups: int, seed: int, block: int) -> np.ndarray:
    """Return (height, groups) Poisson(1) weights of one block; only `seed` and `block` decide them."""
    stream = np.random.SFC64(np.random.SeedSequence([seed, block]))
    raw = stream.random_raw((height * groups + 3) // 4).astype("<u8", copy=False).view("<u2")
    return WEIGHTS.take(raw[: height * groups]).reshape(height, groups)


@dataclass(frozen=True)
class Sample:
    """What one statistic's interval is made of.

    point: its value on the data. draws: (R,) its replicates. influence: (G,) its first-order change by
    each cluster. scale: how much wider the interval must be than the replicates say (two-way clusters).
    """

    point: float
    draws: np.ndarray
    influence: np.ndarray
    scale: float = 1.0


def interval(sample: Sample, tail: float) -> tuple[float, float] | None:
    """Return (low, high), each missed with probability `tail`; None when it cannot be computed.

    A replicate that cannot be computed counts as infinitely low for the low end and infinitely high
    for the high end.
    """
    return percentile(sample, tail)


def percentile(sample: Sample, tail: float) -> tuple[float, float] | None:
    """The percentile interval, its two halves stretched by `scale`."""
    return _ends(sample, tail, 1 - tail)


def _ends(sample: Sample, lower: float, upper: float) -> tuple[float, float] | None:
    if not np.isfinite(sample.point):
        return None
    broken = ~np.isfinite(sample.draws)
    low = _quantile(np.where(broken, -np.inf, sample.draws), lower)
    high = _quantile(np.where(broken, np.inf, sample.draws), upper)
    ends = sample.point + sample.scale * (low - sample.point), sample.point + sample.scale * (high - sample.point)
    return ends if np.isfinite(ends).all() else None


def _quantile(draws: np.ndarray, share: float) -> float:
    """The order statistic at `share` of (R + 1), conservatively outward at the ends."""
    rank = share * (len(draws) + 1)
    index = int(np.floor(rank)) if share < 0.5 else int(np.ceil(rank))
    index = min(max(index, 1), len(draws)) - 1
    return float(np.partition(draws, index)[index])
