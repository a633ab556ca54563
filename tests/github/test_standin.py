"""The stand-in for GitHub itself, and the check of requests against GitHub's description."""

import random
import threading
from typing import Any

import pytest
import requests
from promotion.github.client import GitHub

from tests.support.github import fixtures
from tests.support.github.clients import sentence_of
from tests.support.github.fixtures import description_or_reason, problems
from tests.support.github.openapi import Unavailable
from tests.support.github.standin import Recorded, StandIn

SHA = "c" * 40


def test_github_description_is_the_pinned_one() -> None:
    """GitHub's own description is there, so that the requests of these tests are checked against it."""
    description = description_or_reason()
    if isinstance(description, str):
        pytest.skip(description)

    assert description.raw["info"]["version"] == "23.0.2"


def test_requests_that_cannot_be_checked_are_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where GitHub's description cannot be had, the check says so by a skip with its reason; it never just passes."""

    def missing() -> None:
        raise Unavailable("npm is not installed")

    monkeypatch.setattr(fixtures, "github_description", missing)
    description_or_reason.cache_clear()
    try:
        with pytest.raises(pytest.skip.Exception, match="npm is not installed"):
            problems([recorded("GET", "/repos/o/r/pullz")])
    finally:
        description_or_reason.cache_clear()


def recorded(method: str, path: str, **more: Any) -> Recorded:
    """A request as the stand-in records it, with the right headers."""
    headers = {"user-agent": "x", "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return Recorded(method, path, more.pop("query", {}), headers | more.pop("headers", {}), "x", **more)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (recorded("GET", "/repos/o/r/pullz"), "no such operation"),
        (recorded("PUT", "/repos/o/r/issues/1/comments"), "no such operation"),
        (recorded("GET", "/repos/o/r/pulls", query={"status": "open"}), "unknown query parameter `status`"),
        (recorded("GET", "/repos/o/r/pulls", query={"state": "merged"}), "parameter `state`"),
        (recorded("GET", "/repos/o/r/pulls", query={"per_page": "101"}), "per_page is over 100"),
        (recorded("GET", "/repos/o/r/pulls/one"), "parameter `pull_number`"),
        (recorded("POST", "/repos/o/r/issues/1/comments"), "lacks its body"),
        (recorded("POST", "/repos/o/r/issues/1/comments", body={"text": "x"}), "'body' is a required property"),
        (recorded("POST", f"/repos/o/r/statuses/{SHA}", body={"state": "green"}), "'green' is not one of"),
        (recorded("POST", "/repos/o/r/pulls", body={"head": "a", "base": "b", "titel": "x"}), "unknown key `titel`"),
        (recorded("GET", "/repos/o/r", headers={"user-agent": ""}), "no User-Agent"),
        (recorded("GET", "/repos/o/r", headers={"accept": "*/*"}), "Accept is not"),
        (recorded("GET", "/repos/o/r/pulls/1", status=200, answer={"number": "1"}), "the stand-in's answer: number"),
        (recorded("GET", "/repos/o/r/pulls/1", status=200, answer={"nummer": 1}), "the stand-in invents `nummer`"),
    ],
)
def test_wrong_request_is_noticed(request_: Recorded, problem: str) -> None:
    """The check against GitHub's description fails for each kind of mistake."""
    description = description_or_reason()
    if isinstance(description, str):
        pytest.skip(description)

    assert any(problem in found for found in description.problems(request_)), description.problems(request_)


def test_stand_in_answers_many_at_once(github: StandIn) -> None:
    """Twenty threads that write lose nothing: ids are unique."""
    github.hub.add_pull("retrain")

    def work(number: int) -> None:
        GitHub(github.url, github.hub.repo, "t-actions").create_comment(1, f"from {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    random.shuffle(threads)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({comment["id"] for comment in github.hub.comments(1)}) == 20


def test_stand_in_runs_as_a_process(tmp_path: Any) -> None:
    """Started as a file it prints its address, keeps its state on disk, and takes faults over HTTP."""
    import json
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).resolve().parents[1] / "support" / "github" / "standin.py"
    state = tmp_path / "state.json"
    command = [sys.executable, str(script), "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()  # type: ignore[union-attr]
        number = requests.post(f"{url}/_control/pulls", json={"head_ref": "retrain"}, timeout=5).json()["number"]
        requests.post(f"{url}/_control/faults", json={"kind": "status", "status": 500}, timeout=5)
        client = GitHub(url, "octo-org/fraud", "t-actions", sleep=lambda seconds: None)
        client.update_comment(client.create_comment(number, "x").id if client.pull(number) else 0, "kept")
        token = {"login": "github-actions[bot]", "permissions": {"pull-requests": "read"}}
        reader = requests.post(f"{url}/_control/tokens", json=token, timeout=5).json()["token"]
        forbidden = sentence_of(lambda: GitHub(url, "octo-org/fraud", reader).create_comment(number, "x"))
        recorded = requests.get(f"{url}/_control/requests", timeout=5).json()
    finally:
        process.kill()
        process.wait()

    assert json.loads(state.read_text())["comments"][0]["body"] == "kept"
    assert [request["method"] for request in recorded] == ["GET", "GET", "POST", "PATCH", "POST"]
    assert "lacks the permission" in forbidden
    assert problems(recorded) == []
