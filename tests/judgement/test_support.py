"""What carries a claim: skew as it was seen and as it must be expected, and the exact bound."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promotion.judgement.support import (
    KIND,
    LIMIT,
    Influences,
    bounds,
    clusters_needed,
    exact_end,
    skew_expected,
    skew_seen,
    unseen,
    upper_share,
)
from scipy.stats import beta, skew

TAIL = 0.005


def influences(change, stake=None, lost=None, chance=None, won=None) -> tuple[Influences]:
    """One way of resampling; nothing at stake where nothing is said."""
    arrays = [np.zeros(len(change)) if part is None else np.asarray(part, float) for part in (stake, lost, chance, won)]
    return (Influences(np.asarray(change, float), *arrays),)


def traded(lost: int, clusters: int = 60, stake: float = 1000.0) -> tuple[Influences]:
    """Clusters of one stake, of which `lost` are lost, and three times as many where 15 dollars are saved."""
    stakes = np.append(np.full(clusters, stake), np.zeros(3 * clusters))
    gone = np.where(np.arange(len(stakes)) < lost, stakes, 0.0)
    saved = np.append(np.zeros(clusters), np.full(3 * clusters, 15.0))
    return influences(saved - gone, stakes, gone, stakes, np.zeros(len(stakes)))


def test_cochrans_rule_is_a_limit_on_the_skew_of_the_sum() -> None:
    """clusters > 25 skew^2 is a skew of the sum below 0.2, with Fisher's skew of the clusters that differ."""
    change = np.append(np.random.default_rng(0).exponential(1.0, 80) - 1, np.zeros(50))
    one = float(skew(change[change != 0], bias=False))
    found = skew_seen(influences(-change))

    assert found == pytest.approx(-one / math.sqrt(80), rel=1e-9)
    assert clusters_needed(change, found) == pytest.approx(25 * one**2, abs=2)
    assert (25 * one**2 < 80) is (found > -LIMIT)
    assert skew_seen(influences([1.0, 2.0, 9.0])) == pytest.approx(float(skew([1, 2, 9], bias=False)) / math.sqrt(3))
    assert skew_seen(influences([1.0, 9.0])) == 0


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=60), st.floats(0.1, 100))
@settings(max_examples=100, deadline=None)
def test_units_and_direction_do_not_matter(values, unit: float) -> None:
    """Dollars or cents have the same skew; mirrored, it is the other sign's."""
    there = influences(values)
    scaled = influences(np.array(values) * unit)
    back = tuple(way.mirrored() for way in there)

    assert skew_seen(scaled) == pytest.approx(skew_seen(there), abs=1e-6)
    assert skew_seen(back) == pytest.approx(-skew_seen(there), abs=1e-9)


def test_losses_that_did_not_happen_are_expected_all_the_same() -> None:
    """None of 60 bursts lost and 180 small savings: what was seen has no skew, what is at stake has."""
    nothing = traded(0)

    assert skew_seen(nothing) == 0
    assert skew_expected(nothing) < -5 * LIMIT


def test_where_both_lose_alike_nothing_is_expected() -> None:
    """Bursts lost and won alike, as often: the expected skew is small whatever the stakes."""
    rng = np.random.default_rng(1)
    stake = rng.lognormal(6, 1, 400)
    lost, won = ((rng.random(400) < 0.3) * stake for _ in range(2))
    way = influences(won - lost, stake, lost, stake, won)

    assert abs(skew_expected(way)) < LIMIT


def test_the_largest_stakes_are_expected_to_go_as_the_others_did() -> None:
    """A quarter of all stakes was lost, and by luck none of the twenty largest: the expected skew shows it."""
    rng = np.random.default_rng(2)
    stake = np.sort(rng.lognormal(5, 1.5, 300))[::-1]
    lost = stake * (rng.random(300) < 0.25) * (np.arange(300) >= 20)
    saved = float(stake.sum()) * 0.25 / 300
    way = influences(saved - lost, stake, lost, stake, np.zeros(300))

    assert skew_expected(way) < skew_seen(way) - LIMIT


def test_fewer_stakes_than_make_a_kind_are_one_set() -> None:
    """With three stakes there is one set, and it is all of them."""
    (found,) = bounds(influences([1.0, 1.0, 1.0], [5.0, 4.0, 3.0], [0, 0, 0], [0, 0, 0], [0, 0, 0]), TAIL)

    assert [one.clusters for one in found] == [3]


def test_stakes_of_one_size_stay_together() -> None:
    """Which of a hundred equal stakes comes first means nothing, so no set cuts them."""
    (found,) = bounds(traded(0, clusters=100), TAIL)

    assert [one.clusters for one in found] == [100]


@pytest.mark.parametrize("lost", [0, 1, 7])
@pytest.mark.parametrize("many", [10, 104, 500])
def test_the_bound_is_clopper_and_pearsons(lost: int, many: int) -> None:
    """For stakes that are lost whole or not at all; with none lost it is the rule of three's 1 - tail^(1/m)."""
    shares = (np.arange(many) < lost).astype(float)
    found = upper_share(shares, TAIL)

    assert found == pytest.approx(float(beta.ppf(1 - TAIL, lost + 1, many - lost)), rel=1e-9)
    if lost == 0:
        assert (1 - found) ** many == pytest.approx(TAIL)
        assert found == pytest.approx(-math.log(TAIL) / many, rel=0.3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_bound_of_shares_lies_above_their_mean(shares) -> None:
    """Between the mean and 1, and no lower at a smaller tail."""
    found = [upper_share(np.array(shares), tail) for tail in (0.2, 0.025, 0.005)]

    assert np.mean(shares) <= found[0] + 1e-9
    assert found[0] <= found[1] + 1e-9 <= found[2] + 2e-9 <= 1 + 3e-9


def test_what_could_have_gone_unseen_is_over_the_largest_stakes() -> None:
    """Ten stakes of 1,000 among two hundred of 10: what hides best is losing the ten, not a little of everything."""
    stake = np.append(np.full(10, 1000.0), np.full(200, 10.0))
    nothing = np.zeros(210)
    found = unseen(bounds(influences(np.full(210, 1.0), stake, nothing, nothing, nothing), TAIL))

    assert found.clusters == KIND == 10
    assert found.rate == pytest.approx(1 - TAIL ** (1 / 10))
    assert found.loss == pytest.approx(10 * 1000 * found.rate)


@pytest.mark.parametrize("lost", [0, 2])
def test_the_exact_end_takes_off_what_could_be_lost_and_what_else_varies(lost: int) -> None:
    """The value, less the bound, less the largest other difference and z deviations of them all."""
    ways = traded(lost)
    value = float(ways[0].change.sum())
    bound = unseen(bounds(ways, TAIL)).loss
    spread = 2.5758 * math.sqrt(181 * 15.0**2)
    found, wider = (exact_end(value, ways, bounds(ways, TAIL), TAIL, scale) for scale in (1.0, 1.5))

    assert found == pytest.approx(value - 15 - spread - bound, rel=1e-4)
    assert wider == pytest.approx(found - spread / 2, rel=1e-4)


def test_losses_at_smaller_stakes_are_taken_as_they_were_seen() -> None:
    """Where a set of largest stakes is bounded, what was lost beyond it enters as it is, as a sum of powers."""
    stake = np.append(np.full(KIND, 1000.0), np.full(50, 100.0))
    lost = np.where(np.arange(60) % 4 == 1, stake / 2, 0.0)  # every fourth lost half of its stake
    won = np.where(np.arange(60) % 4 == 2, stake / 2, 0.0)
    change = 40.0 - lost + won
    ways = influences(change, stake, lost, stake, won)
    (found,) = bounds(ways, TAIL)
    centred = change - change.mean()
    squares, cubes = float((centred**2).sum()), float((centred**3).sum()) * math.sqrt(60 * 59) / 58
    more_won = [float(((won / stake) ** power).mean() * (stake**power).sum() - (won**power).sum()) for power in (2, 3)]
    squares, cubes = squares + max(0.0, more_won[0]), cubes + more_won[1]

    def skew_of(first: int) -> float:
        more = []
        for power in (2, 3):
            share = (float(((lost / stake)[:first] ** power).sum()) + 1) / (first + 1)
            expected = share * float((stake[:first] ** power).sum()) + float((lost[first:] ** power).sum())
            more.append(expected - float((lost**power).sum()))
        return (cubes - more[1]) / (squares + more[0]) ** 1.5

    assert [one.clusters for one in found] == [KIND, 60]
    assert [one.beyond for one in found] == [12 * 50.0**2, 0.0]
    assert skew_expected(ways) == pytest.approx(min(skew_of(KIND), skew_of(60)), rel=1e-9)


def test_a_metric_without_catches_has_no_exact_end() -> None:
    """Where nobody knows what is at stake there is the skew that was seen, and nothing else."""
    ways = (Influences.of_changes(np.random.default_rng(0).normal(0, 1, 50)),)

    assert exact_end(1.0, ways, bounds(ways, TAIL), TAIL) is None
    assert skew_expected(ways) == skew_seen(ways)
    assert unseen(bounds(ways, TAIL)) is None


def test_of_two_ways_of_resampling_the_worse_one_counts() -> None:
    """The lower skew, the larger loss unseen, the lower end, in whichever order the ways come."""
    one, two = traded(0), traded(3, clusters=100)
    value = 1000.0
    for ways in (one + two, two + one):
        found = bounds(ways, TAIL)
        assert skew_seen(ways) == skew_seen(two) < skew_seen(one)
        assert skew_expected(ways) == min(skew_expected(one), skew_expected(two))
        assert unseen(found) == max(unseen(bounds(one, TAIL)), unseen(bounds(two, TAIL)), key=lambda bound: bound.loss)
        ends = [exact_end(value, way, bounds(way, TAIL), TAIL) for way in (one, two)]
        assert exact_end(value, ways, found, TAIL) == min(ends) < max(ends)
