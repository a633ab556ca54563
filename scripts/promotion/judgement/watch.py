"""A look at a promotion after the merge: on the days since, is the predecessor better? Pure apart from reading Parquet.

The predecessor is the challenger of a judgement like any other, under the policy of main, with every guard: it
has to be better in the first rule's metric (`superior`, also where the policy asks a candidate for less), and to pass
the other rules as they are. It is judged on all days since the promotion, at a tail by which one probability of a
false alarm is spent over the looks (spending.py), so that small losses add up and large ones are found at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from promotion.config.policy import Policy
from promotion.config.promotion_yaml import Watch
from promotion.errors import PromotionError
from promotion.judgement.floors import floors_of
from promotion.judgement.judge import Case, judged
from promotion.judgement.shown import estimate
from promotion.judgement.spending import nominal_tails
from promotion.judgement.statistic import CANDIDATE, CHAMPION, Contrast
from promotion.judgement.table import READING, Reading, open_together, part_files, read_parts
from promotion.judgement.targets import days_scale, iso
from promotion.judgement.work import REPLICATES, Work
from promotion.records.charts import Flip, Kind
from promotion.records.evaluation import Evaluation, Side
from promotion.records.figures import Estimate
from promotion.records.watched import Realized, Watched
from promotion.text import figures as text

TURNED: dict[str, Kind] = {
    "newly_caught": "newly_missed",
    "newly_missed": "newly_caught",
    "new_false_alarm": "false_alarm_gone",
    "false_alarm_gone": "new_false_alarm",
}
GAIN = Contrast(-1.0, 1.0)  # what the promotion brought: champion minus predecessor


@dataclass(frozen=True)
class Look:
    """What comes with a look.

    number: 1 for the first after a promotion. earlier: the score tables of the looks before it, in any order.
    empty: days of any look that are declared to have no rows. predecessor, champion: what is known of the two
    models; predecessor None: there is none, and the champion's floors alone are looked at. notes: for the report.
    """

    number: int
    earlier: Sequence[Path] = ()
    empty: Iterable[str] = ()
    predecessor: Side | None = field(default_factory=Side)
    champion: Side = field(default_factory=Side)
    notes: tuple[str, ...] = ()


def watch(
    path: Path,
    policy: Policy,
    settings: Watch,
    look: Look,
    *,
    replicates: int = REPLICATES,
    reading: Reading = READING,
) -> tuple[Watched, Evaluation]:
    """Look at a promotion: return what is found, for the history, and the judgement behind it, for a report.

    path: the score table of the new days (a Parquet file, or a folder of part-*.parquet, in the form of score.py),
    `settings.days` of them, after those of the earlier looks. In it `candidate` is the predecessor, who challenges,
    and `champion` the champion; without a predecessor `candidate` is the champion, alone. The evaluation is about the
    days of all looks together; its verdict is PROMOTE where the predecessor wins. Floors are the champion's, on the new
    days, scaled to their number.

    Raise PromotionError where the looks are used up, a table is bad, or its days were looked at before.
    """
    if not 1 <= look.number <= settings.looks:
        raise PromotionError(f"look {look.number}: a promotion is looked at {settings.looks} times (watch.looks)")
    scores = open_together((*look.earlier, path), policy, empty=look.empty, reading=reading)
    alone = look.predecessor is None
    if scores.has_champion is alone:
        raise PromotionError("scores and look disagree on whether there is a predecessor; score again", file=path)
    tail = nominal_tails(settings.false_alarm, settings.looks)[look.number - 1]
    whole = Work(scores, policy, replicates=replicates, watch_tail=tail)
    kept = replace(scores, since=_first_new(path, look.earlier))
    new = Work(kept, policy, replicates=replicates, watch_tail=tail)
    sides = (look.champion, None) if look.predecessor is None else (look.predecessor, look.champion)
    case = Case(gate=None, candidate=sides[0], champion=sides[1], notes=look.notes)
    evaluation, floors = judged(whole, case), floors_of(new, side=CANDIDATE if alone else CHAMPION)
    metric, realized = whole.first, _realized(whole)
    found = Watched(
        model=policy.model,
        look=look.number,
        looks=settings.looks,
        verdict="fine",
        reason="",
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        test_days=policy.measure.test_days,
        confidence=policy.challenge.confidence,
        false_alarm=settings.false_alarm,
        tail=tail,
        new=_realized(new),
        whole=realized,
        floors=floors,
        flips=None if evaluation.flips is None else tuple(_turned(flip) for flip in evaluation.flips),
        per_days=policy.measure.test_days if metric.degree > 0 else None,
    )
    verdict, reason = _verdict(found, evaluation)
    return (
        found.model_copy(update={"verdict": verdict, "reason": reason}),
        evaluation.model_copy(update={"headline": reason}),
    )


def _turned(flip: Flip) -> Flip:
    """A changed decision as the champion's, where the judgement says it as its predecessor's."""
    return Flip(kind=TURNED[flip.kind], rows=flip.rows, dollars=None if flip.dollars is None else 0.0 - flip.dollars)


def _verdict(found: Watched, evaluation: Evaluation) -> tuple[str, str]:
    """The verdict of a look and its sentence."""
    lead = next((rule for rule in evaluation.challenge if rule.metric), None)
    name, gain = found.metric.replace("_", " "), found.whole.difference
    days = text.plural(found.whole.days, "day")
    said = _said(name, found)
    if evaluation.verdict == "PROMOTE":
        return "worse", f"on the {days} since the promotion the predecessor is better: {said}"
    missed = [rule for rule in found.floors if rule.ok is False and rule.value is not None]
    if missed:
        return "floor missed", "on the new days the champion misses a floor: " + "; ".join(r.reason for r in missed)
    undefined = next((rule for rule in found.floors if rule.ok is False), None)
    compared = evaluation.verdict not in ("SAME", "FIRST")
    if compared and (lead is None or lead.interval is None):
        return "too little", f"{name}: {'no rule has it' if lead is None else lead.reason}"
    if undefined is not None:
        return "too little", undefined.reason
    if gain is None:
        return "fine", f"on the {days} since it became champion it is above its floors: {said}"
    if evaluation.verdict == "SAME" or gain.value is None:
        return "fine", f"on the {days} since the promotion the predecessor predicts the same on every row"
    return "fine", f"on the {days} since the promotion the predecessor is not shown to be better: {said}"


def _said(name: str, found: Watched) -> str:
    """`the champion's net benefit is -$3,280 in 7 days against it (95% confidence: -$5,100 to -$1,460)`."""
    per = "" if found.per_days is None else f" in {text.plural(found.per_days, 'day')}"
    gain = found.whole.difference
    shown = found.whole.champion if gain is None else gain
    said = f"the champion's {name} is {text.figure(shown.value, found.unit, signed=gain is not None)}{per}"
    said += "" if gain is None else " against it"
    if shown.interval is not None:
        ends = text.interval(shown.interval, found.unit, signed=gain is not None)
        said += f" ({text.confidence(found.confidence)} confidence: {ends})"
    return said


def _realized(work: Work) -> Realized:
    """What the promotion brought on the days of a table, in the lead metric, at the policy's confidence."""
    lead, share = work.rules[0][1], (1 - work.policy.challenge.confidence) / 2
    scale, measured = 1 / days_scale(work.scores, work.policy, lead.metric), work.measured
    counted = work.scores.counted()

    def found(contrast: Contrast) -> Estimate:
        return estimate(measured, lead, contrast, share, scale=scale)

    alone = not work.scores.has_champion
    return Realized(
        first=iso(counted[0]),
        last=iso(counted[-1]),
        days=len(counted),
        rows=measured.rows(),
        champion=found(CANDIDATE if alone else CHAMPION),
        predecessor=None if alone else found(CANDIDATE),
        difference=None if alone else found(GAIN),
    )


def _first_new(path: Path, earlier: Sequence[Path]) -> int:
    """The first of the new days; raise PromotionError where an earlier look had it, or a later one."""
    new, old = _days((path,)), _days(earlier)
    if old and min(new) <= max(old):
        raise PromotionError(
            f"{iso(min(new))} was looked at before (up to {iso(max(old))}); a look takes days after those", file=path
        )
    return min(new)


def _days(paths: Sequence[Path]) -> set[int]:
    """The days of some score tables, as days since 1970-01-01."""
    parts = (part for path in paths for file in part_files(path) for part in read_parts(file, ["column.day"]))
    return {day for part in parts for day in np.unique(part.days).tolist()}
