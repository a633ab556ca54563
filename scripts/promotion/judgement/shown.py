"""What a report shows beside the rules: every metric, the slices, the days, changed decisions, trivial models."""

from promotion.frozen import finite
from promotion.judgement.claims import ALIKE, few
from promotion.judgement.floors import undefined
from promotion.judgement.measure import Measured
from promotion.judgement.rules import rounded
from promotion.judgement.statistic import CANDIDATE, CHAMPION, DIFFERENCE, Contrast, Statistic
from promotion.judgement.sums import FLIPS
from promotion.judgement.targets import iso
from promotion.judgement.work import Work
from promotion.records.charts import Day, Flip
from promotion.records.evaluation import Trivial
from promotion.records.figures import Comparison, Estimate, RuleResult


def comparisons(
    work: Work, rules: tuple[RuleResult, ...], floors: tuple[RuleResult, ...] = ()
) -> tuple[Comparison, ...]:
    """Every metric on all rows, then the rules' metrics on every slice.

    rules: the challenge's, on these rows; where one is about a difference, its interval is the one that is shown.
    floors: the gate's; gate.py drew replicates of its own, so the interval of a floor is the one that is shown too.
    """
    ruled, held = _by_statistic(rules), _by_statistic(floors)
    labels = [(one.metric.name, one.label) for one in work.shown]
    found = [
        _comparison(work, one, ruled.get(label), held.get(label)) for one, label in zip(work.shown, labels, strict=True)
    ]
    whole = [row for row in found if row.slice is None]
    ranked = (one.comparison(work.scores.rows) for one in work.ranked.values())
    return (*whole, *ranked, *_calibrations(work), *found[len(whole) :])


def _by_statistic(rules: tuple[RuleResult, ...]) -> dict[tuple[str | None, str | None], RuleResult]:
    return {(rule.metric, rule.slice): rule for rule in rules if rule.value is not None and rule.interval is not None}


def _calibrations(work: Work) -> tuple[Comparison, ...]:
    """Slope and intercept, which are best at 1 and 0, so that their difference says nothing."""
    found = work.calibrated
    if found is None:
        return ()
    theirs = found.champion
    pairs = {
        "calibration_slope": (found.candidate.slope, None if theirs is None else theirs.slope),
        "calibration_intercept": (found.candidate.intercept, None if theirs is None else theirs.intercept),
    }
    return tuple(
        Comparison(metric=name, rows=work.scores.rows, candidate=mine, champion=old)
        for name, (mine, old) in pairs.items()
    )


def _comparison(work: Work, one: Statistic, rule: RuleResult | None, floor: RuleResult | None) -> Comparison:
    difference = estimate(work.measured, one, DIFFERENCE, work.tail) if work.scores.has_champion else None
    if rule is not None and difference is not None and rule.value == difference.value:
        difference = difference.model_copy(update={"interval": rule.interval, "reason": None})
    candidate = estimate(work.measured, one, CANDIDATE, work.tail)
    if floor is not None and floor.value == candidate.value:
        candidate = candidate.model_copy(update={"interval": floor.interval, "reason": None})
    return Comparison(
        metric=one.metric.name,
        unit=one.metric.unit,
        better=one.metric.better,
        slice=one.label,
        rows=work.measured.rows(one.slice),
        candidate=candidate,
        champion=estimate(work.measured, one, CHAMPION, work.tail) if work.scores.has_champion else None,
        difference=difference,
    )


def estimate(measured: Measured, one: Statistic, contrast: Contrast, share: float, *, scale: float = 1.0) -> Estimate:
    """A metric, or its difference, with the interval that is missed with probability `share` at each end.

    scale: what value and interval are multiplied by.
    """
    finding = measured.finding(one, contrast)
    if not finding.error >= 0:
        return Estimate(reason=undefined(measured, one))
    reason = few(finding)
    if reason is None and len(contrast.weights()) == 2 and not finding.differing:
        reason = ALIKE
    interval = None if reason else finding.interval(share)
    if interval is None and reason is None:
        reason = "in some replicates it cannot be computed"
    ends = None if interval is None else (scale * interval[0], scale * interval[1])
    return Estimate(value=finite(scale * finding.value), interval=rounded(ends), reason=reason)


def days(measured: Measured) -> tuple[Day, ...]:
    """The first challenge metric day by day."""
    return tuple(
        Day(day=iso(day), rows=rows, candidate=finite(mine), champion=finite(theirs))
        for day, rows, mine, theirs in measured.by_day()
    )


def flips(work: Work) -> tuple[Flip, ...] | None:
    """The rows on which the two models decide differently; None where there is nothing to compare."""
    if not work.scores.has_champion or work.scores.task != "classification":
        return None
    found = work.measured.flips(money=bool(work.policy.measure.dollars))
    return tuple(Flip(kind=kind, rows=found[kind][0], dollars=finite(found[kind][1])) for kind in FLIPS)


def trivial(work: Work) -> tuple[Trivial, ...] | None:
    """What models that always say the same would get, by metric, on all rows."""
    found: dict[str, dict[str, float]] = {}
    for one in work.shown:
        for name, value in work.measured.of_trivial(one).items() if one.slice is None else ():
            found.setdefault(name, {})[one.metric.name] = finite(value) or 0.0
    return tuple(Trivial(name=name, values=values) for name, values in found.items()) or None
