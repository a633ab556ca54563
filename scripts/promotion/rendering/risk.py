"""What a reviewer of model risk looks for beside the verdict: calibration, costs and drift as rows of text."""

from collections.abc import Sequence
from dataclasses import dataclass

from promotion.records.charts import Band, Bin, Reliability
from promotion.records.evaluation import Evaluation
from promotion.text import figures as text

STABLE, MOVED = 0.1, 0.25  # of a population stability index: the limits that are used everywhere
MOST_BINS_TOLD = 3


@dataclass(frozen=True)
class Shape:
    """Slope and intercept of one model's probabilities."""

    name: str
    slope: str
    slope_interval: str
    intercept: str
    intercept_interval: str


@dataclass(frozen=True)
class BinRow:
    """The candidate's rows with scores of one bin."""

    scores: str
    rows: str
    expected: str
    observed: str
    interval: str
    bin: Bin


@dataclass(frozen=True)
class CalibrationView:
    """Both models' shapes, and the candidate's bins."""

    shapes: tuple[Shape, ...]
    bins: tuple[BinRow, ...]


@dataclass(frozen=True)
class CostRow:
    """Both models if a review cost so many times what the policy says."""

    times: str
    champion: str
    candidate: str
    difference: str
    interval: str


@dataclass(frozen=True)
class CostsView:
    """Net benefit over the cost of a review; even: where both would earn the same, empty where nowhere."""

    rows: tuple[CostRow, ...]
    even: str


@dataclass(frozen=True)
class DriftRow:
    """One column; told: the bins whose share moved most. word: stable, moved, moved far."""

    name: str
    psi: str
    word: str
    told: str


@dataclass(frozen=True)
class DriftView:
    """The columns, those that moved most first, and how many of them moved."""

    rows: tuple[DriftRow, ...]
    said: str


def calibration_view(evaluation: Evaluation, champion: str, candidate: str) -> CalibrationView | None:
    """Calibration as text; None where the record has none."""
    found = evaluation.calibration
    if found is None:
        return None
    sides = [(champion, found.champion), (candidate, found.candidate)]
    return CalibrationView(
        shapes=tuple(_shape(name, side) for name, side in sides if side is not None),
        bins=tuple(_bin_row(one) for one in found.candidate.bins),
    )


def _shape(name: str, side: Reliability) -> Shape:
    slope, level = side.slope, side.intercept
    return Shape(
        name=name,
        slope=text.figure(slope.value, digits=2) if slope.value is not None else slope.reason or text.MISSING,
        slope_interval=text.interval(slope.interval, digits=2, signed=False),
        intercept=text.figure(level.value, signed=True, digits=2) if level.value is not None else text.MISSING,
        intercept_interval=text.interval(level.interval, digits=2),
    )


def _bin_row(one: Bin) -> BinRow:
    digits = max(3, text.decimals((one.expected, one.observed)))
    return BinRow(
        scores=f"{one.low:.3g} to {one.high:.3g}",
        rows=text.count(one.rows),
        expected=text.figure(one.expected, digits=digits),
        observed=text.figure(one.observed, digits=digits),
        interval=text.interval(one.interval, digits=digits, signed=False),
        bin=one,
    )


def costs_view(evaluation: Evaluation) -> CostsView | None:
    """Costs as text; None where the record has none."""
    found = evaluation.costs
    if found is None:
        return None
    difference = found.difference
    rows = []
    for i, times in enumerate(found.times):
        shown = found.candidate if difference is None else difference
        rows.append(
            CostRow(
                times=f"{times:g} ×",
                champion=text.MISSING if found.champion is None else text.figure(found.champion.values[i], "$"),
                candidate=text.figure(found.candidate.values[i], "$"),
                difference=text.MISSING if difference is None else text.figure(difference.values[i], "$", signed=True),
                interval=text.interval(_ends(shown, i), "$", signed=difference is not None),
            )
        )
    return CostsView(tuple(rows), "" if found.even is None else f"{found.even:.3g} ×")


def _ends(band: Band, place: int) -> tuple[float, float] | None:
    low, high = band.low[place], band.high[place]
    return None if low is None or high is None else (low, high)


def drift_view(evaluation: Evaluation) -> DriftView | None:
    """Drift as text; None where the record has none."""
    found = evaluation.drift
    if not found:
        return None
    ordered = sorted(found, key=lambda one: (one.of != "score", -one.psi))
    moved = sum(one.psi >= STABLE for one in found)
    rows = [
        DriftRow(
            name=one.column if one.of == "feature" else "the candidate's scores",
            psi=text.figure(one.psi, digits=3),
            word="stable" if one.psi < STABLE else "moved" if one.psi < MOVED else "moved far",
            told=", ".join(_told(one.bins)),
        )
        for one in ordered
    ]
    return DriftView(tuple(rows), f"{moved} of {text.plural(len(found), 'column')} moved")


def _told(bins: Sequence[tuple[str, float, float]]) -> list[str]:
    """`over 220: 9.5% to 14%` of the bins that moved most."""
    most = sorted(bins, key=lambda one: -abs(one[2] - one[1]))[:MOST_BINS_TOLD]
    return [f"{label}: {text.share(before)} to {text.share(now)}" for label, before, now in most if before != now]
