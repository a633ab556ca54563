"""A few hundred cases of MLflow's protocol, singly and 16 at once; what differs is a table in scripts/README.md."""

import concurrent.futures
import contextlib
import itertools
import json
import random
import re
import threading
from pathlib import Path

import pytest
from promotion.sandbox.same import same
from promotion.serving.server import listen

from tests.support.serving_world import COLUMNS, ROWS, Client, Models, serving, started, wait_for

README = Path(__file__).parents[2] / "scripts" / "README.md"
JSON = {"Content-Type": "application/json"}

VALUES = {
    "floats": [1.5, -2.25, 1e-3],
    "whole": [1, 2, 3],
    "mixed": [1, 2.5, -0.0],
    "large": [2**53, 2**53 + 1, 2**62],
    "larger": [2**63, 2**64, 2**70],
    "tiny": [5e-324, 1e-308, 1e308],
    "true": [True, 1, 2.5],
    "null": [None, 1.0, 2.0],
    "text": ["1.5", 1.0, 2.0],
    "words": ["x", 1.0, 2.0],
    "nested": [[1], 1.0, 2.0],
    "object": [{"a": 1}, 1.0, 2.0],
}
NAMES = {
    "in order": ["a", "b", "c"],
    "in disorder": ["c", "a", "b"],
    "one missing": ["a", "b"],
    "one more": ["a", "b", "c", "d"],
    "one twice": ["a", "b", "b"],
}
MEDIA = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=UTF-8",
    "application/json;charset=utf-8",
    "application/json; charset=latin-1",
    "application/json; x=y",
    "application/json; charset",
    "application/ json",
    "application",
    "text/csv",
    "text/csv; charset=utf-8",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/vnd.apache.parquet",
]


def bodies():
    """(label, body) of tables in every form, with every kind of value, name and length."""
    for (kind, values), (named, names), rows in itertools.product(VALUES.items(), NAMES.items(), (1, 2, 5)):
        if named != "in order" and (kind not in ("floats", "whole", "null") or rows > 1):
            continue
        row = [*values, 4.0][: len(names)]
        label = f"{kind}, {named}, {rows} rows"
        records = [dict(zip(names, row, strict=True))] * rows
        columns = {name: [value] * rows for name, value in zip(names, row, strict=True)}
        yield f"split, {label}", {"dataframe_split": {"columns": names, "data": [row] * rows}}
        yield f"records, {label}", {"dataframe_records": records}
        yield f"instances, {label}", {"instances": records}
        yield f"inputs, {label}", {"inputs": columns}
        yield f"rows, {label}", {"inputs": [row] * rows}


def cases():
    """label -> (headers, body) of every case."""
    found = {label: (JSON, json.dumps(content)) for label, content in bodies()}
    one = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1.0, 2.0, 3.0]]}})
    for media in MEDIA:
        found[f"media type {media}"] = ({"Content-Type": media}, one)
        found[f"media type {media} for CSV"] = ({"Content-Type": media}, "a,b,c\n1,2.5,3\n")
    odd = {
        "nothing": "",
        "an open brace": "{",
        "a list": "[1]",
        "a number": "1",
        "null": "null",
        "no known key": '{"x": 1}',
        "two keys": '{"inputs": [1], "instances": [1]}',
        "a key twice": '{"inputs": [[9.0, 9.0, 9.0]], "inputs": [[1.0, 2.0, 3.0]]}',
        "params": '{"dataframe_records": [{"a": 1.0, "b": 2.0, "c": 3.0}], "params": {"x": 1}}',
        "another key beside": '{"dataframe_records": [{"a": 1.0, "b": 2.0, "c": 3.0}], "x": 1}',
        "NaN": '{"dataframe_records": [{"a": NaN, "b": 2.0, "c": 3.0}]}',
        "Infinity": '{"dataframe_records": [{"a": Infinity, "b": 2.0, "c": 3.0}]}',
        "1e999": '{"dataframe_records": [{"a": 1e999, "b": 2.0, "c": 3.0}]}',
        "no rows": '{"dataframe_records": []}',
        "no data": '{"dataframe_split": {"columns": ["a", "b", "c"], "data": []}}',
        "no columns": '{"dataframe_split": {"data": [[1.0, 2.0, 3.0]]}}',
        "labels": '{"dataframe_split": {"index": ["x"], "columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}',
        "ragged": '{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0], [1.0, 2.0]]}}',
        "surrogate": '{"dataframe_records": [{"a": 1.0, "b": 2.0, "c": 3.0, "\\ud800": 1}]}',
        "UTF-16": '{"inputs": [[1.0, 2.0, 3.0]]}'.encode("utf-16"),
        "BOM": b'\xef\xbb\xbf{"inputs": [[1.0, 2.0, 3.0]]}',
        "not UTF-8": b"\xff\xfe\xfd",
    }
    return found | {label: (JSON, body) for label, body in odd.items()}


CASES = cases()

# name of a row of the table -> (method, path, headers, body, status there, status here)
ONE = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1.0, 2.0, 3.0]]}})
DIFFERENT = {
    "`GET /version`": ("GET", "/version", {}, None, 200, 200),
    "`GET /health`": ("GET", "/health", {}, None, 200, 200),
    "`GET /metrics`": ("GET", "/metrics", {}, None, 404, 200),
    "`GET /docs`, `/openapi.json`": ("GET", "/openapi.json", {}, None, 200, 404),
    "`HEAD /ping`": ("HEAD", "/ping", {}, None, 405, 200),
    "a content type in capitals, or with a space before `;`": (
        "POST",
        "/invocations",
        {"Content-Type": 'Application/JSON ; Charset="utf-8"'},
        ONE,
        415,
        200,
    ),
    "two content types": ("POST", "/invocations", {**JSON, "content-type": "application/json"}, ONE, 200, 415),
    "no content type": ("POST", "/invocations", {}, ONE, 500, 415),
    "a wish for another protocol (`Upgrade`)": (
        "POST",
        "/invocations",
        {**JSON, "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"},
        ONE,
        400,
        200,
    ),
    "JSON too deep, numbers too long": ("POST", "/invocations", JSON, b"[" * 100_000, 500, 400),
    "a body over `--max-body-mb`": ("POST", "/invocations", JSON, b" " * 1_100_000, 400, 413),
    "an error that repeats a long request": ("POST", "/invocations", JSON, b"x" * 100_000, 400, 400),
}
# rows that other tests show: tests/serving/test_workers.py, test_proof.py, test_serve.py
ELSEWHERE = {
    "sums in a shared `predict`",
    "a model that panics, exits or has no memory",
    "more requests than the queue takes",
    "no champion",
    "`X-Model-Name`, `X-Model-Version`",
}


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    """(theirs, ours): both servers with the same regression."""
    import mlflow.pyfunc
    import uvicorn
    from mlflow.pyfunc import scoring_server
    from promotion.serving.connection import Limits
    from sklearn.linear_model import LinearRegression

    models = Models(tmp_path_factory.mktemp("registry"))
    path = models.save(LinearRegression().fit(ROWS, ROWS.a * 0.3 + ROWS.b / 7), example=ROWS.head(20))
    models.promote("m", models.register("m", path))
    listener = listen("127.0.0.1", 0)
    app = scoring_server.init(mlflow.pyfunc.load_model(str(path)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    with started(models, "m", tmp_path_factory.mktemp("store"), limits=Limits(body=1_000_000)) as ours:
        wait_for(lambda: serving(ours, 1) and server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", ours
    server.should_exit = True
    thread.join(20)
    listener.close()


def ask(url, headers, body):
    """(status, media type, comparable text) of a POST /invocations."""
    status, got, text = Client(url).ask(body=body, headers=headers)
    with contextlib.suppress(ValueError):
        content = json.loads(text)
        if isinstance(content, dict) and content.pop("stack_trace", None) is not None:
            text = json.dumps(content)
    sets = r"(?:\{('\w+'(?:, '\w+')+)\}|extra inputs: \[(.*)\])"  # in another order in each process
    return status, got["Content-Type"], re.sub(sets, lambda found: "".join(sorted(found[0])), text)


@pytest.fixture(scope="module")
def expected(urls):
    """What MLflow's server answers to every case, singly."""
    return {label: ask(urls[0], *case) for label, case in CASES.items()}


@pytest.mark.slow
def test_there_are_a_few_hundred_cases(expected):
    """Good and bad ones, each kind of status among them."""
    assert len(CASES) > 250
    assert {200, 400, 415} <= {status for status, _, _ in expected.values()}
    assert sum(status == 200 for status, _, _ in expected.values()) > 80


@pytest.mark.slow
def test_singly_every_answer_is_theirs_byte_for_byte(urls, expected):
    """Status, media type and text are equal, but for errors that a listed difference explains."""
    got = {label: ask(urls[1], *case) for label, case in CASES.items()}
    differ = {label: (expected[label], got[label]) for label in CASES if expected[label] != got[label]}
    unexplained = {label: pair for label, pair in differ.items() if pair[0][0] != 500 or pair[1][0] != 400}

    assert unexplained == {}


@pytest.mark.slow
def test_sixteen_at_once_the_answers_stay_the_same(urls, expected):
    """Whatever is asked beside it, an answer is the one that was given singly, up to the last bits of a sum."""
    single = {label: ask(urls[1], *case) for label, case in CASES.items()}
    order = [label for label in CASES for _ in range(3)]
    random.Random(16).shuffle(order)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda label: (label, ask(urls[1], *CASES[label])), order))

    for label, (status, media, text) in answers:
        assert (status, media) == single[label][:2], label
        assert text == single[label][2] or (status == 200 and same(text, single[label][2])), label


def table():
    """name -> (theirs, ours) of the table in scripts/README.md."""
    text = README.read_text(encoding="utf-8").partition("<!-- differences -->")[2].partition("<!-- /differences -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]
    return {row[0]: tuple(row[1:]) for row in rows}


def test_the_table_has_a_row_for_each_difference():
    """No more rows than are tested, no fewer."""
    assert set(table()) == set(DIFFERENT) | ELSEWHERE


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_differs_differs_as_the_table_says(urls, name):
    """Both statuses are as listed."""
    method, path, headers, body, theirs, ours = DIFFERENT[name]
    got, texts = [], []
    for url in urls:
        connection = Client(url).connection
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        texts.append(response.read())
        got.append(response.status)

    assert got == [theirs, ours]
    if theirs == ours:
        assert texts[0] != texts[1]
    else:
        assert all(status == 200 or str(status) in cell for status, cell in zip(got, table()[name], strict=True))
