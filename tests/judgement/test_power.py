"""Power: the textbook's formulas, and warnings about policies that can hardly be passed."""

import math

import pytest
from promotion.config.rules import ChallengeRule, Target
from promotion.judgement.power import days_needed, passes, power_of, sentences
from promotion.judgement.rules import rule_name
from scipy.stats import norm

F1_RULE = ChallengeRule(Target("f1"), "not_worse_than", 0.02)
SUPERIOR = ChallengeRule(Target("net_benefit"), "superior")


def power(rule: ChallengeRule, error: float, tail: float = 0.025, worthwhile: float | None = None):
    """The power of a rule on 7 test days."""
    return power_of(rule, error, tail, days=7, worthwhile=worthwhile, name=rule_name(rule))


@pytest.mark.parametrize(("tail", "share"), [(0.025, 0.23), (norm.sf(3.02), 0.035)])
def test_a_narrow_margin_is_hardly_ever_passed(tail: float, share: float) -> None:
    """`f1 not_worse_than 0.02` at a standard error of 0.0165 passes an equal candidate 23% and 3.5% of the time."""
    found = power(F1_RULE, 0.0165, tail)

    assert found.pass_zero == pytest.approx(share, abs=0.005)
    assert "passes `f1 not_worse_than 0.02` only" in (found.warning or "")
    assert f"{found.days_needed} test days" in (found.warning or "")


def test_the_smallest_difference_is_the_textbooks() -> None:
    """(z for the tail + z for 80%) standard errors."""
    assert power(SUPERIOR, 828, 0.005).smallest == pytest.approx(828 * (norm.isf(0.005) + norm.isf(0.2)))


def test_an_equal_candidate_is_superior_at_the_tail() -> None:
    """With zero difference `superior` passes with the probability of the tail."""
    assert power(SUPERIOR, 828, 0.005).pass_zero == pytest.approx(0.005)


def test_days_needed_give_80_percent() -> None:
    """On the days that it asks for, at an error that falls as 1/sqrt(days), a worthwhile difference passes 80%."""
    found = power(SUPERIOR, 828, 0.005, worthwhile=1000)
    assert found.days_needed is not None
    for days, enough in ((found.days_needed, True), (found.days_needed - 1, False)):
        share = passes(1000, 828 * math.sqrt(7 / days), float(norm.isf(0.005)))

        assert (share >= 0.8) is enough


def test_no_difference_needs_forever() -> None:
    """No number of days shows nothing."""
    assert days_needed(0.0, 100.0, 7) is None
    assert days_needed(1e-9, 100.0, 7) is None


def test_sentences_say_what_a_policy_would_do() -> None:
    """One sentence a rule, with both candidates and the difference that shows."""
    found = sentences((power(SUPERIOR, 828, 0.005, worthwhile=1000), power(F1_RULE, 0.0165)), 1000)

    assert found[0].startswith(
        "net_benefit superior: a candidate that is no better and no worse passes 0.5% of the time"
    )
    assert "better by the worthwhile 1000 8.6%" in found[0]
    assert "show in 80% of test sets" in found[1]


def test_a_wide_margin_is_no_warning() -> None:
    """A policy that an equal candidate passes most of the time is fine."""
    assert power(ChallengeRule(Target("f1"), "not_worse_than", 0.1), 0.0165).warning is None


def test_models_that_never_differ_have_no_error() -> None:
    """With a standard error of 0 a margin is passed for certain and superiority never."""
    assert power(F1_RULE, 0.0).pass_zero == 1
    assert power(SUPERIOR, 0.0).pass_zero == 0
