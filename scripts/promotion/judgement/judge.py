"""The judgement over one score table; deterministic, and pure apart from reading Parquet."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from promotion import __version__
from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement import shown
from promotion.judgement.challenge import Duel, fresh_days
from promotion.judgement.curve import curve
from promotion.judgement.floors import REPLICATES, floors, seed_of
from promotion.judgement.headline import headline
from promotion.judgement.measure import Measured, Statistic
from promotion.judgement.metrics import check_policy
from promotion.judgement.plain import open_plain
from promotion.judgement.rules import Outcome as Unsettled
from promotion.judgement.rules import challenge_rule, tail, verdict
from promotion.judgement.table import Progress, Scores, predictions_digest, test_digest
from promotion.judgement.targets import available, iso, statistics
from promotion.judgement.warn import warnings
from promotion.records import Evaluation, JudgedRows, Looks, RuleResult, Side, finite

__all__ = ["Case", "floors", "judge", "judge_table"]


@dataclass(frozen=True)
class Case:
    """What comes with a score table to a judgement.

    gate: what `floors` gave. pair: rules about the pair that were made elsewhere (signature, windows); one that is
    not ok means KEEP. looks: which look this is, None where none is used. fresh_from: with `confirm: fresh`, the
    day on which the candidate's tree was committed.
    """

    gate: tuple[RuleResult, ...]
    candidate: Side = field(default_factory=Side)
    champion: Side | None = None
    pair: tuple[RuleResult, ...] = ()
    looks: Looks | None = None
    notes: tuple[str, ...] = ()
    fresh_from: date | None = None


def judge(scores: Scores, policy: Policy, case: Case, *, replicates: int = REPLICATES) -> Evaluation:
    """Let the candidate challenge the champion on `scores`; return the evaluation, the same for the same inputs."""
    check_policy(policy, scores.task)
    if (case.champion is not None) != scores.has_champion:
        raise PromotionError(
            "the scores and the plan disagree on whether there is a champion; score again", file=scores.where
        )
    candidate = _with_digest(case.candidate, predictions_digest(scores, "candidate"))
    champion = None if case.champion is None else _with_digest(case.champion, predictions_digest(scores, "champion"))
    same = champion is not None and candidate.predictions == champion.predictions
    work = _Work(scores, policy, seed_of(test_digest(scores)), replicates)
    duel, notes = work.duel(case.fresh_from) if champion is not None and not same else (None, ())
    rules = () if duel is None else duel if isinstance(duel, tuple) else duel.results()
    challenge = (*rules, *case.pair)
    share = tail(policy.challenge.confidence, policy.challenge.looks)
    found = Evaluation(
        model=policy.model,
        verdict=verdict(case.gate, challenge, looks=case.looks, champion=champion is not None, same=same),
        headline="",
        policy=policy,
        policy_digest=policy.digest,
        test=JudgedRows(
            first=iso(scores.first),
            last=iso(scores.last),
            rows=scores.rows,
            positives=scores.positives,
            digest=test_digest(scores),
        ),
        candidate=candidate,
        champion=champion,
        gate=case.gate,
        challenge=challenge,
        comparisons=shown.comparisons(scores, policy, work.measured, work.shown, share),
        days=shown.days(work.measured),
        power=duel.power() if isinstance(duel, Duel) else (),
        looks=case.looks,
        notes=(*case.notes, *notes, *_notes(policy, rules)),
        confidence_used=finite(1 - 2 * share) or 0.0,
        release=__version__,
        flips=shown.flips(scores, policy, work.measured),
        warn=warnings(policy, lambda warned: floors(scores, warned, replicates=replicates)),
        curve=curve(scores, policy),
        trivial=shown.trivial(work.measured, work.shown),
    )
    return found.model_copy(update={"headline": headline(found)})


def judge_table(
    path: Path,
    policy: Policy,
    *,
    looks: Looks | None = None,
    replicates: int = REPLICATES,
    empty: Iterable[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Judge a table of predictions that was made elsewhere, without registry or git: floors, then the challenge.

    path: a Parquet file or a folder of part-*.parquet, in the form of score.py or plain.py. looks: which
    look this is, where the caller counts them; the tails are spread over the policy's looks either way.
    empty, progress: see open_scores.
    """
    check_policy(policy)
    scores = open_plain(path, policy, empty=empty, progress=progress)
    uncounted = "Judged from a table: where it came from was not checked, and looks were not counted."
    case = Case(
        gate=floors(scores, policy, replicates=replicates),
        champion=Side() if scores.has_champion else None,
        looks=looks,
        notes=(uncounted,) if looks is None else (),
    )
    return judge(scores, policy, case, replicates=replicates)


def _with_digest(side: Side, predictions: str) -> Side:
    """The side with the digest of its predictions as they lie in the table."""
    if side.predictions not in (None, predictions):
        raise PromotionError("the scores do not hash to the digest of predictions in the record; score again")
    return side.model_copy(update={"predictions": predictions})


class _Work:
    """One score table under one policy: what its rules look at, and the sums of all its days."""

    def __init__(self, scores: Scores, policy: Policy, seed: int, count: int) -> None:
        self.scores, self.policy, self.seed, self.count = scores, policy, seed, count
        metrics = available(scores, policy)
        self.wanted = tuple(
            (rule, one)
            for rule in policy.challenge.rules
            for one in statistics(rule.target, metrics, scores, policy, policy.line_of(rule))
        )
        named = [
            target.metric for target in (*(r.target for r in policy.challenge.rules), *(f.target for f in policy.gate))
        ]
        order = [metrics[name] for name in dict.fromkeys([*(n for n in named if n in metrics), *metrics])]
        first = metrics[policy.challenge.rules[0].target.metric]
        sliced = dict.fromkeys([first, *(one.metric for _, one in self.wanted)])
        places = [(column, value) for column, values in scores.slices.items() for value in values]
        self.shown = [*map(Statistic, order), *(Statistic(metric, place) for metric in sliced for place in places)]
        self.measured = self._measured(scores, days=True)

    def _measured(self, scores: Scores, *, days: bool) -> Measured:
        source, first = scores.source(self.policy), self.wanted[0][1].metric
        return Measured(
            source, self.policy.measure, self.shown, seed=self.seed, count=self.count, days=first if days else None
        )

    def duel(self, fresh_from: date | None) -> tuple[Duel | tuple[RuleResult, ...], tuple[str, ...]]:
        """The challenge on the days that count, or rules that nothing settles; and what must be said about the days."""
        if self.policy.challenge.confirm != "fresh":
            return Duel(self.scores, self.scores, self.policy, self.measured, self.wanted), ()
        kept, why = fresh_days(self.scores, self.policy, fresh_from)
        if kept is None:
            unsettled = Unsettled(0.0, None, reason=why)
            return tuple(challenge_rule(r, unsettled, one.label, one.metric.sign) for r, one in self.wanted), (why,)
        return Duel(self.scores, kept, self.policy, self._measured(kept, days=False), self.wanted), (why,)


def _notes(policy: Policy, rules: tuple[RuleResult, ...]) -> tuple[str, ...]:
    """What must be known about the rules beside their figures."""
    notes = [
        f"{rule.rule} on {rule.slice} was {rule.reason}; the policy lets it pass by."
        for rule in rules
        if rule.ruled is False
    ]
    if not policy.measure.cluster:
        notes.append("Rows are taken as independent: the policy names no cluster column.")
    if any(rule.assumptions is not None and rule.assumptions.extreme for rule in rules):
        notes.append(
            "An end of an interval is the most extreme replicate: at so many looks more replicates would move it."
        )
    return tuple(notes)
