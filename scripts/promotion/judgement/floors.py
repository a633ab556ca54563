"""The gate: the candidate's point values against every floor."""

from dataclasses import replace

from promotion.config.policy import Policy
from promotion.config.rules import Floor
from promotion.judgement.claims import few
from promotion.judgement.measure import CANDIDATE, Measured, Statistic
from promotion.judgement.metrics import RANKED, check_policy
from promotion.judgement.ranking import Ranked, rank
from promotion.judgement.rules import Outcome, floor_rule, tail
from promotion.judgement.table import Scores, test_digest
from promotion.judgement.targets import available, one_class, statistics, wrong_days
from promotion.records import RuleResult

REPLICATES = 10_000


def floors(
    scores: Scores, policy: Policy, looks_allowed: int | None = None, *, replicates: int = REPLICATES
) -> tuple[RuleResult, ...]:
    """Compare the candidate's point values with every floor, with the interval at the level of the looks beside.

    A value that is missing, not finite or not computable fails with the reason; so does every floor on rows of
    one class, and one in dollars where the days are not the declared ones.
    """
    check_policy(policy, scores.task)
    metrics = available(scores, policy)
    wanted = [
        (floor, one)
        for floor in policy.gate
        for one in statistics(floor.target, metrics, scores, policy, policy.line_of(floor))
    ]
    measured = Measured(
        scores.source(policy),
        policy.measure,
        [one for _, one in wanted],
        seed=seed_of(test_digest(scores)),
        count=replicates,
    )
    ranked = rank(scores, policy) if any(one.metric.name in RANKED for _, one in wanted) else {}
    share = tail(policy.challenge.confidence, looks_allowed or policy.challenge.looks)
    found = []
    for floor, one in wanted:
        outcome = _ranked(ranked, one) if one.metric.name in RANKED else level(measured, one, share)
        outcome = replace(outcome, reason=_objection(scores, policy, measured, one) or outcome.reason)
        found.append(floor_rule(floor, outcome, one.label, _trivial(floor, one, measured, ranked)))
    return tuple(found)


def seed_of(digest: str) -> int:
    """The seed of everything random: the test set's own."""
    return int(digest.removeprefix("sha256:")[:30], 16)


def level(measured: Measured, one: Statistic, share: float) -> Outcome:
    """The candidate's own value; a floor needs no interval, so only a missing value has a reason."""
    finding = measured.finding(one, CANDIDATE)
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


def _objection(scores: Scores, policy: Policy, measured: Measured, one: Statistic) -> str | None:
    days = wrong_days(scores, policy, one.metric, floor=True) if one.metric.sums else None
    return days or (one_class(measured.classes(one.slice)) if scores.task == "classification" else None)


def _ranked(ranked: dict[str, Ranked], one: Statistic) -> Outcome:
    name = one.metric.name
    if one.slice is not None:
        return Outcome(None, None, reason=f"{name} is computed on all rows only")
    found = ranked.get(name)
    if found is None or found.candidate is None:
        why = None if found is None else found.reason
        return Outcome(None, None, reason=why or "the score table has no scores")
    return Outcome(found.candidate, None)


def _trivial(floor: Floor, one: Statistic, measured: Measured, ranked: dict[str, Ranked]) -> tuple[str, float] | None:
    """The best model that always says the same, for a floor `above_trivial`."""
    if floor.bound is not None:
        return None
    if one.metric.name in RANKED:
        positives, negatives = measured.classes()
        share = 0.5 if one.metric.name == "roc_auc" else positives / (positives + negatives)
        return "score every row alike", share
    sign = one.metric.sign
    return max(measured.of_trivial(one).items(), key=lambda found: sign * found[1], default=None)
