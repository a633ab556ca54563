"""Days: dollars belong to the declared ones, every day has rows or is declared to have none, margins are scaled."""

from datetime import date

import pandas as pd
import pytest
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.records.evaluation import Evaluation

from tests.judgement.test_judge import evaluate, rule
from tests.support.score_tables import CHALLENGE, frame, opened, policy

BETTER = (0.5, 0.95)
RATES = {"f1": "> 0.20"}


def without(*days: str) -> pd.DataFrame:
    """A clearly better candidate on a week of which some days have no rows."""
    table = frame(8000, finds=BETTER)
    return table[~table["column.day"].isin(pd.to_datetime(list(days)))]


def test_a_day_without_rows_fails_a_rule_in_dollars() -> None:
    """A hole in the week is named, and neither gate nor challenge takes six days for seven; rates go on."""
    found = evaluate(without("2018-08-18"))
    f1 = rule(found, "f1")

    assert found.verdict == "REJECTED"
    assert "there are no rows on 2018-08-18" in found.headline
    assert rule(found, "net_benefit").ok is False
    assert "declare days that rightly have none" in rule(found, "net_benefit").reason
    assert f1.ok is True


def test_a_table_that_ends_early_fails_a_rule_in_dollars() -> None:
    """Five of seven days are not seven days, wherever the other two are missing."""
    for days in (("2018-08-15", "2018-08-16"), ("2018-08-20", "2018-08-21")):
        found = evaluate(without(*days), policy(gate=RATES))

        assert found.verdict == "KEEP"
        assert "these scores span only 5 days" in rule(found, "net_benefit").reason


def test_a_day_that_is_declared_empty_counts() -> None:
    """A shop that is closed on the 18th has a whole week without it."""
    found = evaluate(without("2018-08-18"), empty=["2018-08-18"])

    assert found.verdict == "PROMOTE"
    with pytest.raises(PromotionError, match="2018-08-15 is declared to have no rows, and has some"):
        opened(frame(500), empty=["2018-08-15"])


def confirmed(margin: float, fresh_from: date, finds=(0.9, 0.7)) -> Evaluation:
    """A worse candidate against a margin in dollars, with `confirm: fresh`."""
    settings = {key: CHALLENGE[key] for key in ("confidence", "looks", "worthwhile")}
    challenge = {**settings, "confirm": "fresh", "net_benefit": {"not_worse_than": margin}}
    return evaluate(frame(8000, finds=finds), policy(challenge=challenge), fresh_from=fresh_from)


def test_fresh_days_do_not_lower_a_bar() -> None:
    """A margin that a week's loss breaks is not kept by one fresh day of it: it is a seventh there."""
    week = confirmed(2000.0, date(2018, 8, 1))
    day = confirmed(2000.0, date(2018, 8, 27))

    assert week.verdict == "KEEP"
    assert day.verdict in ("KEEP", "INCONCLUSIVE")
    assert rule(day, "net_benefit").bound == pytest.approx(-2000 / 7)
    assert rule(week, "net_benefit").bound == -2000


def test_power_is_that_of_the_days_that_count() -> None:
    """On two fresh days the error is that of two days, and so are the margin and the worthwhile difference."""
    week, two = (confirmed(2000.0, day).power[0] for day in (date(2018, 8, 1), date(2018, 8, 26)))

    assert (week.days, two.days) == (7, 2)
    assert two.sd == pytest.approx(week.sd * (2 / 7) ** 0.5, rel=0.5)
    assert two.pass_zero < week.pass_zero


def test_a_rate_is_the_same_on_any_days() -> None:
    """A margin of F1 is not a sum over days, so it is not scaled."""
    settings = {key: CHALLENGE[key] for key in ("confidence", "looks")}
    rules = policy(challenge={**settings, "confirm": "fresh", "f1": {"not_worse_than": 0.05}})
    found = evaluate(frame(8000), rules, fresh_from=date(2018, 8, 27))

    assert rule(found, "f1").bound == -0.05


def test_a_custom_sum_belongs_to_its_days_as_dollars_do() -> None:
    """`cost` is a sum over days and `cost / n` is not, whatever they are called."""
    from promotion.judgement.metrics import metrics_of

    measure = {
        "metrics": {
            "total": {"formula": "cost", "better": "lower"},
            "mean": {"formula": "cost / n", "better": "lower"},
            "root": {"formula": "sqrt(cost * n)", "better": "lower"},
        }
    }
    known = metrics_of(policy(measure), "regression")

    assert {name: known[name].degree for name in ("total", "mean", "root", "rmse")} == {
        "total": 1, "mean": 0, "root": 1, "rmse": 0,
    }  # fmt: skip
    assert known["net_benefit"].degree == 1


def test_a_file_from_elsewhere_with_too_few_days_does_not_pass(tmp_path) -> None:
    """20 of 28 days in a plain table are 20 days."""
    table = frame(8000, finds=BETTER)
    table["column.day"] = pd.Timestamp("2018-08-01") + pd.to_timedelta(table["key.id"] % 20, unit="D")
    table.to_parquet(tmp_path / "t.parquet", index=False)
    found = judge_table(tmp_path / "t.parquet", policy({"test_days": 28}), replicates=500)

    assert found.verdict == "REJECTED"
    assert "dollars in 28 test days, but these scores span only 20 days" in found.headline
