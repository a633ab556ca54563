"""models/diabetes-progression: a regression with its own metric, through the same contract as fraud."""

import ast
import sys
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
import yaml
from promotion.config.promotion_yaml import load as load_policy
from promotion.model import Rows, Spec, Window
from promotion.sandbox.artifact import Allowed, read_artifact

from tests.support.artifacts import save
from tests.support.folder import FOLDERS, module

FOLDER = FOLDERS / "diabetes-progression"
SHIPPED = yaml.safe_load((FOLDER / "model.yaml").read_text())
TRAIN = Window(date(2024, 1, 1), 35)
VALIDATION = Window(date(2024, 2, 5), 7)
TEST = Window(date(2024, 2, 19), 28)


@pytest.fixture(scope="module")
def data():
    """The module models/diabetes-progression/data.py."""
    return module("diabetes-progression", "data")


@pytest.fixture(scope="module")
def train():
    """The module models/diabetes-progression/train.py."""
    return module("diabetes-progression", "train")


@pytest.fixture(scope="module")
def three_windows(data) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows of the dates that model.yaml's comments give."""
    return data.load(TRAIN), data.load(VALIDATION), data.load(TEST)


def spec(**parameters) -> Spec:
    """A spec with these parameters."""
    return Spec(as_of=TEST.first, train_days=35, validation_days=7, seed=0, parameters=parameters)


def test_every_patient_has_one_day(data) -> None:
    """The 84 days together hold each of the 442 patients once, five or six a day."""
    days = [data.load(Window(date(2024, 1, 1) + timedelta(days=offset), 1)) for offset in range(84)]
    patients = pd.concat([rows.keys for rows in days])["patient_id"]

    assert sorted(patients) == list(range(442))
    assert {len(rows.y) for rows in days} == {5, 6}


def test_a_window_is_its_days_in_order(data, three_windows) -> None:
    """A window's rows are those of its days one by one, with the real measurements of each patient."""
    from sklearn.datasets import load_diabetes

    test = three_windows[2]
    days = [data.load(Window(TEST.first + timedelta(days=offset), 1)) for offset in range(TEST.days)]
    real = load_diabetes(scaled=False)
    patients = test.keys["patient_id"].to_numpy()

    pd.testing.assert_frame_equal(test.columns, pd.concat([rows.columns for rows in days], ignore_index=True))
    np.testing.assert_array_equal(real.data[patients], test.X.to_numpy())
    np.testing.assert_array_equal(real.target[patients], test.y)
    assert test.columns["day"].is_monotonic_increasing


def test_age_bands_hold_their_ages(three_windows) -> None:
    """Each age lies in the band that its row names."""
    rows = three_windows[0]
    ages = rows.X["age"].groupby(rows.columns["age_band"])

    assert ages.max()["under 40"] < 40 <= ages.min()["40-59"]
    assert ages.max()["40-59"] < 60 <= ages.min()["60 and over"]


def test_a_window_outside_the_visits_is_one_sentence(data) -> None:
    """Days without visits are refused with the days that there are."""
    with pytest.raises(ValueError, match="run from 2024-01-01 to 2024-03-24"):
        data.load(Window(date(2024, 3, 20), 7))


@pytest.mark.parametrize("estimator", ["ridge", "quantile_regression", "gradient_boosting"])
def test_a_saved_model_answers_as_the_fitted_one_did(train, three_windows, estimator: str, tmp_path) -> None:
    """Saved with skops and no types but those of promotion.yaml, it predicts the same."""
    import mlflow.sklearn

    fitting, validation, test = three_windows
    model = train.fit(fitting, validation, spec(estimator=estimator))
    save(model, tmp_path / "model", rows=test.X)
    policy = load_policy(FOLDERS.parent / "promotion.yaml").models["diabetes-progression"].policy
    read_artifact(tmp_path / "model", Allowed(types=frozenset(policy.trusted_types)))

    loaded = mlflow.sklearn.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(model.predict(test.X), loaded.predict(test.X))


def test_a_list_of_settings_is_decided_on_the_validation_days(train, three_windows) -> None:
    """Of two ridges the one with the lower validation error is kept."""
    fitting, validation, _ = three_windows
    choices = [{"alpha": 1e6}, {"alpha": 1.0}, {"alpha": 1e5}]
    model = train.fit(fitting, validation, spec(estimator="ridge", settings=choices))

    assert model[-1].alpha == 1.0


def test_all_measurements_beat_the_shipped_three(train, three_windows) -> None:
    """The shipped model leaves room: a ridge on everything has a lower error on the test days."""
    fitting, validation, test = three_windows
    shipped = train.fit(fitting, validation, spec(**SHIPPED["parameters"]))
    better = train.fit(fitting, validation, spec(estimator="ridge"))
    rmse = [np.sqrt(np.mean((model.predict(test.X) - test.y) ** 2)) for model in (shipped, better)]

    assert rmse[1] < rmse[0] - 5
    assert SHIPPED["as_of"] == TEST.first


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "estimator must be one of ridge"),
        ({"estimator": "ridge", "alpha": 1}, "unknown parameter alpha"),
        ({"estimator": "ridge", "settings": {"depth": 1}}, "settings may have, for ridge: alpha"),
        ({"estimator": "ridge", "settings": []}, "empty list"),
        ({"estimator": "ridge", "features": ["height"]}, "a list of some of age, sex"),
    ],
)
def test_parameters_that_mean_nothing_are_one_sentence(train, three_windows, parameters: dict, sentence: str) -> None:
    """A wrong name or value in model.yaml's parameters is refused with what is allowed."""
    fitting, validation, _ = three_windows
    with pytest.raises(ValueError, match=sentence):
        train.fit(fitting, validation, spec(**parameters))


def test_missing_targets_are_one_sentence(train, three_windows) -> None:
    """A NaN among the targets is refused by the name of its window."""
    fitting, validation, _ = three_windows
    spoiled = Rows(fitting.X, np.full(len(fitting.y), np.nan), fitting.keys, fitting.columns)
    with pytest.raises(ValueError, match="the training window has no rows, or values that are missing"):
        train.fit(spoiled, validation, spec(estimator="ridge"))


def test_treating_too_little_costs_three_times_as_much() -> None:
    """The metric's sums add up over any partition, and charge 3 a unit below and 1 a unit above."""
    metrics = module("diabetes-progression", "metrics")
    y, prediction = np.array([100.0, 100.0, 100.0]), np.array([90.0, 110.0, 100.0])
    sums = metrics.treatment_cost(y, prediction, pd.DataFrame({"day": [1, 1, 2]}))

    np.testing.assert_array_equal(sums["cost"], [30.0, 10.0, 0.0])
    assert sums["cost"].sum() / sums["n"].sum() == pytest.approx(40 / 3)


@pytest.mark.parametrize("path", sorted(FOLDERS.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_model_code_knows_only_the_contract(path) -> None:
    """Of this project model code imports promotion.model and its own siblings, and nothing else."""
    siblings = {sibling.stem for sibling in path.parent.glob("*.py")}
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    libraries = {"numpy", "pandas", "pyarrow", "sklearn"} | set(sys.stdlib_module_names)

    strangers = {name for name in imported if name.split(".")[0] not in libraries | siblings}
    assert strangers <= {"promotion.model"}
