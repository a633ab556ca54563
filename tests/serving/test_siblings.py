"""A version is loaded once: the worker that loaded it forks the others, where it can be forked."""

import contextlib
import http.client
import logging
import os
import re
import threading
from pathlib import Path

import pytest
from promotion.serving import pool

from tests.support.serving_world import (
    Client,
    Models,
    constant,
    make_server,
    own_zygote,
    running_server,
    save_module,
    started,
    wait_for,
)

ROWS = '{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}'
# Each load writes a line with its process; `keeps` says what it leaves open.
NOTED = """
import os, socket, threading, time
import numpy as np
from sklearn.base import BaseEstimator

class Noted(BaseEstimator):
    def __init__(self, folder="", keeps="", size=0):
        self.folder = folder
        self.keeps = keeps
        self.size = size

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(os.path.join(self.folder, "loads"), "a") as file:
            file.write(f"{os.getpid()}\\n")
            again = file.tell() > len(f"{os.getpid()}\\n")
        while again and os.path.exists(os.path.join(self.folder, "hold")):
            time.sleep(0.01)
        if self.keeps == "thread":
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        if self.keeps == "file":
            self.file_ = open(os.devnull)
        self.weights_ = np.ones(self.size)

    def predict(self, X):
        if np.asarray(X)[0, 0] == 7:
            open(os.path.join(self.folder, "hangs"), "w").close()
            while True:
                pass
        return np.full(len(X), float(os.getpid() % 1000))
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


def noted(models, folder, name, **parameters):
    """Register a model that notes each load, and make it champion; return the file of its notes."""
    saved = save_module(models, folder / "code", "notedmodule", NOTED, "Noted", folder=str(folder), **parameters)
    (folder / "loads").unlink(missing_ok=True)
    models.promote(name, models.register(name, saved))
    return folder / "loads"


def ready(server, url, count):
    """Wait until `count` workers are there; return their process ids."""
    wait_for(lambda: Client(url).health()["workers"] == count, 60)
    return [link.pid for link in server.models[0].served.pool.ready]


def asked(url, body):
    """Ask, where no answer may come."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        Client(url).ask(body=body)


def gone(pid):
    """Whether there is no such process, or only what is left of one that ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # it went while we looked
        return True


@pytest.mark.parametrize(("keeps", "loads"), [("", 1), ("thread", 3), ("file", 3)])
def test_a_version_is_loaded_once_where_it_can_be_forked(models, tmp_path, keeps, loads):
    """What runs a thread, or keeps a file open, is loaded by each worker instead; there are three at any rate."""
    notes = noted(models, tmp_path, f"once{keeps}", keeps=keeps)
    server = make_server(models, [f"once{keeps}"], tmp_path / "store", workers=3)
    with running_server(server) as url:
        pids = ready(server, url, 3)

        assert len(set(pids)) == 3
        assert {int(line) for line in notes.read_text().split()} <= set(pids)
        assert len(notes.read_text().split()) == loads
        assert len(server.models[0].served.pool.links) == 3
        assert Client(url).ask(body=ROWS)[0] == 200


def test_a_version_whose_second_worker_never_loads_gives_way_to_the_next(models, tmp_path, monkeypatch):
    """Its first one has loaded, and it waits for as many as there were: no longer than somebody wants it."""
    monkeypatch.setattr(pool, "GIVE_UP_SECONDS", 0.5)
    plain = models.save(constant(1))
    models.promote("second", models.register("second", plain))
    with started(models, "second", tmp_path / "store") as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        (tmp_path / "hold").touch()
        notes = noted(models, tmp_path, "second", keeps="thread")
        wait_for(lambda: notes.exists() and len(notes.read_text().split()) == 2)
        models.promote("second", models.register("second", plain))
        wait_for(lambda: Client(url).health()["version"] == 3)
        (tmp_path / "hold").unlink()


def test_workers_share_the_memory_of_what_was_loaded(models, tmp_path):
    """64 MB of weights are there once: a worker that was forked has next to none of them to itself."""
    notes = noted(models, tmp_path, "large", size=8 << 20)
    server = make_server(models, ["large"], tmp_path / "store", workers=2)
    with running_server(server) as url:
        forked = set(ready(server, url, 2)) - {int(notes.read_text())}
        rollup = Path(f"/proc/{forked.pop()}/smaps_rollup").read_text()
        sizes = {what: re.findall(rf"^{what}_\w+: +(\d+) kB", rollup, re.M) for what in ("Private", "Shared")}

    assert sum(map(int, sizes["Shared"])) > 64 << 10
    assert sum(map(int, sizes["Private"])) < 64 << 10


def test_a_forked_worker_that_is_killed_is_told_and_replaced(models, tmp_path, caplog):
    """The zygote is its parent, so how it ended is known; the one in its place loads by itself."""
    caplog.set_level(logging.INFO, logger="serve")
    notes = noted(models, tmp_path, "killed")
    server = make_server(models, ["killed"], tmp_path / "store", workers=2)
    with running_server(server) as url:
        pids = ready(server, url, 2)
        (forked,) = set(pids) - {int(notes.read_text())}
        os.kill(forked, 9)
        wait_for(lambda: server.models[0].served.pool.restarts == 1)
        ready(server, url, 2)

    assert re.search(rf'event=worker-died .*pid={forked} text="it was ended by signal 9"', caplog.text)
    assert len(notes.read_text().split()) == 2


@pytest.mark.slow
def test_a_forked_worker_in_an_endless_predict_ends_with_its_zygote(models, tmp_path):
    """Nothing is left at work once the server is gone."""
    noted(models, tmp_path, "endless")
    server = make_server(models, ["endless"], tmp_path / "store", workers=2, timeout=60.0)
    own_zygote(server)
    with running_server(server) as url:
        pids = ready(server, url, 2)
        for _ in pids:
            threading.Thread(target=asked, args=[url, ROWS.replace("[[1", "[[7")], daemon=True).start()
        wait_for(lambda: all(link.batch for link in server.models[0].served.pool.ready))
        wait_for((tmp_path / "hangs").exists)
        server.nursery.close()
        wait_for(lambda: all(map(gone, pids)))


def test_only_a_child_of_the_zygote_is_taken_for_a_worker(models, tmp_path):
    """A model that names another process, or the worker of another model, has that one neither watched nor ended."""
    noted(models, tmp_path, "names")
    server = make_server(models, ["names"], tmp_path / "store", workers=2)
    with running_server(server) as url:
        for pid in (0, 1, -1, os.getpid(), *ready(server, url, 2)):
            with pytest.raises(ValueError, match="is no worker"):
                server.nursery.adopt(pid, lambda code: None)
