"""The cluster bootstrap: Poisson(1) weights times a table of cluster sums, the same bits on every machine.

A replicate draws one weight per cluster and multiplies the table by them. The table is scaled to whole
numbers below 2^52 in total, so the matrix product is exact whatever the order, the number of threads or
the BLAS; the weights come from SFC64's raw stream, 16 bits a weight, through a table whose mean and
variance are exactly 1. A cluster whose sums are all zero changes no replicate, so it is not in the table.
"""

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from threadpoolctl import ThreadpoolController

# How many of 65,536 equally likely numbers give the weights 0 to 8: Poisson(1) rounded so that the mean
# and the variance are exactly 1 (third and fourth moments 5.00003 and 14.9999; Poisson's are 5 and 15).
COUNTS = (24109, 24110, 12055, 4017, 1005, 201, 34, 4, 1)
WEIGHTS = np.repeat(np.arange(len(COUNTS), dtype=np.float64), COUNTS)
BLOCK_DRAWS = 1 << 18  # a block of weights stays in the processor's cache
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
    buffer = np.empty(rows * groups)  # one for all blocks: fresh memory would cost more than the draws
    for block, first in enumerate(range(0, count, rows)):
        height = min(rows, count - first)
        drawn = weights(height, groups, seed, block, out=buffer[: height * groups])
        with _blas().limit(limits=1):  # threads would wait for each other longer than a block takes
            np.matmul(drawn, whole, out=result[first : first + height])
    total: np.ndarray = np.ldexp(result, exponents - TOTAL_BITS)
    return total


@functools.cache
def _blas() -> ThreadpoolController:
    """The linear algebra libraries of this process."""
    return ThreadpoolController().select(user_api="blas")


def weights(height: int, groups: int, seed: int, block: int, *, out: np.ndarray | None = None) -> np.ndarray:
    """Return (height, groups) Poisson(1) weights of one block; only `seed` and `block` decide them.

    out: (height * groups,) float64 memory to put them in.
    """
    stream = np.random.SFC64(np.random.SeedSequence([seed, block]))
    raw = stream.random_raw((height * groups + 3) // 4).astype("<u8", copy=False).view("<u2")
    # every 16-bit number is inside the table; "clip" only spares NumPy a copy
    return np.take(WEIGHTS, raw[: height * groups], out=out, mode="clip").reshape(height, groups)


@dataclass(frozen=True)
class Sample:
    """What one statistic's interval is made of.

    point: its value on the data. draws: (R,) its replicates. scale: how much wider the interval must be
    than the replicates say (two-way clusters).
    """

    point: float
    draws: np.ndarray
    scale: float = 1.0


def interval(sample: Sample, tail: float) -> tuple[float, float] | None:
    """Return (low, high), each to be missed with probability `tail`; None when it cannot be computed.

    Each end is the farther one of the percentile interval's and of the normal approximation's with the
    replicates' standard deviation. tests/proofs/simulation/table.md says why: at tails of 0.5%, percentiles alone
    miss a difference in dollars about twice as often as declared (a large cluster pulls the value and the
    percentiles the same way), and the normal approximation alone misses F1 on few rows as often; the
    farther of the two does neither, and is 3% wider on a simulated week.
    """
    both = percentile(sample, tail), normal(sample, tail)
    if both[0] is None or both[1] is None:
        return None
    return min(both[0][0], both[1][0]), max(both[0][1], both[1][1])


def percentile(sample: Sample, tail: float) -> tuple[float, float] | None:
    """The percentile interval, its two halves stretched by `scale`.

    A replicate that cannot be computed counts as infinitely low for the low end and infinitely high for
    the high end.
    """
    if not np.isfinite(sample.point):
        return None
    broken = ~np.isfinite(sample.draws)
    low = _quantile(np.where(broken, -np.inf, sample.draws), tail)
    high = _quantile(np.where(broken, np.inf, sample.draws), 1 - tail)
    ends = sample.point + sample.scale * (low - sample.point), sample.point + sample.scale * (high - sample.point)
    return ends if np.isfinite(ends).all() else None


def percentile_ends(draws: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """(J,) low and high percentile ends of (R, J) replicates; one that cannot be computed counts as infinitely far."""
    rank = min(max(math.floor(tail * (len(draws) + 1)), 1), len(draws)) - 1
    low = np.partition(np.where(np.isfinite(draws), draws, -np.inf), rank, axis=0)[rank]
    high = -np.partition(-np.where(np.isfinite(draws), draws, np.inf), rank, axis=0)[rank]
    return low, high


def normal(sample: Sample, tail: float) -> tuple[float, float] | None:
    """The value plus and minus z standard deviations of its replicates, stretched by `scale`."""
    draws = sample.draws[np.isfinite(sample.draws)]
    if not np.isfinite(sample.point) or len(draws) < 2:
        return None
    mean = math.fsum(draws.tolist()) / len(draws)  # fsum is exact, so the order and the machine do not matter
    deviation = math.sqrt(math.fsum(((draws - mean) ** 2).tolist()) / (len(draws) - 1))
    half = NormalDist().inv_cdf(1 - tail) * deviation * sample.scale
    return sample.point - half, sample.point + half


def is_extreme(count: int, tail: float) -> bool:
    """Whether an end at `tail` is the most extreme of `count` replicates, so that more of them would move it."""
    return tail * (count + 1) < 2


def _quantile(draws: np.ndarray, share: float) -> float:
    """The order statistic at `share` of (R + 1), rounded outward."""
    rank = share * (len(draws) + 1)
    index = int(np.floor(rank)) if share < 0.5 else int(np.ceil(rank))
    index = min(max(index, 1), len(draws)) - 1
    return float(np.partition(draws, index)[index])
