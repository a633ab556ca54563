"""The judgement in one plain sentence that a data scientist gets in ten seconds."""

from collections.abc import Sequence

from promotion.config.policy import Policy
from promotion.judgement.metrics import Metric
from promotion.records import Looks, RuleResult, Side
from promotion.text import figures as text


def headline(
    verdict: str,
    metric: Metric,
    value: float,
    policy: Policy,
    gate: Sequence[RuleResult],
    challenge: Sequence[RuleResult],
    champion: Side | None,
    looks: Looks | None,
) -> str:
    """Return the sentence. metric, value: the first challenge rule's metric, and the candidate's value of it."""
    name = metric.name.replace("_", " ")
    against = "the champion" if champion is None or champion.version is None else f"version {champion.version}"
    if verdict == "REJECTED":
        return "; ".join(rule.reason for rule in gate if rule.ok is not True) or "there is no floor to pass"
    if looks is not None and looks.number > looks.allowed:
        used = text.plural(looks.allowed, "candidate")
        return f"these test days were good for {used}, and that many have been judged on them; move as_of"
    if verdict == "SAME":
        return f"the same predictions as {against} on every row"
    if verdict == "FIRST":
        return f"passes every floor with {name} {text.figure(value, metric.unit)}; there is no champion yet"
    failed = [rule for rule in challenge if rule.ok is False]
    if not any(rule.metric for rule in challenge):
        return f"not against {against}: " + "; ".join(rule.reason for rule in failed)
    said = _difference(challenge[0], name, metric, policy, against)
    if verdict == "KEEP" and failed:
        return f"{said}; fails {_listed(failed)}"
    unsettled = [rule for rule in challenge if rule.ok is None]
    return f"{said}; does not settle {_listed(unsettled)}" if unsettled else said


def _difference(rule: RuleResult, name: str, metric: Metric, policy: Policy, against: str) -> str:
    """`net benefit +$2,545 (95% confidence: +$412 to +$4,678) against version 3`; of the first rule."""
    said = f"{name} {text.figure(rule.value, metric.unit, signed=True)}"
    if rule.slice is not None:
        said += f" on {rule.slice}"
    if rule.interval is not None:
        level = text.confidence(policy.challenge.confidence)
        said += f" ({level} confidence: {text.interval(rule.interval, metric.unit)})"
    return f"{said} against {against}"


def _listed(rules: Sequence[RuleResult]) -> str:
    """Up to three rules by name."""
    names = [rule.rule + (f" on {rule.slice}" if rule.slice else "") for rule in rules]
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
