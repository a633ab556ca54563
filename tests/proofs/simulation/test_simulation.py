"""A small version of the simulation: wrong about as often as declared, more often without a guard; and the table."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from promotion.judgement import claims, rules, support

from tests.proofs.simulation import simulate
from tests.proofs.simulation.harness import GUARDS, TAILS, Counts, World, run
from tests.proofs.simulation.world import ROWS, week
from tests.proofs.simulation.worlds import BETTER, error_worlds, long_run, power_worlds

TABLE = Path(__file__).with_name("table.md")
SHIPPED = ("as shipped",)
WORLDS = {world.name: world for world in (*error_worlds(), *power_worlds())}
PAIRS = [name for name in WORLDS if name.startswith("alike but better")][:3]
ALIKE = "alike, one way, claimed worse"
GOAL = {0.025: 0.035, 0.005: 0.01}  # how often a claim may be wrong at what is declared
# A world a kind, with how often the interval alone is wrong there at least, at 0.5%: with so few draws only
# what is far above the goal shows.
UNGUARDED = {
    "raised, misses 15% of expensive bursts, two ways": 0.05,
    "raised, misses 4% of expensive bursts, one way": 0.2,
    "lowered, finds 15% more expensive bursts, one way, claimed worse": 0.05,
    "lognormal σ 2, 50 clusters, 60 lost, single ones": 0.08,
    "lognormal σ 1.5, 20 clusters, 20 lost, whole clusters": 0.05,
    "recall, 15 positives, true loss 0.1": 0.1,
    "recall, 30 positives, true loss 0.05": 0.1,
}
DRAWS = 120
# One world a guard is quick enough for every run of the tests; `make test-slow` takes the others.
QUICK = ("lognormal σ 1.5, 20 clusters, 20 lost, whole clusters", "recall, 15 positives, true loss 0.1")


def mostly_slow(names: Iterable[str], *quick: str) -> list[Any]:
    """The names as parameters of a test: those that are not `quick` are slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@functools.cache
def judged(name: str, guards: tuple[str, ...] = GUARDS, draws: int = DRAWS) -> Counts:
    """A world, judged once."""
    return run(WORLDS[name], draws, replicates=600, guards=guards)


def wrong(world: World, counts: Counts, guard: str, tail: float) -> int:
    """How many of the draws were judged wrongly."""
    return (counts.failed if world.wrong == "fail" else counts.passed)[guard, tail]


def allowed(share: float, draws: int) -> int:
    """So many errors are not exceeded 99.9% of the time when the goal is just met."""
    return int(np.ceil(draws * share + 3.1 * np.sqrt(draws * share) + 1))


def test_the_world_has_the_fraud_datas_imbalance() -> None:
    """About 0.8% of 68,000 payments are fraud, in bursts, and models find some of them."""
    drawn = [week(np.random.default_rng(seed)) for seed in range(40)]
    frauds = np.mean([w.fraud.sum() for w in drawn])
    bursts = np.mean([w.fraud.sum() / len(np.unique(w.burst[w.fraud])) for w in drawn])

    assert frauds / ROWS == pytest.approx(0.008, abs=0.001)
    assert bursts > 2


@pytest.mark.parametrize("name", mostly_slow([*UNGUARDED, "alike, two ways", ALIKE], *QUICK))
def test_claims_are_wrong_no_more_often_than_the_goal(name: str) -> None:
    """In every kind of world the guards keep the one-sided error at 3.5% for 2.5% declared, 1% for 0.5%."""
    for tail in TAILS:
        assert wrong(WORLDS[name], judged(name), "as shipped", tail) <= allowed(GOAL[tail], DRAWS)


@pytest.mark.parametrize("name", mostly_slow(UNGUARDED, *QUICK))
def test_without_the_guards_they_are_wrong_far_more_often(name: str) -> None:
    """The interval alone is wrong many times as often as declared there, so the guards are what helps."""
    assert wrong(WORLDS[name], judged(name), "interval alone", 0.005) >= DRAWS * UNGUARDED[name]


@pytest.mark.parametrize(
    ("guard", "name"),
    [
        pytest.param("skew", "raised, misses 15% of expensive bursts, two ways", marks=pytest.mark.slow),
        ("expected", "raised, misses 4% of expensive bursts, one way"),
        pytest.param("expected", "lognormal σ 2, 50 clusters, 60 lost, single ones", marks=pytest.mark.slow),
        ("enough", "recall, 30 positives, true loss 0.05"),
    ],
)
def test_a_guard_that_is_taken_out_is_missed(monkeypatch: pytest.MonkeyPatch, guard: str, name: str) -> None:
    """Each guard by itself: without it the same small run breaks the goal."""
    if guard == "skew":
        monkeypatch.setattr(support, "LIMIT", 1e9)
    elif guard == "expected":
        monkeypatch.setattr(support, "skew_expected", support.skew_seen)
    else:
        monkeypatch.setattr(claims, "enough", lambda margin, share: 1)
        monkeypatch.setattr(claims._Direction, "normal", True)
    counts = run(WORLDS[name], DRAWS, replicates=600, guards=SHIPPED)

    assert wrong(WORLDS[name], counts, "as shipped", 0.005) > allowed(GOAL[0.005], DRAWS)


@pytest.mark.parametrize("name", mostly_slow(PAIRS, PAIRS[0]))
def test_the_guards_cost_no_power_where_models_differ_alike(name: str) -> None:
    """At most one test set in fifty is no longer settled."""
    counts = judged(name)
    for tail in TAILS:
        assert counts.passed["interval alone", tail] - counts.passed["as shipped", tail] <= DRAWS / 50 + 1


@pytest.mark.slow
def test_edges_are_worth_what_their_worlds_names_say() -> None:
    """The dollars a week in the names are those of a long run, which takes seconds that no test needs to wait for."""
    assert {edge: round(long_run(edge, 2000)) for edge in BETTER} == BETTER


def test_fewest_clusters_is_what_coins_allow() -> None:
    """The numbers that claims ask for are those of the formulas in their docstrings."""
    for tail in TAILS:
        assert 2.0 ** -rules.fewest(tail) <= tail < 2.0 ** (1 - rules.fewest(tail))
        assert 0.95 ** rules.enough(0.05, tail) <= tail < 0.95 ** (rules.enough(0.05, tail) - 1)


@pytest.mark.slow
def test_who_steers_by_the_reports_fools_the_test_set_and_not_fresh_days() -> None:
    """Combining what looked better over 19 reports gets past, turning round the rest nearly always; fresh days hold."""
    won = simulate.steering(60, reps=3000)

    assert won["best of 20 fixed"] <= 5
    assert won["combines"] > 3
    assert won["reverses"] > 30
    assert won["fresh"] <= 2


def lines(title: str) -> dict[str, list[tuple[float, float]]]:
    """World -> (rate, half width) of each column of one table of table.md, in per cent."""
    text = TABLE.read_text(encoding="utf-8").split(f"### {title}\n")[1].split("\n###")[0]
    found = {}
    for line in text.splitlines()[4:]:
        cells = re.findall(r"([0-9.]+)% ± ([0-9.]+)", line)
        if cells:
            found[line.split(" | ")[0].removeprefix("| ")] = [(float(a), float(b)) for a, b in cells]
    return found


def test_the_committed_table_holds_what_the_readme_claims() -> None:
    """In every world but the one that tests/README.md names, errors are at the goal or below, up to chance."""
    found = lines("Errors")

    assert set(found) == {world.name for world in error_worlds()}
    over = [name for name, row in found.items() if row[1][0] - row[1][1] > 3.5 or row[3][0] - row[3][1] > 1.0]
    assert over == ["raised, misses 15%, and single payments by luck (10%)"]


def test_where_losses_hide_the_bound_decides() -> None:
    """There a claim is wrong at most 7% and 5% of the time; where the unseen loss decides, as rarely as elsewhere."""
    name = "raised, misses 15%, and single payments by luck (10%)"
    row = lines("What each guard does: error and power side by side")[name]
    shipped, decides = (row[2], row[6]), (row[3], row[7])

    assert [rate <= most for (rate, _), most in zip(shipped, (7.0, 5.0), strict=True)] == [True, True]
    assert [rate <= most for (rate, _), most in zip(decides, (3.5, 1.0), strict=True)] == [True, True]


def test_the_committed_table_shows_what_the_guards_cost() -> None:
    """Where the models are alike but one is better, the guards cost at most two points of power."""
    for name, row in lines("Power").items():
        if name.startswith("alike"):
            assert row[0][0] - row[1][0] <= 2
            assert row[2][0] - row[3][0] <= 2
