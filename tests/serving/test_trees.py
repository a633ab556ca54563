"""Trees are walked at once where that was shown to give the same bits, and asked as scikit-learn does elsewhere."""

import json
from unittest import mock

import numpy as np
import pytest
from promotion.sandbox.proof import MOST_ROWS
from promotion.serving import trees
from promotion.serving.scoring import JSON, Request
from promotion.serving.trees import Walk, walk_trees_at_once
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tests.support.serving_world import (
    BOOSTER_TYPES,
    COLUMNS,
    ROWS,
    Client,
    Models,
    save_module,
    serving,
    started,
    wait_for,
)

THREE = np.array(["low", "middle", "high"])[np.digitize(ROWS.a + ROWS.b * ROWS.c, [-0.5, 0.5])]
VALUE = ROWS.a * 0.3 + ROWS.b / 7
METHODS = {
    RandomForestClassifier: "predict_proba",
    ExtraTreesClassifier: "predict_proba",
    RandomForestRegressor: "predict",
    ExtraTreesRegressor: "predict",
    HistGradientBoostingClassifier: "predict_proba",
    HistGradientBoostingRegressor: "predict",
}
TRUSTED = [
    "sklearn.tree._tree.Tree",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    *BOOSTER_TYPES,
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
    """Trees are walked at once, in this test alone."""
    for kind, name in METHODS.items():
        for one in (name, "_predict_iterations"):
            if hasattr(kind, one):
                monkeypatch.setattr(kind, one, getattr(kind, one))
    walk_trees_at_once()


def fitted(kind, answer):
    """A small model of twenty trees."""
    trees = {"max_iter": 20, "max_leaf_nodes": 6} if "Hist" in kind.__name__ else {"n_estimators": 20}
    return kind(**trees, max_depth=6, random_state=0).fit(ROWS, answer)


def answer_of(kind):
    """What a model of this kind is fitted to."""
    return VALUE if "Regressor" in kind.__name__ else THREE


def plain(kind, answer):
    """The same model, of another process so to speak, whose trees are asked as scikit-learn does."""
    model = fitted(kind, answer)
    trees._seen[model] = trees.Seen(rows=-np.inf)
    return model


def asked_own(model, rows=ROWS):
    """Whether scikit-learn's own loop is asked for these rows, which tells by raising."""
    if "Hist" in type(model).__name__:
        with mock.patch.object(TreePredictor, "predict", side_effect=TypeError):
            return _raised(model, rows)
    model.set_params(n_jobs="none")  # which joblib refuses
    try:
        return _raised(model, rows)
    finally:
        model.set_params(n_jobs=None)


def _raised(model, rows):
    try:
        model.predict(rows)
    except TypeError:
        return True
    return False


def walked(model, rows):
    """Whether these rows walk all trees at once."""
    with mock.patch.object(Walk, "values", side_effect=TypeError):
        return _raised(model, rows)


@pytest.mark.parametrize("kind", METHODS)
def test_from_64_equal_rows_on_the_trees_answer_with_the_same_bits(kind, short):
    """Alone, together and with missing and infinite values; until then each answer is scikit-learn's own."""
    name, answer = METHODS[kind], answer_of(kind)
    model = fitted(kind, answer)
    own, now = getattr(plain(kind, answer), name), getattr(model, name)
    missing = ROWS.head(3).mask(np.eye(3, dtype=bool))
    rows = [ROWS, ROWS.to_numpy(), missing, np.asfortranarray(ROWS)[5:9], *(ROWS.iloc[[i]] for i in range(30))]
    rows += [missing.iloc[[i]] for i in range(3)]
    rows += [missing.fillna(np.inf)] * ("Hist" in kind.__name__)  # forests refuse it

    for start in range(0, MOST_ROWS, 8):
        assert asked_own(model)
        now(ROWS[start : start + 8])
    assert not asked_own(model, ROWS.head(1))
    assert walked(model, ROWS.head(1))
    assert walked(model, missing)
    assert [now(one).tobytes() for one in rows] == [own(one).tobytes() for one in rows]
    with pytest.raises(ValueError, match="expecting 3 features"):
        now(ROWS.to_numpy()[:, :2])


@pytest.mark.parametrize("kind", METHODS)
def test_rows_for_which_a_walk_takes_longer_are_asked_tree_by_tree(kind, short):
    """Each step is taken for all rows and trees; two hundred rows of twenty trees are too many."""
    model = fitted(kind, answer_of(kind))
    model.predict(ROWS)

    assert walked(model, ROWS.head(1))
    assert not walked(model, ROWS)


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_a_sum_of_negative_zeros_has_the_sign_that_scikit_learn_gives(kind, short):
    """Its sum begins with zero, while a leaf's median may be -0.0."""
    model = kind(20, criterion="absolute_error").fit(ROWS, np.full(len(ROWS), -0.0))
    own = model.predict(ROWS.head(1))
    model.predict(ROWS)

    assert np.signbit(model.estimators_[0].tree_.value).all()
    assert walked(model, ROWS.head(1))
    assert model.predict(ROWS.head(1)).tobytes() == own.tobytes()


def test_missing_values_go_where_the_split_says(short):
    """To the right as to the left; a row without any goes by its values alone."""
    rows = ROWS.mask(np.random.default_rng(1).random(ROWS.shape) < 0.3)
    for kind in METHODS:
        name, answer = METHODS[kind], answer_of(kind)
        model, own = fitted(kind, answer).fit(rows, answer), plain(kind, answer).fit(rows, answer)
        getattr(model, name)(rows)

        assert walked(model, rows.head(1))
        for i in range(40):
            assert getattr(model, name)(rows[i : i + 1]).tobytes() == getattr(own, name)(rows[i : i + 1]).tobytes()


def test_a_booster_that_splits_by_category_is_asked_as_before(short):
    """Its trees have sets of categories, which no comparison answers."""
    rows = ROWS.assign(c=np.arange(len(ROWS)) % 5)
    booster = HistGradientBoostingClassifier(max_iter=20, max_depth=3, categorical_features=["c"])
    booster.fit(rows, (rows.c % 2 == 0) ^ (rows.a > 0))
    before = booster.predict_proba(rows)

    assert asked_own(booster, rows.head(1))
    assert booster.predict_proba(rows).tobytes() == before.tobytes()


def test_a_model_of_more_nodes_than_are_copied_keeps_its_trees(short, monkeypatch):
    """A forest is asked tree by tree without joblib then, a booster as before."""
    monkeypatch.setattr(trees, "MOST_NODES", 100)
    forest, booster = (fitted(kind, THREE) for kind in (RandomForestClassifier, HistGradientBoostingClassifier))
    before = [model.predict_proba(ROWS).tobytes() for model in (forest, booster)]

    assert not walked(forest, ROWS.head(1))
    assert not asked_own(forest, ROWS.head(1))
    assert asked_own(booster, ROWS.head(1))
    assert [model.predict_proba(ROWS).tobytes() for model in (forest, booster)] == before


def test_a_model_that_is_fitted_again_answers_with_its_new_trees(short):
    """Also one that goes on with those it has."""
    for kind in METHODS:
        name, answer = METHODS[kind], answer_of(kind)
        more = {"max_iter": 30} if "Hist" in kind.__name__ else {"n_estimators": 30}
        model, own = fitted(kind, answer).set_params(warm_start=True), plain(kind, answer).set_params(warm_start=True)
        getattr(model, name)(ROWS)
        for one in (model, own):
            one.set_params(**more).fit(ROWS, answer)

        assert walked(model, ROWS.head(1))
        assert getattr(model, name)(ROWS.head(1)).tobytes() == getattr(own, name)(ROWS.head(1)).tobytes()


def test_a_booster_tells_its_stages_as_before(short):
    """They are sums of some of its trees."""
    model, own = (make(HistGradientBoostingRegressor, VALUE) for make in (fitted, plain))
    model.predict(ROWS)

    stages = [stage.tobytes() for stage in model.staged_predict(ROWS.head(2))]
    assert stages == [stage.tobytes() for stage in own.staged_predict(ROWS.head(2))]
    assert len(set(stages)) == 20


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
    assert asked_own(forest, ROWS.head(1))


def test_a_tree_that_answers_otherwise_keeps_the_forest_as_it_is(short):
    """One different bit is enough, also after many equal ones."""
    forest = fitted(RandomForestClassifier, THREE)
    forest.predict(ROWS.head(MOST_ROWS - 1))
    forest.estimators_[7].__class__ = Pruned

    forest.predict(ROWS)
    assert asked_own(forest, ROWS.head(1))
    forest.predict(ROWS)
    assert asked_own(forest, ROWS.head(1))


@pytest.mark.parametrize(
    ("model", "inside"),
    [
        (make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)), lambda model: model[-1]),
        (
            CalibratedClassifierCV(RandomForestClassifier(20, random_state=0), cv=2, ensemble=False),
            lambda model: model.calibrated_classifiers_[0].estimator,
        ),
        (
            make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=20, max_depth=4)),
            lambda model: model[-1],
        ),
    ],
    ids=["pipeline", "calibration", "booster"],
)
def test_a_loaded_model_with_trees_inside_answers_as_it_was_saved(model, inside, short, tmp_path):
    """The proof at load shows it; requests, singly and together, get the text that pyfunc gives."""
    models = Models(tmp_path)
    saved = models.save(model.fit(ROWS, ROWS.a > ROWS.b), example=ROWS.head(70), skops_trusted_types=TRUSTED)
    models.promote("m", models.register("m", saved))
    scorer, _ = models.loaded("m", 1)
    trees_inside = inside(scorer.model.get_raw_model())
    expected = [json.dumps({"predictions": [bool(answer)]}) for answer in model.predict(ROWS)]

    assert walked(trees_inside, ROWS.head(1).to_numpy())
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
