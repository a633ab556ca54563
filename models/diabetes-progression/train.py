"""Fit a regression of the disease's progression; `model.yaml` says which."""

from typing import Any

import numpy as np
from promotion.model import Rows, Spec
from sklearn.base import RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import QuantileRegressor, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

ESTIMATORS = {
    "ridge": Ridge,
    "quantile_regression": QuantileRegressor,
    "gradient_boosting": HistGradientBoostingRegressor,
}
PARAMETERS = ("estimator", "settings", "features")


def fit(train: Rows, validation: Rows, spec: Spec) -> RegressorMixin:
    """Return the model of `spec.parameters`, fitted on `train`.

    Where `settings` is a list, each is fitted, and the one with the lowest mean absolute error on
    `validation` is kept. Raises ValueError with one sentence where the rows or the parameters cannot
    give a model.
    """
    unknown = sorted(set(spec.parameters) - set(PARAMETERS))
    if unknown:
        raise ValueError(f"model.yaml: unknown parameter {unknown[0]}; known: {', '.join(PARAMETERS)}")
    for name, rows in (("training", train), ("validation", validation)):
        if not len(rows.y) or not np.isfinite(rows.y).all() or not np.isfinite(rows.X.to_numpy(dtype=float)).all():
            raise ValueError(f"the {name} window has no rows, or values that are missing or infinite")
    known = list(train.X.columns)
    features = spec.parameters.get("features", known)
    if not isinstance(features, list) or not features or not set(features) <= set(known):
        raise ValueError(f"model.yaml: parameters.features must be a list of some of {', '.join(known)}")
    settings = spec.parameters.get("settings", {})
    choices = settings if isinstance(settings, list) else [settings]
    if not choices:
        raise ValueError("model.yaml: parameters.settings is an empty list, so there is nothing to choose from")
    models = [pipeline(spec.parameters.get("estimator"), choice, features, spec.seed) for choice in choices]
    errors = []
    for model in models:
        model.fit(train.X, train.y)
        errors.append(np.abs(model.predict(validation.X) - validation.y).mean())
    return models[int(np.argmin(errors))]


def pipeline(name: str | None, settings: dict[str, Any], features: list[str], seed: int) -> Pipeline:
    """Return the unfitted model: the chosen features, scaled, and the estimator."""
    if name not in ESTIMATORS:
        raise ValueError(f"model.yaml: parameters.estimator must be one of {', '.join(ESTIMATORS)}")
    allowed = ESTIMATORS[name]().get_params()
    seeded = {"random_state": seed} if "random_state" in allowed else {}
    if not isinstance(settings, dict) or not set(settings) <= set(allowed):
        raise ValueError(f"model.yaml: parameters.settings may have, for {name}: {', '.join(sorted(allowed))}")
    return Pipeline(
        [
            ("features", ColumnTransformer([("chosen", "passthrough", features)])),
            ("scale", StandardScaler()),
            ("estimator", ESTIMATORS[name](**seeded, **settings)),
        ]
    )
