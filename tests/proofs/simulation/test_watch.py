"""A small version of watching a promotion for eight weeks: false alarms as declared, losses found; and the table."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.proofs.simulation.test_simulation import allowed
from tests.proofs.simulation.watch import ALARM, LOOKS, SHIPPED, WAYS, alarms, days, lives, watched

TABLE = Path(__file__).with_name("watch.md")
README = Path(__file__).parents[2] / "README.md"
EVERY = "5% at every look, all days"


@pytest.mark.slow
def test_a_champion_that_is_no_worse_is_called_worse_as_rarely_as_declared() -> None:
    """Looking at 5% each time is what the spending keeps from happening."""
    life, draws = lives()[0], 150
    found = watched(life, draws, reps=400, ways=(EVERY, *SHIPPED))

    assert draws - found["as shipped"][LOOKS] <= allowed(ALARM, draws)
    assert draws - found[EVERY][LOOKS] > allowed(ALARM, draws)


@pytest.mark.slow
def test_the_committed_table_has_every_world() -> None:
    """The worlds of the table are those of the command."""
    assert {*table("False alarms"), *table("Real losses")} == {life.name for life in lives()}


@pytest.mark.slow
def test_a_real_loss_is_found_within_weeks() -> None:
    """A champion that loses $4,324 a week is called worse, on average before the fifth look."""
    (life,) = [one for one in lives() if one.name.startswith("the champion loses $4,324 a week, bursts of a week")]
    found = watched(life, 30, reps=400, ways=SHIPPED)["as shipped"]

    assert found[LOOKS] <= 3
    assert days(found) < 35


@pytest.mark.parametrize("way", [name for name in WAYS if WAYS[name].whole])
def test_the_tails_are_what_a_walk_crosses(way: str) -> None:
    """Of normal walks, as many cross the shipped tails in any of the looks as are declared, by no other way more."""
    from statistics import NormalDist

    steps = np.random.default_rng(5).standard_normal((200_000, LOOKS))
    z = steps.cumsum(axis=1) / np.sqrt(np.arange(1, LOOKS + 1))
    bounds = np.array([NormalDist().inv_cdf(1 - tail) for tail in WAYS[way].tails])
    share = float((z > bounds).any(axis=1).mean())

    if way in ("as shipped", "O'Brien and Fleming"):
        assert share == pytest.approx(ALARM, abs=0.002)
    else:
        assert (share > 2 * ALARM) == (way == EVERY)


def test_counts_are_read_as_rates_and_days() -> None:
    """Three of four are found, at the first, second and eighth look; the fourth counts as all days."""
    counts = [1, 1, 0, 0, 0, 0, 0, 1, 1]

    assert alarms(counts).startswith("75.00%")
    assert days(counts) == 7 * (1 + 2 + 8 + 8) / 4


def table(title: str) -> dict[str, dict[str, tuple[float, float, float]]]:
    """World -> way -> (rate, half width, days) of one table of watch.md."""
    part = TABLE.read_text(encoding="utf-8").split(f"### {title}")[1].split("\n###")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in part.splitlines() if line[:1] == "|"]
    found = {}
    for name, *cells in rows[2:]:
        read = [re.findall(r"[0-9.]+", cell) for cell in cells]
        found[name] = dict(zip(rows[0][1:], [tuple(map(float, [*one, 0][:3])) for one in read], strict=True))
    return found


def test_the_committed_table_holds_what_is_declared() -> None:
    """In every world false alarms are at what is declared or below, up to chance; at 5% each time far above."""
    found = table("False alarms")

    assert len(found) == 4
    assert all(row["as shipped"][0] - row["as shipped"][1] <= 100 * ALARM for row in found.values())
    assert found["alike, bursts of a week"][EVERY][0] > 200 * ALARM


def test_the_committed_table_shows_why_it_is_spent_so() -> None:
    """More losses are found than by an even split, sooner than by O'Brien and Fleming or a confidence sequence."""
    found = table("Real losses")

    assert len(found) == 6
    for row in found.values():
        shipped = row["as shipped"]
        assert shipped[0] >= max(row["split evenly, new days"][0], row["split evenly, all days"][0])
        assert shipped[2] <= min(row["O'Brien and Fleming"][2], row["confidence sequence"][2])


def test_the_readme_has_the_committed_table() -> None:
    """tests/README.md shows what the commands made, word for word."""
    text = README.read_text(encoding="utf-8")
    for name in ("watch.md", "table.md"):
        assert Path(__file__).with_name(name).read_text(encoding="utf-8").strip() in text
