"""What the tests of the server share: a registry with models to put into it, servers, and clients."""

import atexit
import contextlib
import http.client
import importlib
import json
import os
import sys
import threading
import time
from unittest import mock
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from promotion.records.files import digest_files
from promotion.registry.client import Registry
from promotion.registry.ledger import LedgerEntry
from promotion.serving import worker
from promotion.serving.loading import fetch
from promotion.serving.nursery import Nursery
from promotion.serving.server import Server, Settings, listen
from promotion.serving.store import Store

from tests.support.mlflow_server import empty_database

COLUMNS = ["a", "b", "c"]

ROWS = pd.DataFrame(np.random.default_rng(7).normal(size=(200, 3)), columns=COLUMNS)

EXAMPLE = ROWS.head(2)

NURSERY = Nursery()  # imports the libraries once for all servers of a test run
SECRETS = {"MLFLOW_TRACKING_PASSWORD": "x", "MY_SECRET": "x"}  # what is around it when it starts, and no model may see
atexit.register(NURSERY.close)

BOOSTER_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]

JSON = {"Content-Type": "application/json"}

ONE_ROW = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[1.0, 2.0, 3.0]]}})

# A model with code of its own: it answers `VALUE` (`spread`: plus column a), and waits in `predict` while a file
# named `hold` exists.
OWN_CODE = """
import time
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator

VALUE = {value}

class Held(BaseEstimator):
    def __init__(self, folder="", spread=False):
        self.folder = folder
        self.spread = spread

    def predict(self, X):
        hold = Path(self.folder) / "hold"
        if hold.exists():
            (Path(self.folder) / "began").touch()
        deadline = time.monotonic() + 20
        while hold.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        return np.full(len(X), VALUE) + (np.asarray(X)[:, 0] if self.spread else 0)
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
        self.registry = Registry(empty_database(folder))
        self.saved = 0

    def save(self, model, *, rows=ROWS, example=EXAMPLE, signature=True, **options):
        """Save a fitted scikit-learn model in the skops format; return its folder."""
        import mlflow.sklearn
        import sklearn
        from mlflow.models import infer_signature

        self.saved += 1
        path = self.folder / f"saved-{self.saved}"
        inferred = infer_signature(rows, rows.a.to_numpy()) if signature else False
        mlflow.sklearn.save_model(
            model,
            str(path),
            serialization_format="skops",
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
            signature=inferred,
            input_example=example,
            **options,
        )
        return path

    def register(self, name, path, *, confirmed=True, **tags):
        """Log a saved model's files to a run, register them, and confirm their digest, or `digest`, as a pin's.

        Returns the version's number.
        """
        run = self.registry.create_run(name, "train", {})
        self.registry.log_files(run.run_id, path, "model")
        self.registry.finish_run(run.run_id)
        tags.setdefault("digest", digest_files(path))
        version = self.registry.register(name, run, tags).version
        if confirmed:
            confirm(self.registry, name, version, tags["digest"])
        return version

    def promote(self, name, version):
        """Point @champion at a version."""
        self.registry.set_alias(name, "champion", version)

    def loaded(self, name, version):
        """Load a version in this process as a worker does; return its scorer and notes."""
        local = fetch(self.registry, self.registry.version(name, version), Store(self.folder / "loaded"))
        scorer, notes = worker.load({"folder": str(local.folder), "label": local.label})
        return scorer, [*notes, *([scorer.proof.note] if scorer.proof.note else [])]


def confirm(registry, name, version, digest, *, reason="merge", height=None):
    """Write into the ledger that main pinned these files; height: the version's number, unless given."""
    pin = LedgerEntry(
        height=height or version, commit="a" * 40, before=None, version=version, digest=digest, reason=reason,
        at="2026-08-01T00:00:00Z", by="test",
    )  # fmt: skip
    registry.set_model_tag(name, pin.key, pin.text())


def constant(value):
    """A classifier that always answers `value`."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="constant", constant=value).fit(ROWS, np.arange(len(ROWS)) % 2)


@contextlib.contextmanager
def running_server(server):
    """Run a server in a thread; yield its URL."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.started.wait(20)
        yield f"http://127.0.0.1:{server.listener.getsockname()[1]}"
    finally:
        server.stop()
        thread.join(40)
        server.listener.close()
        assert not thread.is_alive()


def serving(url, version):
    """Whether the server says that `version` serves and all is well."""
    health = Client(url).health()
    return health if health["version"] == version and health["status"] == "ok" else None


def save_held(models, folder, module, value, **parameters):
    """Save a model of class `module`.Held that answers `value`; return the saved folder."""
    code = OWN_CODE.format(value=value)
    return save_module(models, folder / f"code-{value}", module, code, "Held", folder=str(folder), **parameters)


def save_module(models, where, module, code, name, *, example=EXAMPLE, **parameters):
    """Save a model of a class of its own: `code` is written to `where` as `module`; return the saved folder."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{module}.py"
    path.write_text(code)
    sys.path.insert(0, str(where))
    try:
        importlib.invalidate_caches()
        model = getattr(importlib.import_module(module), name)(**parameters)
        return models.save(model, code_paths=[str(path)], skops_trusted_types=[f"{module}.{name}"], example=example)
    finally:
        sys.path.remove(str(where))
        sys.modules.pop(module, None)


def ask_in_thread(url, answers):
    """Send one request from a thread of its own; its answer goes into the queue."""
    thread = threading.Thread(target=lambda: answers.put(Client(url).ask()))
    thread.start()
    return thread


def own_zygote(server):
    """Give a server of one model, before it runs, a zygote that no other test needs."""
    server.nursery = server.models[0].nursery = Nursery()
    server.own_nursery = True


QUEUE = ("limit", "limit_bytes", "most")


def make_server(models, names, store, **options):
    """A server of `names` that polls 20 times a second; options: those of Settings, and limits of its queue."""
    batch = {name: options.pop(name) for name in QUEUE if name in options}
    settings = Settings(**{"poll_seconds": 0.05, "batch": batch, **options})
    with mock.patch.dict(os.environ, SECRETS):
        NURSERY.start()
    return Server(
        names,
        listener=listen("127.0.0.1", 0),
        registry=models.registry,
        store=Store(store),
        settings=settings,
        nursery=NURSERY,
    )


@contextlib.contextmanager
def started(models, name, store, **options):
    """Run a server for one model; yield its URL."""
    with running_server(make_server(models, [name], store, **options)) as url:
        yield url
