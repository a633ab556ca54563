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

from promotion.config.policy import ChallengeRule, Floor
from promotion.records import Looks, RuleResult, Verdict, finite
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

    failing: the interval at the tail for failing. reason: why value or interval is None. changed: in how many
    clusters the two models differ at all, where that is known.
    """

    value: float | None
    interval: Interval
    failing: Interval = None
    reason: str | None = None
    unit: str | None = None
    changed: int | None = None


def fewest(share: float) -> int:
    """How many differing clusters a claim of superiority needs at tail `share`.

    When models are equal, each differing cluster is as likely for one as for the other: all k agree with
    probability 2^-k, which must not exceed the tail, and no interval from k clusters knows better.
    """
    return math.ceil(math.log2(1 / share))


def tail(confidence: float, looks: int) -> float:
    """The probability in one tail: two-sided `confidence`, spread evenly over `looks`."""
    return (1 - confidence) / 2 / looks


def floor_rule(floor: Floor, found: Outcome, label: str | None) -> RuleResult:
    """Hold a point value against a floor; not finite or not there fails with its reason."""
    name = f"{floor.target.metric} {floor.op} {floor.bound:g}"
    value = finite(found.value)
    ok = value is not None and found.reason is None and COMPARE[floor.op](float(found.value or 0.0), floor.bound)
    where = "" if label is None else f" on {label}"
    if ok:
        reason = f"{floor.target.metric}{where} is {text.figure(value, found.unit)}, which meets the floor"
    elif value is None or found.reason is not None:
        reason = (
            f"{floor.target.metric}{where} cannot be held against its floor: {found.reason or 'it is not a number'}"
        )
    else:
        digits = text.digits_apart(value, floor.bound, found.unit)
        figure, bound = (text.figure(v, found.unit, digits=digits) for v in (value, floor.bound))
        reason = f"{floor.target.metric}{where} is {figure}, and must be {floor.op} {bound}"
    return RuleResult(
        rule=name,
        kind="floor",
        metric=floor.target.metric,
        slice=label,
        value=value,
        bound=floor.bound,
        interval=rounded(found.interval),
        ok=ok,
        reason=reason,
    )


def rule_name(rule: ChallengeRule) -> str:
    """`net_benefit superior`, `f1 not_worse_than 0.05`, `rmse not_worse_than 5%`."""
    if rule.kind == "superior":
        return f"{rule.target.metric} superior"
    margin = f"{rule.margin * 100:g}%" if rule.relative else f"{rule.margin:g}"
    return f"{rule.target.metric} not_worse_than {margin}"


def bound_of(rule: ChallengeRule, sign: int) -> float:
    """What the difference, or the contrast of a relative margin, is compared with (sign: +1 higher is better)."""
    return 0.0 if rule.kind == "superior" or rule.relative or not rule.margin else -sign * rule.margin


def challenge_rule(rule: ChallengeRule, found: Outcome, label: str | None, sign: int, *, least: int = 0) -> RuleResult:
    """Hold the interval of candidate minus champion against the rule's bound.

    least: how many clusters must differ before a bound of 0 is settled; see fewest.
    """
    bound = bound_of(rule, sign)
    ok, reason = _settle(found, bound, sign)
    if ok is not None and found.changed is not None and bound == 0 and not rule.relative and found.changed < least:
        ok, reason = None, f"the models differ in only {text.plural(found.changed, 'cluster')}; {least} are needed"
    return RuleResult(
        rule=rule_name(rule),
        kind=rule.kind,  # type: ignore[arg-type]
        metric=rule.target.metric,
        slice=label,
        value=finite(found.value),
        bound=bound,
        interval=rounded(found.interval),
        ok=ok,
        reason=reason,
    )


def _settle(found: Outcome, bound: float, sign: int) -> tuple[bool | None, str]:
    limit = text.figure(bound, found.unit, signed=True) if bound else "0"
    better, worse = ("above", "below") if sign > 0 else ("below", "above")
    if found.value is None or not math.isfinite(found.value):
        return False, f"cannot be computed: {found.reason or 'the difference is not a number'}"
    if found.interval is None or not all(map(math.isfinite, found.interval)):
        return None, f"no interval: {found.reason or 'too many replicates cannot be computed'}"
    low, high = sorted(sign * end for end in found.interval)
    if low > sign * bound:
        return True, f"the whole interval lies {better} {limit}"
    if found.failing is not None:
        worst = max(sign * end for end in found.failing)
        if math.isfinite(worst) and worst < sign * bound:
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
    gate: tuple[RuleResult, ...],
    challenge: tuple[RuleResult, ...],
    *,
    looks: Looks | None,
    champion: bool,
    same: bool,
) -> Verdict:
    """Return the verdict; `challenge` are all rules against the champion, the signature's and windows' too."""
    if not gate or not all(rule.ok is True for rule in gate):
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
    if any(rule.ok is False for rule in challenge):
        return "KEEP"
    if challenge and all(rule.ok is True for rule in challenge):
        return "PROMOTE"
    return "INCONCLUSIVE"
