"""Metrics: each agrees with scikit-learn or a closed form to 1e-12, and sums over any partition are the whole."""

import itertools

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from promotion.errors import PromotionError
from promotion.judgement.formula import Formula
from promotion.judgement.metrics import BUILT_IN, check_policy, dollars, metrics_of, row_sums
from promotion.judgement.ranking import Ordered

from tests.support.policies import policy_from_raw
from tests.support.score_tables import CHALLENGE, GATE, policy

CLASSIFICATION = {
    "f1": lambda y, p, d, w: reference.f1_score(y, d, sample_weight=w),
    "precision": lambda y, p, d, w: reference.precision_score(y, d, sample_weight=w),
    "recall": lambda y, p, d, w: reference.recall_score(y, d, sample_weight=w),
    "accuracy": lambda y, p, d, w: reference.accuracy_score(y, d, sample_weight=w),
    "brier": lambda y, p, d, w: reference.brier_score_loss(y, p, sample_weight=w),
    "log_loss": lambda y, p, d, w: reference.log_loss(y, p, sample_weight=w, labels=[0, 1]),
}
REGRESSION = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}


def value(name: str, y, p, d, weights=None, centre: float = 0.0) -> float:
    """A metric from its sums, each row counted `weights` times."""
    metric = BUILT_IN[name]
    weights = np.ones(len(y)) if weights is None else weights
    sums = row_sums(metric.sums, y, p, d, centre=centre)
    return float(metric.value({k: np.float64((v * weights).sum()) for k, v in sums.items()}))


def rows(seed: int, n: int = 500, *, ties: bool = False):
    """Random labels, scores and decisions, and weights."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(float)
    p = np.clip(0.3 * y + 0.7 * rng.random(n), 0, 1)
    p = np.round(p, 1) if ties else p
    return y, p, (p > 0.5).astype(float), rng.integers(0, 4, n).astype(float)


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_agrees_with_scikit_learn(name: str, seed: int, weighted: bool, ties: bool) -> None:
    """Every one is scikit-learn's, weighted too, with probabilities of 0 and 1."""
    y, p, d, w = rows(seed, ties=ties)
    w = w if weighted else np.ones(len(y))
    expected = CLASSIFICATION[name](y, p, d, w)

    assert value(name, y, p, d, w) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_regression_agrees_with_scikit_learn(name: str, weighted: bool, offset: float) -> None:
    """MAE, RMSE and R2 are scikit-learn's, far from zero too."""
    rng = np.random.default_rng(1)
    y = offset + rng.normal(0, 30, 400)
    p = y + rng.normal(0, 10, 400)
    w = rng.integers(0, 4, 400).astype(float) if weighted else np.ones(400)
    expected = REGRESSION[name](y, p, sample_weight=w)

    assert value(name, y, p, None, w, centre=offset) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_by_slice_agrees_with_scikit_learn(name: str) -> None:
    """A slice's value is the metric of its rows."""
    y, p, d, w = rows(3)
    for part in (w == 0, w == 2):
        expected = CLASSIFICATION[name](y[part], p[part], d[part], None)

        assert value(name, y, p, d, part.astype(float)) == pytest.approx(expected, rel=1e-12)


@given(
    arrays.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 1.0])),
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_sums_over_any_partition_equal_the_whole(y, cuts: list[int], seed: int) -> None:
    """However rows are cut, the parts' sums add up to the whole's, for every built-in metric."""
    rng = np.random.default_rng(seed)
    p = rng.random(len(y))
    d = (p > 0.5).astype(float)
    names = tuple(dict.fromkeys(n for m in BUILT_IN.values() for n in m.sums))
    whole = row_sums(names, y, p, d)
    bounds = [0, *sorted(min(c, len(y)) for c in cuts), len(y)]
    parts = [row_sums(names, y[a:b], p[a:b], d[a:b]) for a, b in itertools.pairwise(bounds)]

    for name in names:
        np.testing.assert_array_equal(whole[name], np.concatenate([part[name] for part in parts]))


@pytest.mark.parametrize(
    ("y", "d", "undefined"),
    [
        ([0, 0, 0], [0, 0, 0], {"f1", "precision", "recall"}),
        ([0, 0, 0], [1, 0, 0], {"recall"}),
        ([1, 1, 1], [0, 0, 0], {"precision"}),
    ],
)
def test_empty_classes_are_not_a_number_where_scikit_learn_warns(y, d, undefined: set[str]) -> None:
    """What has no positives or no alarms is NaN and never 0 or 1, so that a rule on it fails with a reason."""
    y, d = np.array(y, float), np.array(d, float)
    found = {n for n in ("f1", "precision", "recall") if np.isnan(value(n, y, d, d))}

    assert found == undefined


@pytest.mark.parametrize("ties", [False, True])
def test_ranking_agrees_with_scikit_learn(ties: bool) -> None:
    """ROC AUC and average precision are scikit-learn's, ties included."""
    y, p, _, _ = rows(7, 2000, ties=ties)

    assert Ordered.of(y == 1, p).roc_auc() == pytest.approx(reference.roc_auc_score(y, p), rel=1e-12)
    assert Ordered.of(y == 1, p).average_precision() == pytest.approx(
        reference.average_precision_score(y, p), rel=1e-12
    )


def test_ranking_of_one_class_is_none() -> None:
    """Without positives or without negatives there is no ranking to speak of."""
    p = np.array([0.1, 0.2])
    for y in (np.array([False, False]), np.array([True, True])):
        assert Ordered.of(y, p).roc_auc() is Ordered.of(y, p).average_precision() is None


def test_precision_at_k_by_hand() -> None:
    """Two days, k = 2: 1/2 on the first; on the second a tie for the last place shares it evenly: (1 + 1/2) / 2."""
    y = np.array([1, 0, 0, 1, 1, 0]) == 1
    p = np.array([0.9, 0.8, 0.1, 0.9, 0.5, 0.5])
    days = np.array([1, 1, 1, 2, 2, 2])

    assert Ordered.of(y, p).precision_at_k(days, 2) == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_dollars_of_every_outcome() -> None:
    """Caught pays the amount less the review, missed and false alarm cost what the policy says."""
    measure = policy({"dollars": {"caught": "amount", "review": 15, "missed": "amount", "false_alarm": 2}}).measure
    y, d = np.array([1.0, 1, 0, 0]), np.array([1.0, 0, 1, 0])
    found = dollars(measure, y, d, {"amount": np.array([100.0, 50, 30, 20])}, "classification")

    np.testing.assert_array_equal(found, [85, -50, -17, 0])


def test_dollars_of_a_regression() -> None:
    """Too low costs `under` per unit, too high costs `over` per unit, columns or numbers."""
    measure = policy({"dollars": {"under": "price", "over": 1}}).measure
    found = dollars(measure, np.array([10.0, 10]), np.array([8.0, 13]), {"price": np.array([3.0, 3])}, "regression")

    np.testing.assert_array_equal(found, [-6, -3])


@pytest.mark.parametrize(
    ("gate", "challenge", "sentence"),
    [
        ({"f1_score": "> 1"}, {}, r"promotion.yaml:\d+: a rule on `f1_score`: unknown metric; known: "),
        ({"recal": "> 1"}, {}, "did you mean `recall`"),
        ({"net_benefits": "> 1"}, {}, "did you mean `net_benefit`"),
        ({}, {"roc_auc": "superior"}, r"promotion.yaml:\d+: `roc_auc` is not a sum"),
        ({}, {"net_benefit": {"not_worse_than": "5%"}}, "can be 0 or less"),
    ],
)
def test_rules_that_cannot_be_answered_name_their_line(gate: dict, challenge: dict, sentence: str) -> None:
    """An unknown metric has a suggestion; a ranking or a share of something signed cannot be a challenge rule."""
    settings_ = {k: CHALLENGE[k] for k in ("confidence", "looks")}
    rules = policy(None, gate or GATE, {**settings_, **(challenge or {"f1": "superior"})})

    with pytest.raises(PromotionError, match=sentence):
        check_policy(rules)


@pytest.mark.parametrize(
    ("gate", "task", "sentence"),
    [
        ({"f1": "> 1"}, "regression", "that is of classifiers, and the model answers as a regression does"),
        ({"roc_auc": "> 1"}, "regression", "that is of classifiers"),
        ({"rmse": "< 1"}, "classification", "that is of regressions, and the model is a classifier; rule on one of"),
    ],
)
def test_a_rule_for_the_other_task_says_so(gate: dict, task: str, sentence: str) -> None:
    """The metric is known; it is the model that is another than the policy expects."""
    with pytest.raises(PromotionError, match=sentence):
        check_policy(policy(None, gate, CHALLENGE), task)


def test_net_benefit_needs_dollars() -> None:
    """Without measure.dollars there is no net benefit, and the sentence says so."""
    with pytest.raises(PromotionError, match="no `dollars` in `measure`"):
        check_policy(policy({"dollars": None}))


def test_a_custom_metric_is_sums_and_a_formula() -> None:
    """A metric from promotion.yaml takes its sums by name and its direction from the policy."""
    raw = {
        "measure": {"test_days": 1, "delay_days": 0, "metrics": {"cost": {"formula": "cost / n", "better": "lower"}}},
        "gate": {"cost": "< 3"},
        "challenge": {"confidence": 0.95, "looks": 1, "cost": "superior"},
    }
    metric = metrics_of(policy_from_raw("m", raw, file="p"), "regression")["cost"]

    assert metric.sums == ("cost.cost", "cost.n")
    assert metric.value({"cost.cost": np.float64(6), "cost.n": np.float64(4)}) == 1.5
    assert metric.sign == -1


def test_a_formula_works_on_replicates_and_gives_nan_for_what_cannot_be_computed() -> None:
    """One call serves all replicates; 0 / 0 is NaN and no exception."""
    found = Formula("sqrt(se / n) - min(abs(a), 2) ** 2")({"se": np.array([4.0, 0]), "n": np.array([1.0, 0]), "a": -1})

    np.testing.assert_array_equal(found, [1.0, np.nan])


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "a.b", "a[0]", "lambda: 1", "a if b else c", "'x'", "a and b", "sqrt()", "exp(a)", "a //",
     "1", "a < b", "sqrt(a, k=1)", "a" * 600, "(" * 300 + "a" + ")" * 300, "True + a"],
)  # fmt: skip
def test_a_formula_is_arithmetic_and_nothing_else(text: str) -> None:
    """Calls, attributes, comparisons, text and depths that would hurt are refused in one sentence."""
    with pytest.raises(PromotionError, match="formula"):
        Formula(text)
