"""The judgement over one score table; deterministic, and pure apart from reading Parquet."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from promotion import __version__
from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.frozen import finite
from promotion.judgement import shown
from promotion.judgement.challenge import Challenged, challenge
from promotion.judgement.costs import as_judged, costs
from promotion.judgement.curve import curve
from promotion.judgement.floors import floors, floors_of
from promotion.judgement.headline import headline
from promotion.judgement.metrics import check_policy
from promotion.judgement.places import Place
from promotion.judgement.plain import open_plain
from promotion.judgement.rules import verdict
from promotion.judgement.table import READING, Reading, Scores, predictions_digest, rows_digest
from promotion.judgement.targets import iso
from promotion.judgement.warn import warnings
from promotion.judgement.work import REPLICATES, Work
from promotion.records.charts import Drift
from promotion.records.evaluation import Evaluation, JudgedRows, Side
from promotion.records.figures import Looks, RuleResult

__all__ = ["Case", "floors", "judge", "judge_table"]


@dataclass(frozen=True)
class Case:
    """What comes with a score table to a judgement.

    gate: what `floors` gave; None where no floor is asked. pair: rules about the pair that were made elsewhere
    (signature, windows); one that is not ok means KEEP. looks: which look this is, None where none is used.
    fresh_from: with `confirm: fresh`, the day on which the candidate's tree was committed. drift: as the job that
    scored says it.
    """

    gate: tuple[RuleResult, ...] | None
    candidate: Side = field(default_factory=Side)
    champion: Side | None = None
    pair: tuple[RuleResult, ...] = ()
    looks: Looks | None = None
    notes: tuple[str, ...] = ()
    drift: tuple[Drift, ...] | None = None
    fresh_from: date | None = None


def judge(scores: Scores, policy: Policy, case: Case, *, replicates: int = REPLICATES) -> Evaluation:
    """Let the candidate challenge the champion on `scores`; return the evaluation, the same for the same inputs."""
    return judged(Work(scores, policy, replicates=replicates), case)


def judged(work: Work, case: Case) -> Evaluation:
    """Let the candidate challenge the champion on a table that is worked on."""
    scores, policy = work.scores, work.policy
    if (case.champion is not None) != scores.has_champion:
        raise PromotionError(
            "the scores and the plan disagree on whether there is a champion; score again", file=scores.where
        )
    candidate = _with_digest(case.candidate, predictions_digest(scores, "candidate"))
    champion = None if case.champion is None else _with_digest(case.champion, predictions_digest(scores, "champion"))
    same = champion is not None and candidate.predictions == champion.predictions
    challenged = challenge(work, case.fresh_from) if champion is not None and not same else Challenged()
    rules = (*challenged.rules, *case.pair)
    compared = shown.comparisons(work, challenged.whole_rules, case.gate or ())
    found = Evaluation(
        model=policy.model,
        verdict=verdict(case.gate, rules, looks=case.looks, champion=champion is not None, same=same),
        headline="",
        policy=policy,
        policy_digest=policy.digest,
        test=JudgedRows(
            first=iso(scores.first),
            last=iso(scores.last),
            rows=scores.rows,
            positives=scores.positives,
            digest=rows_digest(scores),
        ),
        candidate=candidate,
        champion=champion,
        gate=case.gate or (),
        challenge=rules,
        comparisons=compared,
        days=shown.days(work.measured),
        power=challenged.power,
        looks=case.looks,
        notes=(*case.notes, *challenged.notes, *_notes(policy, challenged.rules)),
        confidence_used=finite(1 - 2 * work.tail) or 0.0,
        release=__version__,
        flips=shown.flips(work),
        warn=warnings(policy, lambda warned: floors(scores, warned, replicates=work.replicates)),
        curve=curve(work),
        costs=as_judged(costs(work), compared),
        calibration=work.calibrated,
        drift=case.drift,
        trivial=shown.trivial(work),
    )
    return found.model_copy(update={"headline": headline(found)})


def judge_table(
    path: Place,
    policy: Policy,
    *,
    looks: Looks | None = None,
    replicates: int = REPLICATES,
    empty: Iterable[str] = (),
    reading: Reading = READING,
    versions: tuple[int | None, int | None] = (None, None),
) -> Evaluation:
    """Judge a table of predictions that was made elsewhere, without registry or git: floors, then the challenge.

    path: a Parquet file or a folder of part-*.parquet, in the form of score.py or plain.py. looks: which
    look this is, where the caller counts them; the tails are spread over the policy's looks either way.
    empty: days (ISO) that are declared to have no rows. versions: (champion, candidate), where the caller knows them.
    """
    check_policy(policy)
    work = Work(open_plain(path, policy, empty=empty, reading=reading), policy, replicates=replicates)
    uncounted = "Judged from a table: where it came from was not checked, and looks were not counted."
    case = Case(
        gate=floors_of(work),
        candidate=Side(version=versions[1]),
        champion=Side(version=versions[0]) if work.scores.has_champion else None,
        looks=looks,
        notes=(uncounted,) if looks is None else (),
    )
    return judged(work, case)


def _with_digest(side: Side, predictions: str) -> Side:
    """The side with the digest of its predictions as they lie in the table."""
    if side.predictions not in (None, predictions):
        raise PromotionError("the scores do not hash to the digest of predictions in the record; score again")
    return side.model_copy(update={"predictions": predictions})


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
