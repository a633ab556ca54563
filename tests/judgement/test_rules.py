"""Rules and verdicts: compared once, strictly as written; whatever cannot be computed is never a pass."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotion.config.rules import ChallengeRule, Floor, Target
from promotion.judgement.rules import Outcome, challenge_rule, enough, fewest, floor_rule, tail, verdict
from promotion.records.figures import Looks, RuleResult

NAN, INF = float("nan"), float("inf")


def floor(op: str, bound: float = 0.2) -> Floor:
    """A floor on F1."""
    return Floor(Target("f1"), op, bound)


def rule(kind: str = "superior", margin: float = 0.0, *, relative: bool = False) -> ChallengeRule:
    """A challenge rule on F1."""
    return ChallengeRule(Target("f1"), kind, margin, relative=relative)


@pytest.mark.parametrize(
    ("op", "value", "ok"),
    [
        (">", 0.2, False), (">", 0.2000001, True), (">", 0.1, False),
        (">=", 0.2, True), (">=", 0.1999999, False),
        ("<", 0.2, False), ("<", 0.1, True),
        ("<=", 0.2, True), ("<=", 0.3, False),
    ],
)  # fmt: skip
def test_a_floor_compares_point_values_as_written(op: str, value: float, ok: bool) -> None:
    """`> 0.20` is strict, `>= 0.20` is not, and the interval does not enter."""
    found = floor_rule(floor(op), Outcome(value, (0.0, 1.0)), None)

    assert found.ok is ok
    assert (found.value, found.interval, found.bound) == (value, (0.0, 1.0), 0.2)


@pytest.mark.parametrize("op", [">", ">=", "<", "<="])
@pytest.mark.parametrize("value", [None, NAN, INF, -INF])
def test_a_floor_fails_closed(op: str, value: float | None) -> None:
    """What is missing, NaN or infinite is below every floor, in either direction."""
    found = floor_rule(floor(op), Outcome(value, None, reason="one class only"), None)

    assert found.ok is False
    assert found.value is None
    assert "one class only" in found.reason


def test_a_floor_with_a_reason_against_it_fails_even_with_a_value() -> None:
    """A value that is about other days than declared does not pass."""
    found = floor_rule(floor(">"), Outcome(0.9, None, reason="these scores span 14 days"), None)

    assert found.ok is False
    assert "span 14 days" in found.reason


def test_a_missed_floor_does_not_read_as_if_it_were_met() -> None:
    """0.19999 against 0.20 is written with the digits that tell them apart."""
    found = floor_rule(floor(">"), Outcome(0.19999, None), None)

    assert found.reason == "f1 is 0.19999, and must be > 0.20000"


@pytest.mark.parametrize(
    ("low", "high", "superior", "not_worse"),
    [
        (0.01, 0.05, True, True),
        (0.0, 0.05, None, True),
        (-0.01, 0.05, None, True),
        (-0.05, 0.05, None, None),
        (-0.06, 0.0, None, None),
        (-0.06, -0.01, False, None),
        (-0.09, -0.05, False, None),
        (-0.09, -0.06, False, False),
    ],
)
def test_an_interval_passes_fails_or_settles_nothing(low, high, superior, not_worse) -> None:
    """Wholly above the bound passes, wholly below fails, touching or straddling settles nothing."""
    found = Outcome((low + high) / 2, (low, high), (low, high))

    assert challenge_rule(rule(), found, None, 1).ok is superior
    assert challenge_rule(rule("not_worse_than", 0.05), found, None, 1).ok is not_worse


@pytest.mark.parametrize(
    ("low", "high", "superior", "not_worse"),
    [(-5, -1, True, True), (-5, 0, None, True), (-1, 1, None, True), (1, 3, False, None), (3, 4, False, False)],
)
def test_lower_is_better_is_the_mirror_image(low, high, superior, not_worse) -> None:
    """For RMSE the better side is below, and a margin of 2 allows +2."""
    found = Outcome((low + high) / 2, (low, high), (low, high))

    assert challenge_rule(rule(), found, None, -1).ok is superior
    assert challenge_rule(rule("not_worse_than", 2), found, None, -1).ok is not_worse
    assert challenge_rule(rule("not_worse_than", 2), found, None, -1).bound == 2


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.sampled_from([1, -1]))
def test_no_interval_ever_passes_and_fails(middle: float, half: float, margin: float, sign: int) -> None:
    """Mirrored data with a mirrored direction have the same outcome, and a pass implies the value is past the bound."""
    ends = (middle - half, middle + half)
    mirrored = (-ends[1], -ends[0])
    one = challenge_rule(rule("not_worse_than", margin), Outcome(middle, ends, ends), None, sign)
    two = challenge_rule(rule("not_worse_than", margin), Outcome(-middle, mirrored, mirrored), None, -sign)

    assert one.ok is two.ok
    if one.ok is True:
        assert sign * middle > -margin


@pytest.mark.parametrize("ends", [None, (NAN, 1.0), (0.1, INF), (-INF, INF)])
def test_a_missing_interval_settles_nothing(ends) -> None:
    """Without a finite interval there is neither a pass nor a proof of harm."""
    assert challenge_rule(rule(), Outcome(0.5, ends, ends), None, 1).ok is None


@pytest.mark.parametrize("value", [None, NAN, INF])
def test_a_difference_that_cannot_be_computed_settles_nothing(value) -> None:
    """A challenge rule whose value is missing or not finite never passes, and is no proof of harm either."""
    found = challenge_rule(rule(), Outcome(value, (1.0, 2.0), (1.0, 2.0), reason="no rows"), None, 1)

    assert found.ok is None
    assert "no rows" in found.reason


def test_a_rule_that_is_refused_fails_whatever_its_values() -> None:
    """Dollars of other days than the declared ones are not compared at all."""
    found = challenge_rule(rule(), Outcome(5.0, (1.0, 9.0), (1.0, 9.0), refused="20 of 28 days"), None, 1)

    assert (found.ok, found.reason) == (False, "20 of 28 days")


def test_failing_needs_the_wider_interval() -> None:
    """With several rules, one of them fails only at the corrected tail; until then it settles nothing and says so."""
    found = challenge_rule(rule(), Outcome(-1.0, (-2.0, -0.1), (-2.3, 0.1)), None, 1)

    assert found.ok is None
    assert "one of several rules" in found.reason


@pytest.mark.parametrize(
    ("ends", "passed", "failed"), [((0.5, 2.0), None, None), ((-2.0, -0.5), None, None), ((-1.0, 1.0), None, None)]
)
def test_a_claim_that_the_data_cannot_carry_settles_nothing(ends, passed, failed) -> None:
    """An interval past the bound is no pass and no failure where a reason stands against the claim."""
    refused = Outcome(sum(ends) / 2, ends, ends, not_better="few and large", not_worse="few and large")
    found = challenge_rule(rule(), refused, None, 1)

    assert found.ok is passed is failed
    assert ("few and large" in found.reason) is (ends != (-1.0, 1.0))


def test_how_many_clusters_a_claim_needs() -> None:
    """At 0.5% seven that agree by chance are 1 in 128; a loss of 0.05 would be missed by 103 clusters, not by 104."""
    assert (fewest(0.005), fewest(0.025)) == (8, 6)
    assert 2.0**-7 > 0.005 >= 2.0**-8
    assert (enough(0.05, 0.005), enough(0.05, 0.025)) == (104, 72)
    assert 0.95**103 > 0.005 >= 0.95**104
    assert enough(1.0, 0.005) == 1


def test_a_margin_in_dollars_is_that_of_the_days_that_count() -> None:
    """A margin of 1400 a week is 200 on one fresh day: -300 to -100 does not pass it."""
    dollars, day = rule("not_worse_than", 1400.0), Outcome(-200.0, (-300.0, -100.0), (-300.0, -100.0))

    assert challenge_rule(dollars, day, None, 1).ok is True
    assert challenge_rule(dollars, day, None, 1, scale=1 / 7).ok is None


def test_tails_are_spread_over_looks() -> None:
    """95% two-sided over 5 looks leaves 0.5% in each tail of each look."""
    assert tail(0.95, 5) == pytest.approx(0.005)
    assert tail(0.95, 1) == pytest.approx(0.025)


def result(ok: bool | None, kind: str = "superior") -> RuleResult:
    """A rule with an outcome."""
    return RuleResult(rule="r", kind=kind, ok=ok, reason="")  # type: ignore[arg-type]


PASSED = (result(True, "floor"),)


@pytest.mark.parametrize("rules", list(itertools.product([True, False, None], repeat=2)))
def test_every_combination_of_two_rules(rules) -> None:
    """All pass: PROMOTE. One fails: KEEP. Otherwise: INCONCLUSIVE."""
    expected = "KEEP" if False in rules else "PROMOTE" if rules == (True, True) else "INCONCLUSIVE"
    found = verdict(PASSED, tuple(map(result, rules)), looks=Looks(number=5, allowed=5), champion=True, same=False)

    assert found == expected


@pytest.mark.parametrize("gate", [(), (result(None, "floor"),), (result(False, "floor"),), (*PASSED, result(False))])
@pytest.mark.parametrize("champion", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_nothing_gets_past_the_gate(gate, champion: bool, same: bool) -> None:
    """A floor that is not passed, or no floor at all, is REJECTED whatever else is true."""
    assert verdict(gate, (result(True),), looks=None, champion=champion, same=same) == "REJECTED"


def test_no_rule_is_no_win() -> None:
    """Without any rule nothing was won."""
    assert verdict(PASSED, (), looks=None, champion=True, same=False) == "INCONCLUSIVE"


def test_looks_used_up_is_no_win() -> None:
    """The sixth candidate on days that are good for five cannot win, even if every rule passes, even the first."""
    looks = Looks(number=6, allowed=5)
    for champion in (True, False):
        assert verdict(PASSED, (result(True),), looks=looks, champion=champion, same=False) == "INCONCLUSIVE"


def test_first_and_same() -> None:
    """Without a champion the gate decides; the same predictions may be pinned."""
    assert verdict(PASSED, (), looks=Looks(number=1, allowed=5), champion=False, same=False) == "FIRST"
    assert verdict(PASSED, (), looks=None, champion=True, same=True) == "SAME"


@pytest.mark.parametrize("kind", ["signature", "windows"])
@pytest.mark.parametrize("ok", [False, None])
@pytest.mark.parametrize("same", [True, False])
def test_a_signature_or_window_that_does_not_hold_is_never_a_win(kind: str, ok, same: bool) -> None:
    """Callers who would break, or labels that were not known yet, keep the champion."""
    rules = (result(True), result(ok, kind))

    assert verdict(PASSED, rules, looks=None, champion=True, same=same) == "KEEP"


def test_records_hold_no_infinity() -> None:
    """An infinite end of an interval is left out of the record rather than written."""
    assert floor_rule(floor(">"), Outcome(0.5, (-math.inf, 1.0)), None).interval is None
