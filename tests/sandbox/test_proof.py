"""Requests are put together only for a model that was shown, on enough distinct rows, to answer each row for itself."""

import concurrent.futures
import json

import numpy as np
import pandas as pd
import pytest
from promotion.sandbox.proof import MOST_ROWS, Proof, distinct_rows, finish, grouped, prove
from promotion.sandbox.same import same

from tests.support.serving_world import COLUMNS, ROWS, Client, Models, constant, save_module, serving, started, wait_for


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


class Fake:
    """A pyfunc model of one function; `raw`: what get_raw_model gives."""

    def __init__(self, predict, raw=None):
        self.predict = predict
        self.raw = raw

    def get_raw_model(self):
        """The estimator behind it."""
        return self.raw


def shown(predict, example=ROWS, recorded=(), raw=None, as_array=None, seconds=60.0):
    """Prove, and return what was shown."""
    return finish(prove(Fake(predict, raw), example, list(recorded), as_array), seconds)


def own(rows):
    """An answer to each row for itself."""
    return rows.to_numpy() @ np.array([1.0, 2.0, -1.0])


def scaled(rows):
    """A min-max scaler that looks at the rows of the moment."""
    values = rows.to_numpy()
    low, high = values.min(axis=0), values.max(axis=0)
    return ((values - low) / np.where(high > low, high - low, 1)).sum(axis=1)


def scaled_decision(rows):
    """The same before a threshold: most rows are decided alike in any company."""
    return (scaled(rows) > 2.9).astype(int)


def null_series(rows):
    """A missing answer is null alone, and NaN beside a number."""
    return pd.Series([None if a < 0 else float(a) for a in rows.a])


def ranked(rows):
    """The place of a row among the others."""
    return np.argsort(np.argsort(rows.a.to_numpy())).astype(float)


def neighbour(rows):
    """The row before decides."""
    return np.roll(rows.a.to_numpy(), 1)


def only_many(rows):
    """Another answer where there are many rows."""
    return rows.a.to_numpy() + (len(rows) > 50)


def whole_type(rows):
    """Whole numbers alone, fractions as soon as one row has one."""
    return np.array([round(a) if a > 0 else a for a in rows.a])


def seen(seen=[0]):  # noqa: B006
    """A model that counts how often it was asked."""

    def predict(rows):
        seen[0] += 1
        return rows.a.to_numpy() + seen[0] // 100

    return predict


@pytest.mark.parametrize(
    "predict",
    [scaled, scaled_decision, null_series, ranked, neighbour, only_many, whole_type, seen()],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("rows", [2, 5, 200])
def test_a_dependence_on_other_rows_is_seen(predict, rows):
    """Whatever way a row's answer depends on its neighbours, and few as the example's rows may be."""
    found = shown(predict, ROWS.head(rows))

    assert not found.batching
    assert found.note.startswith("requests are answered one by one: ")


@pytest.mark.parametrize("rows", [2, 5, 200])
def test_a_model_that_answers_each_row_for_itself_is_shown_to(rows):
    """A linear function of each row passes, also with an example of two rows."""
    assert shown(own, ROWS.head(rows)) == Proof(batching=True)


@pytest.mark.parametrize("example", [None, ROWS.head(1), pd.concat([ROWS.head(1)] * 100), {"a": 1}], ids=range(4))
def test_no_example_or_one_row_is_no_proof(example):
    """Without two distinct rows nothing is shown, however often one is repeated."""
    found = shown(own, example)

    assert not found.batching and "one by one" in found.note


def test_fewer_distinct_rows_than_may_share_a_predict_are_no_proof():
    """Texts cannot be put together anew beyond those that there are: two rows say nothing about sixty-four."""
    found = shown(lambda rows: (rows.s == "a").to_numpy(int), pd.DataFrame({"s": ["a", "b"] * 50}))

    assert not found.batching
    assert "64 distinct rows are needed" in found.note and "give 2" in found.note


def test_recorded_rows_make_up_for_a_missing_example():
    """Sixty-four different rows from requests are as good as an example."""
    recorded = [ROWS.iloc[[i]] for i in range(MOST_ROWS)]

    assert shown(own, None, recorded).batching
    assert not shown(scaled, None, recorded).batching


def test_the_same_answer_to_every_row_shows_nothing_unless_scores_vary():
    """A constant decision may hide a dependence; varying probabilities behind it, equal in groups, do not."""

    class Raw:
        def __init__(self, score):
            self.decision_function = score

    def never(rows):
        return np.zeros(len(rows), int)

    assert "shows nothing" in shown(never).note
    assert shown(never, raw=Raw(own)).batching
    assert "depends on the other rows" in shown(never, raw=Raw(scaled)).note


def test_an_array_is_used_only_where_its_answers_are_the_data_frames():
    """Equal to the last bit alone, equal in groups; another order of columns or an error means the frame."""

    def as_array(values):
        return values @ np.array([1.0, 2.0, -1.0])

    def other(values):
        return values @ np.array([1.0, 2.0, -1.0]) * (1 + 1e-15)

    def failing(values):
        raise TypeError("a frame, please")

    assert shown(own, as_array=as_array) == Proof(batching=True, array=True)
    assert shown(own, as_array=other) == Proof(batching=True, array=False)
    assert shown(own, as_array=failing) == Proof(batching=True, array=False)


def test_what_a_model_raises_while_it_is_tried_leaves_it_unproven():
    """An error, a sys.exit and a model too slow to be tried are notes, not failures."""

    def angry(rows):
        if len(rows) > 1:
            raise SystemExit("no")
        return own(rows)

    assert "SystemExit: no" in shown(angry).note
    assert "took over 0 s" in shown(own, seconds=0.0).note


def test_groups_hold_every_row_in_company():
    """Each size has all rows once, and no two orders are the same."""
    groups = grouped(MOST_ROWS)

    assert sorted(np.concatenate(groups).tolist()) == sorted(list(range(MOST_ROWS)) * 4)
    assert {len(group) for group in groups} == {2, 5, 4, 17, 13, 64}


def test_rows_are_put_together_anew_within_what_the_example_holds():
    """Values stay in their column, their type and their range; texts are only exchanged."""
    known = pd.DataFrame({"x": [0.0, 1.0], "n": [3, 9], "s": ["a", "b"]})
    rows = distinct_rows(known)

    assert len(rows) == MOST_ROWS and not rows.duplicated().any()
    assert rows.dtypes.to_dict() == known.dtypes.to_dict()
    assert rows.x.between(0, 1).all() and rows.n.between(3, 9).all() and set(rows.s) == {"a", "b"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("[1]", "[1.0]", False),
        ("[null]", "[NaN]", False),
        ("[NaN]", "[NaN]", True),
        ("[1]", "[true]", False),
        ("[0.1]", "[0.10000000000000002]", True),
        ("[0.1]", "[0.1000001]", False),
        ('[{"a": 1, "b": 2}]', '[{"b": 2, "a": 1}]', False),
        ('["a"]', '["a"]', True),
    ],
)
def test_equal_means_value_type_and_null(one, other, expected):
    """Types and nulls must agree; floats may differ in their last bits."""
    assert same(one, other) is expected


MIN_MAX = """
import numpy as np
from sklearn.base import BaseEstimator

class MinMax(BaseEstimator):
    def predict(self, X):
        X = np.asarray(X, dtype=float)
        low, high = X.min(axis=0), X.max(axis=0)
        return ((X - low) / np.where(high > low, high - low, 1)).sum(axis=1)
"""


def test_a_scaler_of_the_moment_answers_rightly_under_load(models, tmp_path):
    """Sixteen clients with rows of their own get what each would get alone, and /health says why."""
    models.promote(
        "minmax", models.register("minmax", save_module(models, tmp_path, "minmaxmodule", MIN_MAX, "MinMax"))
    )
    with started(models, "minmax", tmp_path / "store") as url:
        health = wait_for(lambda: serving(url, 1))

        def ask(seed):
            rows = ROWS.sample(3, random_state=seed)
            client = Client(url)
            body = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": rows.to_numpy().tolist()}})
            return [json.loads(client.ask(body=body)[2])["predictions"] for _ in range(10)], scaled(rows).tolist()

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(16)))

    assert health["batching"] is False
    assert any("depends on the other rows" in note for note in health["notes"])
    assert all(got == [pytest.approx(expected)] * 10 for got, expected in answers)


def test_a_model_without_an_example_is_batched_once_requests_have_shown_it(models, tmp_path):
    """No example: served unwarmed and one by one, until enough different rows were asked and all was well."""
    from sklearn.linear_model import LinearRegression

    fitted = LinearRegression().fit(ROWS, own(ROWS))
    models.promote("bare", models.register("bare", models.save(fitted, example=None)))
    with started(models, "bare", tmp_path / "store", workers=1) as url:
        health = wait_for(lambda: serving(url, 1))
        client = Client(url)
        for row in ROWS.to_numpy().tolist()[:100]:
            body = json.dumps({"dataframe_records": [dict(zip(COLUMNS, row, strict=True))]})
            expected = row[0] + 2 * row[1] - row[2]
            assert json.loads(client.ask(body=body)[2])["predictions"] == [pytest.approx(expected)]

        later = wait_for(lambda: (h := client.health())["batching"] and h)

    assert health["batching"] is False and "no input example" in health["notes"][0]
    assert later["array"] is True and len(later["notes"]) == 1


def test_a_constant_model_is_not_batched(models):
    """A classifier with one answer and one probability cannot be shown to be safe: it is served one by one."""
    models.register("constant", models.save(constant(1)))
    scorer, notes = models.loaded("constant", 1)

    assert not scorer.batching and "shows nothing" in notes[0]
