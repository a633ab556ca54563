"""Fit a logistic regression on the features that model.yaml names."""

from promotion.model import Rows, Spec
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline


def fit(train: Rows, validation: Rows, spec: Spec) -> FixedThresholdClassifier:
    """Return a fitted classifier with a fixed threshold."""
    chosen = ColumnTransformer([("chosen", "passthrough", spec.parameters["features"])])
    scorer = make_pipeline(chosen, LogisticRegression()).fit(train.X, train.y)
    return FixedThresholdClassifier(FrozenEstimator(scorer), threshold=spec.parameters["threshold"]).fit(
        train.X, train.y
    )
