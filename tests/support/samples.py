"""Records as real runs make them, one for every verdict and action, for tests and for looking at."""

from promotion.pullrequest.situation import gate_alone
from promotion.records.charts import Day
from promotion.records.evaluation import Side
from promotion.records.figures import Looks, RuleResult
from promotion.records.plan import Changed, FileChange
from promotion.rendering import Reported

from tests.support.sample_actions import broken, refused, retired, rollback, untouched
from tests.support.sample_judgements import (
    calibration,
    comparison,
    comparisons,
    costs,
    curve,
    days,
    evaluation,
    flips,
    floor,
    gate,
    not_worse,
    power,
    superior,
)
from tests.support.sample_parts import (
    MODEL,
    PIN_NEW,
    PIN_OLD,
    PLAN,
    SHA_NEW,
    TREE_NEW,
    candidate,
    model_plan,
    scores,
)

__all__ = ["MODEL", "PLAN", "comparison", "days", "gate", "model_plan", "power", "scores"]


def promote(pinned: bool = True) -> Reported:
    """A forest beats logistic regression."""
    judged = evaluation("PROMOTE", "The candidate is better by $3,060 (99%: +$927 to +$5,193) and F1 is not worse")
    return Reported(model_plan(), judged, gate(), candidate(), scores(), pinned=pinned)


def keep() -> Reported:
    """The champion is clearly better."""
    judged = evaluation(
        "KEEP",
        "The champion is better by $4,980 (99%: −$7,113 to −$2,847)",
        gate=gate(benefit=42144, f1=0.5593).rules,
        challenge=(superior(-4980, 2133), not_worse(-0.012, 0.031)),
        comparisons=comparisons(47124, 42144, 2133, (0.5713, 0.5593)),
        days=days(47124, 42144),
        flips=flips(-4980),
        curve=curve(47124, 42144),
        costs=costs(47124, 42144),
        notes=(
            "The champion won on test days that overlap these (2018-08-08 to 2018-08-14), so its own figures here may "
            "flatter it.",
        ),
    )
    return Reported(model_plan(), judged, gate(benefit=42144, f1=0.5593), candidate(), scores())


def inconclusive() -> Reported:
    """A month of training instead of a week: $377 better, or not."""
    judged = evaluation(
        "INCONCLUSIVE",
        "+$377 (99%: −$1,756 to +$2,510): these test days do not settle whether the candidate is better",
        gate=gate(benefit=50561, f1=0.6762).rules,
        challenge=(superior(377, 2133), not_worse(-0.0022, 0.031)),
        comparisons=comparisons(50184, 50561, 2133, (0.6784, 0.6762)),
        days=days(50184, 50561),
        flips=flips(377),
        looks=Looks(number=5, allowed=5),
    )
    return Reported(model_plan(), judged, gate(benefit=50561, f1=0.6762), candidate(), scores())


def rejected() -> Reported:
    """Below both floors; nothing was registered."""
    failed = gate(passed=False, benefit=39104, f1=0.187)
    judged = evaluation(
        "REJECTED",
        failed.reason,
        gate=failed.rules,
        candidate=Side(source_tree=TREE_NEW, digest=SHA_NEW, predictions="sha256:" + "4" * 64),
        challenge=(superior(-8020, 2133), not_worse(-0.3843, 0.031)),
        comparisons=comparisons(47124, 39104, 2133, (0.5713, 0.187)),
        days=days(47124, 39104),
        flips=flips(-8020),
        curve=curve(47124, 39104),
        costs=costs(47124, 39104),
    )
    return Reported(model_plan(), judged, failed, candidate(), scores(latency_ms={}))


def unjudged() -> Reported:
    """Below a floor in a run that got no further than the gate."""
    return Reported(model_plan(), None, gate(passed=False, benefit=39104, f1=0.187), candidate(), scores())


def first() -> Reported:
    """No champion yet: the gate decides."""
    plan = model_plan(
        champion=None,
        pin=None,
        says_first=("This pull request brings the model's own policy; it is judged by what it brings.",),
        changed=Changed(
            settings=(("as_of", None, "2018-08-08"), ("parameters.estimator", None, "logistic_regression")),
            files=tuple(
                FileChange(path=name, added=lines, removed=0)
                for name, lines in (("data.py", 214), ("model.yaml", 31), ("train.py", 76))
            ),
            new=True,
        ),
    )
    judged = evaluation(
        "FIRST",
        "First version: net benefit $47,124 and F1 0.571 pass the gate",
        champion=None,
        gate=gate(benefit=47124, f1=0.5713).rules,
        challenge=(),
        candidate=Side(source_tree=TREE_NEW, digest=SHA_NEW, predictions="sha256:" + "4" * 64, version=1),
        comparisons=comparisons(None, 47124, 2133, (None, 0.5713)),
        days=days(None, 47124),
        power=(),
        looks=Looks(number=1, allowed=5),
        notes=(),
        flips=None,
        curve=curve(None, 47124),
        costs=costs(None, 47124),
        calibration=calibration(champion=False),
    )
    return Reported(plan, judged, gate(benefit=47124, f1=0.5713, version=1), candidate(), scores(), pinned=True)


def fork() -> Reported:
    """A fork's candidate, which met the gate alone, in a throwaway tracker."""
    whole = first()
    plan = model_plan(pin=PIN_OLD)
    (alone,) = gate_alone(PLAN.model_copy(update={"models": (plan,)})).models
    return Reported(alone, whole.evaluation, whole.gate, candidate(), scores())


def same() -> Reported:
    """A refactoring: the same predictions on every row."""
    judged = evaluation(
        "SAME",
        "The candidate predicts the same on every one of the 68,553 rows",
        gate=gate(benefit=47124, f1=0.5713).rules,
        challenge=(),
        comparisons=comparisons(47124, 47124, 0, (0.5713, 0.5713)),
        days=days(47124, 47124),
        power=(),
        looks=None,
        flips=(),
    )
    plan = model_plan(changed=Changed(files=(FileChange(path="train.py", added=31, removed=35),)))
    return Reported(plan, judged, gate(benefit=47124), candidate(), scores(), pinned=True)


def verified() -> Reported:
    """The pin commit itself, or Update branch after it, with the judgement that won the pin."""
    plan = model_plan(
        action="verify",
        reason="version 4 was made from this tree and won against version 3",
        pin=PIN_NEW,
        merge_effect="@champion 3 -> 4",
        version=4,
    )
    return Reported(plan, promote().evaluation)


def regression() -> Reported:
    """A model whose metrics are better when lower, in units of its own."""
    name = "length-of-stay"
    rule = {"kind": "superior", "metric": "cost", "bound": 0.0, "reason": "the whole interval lies below 0"}
    margin = {"kind": "not_worse_than", "metric": "rmse", "bound": 1.5, "reason": "the interval lies wholly below +1.5"}
    judged = evaluation(
        "PROMOTE",
        "The candidate costs fewer bed days",
        model=name,
        policy={
            "measure": {
                "test_days": 28,
                "delay_days": 7,
                "metrics": {"cost": {"formula": "days / n", "better": "lower", "unit": "bed days"}},
            },
            "gate": {"rmse": "< 65"},
            "challenge": {"confidence": 0.95, "looks": 5, "cost": "superior", "rmse": {"not_worse_than": 1.5}},
        },
        gate=(
            RuleResult(
                rule="rmse < 65",
                kind="floor",
                metric="rmse",
                value=54.23,
                bound=65.0,
                interval=(50.1, 58.9),
                ok=True,
                reason="the point value is below the floor",
            ),
        ),
        challenge=(
            RuleResult(rule="cost superior", value=-83.4, interval=(-140.2, -26.1), ok=True, **rule),
            RuleResult(rule="rmse not_worse_than 1.5", value=-1.1, interval=(-3.4, 1.2), ok=True, **margin),
        ),
        comparisons=(
            comparison("cost", 1204.0, 1120.6, 57.0, unit="bed days", better="lower", rows=442),
            comparison("rmse", 55.33, 54.23, 2.3, better="lower", rows=442),
            comparison("r2", 0.421, 0.448, 0.05, rows=442),
        ),
        costs=None,
        calibration=None,
        days=tuple(
            Day(day=f"2024-05-{7 * i + 6:02d}", rows=110, champion=300.0 + i, candidate=280.0 + 12 * i)
            for i in range(4)
        ),
        power=(),
        notes=(),
        flips=None,
        curve=None,
        trivial=None,
    )
    changes = Changed(settings=(("seed", "7", "8"),), files=(FileChange(path="model.yaml", added=1, removed=1),))
    return Reported(model_plan(model=name, changed=changes), judged, None, candidate(), None, pinned=True)


def reoffered() -> Reported:
    """A tree that was rolled back, with changed data."""
    plan = model_plan(says_first=("this tree was champion (version 2) and was rolled back on 2018-08-20",))
    whole = promote()
    return Reported(
        plan,
        whole.evaluation,
        whole.gate,
        candidate(),
        scores(changes=("the labels of 12 rows differ between the two trees",)),
        pinned=True,
    )


def warned() -> Reported:
    """A rule that equal candidates would hardly ever pass, which takes a long sentence to say."""
    whole = inconclusive()
    warning = (
        "with these rules a candidate that is exactly as good as the champion passes in 3.5% of all cases; a margin of "
        "0.05 is small against a standard error of 0.0165: widen the margin, or measure on more days"
    )
    first, second = power()
    told = (first.model_copy(update={"warning": warning}), second)
    judged = whole.evaluation.model_copy(update={"power": told})
    return Reported(whole.plan, judged, whole.gate, whole.candidate, whole.scores)


def advised() -> Reported:
    """A winner that misses a floor which only warns, and meets another one."""
    whole = promote()
    missed = floor("recall", 0.625, 0.7, 0.04)
    judged = whole.evaluation.model_copy(update={"warn": (missed, floor("precision", 0.741, 0.5, 0.04))})
    return Reported(whole.plan, judged, whole.gate, whole.candidate, whole.scores, pinned=True)


def pair() -> tuple[Reported, ...]:
    """Two models, one of which loses: nothing is pinned."""
    winner = promote(pinned=False)
    loser = keep()
    renamed = loser.plan.model_copy(update={"model": "chargeback-amount"})
    return winner, Reported(renamed, loser.evaluation, loser.gate, loser.candidate, loser.scores)


def every() -> dict[str, tuple[Reported, ...]]:
    """Every sample by name."""
    return {
        "promote": (promote(),),
        "keep": (keep(),),
        "inconclusive": (inconclusive(),),
        "rejected": (rejected(),),
        "unjudged": (unjudged(),),
        "first": (first(),),
        "fork": (fork(),),
        "same": (same(),),
        "rollback": (rollback(),),
        "verified": (verified(),),
        "retired": (retired(),),
        "refused": (refused(),),
        "broken": (broken(),),
        "regression": (regression(),),
        "reoffered": (reoffered(),),
        "advised": (advised(),),
        "untouched": (untouched(),),
        "pair": pair(),
        "none": (),
    }
