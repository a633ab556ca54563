"""Fit a fraud model, and choose the score from which on a payment is reviewed.

The saved model is plain scikit-learn: `predict` is the 0/1 decision that is served, `predict_proba`
the score behind it. `model.yaml` says what is fitted; its comments explain the parameters.
"""

from typing import Any

import numpy as np
from promotion.model import Rows, Spec
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

ESTIMATORS = {
    "logistic_regression": LogisticRegression,
    "decision_tree": DecisionTreeClassifier,
    "random_forest": RandomForestClassifier,
    "hist_gradient_boosting": HistGradientBoostingClassifier,
}
OBJECTIVES = ("net_benefit", "f1")
PARAMETERS = ("estimator", "settings", "features", "threshold", "review_cost")
NEVER = float(np.nextafter(1.0, 2.0))  # a threshold that no probability reaches


def fit(train: Rows, validation: Rows, spec: Spec) -> FixedThresholdClassifier:
    """Return the model of `spec.parameters`: fitted on `train`, its threshold chosen on `validation`.

    Raises ValueError with one sentence where the rows or the parameters cannot give a model.
    """
    known = list(train.X.columns)
    parameters = checked(spec.parameters, known)
    for name, rows in (("training", train), ("validation", validation)):
        check_rows(rows, name)
    scorer = pipeline(parameters, known, spec.seed)
    scorer.fit(train.X, train.y)
    if "n_jobs" in scorer[-1].get_params():
        scorer[-1].set_params(n_jobs=1)  # threads would add the trees' votes in another order each time
    threshold = parameters["threshold"]
    if threshold in OBJECTIVES:
        threshold = best_threshold(
            scorer.predict_proba(validation.X)[:, 1],
            validation.y,
            validation.columns["amount"].to_numpy(),
            objective=threshold,
            review_cost=parameters["review_cost"],
        )
    model = FixedThresholdClassifier(FrozenEstimator(scorer), threshold=threshold, response_method="predict_proba")
    return model.fit(train.X, train.y)  # fits nothing: the scorer is frozen


def best_threshold(
    score: np.ndarray, y: np.ndarray, amount: np.ndarray, *, objective: str = "net_benefit", review_cost: float = 15
) -> float:
    """Return the threshold on `score` with the highest objective; of equals the one with fewest reviews.

    score, y, amount: (n,) probability, 0/1 label, dollars. `net_benefit` is the sum over reviewed rows
    (score >= threshold) of y * amount - review_cost, in dollars. The threshold lies halfway to the next
    lower score, so that a rounding error moves no row; NEVER where no review pays.
    """
    order = np.argsort(-score, kind="stable")
    ranked, caught = score[order], y[order]
    reviews = np.arange(1, len(ranked) + 1)
    if objective == "net_benefit":
        value = np.cumsum(caught * amount[order]) - review_cost * reviews
    else:
        value = 2 * np.cumsum(caught) / (reviews + caught.sum())
    whole = np.append(ranked[1:] < ranked[:-1], True)  # rows of one score are reviewed together or not at all
    best = int(np.argmax(np.where(whole, value, -np.inf)))
    if value[best] <= 0:
        return NEVER
    return float(ranked[best] if best + 1 == len(ranked) else (ranked[best] + ranked[best + 1]) / 2)


def pipeline(parameters: dict[str, Any], known: list[str], seed: int) -> Pipeline:
    """Return the unfitted scorer. It takes all known features, so choosing some does not change its signature."""
    name, features = parameters["estimator"], parameters["features"]
    settings = {"random_state": seed, **parameters["settings"]}
    if name == "random_forest":
        settings.setdefault("n_jobs", 2)
    try:
        estimator = ESTIMATORS[name](**settings)
    except TypeError:
        allowed = ", ".join(sorted(ESTIMATORS[name]().get_params()))
        raise ValueError(f"model.yaml: parameters.settings may have, for {name}: {allowed}") from None
    steps: list[tuple[str, Any]] = []
    if features != known:
        steps.append(("features", ColumnTransformer([("chosen", "passthrough", features)])))
    if name == "logistic_regression":
        steps.append(("scale", StandardScaler()))
    return Pipeline([*steps, ("estimator", estimator)])


def checked(given: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """Return the parameters with their defaults filled in; raise ValueError at what is not understood."""
    unknown = sorted(set(given) - set(PARAMETERS))
    if unknown:
        raise ValueError(f"model.yaml: unknown parameter {unknown[0]}; known: {', '.join(PARAMETERS)}")
    parameters = {"settings": {}, "features": known, "threshold": "net_benefit", "review_cost": 15, **given}
    if parameters.get("estimator") not in ESTIMATORS:
        raise ValueError(f"model.yaml: parameters.estimator must be one of {', '.join(ESTIMATORS)}")
    if not isinstance(parameters["settings"], dict):
        raise ValueError("model.yaml: parameters.settings must be names and values")
    features = parameters["features"]
    if not isinstance(features, list) or not features or len(set(features)) != len(features):
        raise ValueError("model.yaml: parameters.features must be a list of one or more different features")
    strangers = [feature for feature in features if feature not in known]
    if strangers:
        raise ValueError(f"model.yaml: unknown feature {strangers[0]}; data.py gives {', '.join(known)}")
    threshold, cost = parameters["threshold"], parameters["review_cost"]
    if threshold not in OBJECTIVES and not (is_number(threshold) and 0 < threshold < 1):
        raise ValueError(f"model.yaml: parameters.threshold must be {' or '.join(OBJECTIVES)} or lie between 0 and 1")
    if not is_number(cost) or not 0 <= cost < np.inf:
        raise ValueError("model.yaml: parameters.review_cost must be dollars, 0 or more")
    return parameters


def is_number(value: object) -> bool:
    """Say whether `value` is a number; YAML's true is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_rows(rows: Rows, name: str) -> None:
    """Raise ValueError where a window's rows cannot be learned from or chosen on."""
    if not len(rows.y):
        raise ValueError(f"the {name} window has no rows")
    if not np.isin(rows.y, (0, 1)).all():
        raise ValueError(f"the {name} window has labels that are neither 0 nor 1")
    if len(np.unique(rows.y)) < 2:
        raise ValueError(f"the {name} window has only {'frauds' if rows.y[0] else 'genuine payments'}; it needs both")
    for part in (rows.X, rows.columns[["amount"]]):
        finite = np.isfinite(part.to_numpy(dtype=float)).all(axis=0)
        if not finite.all():
            column = part.columns[int(np.argmin(finite))]
            raise ValueError(f"the {name} window has values in {column} that are missing or infinite")
