"""How the models stand in each metric that rules look at: one row a metric, whatever number of rules it has."""

from collections.abc import Sequence
from dataclasses import dataclass

from promotion.rendering.reported import Reported
from promotion.rendering.rows import OUTCOMES, MetricRow, Outcome, RuleRow, metric_row
from promotion.text import figures as text


@dataclass(frozen=True)
class Cell:
    """A figure, and what it must or should be where it is not (empty where it is)."""

    value: str
    missed: str = ""


@dataclass(frozen=True)
class Standing:
    """A metric that rules look at, on all rows or one slice: both models, and how its rules came out together."""

    outcome: Outcome
    metric: str
    champion: str
    candidate: Cell
    difference: str
    interval: Cell
    must_be: str
    rules: tuple[RuleRow, ...]


def standings(rules: Sequence[RuleRow], reported: Reported) -> tuple[Standing, ...]:
    """The metrics that rules look at, those of the challenge first; a rule about the pair alone has no metric."""
    ordered = sorted(rules, key=lambda row: not row.about_difference)
    groups: dict[tuple[str, str | None], list[RuleRow]] = {}
    for row in ordered:
        if row.result.metric is not None:
            groups.setdefault((row.result.metric, row.result.slice), []).append(row)
    compared = reported.evaluation.comparisons if reported.evaluation is not None else ()
    known = {(c.metric, c.slice): metric_row(c) for c in compared}
    return tuple(_standing(group, known.get(key)) for key, group in groups.items())


def _standing(group: Sequence[RuleRow], row: MetricRow | None) -> Standing:
    first = group[0].result
    levels = [rule for rule in group if not rule.about_difference]
    gaps = [rule for rule in group if rule.about_difference]
    candidate = levels[0].value if levels else text.MISSING
    difference = gaps[0].value if gaps else text.MISSING
    interval = gaps[0].interval if gaps else levels[0].interval
    champion = text.MISSING
    if row is not None:
        champion = row.champion
        candidate = candidate if levels else row.candidate
        if row.comparison.difference is not None:
            difference, interval = row.difference, row.interval
    wanted = [rule.bound for rule in levels if not rule.warns] + [f"difference {rule.bound}" for rule in gaps]
    wanted += [f"should be {rule.bound}" for rule in levels if rule.warns]
    return Standing(
        outcome=_together(group),
        metric=" ".join(part for part in (first.metric, first.slice) if part is not None),
        champion=champion,
        candidate=Cell(candidate, _missed(levels)),
        difference=difference,
        interval=Cell(interval, _missed(gaps)),
        must_be=", ".join(wanted),
        rules=tuple(group),
    )


def _together(group: Sequence[RuleRow]) -> Outcome:
    """The worst that one of the rules says; one that only warns counts where all others pass."""
    oks = [rule.result.ok for rule in group if not rule.warns and rule.result.ruled is not False]
    if False in oks or None in oks:
        return OUTCOMES[False if False in oks else None]
    return next((rule.outcome for rule in group if rule.result.ok is not True), OUTCOMES[True])


def _missed(rules: Sequence[RuleRow]) -> str:
    return " and ".join(rule.missed for rule in rules if rule.missed)
