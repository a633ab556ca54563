"""A server that asks who you are: refusals are sentences, change nothing, and secrets are seen nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.servers.conftest import PASSWORD
from tests.support.backends import nobody_listens
from tests.support.running import SCRIPTS, Ran, run
from tests.support.worlds import World

pytestmark = pytest.mark.servers
READER, READERS_SECRET = "reader", "reader-secret-0123456789"


@pytest.fixture
def as_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process with the admin's credentials."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


@pytest.fixture
def reader(guarded: str) -> None:
    """A user who may only read."""
    url = f"{guarded}/api/2.0/mlflow/users/create"
    body = {"username": READER, "password": READERS_SECRET}
    answer = requests.post(url, json=body, auth=("admin", PASSWORD), timeout=30)
    assert answer.status_code == 200 or "already exists" in answer.text, answer.text


def last(ran: Ran) -> str:
    """The last line of what was printed."""
    return ran.out.splitlines()[-1]


@pytest.fixture
def waiting(guarded: str, folder: Path, as_admin: None, request: pytest.FixtureRequest) -> World:
    """A world with a merged pin that waits to be applied."""
    world = World(folder, guarded, (request.node.name.split("[")[0].replace("_", "-"),))
    world.merge("one")
    return world


def test_read_only_user(waiting: World, reader: None, tmp_path: Path) -> None:
    """A user who may only read plans, and is refused to apply with one sentence; nothing changes."""
    before = waiting.state()
    credentials = {"MLFLOW_TRACKING_USERNAME": READER, "MLFLOW_TRACKING_PASSWORD": READERS_SECRET}
    planned = run(waiting, tmp_path, "plan", **credentials)
    ran = run(waiting, tmp_path, "apply", **credentials)

    assert (planned.code, last(planned)) == (0, f"{waiting.model}: would move @champion nothing -> 1")
    assert ran.code == 2
    assert "does not permit these credentials to tag" in ran.err
    assert ran.err.count("\n") == 1
    assert waiting.state() == before
    assert READERS_SECRET not in planned.everything + ran.everything


def test_wrong_password(waiting: World, tmp_path: Path) -> None:
    """A wrong password is one sentence that names the variables to look at."""
    before = waiting.state()
    wrong = "wrong-secret-987"
    ran = run(waiting, tmp_path, "apply", MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=wrong)

    assert ran.code == 2
    assert "did not accept the credentials" in ran.err
    assert "MLFLOW_TRACKING_USERNAME" in ran.err
    assert ran.err.count("\n") == 1
    assert waiting.state() == before
    assert wrong not in ran.everything


def test_no_credentials(waiting: World, tmp_path: Path) -> None:
    """No credentials at all is the same sentence."""
    ran = run(waiting, tmp_path, "apply")

    assert ran.code == 2
    assert "did not accept the credentials" in ran.err


def test_allowed(waiting: World, tmp_path: Path) -> None:
    """With permission it moves, and neither output, arguments, tags nor evidence hold the password."""
    ran = run(waiting, tmp_path, "apply", MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=PASSWORD)

    assert (ran.code, last(ran)) == (0, f"{waiting.model}: moved @champion nothing -> 1")
    assert waiting.champion() == 1
    history = run(waiting, tmp_path, "history", waiting.model, "--json",
                  MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=PASSWORD)  # fmt: skip
    assert history.code == 0
    assert PASSWORD not in ran.everything + history.everything + str(waiting.tags())


@pytest.mark.parametrize("trouble", ["down", "refused", "allowed"])
def test_credentials_in_the_address(waiting: World, tmp_path: Path, trouble: str) -> None:
    """Credentials in MLFLOW_TRACKING_URI work, and are left out of every sentence."""
    secret = PASSWORD if trouble == "allowed" else "url-secret-555"
    host = f"127.0.0.1:{nobody_listens()}" if trouble == "down" else waiting.uri.removeprefix("http://")
    ran = run(waiting, tmp_path, "apply", uri=f"http://admin:{secret}@{host}", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")

    assert ran.code == (0 if trouble == "allowed" else 2), ran.err
    assert secret not in ran.everything
    assert "Traceback" not in ran.everything


def test_bearer_token(waiting: World, tmp_path: Path) -> None:
    """A token that is not accepted is not shown."""
    ran = run(waiting, tmp_path, "apply", MLFLOW_TRACKING_TOKEN="token-secret-777")

    assert ran.code == 2
    assert "token-secret-777" not in ran.everything


def test_a_bugs_traceback(waiting: World, tmp_path: Path) -> None:
    """Even a traceback, were there a bug, does not hold the password."""
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); import promote; from promotion.registry import client\n"
    script += "client.Registry.set_alias = lambda self, *args: 1 / 0\nraise SystemExit(promote.main(sys.argv[1:]))"
    env = {**os.environ, "MLFLOW_TRACKING_URI": waiting.uri, "MLFLOW_TRACKING_USERNAME": "admin"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(SCRIPTS), "apply", "--repo", str(waiting.path)],
        env={**env, "MLFLOW_TRACKING_PASSWORD": PASSWORD}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert "ZeroDivisionError" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    assert waiting.apply() == 0  # and the next run finishes what the bug left
    assert waiting.champion() == 1
