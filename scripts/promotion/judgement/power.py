"""Power: what a test set can show, from the standard error of a difference; normal approximation, pure."""

import math
from datetime import date
from statistics import NormalDist

from promotion.config.policy import ChallengeRule, Policy
from promotion.judgement.rules import rule_name, tail
from promotion.records import Evaluation, Power, finite

POWER = 0.80
HARDLY = 0.10  # a rule that an equal candidate passes less often than this is told
NORMAL = NormalDist()
MOST_DAYS = 100_000


def power_of(
    rule: ChallengeRule, error: float, share: float, *, days: int, worthwhile: float | None, label: str | None
) -> Power:
    """Return the power of one rule. error: standard error of the difference (or contrast) on `days` test days.

    `margin + true difference` over `error` is the distance to the bound; the rule passes when it exceeds
    z(1 - share) after the noise. A relative margin's `error` is its contrast's and its margin is given by
    the caller as an absolute one.
    """
    z = NORMAL.inv_cdf(1 - share)
    margin = 0.0 if rule.kind == "superior" else rule.margin
    smallest = (z + NORMAL.inv_cdf(POWER)) * error
    zero = passes(margin, error, z)
    needed = None
    if worthwhile is not None:
        needed = days_needed(worthwhile + margin, smallest, days)
    elif margin > 0:
        needed = days_needed(margin, smallest, days)
    name = rule_name(rule) + ("" if label is None else f" ({label})")
    return Power(
        rule=name,
        sd=finite(error) or 0.0,
        smallest=finite(smallest) or 0.0,
        pass_zero=finite(zero, 4) or 0.0,
        pass_worthwhile=None if worthwhile is None else finite(passes(worthwhile + margin, error, z), 4),
        days_needed=needed,
        warning=_warning(
            name, rule, zero, margin, smallest, needed, worthwhile, passes((worthwhile or 0) + margin, error, z)
        ),
    )


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


def _warning(
    name: str,
    rule: ChallengeRule,
    zero: float,
    margin: float,
    smallest: float,
    needed: int | None,
    worthwhile: float | None,
    pass_worthwhile: float,
) -> str | None:
    more = "" if needed is None else f", or {needed} test days"
    if rule.kind == "not_worse_than" and zero < 0.5:
        return (
            f"a candidate that is no worse at all passes `{name}` only {zero:.1%} of the time; "
            f"80% needs a margin of {smallest:.3g}{more}"
        )
    if worthwhile is not None and pass_worthwhile < 0.5:
        return (
            f"a candidate that is better by the worthwhile {worthwhile:g} passes `{name}` only {pass_worthwhile:.1%} "
            f"of the time; 80% needs a difference of {smallest - margin:.3g}{more}"
        )
    return None


def policy_power(policy: Policy, evaluation: Evaluation) -> tuple[Power, ...]:
    """Return what candidates with no and with the worthwhile difference would get under `policy`.

    evaluation: the champion's stored one; the standard errors of its differences stand for those of the next
    challenge. Rules that it has no error for (another metric, another slice, a relative margin) are left
    out.
    """
    span = date.fromisoformat(evaluation.test.last) - date.fromisoformat(evaluation.test.first)
    known: dict[tuple[str | None, str | None], float] = {}
    rules = {r.rule + (f" ({r.slice})" if r.slice else ""): r for r in evaluation.challenge}
    for power in evaluation.power:
        rule = rules.get(power.rule)
        if rule is not None and not rule.rule.endswith("%"):  # a relative margin's error is its contrast's
            known[rule.metric, rule.slice] = power.sd
    share = tail(policy.challenge.confidence, policy.challenge.looks)
    found = []
    for i, wanted in enumerate(policy.challenge.rules):
        for (metric, label), error in known.items():
            column = None if label is None else label.partition("=")[0]
            value = None if label is None else label.partition("=")[2]
            mine = wanted.target
            if wanted.relative or (mine.metric, mine.column) != (metric, column) or mine.value not in (None, value):
                continue
            worthwhile = policy.challenge.worthwhile if i == 0 else None
            found.append(power_of(wanted, error, share, days=span.days + 1, worthwhile=worthwhile, label=label))
    return tuple(found)
