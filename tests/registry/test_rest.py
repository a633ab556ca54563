"""The client without MLflow says what MLflow's own says, of the same server."""

import contextlib
import errno
import json
import os
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow.exceptions import MlflowException
from promotion.errors import PromotionError
from promotion.registry.client import CANDIDATE, CHAMPION, Registry
from promotion.registry.failures import failure
from promotion.registry.rest import Answered, Rest, speaks_plain_http
from werkzeug.serving import make_server

from tests.support.mlflow_server import empty_database, served_from

LOGIN = "Authorization"
TAGS = {"key": "k" * 64, "text": "ä; 'quoted' = %"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Registry, Path]]:
    """(over HTTP, on the same database by MLflow's own client, the server's folder)."""
    folder = tmp_path_factory.mktemp("rest")
    database = empty_database(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in served_from(database, folder / "files").items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        from mlflow.server import app

        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Registry(f"http://127.0.0.1:{server.server_port}"), Registry(database), folder
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def filled(both: tuple[Registry, Registry, Path]) -> tuple[Registry, Registry, Path]:
    """One run with files and a version of it, written over HTTP."""
    ours, _, folder = both
    run = ours.create_run("m", "a run", TAGS)
    made = folder / "made"
    (made / "below" / "deep").mkdir(parents=True)
    for name in ("MLmodel", "below/a b ü.bin", "below/deep/empty"):
        (made / name).write_bytes(b"" if name.endswith("empty") else name.encode())
    ours.log_run(run.run_id, {"p": "x" * 6000}, {"f1": 0.5, "tiny": 1e-300})
    ours.log_files(run.run_id, made, "model")
    ours.log_files(run.run_id, made / "MLmodel", "")
    ours.tag_run(run.run_id, {"complete": "true", "gone": "x"})
    ours.give_up(run.run_id, "gone")
    ours.finish_run(run.run_id)
    version = ours.register("m", run, TAGS)
    ours.tag_version("m", version.version, {"more": "1"})
    ours.describe_version("m", version.version, "**won**")
    ours.tag_run(run.run_id, {"gate": "passed"})
    ours.set_alias("m", CHAMPION, version.version)
    ours.set_alias("m", CANDIDATE, version.version)
    ours.delete_alias("m", CANDIDATE)
    ours.set_model_tag("m", "promotion.x", '{"a": "ü"}')
    return both


def test_it_is_asked_for_a_plain_server_and_no_other(
    both: tuple[Registry, Registry, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database, Databricks and a login by a plugin are MLflow's own."""
    assert isinstance(both[0].client, Rest) and not isinstance(both[1].client, Rest)
    assert not speaks_plain_http("databricks://profile")
    assert speaks_plain_http("https://user:pass@host/prefix")
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "false")
    assert speaks_plain_http("https://host")
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "kubernetes")
    assert not speaks_plain_http("https://host")


def test_what_was_written_over_http_is_there(filled: tuple[Registry, Registry, Path]) -> None:
    """Both clients read the same models, versions and runs."""
    ours, theirs, _ = filled
    version = ours.version("m", 1)

    assert version is not None and version == theirs.version("m", 1)
    assert version.ready and version.tags == {**TAGS, "more": "1"}
    assert ours.models() == theirs.models() and list(ours.models()) == ["m"]
    assert ours.model("m") == theirs.model("m") == ours.models()["m"]
    assert ours.model("m").aliases == {CHAMPION: 1}  # type: ignore[union-attr]
    assert ours.models()["m"].latest == {1: version}
    assert ours.runs("m", key=TAGS["key"]) == theirs.runs("m") != []
    assert ours.runs("m", key="another") == []
    assert ours.version_of_run("m", str(version.run_id)) == version
    assert ours.runs_of(["m", "other"]) == theirs.runs_of(["m", "other"]) == {"m": ours.runs("m"), "other": []}
    assert theirs.client.get_model_version("m", "1").description == "**won**"
    assert ours.experiment("m") == theirs.experiment("m")
    run = theirs.client.get_run(version.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics == {"f1": 0.5, "tiny": 1e-300}
    assert run.data.params == {"p": "x" * 5900} and run.data.tags["mlflow.runName"] == "a run"


def test_what_is_not_there_is_none(filled: tuple[Registry, Registry, Path], tmp_path: Path) -> None:
    """A name, a version, an experiment, a run and a file that do not exist."""
    ours, _, _ = filled
    run = ours.runs("m")[0].run_id

    assert ours.model("other") is None and ours.version("m", 2) is None and ours.version("other", 1) is None
    assert ours.runs("other") == []
    assert ours.fetch(run, "evidence/x.json", tmp_path) is None and ours.fetch("0" * 32, "model", tmp_path) is None


def test_files_come_back_as_they_were(filled: tuple[Registry, Registry, Path], tmp_path: Path) -> None:
    """One file, a folder with folders, odd names, an empty file; and on the way, how much of it is here."""
    ours, _, folder = filled
    told: list[tuple[float, float]] = []
    version = ours.version("m", 1)
    assert version is not None and version.run_id is not None
    path, _ = ours.fetch_version(version, tmp_path / "version", lambda done, total: told.append((done, total)))
    other = ours.fetch(version.run_id, "model", tmp_path / "run")
    single = ours.fetch(version.run_id, "MLmodel", tmp_path / "file")

    made = folder / "made"
    assert other is not None and single is not None
    for copy in (path, other):
        assert {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()} == {
            p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()
        }
    assert single.read_bytes() == b"MLmodel"
    size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
    assert {total for _, total in told} == {size} and told[-1] == (size, size) and told == sorted(told)


def test_a_refusal_is_one_sentence(filled: tuple[Registry, Registry, Path]) -> None:
    """MLflow's own reason, and nothing retried that cannot help."""
    ours, _, _ = filled

    with pytest.raises(PromotionError, match=r"could not set m@champion: .*[Vv]ersion.*7"):
        ours.set_alias("m", CHAMPION, 7)


def test_a_login_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password before a token, as MLflow takes them."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    client = Rest("http://host")
    request = client._session.prepare_request(requests.Request("GET", "http://host"))
    assert request.headers["Authorization"] == "Bearer t"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "u")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p")
    client = Rest("http://host")
    request = client._session.prepare_request(requests.Request("GET", "http://host"))
    assert request.headers["Authorization"].startswith("Basic ")


def test_a_login_is_sent_as_mlflow_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user and password as UTF-8, and a token without the line's end that was pasted with it."""

    def sent() -> str:
        return Rest("http://host")._session.prepare_request(requests.Request("GET", "http://host")).headers[LOGIN]

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", " t\r\n")
    assert sent() == "Bearer t"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "jürgen")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "ten €")
    assert b64decode(sent().removeprefix("Basic ")).decode() == "jürgen:ten €"


@pytest.mark.parametrize("token", ["s3cr3t\nline", "s3cr3t two", "s3cr3t€", "s3cr3t\0"])
def test_a_token_that_no_header_takes_is_one_sentence_without_it(token: str) -> None:
    """The traceback of such a request shows its header, and so the token."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PromotionError, match="MLFLOW_TRACKING_TOKEN") as told:
        patch.setattr("os.environ", {**os.environ, "MLFLOW_TRACKING_TOKEN": token})  # a real one takes no NUL
        Registry("http://127.0.0.1:1").models()

    assert "s3cr3t" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_RETRIES", "x"), ("MAX_RETRIES", "-1"), ("TIMEOUT", "0"), ("TIMEOUT", "nan"), ("BACKOFF_FACTOR", "1 s")],
)
def test_a_setting_that_is_no_number_is_one_sentence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variable; an empty one, as a workflow passes what nobody set, is the default."""
    monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    with pytest.raises(PromotionError, match=f"MLFLOW_HTTP_REQUEST_{name}: `{value}` is not"):
        Registry("http://127.0.0.1:1").models()

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0" if name == "MAX_RETRIES" else "")
    with pytest.raises(PromotionError, match="cannot be reached"):
        Registry("http://127.0.0.1:1").models()


def test_an_address_that_is_none_is_one_sentence() -> None:
    """A bracket that is not closed, which Python's parser raises for."""
    with pytest.raises(PromotionError, match=r"MLFLOW_TRACKING_URI: http://\[::1 is not an address"):
        Registry("http://me:s3cr3t@[::1").models()


Answers = list[tuple[int, dict[str, str]] | None]


@contextlib.contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """A server that gives these answers, one a request, and takes them off the list; None: it hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            answer = answers.pop(0)
            if answer is None:
                self.close_connection = True
                return
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(body)))
            if answer[0] == 429:
                self.send_header("Retry-After", "3600")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("answer", [{}, {"registered_model": {"aliases": []}}])
def test_an_answer_that_lacks_something_is_one_sentence(answer: dict[str, Any]) -> None:
    """A proxy answers in the server's place, in JSON: no traceback, and no verdict that there is no such model."""
    with answering([(200, answer)]) as url, pytest.raises(PromotionError, match=r"answer lacks `\w+`; check MLFLOW_TR"):
        Registry(url).model("m")


def test_a_server_that_wants_an_hour_is_asked_again_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Retry-After counts as far as a request may take at all."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    answers: Answers = [(429, {}), (200, {"registered_model": {"name": "m"}})]
    began = time.monotonic()

    with answering(answers) as url:
        assert Registry(url).model("m") is not None
    assert time.monotonic() - began < 60


def test_a_full_disk_is_not_the_servers_fault() -> None:
    """What does not fit on this machine, as the system or MLflow says it, is told as that."""
    written = OSError(errno.ENOSPC, "No space left on device", "model/MLmodel")
    copied = MlflowException(f"failures: ##### File model/MLmodel ##### {written}")

    told = {failure(error, "download m version 3", "http://x") for error in (written, copied)}
    done = "make room where the files are put, then run this again"
    assert told == {f"could not download m version 3: No space left on device; {done}"}


@pytest.mark.parametrize(("refusals", "told"), [(1, False), (2, True)])
def test_a_tag_that_two_set_at_once_is_set_again(refusals: int, told: bool) -> None:
    """MLflow looks for a tag before it inserts it, so of two that are quick one is refused by its database."""
    refused = {"error_code": "BAD_REQUEST", "message": "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key"}
    answers: Answers = [*[(400, refused)] * refusals, (200, {})]

    refusal = pytest.raises(PromotionError, match="could not tag tiny") if told else contextlib.nullcontext()
    with answering(answers) as url, refusal:
        Registry(url).set_model_tag("tiny", "promotion.ledger.1", "{}")

    assert len(answers) == (1 if told else 0)


@pytest.mark.parametrize("lost", [None, (500, {}), (502, {})])
def test_what_may_have_been_made_is_not_made_again(lost: tuple[int, dict[str, str]] | None, monkeypatch: Any) -> None:
    """Where the answer is lost a state is set again, and a run is not: the next gate.py finds it by its key."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    setting: Answers = [lost, (200, {})]
    making: Answers = [lost, (200, {})]

    with answering(setting) as url:
        Rest(url).set_tag("r", "key", "value")
    with answering(making) as url, pytest.raises((requests.RequestException, Answered)):
        Rest(url).create_run("1", run_name="again", tags={})

    assert (len(setting), len(making)) == (0, 1)
