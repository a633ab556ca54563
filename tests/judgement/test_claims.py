"""Claims on whole score tables: rare large losses, few positives, few differing clusters, thin slices, [0, 0]."""

import numpy as np
import pandas as pd
import pytest
from promotion.judgement.floors import floors
from promotion.judgement.judge import Case, judge
from promotion.records.evaluation import Evaluation, Side
from promotion.records.figures import RuleResult

from tests.support.score_tables import opened, policy

FAST = 1000
MEASURE = {"test_days": 7, "delay_days": 7, "cluster": ["customer_id"], "slices": ["weekend"]}
MONEY = {**MEASURE, "dollars": {"caught": "amount", "review": 15}}


def table(clusters: int, positives: int, caught, missed=(), *, alarms: int = 0, dropped: int = 0) -> pd.DataFrame:
    """A row a cluster: `positives` of them are positive, all worth 1000 dollars.

    caught: indices that the champion catches. missed: those of them that the candidate misses. alarms: how
    many negatives the champion flags, of which the candidate drops `dropped`.
    """
    index = np.arange(clusters)
    rng = np.random.default_rng(0)  # scores that differ, so that equal decisions are not the same predictions
    y = index < positives
    old = np.isin(index, caught) | ((index >= positives) & (index < positives + alarms))
    new = old & ~np.isin(index, missed) & ~((index >= positives) & (index < positives + dropped))
    return pd.DataFrame(
        {
            "key.id": index,
            "label": y.astype(np.int8),
            "column.day": np.datetime64("2018-08-15", "us") + (index % 7).astype("timedelta64[D]"),
            "column.amount": 1000.0,
            "column.customer_id": index,
            "column.weekend": (index % 7 > 4).astype(int),
            "champion.score": rng.random(clusters),
            "champion.decision": old.astype(np.int8),
            "candidate.score": rng.random(clusters),
            "candidate.decision": new.astype(np.int8),
        }
    )


def judged(rows: pd.DataFrame, measure: dict, **rules) -> Evaluation:
    """The evaluation of a table under the given challenge rules at 0.5% a side."""
    gate = {"accuracy": "> 0"}
    made = policy({"dollars": None, **measure}, gate, {"confidence": 0.95, "looks": 5, **rules})
    scores = opened(rows, made)
    return judge(scores, made, Case(floors(scores, made, replicates=FAST), champion=Side(version=3)), replicates=FAST)


def only(found: Evaluation) -> RuleResult:
    """The one rule of a challenge."""
    (rule,) = found.challenge
    return rule


def test_small_savings_do_not_outweigh_losses_that_happened_not_to_occur() -> None:
    """Of 90 bursts of 1000 dollars 60 are caught by both, and 100 alarms dropped: +$1,500 and nothing settled."""
    rows = table(2000, 90, range(60), alarms=200, dropped=100)
    rule = only(judged(rows, MONEY, net_benefit="superior"))

    assert rule.value == 1500
    assert rule.ok is None
    assert rule.interval[0] < 0
    assert rule.assumptions.exact is True
    assert rule.assumptions.unseen == pytest.approx(60 * 985 * (1 - 0.005 ** (1 / 60)), rel=1e-3)


def test_enough_savings_outweigh_what_could_have_gone_unseen() -> None:
    """With 900 alarms dropped the same candidate wins: +$13,500 exceed the $5,000 that these days could not show."""
    rows = table(4000, 60, range(60), alarms=1000, dropped=900)
    found = judged(rows, MONEY, net_benefit="superior")

    assert found.verdict == "PROMOTE"
    assert only(found).interval[0] > 0
    assert only(found).assumptions.exact is True


def test_a_single_large_loss_among_small_savings_settles_nothing() -> None:
    """One burst lost and 400 alarms dropped: +$5,000 with a single loss that is a fifth of it."""
    rows = table(4000, 60, range(60), missed=[7], alarms=500, dropped=400)
    rule = only(judged(rows, MONEY, net_benefit="superior"))

    assert rule.ok is None
    assert "few and large losses" in rule.reason
    assert "such would be needed" in rule.reason
    assert rule.assumptions.skew < -0.2
    assert rule.assumptions.without_largest == rule.value + 985


def test_the_mirror_image_is_no_failure_either() -> None:
    """A candidate that raises 400 alarms and finds one burst more is not shown to be worse."""
    rows = table(4000, 60, range(60), missed=[7], alarms=500, dropped=400)
    swapped = rows.rename(
        columns={"champion.decision": "candidate.decision", "candidate.decision": "champion.decision"}
    )
    rule = only(judged(swapped, MONEY, net_benefit="superior"))

    assert rule.value == -5015
    assert rule.ok is None


def test_a_policy_may_let_unseen_losses_decide() -> None:
    """60 bursts won and 20 lost is a clear win; that what is unseen may decide needs more."""
    rows = table(4000, 400, range(200), missed=range(20))
    rows.loc[200:289, "candidate.decision"] = 1
    free = only(judged(rows, MONEY, net_benefit="superior"))
    strict = only(judged(rows, MONEY, net_benefit="superior", unseen_loss="decides"))

    assert free.ok is True
    assert strict.ok is (True if strict.value > strict.assumptions.unseen else None)
    assert strict.assumptions.unseen > 0


@pytest.mark.parametrize("metric", ["f1", "recall", "accuracy", "precision", "net_benefit"])
def test_four_clusters_that_differ_are_no_superiority(metric: str) -> None:
    """Every metric asks for as many differing clusters as net benefit: eight at 0.5%."""
    rows = table(2000, 300, range(200), alarms=50)
    rows.loc[200:203, "candidate.decision"] = 1
    rule = only(judged(rows, MONEY, **{metric: "superior"}))

    assert rule.value > 0
    assert rule.ok is None
    assert "differ in only 4 clusters; 8 are needed" in rule.reason or rule.interval[0] <= 0


@pytest.mark.parametrize(("positives", "ok"), [(15, None), (103, None), (104, True), (300, True)])
def test_a_margin_on_a_rate_needs_positives_enough(positives: int, ok: bool | None) -> None:
    """Of 15 positives a loss of 0.10 is not seen a fifth of the time; a margin of 0.05 at 0.5% asks for 104."""
    rule = only(judged(table(2000, positives, range(positives)), MEASURE, recall={"not_worse_than": 0.05}))

    assert rule.ok is ok
    assert rule.value == 0
    assert rule.interval != (0.0, 0.0)
    if ok is None:
        assert f"{positives} clusters; 104 are needed" in rule.reason or rule.interval[0] < -0.05


def test_power_knows_that_so_few_positives_show_nothing() -> None:
    """With 52 of 104 positives nobody who is no better passes, and twice the days would do."""
    found = judged(table(2000, 52, range(52)), MEASURE, recall={"not_worse_than": 0.05}).power[0]

    assert (found.pass_zero, found.days_needed) == (0.0, 14)
    assert "needs 104 clusters to rest on and there are 52, about 14 test days" in found.warning


def test_the_error_is_that_of_the_clusters_that_differ() -> None:
    """50 clusters that each save 15 dollars: the root of their squares, times 50/49 for so few."""
    found = judged(table(2000, 300, range(200), alarms=50, dropped=50), MONEY, net_benefit="superior").power[0]

    assert found.sd == pytest.approx((50 * 15.0**2 * 50 / 49) ** 0.5, rel=1e-6)


def test_equal_decisions_have_an_interval_of_what_could_have_gone_unseen() -> None:
    """[0, 0] is no interval: 300 positives that both catch allow a loss of 1 - 0.005^(1/300)."""
    rule = only(judged(table(2000, 300, range(300)), MEASURE, recall={"not_worse_than": 0.05}))

    assert rule.interval == pytest.approx((0.005 ** (1 / 300) - 1, 1 - 0.005 ** (1 / 300)), rel=1e-6)
    assert rule.assumptions.differing == 0


def test_of_two_kinds_of_clusters_the_fewer_count() -> None:
    """However many customers there are, five terminals are five; so it is with those that differ or have positives."""
    rows = table(4000, 1000, range(800), alarms=600, dropped=400)
    measure = {**MONEY, "cluster": ["customer_id", "terminal_id"]}
    rows["column.terminal_id"] = np.arange(4000) % 50
    found = judged(rows, measure, recall={"not_worse_than": 0.05}, net_benefit="superior")
    recall, money = (rule.assumptions for rule in found.challenge)
    rows["column.terminal_id"] %= 5

    assert (recall.clusters, recall.counted, money.clusters, money.differing) == (50, 50, 50, 50)
    assert "only 5 clusters with anything in it" in only(judged(rows, measure, net_benefit="superior")).reason


def test_a_slice_is_counted_by_itself() -> None:
    """Six positives on the weekend are six, whatever there is on other days."""
    rows = table(3000, 800, range(800))
    rows["column.weekend"] = np.where(np.arange(3000) % 500 < 4, 1, 0)
    found = judged(rows, MEASURE, **{"recall by weekend": {"not_worse_than": 0.05}})
    thin = next(rule for rule in found.challenge if rule.slice == "weekend=1")
    thick = next(rule for rule in found.challenge if rule.slice == "weekend=0")

    assert thick.ok is True
    assert thin.ok is None
    assert "too few" in thin.reason or "are needed" in thin.reason
    assert found.verdict == "INCONCLUSIVE"


def test_a_slice_without_positives_settles_nothing() -> None:
    """0 against 0 is no pass, and an undefined metric is no proof of harm: INCONCLUSIVE, never KEEP."""
    rows = table(3000, 300, range(300))
    rows["column.weekend"] = (np.arange(3000) >= 2000).astype(int)
    for metric in ("f1", "recall"):
        found = judged(rows, MEASURE, **{f"{metric} by weekend": {"not_worse_than": 0.05}})
        bare = next(rule for rule in found.challenge if rule.slice == "weekend=1")

        assert bare.ok is None
        assert "one class only: all 1,000 labels are 0" in bare.reason
        assert found.verdict == "INCONCLUSIVE"


def test_an_undefined_metric_on_a_slice_settles_nothing() -> None:
    """Precision where nobody flags anything is not defined; the rest of the challenge still counts."""
    rows = table(3000, 800, range(400))
    quiet = (np.arange(3000) % 3000 >= 400) & (np.arange(3000) < 1200)
    rows["column.weekend"] = quiet.astype(int)
    found = judged(rows, MEASURE, **{"precision by weekend=1": {"not_worse_than": 0.05}})

    assert only(found).ok is None
    assert "not defined on these 800 rows" in only(found).reason
    assert found.verdict == "INCONCLUSIVE"


def test_a_thin_slice_may_be_passed_by_loudly() -> None:
    """Below min_clusters a slice is not ruled: `skip` lets the rest decide and says so, with `block` nothing wins."""
    rows = table(3000, 800, range(800))
    rows["column.weekend"] = np.where(np.arange(3000) % 500 < 4, 1, 0)
    for choice, verdict in (("skip", "PROMOTE"), ("block", "INCONCLUSIVE")):
        rule = {"not_worse_than": 0.05, "min_clusters": 100, "too_few": choice}
        found = judged(rows, MEASURE, **{"recall by weekend": rule})
        thin = next(one for one in found.challenge if one.slice == "weekend=1")

        assert found.verdict == verdict
        assert "not ruled: too little data" in thin.reason
        assert (thin.ruled is False) is (choice == "skip")
        assert any("the policy lets it pass by" in note for note in found.notes) is (choice == "skip")


def test_if_every_rule_is_passed_by_nothing_was_won() -> None:
    """A challenge of which no rule was ruled is INCONCLUSIVE."""
    rule = {"superior": True, "min_clusters": 100_000, "too_few": "skip"}

    assert judged(table(2000, 300, range(300)), MEASURE, recall=rule).verdict == "INCONCLUSIVE"


def test_rows_that_are_taken_as_independent_are_said_so() -> None:
    """Without a cluster column a row is a cluster, and the evidence says that this was assumed."""
    rows = table(2000, 300, range(300))
    found = judged(rows, {**MEASURE, "cluster": None}, recall={"not_worse_than": 0.05})

    assert "Rows are taken as independent" in " ".join(found.notes)
    assert "independent" not in " ".join(judged(rows, MEASURE, recall={"not_worse_than": 0.05}).notes)


def test_an_end_that_is_the_most_extreme_replicate_is_said_so() -> None:
    """At 1,000 looks a tail is rarer than one in so few replicates."""
    rows = table(3000, 900, range(600), missed=range(30))
    rows.loc[600:640, "candidate.decision"] = 1
    found = judged(rows, MEASURE, recall="superior", looks=1000)

    assert only(found).assumptions.extreme is True
    assert "most extreme replicate" in " ".join(found.notes)


def test_intervals_stay_inside_what_a_metric_can_be() -> None:
    """A recall of 1 has no interval above 1, and a difference of two rates none beyond -1 and 1."""
    rows = table(400, 30, range(30))
    rows.loc[rows.index[:29], "champion.decision"] = 0
    found = judged(rows, MEASURE, recall="superior", f1="superior", accuracy="superior")
    for row in found.comparisons:
        for estimate, low, high in ((row.candidate, 0, 1), (row.champion, 0, 1), (row.difference, -1, 1)):
            if (
                estimate is not None
                and estimate.interval is not None
                and row.metric in ("recall", "f1", "accuracy", "precision")
            ):
                assert low <= estimate.interval[0] <= estimate.interval[1] <= high


def test_the_evidence_has_what_a_rule_rests_on() -> None:
    """Clusters, those that differ, positives, skews, the largest cluster's share and the difference without it."""
    rows = table(3000, 900, range(600), missed=range(30))
    rows.loc[600:640, "candidate.decision"] = 1
    found = judged(rows, MONEY, net_benefit="superior", recall={"not_worse_than": 0.05})
    money, recall = (rule.assumptions for rule in found.challenge)

    assert (money.clusters, money.differing, money.counted) == (641, 71, None)
    assert (recall.differing, recall.counted, recall.replicates) == (71, 900, FAST)
    assert money.exact is recall.exact is None  # the replicates' ends, and no bound in place of one
    assert money.largest_share == pytest.approx(985 / (71 * 985), rel=1e-3)
    assert abs(found.challenge[0].value - money.without_largest) == 985
    assert abs(money.skew) < 0.2
    assert Evaluation.parse(found.text(), where="here") == found
