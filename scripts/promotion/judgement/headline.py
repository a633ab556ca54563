"""The judgement in one plain sentence that a data scientist gets in ten seconds."""

from collections.abc import Sequence

from promotion.records.evaluation import Evaluation
from promotion.records.figures import Comparison, RuleResult
from promotion.text import figures as text


def headline(found: Evaluation) -> str:
    """Return the sentence of an evaluation that has none yet; its first comparison is of the first rule's metric."""
    lead, champion, looks = found.comparisons[0], found.champion, found.looks
    against = "the champion" if champion is None or champion.version is None else f"version {champion.version}"
    name = lead.metric.replace("_", " ")
    if found.verdict == "REJECTED":
        return "; ".join(rule.reason for rule in found.gate if rule.ok is not True) or "there is no floor to pass"
    if looks is not None and looks.number > looks.allowed:
        used = text.plural(looks.allowed, "candidate")
        return f"these test days allow {used}, and {looks.allowed} have been judged; move as_of"
    if found.verdict == "SAME":
        return f"the same predictions as {against} on every row"
    if found.verdict == "FIRST":
        return (
            f"passes every floor with {name} {text.figure(lead.candidate.value, lead.unit)}; there is no champion yet"
        )
    failed = [rule for rule in found.challenge if rule.ok is False]
    if not any(rule.metric for rule in found.challenge):
        return f"not against {against}: " + "; ".join(rule.reason for rule in failed)
    said = _difference(found, lead, against)
    if found.verdict == "KEEP" and failed:
        return f"{said}; fails {_listed(failed)}"
    unsettled = [rule for rule in found.challenge if rule.ok is None and rule.ruled is not False]
    return f"{said}; does not settle {_listed(unsettled)}" if unsettled else said


def _difference(found: Evaluation, lead: Comparison, against: str) -> str:
    """`net benefit +$2,545 (95% confidence: +$412 to +$4,678) against version 3`; of the first rule."""
    rule = found.challenge[0]
    said = f"{lead.metric.replace('_', ' ')} {text.figure(rule.value, lead.unit, signed=True)}"
    if rule.slice is not None:
        said += f" on {rule.slice}"
    if rule.interval is not None:
        level = text.confidence(found.policy.challenge.confidence)
        said += f" ({level} confidence: {text.interval(rule.interval, lead.unit)})"
    return f"{said} against {against}"


def _listed(rules: Sequence[RuleResult]) -> str:
    """Up to three rules by name."""
    names = [rule.rule + (f" on {rule.slice}" if rule.slice else "") for rule in rules]
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
