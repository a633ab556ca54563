"""The judgement from score table to record: every verdict, closed failures, and the same bytes for the same inputs."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from promotion.errors import PromotionError
from promotion.judgement import measure
from promotion.judgement.judge import Case, floors, judge, judge_table
from promotion.judgement.power import policy_power
from promotion.judgement.table import open_scores, predictions_digest, rows_digest
from promotion.records.evaluation import Evaluation, Side
from promotion.records.figures import Looks, RuleResult

from tests.support.policies import policy_from_raw
from tests.support.score_tables import CHALLENGE, GATE, frame, opened, policy, regression

FAST = 1000
LOOK = Looks(number=1, allowed=5)


def evaluate(table: pd.DataFrame, rules=None, *, looks: Looks | None = LOOK, empty=(), **more) -> Evaluation:
    """Gate and challenge of one table, against version 3 where it has a champion."""
    rules = rules or policy()
    scores = opened(table, rules, empty=empty)
    champion = Side(version=3) if scores.has_champion else None
    gate = floors(scores, rules, replicates=FAST)
    return judge(scores, rules, Case(gate, champion=champion, looks=looks, **more), replicates=FAST)


def rule(found: Evaluation, name: str) -> RuleResult:
    """A challenge rule of an evaluation by its metric."""
    return next(r for r in found.challenge if r.metric == name)


@pytest.fixture(scope="module")
def clearly_better() -> Evaluation:
    """A candidate that finds half as much again."""
    return evaluate(frame(8000, finds=(0.5, 0.95)))


def test_a_clearly_better_candidate_is_promoted(clearly_better: Evaluation) -> None:
    """Every rule passes, and the headline says by how much, how sure, and against whom."""
    assert clearly_better.verdict == "PROMOTE"
    assert clearly_better.headline.startswith("net benefit +$")
    assert "95% confidence" in clearly_better.headline
    assert clearly_better.headline.endswith("against version 3")
    assert all(r.ok for r in clearly_better.challenge)
    assert clearly_better.confidence_used == 0.99


def test_at_the_policys_cost_of_a_review_stand_the_intervals_that_are_judged(clearly_better: Evaluation) -> None:
    """The table of costs draws replicates of its own; beside the verdict stands no other interval than its own."""
    net = next(one for one in clearly_better.comparisons if one.metric == "net_benefit" and one.slice is None)
    costs = clearly_better.costs
    at = costs.times.index(1.0)

    for band, judged in (
        (costs.candidate, net.candidate),
        (costs.champion, net.champion),
        (costs.difference, net.difference),
    ):
        assert band.values[at] == pytest.approx(judged.value, rel=1e-4)
        assert (band.low[at], band.high[at]) == judged.interval
        assert all(low <= value <= high for low, value, high in zip(band.low, band.values, band.high, strict=True))


def test_a_clearly_worse_candidate_is_not() -> None:
    """The champion stays, and the headline names the rules that fail."""
    found = evaluate(frame(8000, finds=(0.95, 0.5)))

    assert found.verdict == "KEEP"
    assert "fails net_benefit superior" in found.headline


def test_a_small_difference_settles_nothing() -> None:
    """An interval that straddles is INCONCLUSIVE, with what this set can show and how long a worthwhile one takes."""
    found = evaluate(frame(8000, finds=(0.7, 0.71)))

    assert found.verdict == "INCONCLUSIVE"
    assert "does not settle net_benefit superior" in found.headline
    assert found.power[0].smallest > 0
    assert found.power[0].days_needed is not None
    assert found.power[0].pass_zero == pytest.approx(0.005, abs=1e-6)


def test_below_a_floor_is_rejected_and_still_compared() -> None:
    """REJECTED says which floor by how much; the figures against the champion are there all the same."""
    found = evaluate(frame(4000), policy(gate={"net_benefit": "> 1000000", "f1": "> 0.20"}))

    assert found.verdict == "REJECTED"
    assert "must be > $1,000,000" in found.headline
    assert any(c.difference is not None and c.difference.interval for c in found.comparisons)


def test_no_champion_is_first() -> None:
    """Without a champion the gate decides."""
    table = frame(4000).drop(columns=["champion.score", "champion.decision"])
    found = evaluate(table)

    assert found.verdict == "FIRST"
    assert found.champion is None
    assert found.challenge == found.power == ()
    assert all(c.champion is None and c.difference is None for c in found.comparisons)


def test_the_same_predictions_are_same() -> None:
    """The same score and decision on every row may be pinned, and use no look."""
    table = frame(4000)
    for part in ("score", "decision"):
        table[f"candidate.{part}"] = table[f"champion.{part}"]
    found = evaluate(table, looks=None)

    assert found.verdict == "SAME"
    assert found.candidate.predictions == found.champion.predictions


def test_other_scores_with_the_same_decisions_are_not_the_same() -> None:
    """Where only the scores differ, nothing is superior; and [0, 0] is no interval, but what could have gone unseen."""
    table = frame(4000)
    table["candidate.decision"] = table["champion.decision"]
    found = evaluate(table)

    assert found.verdict == "INCONCLUSIVE"
    assert rule(found, "net_benefit").interval[0] < -1000 < 1000 < rule(found, "net_benefit").interval[1]
    assert rule(found, "f1").interval[0] < -0.01


def test_looks_used_up_cannot_win(clearly_better: Evaluation) -> None:
    """The sixth of five looks is told to move as_of."""
    found = evaluate(frame(8000, finds=(0.5, 0.95)), looks=Looks(number=6, allowed=5))

    assert found.verdict == "INCONCLUSIVE"
    assert "move as_of" in found.headline


def test_a_broken_signature_keeps_the_champion() -> None:
    """A rule made elsewhere that does not hold is KEEP, however good the figures, and SAME does not hide it."""
    broken = RuleResult(rule="signature", kind="signature", ok=False, reason="callers do not send amount")
    found = evaluate(frame(8000, finds=(0.5, 0.95)), pair=(broken,))
    same = frame(4000)
    for part in ("score", "decision"):
        same[f"candidate.{part}"] = same[f"champion.{part}"]
    hidden = evaluate(same, looks=None, pair=(broken,))

    assert (found.verdict, hidden.verdict) == ("KEEP", "KEEP")
    assert "signature" in found.headline
    assert "callers do not send amount" in hidden.headline


def test_the_record_is_the_same_bytes_for_any_partition_and_order(tmp_path: Path, clearly_better: Evaluation) -> None:
    """Shuffled and cut into nine files, the evaluation has the same digest; another seed of the data has another."""
    rules = policy()
    table = frame(8000, finds=(0.5, 0.95)).sample(frac=1, random_state=5)
    for i, rows in enumerate(np.array_split(np.arange(8000), 9)):
        table.iloc[rows].to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    scores = open_scores(tmp_path, rules)
    gate = floors(scores, rules, replicates=FAST)
    again = judge(scores, rules, Case(gate, champion=Side(version=3), looks=LOOK), replicates=FAST)

    assert again.sha256 == clearly_better.sha256
    assert Evaluation.parse(again.text(), where="here") == again


def test_every_metric_and_slice_is_reported(clearly_better: Evaluation) -> None:
    """All metrics on all rows, the rules' metrics on every slice, and the days, whose sum is the whole."""
    overall = {c.metric for c in clearly_better.comparisons if c.slice is None}
    sliced = {(c.metric, c.slice) for c in clearly_better.comparisons if c.slice is not None}
    whole = clearly_better.comparisons[0]

    assert overall >= {"net_benefit", "f1", "precision", "recall", "accuracy", "brier", "log_loss", "roc_auc"}
    assert sliced == {(m, s) for m in ("net_benefit", "f1") for s in ("weekend=0", "weekend=1")}
    assert (whole.metric, whole.unit) == ("net_benefit", "$")
    assert sum(d.rows for d in clearly_better.days) == clearly_better.test.rows == 8000
    assert sum(d.candidate for d in clearly_better.days) == pytest.approx(whole.candidate.value, rel=1e-9)


@pytest.mark.parametrize("champion", [True, False])
def test_a_floor_has_one_interval(champion: bool) -> None:
    """The one beside its rule, in the headline and among all metrics, though gate.py draws replicates of its own."""
    table = frame(4000)
    mine = [name for name in table if champion or not name.startswith("champion.")]
    found = evaluate(table[mine], policy(gate={"net_benefit": "> 0"}))

    shown = {(one.metric, one.slice): one.candidate.interval for one in found.comparisons}
    assert shown["net_benefit", None] == found.gate[0].interval


def test_days_are_those_of_the_rows_also_before_1970() -> None:
    """Each day has its own rows and dollars, in order, also one on which there is nothing to catch."""
    table = frame(2000)
    day = np.arange(2000) % 7
    table["column.day"] = np.datetime64("1969-12-29", "us") + day.astype("timedelta64[D]")
    quiet = day == 4
    table.loc[quiet, ["label", "champion.decision", "candidate.decision"]] = 0
    found = evaluate(table).days

    def dollars(side: str, mine: pd.DataFrame) -> float:
        flagged = mine[mine[f"{side}.decision"] == 1]
        return float((flagged["column.amount"] * flagged["label"]).sum() - 15 * len(flagged))

    assert [one.day for one in found] == [str(np.datetime64("1969-12-29") + n) for n in range(7)]
    for number, one in enumerate(found):
        mine = table[day == number]
        assert one.rows == len(mine)
        assert one.candidate == pytest.approx(dollars("candidate", mine), abs=1e-6)
        assert one.champion == pytest.approx(dollars("champion", mine), abs=1e-6)
    assert (found[4].candidate, found[4].champion) == (0.0, 0.0)


def test_values_are_those_of_the_rows(clearly_better: Evaluation) -> None:
    """Net benefit and F1 on a slice are what the rows give by hand."""
    table = frame(8000, finds=(0.5, 0.95))
    part = table[table["column.weekend"] == 1]
    hit = part["candidate.decision"] == 1
    by_hand = (part["column.amount"] * (hit & (part["label"] == 1)) - 15.0 * hit).sum()
    found = {(c.metric, c.slice): c for c in clearly_better.comparisons}

    assert found["net_benefit", "weekend=1"].candidate.value == pytest.approx(by_hand, rel=1e-9)
    assert found["net_benefit", "weekend=1"].rows == len(part)


def test_a_regression_with_a_cost_of_its_own() -> None:
    """RMSE, a custom metric and dollars per unit: lower is better where the policy says so."""
    raw = {
        "measure": {
            "test_days": 7,
            "delay_days": 7,
            "dollars": {"under": 3, "over": 1},
            "cluster": ["clinic"],
            "metrics": {"cost": {"formula": "cost / n", "better": "lower", "unit": "min"}},
        },
        "gate": {"rmse": "< 20", "cost": "<= 30", "r2": "> 0.5"},
        "challenge": {
            "confidence": 0.95,
            "looks": 1,
            "worthwhile": 0.5,
            "cost": "superior",
            "rmse": {"not_worse_than": "5%"},
            "net_benefit": "superior",
        },
    }
    rules = policy_from_raw("progression", raw, file="promotion.yaml")
    found = evaluate(regression(), rules, looks=Looks(number=1, allowed=1))
    table = regression()
    error = np.sqrt(((table["candidate.score"] - table["label"]) ** 2).mean())
    cost = table["candidate.sum.cost.cost"].sum()
    values = {c.metric: c for c in found.comparisons}

    assert found.verdict == "PROMOTE"
    assert values["rmse"].candidate.value == pytest.approx(error, rel=1e-9)
    assert values["cost"].candidate.value == pytest.approx(cost / len(table), rel=1e-9)
    assert values["net_benefit"].candidate.value == pytest.approx(-cost, rel=1e-9)
    assert rule(found, "cost").value < 0
    contrast = error - 1.05 * np.sqrt(((table["champion.score"] - table["label"]) ** 2).mean())
    assert rule(found, "rmse").value == pytest.approx(contrast, rel=1e-9)


def test_labels_may_be_as_large_as_they_are() -> None:
    """The same regression in units of which there are ten billion more has errors that are as much larger."""
    measure = {"dollars": {"under": 3, "over": 1}, "cluster": ["clinic"], "slices": None}
    rules = policy(measure, {"rmse": "> 0"}, {"confidence": 0.95, "looks": 1, "rmse": "superior"})
    table, names = regression(), ["label", "champion.score", "candidate.score"]
    table.loc[0, names] = 1000.0  # the largest of each
    large = table.assign(**{name: table[name] * 1e10 for name in names})
    small, found = ({one.metric: one for one in evaluate(rows, rules).comparisons} for rows in (table, large))

    for name, units in (("rmse", 1e10), ("mae", 1e10), ("net_benefit", 1e10), ("r2", 1.0)):
        assert found[name].candidate.value == pytest.approx(units * small[name].candidate.value, rel=1e-6), name


def test_a_sum_of_ones_own_may_be_as_large_as_it_is() -> None:
    """Costs of billions a row add up to what they are, whatever the other columns hold."""
    table = regression()
    for name in ("champion.sum.cost.cost", "candidate.sum.cost.cost"):
        table[name] *= 1e10
    measure = {"dollars": None, "cluster": ["clinic"], "slices": None}
    rules = policy(
        {**measure, "metrics": {"cost": {"formula": "cost / n", "better": "lower"}}},
        {"cost": "> 0"},
        {"confidence": 0.95, "looks": 1, "cost": "superior"},
    )
    (found,) = (one for one in evaluate(table, rules).comparisons if one.metric == "cost")

    assert found.candidate.value == pytest.approx(table["candidate.sum.cost.cost"].mean(), rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.assign(label=np.int8(0), **{"candidate.decision": np.int8(0)}),
        lambda t: t.assign(label=np.int8(0)),
        lambda t: t.assign(label=np.int8(1)),
    ],
)
def test_one_class_is_rejected_with_a_reason(change) -> None:
    """Where every label is the same nothing passes: not F1, not accuracy at 99%, not dollars."""
    rules = policy(gate={"f1": "> 0.2", "accuracy": "> 0.01", "net_benefit": "> -1000000"})
    found = evaluate(change(frame(2000)), rules)

    assert found.verdict == "REJECTED"
    assert {r.ok for r in found.gate} == {False}
    assert all("one class only: all 2,000 labels are" in r.reason for r in found.gate)
    assert {r.ok for r in found.challenge} == {None}


def test_a_slice_with_three_rows_settles_nothing() -> None:
    """A rule on a slice of three rows has no interval and says why; it is never a pass."""
    table = frame(4000, finds=(0.5, 0.95))
    table["column.weekend"] = np.where(np.arange(4000) < 3, "odd", "even")
    table.loc[:1, "label"] = 1
    table.loc[2, "label"] = 0
    rules = policy(challenge={**{k: CHALLENGE[k] for k in ("confidence", "looks")}, "f1 by weekend": "superior"})
    found = evaluate(table, rules)
    odd = next(r for r in found.challenge if r.slice == "weekend=odd")

    assert found.verdict in ("INCONCLUSIVE", "KEEP")
    assert odd.ok is not True
    assert "too few" in odd.reason


def test_an_empty_slice_with_a_rule_is_refused() -> None:
    """A rule on a value that no row has names the line and what there is."""
    rules = policy(challenge={**{k: CHALLENGE[k] for k in ("confidence", "looks")}, "f1 by weekend=2": "superior"})

    with pytest.raises(PromotionError, match=r"promotion.yaml:\d+: no row has weekend=2"):
        evaluate(frame(2000), rules)


def test_one_cluster_settles_nothing() -> None:
    """If every payment is one customer's, there is nothing to resample, and no rule passes."""
    table = frame(4000, finds=(0.5, 0.95)).assign(**{"column.customer_id": 1})
    found = evaluate(table)

    assert found.verdict == "INCONCLUSIVE"
    assert "only 1 cluster" in rule(found, "net_benefit").reason


def test_a_floor_in_dollars_belongs_to_the_declared_days() -> None:
    """Two weeks of dollars do not pass a floor that is about one week."""
    table = frame(4000)
    table["column.day"] = table["column.day"] + pd.to_timedelta((np.arange(4000) % 2) * 7, unit="D")
    found = evaluate(table)
    dollars = next(r for r in found.gate if r.metric == "net_benefit")

    assert found.verdict == "REJECTED"
    assert "dollars in 7 test days, but these scores span 14" in dollars.reason


def test_ranking_metrics_may_be_floors() -> None:
    """ROC AUC as a floor is held against the point value."""
    found = evaluate(frame(4000), policy(gate={"roc_auc": "> 0.99", **GATE}))

    assert found.verdict == "REJECTED"
    assert found.gate[0].metric == "roc_auc"
    assert 0.5 < found.gate[0].value < 0.99


def test_scores_that_are_no_probabilities_have_no_brier() -> None:
    """Margins outside 0..1 leave Brier and log loss out, and a rule on them is refused."""
    table = frame(2000)
    for side in ("candidate", "champion"):
        table[f"{side}.score"] = table[f"{side}.score"] * 9 - 4
    found = evaluate(table)
    settings = {k: CHALLENGE[k] for k in ("confidence", "looks")}

    assert not {"brier", "log_loss"} & {c.metric for c in found.comparisons}
    with pytest.raises(PromotionError, match="no probabilities"):
        evaluate(table, policy(challenge={**settings, "brier": "superior"}))


def test_changed_predictions_are_noticed() -> None:
    """A side whose record names another digest than the table's is refused."""
    scores = opened(frame(500))
    with pytest.raises(PromotionError, match="do not hash"):
        judge(scores, policy(), Case((), candidate=Side(predictions="sha256:0"), champion=Side()))
    with pytest.raises(PromotionError, match="disagree on whether there is a champion"):
        judge(scores, policy(), Case(()))


CONFIRM = {**CHALLENGE, "confirm": "fresh"}


@pytest.mark.parametrize(
    ("fresh_from", "verdict", "said"),
    [
        (date(2018, 8, 1), "PROMOTE", "counts only the 7 days from 2018-08-15 on"),
        (date(2018, 8, 24), "PROMOTE", "counts only the 4 days from 2018-08-18 on"),
        (date(2018, 8, 28), "INCONCLUSIVE", "there is none yet, the first is 2018-08-22"),
        (None, "INCONCLUSIVE", "not known when"),
    ],
)
def test_confirm_fresh_counts_only_days_that_nobody_could_have_seen(fresh_from, verdict: str, said: str) -> None:
    """With 7 days of delay, labels of the 18th are known on the 25th: only such days count for PROMOTE."""
    found = evaluate(frame(8000, finds=(0.5, 0.98)), policy(challenge=CONFIRM), fresh_from=fresh_from)

    assert found.verdict == verdict
    assert said in " ".join(found.notes)


def test_fresh_days_are_judged_as_if_they_were_all() -> None:
    """The fresh days' difference is that of a table with only these days."""
    table = frame(8000, finds=(0.5, 0.98))
    found = evaluate(table, policy(challenge=CONFIRM), fresh_from=date(2018, 8, 24))
    late = evaluate(table[table["column.day"] >= "2018-08-18"], policy({"test_days": 4}))

    assert rule(found, "net_benefit").value == rule(late, "net_benefit").value
    assert found.power[0].days == 4


def test_power_of_a_policy_from_the_champions_evaluation(clearly_better: Evaluation) -> None:
    """A narrower margin is told from the stored errors: what equal and worthwhile candidates would get."""
    narrow = policy(challenge={**CHALLENGE, "f1": {"not_worse_than": 0.001}})
    found = {p.rule: p for p in policy_power(narrow, clearly_better)}

    assert found["net_benefit superior"].sd == clearly_better.power[0].sd
    assert found["net_benefit superior"].pass_worthwhile is not None
    assert found["f1 not_worse_than 0.001"].pass_zero < 0.05
    assert "only" in (found["f1 not_worse_than 0.001"].warning or "")


def test_a_table_from_elsewhere_is_judged_alike(tmp_path: Path, clearly_better: Evaluation) -> None:
    """Plain columns give the same rules and figures as the project's own table, without registry or git."""
    table = frame(8000, finds=(0.5, 0.95))
    plain = table.rename(
        columns={
            "key.id": "key",
            "candidate.decision": "candidate",
            "champion.decision": "champion",
            "candidate.score": "candidate_score",
            "champion.score": "champion_score",
        }
    ).rename(columns=lambda name: name.removeprefix("column."))
    plain.to_parquet(tmp_path / "plain.parquet")
    table.to_parquet(tmp_path / "own.parquet")
    one = judge_table(tmp_path / "plain.parquet", policy(), replicates=FAST)
    two = judge_table(tmp_path / "own.parquet", policy(), replicates=FAST)

    assert one.verdict == two.verdict == "PROMOTE"
    assert (
        [r.value for r in one.challenge]
        == [r.value for r in two.challenge]
        == [r.value for r in clearly_better.challenge]
    )
    assert "looks were not counted" in one.notes[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="candidate"), "the column `candidate` is missing"),
        (lambda t: t.drop(columns="day"), "the column `day` is missing"),
        (lambda t: t.assign(candidate=0.3), "`candidate` is not a 0/1 decision"),
        (lambda t: t.assign(candidate="x"), "`candidate` is not a 0/1 decision"),
        (lambda t: t.drop(columns="amount"), "names the column `amount`"),
    ],
)
def test_a_plain_table_that_cannot_be_judged_is_one_sentence(tmp_path: Path, change, sentence: str) -> None:
    """What a plain table lacks is said by the name of the column."""
    plain = pd.DataFrame(
        {"label": [0, 1] * 50, "day": "2024-01-01", "candidate": [0, 1] * 50, "champion": 0, "amount": 9.0,
         "customer_id": range(100), "terminal_id": range(100), "weekend": 0}
    )  # fmt: skip
    path = tmp_path / "plain.parquet"
    change(plain).to_parquet(path)

    with pytest.raises(PromotionError, match=sentence):
        judge_table(path, policy(), replicates=FAST)


def test_a_handful_of_lucky_payments_is_not_superiority() -> None:
    """Six more frauds caught and nothing lost: every replicate gains, and still it is no proof."""
    table = frame(8000)
    for part in ("score", "decision"):
        table[f"candidate.{part}"] = table[f"champion.{part}"]
    missed = table.index[(table["label"] == 1) & (table["champion.decision"] == 0)][:6]
    table.loc[missed, "candidate.decision"] = 1
    table.loc[missed, "column.amount"] = 500.0
    found = evaluate(table)

    assert found.verdict == "INCONCLUSIVE"
    assert rule(found, "net_benefit").ok is None


def test_digests_are_those_of_the_table(clearly_better: Evaluation) -> None:
    """The record carries the digests that the scoring step computes."""
    scores = opened(frame(8000, finds=(0.5, 0.95)))

    assert clearly_better.test.digest == rows_digest(scores)
    assert clearly_better.candidate.predictions == predictions_digest(scores, "candidate")


def test_failing_is_judged_at_the_tail_divided_by_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rules pass at 0.5% each and fail at 0.25% each; nothing else is asked for."""
    asked = []
    real = measure.interval

    def noted(sample, tail: float):
        asked.append(round(tail, 6))
        return real(sample, tail)

    monkeypatch.setattr(measure, "interval", noted)
    evaluate(frame(2000))

    assert set(asked) == {0.005, 0.0025}
