"""What a report shows beside the rules: every metric, the slices, the days, changed decisions, trivial models."""

from promotion.config.policy import Policy
from promotion.judgement.claims import few
from promotion.judgement.floors import undefined
from promotion.judgement.measure import CANDIDATE, CHAMPION, DIFFERENCE, Contrast, Measured, Statistic
from promotion.judgement.ranking import rank
from promotion.judgement.rules import rounded
from promotion.judgement.sums import FLIPS
from promotion.judgement.table import Scores
from promotion.judgement.targets import iso
from promotion.records import Comparison, Day, Estimate, Flip, Trivial, finite


def comparisons(
    scores: Scores, policy: Policy, measured: Measured, wanted: list[Statistic], tail: float
) -> tuple[Comparison, ...]:
    """Every metric on all rows, then the rules' metrics and the first one on every slice."""
    found = [_comparison(scores, measured, one, tail) for one in wanted if one.slice is None]
    found += [ranked.comparison(scores.rows) for ranked in rank(scores, policy).values()]
    return (*found, *(_comparison(scores, measured, one, tail) for one in wanted if one.slice is not None))


def _comparison(scores: Scores, measured: Measured, one: Statistic, tail: float) -> Comparison:
    def estimate(contrast: Contrast) -> Estimate:
        finding = measured.finding(one, contrast)
        if not finding.error >= 0:
            return Estimate(reason=undefined(measured, one))
        reason = few(finding)
        interval = None if reason else finding.interval(tail)
        if interval is None and reason is None:
            reason = "in some replicates it cannot be computed"
        return Estimate(value=finite(finding.value), interval=rounded(interval), reason=reason)

    return Comparison(
        metric=one.metric.name,
        unit=one.metric.unit,
        better=one.metric.better,
        slice=one.label,
        rows=measured.rows(one.slice),
        candidate=estimate(CANDIDATE),
        champion=estimate(CHAMPION) if scores.has_champion else None,
        difference=estimate(DIFFERENCE) if scores.has_champion else None,
    )


def days(measured: Measured) -> tuple[Day, ...]:
    """The first challenge metric day by day."""
    return tuple(
        Day(day=iso(day), rows=rows, candidate=finite(mine), champion=finite(theirs))
        for day, rows, mine, theirs in measured.by_day()
    )


def flips(scores: Scores, policy: Policy, measured: Measured) -> tuple[Flip, ...] | None:
    """The rows on which the two models decide differently; None where there is nothing to compare."""
    if not scores.has_champion or scores.task != "classification":
        return None
    found = measured.flips(money=bool(policy.measure.dollars))
    return tuple(Flip(kind=kind, rows=found[kind][0], dollars=finite(found[kind][1])) for kind in FLIPS)


def trivial(measured: Measured, wanted: list[Statistic]) -> tuple[Trivial, ...] | None:
    """What models that always say the same would get, by metric, on all rows."""
    found: dict[str, dict[str, float]] = {}
    for one in wanted:
        for name, value in measured.of_trivial(one).items() if one.slice is None else ():
            found.setdefault(name, {})[one.metric.name] = finite(value) or 0.0
    return tuple(Trivial(name=name, values=values) for name, values in found.items()) or None
