"""The version before stays loaded for a while, so that a rollback takes over at once; a third one makes it leave."""

import asyncio
import os
import queue
import shutil
from pathlib import Path
from unittest import mock

import pytest
from promotion.errors import PromotionError
from promotion.serving import app, pool

from tests.serving.test_siblings import gone, ready
from tests.support.serving_world import (
    ONE_ROW,
    ROWS,
    Client,
    Models,
    ask_in_thread,
    make_server,
    own_zygote,
    running_server,
    save_held,
    save_module,
    wait_for,
)

BUSY = """
import threading
import numpy as np
from sklearn.base import BaseEstimator

def compute():
    while True:
        sum(range(100_000))

class Busy(BaseEstimator):
    def __setstate__(self, state):
        super().__setstate__(state)
        threading.Thread(target=compute, daemon=True).start()

    def predict(self, X):
        return np.full(len(X), 1.0)
"""


def answering(value):
    """A model that always answers `value`."""
    from sklearn.dummy import DummyRegressor

    return DummyRegressor(strategy="constant", constant=float(value)).fit(ROWS, [0.0] * len(ROWS))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry with a model of three versions, which answer 1, 2 and 3."""
    models = Models(tmp_path_factory.mktemp("registry"))
    for number in (1, 2, 3):
        assert models.register("kept", models.save(answering(number))) == number
    return models


@pytest.fixture
def kept(models, tmp_path):
    """A server of two workers that serves version 1, and its model's registry."""
    move(models, 1)
    server = make_server(models, ["kept"], tmp_path / "store", workers=2)
    with running_server(server) as url:
        yield server, models, url


def move(models, version):
    """Move @champion."""
    models.registry.set_alias("kept", "champion", version)


def taken(server, url, version):
    """Wait until two workers serve `version`, and it answers; return their process ids."""
    wait_for(lambda: Client(url).health()["version"] == version)
    pids = ready(server, url, 2)
    assert Client(url).ask(body=ONE_ROW)[2] == f'{{"predictions": [{version}.0]}}'
    return pids


def save_busy(models, folder):
    """Save a model that computes in a thread of its own from when it is loaded on."""
    return save_module(models, folder / "code", "busymodule", BUSY, "Busy")


def state(pid):
    """What a process does: R, S, ..., and T where it stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def spent(pid):
    """The processor time that a process has used, in hundredths of a second."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def alter(server):
    """Put what serves into the files of what is kept: it can be loaded, and is not what was judged."""
    model = server.models[0]
    shutil.copy(model.served.local.folder / "model.skops", model.kept.local.folder)


def test_a_rollback_takes_the_workers_that_are_there(kept):
    """Back and forth, the same processes answer."""
    server, models, url = kept
    first = taken(server, url, 1)
    assert Client(url).health()["kept"] is None
    move(models, 2)
    second = taken(server, url, 2)
    assert Client(url).health()["kept"] == 1
    for version, pids in ((1, first), (2, second), (1, first)):
        timer = server.models[0]._kept_until
        move(models, version)
        assert taken(server, url, version) == pids
        assert Client(url).health()["kept"] == 3 - version
        assert timer.cancelled()  # else it would end what is kept from now on


def test_a_third_version_finds_at_most_one_other_in_memory(kept, monkeypatch):
    """The first one's workers are asked to end before the third loads, one after another; none is left."""
    server, models, url = kept
    model = server.models[0]
    first = taken(server, url, 1)
    move(models, 2)
    second = taken(server, url, 2)
    loading = []
    start = pool.Pool.start

    async def seen(self, *args, **options):
        loading.append((model.kept, len(before.links)))
        await start(self, *args, **options)

    before = model.kept.pool
    monkeypatch.setattr(pool.Pool, "start", seen)
    move(models, 3)
    taken(server, url, 3)

    assert loading == [(None, 1)]
    wait_for(lambda: all(map(gone, first)))
    assert Client(url).health()["kept"] == 2
    assert not any(map(gone, second))


def test_it_leaves_after_a_while(kept, monkeypatch):
    """Its memory is given back; going back to it then loads it again."""
    monkeypatch.setattr(app, "KEPT_SECONDS", 0.5)
    server, models, url = kept
    first = taken(server, url, 1)
    move(models, 2)
    taken(server, url, 2)
    wait_for(lambda: all(map(gone, first)))
    assert Client(url).health()["kept"] is None
    move(models, 1)

    assert not set(taken(server, url, 1)) & set(first)


def test_what_is_kept_stands_still(models, tmp_path):
    """What a model does in a thread of its own ends with the promotion of the next, and goes on with its rollback."""
    busy = models.register("busy", save_busy(models, tmp_path))
    other = models.register("busy", models.save(answering(2)))
    models.promote("busy", busy)
    server = make_server(models, ["busy"], tmp_path / "store", workers=2)
    with running_server(server) as url:
        first = ready(server, url, 2)
        models.promote("busy", other)
        wait_for(lambda: Client(url).health()["version"] == other)
        wait_for(lambda: set(map(state, first)) == {"T"})
        models.promote("busy", busy)
        wait_for(lambda: Client(url).health()["version"] == busy)
        before = list(map(spent, first))
        wait_for(lambda: all(map(int.__gt__, map(spent, first), before)))

        assert ready(server, url, 2) == first
        assert Client(url).ask(body=ONE_ROW)[0] == 200


def test_what_still_answers_stands_still_afterwards(models, tmp_path):
    """A request that was begun before the promotion is answered by the version that it was for."""
    held = models.register("still", save_held(models, tmp_path, "heldstill", 1))
    other = models.register("still", models.save(answering(2)))
    models.promote("still", held)
    server, answers = make_server(models, ["still"], tmp_path / "store", workers=1), queue.Queue()
    with running_server(server) as url:
        (first,) = ready(server, url, 1)
        (tmp_path / "hold").touch()
        asking = ask_in_thread(url, answers)
        wait_for((tmp_path / "began").exists)
        models.promote("still", other)
        wait_for(lambda: Client(url).health()["version"] == other)
        assert state(first) != "T"
        (tmp_path / "hold").unlink()
        asking.join()

        assert answers.get()[0] == 200
        wait_for(lambda: state(first) == "T")


@pytest.fixture
def still(models, tmp_path):
    """A server with a zygote of its own that serves version 2, the workers of version 1 standing still, and those."""
    move(models, 1)
    server = make_server(models, ["kept"], tmp_path / "store", workers=2)
    own_zygote(server)
    with running_server(server) as url:
        first = taken(server, url, 1)
        move(models, 2)
        taken(server, url, 2)
        wait_for(lambda: set(map(state, first)) == {"T"})
        yield server, models, url, first
    wait_for(lambda: all(map(gone, first)))


def test_what_stands_still_goes_on_when_its_zygote_is_killed(still):
    """Else it would stay for ever once the server is killed too; from then on it is not stopped, and takes over."""
    server, models, url, first = still
    second = ready(server, url, 2)
    os.kill(server.nursery._process.pid, 9)
    wait_for(lambda: "T" not in set(map(state, first)))
    move(models, 1)
    assert taken(server, url, 1) == first
    wait_for(lambda: "T" not in set(map(state, second)))  # its threads end one by one: it may still be there


def test_what_stands_still_ends_with_its_zygote(still):
    """As it does when the server is killed."""
    server, _, _, first = still
    server.nursery.close()
    wait_for(lambda: all(map(gone, first)))


def test_kept_workers_that_die_are_not_replaced(kept):
    """A version that was left because it crashes costs nothing more; going back to it loads it again, files checked."""
    server, models, url = kept
    first = taken(server, url, 1)
    move(models, 2)
    second = taken(server, url, 2)
    before = server.models[0].kept.pool
    os.kill(first[0], 9)
    wait_for(lambda: len(before.links) == 1)
    alter(server)
    move(models, 1)
    third = taken(server, url, 1)

    assert not set(third) & {*first, *second}
    assert server.models[0].served.local.whole()
    assert Client(url).health()["restarts"] == 0


def test_a_worker_that_was_to_be_replaced_is_not_once_its_version_is_kept(kept):
    """One that died again and again is replaced after a pause, in which its version may have been left."""
    server, models, url = kept
    first = taken(server, url, 1)
    move(models, 2)
    taken(server, url, 2)
    before = server.models[0].kept.pool
    asyncio.run_coroutine_threadsafe(before._again(0.0, None), server._loop).result(30)

    assert {link.pid for link in before.links} == set(first)


def test_what_is_loaded_again_after_all_is_checked_first(kept, monkeypatch):
    """The workers went while the registry was asked, and the files are not what they were: they are fetched again."""
    server, models, url = kept
    model = server.models[0]
    taken(server, url, 1)
    move(models, 2)
    taken(server, url, 2)
    local = model.kept.local
    install = model.follower.install

    def late(one, unwanted):
        if one.unread:
            alter(server)
            server._loop.call_soon_threadsafe(model._let_go)
        return install(one, unwanted)

    monkeypatch.setattr(model.follower, "install", late)
    move(models, 1)
    taken(server, url, 1)

    assert local.whole()
    assert model.follower.failed_loads == 1


def test_workers_that_are_still_at_work_do_not_take_over(models, tmp_path):
    """They would let others wait: the version is loaded again, and their request is answered all the same."""
    held = models.register("held", save_held(models, tmp_path, "heldkept", 1))
    other = models.register("held", models.save(answering(2)))
    models.promote("held", held)
    server, answers = make_server(models, ["held"], tmp_path / "store", workers=2), queue.Queue()
    with running_server(server) as url:
        first = ready(server, url, 2)
        (tmp_path / "hold").touch()
        asking = ask_in_thread(url, answers)
        wait_for((tmp_path / "began").exists)
        models.promote("held", other)
        wait_for(lambda: Client(url).health()["version"] == other)
        (tmp_path / "began").unlink()
        models.promote("held", held)
        wait_for((tmp_path / "began").exists)  # as it is loaded, it is asked for its example
        (tmp_path / "hold").unlink()
        wait_for(lambda: Client(url).health()["version"] == held)
        asking.join()

        assert answers.get()[0] == 200
        assert not set(ready(server, url, 2)) & set(first)


def test_a_rollback_needs_no_files(kept, caplog, monkeypatch):
    """What is in memory takes over although its files are gone; then they are fetched again, as any version's are."""
    caplog.set_level("INFO", "serve")
    server, models, url = kept
    first = taken(server, url, 1)
    move(models, 2)
    taken(server, url, 2)
    local = server.models[0].kept.local
    with monkeypatch.context() as patch:
        patch.setattr(models.registry, "fetch_version", mock.Mock(side_effect=PromotionError("its store is down")))
        shutil.rmtree(local.folder)
        move(models, 1)
        assert taken(server, url, 1) == first
        wait_for(lambda: any("could not be fetched again" in line for line in caplog.messages))
    wait_for(lambda: Client(url).health()["status"] == "ok")

    assert local.whole()


def test_a_version_that_cannot_be_loaded_changes_nothing_for_what_serves(kept, tmp_path):
    """It makes the kept one leave, and what serves goes on; from there, what the registry names is loaded."""
    server, models, url = kept
    taken(server, url, 1)
    move(models, 2)
    second = taken(server, url, 2)
    broken = answering(0)
    broken.constant_[:] = float("nan")
    move(models, models.register("kept", models.save(broken)))
    wait_for(lambda: Client(url).health()["status"] == "degraded")
    assert Client(url).health()["kept"] is None
    move(models, 1)
    taken(server, url, 1)
    move(models, 2)

    assert taken(server, url, 2) == second
