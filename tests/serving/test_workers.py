"""Models live in processes of their own: whatever one does to its process, every other request is answered."""

import errno
import json
import os
import queue
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from promotion.serving import nursery, pool
from promotion.serving.batching import HEAVY_BYTES, TIMED_OUT, Batcher
from promotion.serving.store import Local, Store

from tests.support.serving_world import (
    COLUMNS,
    Client,
    Models,
    constant,
    make_server,
    own_zygote,
    running_server,
    save_module,
    serving,
    started,
    wait_for,
)

# Its first column says what it does; the proof at load never asks for these.
UNRULY = """
import ctypes, os, signal, sys, threading, time
import numpy as np
from sklearn.base import BaseEstimator

class Panic(BaseException):
    pass

class Unruly(BaseEstimator):
    def __init__(self, folder="", at_load=0):
        self.folder = folder
        self.at_load = at_load

    def predict(self, X):
        if self.at_load:
            self._do(self.at_load)
        X = np.asarray(X, dtype=float)
        for what in X[:, 0]:
            if what >= 100:
                self._do(int(what))
        return X[:, 0] + 2 * X[:, 1]

    def _do(self, what):
        if what == 101: raise Panic("a Rust panic")
        if what == 102: sys.exit(3)
        if what == 103: raise KeyboardInterrupt
        if what == 104: raise MemoryError("no more")
        if what == 105: raise GeneratorExit
        if what == 106: os.fork()
        if what == 111: os._exit(3)
        if what == 112: os.kill(os.getpid(), signal.SIGKILL)
        if what == 113: ctypes.string_at(0)
        if what == 114:
            if os.fork(): os._exit(3)
            while os.path.exists(self.folder + "/hold"): time.sleep(0.01)
            os._exit(0)
        if what == 115:
            os.closerange(3, 4096)
            while True: pass
        if what == 116:
            threading.Thread(target=time.sleep, args=(3600,)).start()
            sys.stderr.close()
        if what == 120:
            open(self.folder + "/began", "w").close()
            while os.path.exists(self.folder + "/hold"): time.sleep(0.01)
        if what == 121: time.sleep(3600)
        if what == 123:
            while os.path.exists(self.folder + "/long"): time.sleep(0.01)
        if what == 122 and not os.path.exists(self.folder + "/once"):
            open(self.folder + "/once", "w").close()
            os._exit(3)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """One registry for the file; each test uses a model name of its own."""
    return Models(tmp_path_factory.mktemp("registry"))


def unruly(models, folder, name, **parameters):
    """Register an unruly model and make it champion; return its version."""
    saved = save_module(models, folder / "code", "unrulymodule", UNRULY, "Unruly", folder=str(folder), **parameters)
    version = models.register(name, saved)
    models.promote(name, version)
    return version


def row(*values):
    """The body of a one-row request."""
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [list(map(float, values))]}})


GOOD = row(1, 2, 3), '{"predictions": [5.0]}'


@pytest.fixture(scope="module")
def url(models, tmp_path_factory):
    """A server of an unruly model with two workers."""
    folder = tmp_path_factory.mktemp("unruly")
    unruly(models, folder, "unruly")
    with started(models, "unruly", folder / "store", timeout=20.0) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        yield url


def asked_among_good_ones(url, what):
    """Ask for `what` and twenty times for something good, at once: it alone must be answered by 500."""
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def ask(body):
        answers.put((body, Client(url).ask(body=body)[::2]))

    bodies = [GOOD[0]] * 10 + [row(what, 0, 0)] + [GOOD[0]] * 10
    threads = [threading.Thread(target=ask, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Counter(answers.get() for _ in threads)
    assert found == {(GOOD[0], (200, GOOD[1])): 20, (row(what, 0, 0), (500, "Internal Server Error")): 1}


@pytest.mark.parametrize("what", [101, 102, 103, 104, 105])
def test_whatever_a_model_raises_is_that_requests_500(url, what):
    """A Rust panic, sys.exit and no memory fail one request; its neighbours in the batch are answered."""
    asked_among_good_ones(url, what)
    health = Client(url).health()
    assert (health["status"], health["workers"], health["batching"]) == ("ok", 2, True)


@pytest.mark.parametrize("what", [112, *(pytest.param(what, marks=pytest.mark.slow) for what in (111, 113))])
def test_a_request_that_kills_its_worker_fails_alone(url, what):
    """The workers it killed are started again; what waited with it is answered, and it is not tried a fourth time."""
    before = Client(url).health()["restarts"]
    asked_among_good_ones(url, what)
    wait_for(lambda: Client(url).health()["workers"] == 2)
    assert Client(url).health()["restarts"] == before + 3


@pytest.mark.parametrize(("what", "status"), [(106, 200), (114, 500)])
def test_a_model_that_forks_costs_nobody_elses_request(models, tmp_path, what, status):
    """A process that answers twice is ended, one whose own child outlives it is missed; all others are answered."""
    name = f"forking-{what}"
    unruly(models, tmp_path, name)
    (tmp_path / "hold").touch()
    with started(models, name, tmp_path / "store", timeout=20.0) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        with ThreadPoolExecutor(16) as threads:
            answers = list(
                threads.map(lambda body: Client(url).ask(body=body)[::2], [row(what, 0, 0), *[GOOD[0]] * 60])
            )
        assert answers[0][0] == status and answers[1:] == [(200, GOOD[1])] * 60
        wait_for(lambda: (h := Client(url).health())["restarts"] >= 1 and h["workers"] == 2)
    (tmp_path / "hold").unlink()


def gone(pid):
    """Whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()


def test_a_worker_that_nobody_hears_any_more_is_ended(models, tmp_path):
    """A model closes every file and computes on: its process would take a core for as long as the server runs."""
    unruly(models, tmp_path, "deaf")
    server = make_server(models, ["deaf"], tmp_path / "store")
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        pids = [link.pid for link in server.models[0].served.pool.ready]
        assert Client(url).ask(body=row(115, 0, 0))[0] == 500
        wait_for(lambda: all(map(gone, pids)))
        wait_for(lambda: Client(url).health()["workers"] == 2)


def test_a_model_that_closes_its_output_ends_with_the_server(models, tmp_path):
    """It also keeps a thread, so a process that does not end at once never would."""
    unruly(models, tmp_path, "mute")
    server = make_server(models, ["mute"], tmp_path / "store", workers=1)
    with running_server(server) as url:
        wait_for(lambda: serving(url, 1))
        (link,) = server.models[0].served.pool.ready
        assert Client(url).ask(body=row(116, 0, 0))[0] == 200
    wait_for(lambda: gone(link.pid))


def test_no_room_for_a_process_is_told_and_tried_again(models, tmp_path, monkeypatch):
    """The zygote lives on: with it would go the watch over all workers, and seconds of imports come before the next."""
    full = tmp_path / "full.py"
    full.write_text(
        "import errno, os, pathlib, runpy\n"
        f"fork, room = os.fork, pathlib.Path({str(tmp_path / 'room')!r})\n"
        "def forked():\n"
        "    if not room.exists(): raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
        "    return fork()\n"
        f"os.fork = forked\nrunpy.run_path({str(nursery.ZYGOTE)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(nursery, "ZYGOTE", full)
    models.promote("room", models.register("room", models.save(constant(1))))
    server = make_server(models, ["room"], tmp_path / "store")
    own_zygote(server)
    with running_server(server) as url:
        client = Client(url)
        health = wait_for(lambda: (h := client.health())["reason"] and h, 60)
        assert "no process for it could be started ([Errno 11] Resource temporarily unavailable)" in health["reason"]
        zygote = server.nursery._process.pid
        (tmp_path / "room").touch()
        wait_for(lambda: serving(url, 1))

        assert server.nursery._process.pid == zygote


def test_a_worker_that_dies_once_costs_no_request(models, tmp_path):
    """A request whose worker died is asked again, and answered."""
    unruly(models, tmp_path, "once")
    with started(models, "once", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))

        assert Client(url).ask(body=row(122, 1, 0))[::2] == (200, '{"predictions": [124.0]}')


@pytest.mark.slow
def test_workers_killed_under_load_lose_no_request(models, tmp_path):
    """Eight clients ask while every worker is killed, again and again: each answer is right."""
    unruly(models, tmp_path, "killed")
    server = make_server(models, ["killed"], tmp_path / "store")
    with running_server(server) as url:
        wait_for(lambda: serving(url, 1))
        answers, stop = Counter(), threading.Event()

        def ask():
            client = Client(url)
            while not stop.is_set():
                answers[client.ask(body=GOOD[0])[::2]] += 1

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            wait_for(lambda: len(server.models[0].served.pool.ready) == 2)
            pids = [link.pid for link in server.models[0].served.pool.ready]
            for pid in pids:
                os.kill(pid, 9)
            wait_for(lambda pids=pids: not {link.pid for link in server.models[0].served.pool.ready} & set(pids))
            seen = answers.total()
            wait_for(lambda seen=seen: answers.total() > seen + 20)
        stop.set()
        for thread in threads:
            thread.join(30)
        restarts = server.models[0].served.pool.restarts

    assert set(answers) == {(200, GOOD[1])}
    assert restarts >= 6


@pytest.mark.slow
def test_a_zygote_that_dies_is_started_again(models, tmp_path):
    """Without it no worker could be forked; those that live go on, and a dead one is still replaced."""
    unruly(models, tmp_path, "orphans")
    server = make_server(models, ["orphans"], tmp_path / "store")
    own_zygote(server)
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2, 60)
        server.nursery._process.kill()
        assert Client(url).ask(body=GOOD[0])[::2] == (200, GOOD[1])
        os.kill(server.models[0].served.pool.ready[0].pid, 9)
        wait_for(lambda: server.models[0].served.pool.restarts == 1 and Client(url).health()["workers"] == 2, 60)


def test_a_slow_request_does_not_hold_up_quick_ones(models, tmp_path):
    """While one request is in its predict, others are answered by the second worker."""
    unruly(models, tmp_path, "slow")
    (tmp_path / "hold").touch()
    with started(models, "slow", tmp_path / "store") as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        answers: queue.SimpleQueue = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: answers.put(Client(url).ask(body=row(120, 0, 0))))
        thread.start()
        wait_for((tmp_path / "began").exists)
        client = Client(url)
        times = []
        for _ in range(50):
            began = time.monotonic()
            assert client.ask(body=GOOD[0])[::2] == (200, GOOD[1])
            times.append(time.monotonic() - began)
        (tmp_path / "hold").unlink()
        thread.join(20)

    assert answers.get()[0] == 200
    assert max(times) < 1.0


def test_heavy_requests_leave_one_worker_to_quick_ones(models, tmp_path):
    """Two large tables are answered one after the other where there are two workers, and a row meanwhile."""
    unruly(models, tmp_path, "heavy")
    (tmp_path / "hold").touch()
    server = make_server(models, ["heavy"], tmp_path / "store")
    with running_server(server) as url, ThreadPoolExecutor(3) as clients:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        heavy = row(120, 0, 0) + " " * HEAVY_BYTES
        held = [clients.submit(lambda: Client(url).ask(body=heavy)) for _ in range(2)]
        wait_for(lambda: (tmp_path / "began").exists() and server.models[0].batcher.waiting == 1)
        quick = clients.submit(lambda: Client(url).ask(body=GOOD[0]))
        try:
            assert quick.result(20)[::2] == (200, GOOD[1])
            assert server.models[0].batcher.waiting == 1
        finally:
            (tmp_path / "hold").unlink()

        assert [one.result()[0] for one in held] == [200, 200]


@pytest.mark.slow
def test_a_slow_request_costs_no_other_of_its_batch(models, tmp_path):
    """The batch is ended at half of the time limit, and each of it asked by itself."""
    unruly(models, tmp_path, "shared")
    for name in ("hold", "long"):
        (tmp_path / name).touch()
    server = make_server(models, ["shared"], tmp_path / "store", timeout=8.0)
    with running_server(server) as url, ThreadPoolExecutor(8) as clients:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        batcher = server.models[0].batcher
        links = server.models[0].served.pool.ready
        held = []
        for count in (1, 2):
            held.append(clients.submit(lambda: Client(url).ask(body=row(120, 0, 0))))
            wait_for(lambda: sum(bool(link.batch) for link in links) == count)  # noqa: B023
        slow = clients.submit(lambda: Client(url).ask(body=row(123, 0, 0)))
        wait_for(lambda: batcher.waiting == 1)
        quick = [clients.submit(lambda: Client(url).ask(body=GOOD[0])) for _ in range(3)]
        wait_for(lambda: batcher.waiting == 4)
        (tmp_path / "hold").unlink()

        assert {asked.result()[0] for asked in held} == {200}
        assert [asked.result()[::2] for asked in quick] == [(200, GOOD[1])] * 3
        (tmp_path / "long").unlink()
        assert slow.result()[0] == 200


def test_a_request_that_never_ends_is_504_and_its_worker_is_replaced(models, tmp_path):
    """After the time limit the client hears of it, and the process that is still at it is ended."""
    unruly(models, tmp_path, "stuck")
    with started(models, "stuck", tmp_path / "store", timeout=1.0) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        status, _, text = Client(url).ask(body=row(121, 0, 0))

        assert (status, text) == (504, "Request processing time exceeded limit")
        assert (
            'promotion_requests_total{model="stuck",status="504",version="1"} 1.0'
            in Client(url).ask("/metrics", None)[2]
        )
        wait_for(lambda: (h := Client(url).health())["restarts"] == 1 and h["workers"] == 2)
        assert Client(url).ask(body=GOOD[0])[::2] == (200, GOOD[1])


def test_a_request_that_no_worker_takes_in_time_is_504():
    """As where none can be started any more: whoever waits hears of it, and it is counted."""
    answers, failed = [], []
    batcher = Batcher(timeout=-1.0)
    batcher.failed = lambda *what: failed.append(what)
    for body in (b"quick", b"heavy" * HEAVY_BYTES):
        batcher.submit(body, "text/csv", lambda *answer: answers.append(answer))
    batcher.sweep()
    batcher.sweep()

    assert answers == [(None, *TIMED_OUT)] * 2
    assert failed == [(None, 504)] * 2


@pytest.mark.parametrize(
    "what", [101, 111, *(pytest.param(what, marks=pytest.mark.slow) for what in (102, 103, 104, 112))]
)
def test_whatever_a_model_does_while_it_loads_is_a_failed_load(models, tmp_path, what):
    """A panic, sys.exit or death in the warm-up leaves the old version, is told, and the next version is taken."""
    name = f"loading-{what}"
    models.promote(name, models.register(name, models.save(constant(1))))
    with started(models, name, tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))
        unruly(models, tmp_path, name, at_load=what)
        client = Client(url)
        health = wait_for(lambda: (h := client.health())["status"] == "degraded" and h)
        assert "version 2 cannot be served" in health["last_error"]
        assert client.ask()[::2] == (200, '{"predictions": [1]}')
        unruly(models, tmp_path, name)
        wait_for(lambda: serving(url, 3))


def test_a_server_that_ends_while_it_loads_blames_no_version(models, tmp_path):
    """What was ended with it is no version that cannot be served."""
    unruly(models, tmp_path, "ended", at_load=121)
    server = make_server(models, ["ended"], tmp_path / "store")
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["loading"] == 1)
    follower = server.models[0].follower
    follower.join(20)

    assert not follower.is_alive()
    assert follower.failed_loads == 0 and follower.problems() == []


PEEK = """
import os, sys
import numpy as np
from sklearn.base import BaseEstimator

class Peek(BaseEstimator):
    def predict(self, X):
        try:
            import promotion
            found = ["promotion"]
        except ImportError:
            found = [name for name in os.environ if "SECRET" in name or "TRACKING" in name]
        found += [path for path in sys.path if path.rstrip("/").endswith("scripts")]
        return [" ".join(found)] * len(X)
"""


def test_a_version_that_loads_without_end_gives_way_to_the_next(models, tmp_path, monkeypatch):
    """Whoever moves the alias on from a version that hangs in its warm-up does not wait until its time is over."""
    monkeypatch.setattr(pool, "GIVE_UP_SECONDS", 0.5)
    models.promote("endless", models.register("endless", models.save(constant(1))))
    with started(models, "endless", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))
        unruly(models, tmp_path, "endless", at_load=121)
        wait_for(lambda: Client(url).health()["loading"] == 2)
        unruly(models, tmp_path, "endless")
        wait_for(lambda: serving(url, 3))
        assert Client(url).health()["restarts"] == 0


def test_a_version_takes_over_with_as_many_workers(models, tmp_path):
    """A swap is no moment of fewer processes: the first sight of the new version is with all of its own."""
    models.promote("three", models.register("three", models.save(constant(1))))
    with started(models, "three", tmp_path / "store", workers=3) as url:
        client = Client(url)
        wait_for(lambda: client.health()["workers"] == 3)
        models.promote("three", models.register("three", models.save(constant(0))))
        assert wait_for(lambda: (h := client.health())["version"] == 2 and h)["workers"] == 3


def test_a_worker_knows_no_secret_and_no_scripts(models, tmp_path):
    """The model sees neither this project's modules nor the SECRETS that were around when the zygote started."""
    models.promote("peek", models.register("peek", save_module(models, tmp_path, "peekmodule", PEEK, "Peek")))
    with started(models, "peek", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))

        assert Client(url).ask()[2] == '{"predictions": [""]}'


def test_several_models_in_one_server(models, tmp_path):
    """Each has its own paths, version and health; the whole is well while each serves."""
    for name, value in (("first", 0), ("second model", 1)):
        models.promote(name, models.register(name, models.save(constant(value))))
    server = make_server(models, ["first", "second model", "third"], tmp_path / "store", workers=1)
    with running_server(server) as url:
        client = Client(url)
        wait_for(lambda: json.loads(client.ask("/models/first/health", None)[2])["version"] == 1)
        wait_for(lambda: json.loads(client.ask("/models/second%20model/health", None)[2])["version"] == 1)
        status, headers, text = client.ask("/models/second%20model/invocations")
        assert (status, headers["X-Model-Name"], text) == (200, "second model", '{"predictions": [1]}')
        assert client.ask("/models/first/invocations")[2] == '{"predictions": [0]}'
        assert client.ask("/models/third/invocations")[0] == 503
        assert client.ask("/ping", None)[0] == 503
        whole = client.ask("/health", None)
        assert (whole[0], json.loads(whole[2])["status"]) == (503, "waiting")
        status, _, text = client.ask("/invocations")
        assert status == 404 and "/models/first/invocations" in text
        models.promote("third", models.register("third", models.save(constant(1))))
        wait_for(lambda: client.ask("/ping", None)[0] == 200)
        wait_for(lambda: json.loads(client.ask("/health", None)[2])["status"] == "ok")


def test_a_server_starts_from_its_local_copy_while_the_registry_is_down(tmp_path):
    """The last champion, its own code too, is served and /health says that the registry is away; then it follows."""
    models = Models(tmp_path)
    unruly(models, tmp_path, "m")
    with started(models, "m", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))
    models.database.rename(tmp_path / "away.db")
    with started(models, "m", tmp_path / "store") as url:
        health = wait_for(lambda: (h := Client(url).health())["version"] == 1 and h)
        assert health["status"] == "degraded" and "no MLflow database" in health["reason"]
        assert Client(url).ask(body=GOOD[0])[::2] == (200, GOOD[1])
        (tmp_path / "away.db").rename(models.database)
        wait_for(lambda: serving(url, 1))
    models.database.rename(tmp_path / "away.db")
    for file in (tmp_path / "store" / "models").glob("*/MLmodel"):
        file.write_text(file.read_text() + " ")
    with started(models, "m", tmp_path / "store") as url:
        wait_for(lambda: "no MLflow database" in (Client(url).health()["reason"] or ""))
        assert Client(url).ask()[0] == 503, "a copy that is not what it was is not served"


def test_files_that_vanish_are_told_and_fetched_again(models, tmp_path, caplog):
    """An emptied folder costs nothing: the files come back, a rollback works, a dead worker is replaced."""
    caplog.set_level("INFO", "serve")
    name = "vanishing"
    for value in (0, 1):
        models.register(name, models.save(constant(value)))
    models.promote(name, 2)
    store = tmp_path / "store"
    server = make_server(models, [name], store)
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        store.rename(tmp_path / "gone")  # at once: while files go one by one, the server already fetches them again
        wait_for(lambda: any("have vanished" in line for line in caplog.messages))
        wait_for(lambda: list((store / "models").glob("*/MLmodel")) and list(store.glob("*.json")) and serving(url, 2))
        os.kill(server.models[0].served.pool.ready[0].pid, 9)
        wait_for(lambda: server.models[0].served.pool.restarts == 1 and Client(url).health()["workers"] == 2)
        store.rename(tmp_path / "gone again")
        models.promote(name, 1)
        wait_for(lambda: serving(url, 1))
        assert Client(url).ask()[2] == '{"predictions": [0]}'


def test_a_worker_does_not_start_from_files_that_changed(models, tmp_path, caplog):
    """A byte that flipped since the first worker loaded: the files are fetched again before the next one."""
    caplog.set_level("INFO", "serve")
    models.promote("flipped", models.register("flipped", models.save(constant(1))))
    server = make_server(models, ["flipped"], tmp_path / "store")
    with running_server(server) as url:
        wait_for(lambda: Client(url).health()["workers"] == 2)
        for file in (tmp_path / "store" / "models").glob("*/model.skops"):
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
        for _ in range(2):
            os.kill(server.models[0].served.pool.ready[0].pid, 9)
            wait_for(lambda: Client(url).health()["workers"] < 2)
            wait_for(lambda: (h := serving(url, 1)) and h["workers"] == 2)
        assert any("are not what they were" in line for line in caplog.messages)
        assert Client(url).ask()[::2] == (200, '{"predictions": [1]}')


def test_a_version_that_cannot_be_noted_serves_and_is_noted_later(models, tmp_path):
    """A disk that takes no more: the swap is no failed load; /health says what a restart would miss, while it would."""
    store = tmp_path / "store"
    models.promote("noted", models.register("noted", models.save(constant(1))))
    with started(models, "noted", store) as url:
        wait_for(lambda: serving(url, 1))
        (record,) = wait_for(lambda: list(store.glob("*.json")))  # written once it serves
        part = record.with_suffix(f".{os.getpid()}.part")
        part.mkdir()
        models.promote("noted", models.register("noted", models.save(constant(0))))
        health = wait_for(lambda: (h := Client(url).health())["version"] == 2 and h["reason"] and h)
        assert health["status"] == "degraded" and "version 2 serves, but" in health["reason"]
        assert json.loads(record.read_text())["version"] == 1
        part.rmdir()
        wait_for(lambda: serving(url, 2))
        assert json.loads(record.read_text())["version"] == 2


def test_what_a_killed_server_left_of_a_download_is_removed(tmp_path):
    """Unfinished downloads and files that never served go once nothing was written to them for an hour."""
    store = Store(tmp_path)
    served = store._folder("served")
    served.mkdir()
    store.remember("r", "champion", Local("m", 1, None, "served", served))
    (record,) = tmp_path.glob("*.json")
    os.utime(served, (1, 1))
    for name in ("incoming-old", "models/never-served", "incoming-new"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / "file").touch()
    note = tmp_path / "0.1.part"
    note.touch()
    for path in (note, *tmp_path.glob("incoming-old/**/*"), *tmp_path.glob("models/**/*"), tmp_path / "incoming-old"):
        os.utime(path, (1, 1))
    with store.incoming() as folder:
        left = [folder.name, "incoming-new", "models", record.name]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)
        assert list((tmp_path / "models").iterdir()) == [served]


def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path):
    """A file where the folder should be: what is wrong and what to do."""
    from promotion.errors import PromotionError

    (tmp_path / "file").touch()
    with pytest.raises(PromotionError, match=r"cannot write into .*file/store .*choose another --store"):
        Store(tmp_path / "file" / "store")


def test_a_store_that_became_read_only_serves_what_it_holds(models, tmp_path, monkeypatch):
    """The champion's files are there: a start needs no room. The next version says what it lacks, and comes later."""
    store = tmp_path / "store"
    models.promote("kept", models.register("kept", models.save(constant(1))))
    with started(models, "kept", store) as url:
        wait_for(lambda: serving(url, 1) and list(store.glob("*.json")))

    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr("promotion.serving.store.tempfile.TemporaryFile", refuse)
        with started(models, "kept", store) as url:
            assert wait_for(lambda: serving(url, 1))["reason"] is None
            models.promote("kept", models.register("kept", models.save(constant(0))))
            health = wait_for(lambda: (h := Client(url).health())["reason"] and h)
            assert "cannot write into" in health["reason"] and "version 1 stays in service" in health["reason"]
            assert Client(url).ask()[::2] == (200, '{"predictions": [1]}')
            patch.undo()
            wait_for(lambda: serving(url, 2))


def test_a_server_that_ends_while_it_begins_waits_for_no_import(tmp_path, monkeypatch):
    """The zygote is ended at once, however long a slow machine needs for the libraries: the end is no bug."""
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(nursery, "ZYGOTE", slow)
    begun = nursery.Nursery()
    begun.start()
    began = time.monotonic()
    begun.close()

    assert time.monotonic() - began < 5


def test_sigterm_waits_for_what_is_in_flight(models, tmp_path):
    """Draining answers what was asked, refuses new connections, and ends."""
    unruly(models, tmp_path, "drain")
    (tmp_path / "hold").touch()
    with started(models, "drain", tmp_path / "store") as url:
        wait_for(lambda: serving(url, 1))
        answers: queue.SimpleQueue = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: answers.put(Client(url).ask(body=row(120, 0, 0))))
        thread.start()
        wait_for((tmp_path / "began").exists)
        threading.Timer(0.5, (tmp_path / "hold").unlink).start()
    thread.join(20)

    assert answers.get()[::2] == (200, '{"predictions": [120.0]}')
    with pytest.raises(OSError):
        Client(url).ask()
