"""The saved folder answers by itself, as the server will ask it: what is judged is that, or the model has failed."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from promotion.errors import PromotionError
from promotion.sandbox.answer import Complaint, columns_of, need_numbers, table

from tests.support.artifacts import NO_SOURCE, X, answers_of, complaint_about, logistic, save, y
from tests.support.attacks import attack

AUTHOR = "an author, in good faith"


def test_decisions_are_predict_and_scores_the_probability_behind_them(tmp_path: Path) -> None:
    """Both come from the one object that was loaded from the folder."""
    model = logistic()
    found = answers_of(save(model, tmp_path / "model"), tmp_path)

    assert (found["decision"].to_numpy() == model.predict(X)).all()
    assert found["score"].to_numpy() == pytest.approx(model.predict_proba(X)[:, 1], rel=1e-12)


def test_a_regression_has_predictions_alone(tmp_path: Path) -> None:
    """No decision is made up."""
    from sklearn.linear_model import Ridge

    model = Ridge().fit(X, X.a * 2)

    assert complaint_about(save(model, tmp_path / "model"), tmp_path) is None
    found = pd.read_parquet(tmp_path / "answers")
    assert list(found) == ["score"]
    assert found["score"].to_numpy() == pytest.approx(model.predict(X), rel=1e-9)


@pytest.fixture(autouse=True)
def as_outside_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the answering process says to the model about where it is, ends with the test."""
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")


def neighbours() -> Any:
    """A pipeline that scales each request by its own rows."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, minmax_scale

    return make_pipeline(FunctionTransformer(minmax_scale), Ridge()).fit(X, X.a)


def chance() -> Any:
    """A classifier that draws its answers."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="stratified").fit(X, y)


def words() -> Any:
    """A classifier whose classes are words."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(X, np.where(y, "fraud", "fine"))


def three() -> Any:
    """A classifier of three classes."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(X, np.digitize(X.a, [-0.5, 0.5]))


def nothing() -> Any:
    """A regression that answers NaN."""
    from sklearn.linear_model import Ridge

    model = Ridge().fit(X, X.a)
    model.coef_[:] = np.nan
    return model


@attack(AUTHOR, "promoted: the whole table was judged, and single requests were answered otherwise, or not at all")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (neighbours, "differs from what is judged: its answer to a row depends on the other rows"),
        (chance, "differs from what is judged|asked again"),
        (words, "decisions must be 0 or 1"),
        (three, "the shape .*has the classes 0 and 1"),
        (nothing, "missing or infinite"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_would_serve_something_else_has_failed(
    make: Any, said: str, tmp_path: Path, happened: Callable[[str], None]
) -> None:
    """Its answer to a row depends on the other rows, on chance, or is nothing that can be judged."""
    found = complaint_about(save(make(), tmp_path / "model"), tmp_path)

    assert found is not None and re.search(said, found)
    happened(found)


@attack(AUTHOR, "promoted, and no server could load it")
def test_a_model_that_needs_its_source_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is of a class that was importable in training and is in no module of the model."""
    (tmp_path / "elsewhere.py").write_text(
        "from sklearn.linear_model import Ridge\nclass Mine(Ridge):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    elsewhere = importlib.import_module("elsewhere")
    model = save(elsewhere.Mine().fit(X, X.a), tmp_path / "model", NO_SOURCE)
    sys.modules.pop("elsewhere")

    with pytest.raises(PromotionError, match="cannot be loaded where neither its source nor scripts/ is on the path"):
        answers_of(model, tmp_path)


def test_a_model_that_reads_beyond_its_columns_has_failed(tmp_path: Path) -> None:
    """A column that its training had and the test rows do not have."""
    found = complaint_about(save(logistic(), tmp_path / "model"), tmp_path, rows=X.drop(columns="c"))

    assert found is not None and "does not answer 150 rows of its own data" in found
    assert "missing inputs ['c']" in found


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (np.array([0, 1, 1]), 1),
        (pd.Series([0.5, 1.0, 2.0]), 1),
        ([1, 0, 1], 1),
        (np.array([[1], [0], [1]]), 1),
        (pd.DataFrame({"label": [1, 0, 1], "probability": [0.9, 0.1, 0.7]}), 2),
    ],
)
def test_an_answer_is_a_value_a_row_or_a_decision_with_its_probability(answer: Any, found: int) -> None:
    """Arrays, series, lists, one column, two columns."""
    assert len(columns_of(answer, 3)) == found


@pytest.mark.parametrize(
    "answer",
    [
        np.array([0, 1]),
        np.zeros((3, 3)),
        np.array([0.0, np.nan, 1.0]),
        np.array(["a", "b", "c"]),
        pd.Series([1, None, 0], dtype="object"),
        3,
        None,
        {"a": 1},
    ],
    ids=repr,
)
def test_another_answer_is_refused(answer: Any) -> None:
    """Too few, too many columns, missing, words, none."""
    with pytest.raises(Complaint):
        columns_of(answer, 3)


def test_two_columns_are_a_decision_and_its_probability() -> None:
    """What a graph of ONNX gives: no object has predict_proba there."""
    answer = pd.DataFrame({"label": [1, 0, 1], "probability": [0.9, 0.1, 0.7]})
    found = table(None, X.head(3), answer)

    assert found["decision"].tolist() == [1, 0, 1] and found["score"].tolist() == [0.9, 0.1, 0.7]


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_probability_is_a_number(odd: float) -> None:
    """NaN was blamed on the score table; a score beyond 0 and 1 is judged, without what needs probabilities."""
    with pytest.raises(Complaint, match=r"one of its probabilities is .*; they lie between 0 and 1"):
        need_numbers(np.array([0.5, odd]))
    need_numbers(np.array([0.0, 1.3]))


def test_a_classifier_that_answers_two_has_failed() -> None:
    """The decisions that are judged are 0 and 1."""
    with pytest.raises(Complaint, match="it answered 2"):
        table(None, X.head(2), pd.DataFrame({"label": [1, 2], "probability": [0.9, 0.1]}))
