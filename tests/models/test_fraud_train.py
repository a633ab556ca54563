"""models/fraud-detector/train.py: what is fitted, and the threshold from the validation days alone."""

import warnings
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import yaml
from promotion.config.promotion_yaml import load as load_policy
from promotion.model import Rows, Spec
from promotion.sandbox.artifact import Allowed, read_artifact

from tests.support.artifacts import save
from tests.support.folder import FOLDERS, module

ESTIMATORS = {
    "logistic_regression": {},
    "decision_tree": {"max_depth": 2},
    "random_forest": {"n_estimators": 10},
    "hist_gradient_boosting": {"max_iter": 20},
}
SHIPPED = yaml.safe_load((FOLDERS / "fraud-detector" / "model.yaml").read_text())


@pytest.fixture(scope="module")
def train():
    """The module models/fraud-detector/train.py."""
    return module("fraud-detector", "train")


@pytest.fixture(scope="module")
def three_windows() -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows of a small simulation: 20, 15 and 15 days."""
    data = module("fraud-detector", "data")
    made = data.add_features(data.simulate(customers=150, terminals=150, days=90, radius=20.0))
    day = made["second"] // 86_400
    return tuple(data.rows(made[(day >= first) & (day < end)]) for first, end in pairwise((40, 60, 75, 90)))


def spec(**parameters) -> Spec:
    """A spec with these parameters."""
    return Spec(as_of=date(2018, 8, 15), train_days=7, validation_days=7, seed=0, parameters=parameters)


def net_benefit(flagged: np.ndarray, rows: Rows, review: float = 15) -> float:
    """Dollars caught less dollars of review."""
    return float((flagged * (rows.y * rows.columns["amount"].to_numpy() - review)).sum())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_saved_model_answers_as_the_fitted_one_did(train, three_windows, estimator: str, tmp_path) -> None:
    """Saved with skops and no types but those of promotion.yaml, it gives the same decisions and scores."""
    import mlflow.sklearn

    fitting, validation, test = three_windows
    model = train.fit(fitting, validation, spec(estimator=estimator, settings=ESTIMATORS[estimator]))
    save(model, tmp_path / "model", rows=test.X)
    policy = load_policy(FOLDERS.parent / "promotion.yaml").models["fraud-detector"].policy
    read_artifact(tmp_path / "model", Allowed(types=frozenset(policy.trusted_types)))
    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))

    np.testing.assert_array_equal(model.predict(test.X), loaded.predict(test.X))
    np.testing.assert_array_equal(model.predict_proba(test.X), loaded.predict_proba(test.X))
    decided = model.predict_proba(test.X)[:, 1] >= model.threshold
    np.testing.assert_array_equal(decided.astype(int), loaded.predict(test.X))
    assert 0 < decided.sum() < len(decided)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fitting_twice_gives_the_same_scores(train, three_windows, estimator: str) -> None:
    """The same rows and seed give the same scores, to the last bit."""
    fitting, validation, test = three_windows
    wanted = spec(estimator=estimator, settings=ESTIMATORS[estimator])
    one, two = (train.fit(fitting, validation, wanted).predict_proba(test.X) for _ in range(2))

    np.testing.assert_array_equal(one, two)


def test_no_other_threshold_earns_more_on_the_validation_days(train, three_windows) -> None:
    """The chosen threshold has the highest net benefit of all distinct scores, tried one by one."""
    fitting, validation, _ = three_windows
    model = train.fit(fitting, validation, spec(estimator="logistic_regression", review_cost=20))
    score = model.predict_proba(validation.X)[:, 1]
    best = max(net_benefit(score >= cut, validation, 20) for cut in np.unique(score))

    assert net_benefit(model.predict(validation.X), validation, 20) == pytest.approx(best)


def test_the_threshold_comes_from_the_validation_rows(train, three_windows) -> None:
    """Other labels in validation move the threshold and leave the scores; no test row can reach fit."""
    fitting, validation, test = three_windows
    dear = replace(validation, columns=validation.columns.assign(amount=validation.columns["amount"] * 30))
    one, two = (train.fit(fitting, rows, spec(estimator="logistic_regression")) for rows in (validation, dear))

    np.testing.assert_array_equal(one.predict_proba(test.X), two.predict_proba(test.X))
    assert two.threshold < one.threshold


def test_of_equal_thresholds_the_one_with_fewest_reviews_is_taken(train) -> None:
    """A payment worth exactly its review is not reviewed, and equal scores stay together."""
    score, y = np.array([0.9, 0.5, 0.5, 0.2]), np.array([1, 1, 0, 0])

    assert train.best_threshold(score, y, np.array([100.0, 30.0, 9.0, 9.0]), review_cost=15) == pytest.approx(0.7)
    assert train.best_threshold(score, y, np.array([100.0, 31.0, 9.0, 9.0]), review_cost=15) == pytest.approx(0.35)


def test_where_no_review_pays_nothing_is_reviewed(train) -> None:
    """With every fraud cheaper than a review the threshold is one that no probability reaches."""
    cut = train.best_threshold(np.array([1.0, 0.5]), np.array([1, 0]), np.array([10.0, 10.0]), review_cost=15)

    assert cut > 1.0


def test_f1_as_objective_finds_the_best_f1(train, three_windows) -> None:
    """`threshold: f1` gives the highest F1 of all distinct scores."""
    from sklearn.metrics import f1_score

    fitting, validation, _ = three_windows
    model = train.fit(fitting, validation, spec(estimator="decision_tree", settings={"max_depth": 6}, threshold="f1"))
    score = model.predict_proba(validation.X)[:, 1]
    best = max(f1_score(validation.y, score >= cut) for cut in np.unique(score))

    assert f1_score(validation.y, model.predict(validation.X)) == pytest.approx(best)


def test_chosen_features_are_the_only_ones_that_count(train, three_windows) -> None:
    """A model of two features takes all of them as input, and the others change nothing."""
    fitting, validation, test = three_windows
    model = train.fit(fitting, validation, spec(estimator="decision_tree", features=["night", "amount"]))
    others = [column for column in test.X if column not in ("night", "amount")]

    np.testing.assert_array_equal(
        model.predict_proba(test.X), model.predict_proba(test.X.assign(**dict.fromkeys(others, 7.0)))
    )


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "estimator must be one of"),
        ({"estimator": "svm"}, "estimator must be one of logistic_regression"),
        ({"estimator": "decision_tree", "depth": 2}, "unknown parameter depth; known: estimator"),
        ({"estimator": "decision_tree", "settings": {"depth": 2}}, "settings may have, for decision_tree: .*max_depth"),
        ({"estimator": "decision_tree", "settings": 2}, "settings must be names and values"),
        ({"estimator": "decision_tree", "features": ["amuont"]}, "unknown feature amuont"),
        ({"estimator": "decision_tree", "features": []}, "one or more different features"),
        ({"estimator": "decision_tree", "threshold": 1.5}, "between 0 and 1"),
        ({"estimator": "decision_tree", "threshold": True}, "between 0 and 1"),
        ({"estimator": "decision_tree", "review_cost": -1}, "dollars, 0 or more"),
        ({"estimator": "decision_tree", "review_cost": float("nan")}, "dollars, 0 or more"),
    ],
)
def test_parameters_that_mean_nothing_are_one_sentence(train, three_windows, parameters: dict, sentence: str) -> None:
    """A wrong name, value or type in model.yaml's parameters is refused with what is allowed."""
    fitting, validation, _ = three_windows
    with pytest.raises(ValueError, match=sentence) as caught:
        train.fit(fitting, validation, spec(**parameters))

    assert "\n" not in str(caught.value)


def spoil(rows: Rows, how: str) -> Rows:
    """The rows with one thing wrong."""
    if how == "one class":
        return replace(rows, y=np.zeros_like(rows.y))
    if how == "no rows":
        return Rows(rows.X[:0], rows.y[:0], rows.keys[:0], rows.columns[:0])
    if how == "NaN label":
        return replace(rows, y=np.where(np.arange(len(rows.y)) == 3, np.nan, rows.y))
    if how == "infinite feature":
        return replace(rows, X=rows.X.assign(amount=np.inf))
    return replace(rows, columns=rows.columns.assign(amount=np.nan))


@pytest.mark.parametrize("which", ["training", "validation"])
@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("one class", "has only genuine payments; it needs both"),
        ("no rows", "has no rows"),
        ("NaN label", "has labels that are neither 0 nor 1"),
        ("infinite feature", "has values in amount that are missing or infinite"),
        ("NaN money", "has values in amount that are missing or infinite"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_one_sentence(
    train, three_windows, which: str, how: str, sentence: str
) -> None:
    """One class, no rows, and values that are not finite are refused by the name of their window."""
    fitting, validation, _ = three_windows
    windows = {"training": fitting, "validation": validation}
    windows[which] = spoil(windows[which], how)
    with pytest.raises(ValueError, match=f"the {which} window {sentence}"):
        train.fit(windows["training"], windows["validation"], spec(estimator="decision_tree"))


def test_the_shipped_model_yaml_is_a_logistic_regression_that_fits(train, three_windows) -> None:
    """What model.yaml says is understood, fits without a warning, and its comments name the real dates."""
    fitting, validation, _ = three_windows
    given = Spec(
        seed=SHIPPED["seed"], **{k: SHIPPED[k] for k in ("as_of", "train_days", "validation_days", "parameters")}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train.fit(fitting, validation, given)

    assert type(model.estimator.estimator[-1]).__name__ == "LogisticRegression"
    assert date(2018, 8, 15) == given.as_of


def test_card_precision_counts_a_found_card_once() -> None:
    """A card found on the first day is not reviewed again on the second."""
    baseline = module_with_siblings("baseline")
    columns = pd.DataFrame({"day": [1, 1, 2, 2], "customer_id": [7, 8, 7, 8]})
    precision = baseline.card_precision(np.array([0.9, 0.1, 0.9, 0.1]), np.array([1, 0, 1, 1]), columns, top=1)

    assert precision == 1.0  # card 7 on day 1, and on day 2 card 8, as 7 is known


def module_with_siblings(name: str):
    """A module of models/fraud-detector that imports its siblings, loaded without leaving them behind."""
    import sys

    folder = str(FOLDERS / "fraud-detector")
    before = {key: sys.modules.get(key) for key in ("data", "train")}
    sys.path.insert(0, folder)
    try:
        return module("fraud-detector", name)
    finally:
        sys.path.remove(folder)
        for key, value in before.items():
            if value is None:
                sys.modules.pop(key, None)
            else:
                sys.modules[key] = value


@pytest.mark.slow
def test_the_handbooks_table_is_repeated() -> None:
    """Each figure of the baseline table lies within 0.01 of the published one; takes 24 s."""
    baseline = module_with_siblings("baseline")
    for name, figures in baseline.measured():
        assert figures == pytest.approx(baseline.PUBLISHED[name], abs=0.01), name
