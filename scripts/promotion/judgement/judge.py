"""The judgement: floors and challenge over one score table; deterministic, and pure apart from reading Parquet."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from promotion import __version__
from promotion.config.policy import ChallengeRule, Policy, Target
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.judgement.curve import curve
from promotion.judgement.headline import headline
from promotion.judgement.measure import (
    CANDIDATE,
    CHAMPION,
    DIFFERENCE,
    Contrast,
    Measured,
    Statistic,
    available,
    slices_of,
)
from promotion.judgement.metrics import RANKED, Metric, check_policy
from promotion.judgement.power import power_of
from promotion.judgement.ranking import Ranked, rank
from promotion.judgement.rules import Outcome, challenge_rule, fewest, floor_rule, rounded, rule_name, tail, verdict
from promotion.judgement.table import Progress, Scores, predictions_digest, test_digest
from promotion.judgement.warn import warnings
from promotion.records import (
    Comparison,
    Day,
    Estimate,
    Evaluation,
    JudgedRows,
    Looks,
    Power,
    RuleResult,
    Side,
    finite,
)
from promotion.text.figures import plural

REPLICATES = 10_000
FEW = 10  # clusters below which no interval is given


@dataclass(frozen=True)
class Request:
    """A rule's target on this table: the metric, and one slice value or all rows."""

    metric: str
    slice: tuple[str, str] | None

    @property
    def label(self) -> str | None:
        """`weekend=1`, None for all rows."""
        return None if self.slice is None else f"{self.slice[0]}={self.slice[1]}"


def floors(
    scores: Scores, policy: Policy, looks_allowed: int | None = None, *, replicates: int = REPLICATES
) -> tuple[RuleResult, ...]:
    """Hold the candidate's point values against every floor, with the interval at the level of the looks beside.

    A value that is missing, not finite or not computable fails with the reason.
    """
    check_policy(policy, scores.task)
    metrics, slices = available(scores, policy), slices_of(scores, policy)
    requests = [
        (floor, request)
        for floor in policy.gate
        for request in _requests(floor.target, slices, policy, policy.line_of(floor))
    ]
    wanted = [Statistic(metrics[r.metric], r.slice) for _, r in requests if r.metric in metrics]
    measured = Measured(scores, policy, wanted, seed=_seed(test_digest(scores)), count=replicates)
    ranked = rank(scores, policy) if any(r.metric in RANKED for _, r in requests) else {}
    share = tail(policy.challenge.confidence, looks_allowed or policy.challenge.looks)
    found = []
    for floor, request in requests:
        if request.metric in RANKED:
            outcome = _ranked_outcome(ranked, request)
        elif request.metric not in metrics:
            outcome = Outcome(None, None, reason="the score table has no probabilities for it")
        else:
            outcome = _outcome(measured, Statistic(metrics[request.metric], request.slice), CANDIDATE, share)
        missing = outcome.reason if outcome.value is None else None  # a floor needs no interval
        outcome = replace(outcome, reason=_too_long(scores, policy, request) or missing)
        found.append(floor_rule(floor, outcome, request.label))
    return tuple(found)


def judge(
    scores: Scores,
    policy: Policy,
    *,
    candidate: Side,
    champion: Side | None,
    gate: tuple[RuleResult, ...],
    extra_rules: tuple[RuleResult, ...] = (),
    looks: Looks | None,
    notes: tuple[str, ...] = (),
    replicates: int = REPLICATES,
    fresh_from: date | None = None,
) -> Evaluation:
    """Let the candidate challenge the champion on `scores`; return the evaluation, the same for the same inputs.

    gate: what `floors` gave. extra_rules: rules made elsewhere (signature, windows); one that is not ok
    means KEEP. looks: which look this is, None where none is used. fresh_from: with `confirm: fresh`, the
    day on which the candidate's tree was committed.
    """
    check_policy(policy, scores.task)
    if (champion is not None) != scores.has_champion:
        raise PromotionError(
            "the scores and the plan disagree on whether there is a champion; score again", file=scores.where
        )
    digest = test_digest(scores)
    candidate = _with_digest(candidate, predictions_digest(scores, "candidate"))
    if champion is not None:
        champion = _with_digest(champion, predictions_digest(scores, "champion"))
    same = champion is not None and candidate.predictions == champion.predictions
    work = _Judgement(scores, policy, _seed(digest), replicates)
    rules, extra_notes = work.challenge(fresh_from) if champion is not None and not same else ((), ())
    challenge = (*rules, *extra_rules)
    result = verdict(gate, challenge, looks=looks, champion=champion is not None, same=same)
    return Evaluation(
        model=policy.model,
        verdict=result,
        headline=headline(
            result,
            work.first,
            work.measured.finding(Statistic(work.first), CANDIDATE).value,
            policy,
            gate,
            challenge,
            champion,
            looks,
        ),
        policy=policy,
        policy_digest=policy.digest,
        test=JudgedRows(
            first=_iso(scores.first),
            last=_iso(scores.last),
            rows=scores.rows,
            positives=scores.positives,
            digest=digest,
        ),
        candidate=candidate,
        champion=champion,
        gate=gate,
        challenge=challenge,
        comparisons=work.comparisons(),
        days=work.days(),
        power=work.power() if champion is not None and not same else (),
        looks=looks,
        notes=(*notes, *extra_notes),
        confidence_used=finite(1 - 2 * work.tail) or 0.0,
        release=__version__,
        curve=curve(scores, policy),
        warn=warnings(policy, lambda warned: floors(scores, warned, replicates=replicates)),
    )


def judge_table(
    path: Path,
    policy: Policy,
    *,
    looks: Looks | None = None,
    replicates: int = REPLICATES,
    fresh_from: date | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge a table of predictions that was made elsewhere, without registry or git: floors, then the challenge.

    path: a Parquet file or a folder of part-*.parquet, in the form of scores.py or plain.py. looks: which
    look this is, where the caller counts them; the tails are spread over the policy's looks either way.
    progress: see open_scores.
    """
    from promotion.judgement.plain import open_plain

    check_policy(policy)
    scores = open_plain(path, policy, progress=progress)
    uncounted = "Judged from a table: where it came from was not checked, and looks were not counted."
    return judge(
        scores,
        policy,
        candidate=Side(),
        champion=Side() if scores.has_champion else None,
        gate=floors(scores, policy, replicates=replicates),
        looks=looks,
        notes=(uncounted,) if looks is None else (),
        replicates=replicates,
        fresh_from=fresh_from,
    )


def _with_digest(side: Side, predictions: str) -> Side:
    """The side with the digest of its predictions as they lie in the table."""
    if side.predictions not in (None, predictions):
        raise PromotionError("the scores do not hash to the digest of predictions in the record; score again")
    return side.model_copy(update={"predictions": predictions})


class _Judgement:
    """One score table under one policy: the tables of cluster sums, and the records that they give."""

    def __init__(self, scores: Scores, policy: Policy, seed: int, count: int) -> None:
        self.scores, self.policy, self.seed, self.count = scores, policy, seed, count
        self.tail = tail(policy.challenge.confidence, policy.challenge.looks)
        self.metrics = available(scores, policy)
        slices = slices_of(scores, policy)
        self.requests = [
            (rule, request)
            for rule in policy.challenge.rules
            for request in _requests(rule.target, slices, policy, policy.line_of(rule))
        ]
        for rule, request in self.requests:
            if request.metric not in self.metrics:
                raise PromotionError(
                    f"a rule on `{request.metric}`: the score table has no probabilities",
                    file=policy.file,
                    line=policy.line_of(rule),
                )
        self.first = self.metrics[policy.challenge.rules[0].target.metric]
        self.statistics = self._all_statistics(slices)
        self.measured = Measured(scores, policy, self.statistics, seed=seed, count=count, days=self.first)

    def _all_statistics(self, slices: dict[str, list[str]]) -> list[Statistic]:
        named = [rule.target.metric for rule in self.policy.challenge.rules]
        named += [floor.target.metric for floor in self.policy.gate]
        order = dict.fromkeys([*(n for n in named if n in self.metrics), *self.metrics])
        found = [Statistic(self.metrics[name]) for name in order]
        by_slice = dict.fromkeys([self.first.name, *(r.metric for _, r in self.requests)])
        found += [
            Statistic(self.metrics[name], (column, value))
            for name in by_slice
            for column, values in slices.items()
            for value in values
        ]
        found += [Statistic(self.metrics[r.metric], r.slice) for _, r in self.requests]
        return list(dict.fromkeys(found))

    def challenge(self, fresh_from: date | None) -> tuple[tuple[RuleResult, ...], tuple[str, ...]]:
        """Return every challenge rule as it came out, and what must be said about the days that counted."""
        measured, note = self.measured, ()
        if self.policy.challenge.confirm == "fresh":
            fresh, why = self._fresh(fresh_from)
            if fresh is None:
                return tuple(
                    challenge_rule(rule, Outcome(0.0, None, reason=why), r.label, self.metrics[r.metric].sign)
                    for rule, r in self.requests
                ), (why,)
            measured, note = fresh, (why,)
        rules = []
        for rule, request in self.requests:
            metric = self.metrics[request.metric]
            statistic = Statistic(metric, request.slice)
            failing = self.tail / len(self.requests)
            outcome = _outcome(measured, statistic, contrast_of(rule, metric), self.tail, failing)
            least = fewest(self.tail)
            rules.append(challenge_rule(rule, outcome, request.label, metric.sign, least=least))
        return tuple(rules), note

    def _fresh(self, fresh_from: date | None) -> tuple[Measured | None, str]:
        """The tables over the days whose labels became known after `fresh_from`, and a sentence about them."""
        if fresh_from is None:
            return None, "confirm: fresh, but it is not known when the candidate's tree was committed"
        delay = self.policy.measure.delay_days
        first = (fresh_from - date(1970, 1, 1)).days - delay + 1
        days = max(0, self.scores.last - max(first, self.scores.first) + 1)
        if days == 0:
            return None, (
                f"confirm: fresh counts days whose labels became known after {fresh_from}, when the candidate's tree "
                f"was committed; there is none yet, the first is {_iso(first)}"
            )
        kept = replace(self.scores, since=max(first, self.scores.first))
        measured = Measured(kept, self.policy, self.statistics, seed=self.seed, count=self.count)
        return measured, (
            f"confirm: fresh: the challenge counts only the {days} days from {_iso(kept.since)} on, whose labels "
            f"became known after {fresh_from}, when the candidate's tree was committed"
        )

    def comparisons(self) -> tuple[Comparison, ...]:
        """Every metric on all rows, then the rules' metrics and the first one on every slice."""
        found = [self._comparison(s) for s in self.statistics if s.slice is None]
        for ranked in rank(self.scores, self.policy).values() if self.scores.task == "classification" else ():
            found.append(ranked.comparison(self.scores.rows, self.tail))
        return (*found, *(self._comparison(s) for s in self.statistics if s.slice is not None))

    def _comparison(self, statistic: Statistic) -> Comparison:
        both = self.scores.has_champion
        return Comparison(
            metric=statistic.metric.name,
            unit=statistic.metric.unit,
            better=statistic.metric.better,
            slice=statistic.label,
            rows=self.measured.slice_rows.get(statistic.slice, 0),
            candidate=self._estimate(statistic, CANDIDATE),
            champion=self._estimate(statistic, CHAMPION) if both else None,
            difference=self._estimate(statistic, DIFFERENCE) if both else None,
        )

    def _estimate(self, statistic: Statistic, contrast: Contrast) -> Estimate:
        found = _outcome(self.measured, statistic, contrast, self.tail)
        return Estimate(value=finite(found.value), interval=rounded(found.interval), reason=found.reason)

    def days(self) -> tuple[Day, ...]:
        """The first challenge metric day by day."""
        return tuple(
            Day(day=_iso(day), rows=rows, candidate=finite(mine), champion=finite(theirs))
            for day, rows, mine, theirs in self.measured.by_day()
        )

    def power(self) -> tuple[Power, ...]:
        """What this set can show about every challenge rule."""
        days = self.scores.last - self.scores.first + 1
        found = []
        for i, (rule, request) in enumerate(self.requests):
            metric = self.metrics[request.metric]
            statistic = Statistic(metric, request.slice)
            finding = self.measured.finding(statistic, contrast_of(rule, metric))
            if not finding.error >= 0:
                continue
            if rule.relative:
                champion = self.measured.finding(statistic, CHAMPION).value
                rule = replace(rule, margin=rule.margin * champion, relative=False)
            worthwhile = self.policy.challenge.worthwhile if i == 0 else None
            found.append(
                power_of(
                    rule, finding.error, self.tail, days=days, worthwhile=worthwhile, label=request.label
                ).model_copy(
                    update={"rule": rule_name(self.requests[i][0]) + (f" ({request.label})" if request.label else "")}
                )
            )
        return tuple(found)


def contrast_of(rule: ChallengeRule, metric: Metric) -> Contrast:
    """candidate - champion; for a relative margin m, candidate - (1 - m) champion, or (1 + m) where lower is better."""
    return Contrast(1.0, -(1 - metric.sign * rule.margin)) if rule.relative else DIFFERENCE


def _requests(target: Target, slices: dict[str, list[str]], policy: Policy, line: int | None) -> list[Request]:
    """A rule's target as statistics of this table: one, or one for every value of the slice column."""
    if target.column is None:
        return [Request(target.metric, None)]
    values = slices[target.column]
    if target.value is None:
        return [Request(target.metric, (target.column, value)) for value in values]
    if target.value not in values:
        raise PromotionError(
            f"no row has {target.column}={target.value}, so the rule on it cannot pass"
            + suggestion(target.value, tuple(values)),
            file=policy.file,
            line=line,
        )
    return [Request(target.metric, (target.column, target.value))]


def _outcome(
    measured: Measured, statistic: Statistic, contrast: Contrast, share: float, failing: float | None = None
) -> Outcome:
    """A finding as rules take it: values, intervals, and why something is missing."""
    finding = measured.finding(statistic, contrast)
    unit = statistic.metric.unit
    if not finding.error >= 0:
        return Outcome(None, None, reason=_why_not(measured, statistic), unit=unit)
    if finding.clusters < FEW:
        few = plural(finding.clusters, "cluster")
        reason = f"only {few} with anything in it, too few for an interval ({FEW} are needed)"
        return Outcome(finding.value, None, reason=reason, unit=unit)
    interval = finding.interval(share)
    reason = None if interval is not None else "too few rows: in some replicates it cannot be computed"
    return Outcome(
        finding.value,
        interval,
        None if failing is None else finding.interval(failing),
        reason,
        unit=unit,
        changed=finding.changed,
    )


def _why_not(measured: Measured, statistic: Statistic) -> str:
    rows = measured.slice_rows.get(statistic.slice, 0)
    if rows == 0:
        return "no rows"
    if measured.scores.task == "classification":
        return f"it is not defined on these {rows} rows (no positives, or nothing flagged)"
    return f"it is not defined on these {rows} rows"


def _too_long(scores: Scores, policy: Policy, request: Request) -> str | None:
    """A floor in dollars is about the declared test_days; more days would lower the bar."""
    span, declared = scores.last - scores.first + 1, policy.measure.test_days
    if request.metric == "net_benefit" and span > declared:
        return f"net_benefit is dollars in {declared} test days, but these scores span {span}"
    return None


def _ranked_outcome(ranked: dict[str, Ranked], request: Request) -> Outcome:
    if request.slice is not None:
        return Outcome(None, None, reason=f"{request.metric} is computed on all rows only")
    found = ranked.get(request.metric)
    if found is None or found.candidate is None:
        why = None if found is None else found.reason
        return Outcome(None, None, reason=why or "the score table has no scores")
    return Outcome(found.candidate, None)


def _seed(digest: str) -> int:
    return int(digest.removeprefix("sha256:")[:30], 16)


def _iso(day: int) -> str:
    return str(date(1970, 1, 1) + timedelta(days=day))
