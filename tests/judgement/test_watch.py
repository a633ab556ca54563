"""A look after the merge: worse, floor missed, fine, too little; on all days since, and never twice on the same."""

from pathlib import Path

import pandas as pd
import pytest
from promotion.config.promotion_yaml import Watch, parse
from promotion.errors import PromotionError
from promotion.judgement.spending import nominal_tails
from promotion.judgement.watch import Look, watch
from promotion.records.evaluation import Evaluation, Side
from promotion.records.watched import Watched

from tests.support.score_tables import CHALLENGE, frame, policy, regression

FAST = 1000
GATE = {"net_benefit": "> 1000"}
WORSE, BETTER = (0.5, 0.95), (0.95, 0.5)  # what champion and predecessor find: the second of the two is `candidate`


def week(folder: Path, number: int, finds: tuple[float, float], rows: int = 4000) -> Path:
    """The score table of the week with this number after the promotion."""
    table = frame(rows, seed=number, finds=finds)
    table["key.id"] += number * rows
    table["column.day"] += pd.Timedelta(days=7 * number)
    table.to_parquet(folder / f"week-{number}.parquet", index=False)
    return folder / f"week-{number}.parquet"


def looked(path: Path, rules=None, settings: Watch | None = None, **look) -> tuple[Watched, Evaluation]:
    """A look at version 4, which replaced version 3."""
    sides = {"predecessor": Side(version=3), "champion": Side(version=4)}
    found = Look(**{"number": 1 + len(look.get("earlier", ())), **sides, **look})
    return watch(path, rules or policy(gate=GATE), settings or Watch(), found, replicates=FAST)


def test_a_predecessor_that_is_better_is_an_alarm(tmp_path: Path) -> None:
    """Worse says by how much, in the dollars of a test window; the judgement says that the predecessor won."""
    found, evaluation = looked(week(tmp_path, 0, WORSE))

    assert (found.verdict, evaluation.verdict) == ("worse", "PROMOTE")
    assert found.whole.difference.value < 0 and found.whole.difference.interval[1] < 0
    assert found.reason.startswith(
        "on the 7 days since the promotion the predecessor is better: the champion's net ben"
    )
    assert " in 7 days against it (95% confidence: −$" in found.reason
    assert evaluation.headline == found.reason
    assert (evaluation.candidate.version, evaluation.champion.version) == (3, 4)
    assert evaluation.confidence_used == pytest.approx(1 - 2 * found.tail)


def test_a_promotion_that_pays_is_a_line_of_history(tmp_path: Path) -> None:
    """Fine says what the champion brought, with its interval."""
    found, evaluation = looked(week(tmp_path, 0, BETTER))

    assert found.verdict == "fine"
    assert evaluation.verdict == "KEEP"
    assert found.new == found.whole
    low, high = found.new.difference.interval
    assert 0 < low < found.new.difference.value
    assert (high - low) / 2 == pytest.approx(1.96 * evaluation.power[0].sd, rel=0.15)  # the policy's, not the look's
    assert found.new.difference.value == pytest.approx(found.new.champion.value - found.new.predecessor.value)


def test_small_losses_add_up_over_the_looks(tmp_path: Path) -> None:
    """A loss that no week shows by itself is found on all of them together, and the figures stay those of a week."""
    weeks = [week(tmp_path, number, (0.72, 0.8)) for number in range(6)]
    alone = [looked(path, number=number + 1)[0].verdict for number, path in enumerate(weeks)]
    found, evaluation = looked(weeks[-1], earlier=weeks[:-1])

    assert set(alone) == {"fine"}
    assert found.verdict == "worse"
    assert (found.whole.days, found.new.days) == (42, 7)
    assert found.whole.champion.value == pytest.approx(found.new.champion.value, rel=0.3)
    assert (evaluation.test.first, evaluation.test.last) == (found.whole.first, found.whole.last)


def test_a_floor_is_the_champions_on_the_new_days(tmp_path: Path) -> None:
    """A champion that was above its floor and no longer is misses it, however it compares; the bound is of its days."""
    weeks = [week(tmp_path, 0, BETTER), week(tmp_path, 1, (0.6, 0.3))]
    found, _ = looked(weeks[1], policy(gate={"f1": "> 0.70"}), earlier=weeks[:1])
    rules = policy({"test_days": 14}, gate={"net_benefit": "> 40000"})
    half, _ = looked(weeks[0], rules)

    assert found.verdict == "floor missed"
    assert "on the new days the champion misses a floor: f1 is" in found.reason
    assert half.floors[0].bound == 20000
    assert half.floors[0].value == pytest.approx(half.new.champion.value / 2)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda table: table.assign(label=0), "one class only"),
        (lambda table: table[table["column.day"] != pd.Timestamp("2018-08-18")], "there are no rows on 2018-08-18"),
    ],
    ids=["one class", "a day without rows"],
)
def test_what_cannot_be_judged_is_too_little(tmp_path: Path, spoil, why: str) -> None:
    """Neither an alarm nor a missed floor nor fine: the reason."""
    path = week(tmp_path, 0, WORSE)
    spoil(pd.read_parquet(path)).to_parquet(path, index=False)
    found, _ = looked(path)

    assert found.verdict == "too little"
    assert why in found.reason


def test_the_predecessor_has_to_be_better_whatever_a_candidate_has_to_be(tmp_path: Path) -> None:
    """Where a candidate need not be better, a predecessor that is no worse is no alarm; fresh days are all of them."""
    rules = policy(gate=GATE, challenge={"net_benefit": {"not_worse_than": 1e6}, "confirm": "fresh"})
    found, evaluation = looked(week(tmp_path, 0, BETTER), rules)

    assert found.verdict == "fine"
    assert evaluation.challenge[0].rule == "net_benefit superior"


def test_the_other_rules_stand(tmp_path: Path) -> None:
    """A predecessor that is better in the lead and fails another rule has not won."""
    challenge = {**CHALLENGE, "recall": "superior", "precision": "superior"}
    found, evaluation = looked(week(tmp_path, 0, WORSE), policy(gate=GATE, challenge=challenge))

    assert evaluation.challenge[0].ok is True
    assert found.verdict == "fine"


def test_the_same_predictions_are_fine(tmp_path: Path) -> None:
    """A predecessor that answers every row alike is never better."""
    path = week(tmp_path, 0, BETTER)
    table = pd.read_parquet(path)
    for part in ("score", "decision"):
        table[f"candidate.{part}"] = table[f"champion.{part}"]
    table.to_parquet(path, index=False)

    found, _ = looked(path)

    assert found.verdict == "fine"
    assert found.reason.endswith("the predecessor predicts the same on every row")


def test_a_champion_without_a_predecessor_is_held_to_its_floors(tmp_path: Path) -> None:
    """It is the table's candidate, alone: what it realized is its own level, and only a floor can be missed."""
    weeks = [week(tmp_path, number, finds) for number, finds in enumerate([BETTER, (0.6, 0.3)])]
    for path in weeks:
        table = pd.read_parquet(path)
        table = table[[name for name in table if not name.startswith("candidate.")]]
        table.columns = [name.replace("champion.", "candidate.") for name in table]
        table.to_parquet(path, index=False)
    rules = policy(gate={"f1": "> 0.70"})
    fine, evaluation = looked(weeks[0], rules, predecessor=None)
    missed, _ = looked(weeks[1], rules, predecessor=None, earlier=weeks[:1])

    assert (fine.verdict, evaluation.verdict, missed.verdict) == ("fine", "FIRST", "floor missed")
    assert evaluation.candidate.version == 4 and evaluation.champion is None
    assert fine.whole.predecessor is None and fine.whole.difference is None and fine.flips is None
    assert "since it became champion it is above its floors: the champion's net benefit is $" in fine.reason
    with pytest.raises(PromotionError, match="disagree on whether there is a predecessor"):
        looked(weeks[0], rules)


def test_changed_decisions_are_told_of_the_champion(tmp_path: Path) -> None:
    """The predecessor is the judgement's candidate; what it newly catches, the champion newly misses."""
    found, evaluation = looked(week(tmp_path, 0, WORSE))
    told = {flip.kind: (flip.rows, flip.dollars) for flip in evaluation.flips}
    seen = {flip.kind: (flip.rows, flip.dollars) for flip in found.flips}

    assert seen["newly_missed"] == (told["newly_caught"][0], -told["newly_caught"][1])
    assert seen["newly_missed"][1] < 0 and seen["newly_missed"][0] > 0


def test_a_regression_is_watched_too(tmp_path: Path) -> None:
    """A rate is not scaled, and lower is better."""
    table = regression(errors=(12.0, 6.0))
    table.to_parquet(tmp_path / "t.parquet", index=False)
    measure = {"dollars": None, "cluster": ["clinic"], "slices": None, "test_days": 28}
    rules = policy(measure, gate={"rmse": "< 70"}, challenge={"rmse": "superior"})
    found, _ = looked(tmp_path / "t.parquet", rules)

    assert found.verdict == "worse"
    assert found.whole.difference.value > 0
    assert found.whole.difference.value == pytest.approx(found.whole.champion.value - found.whole.predecessor.value)


def test_days_are_looked_at_once_and_looks_are_counted(tmp_path: Path) -> None:
    """The same days again, and a ninth look of eight, are refused."""
    weeks = [week(tmp_path, number, BETTER, rows=1000) for number in range(2)]
    with pytest.raises(PromotionError, match=r"2018-08-15 was looked at before \(up to 2018-08-28\)"):
        looked(weeks[0], earlier=weeks[1:])
    with pytest.raises(PromotionError, match="look 9: a promotion is looked at 8 times"):
        looked(weeks[0], number=9)


def test_a_look_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    """The order in which earlier tables are named changes nothing."""
    weeks = [week(tmp_path, number, BETTER, rows=1000) for number in range(3)]
    one, two = (looked(weeks[2], earlier=earlier) for earlier in (weeks[:2], weeks[1::-1]))

    assert [part.sha256 for part in one] == [part.sha256 for part in two]


def test_the_tails_spend_the_false_alarm() -> None:
    """One look has all of it; of eight, each may use what is left of its even share, and none less than an eighth."""
    tails = nominal_tails(0.05, 8)

    assert nominal_tails(0.05, 1) == (0.05,)
    assert tails[0] == 0.05 / 8
    assert list(tails) == sorted(tails)
    assert sum(tails) > 0.05  # what the looks share is not paid for twice


def test_the_settings_have_defaults_and_limits() -> None:
    """Every model is watched; a mistake has its line."""
    text = "models:\n  m:\n    measure: {test_days: 7, delay_days: 7}\n    gate: {f1: '> 0'}\n"
    text += "    challenge: {f1: superior}\n    champion: null\n"
    bad = text + "    watch: {false_alarm: 0, look: 8}\n"

    assert parse(text).models["m"].watch == Watch(false_alarm=0.05, looks=8, days=7)
    assert parse(text + "    watch: {days: 14}\n").models["m"].watch.days == 14
    with pytest.raises(PromotionError, match=r"promotion.yaml:7.*watch.false_alarm.*\n.*promotion.yaml:7.*look"):
        parse(bad)
