"""A real server on a real SQLite MLflow: what it answers while the champion changes, breaks and goes away."""

import contextlib
import http.client
import importlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import serve
from promotion.registry import Registry
from promotion.serving.following import backoff
from promotion.serving.loading import load
from promotion.serving.scoring import Request, Scorer, split

COLUMNS = ["a", "b", "c"]
ROWS = pd.DataFrame(np.random.default_rng(7).normal(size=(200, 3)), columns=COLUMNS)
EXAMPLE = ROWS.head(2)
BOOSTER_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
JSON = {"Content-Type": "application/json"}
ONE_ROW = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1.0, 2.0, 3.0]]}})

# A model with code of its own: it answers `VALUE`, and waits in `predict` while a file named `hold` exists.
OWN_CODE = """
import time
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator

VALUE = {value}

class Held(BaseEstimator):
    def __init__(self, folder="", mean=False):
        self.folder = folder
        self.mean = mean

    def predict(self, X):
        if self.mean:
            return np.full(len(X), X.to_numpy().sum())
        hold = Path(self.folder) / "hold"
        if hold.exists():
            (Path(self.folder) / "began").touch()
        deadline = time.monotonic() + 20
        while hold.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        return np.full(len(X), VALUE)
"""


def wait_for(condition, seconds=20.0):
    """Return the first true answer of `condition`, asked again and again; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


class Client:
    """One keep-alive connection."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)

    def ask(self, path="/invocations", body=ONE_ROW, headers=JSON):
        """Return (status, headers, text) of a POST, or of a GET where body is None."""
        self.connection.request("GET" if body is None else "POST", path, body, headers if body is not None else {})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read().decode()

    def health(self):
        """Return /health as a dict."""
        return json.loads(self.ask("/health", None)[2])


class Models:
    """A registry in a temporary folder, and versions to put into it."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "mlflow.db"
        self.registry = Registry(f"sqlite:///{self.database}")
        self.saved = 0

    def save(self, model, *, example=EXAMPLE, signature=True, **options):
        """Save a fitted scikit-learn model in the skops format; return its folder."""
        import mlflow.sklearn
        from mlflow.models import infer_signature

        self.saved += 1
        path = self.folder / f"saved-{self.saved}"
        inferred = infer_signature(ROWS, ROWS.a.to_numpy()) if signature else False
        mlflow.sklearn.save_model(
            model,
            str(path),
            serialization_format="skops",
            pip_requirements=["scikit-learn"],
            signature=inferred,
            input_example=example,
            **options,
        )
        return path

    def register(self, name, path, **tags):
        """Log a saved model's files to a run and register them; return the version's number."""
        run = self.registry.create_run(name, "train", {})
        self.registry.log_files(run.run_id, path, "model")
        self.registry.finish_run(run.run_id)
        return self.registry.register(name, run, tags).version

    def promote(self, name, version):
        """Point @champion at a version."""
        self.registry.set_alias(name, "champion", version)

    def loaded(self, name, version):
        """Load a version as the server does."""
        root = self.folder / "loaded"
        root.mkdir(exist_ok=True)
        return load(self.registry, self.registry.version(name, version), root)


def constant(value):
    """A classifier that always answers `value`."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="constant", constant=value).fit(ROWS, np.arange(len(ROWS)) % 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def zero(models):
    """A saved model that always answers 0."""
    return models.save(constant(0))


@pytest.fixture(scope="module")
def one(models):
    """A saved model that always answers 1."""
    return models.save(constant(1))


@pytest.fixture(scope="module")
def booster(models):
    """A registered histogram booster that answers probabilities; needs a trusted type to load."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(max_iter=20).fit(ROWS, ROWS.a + ROWS.b > 0)
    path = models.save(fitted, skops_trusted_types=BOOSTER_TYPES, pyfunc_predict_fn="predict_proba")
    version = models.register("booster", path)
    models.promote("booster", version)
    return models.loaded("booster", version)


@contextlib.contextmanager
def running_app(server, listener):
    """Run a uvicorn server in a thread on `listener`; yield its URL."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture
def start(models, tmp_path):
    """A function that starts a server for a model name and returns its URL; stopped at the end."""
    with contextlib.ExitStack() as stack:

        def run(name, **limits):
            listener = serve.listen("127.0.0.1", 0)
            root = tmp_path / "root"
            root.mkdir()
            server = serve.make_server(
                name,
                listener=listener,
                root=root,
                uri=models.registry.uri,
                alias="champion",
                poll_seconds=0.05,
                **limits,
            )
            return stack.enter_context(running_app(server, listener))

        yield run


def serving(url, version):
    """Whether the server says that `version` serves and all is well."""
    health = Client(url).health()
    return health if health["version"] == version and health["status"] == "ok" else None


def write_module(folder, name, value):
    """Write OWN_CODE as a module file; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(OWN_CODE.format(value=value))
    return path


def save_held(models, folder, module, value, **parameters):
    """Save a model of class `module`.Held that answers `value`; return the saved folder."""
    path = write_module(folder / f"code-{value}", module, value)
    sys.path.insert(0, str(path.parent))
    try:
        importlib.invalidate_caches()
        model = importlib.import_module(module).Held(str(folder), **parameters)
        return models.save(model, code_paths=[str(path)], skops_trusted_types=[f"{module}.Held"])
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.pop(module, None)


class Load:
    """Eight clients that ask without pause and keep every answer."""

    def __init__(self, url, clients=8):
        self.answers = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def _ask(self, url):
        client = Client(url)
        while not self.stopping.is_set():
            try:
                status, headers, text = client.ask()
                self.answers.put((status, headers["X-Model-Version"], text))
            except Exception as error:
                self.answers.put((type(error).__name__, None, str(error)))
                return

    def taken(self):
        """Return all answers so far."""
        return [self.answers.get() for _ in range(self.answers.qsize())]


def test_swap_and_rollback_under_load_fail_no_request(models, zero, one, start):
    """While 8 clients ask, a promotion and its rollback fail nothing, and each answer is its version's own."""
    name = "under-load"
    first, second = models.register(name, zero), models.register(name, one)
    models.promote(name, first)
    url = start(name)
    wait_for(lambda: serving(url, first))
    with Load(url) as traffic:
        wait_for(lambda: traffic.answers.qsize() > 50)
        models.promote(name, second)
        wait_for(lambda: serving(url, second))
        seen = traffic.answers.qsize()
        wait_for(lambda: traffic.answers.qsize() > seen + 50)
        models.promote(name, first)
        wait_for(lambda: serving(url, first))
        seen = traffic.answers.qsize()
        wait_for(lambda: traffic.answers.qsize() > seen + 50)
    answers = traffic.taken()

    expected = {(200, "1", '{"predictions": [0]}'), (200, "2", '{"predictions": [1]}')}
    assert expected == set(answers)


def test_files_of_a_version_go_when_it_leaves_service(models, zero, one, start, tmp_path):
    """After a swap the older version's private folder is removed, and the newer one's is there."""
    name = "tidy"
    models.promote(name, models.register(name, zero))
    url = start(name)
    wait_for(lambda: serving(url, 1))
    models.promote(name, models.register(name, one))
    wait_for(lambda: serving(url, 2))

    wait_for(lambda: [p.name.split("-")[1] for p in (tmp_path / "root").iterdir()] == ["2"])
    assert (tmp_path / "root").stat().st_mode & 0o777 in (0o700, 0o755)
    assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "root").iterdir())


def corrupt(models, path):
    """The model file is not one."""
    (path / "model.skops").write_bytes(b"not a model")
    return {}


def not_finite(models, path):
    """The model answers NaN to its own example."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(ROWS, ROWS.a)
    model.coef_[:] = np.nan
    models.save(model).joinpath("model.skops").replace(path / "model.skops")
    return {}


def untrusted(models, path):
    """The file holds a type that its MLmodel does not declare."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    fitted = HistGradientBoostingRegressor(max_iter=2).fit(ROWS, ROWS.a)
    saved = models.save(fitted, skops_trusted_types=BOOSTER_TYPES)
    (saved / "model.skops").replace(path / "model.skops")
    return {}


def other_digest(models, path):
    """The files are not those that were registered."""
    return {"digest": "sha256:" + "0" * 64}


def no_files(models, path):
    """The run's files are gone: an empty folder is registered."""
    for file in path.iterdir():
        file.unlink()
    (path / "note.txt").write_text("nothing here")
    return {}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (corrupt, "cannot be served"),
        (not_finite, "not a finite number"),
        (untrusted, "TreePredictor"),
        (other_digest, "hash to"),
        (no_files, "MLmodel"),
    ],
)
def test_a_version_that_does_not_load_or_warm_is_never_swapped_in(models, zero, one, start, damage, reason, caplog):
    """The old version keeps answering, /health and the log say why, and the next good version takes over."""
    caplog.set_level("INFO", "serve")
    name = f"broken-{damage.__name__}"
    models.promote(name, models.register(name, zero))
    url = start(name)
    wait_for(lambda: serving(url, 1))
    bad = models.save(constant(1))
    tags = damage(models, bad)
    models.promote(name, models.register(name, bad, **tags))
    client = Client(url)
    health = wait_for(lambda: (h := client.health())["status"] == "degraded" and h)
    status, headers, text = client.ask()

    assert (status, headers["X-Model-Version"], text) == (200, "1", '{"predictions": [0]}')
    assert health["version"] == 1
    assert reason in health["reason"] and "version 1 stays in service" in health["reason"]
    assert client.ask("/health", None)[0] == 200
    assert any("event=problem" in line and "topic=version" in line for line in caplog.messages)

    models.promote(name, models.register(name, one))
    wait_for(lambda: serving(url, 3))
    assert client.ask()[2] == '{"predictions": [1]}'


def test_alias_removed_keeps_the_old_version(models, zero, start):
    """Without its alias the version that serves stays, and /health says that the alias is gone."""
    name = "alias-removed"
    models.promote(name, models.register(name, zero))
    url = start(name)
    wait_for(lambda: serving(url, 1))
    models.registry.delete_alias(name, "champion")
    client = Client(url)
    health = wait_for(lambda: (h := client.health())["status"] == "degraded" and h)

    assert health["reason"] == "the registry has no alias @champion on alias-removed; version 1 stays in service"
    assert client.ask()[0] == 200
    models.promote(name, 1)
    wait_for(lambda: serving(url, 1))


def test_no_champion_at_start_answers_503_until_one_appears(models, zero, start):
    """Without a champion every endpoint says 503 in one sentence; the first champion is served when it comes."""
    name = "no-champion"
    url = start(name)
    client = Client(url)
    wait_for(lambda: client.health()["reason"])
    status, headers, text = client.ask()
    expected = "No version of no-champion is being served: the registry has no registered model no-champion"

    assert (503, expected) == (status, json.loads(text)["message"])
    assert headers["Retry-After"] == "1" and headers["X-Model-Name"] == name and headers["X-Model-Version"] is None
    assert [client.ask(path, None)[0] for path in ("/ping", "/health", "/version")] == [503, 503, 503]

    models.promote(name, models.register(name, zero))
    wait_for(lambda: serving(url, 1))
    assert client.ask()[0] == 200 and client.ask("/ping", None)[0] == 200


def test_a_registry_that_is_gone_leaves_the_model_in_service(zero, tmp_path):
    """While the database is away requests are answered and /health is degraded; when it is back, all is well."""
    models = Models(tmp_path)
    models.promote("m", models.register("m", zero))
    listener = serve.listen("127.0.0.1", 0)
    (tmp_path / "root").mkdir()
    server = serve.make_server(
        "m", listener=listener, root=tmp_path / "root", uri=models.registry.uri, alias="champion", poll_seconds=0.05
    )
    with running_app(server, listener) as url:
        wait_for(lambda: serving(url, 1))
        models.database.rename(tmp_path / "away.db")
        client = Client(url)
        health = wait_for(lambda: (h := client.health())["status"] == "degraded" and h)
        assert "there is no MLflow database" in health["reason"] and "MLflow database" in health["last_error"]
        assert client.ask()[0] == 200
        (tmp_path / "away.db").rename(models.database)
        wait_for(lambda: serving(url, 1))


def test_backoff_doubles_up_to_a_bound_and_is_random():
    """The wait doubles with each failure, never exceeds its cap, and half of it is drawn."""
    longest = [backoff(n, 2.0, draw=lambda: 1.0) for n in range(1, 40)]

    assert longest[:4] == [4.0, 8.0, 16.0, 32.0] and set(longest[5:]) == {60.0}
    assert backoff(1, 2.0, draw=lambda: 0.0) == 2.0


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
    """An error's JSON without its stack trace, which holds line numbers; any other text as it is."""
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
    return models.loaded("linear", 1)


@pytest.fixture(scope="module")
def mlflow_url(linear):
    """MLflow's own scoring server with the same model."""
    import uvicorn
    from mlflow.pyfunc import scoring_server

    listener = serve.listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(scoring_server.init(linear.scorer.model), log_level="critical"))
    with running_app(server, listener) as url:
        yield url


def test_every_answer_is_the_one_of_mlflows_server(start, mlflow_url):
    """Status, media type and body agree with MLflow's scoring server for good and bad requests alike."""
    url = start("linear")
    wait_for(lambda: serving(url, 1))
    ours, theirs = Client(url), Client(mlflow_url)
    for label, (media, body) in PROTOCOL.items():
        got, expected = (client.ask(body=body, headers={"Content-Type": media}) for client in (ours, theirs))

        assert (label, expected[0], without_trace(expected[2])) == (label, got[0], without_trace(got[2]))
        assert expected[1]["Content-Type"] == got[1]["Content-Type"], label
        assert got[1]["X-Model-Version"] == "1" and got[1]["X-Model-Name"] == "linear"
    assert theirs.ask("/ping", None)[::2] == ours.ask("/ping", None)[::2]
    assert ours.ask(body='{"a": ')[0] == 400


def test_answers_together_are_bit_for_bit_the_answers_alone(booster):
    """Tables of several shapes, bad ones among them, answered in one batch give the very texts they give alone."""
    rng = np.random.default_rng(3)
    requests = [Request(body if isinstance(body, bytes) else body.encode(), media) for media, body in PROTOCOL.values()]
    for size in rng.integers(1, 9, 40):
        table = ROWS.sample(int(size), random_state=int(size))
        requests.append(Request(json.dumps({"dataframe_split": table.to_dict("split")}).encode(), "application/json"))
        requests.append(Request(table.to_csv(index=False).encode(), "text/csv"))
    order = rng.permutation(len(requests))
    mixed = [requests[i] for i in order]
    together = booster.scorer.answers(mixed)
    alone = [booster.scorer.alone(request) for request in mixed]

    assert booster.scorer.batching
    assert [(a.status, without_trace(a.text)) for a in alone] == [(a.status, without_trace(a.text)) for a in together]
    assert sum(a.status == 200 for a in together) >= 80


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


def test_a_bad_request_does_not_fail_its_neighbours(linear):
    """A row that makes the shared predict fail (NaN) gets its own error; the others get their answers."""
    counting = Counting(linear.scorer.model)
    scorer = Scorer(counting, batching=True)
    good = Request(ONE_ROW.encode(), "application/json")
    bad = Request(PROTOCOL["null"][1].encode(), "application/json")

    assert [a.status for a in scorer.answers([good, good, good])] == [200, 200, 200]
    assert counting.tables == [3]
    assert [a.status for a in scorer.answers([good, bad, good])] == [200, 400, 200]
    assert counting.tables == [3, 3, 1, 1, 1]


@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series, lambda v: pd.DataFrame({"p": v})])
def test_split_cuts_every_kind_of_answer(kind):
    """Arrays, lists, series and frames are cut by rows, and a wrong number of rows is refused."""
    parts = split(kind([1, 2, 3, 4]), [1, 3])

    assert [len(part) for part in parts] == [1, 3]
    assert np.asarray(parts[1]).ravel().tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="4 predictions for 5 rows"):
        split(kind([1, 2, 3, 4]), [5])


def test_a_model_that_looks_at_other_rows_is_not_batched(models, tmp_path):
    """A model whose answer depends on the rest of the table is found out while warming, and said so."""
    models.register("mean", save_held(models, tmp_path, "meanmodule", 0, mean=True))
    served = models.loaded("mean", 1)

    assert not served.scorer.batching
    assert served.notes == ("its answer to a row depends on the other rows, so requests are not put together",)


def test_a_model_without_an_example_is_served_with_a_note(models):
    """No input example: served unwarmed, and the notes say so."""
    models.register("bare", models.save(constant(1), example=None, signature=False))
    served = models.loaded("bare", 1)

    assert served.scorer.batching and "no input example" in served.notes[0]
    assert served.scorer.alone(Request(ONE_ROW.encode(), "application/json")).text == '{"predictions": [1]}'


def test_a_version_runs_its_own_code(models, start, tmp_path):
    """Two versions that carry different modules of one name each answer with their own."""
    name = "own-code"
    for value in (10, 20):
        models.register(name, save_held(models, tmp_path, "owncodemodule", value))
    models.promote(name, 1)
    url = start(name)
    client = Client(url)
    try:
        for version, value in ((1, 10), (2, 20), (1, 10)):
            models.promote(name, version)
            wait_for(lambda version=version: serving(url, version))
            assert client.ask()[2] == f'{{"predictions": [{value}]}}'
    finally:
        sys.modules.pop("owncodemodule", None)


def ask_in_thread(url, answers):
    """Send one request from a thread of its own; its answer goes into the queue."""
    thread = threading.Thread(target=lambda: answers.put(Client(url).ask()))
    thread.start()
    return thread


def test_waiting_requests_share_a_predict_and_a_full_queue_says_503(models, start, tmp_path):
    """While one predict runs the others wait, at most `limit`; then they are answered by one predict."""
    name = "held"
    models.promote(name, models.register(name, save_held(models, tmp_path, "heldmodule", 5)))
    url = start(name, limit=6, max_body=1000)
    wait_for(lambda: serving(url, 1))
    hold = tmp_path / "hold"
    hold.touch()
    answers: queue.SimpleQueue = queue.SimpleQueue()
    threads = [ask_in_thread(url, answers)]
    wait_for((tmp_path / "began").exists)
    client = Client(url)
    before = client.health()
    threads += [ask_in_thread(url, answers) for _ in range(20)]
    wait_for(lambda: answers.qsize() == 14)  # 6 wait, 1 is being answered
    refused = [answers.get() for _ in range(14)]
    assert {(status, headers["Retry-After"]) for status, headers, _ in refused} == {(503, "1")}
    assert client.ask("/ping", None)[0] == 200  # the event loop is free
    hold.unlink()
    for thread in threads:
        thread.join(20)
    after = client.health()

    assert {answers.get()[2] for _ in range(7)} == {'{"predictions": [5]}'}
    assert (after["batches"] - before["batches"], after["requests"] - before["requests"]) == (2, 7)
    assert after["refused"] == 14
    status, _, text = client.ask(body="x" * 1001)
    assert (status, "limit of 1000 bytes" in text) == (413, True)


def test_the_command_serves_until_sigterm_and_finishes_what_is_in_flight(models, tmp_path):
    """The first line names version and address; SIGTERM answers the request in flight, then exit code 0."""
    name = "command"
    models.promote(name, models.register(name, save_held(models, tmp_path, "commandmodule", 7)))
    command = [sys.executable, str(Path(serve.__file__)), name, "--port", "0", "--poll-seconds", "0.2"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": models.registry.uri, "TMPDIR": str(tmp_path)}
    errors = (tmp_path / "stderr").open("w+")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
    try:
        line = process.stdout.readline().strip()
        url = line.rpartition(" ")[2]
        assert line == f"serving command version 1 at {url}" and url.startswith("http://127.0.0.1:")
        content = json.loads(Client(url).ask("/version", None)[2])
        assert {"name": "command", "version": 1, "digest": None}.items() <= content.items() and content["run_id"]
        (tmp_path / "hold").touch()
        answers: queue.SimpleQueue = queue.SimpleQueue()
        thread = ask_in_thread(url, answers)
        wait_for((tmp_path / "began").exists)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts(url))
        (tmp_path / "hold").unlink()
        thread.join(20)

        assert answers.get()[::2] == (200, '{"predictions": [7]}')
        assert process.wait(20) == 0
        assert not list(tmp_path.glob("serve-*")), "its temporary folder is left"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        errors.close()


def accepts(url):
    """Whether something still accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0


def test_a_port_in_use_is_one_sentence(capsys):
    """A port that is taken ends the command with exit code 2 and what to do."""
    with contextlib.closing(serve.listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert serve.main(["m", "--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in capsys.readouterr().err
