"""Rules and verdicts: pure functions from values and intervals to records.

A comparison is written once, positively, after isfinite, so that whatever is missing or cannot be
computed is not a pass. A floor compares point values. A challenge rule compares an interval: wholly on the
better side of its bound passes, wholly on the worse side fails, straddling settles nothing.

Several rules need no correction to pass, because all must (an intersection-union test: each at its own
level keeps the whole at that level). To fail, one is enough, so the claim that the candidate is worse is
made at the tail divided by the number of rules (Bonferroni).
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from promotion.config.rules import ChallengeRule, Floor
from promotion.frozen import finite
from promotion.records.evaluation import Verdict
from promotion.records.figures import Assumptions, Looks, RuleResult
from promotion.text import figures as text

COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Outcome:
    """What was found for one rule.

    failing: the interval at the tail for failing. reason: why value or interval is None. not_better, not_worse:
    why the data cannot carry the claim that the candidate is past the bound, or short of it. refused: why the
    rule fails whatever the values are.
    """

    value: float | None
    interval: Interval
    failing: Interval = None
    reason: str | None = None
    unit: str | None = None
    not_better: str | None = None
    not_worse: str | None = None
    refused: str | None = None
    assumptions: Assumptions | None = None


def fewest(share: float) -> int:
    """How many differing clusters a claim of superiority needs at tail `share`.

    When models are equal, each differing cluster is as likely for one as for the other: all k agree with
    probability 2^-k, which must not exceed the tail, and no interval from k clusters knows better.
    """
    return math.ceil(math.log2(1 / share))


def enough(margin: float, share: float) -> int:
    """How many clusters a rate needs before a loss of `margin` (a share of its rows) would show at tail `share`.

    If so much is lost, all G clusters keep theirs with probability (1 - margin)^G, which must not exceed the tail.
    """
    return 1 if margin >= 1 else math.ceil(math.log(share) / math.log1p(-margin))


def tail(confidence: float, looks: int) -> float:
    """The probability in one tail: two-sided `confidence`, spread evenly over `looks`."""
    return (1 - confidence) / 2 / looks


def floor_name(floor: Floor) -> str:
    """`f1 > 0.2`, `net_benefit above_trivial`."""
    return f"{floor.target.metric} {floor.op}" + ("" if floor.bound is None else f" {floor.bound:g}")


@dataclass(frozen=True)
class TrivialBest:
    """The best model that always says the same: what it does, its value, and how a value must compare with it."""

    name: str
    value: float
    op: str


def floor_rule(
    floor: Floor, found: Outcome, label: str | None, trivial: TrivialBest | None = None, *, scale: float = 1.0
) -> RuleResult:
    """Compare a point value with a floor; not finite, or with a reason against it, fails with the reason.

    trivial: the bound of `above_trivial`. scale: of a bound that belongs to the declared days, see bound_of.
    """
    metric, reason = floor.target.metric, found.reason
    value = finite(found.value) if reason is None else None
    where = "" if label is None else f" on {label}"
    bound, op = None if floor.bound is None else scale * floor.bound, floor.op
    if bound is None and trivial is not None:
        bound, op = finite(trivial.value), trivial.op
    elif bound is None:
        reason = reason or "no model that always says the same has a value to beat"
    ok = value is not None and bound is not None and COMPARE[op](float(found.value or 0.0), bound)
    if ok:
        said = f"{metric}{where} is {text.figure(value, found.unit)}, which meets the floor"
    elif value is None or bound is None or reason is not None:
        said = f"{metric}{where} cannot be compared with its floor: {reason or 'it is not a number'}"
    else:
        digits = text.digits_apart(value, bound, found.unit)
        figure, limit = (text.figure(v, found.unit, digits=digits) for v in (value, bound))
        said = f"{metric}{where} is {figure}, and must be {op} {limit}"
        said += f", what you get if you {trivial.name}" if floor.bound is None and trivial is not None else ""
    return RuleResult(
        rule=floor_name(floor),
        kind="floor",
        metric=metric,
        slice=label,
        value=value,
        bound=bound,
        interval=rounded(found.interval),
        ok=ok,
        reason=said,
    )


def rule_name(rule: ChallengeRule) -> str:
    """`net_benefit superior`, `f1 not_worse_than 0.05`, `rmse not_worse_than 5%`."""
    if rule.kind == "superior":
        return f"{rule.target.metric} superior"
    margin = f"{rule.margin * 100:g}%" if rule.relative else f"{rule.margin:g}"
    return f"{rule.target.metric} not_worse_than {margin}"


def bound_of(rule: ChallengeRule, sign: int, *, scale: float = 1.0) -> float:
    """What the difference, or the contrast of a relative margin, is compared with (sign: +1 higher is better).

    scale: of a margin that belongs to the declared days, the days that count over those.
    """
    return 0.0 if rule.kind == "superior" or rule.relative or not rule.margin else -sign * rule.margin * scale


def challenge_rule(
    rule: ChallengeRule, found: Outcome, label: str | None, sign: int, *, scale: float = 1.0
) -> RuleResult:
    """Compare the interval of candidate minus champion with the rule's bound; scale: see bound_of."""
    bound = bound_of(rule, sign, scale=scale)
    ok, reason = _settle(found, bound, sign)
    return RuleResult(
        rule=rule_name(rule),
        kind=rule.kind,
        metric=rule.target.metric,
        slice=label,
        value=finite(found.value),
        bound=finite(bound),
        interval=rounded(found.interval),
        ok=ok,
        reason=reason,
        assumptions=found.assumptions,
    )


def _settle(found: Outcome, bound: float, sign: int) -> tuple[bool | None, str]:
    limit = text.figure(bound, found.unit, signed=True) if bound else "0"
    better, worse = ("above", "below") if sign > 0 else ("below", "above")
    if found.refused is not None:
        return False, found.refused
    if found.value is None or not math.isfinite(found.value):
        return None, f"cannot be computed: {found.reason or 'the difference is not a number'}"
    if found.interval is None or not all(map(math.isfinite, found.interval)):
        return None, f"no interval: {found.reason or 'too many replicates cannot be computed'}"
    low, high = sorted(sign * end for end in found.interval)
    if low > sign * bound:
        if found.not_better is not None:
            return None, f"the whole interval lies {better} {limit}, but {found.not_better}"
        return True, f"the whole interval lies {better} {limit}"
    if found.failing is not None:
        worst = max(sign * end for end in found.failing)
        if math.isfinite(worst) and worst < sign * bound:
            if found.not_worse is not None:
                return None, f"the whole interval lies {worse} {limit}, but {found.not_worse}"
            return False, f"the whole interval lies {worse} {limit}"
    if high < sign * bound:
        return None, f"the interval lies {worse} {limit}, but not by enough for one of several rules"
    return None, f"the interval straddles {limit}, so this set does not settle it"


def rounded(interval: Interval) -> Interval:
    """An interval for a record; None when an end is not finite."""
    if interval is None:
        return None
    low, high = (finite(end) for end in interval)
    return None if low is None or high is None else (low, high)


def verdict(
    gate: tuple[RuleResult, ...] | None,
    challenge: tuple[RuleResult, ...],
    *,
    looks: Looks | None,
    champion: bool,
    same: bool,
) -> Verdict:
    """Return the verdict; `challenge` are all rules against the champion, the signature's and windows' too.

    gate: the floors; one at least must be there, except where None says that none is asked (after the merge).
    A rule that is not ruled (too little data on a slice, and the policy lets it pass) counts for nothing.
    """
    if gate is not None and (not gate or not all(rule.ok is True for rule in gate)):
        return "REJECTED"
    if looks is not None and looks.number > looks.allowed:
        return "INCONCLUSIVE"
    about_pair = [rule for rule in challenge if rule.kind not in ("superior", "not_worse_than")]
    if not all(rule.ok is True for rule in about_pair):
        return "KEEP"
    if not champion:
        return "FIRST"
    if same:
        return "SAME"
    ruled = [rule for rule in challenge if rule.ruled is not False]
    if any(rule.ok is False for rule in ruled):
        return "KEEP"
    about_metrics = [rule for rule in ruled if rule not in about_pair]
    if about_metrics and all(rule.ok is True for rule in about_metrics):
        return "PROMOTE"
    return "INCONCLUSIVE"
