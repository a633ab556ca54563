"""Net benefit over the cost of a review, and the bands of pictures, against plain computations."""

import numpy as np
import pandas as pd
import pytest
from promotion.judgement.costs import costs
from promotion.judgement.curve import curve
from promotion.judgement.work import Work
from promotion.records.charts import Costs

from tests.support.score_tables import frame, opened, policy, regression

TABLE = frame(6000, finds=(0.5, 0.8))
ONE_WAY = policy({"cluster": ["customer_id"]})


def work(table: pd.DataFrame = TABLE, rules=ONE_WAY) -> Work:
    """Judged at 2.5% a side."""
    return Work(opened(table, rules), rules, replicates=2000, watch_tail=0.025)


def found(table: pd.DataFrame = TABLE, rules=ONE_WAY) -> Costs:
    """Its costs."""
    made = costs(work(table, rules))
    assert made is not None
    return made


def dollars(side: str, review: float) -> pd.Series:
    """Each row's."""
    flagged = TABLE[f"{side}.decision"] == 1
    return TABLE["column.amount"] * (flagged & (TABLE["label"] == 1)) - review * flagged


def test_each_point_is_the_net_benefit_at_that_cost() -> None:
    """The decisions stay, the reviews cost more; where both models would earn the same, the difference is zero."""
    made = found()
    for times, mine, theirs in zip(made.times, made.candidate.values, made.champion.values, strict=True):
        assert mine == pytest.approx(dollars("candidate", 15 * times).sum(), rel=1e-4, abs=1)
        assert theirs == pytest.approx(dollars("champion", 15 * times).sum(), rel=1e-4, abs=1)
    gap = dollars("candidate", 15 * made.even).sum() - dollars("champion", 15 * made.even).sum()

    assert abs(gap) < 5
    assert made.difference.values[4] == pytest.approx(made.candidate.values[4] - made.champion.values[4], abs=0.1)


def test_bands_are_those_of_resampled_clusters() -> None:
    """A band is as wide as the customers' sums let it be, and the difference's is that of the paired sums."""
    made, at = found(), 4
    for band, rows in (
        (made.candidate, dollars("candidate", 15)),
        (made.difference, dollars("candidate", 15) - dollars("champion", 15)),
    ):
        sums = rows.groupby(TABLE["column.customer_id"]).sum()
        half = (band.high[at] - band.low[at]) / 2

        assert half == pytest.approx(1.96 * np.sqrt((sums**2).sum()), rel=0.1)


def test_a_curves_bands_are_those_of_resampled_clusters() -> None:
    """At each number of flagged rows the band is that of the customers' sums of what is flagged there."""
    made, at = curve(work()), 20
    score = TABLE["candidate.score"]
    cut = np.sort(score)[::-1][made.flagged[at]]
    rows = (TABLE["column.amount"] * (TABLE["label"] == 1) - 15) * (score > cut)
    sums = rows.groupby(TABLE["column.customer_id"]).sum()
    half = (made.candidate.high[at] - made.candidate.low[at]) / 2

    assert half == pytest.approx(1.96 * np.sqrt((sums**2).sum()), rel=0.15)
    assert all(
        a <= b <= c for a, b, c in zip(made.difference.low, made.difference.values, made.difference.high, strict=True)
    )


def test_a_rate_has_bands_too() -> None:
    """F1 over thresholds, with ends that stay between 0 and 1."""
    rules = policy({"cluster": ["customer_id"]}, challenge={"f1": "superior"})
    made = curve(work(rules=rules))

    assert all(
        0 <= a <= b <= c <= 1
        for a, b, c in zip(made.candidate.low, made.candidate.values, made.candidate.high, strict=True)
    )


def test_two_cluster_columns_take_the_wider_band() -> None:
    """Never narrower than by either column alone."""
    both, one = found(rules=policy()), found()
    other = found(rules=policy({"cluster": ["terminal_id"]}))

    assert both.candidate.low[4] <= min(one.candidate.low[4], other.candidate.low[4]) * 1.02
    assert both.candidate.high[4] >= max(one.candidate.high[4], other.candidate.high[4]) * 0.98


def test_the_order_of_rows_changes_nothing() -> None:
    """Shuffled rows give the same records."""
    shuffled = TABLE.sample(frac=1, random_state=1, ignore_index=True)

    assert costs(work(shuffled)) == costs(work())
    assert curve(work(shuffled)) == curve(work())


def test_there_is_none_where_a_review_costs_nothing() -> None:
    """A regression, a policy without a review's cost; without a champion there is nothing to be even with."""
    measure = {"dollars": None, "cluster": ["clinic"], "slices": None}
    rules = policy(measure, gate={"rmse": "< 100"}, challenge={"rmse": "superior"})
    free = policy({"dollars": {"caught": "amount"}})
    alone = found(TABLE.drop(columns=["champion.score", "champion.decision"]))

    assert costs(work(regression(), rules)) is None
    assert costs(work(rules=free)) is None
    assert alone.champion is alone.difference is alone.even is None
