"""Calibration: slope, intercept and bins against plain computations row by row, as report and as floors."""

import itertools

import numpy as np
import pandas as pd
import pytest
from promotion.errors import PromotionError
from promotion.judgement.calibration import calibration
from promotion.judgement.judge import floors
from promotion.judgement.work import Work
from promotion.records.charts import Calibration

from tests.support.score_tables import frame, opened, policy, regression

ROWS, PER_CLUSTER = 6000, 6


def drawn(slope: float = 1.0, level: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Rows in clusters of six that share half of their luck; the scores are off by a slope and a level of log odds."""
    rng = np.random.default_rng(seed)
    table = frame(ROWS, seed=seed)
    cluster = np.arange(ROWS) // PER_CLUSTER
    truth = rng.normal(-1.5, 1.2, ROWS // PER_CLUSTER)[cluster] + rng.normal(0, 1.0, ROWS)
    table["label"] = (rng.random(ROWS) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    table["column.customer_id"] = cluster
    table["candidate.score"] = 1 / (1 + np.exp(-(truth - level) / slope))
    return table


RULES = policy({"cluster": ["customer_id"]})


def found(table: pd.DataFrame, rules=RULES) -> Calibration:
    """Its calibration at 2.5% a side."""
    made = calibration(Work(opened(table, rules), rules, replicates=1000, watch_tail=0.025))
    assert made is not None
    return made


def fitted(odds: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(level, slope) of a logistic regression on rows, by plain Newton steps."""
    design, b = np.stack([np.ones(len(y)), odds], axis=1), np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ b))
        b = b + np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p))
    return float(b[0]), float(b[1])


def odds_of(table: pd.DataFrame) -> np.ndarray:
    """Log odds of the candidate's scores."""
    p = table["candidate.score"].to_numpy()
    return np.log(p / (1 - p))


@pytest.mark.parametrize(("slope", "level"), [(1.0, 0.0), (0.6, 0.0), (1.8, 0.4)])
def test_slope_and_intercept_are_those_of_a_logistic_regression(slope: float, level: float) -> None:
    """Counted by score they are what a fit on the rows gives, and their intervals hold the truth."""
    table = drawn(slope, level)
    mine = found(table).candidate

    assert mine.slope.value == pytest.approx(fitted(odds_of(table), table["label"].to_numpy())[1], rel=1e-3)
    assert mine.slope.interval[0] < slope < mine.slope.interval[1]
    if slope == 1.0:
        assert mine.intercept.interval[0] < level < mine.intercept.interval[1]


def test_a_shift_of_all_scores_is_the_intercept() -> None:
    """Scores that are too high by one log odd, at every row, have the slope 1 and the intercept -1."""
    mine = found(drawn(1.0, -1.0)).candidate

    assert mine.slope.value == pytest.approx(1.0, abs=0.1)
    assert mine.intercept.value == pytest.approx(-1.0, abs=0.1)


def test_intervals_are_those_of_resampled_clusters() -> None:
    """Rows that come three times in one cluster say no more than once: the interval is a bootstrap's over clusters."""
    once = drawn(seed=1)
    table = pd.concat([once] * 3, ignore_index=True)
    table["key.id"] = np.arange(len(table))
    mine = found(table).candidate
    rng, groups = np.random.default_rng(3), table.groupby("column.customer_id").indices
    odds, y, slopes = odds_of(table), table["label"].to_numpy(), []
    for _ in range(150):
        chosen = np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])
        slopes.append(fitted(odds[chosen], y[chosen])[1])
    half = (mine.slope.interval[1] - mine.slope.interval[0]) / 2

    assert half == pytest.approx(1.96 * np.std(slopes), rel=0.2)


def test_bins_hold_all_rows_in_order_and_equal_information() -> None:
    """Ten bins, each with its mean score, the share of positives and an interval around it."""
    table = drawn()
    bins = found(table).candidate.bins
    p = table["candidate.score"].to_numpy()
    inside = (p >= bins[4].low * 0.9995) & (p <= bins[4].high * 1.0005)

    assert len(bins) == 10 and sum(one.rows for one in bins) == ROWS
    assert all(a.high < b.low for a, b in itertools.pairwise(bins))
    assert bins[4].observed == pytest.approx(table["label"][inside].mean(), abs=0.01)
    assert bins[4].expected == pytest.approx(p[inside].mean(), abs=0.002)
    assert bins[4].interval[0] < bins[4].observed < bins[4].interval[1]
    information = [one.rows * one.expected * (1 - one.expected) for one in bins]
    assert max(information) < 2 * min(information)


def test_the_order_of_rows_changes_nothing() -> None:
    """Shuffled rows give the same record."""
    table = drawn()

    assert found(table.sample(frac=1, random_state=1, ignore_index=True)) == found(table)


def test_what_has_no_slope_says_why() -> None:
    """One score for all, and scores that tell every label, have none; without probabilities there is nothing."""
    table = drawn()
    flat, sure = table.assign(**{"candidate.score": 0.2}), table.assign(**{"candidate.score": 1.0 * table["label"]})

    assert found(flat).candidate.slope.reason == "every row has the same score"
    assert len(found(flat).candidate.bins) == 1
    assert found(sure).candidate.slope.reason == "the scores separate the classes"
    assert found(sure).candidate.bins[0].interval is None  # [0, 0] is no interval
    bare = table.drop(columns=["candidate.score", "champion.score"])
    assert calibration(Work(opened(bare, RULES), RULES)) is None
    assert calibration(Work(opened(table.assign(label=0), RULES), RULES)) is None


def test_calibration_is_a_floor_with_two_ends() -> None:
    """A slope out of its range fails the gate by its value, with the interval beside; what is not there fails too."""
    gate = {"calibration_slope": ">= 0.8 and <= 1.25", "calibration_intercept": "> -0.2 and < 0.2"}
    rules = policy({"cluster": ["customer_id"]}, gate=gate)
    good, bad = (floors(opened(drawn(slope), rules), rules, replicates=500) for slope in (1.0, 1.8))
    bare = drawn().drop(columns=["candidate.score", "champion.score"])

    assert [rule.ok for rule in good] == [True] * 4
    assert [rule.ok for rule in bad][:2] == [True, False]
    assert bad[1].interval[0] < bad[1].value < bad[1].interval[1]
    assert "calibration_slope is 1.79" in bad[1].reason
    assert all(rule.ok is False for rule in floors(opened(bare, rules), rules))


def test_calibration_is_no_challenge_rule_and_has_nothing_trivial() -> None:
    """Better than the champion's has no meaning at 1, and a model that always says the same has no slope."""
    rules = policy(challenge={"calibration_slope": "superior"})
    with pytest.raises(PromotionError, match="`calibration_slope` is not a sum over rows, so it can be a floor"):
        Work(opened(frame(500), rules), rules)
    rules = policy(gate={"calibration_slope": "above_trivial"})

    assert (
        "no model that always says the same has a value to beat" in floors(opened(frame(500), rules), rules)[0].reason
    )


def test_a_regression_has_none() -> None:
    """Predictions are no probabilities."""
    measure = {"dollars": None, "cluster": ["clinic"], "slices": None}
    rules = policy(measure, gate={"rmse": "< 100"}, challenge={"rmse": "superior"})

    assert Work(opened(regression(), rules), rules).calibrated is None
