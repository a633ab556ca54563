"""What a judgement of the sample's two models finds, part by part and whole."""

import math

from promotion.records.charts import Band, Bin, Calibration, Costs, Curve, Day, Drift, Flip, Reliability, SideCurve
from promotion.records.evaluation import Evaluation, JudgedRows, Power, Side, Trivial
from promotion.records.figures import Assumptions, Comparison, Estimate, Looks, RuleResult
from promotion.records.steps import Gate

from tests.support.sample_parts import MODEL, POLICY, POLICY_SHA, SHA_NEW, SHA_OLD, TREE_NEW, TREE_OLD


def flips(gap: float) -> tuple[Flip, ...]:
    """Which decisions differ; their dollars add up to `gap`."""
    missed = gap - 6210 + 465 - 270
    return (
        Flip(kind="newly_caught", rows=103, dollars=6210.0),
        Flip(kind="newly_missed", rows=round(-missed / 105), dollars=missed),
        Flip(kind="new_false_alarm", rows=31, dollars=-465.0),
        Flip(kind="false_alarm_gone", rows=18, dollars=270.0),
    )


def curve(old: float | None, new: float) -> Curve:
    """Both models over 40 numbers of flagged rows; the candidate is better at all of them."""
    flagged = tuple(round(10 * 6855.3 ** (i / 39)) for i in range(40))

    def side(best: float, at: int) -> SideCurve:
        values = tuple(
            round(best * (1 - abs(math.log(n / at)) ** 1.5 / 9) - 15 * max(0, n - at) * 0.3, 2) for n in flagged
        )
        ends = band(values, 0.1 * best)
        return SideCurve(values=values, chosen=round(at * 0.9), low=ends.low, high=ends.high)

    champion, candidate = None if old is None else side(old * 1.01, 560), side(new * 1.015, 480)
    gaps = None
    if champion is not None:
        pairs = zip(candidate.values, champion.values, strict=True)
        gaps = band(tuple(round(a - b, 2) for a, b in pairs), 0.04 * new)
    return Curve(metric="net_benefit", flagged=flagged, candidate=candidate, champion=champion, difference=gaps)


def band(values: tuple[float, ...], half: float) -> Band:
    """Values with ends on both sides."""
    ends = (tuple(round(value + sign * half, 2) for value in values) for sign in (-1, 1))
    return Band(values=values, low=next(ends), high=next(ends))


def costs(old: float | None, new: float) -> Costs:
    """Reviews of 469 and 560 rows at multiples of $15."""
    times = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
    mine = tuple(round(new + 15 * 469 * (1 - t), 2) for t in times)
    if old is None:
        return Costs(times=times, candidate=band(mine, 5119))
    theirs = tuple(round(old + 15 * 560 * (1 - t), 2) for t in times)
    gaps = tuple(round(a - b, 2) for a, b in zip(mine, theirs, strict=True))
    even = round(1 - (new - old) / (15 * (560 - 469)), 4)
    return Costs(
        times=times,
        candidate=band(mine, 5119),
        champion=band(theirs, 5119),
        difference=band(gaps, 2133),
        even=even if even >= 0 else None,
    )


def calibration(champion: bool = True) -> Calibration:
    """A candidate that is about right, a champion whose scores are too extreme."""
    bins = tuple(
        Bin(
            low=round(0.9 * i / 9 + 0.001, 4),
            high=round(0.9 * i / 9 + 0.099, 4),
            rows=round(66000 * 0.15**i) + 40,
            expected=round(0.9 * i / 9 + 0.04, 4),
            observed=round(0.9 * i / 9 + 0.03 + 0.01 * (-1) ** i, 4),
            interval=None if i == 0 else (round(0.9 * i / 9 - 0.03, 4), round(0.9 * i / 9 + 0.1, 4)),
        )
        for i in range(10)
    )
    old = Reliability(
        slope=Estimate(value=0.7213, interval=(0.6412, 0.8014)),
        intercept=Estimate(value=-0.3121, interval=(-0.4533, -0.1709)),
        bins=bins,
    )
    new = Reliability(
        slope=Estimate(value=0.9712, interval=(0.8801, 1.0623)),
        intercept=Estimate(value=0.0512, interval=(-0.0913, 0.1937)),
        bins=bins,
    )
    return Calibration(candidate=new, champion=old if champion else None)


def drift() -> tuple[Drift, ...]:
    """One feature of three moved far, whose values people write."""
    return (
        Drift(of="score", column="score", psi=0.0213, bins=(("up to 0.001", 0.9, 0.88), ("over 0.001", 0.1, 0.12))),
        Drift(of="feature", column="amount", psi=0.0041, bins=(("up to 20", 0.3, 0.29), ("over 20", 0.7, 0.71))),
        Drift(
            of="feature",
            column="terminal_risk_30_days",
            psi=0.3127,
            bins=(("up to 0", 0.97, 0.84), ("0 to 0.2", 0.02, 0.09), ("over 0.2", 0.01, 0.07)),
        ),
        Drift(of="feature", column="is_weekend", psi=0.0002, bins=(("0", 0.71, 0.715), ("1", 0.29, 0.285))),
    )


def gate(passed: bool = True, benefit: float = 50184.2, f1: float = 0.6784, version: int | None = 4) -> Gate:
    """The two floors of the mission."""
    rules = (floor("net_benefit", benefit, 40000, 2.4 * 2133), floor("f1", f1, 0.2, 2.4 * 0.031))
    return Gate(
        model=MODEL,
        passed=passed,
        rules=rules,
        run_id="0f3e5d7c9b1a4f60a2c4e6f8091b3d5f",
        version=version if passed else None,
        reason="every floor is passed" if passed else "; ".join(rule.reason for rule in rules),
        looks=Looks(number=2, allowed=5),
    )


def floor(metric: str, value: float, bound: float, half: float) -> RuleResult:
    """A floor as the gate records it."""
    written = f"{metric} > {bound:g}"
    ok = value > bound
    reason = f"{metric} is {value:,.6g}, " + ("which meets the floor" if ok else f"and must be > {bound:g}")
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
        assumptions=Assumptions(
            clusters=312,
            differing=97,
            skew=0.06,
            expected_skew=-0.11,
            largest_share=0.074,
            without_largest=value - 410,
            unseen=620.0,
            unseen_rate=0.05,
            unseen_clusters=10,
            replicates=10_000,
        ),
    )


def not_worse(value: float, half: float, margin: float = 0.05) -> RuleResult:
    """`f1 not_worse_than` as the challenge records it."""
    low, high = value - half, value + half
    ok = True if low > -margin else False if high < -margin else None
    words = {True: "the whole interval lies above", False: "the whole interval lies below", None: "it straddles"}
    return RuleResult(
        rule=f"f1 not_worse_than {margin:g}",
        kind="not_worse_than",
        metric="f1",
        value=value,
        bound=-margin,
        interval=(low, high),
        ok=ok,
        reason=f"{words[ok]} −{margin:g}",
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
        "notes": (),
        "confidence_used": 0.99,
        "release": "0.1.0",
        "flips": flips(3060),
        "curve": curve(47124, 50184),
        "costs": costs(47124, 50184),
        "calibration": calibration(),
        "drift": drift(),
        "trivial": (
            Trivial(name="flag nobody", values={"net_benefit": 0.0, "f1": 0.0, "accuracy": 0.9923}),
            Trivial(name="flag everybody", values={"net_benefit": -960507.0, "f1": 0.0152, "accuracy": 0.0077}),
        ),
    }
    return Evaluation(**{**fields, **changes})
