"""The gate: the candidate's point values against every floor."""

from dataclasses import replace

from promotion.config.policy import Policy
from promotion.config.rules import Floor
from promotion.judgement.claims import few
from promotion.judgement.measure import Measured
from promotion.judgement.metrics import CALIBRATION, NOT_SUMS
from promotion.judgement.rules import Outcome, TrivialBest, floor_rule, tail
from promotion.judgement.statistic import CANDIDATE, Contrast, Statistic
from promotion.judgement.table import Scores
from promotion.judgement.targets import days_scale, one_class, wrong_days
from promotion.judgement.work import REPLICATES, Work
from promotion.records.figures import RuleResult


def floors(
    scores: Scores, policy: Policy, looks_allowed: int | None = None, *, replicates: int = REPLICATES
) -> tuple[RuleResult, ...]:
    """Compare the candidate's point values with every floor, with the interval at the level of the looks beside.

    A value that is missing, not finite or not computable fails with the reason; so does every floor on rows of
    one class, and one in dollars where the days are not the declared ones.
    """
    return floors_of(Work(scores, policy, replicates=replicates, gate_only=True), looks_allowed)


def floors_of(work: Work, looks_allowed: int | None = None, side: Contrast = CANDIDATE) -> tuple[RuleResult, ...]:
    """Compare a side's point values, the candidate's, with every floor of a table that is worked on.

    In a look after the merge, floors in dollars are scaled to the days that there are.
    """
    challenge = work.policy.challenge
    share = tail(challenge.confidence, looks_allowed or challenge.looks)
    found = []
    for floor, one in work.floors:
        outcome = _ranked(work, one, side) if one.metric.name in NOT_SUMS else level(work.measured, one, share, side)
        outcome = replace(outcome, reason=_objection(work, one) or outcome.reason)
        scale = 1.0 if work.watch_tail is None else days_scale(work.scores, work.policy, one.metric)
        found.append(floor_rule(floor, outcome, one.label, _trivial(floor, one, work.measured), scale=scale))
    return tuple(found)


def level(measured: Measured, one: Statistic, share: float, side: Contrast = CANDIDATE) -> Outcome:
    """A side's own value; a floor needs no interval, so only a missing value has a reason."""
    finding = measured.finding(one, side)
    if not finding.error >= 0:
        return Outcome(None, None, reason=undefined(measured, one), unit=one.metric.unit)
    return Outcome(finding.value, None if few(finding) else finding.interval(share), unit=one.metric.unit)


def undefined(measured: Measured, one: Statistic) -> str:
    """Why a metric has no value."""
    rows = measured.rows(one.slice)
    if rows == 0:
        return "no rows"
    why = " (no positives, or nothing flagged)" if one.metric.needs == "d" else ""
    return f"it is not defined on these {rows:,} rows{why}"


def _objection(work: Work, one: Statistic) -> str | None:
    any_number = work.watch_tail is not None
    days = None
    if one.metric.sums:
        days = wrong_days(work.scores, work.policy, one.metric, floor=True, any_number=any_number)
    if days is not None or work.scores.task == "regression":
        return days
    return one_class(work.measured.classes(None if one.metric.name in NOT_SUMS else one.slice))


def _ranked(work: Work, one: Statistic, side: Contrast) -> Outcome:
    name = one.metric.name
    if one.slice is not None:
        return Outcome(None, None, reason=f"{name} is computed on all rows only")
    if name in CALIBRATION:
        return _calibrated(work, name, side)
    found = work.ranked.get(name)
    value = None if found is None else found.candidate if side is CANDIDATE else found.champion
    if value is None:
        why = None if found is None else found.reason
        return Outcome(None, None, reason=why or "the score table has no scores")
    return Outcome(value, None)


def _calibrated(work: Work, name: str, side: Contrast) -> Outcome:
    found = work.calibrated
    mine = None if found is None else found.candidate if side is CANDIDATE else found.champion
    if mine is None:
        return Outcome(None, None, reason="the score table has no probabilities")
    estimate = mine.slope if name == "calibration_slope" else mine.intercept
    return Outcome(estimate.value, estimate.interval, reason=estimate.reason)


def _trivial(floor: Floor, one: Statistic, measured: Measured) -> TrivialBest | None:
    """What a floor `above_trivial` is compared with."""
    if floor.bound is not None:
        return None
    if one.metric.name in CALIBRATION:
        return None
    if one.metric.name in NOT_SUMS:
        positives, negatives = measured.classes()
        share = 0.5 if one.metric.name == "roc_auc" else positives / (positives + negatives)
        return TrivialBest("score every row alike", share, ">")
    best = max(measured.of_trivial(one).items(), key=lambda found: one.metric.sign * found[1], default=None)
    return None if best is None else TrivialBest(*best, ">" if one.metric.sign > 0 else "<")
