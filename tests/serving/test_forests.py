"""Forests are asked tree by tree where that was shown to give the same bits, and as scikit-learn does elsewhere."""

import json

import numpy as np
import pytest
from promotion.sandbox.proof import MOST_ROWS
from promotion.serving.forests import ask_tree_by_tree
from promotion.serving.scoring import JSON, Request
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tests.support.serving_world import COLUMNS, ROWS, Client, Models, save_module, serving, started, wait_for

THREE = np.array(["low", "middle", "high"])[np.digitize(ROWS.a + ROWS.b * ROWS.c, [-0.5, 0.5])]
VALUE = ROWS.a * 0.3 + ROWS.b / 7
METHODS = {
    RandomForestClassifier: "predict_proba",
    ExtraTreesClassifier: "predict_proba",
    RandomForestRegressor: "predict",
    ExtraTreesRegressor: "predict",
}
TRUSTED = [
    "sklearn.tree._tree.Tree",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
]
WORKER = """
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier

class Told(BaseEstimator):
    def predict(self, X):
        return np.full(len(X), RandomForestClassifier.predict_proba.__module__ + hasattr(
            RandomForestClassifier.predict_proba, "__wrapped__") * ", short")
"""


class Weighted(RandomForestClassifier):
    """A forest of one's own, whose trees count differently."""

    def predict_proba(self, X):
        """As its parent, but for rows with a large `a`."""
        return np.where(np.asarray(X)[:, :1] > 1, [[0.0, 0.0, 1.0]], super().predict_proba(X))


class Pruned(DecisionTreeClassifier):
    """A tree that answers something else than its nodes say."""

    def predict_proba(self, X, check_input=True):
        """The same for all."""
        return np.full((len(X), 3), 1 / 3)


@pytest.fixture
def short(monkeypatch):
    """Forests are asked tree by tree, in this test alone."""
    for kind, name in METHODS.items():
        monkeypatch.setattr(kind, name, getattr(kind, name))
    ask_tree_by_tree()


def fitted(kind, answer):
    """A small forest."""
    return kind(20, max_depth=6, random_state=0).fit(ROWS, answer)


def asked_joblib(forest):
    """Whether it still asks joblib, which refuses this number of jobs."""
    forest.set_params(n_jobs="none")
    try:
        forest.predict(ROWS)
    except TypeError:
        return True
    finally:
        forest.set_params(n_jobs=None)
    return False


@pytest.mark.parametrize("kind", METHODS)
def test_from_64_equal_rows_on_the_trees_answer_with_the_same_bits(kind, short):
    """Alone, together and with a missing value; until then each answer is scikit-learn's own."""
    name = METHODS[kind]
    forest = fitted(kind, VALUE if "Regressor" in kind.__name__ else THREE)
    own, now = getattr(kind, name).__wrapped__, getattr(forest, name)
    missing = ROWS.head(3).mask(np.eye(3, dtype=bool))
    rows = [ROWS, ROWS.to_numpy(), missing, *(ROWS.iloc[[i]] for i in range(30))]

    for start in range(0, MOST_ROWS, 8):
        assert asked_joblib(forest)
        now(ROWS[start : start + 8])
    assert not asked_joblib(forest)
    assert [now(one).tobytes() for one in rows] == [own(forest, one).tobytes() for one in rows]
    with pytest.raises(ValueError, match="expecting 3 features"):
        now(ROWS.to_numpy()[:, :2])


@pytest.mark.parametrize(
    "forest",
    [
        Weighted(10, random_state=0).fit(ROWS, THREE),
        RandomForestClassifier(10, random_state=0).fit(ROWS, np.stack([THREE, ROWS.a > 0], axis=1)),
        RandomForestRegressor(10, random_state=0).fit(ROWS, np.stack([VALUE, ROWS.a], axis=1)),
    ],
    ids=["a class of one's own", "several answers", "several values"],
)
def test_what_was_not_shown_is_asked_as_before(forest, short):
    """However many rows came."""
    name = METHODS[RandomForestRegressor if "Regressor" in type(forest).__name__ else RandomForestClassifier]
    before = [np.asarray(answer) for answer in getattr(forest, name)(ROWS)]

    for _ in range(3):
        again = [np.asarray(answer) for answer in getattr(forest, name)(ROWS)]
        assert all(map(np.array_equal, before, again))
    assert asked_joblib(forest)


def test_a_tree_that_answers_otherwise_keeps_the_forest_as_it_is(short):
    """One different bit is enough, also after many equal ones."""
    forest = fitted(RandomForestClassifier, THREE)
    forest.predict(ROWS.head(MOST_ROWS - 1))
    forest.estimators_[7].__class__ = Pruned

    forest.predict(ROWS)
    assert asked_joblib(forest)
    forest.predict(ROWS)
    assert asked_joblib(forest)


@pytest.mark.parametrize(
    ("model", "inside"),
    [
        (make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)), lambda model: model[-1]),
        (
            CalibratedClassifierCV(RandomForestClassifier(20, random_state=0), cv=2, ensemble=False),
            lambda model: model.calibrated_classifiers_[0].estimator,
        ),
    ],
    ids=["pipeline", "calibration"],
)
def test_a_loaded_model_with_a_forest_inside_answers_as_it_was_saved(model, inside, short, tmp_path):
    """The proof at load shows it; requests, singly and together, get the text that pyfunc gives."""
    models = Models(tmp_path)
    saved = models.save(model.fit(ROWS, ROWS.a > ROWS.b), example=ROWS.head(70), skops_trusted_types=TRUSTED)
    models.promote("m", models.register("m", saved))
    scorer, _ = models.loaded("m", 1)
    forest = inside(scorer.model.get_raw_model())
    expected = [json.dumps({"predictions": [bool(answer)]}) for answer in model.predict(ROWS)]

    assert not asked_joblib(forest)
    body = [json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [row]}}) for row in ROWS.to_numpy().tolist()]
    requests = [Request(one.encode(), JSON) for one in body]
    assert [scorer.answers([request])[0].text for request in requests] == expected
    assert [answer.text for answer in scorer.answers(requests)] == expected


def test_a_servers_workers_ask_them_so(tmp_path):
    """Seen by a model that says what its process has."""
    models = Models(tmp_path)
    models.promote("m", models.register("m", save_module(models, tmp_path / "code", "told", WORKER, "Told")))

    with started(models, "m", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))
        assert "short" in Client(url).ask()[2]
