"""The payload of the event that started a run, whole, partial and broken."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotion.errors import PromotionError
from promotion.github.event import Event, read_event

HEAD, BASE = "a" * 40, "b" * 40


def payload(**changes: Any) -> dict[str, Any]:
    """A pull_request payload with what GitHub always sends of what we read."""
    pull = {
        "number": 7,
        "title": "Retrain",
        "draft": False,
        "user": {"login": "alice"},
        "head": {"sha": HEAD, "ref": "retrain", "repo": {"full_name": "octo-org/fraud"}},
        "base": {"sha": BASE, "ref": "main", "repo": {"full_name": "octo-org/fraud"}},
    }
    return {
        "action": "synchronize",
        "number": 7,
        "pull_request": pull | changes,
        "repository": {"full_name": "octo-org/fraud", "default_branch": "main"},
        "sender": {"login": "alice"},
    }


def read(tmp_path: Path, name: str, raw: Any, **env: str) -> Event:
    """The event of a payload."""
    path = tmp_path / "event.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    return read_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path), **env})


def test_pull_request_of_the_same_repository(tmp_path: Path) -> None:
    """Number, head, base and author are read; it is no fork."""
    event = read(tmp_path, "pull_request", payload(draft=True))

    assert (event.number, event.head_sha, event.head_ref) == (7, HEAD, "retrain")
    assert (event.base_ref, event.draft) == ("main", True)
    assert not event.fork
    assert not event.without_credentials
    assert not event.merge_group


@pytest.mark.parametrize("repo", [{"full_name": "eve/fraud"}, None, {}])
def test_fork_gets_no_credentials(tmp_path: Path, repo: Any) -> None:
    """Another repository, and one that is gone, are forks."""
    event = read(tmp_path, "pull_request", payload(head={"sha": HEAD, "ref": "main", "repo": repo}))

    assert event.fork
    assert event.without_credentials


def test_repository_names_compare_without_case(tmp_path: Path) -> None:
    """Octo-Org/Fraud is this repository."""
    head = {"sha": HEAD, "ref": "x", "repo": {"full_name": "Octo-Org/Fraud"}}

    assert not read(tmp_path, "pull_request", payload(head=head)).fork


@pytest.mark.parametrize("who", ["user", "sender"])
def test_dependabot_gets_no_credentials(tmp_path: Path, who: str) -> None:
    """GitHub gives Dependabot's runs no secrets, whether it opened the request or pushed to it."""
    raw = payload(user={"login": "dependabot[bot]" if who == "user" else "alice"})
    raw["sender"] = {"login": "dependabot[bot]" if who == "sender" else "alice"}

    assert read(tmp_path, "pull_request", raw).without_credentials


def test_merge_group(tmp_path: Path) -> None:
    """A merge queue's event has the pull request's number in its branch."""
    ref = f"refs/heads/gh-readonly-queue/main/pr-104-{HEAD}"
    group = {"head_sha": HEAD, "head_ref": ref, "base_sha": BASE, "base_ref": "refs/heads/main"}
    raw = {"action": "checks_requested", "merge_group": group, "repository": {"full_name": "octo-org/fraud"}}
    event = read(tmp_path, "merge_group", raw)

    assert event.merge_group
    assert (event.number, event.base_ref, event.head_sha) == (104, "main", HEAD)
    assert not event.without_credentials


def test_dispatch(tmp_path: Path) -> None:
    """A dispatch has a branch, a commit, and its inputs as texts."""
    inputs = {"reason": "x", "dry": True, "no": None}
    raw = {"ref": "refs/heads/retrain", "inputs": inputs, "repository": {"full_name": "octo-org/fraud"}}
    event = read(tmp_path, "workflow_dispatch", raw, GITHUB_SHA=HEAD)

    assert (event.head_ref, event.head_sha, event.number) == ("retrain", HEAD, None)
    assert event.inputs == {"reason": "x", "dry": "true", "no": ""}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("{", "not a readable JSON event payload"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ({}, "`repository.full_name`"),
        (payload(number=True) | {"number": None}, "`pull_request.number`"),
        (payload(number="7; rm -rf /"), "`pull_request.number`"),
        (payload(head={"sha": "main", "ref": "x"}), "a commit id at `pull_request.head.sha`"),
        (payload(head={"sha": HEAD + "\n", "ref": "x"}), "a commit id at `pull_request.head.sha`"),
        (payload(head=None), "`pull_request.head.sha`"),
        (payload(head={"sha": HEAD, "ref": ["x"]}), "a text at `pull_request.head.ref`"),
        (payload(base={"sha": BASE}), "`pull_request.base.ref`"),
    ],
)
def test_broken_payload_is_one_sentence(tmp_path: Path, raw: Any, words: str) -> None:
    """A payload that is no JSON, no object, or lacks a field says which, with the file."""
    with pytest.raises(PromotionError) as caught:
        read(tmp_path, "pull_request", raw)

    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "event.json"))
    assert "\n" not in str(caught.value)


def test_environment_without_an_event(tmp_path: Path) -> None:
    """Outside of a job, and for an event of no workflow of ours, the sentence says so."""
    for env in ({}, {"GITHUB_EVENT_NAME": "push"}, {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/no/such"}):
        with pytest.raises(PromotionError):
            read_event(env)
    with pytest.raises(PromotionError, match="does not run on `push`"):
        read(tmp_path, "push", payload())
    with pytest.raises(PromotionError, match="GITHUB_SHA"):
        read(tmp_path, "workflow_dispatch", payload())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(
    where=st.sampled_from(["pull_request", "repository", "sender", "head", "base", "user", "number"]), value=json_values
)
def test_any_shape_is_an_event_or_a_sentence(tmp_path_factory: Any, where: str, value: Any) -> None:
    """Whatever stands where an object should, the result is an Event or a PromotionError."""
    raw = payload()
    if where in raw:
        raw[where] = value
    else:
        raw["pull_request"][where] = value
    try:
        event = read(tmp_path_factory.getbasetemp(), "pull_request", raw)
    except PromotionError:
        return

    assert isinstance(event.number, int)
    assert len(event.head_sha) in (40, 64)
