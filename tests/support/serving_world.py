"""What the tests of the server share: a registry with models to put into it, servers, and clients."""

import contextlib
import http.client
import importlib
import json
import sys
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import serve
from promotion.registry.client import Registry
from promotion.serving.loading import load

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

    def save(self, model, *, rows=ROWS, example=EXAMPLE, signature=True, **options):
        """Save a fitted scikit-learn model in the skops format; return its folder."""
        import mlflow.sklearn
        from mlflow.models import infer_signature

        self.saved += 1
        path = self.folder / f"saved-{self.saved}"
        inferred = infer_signature(rows, rows.a.to_numpy()) if signature else False
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


def ask_in_thread(url, answers):
    """Send one request from a thread of its own; its answer goes into the queue."""
    thread = threading.Thread(target=lambda: answers.put(Client(url).ask()))
    thread.start()
    return thread


@contextlib.contextmanager
def started(models, name, root, **limits):
    """Run a server for `name` that polls 20 times a second; yield its URL."""
    listener = serve.listen("127.0.0.1", 0)
    root.mkdir(exist_ok=True)
    server = serve.make_server(
        name,
        listener=listener,
        root=root,
        uri=models.registry.uri,
        alias="champion",
        poll_seconds=0.05,
        **limits,
    )
    with running_app(server, listener) as url:
        yield url
