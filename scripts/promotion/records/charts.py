"""What the report draws beside the verdict: days, changed decisions, curves, costs, calibration, drift."""

from typing import Annotated, Literal

from pydantic import Field

from promotion.frozen import Frozen, added
from promotion.records.figures import Estimate


class Day(Frozen):
    """One day of the test window: the first challenge metric of both models."""

    day: str
    rows: int
    candidate: float | None = None
    champion: float | None = None


Kind = Literal["newly_caught", "newly_missed", "new_false_alarm", "false_alarm_gone"]


class Flip(Frozen):
    """The rows of one kind on which the two models decide differently.

    dollars: the candidate's dollars on these rows minus the champion's; None without `measure.dollars`.
    """

    kind: Kind
    rows: int
    dollars: float | None = None


class Band(Frozen):
    """Values, each with the ends of its own interval (of all points at once they say less); None: not defined."""

    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class SideCurve(Frozen):
    """One model at every threshold. values: None where not defined; chosen: how many rows it really flags.

    low, high: the ends of each value's own interval.
    """

    values: tuple[float | None, ...]
    chosen: int
    low: tuple[float | None, ...] | None = added()
    high: tuple[float | None, ...] | None = added()


class Curve(Frozen):
    """The first challenge metric where at most so many rows are `flagged`, those with a model's highest scores.

    difference: candidate minus champion at the same number of flagged rows.
    """

    metric: str
    flagged: tuple[int, ...]
    candidate: SideCurve
    champion: SideCurve | None = None
    difference: Band | None = added()


class Costs(Frozen):
    """Net benefit of the models' own decisions if a review cost `times` what the policy says.

    even: the multiple at which both models would earn the same; None where there is none, or no champion.
    """

    times: tuple[float, ...]
    candidate: Band
    champion: Band | None = None
    difference: Band | None = None
    even: float | None = None


class Bin(Frozen):
    """Rows whose scores lie between `low` and `high`: their mean score, and the share of positives among them."""

    low: float
    high: float
    rows: int
    expected: float
    observed: float
    interval: tuple[float, float] | None = None


class Reliability(Frozen):
    """How far a model's probabilities are what they say. slope, intercept: 1 and 0 where they are exactly that.

    slope: of the label's log odds in the score's; below 1 the scores are too extreme. intercept: of the label's log
    odds with the slope held at 1; below 0 the scores are too high.
    """

    slope: Estimate
    intercept: Estimate
    bins: tuple[Bin, ...]


class Calibration(Frozen):
    """Both models' probabilities against what happened."""

    candidate: Reliability
    champion: Reliability | None = None


class Drift(Frozen):
    """How far a feature, or the candidate's scores, moved from training to test: the population stability index.

    bins: (label, share of the training rows, share of the test rows).
    """

    of: Literal["score", "feature"]
    column: Annotated[str, Field(max_length=100)]
    psi: float
    bins: Annotated[tuple[tuple[Annotated[str, Field(max_length=100)], float, float], ...], Field(max_length=20)]


Drifts = Annotated[tuple[Drift, ...], Field(max_length=201)]
