"""MLflow's scoring protocol: the same answers as MLflow's own server, alone and in one batch."""

import contextlib
import json
import re
import threading

import numpy as np
import pandas as pd
import pytest
from promotion.sandbox.proof import Proof, split
from promotion.serving.backoff import backoff
from promotion.serving.scoring import Request, Scorer
from promotion.serving.server import listen
from promotion.serving.worker import rehearse

from tests.support.serving_world import (
    BOOSTER_TYPES,
    COLUMNS,
    ONE_ROW,
    ROWS,
    Client,
    Models,
    serving,
    started,
    wait_for,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def booster(models):
    """A registered histogram booster that answers probabilities; needs a trusted type to load."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(max_iter=20).fit(ROWS, ROWS.a + ROWS.b > 0)
    path = models.save(fitted, skops_trusted_types=BOOSTER_TYPES, pyfunc_predict_fn="predict_proba")
    version = models.register("booster", path)
    models.promote("booster", version)
    return models.loaded("booster", version)[0]


PROTOCOL = {
    "split": ("application/json", ONE_ROW),
    "split with charset": ("application/json; charset=utf-8", ONE_ROW),
    "records": ("application/json", json.dumps({"dataframe_records": [{"a": 1, "b": 2, "c": 3}] * 2})),
    "instances": ("application/json", json.dumps({"instances": [{"a": 1.0, "b": 2.0, "c": 3.0}]})),
    "inputs": ("application/json", json.dumps({"inputs": {"a": [1.0], "b": [2.0], "c": [3.0]}})),
    "csv": ("text/csv", "a,b,c\n1,2,3\n4.5,5,6\n"),
    "csv in disorder": ("text/csv", "c,b,a,extra\n1,2,3,x\n"),
    "not JSON": ("application/json", '{"dataframe_split": '),
    "not UTF-8": ("application/json", b"\xff\xfe{}"),
    "a list": ("application/json", "[1, 2]"),
    "no known key": ("application/json", '{"rows": [1]}'),
    "whole numbers and true": ("application/json", json.dumps({"dataframe_records": [{"a": 1, "b": True, "c": 2}]})),
    "large whole numbers": (
        "application/json",
        json.dumps({"dataframe_records": [{"a": 2**53 + 1, "b": 1, "c": 2**70}]}),
    ),
    "infinite": ("application/json", '{"dataframe_records": [{"a": Infinity, "b": 1e999, "c": NaN}]}'),
    "numbers as text": ("application/json", json.dumps({"dataframe_records": [{"a": "1.5", "b": 1, "c": 2}]})),
    "columns in disorder": (
        "application/json",
        '{"dataframe_split": {"columns": ["c", "a", "b"], "data": [[1, 2.5, 3]]}}',
    ),
    "column twice": ("application/json", '{"dataframe_split": {"columns": ["a", "a", "c"], "data": [[1, 2.5, 3]]}}'),
    "no columns": ("application/json", '{"dataframe_split": {"data": [[1, 2.5, 3]]}}'),
    "index": (
        "application/json",
        '{"dataframe_split": {"columns": ["a", "b", "c"], "index": [9], "data": [[1, 2, 3]]}}',
    ),
    "index too long": (
        "application/json",
        '{"dataframe_split": {"columns": ["a", "b", "c"], "index": [9, 8], "data": [[1, 2, 3]]}}',
    ),
    "extra column": ("application/json", json.dumps({"dataframe_records": [{"a": 1.0, "b": 1, "c": 2, "d": "x"}]})),
    "records that differ": (
        "application/json",
        json.dumps({"dataframe_records": [{"a": 1, "b": 1, "c": 2}, {"a": 1}]}),
    ),
    "two keys": ("application/json", '{"inputs": [1], "instances": [1]}'),
    "missing column": ("application/json", json.dumps({"dataframe_records": [{"a": 1.0}]})),
    "text for a number": ("application/json", json.dumps({"dataframe_records": [{"a": "x", "b": 1.0, "c": 1.0}]})),
    "no rows": ("application/json", json.dumps({"dataframe_split": {"columns": COLUMNS, "data": []}})),
    "ragged": ("application/json", json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1], [1, 2]]}})),
    "null": ("application/json", json.dumps({"dataframe_records": [{"a": None, "b": 1.0, "c": 1.0}]})),
    "broken csv": ("text/csv", 'a,b,c\n"1,2,3\n'),
    "csv with text": ("text/csv", "a,b,c\nx,2,3\n"),
    "other media type": ("application/x-other", "x"),
    "other charset": ("application/json; charset=latin-1", ONE_ROW),
    "other parameter": ("application/json; x=y", ONE_ROW),
    "params": ("application/json", json.dumps({**json.loads(ONE_ROW), "params": {"x": 1}})),
}


def without_trace(text):
    """An error's JSON without its stack trace, which holds line numbers; any other text as it is.

    A set of names in it is sorted: its order is another in each process.
    """
    text = re.sub(r"\{('\w+'(?:, '\w+')+)\}", lambda found: str(sorted(found[1].split(", "))), text)
    with contextlib.suppress(ValueError):
        content = json.loads(text)
        content.pop("stack_trace", None)
        return content
    return text


@pytest.fixture(scope="module")
def linear(models):
    """A registered logistic regression, which refuses NaN, loaded."""
    from sklearn.linear_model import LogisticRegression

    models.register("linear", models.save(LogisticRegression().fit(ROWS, ROWS.a > 0)))
    models.promote("linear", 1)
    return models.loaded("linear", 1)[0]


@pytest.fixture(scope="module")
def mlflow_url(linear):
    """MLflow's own scoring server with the same model."""
    import uvicorn
    from mlflow.pyfunc import scoring_server

    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(scoring_server.init(linear.model), log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()


def test_every_answer_is_the_one_of_mlflows_server(models, linear, mlflow_url, tmp_path):
    """Status, media type and body agree with MLflow's scoring server for good and bad requests alike."""
    theirs = Client(mlflow_url)
    with started(models, "linear", tmp_path / "root") as url:
        wait_for(lambda: serving(url, 1))
        ours = Client(url)
        for label, (media, body) in PROTOCOL.items():
            got, expected = (client.ask(body=body, headers={"Content-Type": media}) for client in (ours, theirs))

            assert (label, expected[0], without_trace(expected[2])) == (label, got[0], without_trace(got[2]))
            assert expected[1]["Content-Type"] == got[1]["Content-Type"], label
            assert got[1]["X-Model-Version"] == "1" and got[1]["X-Model-Name"] == "linear"
        assert theirs.ask("/ping", None)[::2] == ours.ask("/ping", None)[::2]
        assert ours.ask(body='{"a": ')[0] == 400


@pytest.fixture(scope="module")
def whole(models):
    """A registered booster whose column c is a long in its signature, loaded."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = ROWS.assign(c=np.arange(len(ROWS)) % 7)
    fitted = HistGradientBoostingClassifier(max_iter=20).fit(rows, rows.a + rows.c > 3)
    path = models.save(
        fitted, rows=rows, example=rows.head(2), skops_trusted_types=BOOSTER_TYPES, pyfunc_predict_fn="predict_proba"
    )
    models.register("whole", path)
    return models.loaded("whole", 1)[0]


@pytest.mark.parametrize("state", ["booster", "whole"])
def test_answers_together_are_bit_for_bit_the_answers_alone(request, state):
    """Tables of several shapes, bad ones among them, give in one batch, and by themselves, what MLflow gives."""
    scorer = request.getfixturevalue(state)
    rng = np.random.default_rng(3)
    requests = [Request(body if isinstance(body, bytes) else body.encode(), media) for media, body in PROTOCOL.values()]
    for seed, size in enumerate(rng.integers(1, 9, 40)):
        table = ROWS.sample(int(size), random_state=seed)
        if seed % 2:
            table = table.assign(c=np.arange(int(size)))
        index = {"index": table.index.tolist()} if seed % 3 else {}
        content = {
            **index,
            "columns": COLUMNS,
            "data": [[a, b, int(c) if seed % 2 else c] for a, b, c in table.to_numpy()],
        }
        requests.append(Request(json.dumps({"dataframe_split": content}).encode(), "application/json"))
        requests.append(Request(table.to_csv(index=False).encode(), "text/csv"))
    mixed = [requests[i] for i in rng.permutation(len(requests))]
    expected, together, each = (
        [(answer.status, without_trace(answer.text)) for answer in answers]
        for answers in (
            map(scorer.alone, mixed),
            scorer.answers(mixed),
            [scorer.answers([one])[0] for one in mixed],
        )
    )

    assert scorer.batching
    assert expected == together
    assert expected == each
    assert sum(status == 200 for status, _ in expected) >= 40


def test_a_table_that_enforcement_would_change_is_not_put_beside_others(booster):
    """Whole numbers where the signature says double pass or fail by their values in MLflow, so they go alone."""
    whole = pd.DataFrame([[0, 1, 1]], columns=COLUMNS)

    assert booster._taken_as_it_is(whole.astype(float))
    assert not booster._taken_as_it_is(whole)
    assert not booster._taken_as_it_is(whole.astype(float).drop(columns="c"))


class Counting:
    """A model that counts its predicts; for the rest the one it wraps."""

    def __init__(self, model):
        self.model = model
        self.metadata = model.metadata
        self.tables = []

    def predict(self, data, params=None):
        """Count, then predict."""
        self.tables.append(len(data))
        return self.model.predict(data, params=params)


def test_a_request_that_failed_shows_nothing(linear):
    """An error's text is no answer that others could be compared with."""
    scorer = Scorer(linear.model, Proof())
    answers = scorer.answers([Request(f"a,b,c\n1.0,{value},3.0\n".encode(), "text/csv") for value in ("", "2.0")])

    assert [answer.status for answer in answers] == [400, 200]
    assert [row.b.tolist() for row in scorer.recorded.take()] == [[2.0]]


def test_a_bad_request_does_not_fail_its_neighbours(linear):
    """A row that makes the shared predict fail (NaN) gets its own error; the others get their answers."""
    counting = Counting(linear.model)
    scorer = Scorer(counting, Proof(batching=True))
    good = Request(b"a,b,c\n1.0,2.0,3.0\n", "text/csv")
    bad = Request(b"a,b,c\n1.0,,3.0\n", "text/csv")

    assert [a.status for a in scorer.answers([good, good, good])] == [200, 200, 200]
    assert counting.tables == [3]
    assert [a.status for a in scorer.answers([good, bad, good])] == [200, 400, 200]
    assert counting.tables == [3, 3, 1, 1, 1]


class Missing(Counting):
    """A model that answers 1, and nothing to a row whose first column is 0, as a lookup does; in `form`."""

    def __init__(self, model, form):
        super().__init__(model)
        self.form = form

    def predict(self, data, params=None):
        """Whole numbers, unless one is missing."""
        self.tables.append(len(data))
        return self.form(pd.Series(np.sign(data["a"]).to_numpy()).map({-1.0: 1, 1.0: 1}))


@pytest.mark.parametrize("form", [pd.Series.to_numpy, lambda found: found.to_frame("p")])
def test_a_missing_answer_makes_no_double_of_its_neighbours(linear, form):
    """Answers that would have another type than those of the model's own example are asked for one by one."""
    model = Missing(linear.model, form)
    scorer = Scorer(model, Proof(batching=True))
    good, bad = (Request(f"a,b,c\n{first},2.0,3.0\n".encode(), "text/csv") for first in ("1.0", "0.0"))
    alone, odd = (scorer.alone(request).text for request in (good, bad))
    model.tables.clear()

    assert [answer.text for answer in scorer.answers([good, good])] == [alone] * 2 and "1.0" not in alone
    assert [answer.text for answer in scorer.answers([good, bad, good])] == [alone, odd, alone]
    assert model.tables == [2, 3, 1, 1, 1]


def test_what_kind_of_answer_a_model_gives_is_known_from_its_example(linear, tmp_path):
    """So also the first batch of requests with a missing answer in it is asked one by one."""
    (tmp_path / "serving_input_example.json").write_text(ONE_ROW)
    scorer = Scorer(Missing(linear.model, pd.Series.to_numpy), Proof(batching=True))
    rehearse(scorer, tmp_path)
    good, bad = (Request(f"a,b,c\n{first},2.0,3.0\n".encode(), "text/csv") for first in ("1.0", "0.0"))

    assert [answer.text for answer in scorer.answers([good, bad])] == ['{"predictions": [1]}', '{"predictions": [NaN]}']


def test_no_more_rows_share_a_predict_than_were_shown_to_be_apart(linear):
    """What 64 rows at most were tried with is done with 64 at most; a longer request goes by itself."""
    counting = Counting(linear.model)
    tables = [ROWS.sample(rows, replace=True, random_state=rows) for rows in (30, 31, 29, 80, 5)]
    requests = [Request(table.to_csv(index=False).encode(), "text/csv") for table in tables]
    found = Scorer(counting, Proof(batching=True)).answers(requests)

    assert counting.tables == [61, 29, 80, 5]
    assert [(one.status, one.text) for one in found] == [(one.status, one.text) for one in map(linear.alone, requests)]


@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series, lambda v: pd.DataFrame({"p": v})])
def test_split_cuts_every_kind_of_answer(kind):
    """Arrays, lists, series and frames are cut by rows, and a wrong number of rows is refused."""
    parts = split(kind([1, 2, 3, 4]), [1, 3])

    assert [len(part) for part in parts] == [1, 3]
    assert np.asarray(parts[1]).ravel().tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="4 predictions for 5 rows"):
        split(kind([1, 2, 3, 4]), [5])


def test_backoff_doubles_up_to_a_bound_and_is_random():
    """The wait doubles with each failure, never exceeds its cap, and half of it is drawn."""
    longest = [backoff(n, 2.0, draw=lambda: 1.0) for n in range(1, 40)]

    assert longest[:4] == [4.0, 8.0, 16.0, 32.0] and set(longest[5:]) == {60.0}
    assert backoff(1, 2.0, draw=lambda: 0.0) == 2.0
