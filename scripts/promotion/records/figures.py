"""Figures and rules, as they came out."""

from typing import Literal

from promotion.frozen import Frozen, added


class Assumptions(Frozen):
    """What the claim of a challenge rule rests on (`judgement/support.py` says why each matters).

    clusters: those with anything in them, in the rule's own slice. differing: those where the models' sums differ.
    counted: those that a rate is over, such as clusters with positives. skew, expected_skew: of the sum over
    clusters, as seen and as what is at stake lets expect it; below -0.2 few large losses, above 0.2 few large gains
    pull at it. largest_share: of the largest cluster in the sizes of all differences. without_largest: the
    difference without it. unseen: the largest loss (gain, where the candidate is worse), beyond those seen, that
    is still compatible: unseen_rate of each of the unseen_clusters largest stakes. exact: the interval's end is
    this bound, because the replicates cannot be taken at their word. extreme: an end is the most extreme replicate.
    """

    clusters: int
    differing: int
    counted: int | None = added()
    skew: float | None = added()
    expected_skew: float | None = added()
    largest_share: float | None = added()
    without_largest: float | None = added()
    unseen: float | None = added()
    unseen_rate: float | None = added()
    unseen_clusters: int | None = added()
    exact: bool | None = added()
    replicates: int
    extreme: bool | None = added()


class RuleResult(Frozen):
    """One rule of the gate or the challenge, as it came out.

    value: what was compared (a metric's value, or candidate minus champion, or the contrast of a
    relative margin). bound: what it was compared with. interval: (low, high) of `value` at the
    confidence really used. ok: True passed, False failed, None settled nothing. assumptions: what a
    challenge rule rests on. ruled: False where the policy lets a slice with too little data pass by.
    """

    rule: str
    kind: Literal["floor", "superior", "not_worse_than", "signature", "windows", "looks"]
    metric: str | None = None
    slice: str | None = None
    value: float | None = None
    bound: float | None = None
    interval: tuple[float, float] | None = None
    ok: bool | None = None
    reason: str
    assumptions: Assumptions | None = added()
    ruled: bool | None = added()


class Estimate(Frozen):
    """A metric's value with its interval; both None where it could not be computed (`reason` says why)."""

    value: float | None = None
    interval: tuple[float, float] | None = None
    reason: str | None = None


class Comparison(Frozen):
    """One metric on all rows or on one slice, for both models, and candidate minus champion."""

    metric: str
    unit: str | None = None
    better: Literal["higher", "lower"] = "higher"
    slice: str | None = None
    rows: int
    candidate: Estimate
    champion: Estimate | None = None
    difference: Estimate | None = None


class Looks(Frozen):
    """How worn the test days are: this candidate is look `number` of `allowed` on overlapping days."""

    number: int
    allowed: int
