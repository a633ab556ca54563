"""The gate: floors above what a model that always says the same would get."""

import numpy as np
import pytest
from promotion.judgement.floors import floors

from tests.judgement.test_judge import evaluate
from tests.support.score_tables import frame, opened, policy, regression

FAST = 300


def gate(table, bounds: dict, measure: dict | None = None, challenge: dict | None = None):
    """The gate's results by rule."""
    rules = policy(measure, bounds, challenge)
    return {rule.rule: rule for rule in floors(opened(table, rules), rules, replicates=FAST)}


def test_a_first_champion_that_earns_less_than_flagging_everybody_is_told() -> None:
    """Where reviews are free, nothing beats flagging everybody, and the floor says that this is what beat it."""
    free = {"dollars": {"caught": "amount", "review": 0}}
    rule = gate(frame(2000), {"net_benefit": "above_trivial"}, free)["net_benefit above_trivial"]
    everybody = frame(2000).query("label == 1")["column.amount"].sum()

    assert rule.ok is False
    assert rule.bound == pytest.approx(everybody)
    assert "what you get if you flag everybody" in rule.reason


def test_a_floor_may_be_both() -> None:
    """`> 1000 and above_trivial` are two rules of one metric."""
    found = gate(frame(4000), {"net_benefit": "> 1000 and above_trivial", "f1": "above_trivial"})

    assert {name: rule.ok for name, rule in found.items()} == {
        "net_benefit > 1000": True,
        "net_benefit above_trivial": True,
        "f1 above_trivial": True,
    }
    assert {rule.reason.rpartition(", ")[2] for rule in found.values()} == {"which meets the floor"}
    assert found["net_benefit above_trivial"].bound == 0  # flagging nobody earns nothing, everybody loses


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss", "roc_auc", "average_precision", "precision_at_k"])
def test_every_kind_of_metric_has_a_trivial_model(metric: str) -> None:
    """Decisions: nobody or everybody; probabilities: everybody's share; rankings: all rows alike."""
    good = gate(frame(4000), {metric: "above_trivial"})[f"{metric} above_trivial"]
    share = float(frame(4000)["label"].mean())
    known = {"accuracy": 1 - share, "brier": share * (1 - share), "roc_auc": 0.5, "average_precision": share}

    assert good.ok is (metric not in ("brier", "log_loss"))  # the frame's probabilities are far from calibrated
    assert good.bound == pytest.approx(known.get(metric, good.bound))


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss"])
def test_a_model_that_knows_nothing_is_not_above_it(metric: str) -> None:
    """Decisions and scores dealt out at random are worse than always saying the same."""
    table, rng = frame(4000), np.random.default_rng(0)
    for name in ("candidate.score", "candidate.decision"):
        table[name] = rng.permutation(table[name])

    assert gate(table, {metric: "above_trivial"})[f"{metric} above_trivial"].ok is False


def test_a_regression_is_held_against_the_mean() -> None:
    """The mean of the labels on every row: its RMSE is their deviation."""
    measure = {"dollars": {"under": 3, "over": 1}, "cluster": ["clinic"], "slices": None}
    rule = gate(regression(), {"rmse": "above_trivial", "net_benefit": "above_trivial"}, measure, {"rmse": "superior"})
    y = regression()["label"]

    assert rule["rmse above_trivial"].bound == pytest.approx(y.std(ddof=0), rel=1e-6)
    assert rule["rmse above_trivial"].ok is True
    missed = y - float(f"{y.mean():.8g}")
    assert rule["net_benefit above_trivial"].bound == pytest.approx(
        -(np.maximum(missed, 0) * 3 + np.maximum(-missed, 0)).sum()
    )


def test_the_evidence_shows_what_trivial_models_would_get() -> None:
    """Nobody and everybody by every metric of decisions, on the rows that were judged."""
    table = frame(4000).drop(columns=["champion.score", "champion.decision"])
    found = evaluate(table)
    by_name = {one.name: one.values for one in found.trivial}
    hit = table["label"] == 1

    assert found.verdict == "FIRST"
    assert by_name["flag nobody"]["net_benefit"] == 0
    assert by_name["flag everybody"]["net_benefit"] == pytest.approx(table["column.amount"][hit].sum() - 15 * 4000)
    assert by_name["flag everybody"]["f1"] == pytest.approx(2 * hit.sum() / (hit.sum() + 4000))
    assert "f1" in by_name["flag nobody"]


def test_the_evidence_counts_the_decisions_that_changed() -> None:
    """Newly caught, newly missed, new and dropped false alarms, in rows and dollars, add up to the difference."""
    table = frame(4000)
    found = evaluate(table)
    flips = {flip.kind: flip for flip in found.flips}
    old, new, y = (table[name] == 1 for name in ("champion.decision", "candidate.decision", "label"))
    difference = found.comparisons[0].difference.value

    assert flips["newly_caught"].rows == (y & new & ~old).sum()
    assert flips["newly_missed"].rows == (y & ~new & old).sum()
    assert flips["new_false_alarm"].dollars == -15 * (~y & new & ~old).sum()
    assert flips["false_alarm_gone"].dollars == 15 * (~y & ~new & old).sum()
    assert sum(flip.dollars for flip in found.flips) == pytest.approx(difference)
