"""Both models at every threshold, against a plain computation row by row."""

import numpy as np
import pandas as pd
import pytest
from promotion.config.policy import Policy
from promotion.judgement import curve as module
from promotion.judgement.curve import POINTS
from promotion.judgement.table import Scores
from promotion.judgement.work import Work
from promotion.records.charts import Curve

from tests.support.score_tables import frame, opened, policy, regression

TABLE = frame(6000, finds=(0.5, 0.8))


def curve(scores: Scores, rules: Policy) -> Curve | None:
    """The curve of a table."""
    return module.curve(Work(scores, rules, replicates=500))


def plain(table: pd.DataFrame, side: str, most: int, metric: str) -> float:
    """The metric where rows are flagged from the highest score on, all rows of a score or none, at most so many."""
    score = table[f"{side}.score"].to_numpy()
    fitting = [cut for cut in np.unique(score) if (score >= cut).sum() <= most]
    decided = score >= min(fitting) if fitting else np.zeros(len(table), dtype=bool)
    fraud = table["label"].to_numpy() == 1
    if metric == "net_benefit":
        return float(table["column.amount"][fraud & decided].sum() - 15 * decided.sum())
    hits = (fraud & decided).sum()
    return float(2 * hits / (2 * hits + (decided & ~fraud).sum() + (fraud & ~decided).sum()))


@pytest.mark.parametrize("metric", ["net_benefit", "f1"])
@pytest.mark.parametrize("side", ["candidate", "champion"])
def test_every_point_is_what_flagging_at_most_so_many_rows_is_worth(metric: str, side: str) -> None:
    """Whatever the number of rows flagged, the value is that of the rows with the highest scores."""
    rules = policy(challenge={"confidence": 0.95, "looks": 5, metric: "superior"})
    found = curve(opened(TABLE, rules), rules)

    assert found is not None and found.metric == metric
    one = getattr(found, side)
    assert 10 < len(found.flagged) == len(one.values) <= POINTS
    assert found.flagged[0] == 10 and found.flagged[-1] == len(TABLE)
    assert one.chosen == int(TABLE[f"{side}.decision"].sum())
    for most, value in zip(found.flagged, one.values, strict=True):
        assert value == pytest.approx(plain(TABLE, side, most, metric), rel=1e-5, abs=0.01)


def test_the_order_of_rows_and_parts_changes_nothing() -> None:
    """Shuffled rows give the same record."""
    shuffled = TABLE.sample(frac=1, random_state=1, ignore_index=True)

    assert curve(opened(shuffled), policy()) == curve(opened(TABLE), policy())


def test_one_score_for_all_flags_all_or_none() -> None:
    """A model that cannot tell rows apart is worth nothing until all rows may be flagged."""
    found = curve(opened(TABLE.assign(**{"candidate.score": 0.25})), policy())

    assert found is not None
    assert set(found.candidate.values[:-1]) == {0.0}
    assert found.candidate.values[-1] == pytest.approx(plain(TABLE, "candidate", len(TABLE), "net_benefit"), rel=1e-5)


def test_what_is_not_defined_is_left_out() -> None:
    """The precision of nobody is no number."""
    rules = policy(challenge={"confidence": 0.95, "looks": 5, "precision": "superior"})
    found = curve(opened(TABLE.assign(**{"candidate.score": 0.25}), rules), rules)

    assert found is not None
    assert found.candidate.values[0] is None and found.candidate.values[-1] is not None


def test_a_champion_is_not_needed() -> None:
    """The first version has a curve of its own."""
    found = curve(opened(TABLE.drop(columns=["champion.score", "champion.decision"])), policy())

    assert found is not None and found.champion is None


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (TABLE.drop(columns=["champion.score", "candidate.score"]), policy()),
        (TABLE.assign(**{"candidate.score": TABLE["candidate.score"] * 9}), policy()),
        (TABLE, policy(challenge={"confidence": 0.95, "looks": 5, "brier": "superior"})),
    ],
)
def test_there_is_none_where_no_threshold_moves_anything(table: pd.DataFrame, rules) -> None:
    """Decisions alone, scores that are no probabilities, a metric of the probabilities themselves."""
    assert curve(opened(table, rules), rules) is None


def test_a_regression_has_none() -> None:
    """Nothing is flagged there."""
    rules = policy(
        measure={"dollars": None, "cluster": ["clinic"], "slices": None},
        gate={"rmse": "< 100"},
        challenge={"confidence": 0.95, "looks": 5, "rmse": "superior"},
    )

    assert curve(opened(regression(), rules), rules) is None
