"""Power: what a test set can show, from the standard error of a difference; normal approximation, pure."""

import math
from datetime import date
from statistics import NormalDist

from promotion.config.policy import Policy
from promotion.config.rules import ChallengeRule
from promotion.frozen import finite
from promotion.judgement.metrics import Task, metrics_of
from promotion.judgement.rules import rule_name, tail
from promotion.records.evaluation import Evaluation, Power

POWER = 0.80
NORMAL = NormalDist()
MOST_DAYS = 100_000


def power_of(
    rule: ChallengeRule, error: float, share: float, *, days: int, worthwhile: float | None, name: str
) -> Power:
    """Return the power of one rule. error: standard error of the difference (or contrast) on `days` test days.

    `margin + true difference` over `error` is the distance to the bound; the rule passes when it exceeds
    z(1 - share) after the noise. The rule's margin is an absolute one, and it and `worthwhile` are those of
    `days`. name: the rule's.
    """
    z = NORMAL.inv_cdf(1 - share)
    margin = 0.0 if rule.kind == "superior" else rule.margin
    smallest = (z + NORMAL.inv_cdf(POWER)) * error
    needed = None
    if worthwhile is not None:
        needed = days_needed(worthwhile + margin, smallest, days)
    elif margin > 0:
        needed = days_needed(margin, smallest, days)
    found = Power(
        rule=name,
        sd=finite(error) or 0.0,
        smallest=finite(smallest) or 0.0,
        pass_zero=finite(passes(margin, error, z), 4) or 0.0,
        pass_worthwhile=None if worthwhile is None else finite(passes(worthwhile + margin, error, z), 4),
        days_needed=needed,
        days=days,
    )
    return found.model_copy(update={"warning": _warning(found, rule, margin, worthwhile)})


def too_few(found: Power, counted: int, needed: int) -> Power:
    """The same where a loss of the margin could go unseen: so few clusters never pass a candidate that is no better."""
    days = None if found.days is None or not counted else math.ceil(found.days * needed / counted)
    more = "" if days is None else f", about {days} test days"
    warning = (
        f"a candidate that is no worse at all cannot pass `{found.rule}` here: it needs {needed} clusters to "
        f"rest on and there are {counted}{more}"
    )
    return found.model_copy(update={"pass_zero": 0.0, "days_needed": days, "warning": warning})


def sentences(powers: tuple[Power, ...], worthwhile: float | None) -> tuple[str, ...]:
    """Return one sentence a rule: what candidates with no and with the worthwhile difference would get."""
    found = []
    for power in powers:
        said = f"{power.rule}: a candidate that is no better and no worse passes {power.pass_zero:.1%} of the time"
        if power.pass_worthwhile is not None and worthwhile is not None:
            said += f", one that is better by the worthwhile {worthwhile:g} {power.pass_worthwhile:.1%}"
        found.append(f"{said}; differences of {power.smallest:.4g} show in 80% of test sets")
    return tuple(found)


def passes(distance: float, error: float, z: float) -> float:
    """Probability that an estimate expected `distance` above its bound shows it: Phi(distance / error - z)."""
    if error == 0:
        return 1.0 if distance > 0 else 0.0
    return NORMAL.cdf(distance / error - z)


def days_needed(distance: float, smallest: float, days: int) -> int | None:
    """Test days at which `distance` would be the smallest difference shown: errors fall as 1 / sqrt(days)."""
    if not distance > 0:
        return None
    needed = math.ceil(days * (smallest / distance) ** 2)
    return max(1, needed) if needed <= MOST_DAYS else None


def _warning(found: Power, rule: ChallengeRule, margin: float, worthwhile: float | None) -> str | None:
    more = "" if found.days_needed is None else f", or {found.days_needed} test days"
    if rule.kind == "not_worse_than" and found.pass_zero < 0.5:
        return (
            f"a candidate that is no worse at all passes `{found.rule}` only {found.pass_zero:.1%} of the time; "
            f"80% needs a margin of {found.smallest:.3g}{more}"
        )
    if worthwhile is not None and found.pass_worthwhile is not None and found.pass_worthwhile < 0.5:
        return (
            f"a candidate that is better by the worthwhile {worthwhile:g} passes `{found.rule}` only "
            f"{found.pass_worthwhile:.1%} of the time; 80% needs a difference of {found.smallest - margin:.3g}{more}"
        )
    return None


def policy_power(policy: Policy, evaluation: Evaluation) -> tuple[Power, ...]:
    """Return what candidates with no and with the worthwhile difference would get under `policy`.

    evaluation: the champion's stored one; the standard errors of its differences stand for those of the next
    challenge. Rules that it has no error for (another metric, another slice, a relative margin) are left
    out.
    """
    span = date.fromisoformat(evaluation.test.last) - date.fromisoformat(evaluation.test.first)
    known: dict[tuple[str | None, str | None], Power] = {}
    rules = {r.rule + (f" ({r.slice})" if r.slice else ""): r for r in evaluation.challenge}
    for power in evaluation.power:
        rule = rules.get(power.rule)
        if rule is not None and not rule.rule.endswith("%"):  # a relative margin's error is its contrast's
            known[rule.metric, rule.slice] = power
    share = tail(policy.challenge.confidence, policy.challenge.looks)
    found = []
    for i, wanted in enumerate(policy.challenge.rules):
        for (metric, label), power in known.items():
            column, _, value = (label or "").partition("=")
            mine = wanted.target
            if (
                wanted.relative
                or (mine.metric, mine.column or "") != (metric, column)
                or mine.value not in (None, value)
            ):
                continue
            days = power.days or span.days + 1
            scale = (days / policy.measure.test_days) ** _degree(policy, mine.metric)
            worthwhile = policy.challenge.worthwhile if i == 0 else None
            found.append(
                power_of(
                    wanted._replace(margin=wanted.margin * scale),
                    power.sd,
                    share,
                    days=days,
                    worthwhile=None if worthwhile is None else worthwhile * scale,
                    name=rule_name(wanted) + (f" ({label})" if label else ""),
                )
            )
    return tuple(found)


def _degree(policy: Policy, name: str) -> int:
    """Whether a metric grows with the days."""
    tasks: tuple[Task, ...] = ("classification", "regression")
    return next((known[name].degree for task in tasks if name in (known := metrics_of(policy, task))), 0)
