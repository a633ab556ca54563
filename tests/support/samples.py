"""Records as real runs make them, one for every verdict and action, for tests and for looking at."""

from promotion.records import (
    Candidate,
    Comparison,
    Day,
    Estimate,
    Evaluation,
    Gate,
    JudgedRows,
    Looks,
    ModelPlan,
    PinRecord,
    Plan,
    Power,
    RuleResult,
    ScoresInfo,
    Side,
)
from promotion.rendering import Reported

MODEL = "fraud-detector"
POLICY = {
    "measure": {
        "test_days": 7,
        "delay_days": 7,
        "dollars": {"caught": "amount", "review": 15},
        "cluster": ["customer_id", "terminal_id"],
        "slices": ["weekend", "amount_band"],
    },
    "gate": {"net_benefit": "> 40000", "f1": "> 0.20"},
    "challenge": {
        "confidence": 0.95,
        "looks": 5,
        "worthwhile": 1000,
        "net_benefit": "superior",
        "f1": {"not_worse_than": 0.05},
    },
}
TREE_OLD, TREE_NEW = "5b1c" + "0a9f" * 9, "9e3d" + "71c2" * 9
SHA_OLD, SHA_NEW, POLICY_SHA = ("sha256:" + c * 64 for c in "3c7")
PIN_OLD = PinRecord(version=3, source_tree=TREE_OLD, digest=SHA_OLD, evidence="sha256:" + "e" * 64)
PIN_NEW = PinRecord(version=4, source_tree=TREE_NEW, digest=SHA_NEW, evidence="sha256:" + "f" * 64)
PLAN = Plan(base="b" * 40, head="a" * 40, merge="d" * 40, lock="sha256:" + "1" * 64, models=())


def model_plan(**changes: object) -> ModelPlan:
    """The plan of a retrain PR against champion 3."""
    fields: dict = {
        "model": MODEL,
        "action": "train",
        "reason": "the tree of models/fraud-detector changed and no version was trained from it",
        "source_tree": TREE_NEW,
        "key": "fraud-detector-9e3d71c271c2",
        "champion": PIN_OLD,
        "pin": PIN_OLD,
        "policy": POLICY,
        "policy_digest": POLICY_SHA,
    }
    return ModelPlan(**{**fields, **changes})


def candidate() -> Candidate:
    """A trained candidate with its windows."""
    return Candidate(
        model=MODEL,
        key="fraud-detector-9e3d71c271c2",
        source_tree=TREE_NEW,
        lock="sha256:" + "1" * 64,
        digest=SHA_NEW,
        as_of="2018-08-08",
        train=("2018-07-18", "2018-07-24"),
        validation=("2018-07-25", "2018-07-31"),
        labels_known_by="2018-08-07",
        parameters={"n_estimators": 100},
        seed=7,
        inputs=(("amount", "double"), ("weekend", "long")),
        train_seconds=21.4,
    )


def scores(**changes: object) -> ScoresInfo:
    """What was scored, with latencies."""
    fields: dict = {
        "model": MODEL,
        "task": "classification",
        "first": "2018-08-08",
        "last": "2018-08-14",
        "rows": 68553,
        "keys": ("transaction_id",),
        "columns": ("day", "amount", "customer_id", "terminal_id", "weekend", "amount_band"),
        "test_digest": "sha256:" + "2" * 64,
        "candidate_digest": SHA_NEW,
        "candidate_predictions": "sha256:" + "4" * 64,
        "champion_predictions": "sha256:" + "5" * 64,
        "latency_ms": {"champion.one_row": 2.113, "candidate.one_row": 3.62},
    }
    return ScoresInfo(**{**fields, **changes})


def gate(passed: bool = True, benefit: float = 50184.2, f1: float = 0.6784, version: int | None = 4) -> Gate:
    """The two floors of the mission."""
    rules = (floor("net_benefit", benefit, 40000, 9400), floor("f1", f1, 0.2, 0.041))
    return Gate(
        model=MODEL,
        passed=passed,
        rules=rules,
        run_id="0f3e5d7c9b1a4f60a2c4e6f8091b3d5f",
        version=version if passed else None,
        reason="both floors passed" if passed else "below a floor: f1 is 0.187, must be > 0.20",
        looks=Looks(number=2, allowed=5),
    )


def floor(metric: str, value: float, bound: float, half: float) -> RuleResult:
    """A floor as the gate records it."""
    written = f"{metric} > {bound:g}"
    ok = value > bound
    reason = f"the point value is {'above' if ok else 'not above'} the floor"
    return RuleResult(
        rule=written,
        kind="floor",
        metric=metric,
        value=value,
        bound=bound,
        interval=(value - half, value + half),
        ok=ok,
        reason=reason,
    )


def superior(value: float, half: float) -> RuleResult:
    """`net_benefit superior` as the challenge records it."""
    low, high = value - half, value + half
    ok = True if low > 0 else False if high < 0 else None
    why = {True: "the whole interval lies above 0", False: "the whole interval lies below 0"}
    return RuleResult(
        rule="net_benefit superior",
        kind="superior",
        metric="net_benefit",
        value=value,
        bound=0.0,
        interval=(low, high),
        ok=ok,
        reason=why.get(ok, "the interval straddles 0, so this set does not settle it"),
    )


def not_worse(value: float, half: float, margin: float = 0.05) -> RuleResult:
    """`f1 not_worse_than` as the challenge records it."""
    low, high = value - half, value + half
    ok = True if low > -margin else False if high < -margin else None
    words = {True: "wholly above", False: "wholly below", None: "on both sides of"}
    return RuleResult(
        rule=f"f1 not_worse_than {margin:g}",
        kind="not_worse_than",
        metric="f1",
        value=value,
        bound=-margin,
        interval=(low, high),
        ok=ok,
        reason=f"the interval lies {words[ok]} −{margin:g}",
    )


def comparison(
    metric: str,
    champion: float | None,
    challenger: float,
    half: float,
    *,
    unit: str | None = None,
    part: str | None = None,
    rows: int = 68553,
    better: str = "higher",
) -> Comparison:
    """One metric of both models; `half` is half the width of the difference's interval."""
    level = 2.4 * half
    gap = None if champion is None else challenger - champion
    return Comparison(
        metric=metric,
        unit=unit,
        better=better,
        slice=part,
        rows=rows,
        candidate=Estimate(value=challenger, interval=(challenger - level, challenger + level)),
        champion=None if champion is None else Estimate(value=champion, interval=(champion - level, champion + level)),
        difference=None if gap is None else Estimate(value=gap, interval=(gap - half, gap + half)),
    )


def comparisons(old: float | None, new: float, half: float, f1: tuple[float | None, float]) -> tuple[Comparison, ...]:
    """All metrics, then slices."""

    def level(value: float, factor: float = 1.0) -> float | None:
        return None if old is None else value * factor

    slices = [
        comparison(
            "net_benefit",
            None if old is None else old * share,
            new * share * tilt,
            half * share**0.5,
            unit="$",
            part=name,
            rows=int(68553 * share),
        )
        for name, share, tilt in (
            ("weekend=0", 0.71, 1.01),
            ("weekend=1", 0.29, 0.97),
            ("amount_band=under 20", 0.06, 0.8),
            ("amount_band=20 to 220", 0.28, 0.96),
            ("amount_band=over 220", 0.66, 1.03),
        )
    ]
    return (
        comparison("net_benefit", old, new, half, unit="$"),
        comparison("f1", f1[0], f1[1], 0.031),
        comparison("precision", level(0.702), 0.741, 0.044),
        comparison("recall", level(0.481), 0.625, 0.036),
        comparison("roc_auc", level(0.895), 0.893, 0.012),
        comparison("average_precision", level(0.668), 0.72, 0.021),
        comparison("brier", level(0.00412), 0.00389, 0.00019, better="lower"),
        *slices,
    )


def days(old: float | None, new: float) -> tuple[Day, ...]:
    """Seven days whose differences vary."""
    shares = (0.14, 0.17, 0.11, 0.16, 0.13, 0.12, 0.17)
    tilts = (1.4, 0.5, -0.6, 2.1, 1.2, -0.2, 1.5)
    gap = 0 if old is None else (new - old) / 7
    return tuple(
        Day(
            day=f"2018-08-{8 + i:02d}",
            rows=9700 + 13 * i,
            champion=None if old is None else round(old * share, 2),
            candidate=round((new if old is None else old) * share + gap * tilt, 2),
        )
        for i, (share, tilt) in enumerate(zip(shares, tilts, strict=True))
    )


def power(days_needed: int | None = 19) -> tuple[Power, ...]:
    """What seven days can show."""
    return (
        Power(
            rule="net_benefit superior",
            sd=828,
            smallest=2830,
            pass_zero=0.005,
            pass_worthwhile=0.09,
            days_needed=days_needed,
        ),
        Power(rule="f1 not_worse_than 0.05", sd=0.0121, smallest=0.0413, pass_zero=0.94),
    )


def evaluation(verdict: str, headline: str, **changes: object) -> Evaluation:
    """A judgement of version 4 against champion 3; `changes` replace fields."""
    fields: dict = {
        "model": MODEL,
        "verdict": verdict,
        "headline": headline,
        "policy": POLICY,
        "policy_digest": POLICY_SHA,
        "test": JudgedRows(
            first="2018-08-08", last="2018-08-14", rows=68553, positives=526, digest="sha256:" + "2" * 64
        ),
        "candidate": Side(
            source_tree=TREE_NEW,
            digest=SHA_NEW,
            predictions="sha256:" + "4" * 64,
            version=4,
            labels_known_by="2018-08-07",
        ),
        "champion": Side(
            source_tree=TREE_OLD,
            digest=SHA_OLD,
            predictions="sha256:" + "5" * 64,
            version=3,
            labels_known_by="2018-07-31",
        ),
        "gate": gate().rules,
        "challenge": (superior(3060, 2133), not_worse(0.107, 0.031)),
        "comparisons": comparisons(47124, 50184, 2133, (0.5713, 0.6784)),
        "days": days(47124, 50184),
        "power": power(),
        "looks": Looks(number=2, allowed=5),
        "notes": ("The champion won on test days that overlap 0 of these.",),
        "confidence_used": 0.99,
    }
    return Evaluation(**{**fields, **changes})


def promote(pinned: bool = True) -> Reported:
    """A forest beats logistic regression."""
    judged = evaluation("PROMOTE", "The candidate is better by $3,060 (99%: +$927 to +$5,193) and F1 is not worse")
    return Reported(model_plan(), judged, gate(), candidate(), scores(), pinned=pinned)


def keep() -> Reported:
    """The champion is clearly better."""
    judged = evaluation(
        "KEEP",
        "The champion is better by $4,980 (99%: −$7,113 to −$2,847)",
        gate=gate(benefit=42144).rules,
        challenge=(superior(-4980, 2133), not_worse(-0.012, 0.031)),
        comparisons=comparisons(47124, 42144, 2133, (0.5713, 0.5593)),
        days=days(47124, 42144),
    )
    return Reported(model_plan(), judged, gate(benefit=42144), candidate(), scores())


def inconclusive() -> Reported:
    """A month of training instead of a week: $377 better, or not."""
    judged = evaluation(
        "INCONCLUSIVE",
        "+$377 (99%: −$1,756 to +$2,510): these test days do not settle whether the candidate is better",
        gate=gate(benefit=50561, f1=0.6762).rules,
        challenge=(superior(377, 2133), not_worse(-0.0022, 0.031)),
        comparisons=comparisons(50184, 50561, 2133, (0.6784, 0.6762)),
        days=days(50184, 50561),
        looks=Looks(number=5, allowed=5),
    )
    return Reported(model_plan(), judged, gate(benefit=50561, f1=0.6762), candidate(), scores())


def rejected() -> Reported:
    """Below both floors; nothing was registered."""
    failed = gate(passed=False, benefit=39104, f1=0.187)
    return Reported(model_plan(), None, failed, candidate(), scores())


def first() -> Reported:
    """No champion yet: the gate decides."""
    plan = model_plan(champion=None, pin=None, says_first=("this pull request brings the policy it is judged by",))
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
    )
    return Reported(plan, judged, gate(benefit=47124, f1=0.5713, version=1), candidate(), scores(), pinned=True)


def same() -> Reported:
    """A refactoring: the same predictions on every row."""
    judged = evaluation(
        "SAME",
        "The candidate predicts the same on every one of the 68,553 rows",
        gate=gate(benefit=47124, f1=0.5713).rules,
        challenge=(superior(0, 0), not_worse(0, 0)),
        comparisons=comparisons(47124, 47124, 0, (0.5713, 0.5713)),
        days=days(47124, 47124),
        power=(),
        looks=None,
        notes=("No look is used.",),
    )
    return Reported(model_plan(), judged, gate(benefit=47124), candidate(), scores(), pinned=True)


def rollback() -> Reported:
    """A revert of the last promotion."""
    plan = model_plan(
        action="verify",
        reason="the pin goes back to version 3, which was champion before, and its tree is this tree",
        source_tree=TREE_OLD,
        champion=PIN_NEW,
        pin=PIN_OLD,
        merge_effect="@champion 4 -> 3, rollback to the champion of 2018-08-15, merged in #12",
        version=3,
    )
    return Reported(plan)


def verified() -> Reported:
    """The pin commit itself, or Update branch after it."""
    plan = model_plan(
        action="verify",
        reason="version 4 was made from this tree and won against version 3",
        pin=PIN_NEW,
        merge_effect="@champion 3 -> 4",
        version=4,
    )
    return Reported(plan)


def retired() -> Reported:
    """A model whose entry and folder are removed: its alias goes."""
    plan = model_plan(
        action="none",
        reason="removed together with its folder",
        source_tree=None,
        key=None,
        pin=None,
        merge_effect="@champion is dropped",
    )
    return Reported(plan)


def refused() -> Reported:
    """A pin without its code."""
    plan = model_plan(
        action="refuse",
        reason="the pin moves to version 2 but the code does not; "
        "run `python scripts/rollback.py fraud-detector --to 2`, which brings both",
        pin=PIN_OLD.model_copy(update={"version": 2}),
    )
    return Reported(plan)


def broken() -> Reported:
    """train.py raised."""
    tail = (
        'Traceback (most recent call last):\n  File "models/fraud-detector/train.py", line 31, in fit\n'
        "    model.fit(train.X, train.y)\nValueError: Input X contains NaN.\n```\n::error::not a command\n"
    )
    return Reported(
        model_plan(),
        error="models/fraud-detector/train.py raised ValueError: Input X contains NaN.; its log ends below",
        log_tail=tail,
    )


def regression() -> Reported:
    """A model whose metrics are better when lower, in units of its own."""
    name = "length-of-stay"
    rule = {"kind": "superior", "metric": "cost", "bound": 0.0, "reason": "the whole interval lies below 0"}
    margin = {"kind": "not_worse_than", "metric": "rmse", "bound": 1.5, "reason": "the interval lies wholly below +1.5"}
    judged = evaluation(
        "PROMOTE",
        "The candidate costs fewer bed days",
        model=name,
        policy={"measure": {"test_days": 28}, "gate": {"rmse": "< 65"}, "challenge": {"cost": "superior"}},
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
        days=tuple(
            Day(day=f"2024-05-{7 * i + 6:02d}", rows=110, champion=300.0 + i, candidate=280.0 + 12 * i)
            for i in range(4)
        ),
        power=(),
        notes=(),
    )
    return Reported(model_plan(model=name), judged, None, candidate(), None, pinned=True)


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


def untouched() -> Reported:
    """A model that this pull request does not touch."""
    return Reported(model_plan(action="none", reason="neither its tree nor its pin differs from the base"))


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
        "first": (first(),),
        "same": (same(),),
        "rollback": (rollback(),),
        "verified": (verified(),),
        "retired": (retired(),),
        "refused": (refused(),),
        "broken": (broken(),),
        "regression": (regression(),),
        "reoffered": (reoffered(),),
        "untouched": (untouched(),),
        "pair": pair(),
        "none": (),
    }
