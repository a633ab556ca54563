"""A classification's rows by bins of their score: exact counts, from which curves and calibration are made.

A bin is the leading 20 bits of a score as float32, 0.05% of it wide. Dollars are counted in whole 1/1024, so the
counts are the same on every machine and partitioning, whatever the number of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from promotion.config.policy import Policy
from promotion.judgement.metrics import dollars
from promotion.judgement.table import Part, Scores

SHIFT = 12  # bits of a float32 that make no difference
BINS = (0x3F800000 >> SHIFT) + 1  # the bits of a probability are those of 1.0 at most, and in its order
CENTS = 1024.0


@dataclass
class Binned:
    """(BINS,) rows, positives, and dollars that flagging adds; what flagging nobody is worth; rows really flagged."""

    rows: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    positives: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    gains: np.ndarray = field(default_factory=lambda: np.zeros(BINS))
    nobody: float = 0.0
    flagged: int = 0

    def add(self, other: "Binned") -> None:
        """Take in the counts of other rows; all are whole numbers, so in any order."""
        self.rows += other.rows
        self.positives += other.positives
        self.gains += other.gains
        self.nobody += other.nobody
        self.flagged += other.flagged


def binned(scores: Scores, policy: Policy) -> dict[str, Binned]:
    """Return each side's rows by their scores; {} where there are no probabilities."""
    sides = [side for side in scores.sides if f"{side}.score" in scores.names]
    if scores.task != "classification" or not scores.probabilities or "candidate" not in sides:
        return {}
    found = {side: Binned() for side in sides}
    wanted = ["label", *money_columns(policy), *(f"{side}.{part}" for side in sides for part in ("score", "decision"))]
    for share in scores.shares(_counted, policy, sides, [*wanted, "column.day"]):
        for side, tally in found.items():
            tally.add(share[side])
    return found


def _counted(scores: Scores, policy: Policy, sides: list[str], wanted: list[str]) -> dict[str, Binned]:
    """The counts of these rows by side."""
    found = {side: Binned() for side in sides}
    for part in scores.parts(wanted):
        nobody, gains = flagging(part, policy)
        for side, tally in found.items():
            _count(part, side, gains, tally)
            tally.nobody += float(nobody.sum())
    return found


def money_columns(policy: Policy) -> list[str]:
    """The columns of a score table that dollars are made of."""
    return sorted({f"column.{spec}" for spec in policy.measure.dollars.values() if isinstance(spec, str)})


def flagging(part: Part, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """(n,) of what not flagging a row is worth, and of what flagging it adds, in whole 1/CENTS dollars."""
    if not policy.measure.dollars:
        return np.zeros(part.rows), np.zeros(part.rows)
    columns = {name.removeprefix("column."): part.number(name) for name in money_columns(policy)}
    nobody, everybody = (
        np.round(CENTS * dollars(policy.measure, part.y, np.full(part.rows, decision), columns, "classification"))
        for decision in (0, 1)
    )
    return nobody, np.asarray(everybody - nobody)


def bins_of(part: Part, side: str) -> np.ndarray:
    """(n,) the bin of each row's score."""
    found = part.number(f"{side}.score").astype(np.float32).view(np.uint32) >> SHIFT
    return np.asarray(np.minimum(found, BINS - 1).astype(np.int64))


def centres() -> np.ndarray:
    """(BINS,) the score in the middle of each bin."""
    ends = (np.arange(BINS + 1, dtype=np.uint32) << SHIFT).view(np.float32).astype(np.float64)
    return np.asarray(np.minimum((ends[:-1] + ends[1:]) / 2, 1.0))


def summed(tallies: Mapping[str, Binned], side: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bins, rows, positives) of a side's bins that have rows."""
    there = np.flatnonzero(tallies[side].rows)
    return there, tallies[side].rows[there], tallies[side].positives[there]


def _count(part: Part, side: str, gains: np.ndarray, tally: Binned) -> None:
    bins = bins_of(part, side)
    tally.rows += np.bincount(bins, minlength=BINS)
    tally.positives += np.bincount(bins, weights=part.y, minlength=BINS)
    tally.gains += np.bincount(bins, weights=gains, minlength=BINS)
    tally.flagged += int(part.number(f"{side}.decision").sum())
