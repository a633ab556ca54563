"""A small version of the simulation: wrong about as often as declared, and the committed table says so."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.proofs.simulation import simulate
from tests.proofs.simulation.world import ROWS, week

TABLE = Path(__file__).with_name("table.md")
DRAWS = 250


@pytest.fixture(scope="module")
def no_difference() -> simulate.Counts:
    """Weeks in which neither model is better, clustered both ways."""
    truth = simulate.long_run(week, draws=1500)
    return simulate.count(DRAWS, ["customer_id", "terminal_id"], week, truth, reps=600)


def test_the_world_has_the_fraud_datas_imbalance() -> None:
    """About 0.8% of 68,000 payments are fraud, in bursts, and models find some of them."""
    drawn = [week(np.random.default_rng(seed)) for seed in range(40)]
    frauds = np.mean([w.fraud.sum() for w in drawn])
    bursts = np.mean([w.fraud.sum() / len(np.unique(w.burst[w.fraud])) for w in drawn])

    assert frauds / ROWS == pytest.approx(0.008, abs=0.001)
    assert bursts > 2


@pytest.mark.parametrize("label", ["net_benefit difference", "f1 difference"])
def test_differences_are_missed_about_as_often_as_declared(no_difference: simulate.Counts, label: str) -> None:
    """At 2.5% a side, 250 weeks miss at most 13 times (99% of the time if 2.5% is right)."""
    for side in (no_difference.above, no_difference.below):
        assert side[label, 0.025] <= 13
        assert side[label, 0.005] <= 5


def test_standard_errors_are_the_spread_of_the_estimates(no_difference: simulate.Counts) -> None:
    """The errors that intervals and power rest on are within 15% of how much the estimates really vary."""
    for label in ("net_benefit difference", "f1 difference"):
        spread = np.std(no_difference.values[label])
        assert np.mean(no_difference.errors[label]) == pytest.approx(spread, rel=0.15)


def test_a_fixed_candidate_without_a_difference_is_hardly_ever_promoted(no_difference: simulate.Counts) -> None:
    """At 0.5% a look, more than 5 PROMOTEs in 250 would be a wrong claim."""
    assert no_difference.promote <= 5
    assert no_difference.keep <= 5


def test_who_steers_by_the_reports_fools_the_test_set_and_not_fresh_days() -> None:
    """Combining what looked better over 19 reports gets past, turning round the rest nearly always; fresh days hold."""
    won = simulate.steering(60, reps=3000)

    assert won["best of 20 fixed"] <= 5
    assert won["combines"] > 3
    assert won["reverses"] > 30
    assert won["fresh"] <= 2


def rates(title: str) -> dict[tuple[str, float], tuple[float, float, float]]:
    """(quantity, declared) -> (above, below, half width of above) of one table of table.md."""
    text = TABLE.read_text().split(f"### {title}")[1].split("###")[0]
    found = {}
    for line in re.findall(r"^\| ([a-z0-9 ]+) \| ([0-9.]+)% \| ([0-9.]+)% ± ([0-9.]+) \| ([0-9.]+)%", text, re.M):
        found[line[0], float(line[1])] = (float(line[2]), float(line[4]), float(line[3]))
    return found


@pytest.mark.parametrize("title", ["Clustered by customer and terminal", "Clustered one way"])
def test_the_committed_table_holds_what_the_readme_claims(title: str) -> None:
    """In 3,000 weeks a difference's interval lies above the truth no more often than declared, up to chance."""
    found = rates(title)

    assert len(found) == 8
    for quantity in ("net benefit difference", "f1 difference"):
        for declared in (2.5, 0.5):
            above, _, half = found[quantity, declared]
            assert above - half <= declared
