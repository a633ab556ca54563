"""A real server on a real SQLite MLflow: what it answers while the champion changes, breaks and goes away."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import serve
from promotion.registry.client import Registry
from promotion.serving import following
from promotion.serving.connection import Limits
from promotion.serving.server import listen
from promotion.serving.store import Store

from tests.support.mlflow_server import free_port
from tests.support.serving_world import (
    BOOSTER_TYPES,
    ONE_ROW,
    ROWS,
    Client,
    Models,
    ask_in_thread,
    constant,
    save_held,
    serving,
    started,
    wait_for,
)


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


@pytest.fixture
def start(models, tmp_path):
    """A function that starts a server for a model name and returns its URL; stopped at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda name, **limits: stack.enter_context(started(models, name, tmp_path / "root", **limits))


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


def test_files_of_the_last_three_versions_stay(models, zero, one, start, tmp_path):
    """A rollback finds its files on this machine; those of a version that served long ago are removed."""
    name = "tidy"
    url = start(name)
    for value in range(5):
        version = models.register(name, models.save(constant(value % 2)))
        models.promote(name, version)
        wait_for(lambda version=version: serving(url, version))
    root = tmp_path / "root"

    wait_for(lambda: len(list((root / "models").iterdir())) == 3)
    assert not list(root.glob("incoming-*"))
    assert root.stat().st_mode & 0o077 == 0


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
        (other_digest, "hash to"),
        pytest.param(not_finite, "not a finite number", marks=pytest.mark.slow),
        pytest.param(untrusted, "TreePredictor", marks=pytest.mark.slow),
        pytest.param(no_files, "MLmodel", marks=pytest.mark.slow),
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
    with started(models, "m", tmp_path / "root") as url:
        wait_for(lambda: serving(url, 1))
        models.database.rename(tmp_path / "away.db")
        client = Client(url)
        health = wait_for(lambda: (h := client.health())["status"] == "degraded" and h)
        assert "there is no MLflow database" in health["reason"] and "MLflow database" in health["last_error"]
        assert client.ask()[0] == 200
        (tmp_path / "away.db").rename(models.database)
        wait_for(lambda: serving(url, 1))


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


def test_waiting_requests_share_a_predict_and_a_full_queue_says_503(models, start, tmp_path):
    """While one predict runs the others wait, at most `limit`; then they are answered by one predict."""
    name = "held"
    models.promote(name, models.register(name, save_held(models, tmp_path, "heldmodule", 5, spread=True)))
    url = start(name, limit=6, limits=Limits(body=1000), workers=1)
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

    assert {answers.get()[2] for _ in range(7)} == {'{"predictions": [6.0]}'}
    assert (after["batches"] - before["batches"], after["requests"] - before["requests"]) == (2, 7)
    assert after["refused"] == 14
    status, _, text = client.ask(body="x" * 1001)
    assert (status, "limit of 1000 bytes" in text) == (413, True)


def test_a_queue_holds_so_many_bytes_whatever_was_answered_before(models, start, tmp_path):
    """What was answered takes no room any more; one that waits for nobody is taken however large it is."""
    name = "bytes"
    models.promote(name, models.register(name, save_held(models, tmp_path, "bytesmodule", 5)))
    url = start(name, limit_bytes=3 * len(ONE_ROW), workers=1)
    wait_for(lambda: serving(url, 1))
    client = Client(url)
    assert {client.ask()[0] for _ in range(10)} == {200}
    assert client.ask(body=ONE_ROW + " " * 3 * len(ONE_ROW))[0] == 200
    hold = tmp_path / "hold"
    hold.touch()
    answers: queue.SimpleQueue = queue.SimpleQueue()
    threads = [ask_in_thread(url, answers)]
    wait_for((tmp_path / "began").exists)
    threads += [ask_in_thread(url, answers) for _ in range(5)]
    wait_for(lambda: answers.qsize() == 2)  # 3 wait, 1 is being answered
    assert [answers.get()[0] for _ in range(2)] == [503, 503]
    hold.unlink()
    for thread in threads:
        thread.join(20)

    assert [answers.get()[0] for _ in range(4)] == [200] * 4


def test_the_command_serves_until_sigterm_and_finishes_what_is_in_flight(models, tmp_path):
    """The first line names version and address; SIGTERM answers the request in flight, then exit code 0."""
    name = "command"
    models.promote(name, models.register(name, save_held(models, tmp_path, "commandmodule", 7)))
    command = [sys.executable, str(Path(serve.__file__)), name, "--port", "0", "--poll-seconds", "0.2"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": models.registry.uri, "XDG_STATE_HOME": str(tmp_path / "state")}
    errors = (tmp_path / "stderr").open("w+")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
    try:
        line = process.stdout.readline().strip()
        url = line.rpartition(" ")[2]
        assert line == f"serving command version 1 at {url}" and url.startswith("http://127.0.0.1:")
        content = json.loads(Client(url).ask("/version", None)[2])
        for path in ("/ping", "/health", "/version", "/nowhere"):
            headers = Client(url).ask(path, None)[1]
            assert (headers["X-Model-Name"], headers["X-Model-Version"]) == (name, "1")
        assert {"name": "command", "version": 1}.items() <= content.items() and content["run_id"]
        assert content["digest"].startswith("sha256:")
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
        assert (tmp_path / "state" / "promotion" / "serve" / "models").is_dir()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        errors.close()


def test_a_first_line_that_nobody_reads_keeps_no_version_away(models, zero, one, tmp_path):
    """Its reader is gone, as after `| head -1`: the server follows all the same, and ends with 0."""
    name, port = "unread", free_port()
    models.promote(name, models.register(name, zero))
    command = [sys.executable, str(Path(serve.__file__)), name, "--port", str(port), "--poll-seconds", "0.2"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": models.registry.uri, "XDG_STATE_HOME": str(tmp_path / "state")}
    nobody, line = os.pipe()
    os.close(nobody)
    process = subprocess.Popen(command, stdout=line, stderr=subprocess.DEVNULL, env=environment)
    os.close(line)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: accepts(url) and serving(url, 1))
        models.promote(name, models.register(name, one))
        wait_for(lambda: serving(url, 2))
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_server_ends_by_sigterm_while_it_imports(tmp_path):
    """As the first process of a container it would not hear of it otherwise, and be killed a minute later."""
    command = [sys.executable, str(Path(serve.__file__)), "m", "--port", "0", "--store", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    status = Path(f"/proc/{process.pid}/status")
    wait_for(lambda: int(status.read_text().partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1)
    process.send_signal(signal.SIGTERM)

    assert process.communicate(timeout=60)[1] == "interrupted\n"
    assert process.returncode == 130


def accepts(url):
    """Whether something still accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0


def test_a_port_in_use_is_one_sentence(capsys):
    """A port that is taken ends the command with exit code 2 and what to do."""
    with contextlib.closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert serve.main(["m", "--port", str(port)]) == 2
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in capsys.readouterr().err


def test_a_registry_that_lets_one_wait_is_told(monkeypatch, tmp_path):
    """It takes the request and says nothing, or drips: no request fails, and /health would be well for ever."""
    monkeypatch.setattr(following, "SILENT_SECONDS", 0.2)
    with contextlib.closing(listen("127.0.0.1", 0)) as silent:
        registry = Registry(f"http://127.0.0.1:{silent.getsockname()[1]}")
        follower = following.Follower(registry, "m", "champion", 0.05, Store(tmp_path), lambda *_: None)
        assert follower.problems() == []
        follower.start()
        wait_for(follower.problems, 10)

        assert follower.problems() == ["the registry has not answered for more than 0 s"]
        follower.stop()


@pytest.mark.parametrize(
    ("more", "timeout", "sentence"),
    [
        (["--host", "a..b"], "60", "cannot listen on a..b:0 ("),
        (["--poll-seconds", "1e11"], "60", "must be more than 0 and at most 1,000,000,000, not 1e11"),
        (["--max-body-mb", "1e308"], "60", "must be more than 0 and at most 1,000,000,000, not 1e308"),
        ([], "a minute", "Failed to convert 'a minute' for MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"),
        ([], "0", "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT is 0, which leaves no request any time"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(monkeypatch, capsys, tmp_path, more, timeout, sentence):
    """A name that no host has, a number that no clock takes, a limit that is no number: exit code 2."""
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", timeout)
    with contextlib.suppress(SystemExit):  # argparse's own
        assert serve.main(["m", "--port", "0", "--store", str(tmp_path), *more]) == 2

    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
