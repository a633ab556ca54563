"""Records as rows of text: rules, metrics, days and power, each with the record for its picture.

Every figure comes from a record; the only arithmetic is a day's candidate minus champion.
"""

import re
from dataclasses import dataclass

from promotion.records import Comparison, Estimate, Evaluation, Power, RuleResult
from promotion.rendering.reported import Reported
from promotion.text import figures as text

OUTCOMES = {
    True: ("✅", "✓", "pass", "pass"),
    False: ("❌", "✕", "fail", "fail"),
    None: ("❓", "?", "open", "unsettled"),
}


@dataclass(frozen=True)
class RuleRow:
    """One rule as text; `result` and `better` are for the picture."""

    mark: str
    glyph: str
    tone: str
    word: str
    name: str
    value: str
    interval: str
    bound: str
    reason: str
    result: RuleResult
    unit: str | None
    better: str


@dataclass(frozen=True)
class MetricRow:
    """One metric on all rows or on one slice, as text; `comparison` is for the picture."""

    name: str
    slice: str
    rows: str
    champion: str
    candidate: str
    difference: str
    interval: str
    candidate_interval: str
    better: str
    comparison: Comparison


@dataclass(frozen=True)
class DayRow:
    """One test day; `delta` (candidate minus champion) is None where one of them is missing."""

    day: str
    rows: str
    champion: str
    candidate: str
    difference: str
    delta: float | None


@dataclass(frozen=True)
class PowerRow:
    """What the test set can show about one challenge rule."""

    name: str
    smallest: str
    pass_zero: str
    pass_worthwhile: str
    days_needed: str
    worthwhile: str
    warning: str | None
    power: Power


@dataclass(frozen=True)
class Hero:
    """The one line that matters: the first challenge metric of both models and the difference."""

    metric: str
    window: str
    champion: str | None
    candidate: str
    difference: str | None
    interval: str | None
    level: str
    candidate_interval: str
    comparison: Comparison


def _units(reported: Reported, metric: str | None) -> tuple[str | None, str]:
    """(unit, better) of a metric: from the comparisons, else from the policy."""
    comparisons = reported.evaluation.comparisons if reported.evaluation is not None else ()
    for comparison in comparisons:
        if comparison.metric == metric:
            return comparison.unit, comparison.better
    policy = reported.plan.policy or {}
    custom = ((policy.get("measure") or {}).get("metrics") or {}).get(metric) or {}
    unit = custom.get("unit") or ("$" if metric == "net_benefit" else None)
    return unit, custom.get("better", "higher")


def rule_row(rule: RuleResult, reported: Reported) -> RuleRow:
    """One rule as it came out."""
    unit, better = _units(reported, rule.metric)
    mark, glyph, tone, word = OUTCOMES[rule.ok]
    floor = rule.kind == "floor"
    digits = text.digits_apart(rule.value, rule.bound, unit)
    if rule.interval is not None:
        digits = max(digits if rule.bound else 0, text.decimals((rule.value, *rule.interval), unit))
    return RuleRow(
        mark=mark,
        glyph=glyph,
        tone=tone,
        word=word,
        name=rule.rule if rule.slice is None or rule.slice in rule.rule else f"{rule.rule} ({rule.slice})",
        value=text.figure(rule.value, unit, signed=not floor, digits=digits),
        interval=text.interval(rule.interval, unit, digits=digits, signed=not floor),
        bound=_bound(rule, reported, unit, better, digits),
        reason=rule.reason,
        result=rule,
        unit=unit,
        better=better,
    )


def _bound(rule: RuleResult, reported: Reported, unit: str | None, better: str, digits: int) -> str:
    if rule.bound is None:
        return text.MISSING
    if rule.kind == "floor":
        operator = _operator(rule, reported)
        least = min(digits, text.decimals((rule.bound,), unit)) if rule.bound else 0
        return f"{operator} {text.figure(rule.bound, unit, digits=max(least, _places(rule.bound)))}".strip()
    side = "above" if better == "higher" else "below"
    return f"{side} {text.figure(rule.bound, unit, signed=True, digits=digits if rule.bound else 0)}"


def _places(value: float) -> int:
    """Decimals that a bound was written with."""
    return min(6, len(f"{value:.6f}".rstrip("0").partition(".")[2]))


def _operator(rule: RuleResult, reported: Reported) -> str:
    policy = reported.evaluation.policy if reported.evaluation is not None else reported.plan.policy or {}
    gate = policy.get("gate")
    written = gate.get(rule.metric, "") if isinstance(gate, dict) else ""
    for source in (rule.rule, str(written)):
        found = re.search(r">=|<=|>|<", source)
        if found is not None:
            return {">=": "≥", "<=": "≤"}.get(found[0], found[0])
    return ""


def metric_row(comparison: Comparison) -> MetricRow:
    """One metric of both models; where it could not be computed, the reason stands in its place."""
    unit, difference = comparison.unit, comparison.difference
    levels = [e.value for e in (comparison.candidate, comparison.champion) if e is not None]
    digits = text.decimals(levels, unit)
    gap = digits
    if difference is not None and difference.value is not None:
        gap = max(digits, text.decimals((difference.value, *(difference.interval or ())), unit))
    return MetricRow(
        name=comparison.metric,
        slice=comparison.slice or "",
        rows=text.count(comparison.rows),
        champion=_estimate(comparison.champion, unit, digits),
        candidate=_estimate(comparison.candidate, unit, digits),
        difference=_estimate(difference, unit, gap, signed=True),
        interval=text.interval(None if difference is None else difference.interval, unit, digits=gap),
        candidate_interval=text.interval(comparison.candidate.interval, unit, digits=digits, signed=False),
        better=comparison.better,
        comparison=comparison,
    )


def _estimate(estimate: Estimate | None, unit: str | None, digits: int, *, signed: bool = False) -> str:
    if estimate is None:
        return text.MISSING
    if estimate.value is None:
        return estimate.reason or text.MISSING
    return text.figure(estimate.value, unit, signed=signed, digits=digits)


def lead_comparison(evaluation: Evaluation) -> Comparison | None:
    """The comparison of the first challenge rule, else of the first floor, else the first there is."""
    overall = [c for c in evaluation.comparisons if c.slice is None]
    for rule in (*evaluation.challenge, *evaluation.gate):
        for comparison in overall:
            if rule.metric == comparison.metric and rule.slice is None:
                return comparison
    return overall[0] if overall else None


def hero(evaluation: Evaluation, lead: Comparison | None) -> Hero | None:
    """The lead comparison and the test window in one line."""
    if lead is None:
        return None
    row, test = metric_row(lead), evaluation.test
    measure = evaluation.policy.get("measure")
    declared = measure.get("test_days") if isinstance(measure, dict) else None
    days = declared if isinstance(declared, int) else len(evaluation.days)
    has_champion = lead.champion is not None
    return Hero(
        metric=lead.metric,
        window=f"{text.plural(days, 'test day')} ({test.first} to {test.last})"
        if days
        else f"{test.first} to {test.last}",
        champion=row.champion if has_champion else None,
        candidate=row.candidate,
        difference=row.difference if has_champion and lead.difference is not None else None,
        interval=row.interval if has_champion and lead.difference is not None else None,
        level=text.confidence(evaluation.confidence_used),
        candidate_interval=text.interval(lead.candidate.interval, lead.unit, signed=False),
        comparison=lead,
    )


def day_rows(evaluation: Evaluation, lead: Comparison | None) -> tuple[DayRow, ...]:
    """The test days in the units of the lead comparison."""
    unit = lead.unit if lead is not None else None
    levels = [v for d in evaluation.days for v in (d.candidate, d.champion)]
    digits = text.decimals(levels, unit)
    rows = []
    for day in evaluation.days:
        known = day.candidate is not None and day.champion is not None
        delta = day.candidate - day.champion if known else None
        rows.append(
            DayRow(
                day=day.day,
                rows=text.count(day.rows),
                champion=text.figure(day.champion, unit, digits=digits),
                candidate=text.figure(day.candidate, unit, digits=digits),
                difference=text.figure(delta, unit, signed=True, digits=digits),
                delta=delta,
            )
        )
    return tuple(rows)


def power_row(power: Power, evaluation: Evaluation) -> PowerRow:
    """What the test set can show about one rule."""
    unit = None
    for comparison in evaluation.comparisons:
        if re.match(rf"{re.escape(comparison.metric)}(?![A-Za-z0-9_])", power.rule):
            unit = comparison.unit
            break
    return PowerRow(
        name=power.rule,
        smallest=text.figure(power.smallest, unit),
        pass_zero=text.share(power.pass_zero),
        pass_worthwhile=text.share(power.pass_worthwhile),
        days_needed=text.MISSING if power.days_needed is None else text.plural(power.days_needed, "day"),
        worthwhile=_worthwhile(power, evaluation, unit),
        warning=power.warning,
        power=power,
    )


def _worthwhile(power: Power, evaluation: Evaluation, unit: str | None) -> str:
    """` ($1,000)`: the policy's worthwhile difference, which is in the units of the first challenge rule."""
    challenge = evaluation.policy.get("challenge")
    declared = challenge.get("worthwhile") if isinstance(challenge, dict) else None
    first = bool(evaluation.power) and evaluation.power[0] is power
    if not first or not isinstance(declared, int | float):
        return ""
    return f" ({text.figure(declared, unit)})"
