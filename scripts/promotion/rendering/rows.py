"""Records as rows of text: rules, metrics, days and power, each with the record for its picture.

Every figure comes from a record; the only arithmetic is a day's candidate minus champion.
"""

import re
from dataclasses import dataclass

from promotion.records.evaluation import Evaluation, Power
from promotion.records.figures import Comparison, Estimate, RuleResult
from promotion.rendering.reported import Reported, results
from promotion.rendering.terms import Terms, operator_of, unit_of
from promotion.text import figures as text


@dataclass(frozen=True)
class Outcome:
    """How a rule came out: an emoji for Markdown, a sign for elsewhere, a tone for colours, a word."""

    mark: str
    glyph: str
    tone: str
    word: str


PASS = Outcome("✅", "✓", "pass", "pass")
OUTCOMES = {
    True: PASS,
    False: Outcome("❌", "✕", "fail", "fail"),
    None: Outcome("❓", "?", "open", "unsettled"),
}
SKIPPED = Outcome("➖", "–", "none", "not ruled")
WARNING = Outcome("⚠️", "!", "open", "warning")


@dataclass(frozen=True)
class RuleRow:
    """One rule as text; `result` and `better` are for the picture. warns: it blocks nothing."""

    outcome: Outcome
    name: str
    value: str
    interval: str
    bound: str
    reason: str
    result: RuleResult
    unit: str | None
    better: str
    warns: bool = False

    @property
    def missed(self) -> str:
        """`must be > 0.20` of a rule that is not passed, `should be` where it only warns; empty where it is."""
        if self.result.ok is True or self.result.ruled is False or self.bound == text.MISSING:
            return ""
        return f"{'should' if self.warns else 'must'} be {self.bound}"

    @property
    def about_difference(self) -> bool:
        """Whether the rule holds candidate minus champion against its bound, and not the candidate's own value."""
        return self.result.kind in ("superior", "not_worse_than")


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
    candidate_interval: str
    comparison: Comparison


def rule_row(rule: RuleResult, reported: Reported, terms: Terms, *, warns: bool = False) -> RuleRow:
    """One rule as it came out."""
    unit, better = unit_of(reported, terms, rule.metric)
    floor = rule.kind == "floor"
    digits = text.digits_apart(rule.value, rule.bound, unit)
    if rule.interval is not None:
        digits = max(digits if rule.bound else 0, text.decimals((rule.value, *rule.interval), unit))
    return RuleRow(
        outcome=_outcome(rule, warns),
        name=rule.rule if rule.slice is None or rule.slice in rule.rule else f"{rule.rule} ({rule.slice})",
        value=text.figure(rule.value, unit, signed=not floor, digits=digits),
        interval=text.interval(rule.interval, unit, digits=digits, signed=not floor),
        bound=_bound(rule, unit, better, digits),
        reason=rule.reason,
        result=rule,
        unit=unit,
        better=better,
        warns=warns,
    )


def _outcome(rule: RuleResult, warns: bool) -> Outcome:
    if rule.ruled is False:
        return SKIPPED
    return WARNING if warns and rule.ok is not True else OUTCOMES[rule.ok]


def _bound(rule: RuleResult, unit: str | None, better: str, digits: int) -> str:
    """`> $40,000` of a floor, `> −0.05` of a difference, `not over 5% worse` of a relative margin."""
    if rule.bound is None:
        return text.MISSING
    if rule.kind == "floor":
        least = min(digits, text.decimals((rule.bound,), unit)) if rule.bound else 0
        bound = text.figure(rule.bound, unit, digits=max(least, text.places(rule.bound)))
        return f"{operator_of(rule.rule)} {bound}".strip()
    relative = re.search(r"not_worse_than (\S+%)$", rule.rule)
    if relative is not None:
        return f"not over {relative[1]} worse"
    bound = text.figure(rule.bound, unit, signed=True, digits=max(0, text.places(rule.bound)) if rule.bound else 0)
    return f"{'>' if better == 'higher' else '<'} {bound}"


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


def hero(evaluation: Evaluation, lead: Comparison | None, terms: Terms) -> Hero | None:
    """The lead comparison and the test window in one line."""
    if lead is None:
        return None
    row, test = metric_row(lead), evaluation.test
    days = terms.test_days or len(evaluation.days)
    span = f"{test.first} to {test.last}"
    has_champion = lead.champion is not None
    compared = has_champion and lead.difference is not None
    return Hero(
        metric=lead.metric,
        window=f"{text.plural(days, 'test day')} ({span})" if days else span,
        champion=row.champion if has_champion else None,
        candidate=row.candidate,
        difference=row.difference if compared else None,
        interval=row.interval if compared else None,
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
        delta = None if day.candidate is None or day.champion is None else day.candidate - day.champion
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


def power_row(power: Power, evaluation: Evaluation, terms: Terms) -> PowerRow:
    """What the test set can show about one rule."""
    unit = None
    for comparison in evaluation.comparisons:
        if re.match(rf"{re.escape(comparison.metric)}(?![A-Za-z0-9_])", power.rule):
            unit = comparison.unit
            break
    first = evaluation.power[0] is power
    return PowerRow(
        name=power.rule,
        smallest=text.figure(power.smallest, unit),
        pass_zero=text.share(power.pass_zero),
        pass_worthwhile=text.share(power.pass_worthwhile),
        days_needed=text.MISSING if power.days_needed is None else text.plural(power.days_needed, "day"),
        worthwhile="" if not first or terms.worthwhile is None else f" ({text.figure(terms.worthwhile, unit)})",
        warning=power.warning,
        power=power,
    )


def all_rules(reported: Reported, terms: Terms) -> tuple[RuleRow, ...]:
    """Every rule as it came out, floors first, then those that only warn."""
    warn = reported.evaluation.warn if reported.evaluation is not None else None
    return (
        *(rule_row(rule, reported, terms) for rule in results(reported)),
        *(rule_row(rule, reported, terms, warns=True) for rule in warn or ()),
    )
