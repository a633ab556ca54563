"""GitHub's operations over real HTTP: what they change, and that hostile text stays text."""

from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from promotion.github import answers
from promotion.github.client import MAX_BODY, GitHub
from promotion.github.errors import GitHubError

from tests.support.github import shapes
from tests.support.github.clients import FakeTime, client_of, sentence_of
from tests.support.github.standin import StandIn

SHA = "c" * 40
PULL = {
    "number": 1,
    "title": "t",
    "body": "b",
    "state": "open",
    "draft": False,
    "merged": False,
    "labels": ["x"],
    "user": "eve",
    "head_ref": "h",
    "head_repo": "o/r",
    "head_sha": SHA,
    "base_ref": "main",
    "base_sha": SHA,
}


def test_every_request_carries_the_headers_and_the_token(github: StandIn, github_client: GitHub) -> None:
    """Version, media type, agent and token go with each request."""
    github.hub.add_pull("retrain")
    github_client.pull(1)

    (request,) = github.requests
    assert request.login == "github-actions[bot]"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["user-agent"]


def test_token_is_never_printed(github: StandIn, fake_time: FakeTime) -> None:
    """Neither repr nor an error that quotes it shows the token."""
    secret = "ghs_verysecret"
    client = client_of(github, fake_time, secret)
    github.fault("status", status=422, message=f"bad {secret}")
    text = sentence_of(lambda: client.pull(1))

    assert secret not in repr(client) + text + repr(vars(client)["_auth"])


def test_netrc_does_not_replace_the_token(
    github: StandIn, github_client: GitHub, tmp_path: Any, monkeypatch: Any
) -> None:
    """A ~/.netrc entry for the API's host is not sent instead of the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    github.hub.add_pull("retrain")
    github_client.pull(1)

    assert github.requests[0].login == "github-actions[bot]"


def test_proxy_is_not_asked_for_this_machine(github: StandIn, github_client: GitHub, monkeypatch: Any) -> None:
    """With a proxy in the environment a server on the loopback is reached directly."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    github.hub.add_pull("retrain")

    assert github_client.pull(1).number == 1


@pytest.mark.parametrize(
    ("url", "repo", "token", "words"),
    [
        ("http://example.com", "o/r", "t", "not https"),
        ("ftp://example.com", "o/r", "t", "not an API address"),
        ("https://user:pw@example.com", "o/r", "t", "not an API address"),
        ("https://example.com:notaport", "o/r", "t", "not an API address"),
        ("", "o/r", "", "not an API address"),
        ("https://example.com", "o/r/../../x", "t", "not a repository"),
        ("https://example.com", "o r", "t", "not a repository"),
        ("https://example.com", "o/r", "to\nken", "control characters"),
    ],
)
def test_bad_address_repository_or_token_is_refused(url: str, repo: str, token: str, words: str) -> None:
    """Nothing is sent to an address that would leak the token, nor for something that is no repository."""
    text = sentence_of(lambda: GitHub(url, repo, token))

    assert words in text
    assert "to\nken" not in text


def test_client_from_the_environment_of_a_job(github: StandIn) -> None:
    """A job's variables are enough; without a repository it says which one to set."""
    env = {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "octo-org/fraud", "GITHUB_TOKEN": " t-actions\n"}
    github.hub.add_pull("retrain")

    assert GitHub.from_environment(env).pull(1).head_ref == "retrain"
    assert "GITHUB_REPOSITORY" in sentence_of(lambda: GitHub.from_environment({}))


# Pull requests


def test_open_pulls_by_branch_base_and_label(github: StandIn, github_client: GitHub) -> None:
    """Own branches are found by name; a fork's branch of the same name is not, nor is a closed one."""
    github.hub.add_pull("retrain", labels=["retrain"])
    github.hub.add_pull("retrain", head_repo="eve/fraud")
    github.hub.add_pull("retrain", state="closed")
    github.hub.add_pull("other", base_ref="release")
    github.hub.add_pull("retrain", head_repo="octo-org/copy-of-fraud")

    assert [pull.number for pull in github_client.open_pulls(head="retrain")] == [1]
    assert [pull.number for pull in github_client.open_pulls(base="release")] == [4]
    assert [pull.number for pull in github_client.open_pulls(label="retrain")] == [1]
    assert [pull.number for pull in github_client.open_pulls()] == [1, 2, 4, 5]


def test_second_creation_finds_the_open_pull_request(github: StandIn, github_client: GitHub) -> None:
    """Opening one that is open already returns it, and so does one whose answer was lost."""
    first = github_client.create_pull(title="t", head="h", base="main", body="b", draft=True)
    second = github_client.create_pull(title="t", head="h", base="main", body="b")
    github.fault("reset", method="POST", applied=True)
    third = github_client.create_pull(title="u", head="i", base="main", body="b")

    assert first == second
    assert first.draft
    assert third.head_ref == "i"
    assert len(github.hub.state["pulls"]) == 2


def test_update_pull_changes_what_is_given(github: StandIn, github_client: GitHub) -> None:
    """Title, body and state are changed, the rest stays."""
    github.hub.add_pull("retrain", title="old", body="old body")
    changed = github_client.update_pull(1, title="new", state="closed")

    assert (changed.title, changed.body, changed.state) == ("new", "old body", "closed")


def test_deleted_fork_has_no_repository(github: StandIn, github_client: GitHub) -> None:
    """A pull request whose fork is gone is read with head_repo None."""
    github.hub.add_pull("retrain", head_repo=None)
    github.validate = False  # the description calls head.repo an object; GitHub answers null here

    assert github_client.pull(1).head_repo is None


def test_heads_come_from_a_real_repository(github: StandIn, github_client: GitHub, tmp_path: Any) -> None:
    """With a bare repository behind it the stand-in shows the branch's tip, and finds the request by commit."""
    import subprocess

    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "-b", "main", "."], check=True)
    for branch in ("main", "retrain"):
        subprocess.run([*git, "checkout", "-q", "-B", branch], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", branch], check=True)
    github.hub.git = tmp_path
    tip = github.hub.tip("retrain")
    made = github_client.create_pull(title="t", head="retrain", base="main", body="")

    assert made.head_sha == tip
    assert [pull.number for pull in github_client.pulls_of_commit(str(tip))] == [made.number]
    assert "422" in sentence_of(lambda: github_client.create_pull(title="t", head="gone", base="main", body=""))
    assert "No commit found" in sentence_of(lambda: github_client.set_status(SHA, "success", "x"))


# Statuses


def test_statuses_are_posted_as_github_takes_them(github: StandIn, github_client: GitHub) -> None:
    """A description is one line of at most 140 characters; an address that is not one of the web is left out."""
    github_client.set_status(SHA, "pending", "wait", target_url="javascript:alert(1)")
    github_client.set_status(SHA, "failure", "other", context="ci")
    github_client.set_status(SHA, "success", "line\none\x1b[31m " + "é" * 200, target_url="https://example.com/run")
    newest, *others = github.hub.statuses(SHA)

    assert (newest["context"], newest["state"], newest["target_url"]) == (
        "promotion",
        "success",
        "https://example.com/run",
    )
    assert len(newest["description"]) == 140
    assert newest["description"].startswith("line one é")
    assert [entry["target_url"] for entry in others] == [None, None]


def test_status_is_repeated_after_a_lost_answer(github: StandIn, github_client: GitHub) -> None:
    """A status posted twice says the same, so it is not given up."""
    github.fault("reset", method="POST", applied=True)
    github_client.set_status(SHA, "success", "ok")

    assert {entry["state"] for entry in github.hub.statuses(SHA)} == {"success"}


def test_status_on_something_that_is_no_commit_is_refused(github: StandIn, github_client: GitHub) -> None:
    """A ref or a path in place of a commit id never reaches the address."""
    for sha in ("main", "../../x", "A" * 40, SHA + "\n"):
        assert "not a full commit id" in sentence_of(lambda sha=sha: github_client.set_status(sha, "success", "x"))

    assert github.requests == []


# Workflows and issues


def test_dispatch_reaches_the_workflow(github: StandIn, github_client: GitHub) -> None:
    """A dispatch arrives with its branch and inputs, also after a 502."""
    github.fault("status", method="POST", status=502)
    github_client.dispatch("promote.yml", "main", {"reason": "drift; $(id)"})

    expected = {"workflow": "promote.yml", "ref": "main", "inputs": {"reason": "drift; $(id)"}}
    (dispatch,) = github.hub.state["dispatches"]
    assert expected == {key: dispatch[key] for key in expected}


def test_runs_are_listed_newest_first(github: StandIn, github_client: GitHub) -> None:
    """The newest runs of one workflow come first, as many as asked for."""
    github.hub.state["runs"] = [{"id": n, "workflow": "promote.yml", "conclusion": "success"} for n in range(250)]

    assert [run.id for run in github_client.runs("promote.yml", most=3, branch="main")] == [249, 248, 247]
    assert github_client.runs("drift.yml") == []


def test_issues_leave_out_pull_requests(github: StandIn, github_client: GitHub) -> None:
    """The list of issues has no pull request in it, and labels and state select."""
    github.hub.add_pull("retrain", labels=["drift"])
    made = github_client.create_issue("title", "body", ("drift",))
    github_client.update_issue(made.number, state="closed", state_reason="completed")

    assert github_client.issues(label="drift") == []
    assert [issue.number for issue in github_client.issues(label="drift", state="all")] == [made.number]


# Texts


HOSTILE = [
    "`$(touch /tmp/x)`; rm -rf / #",
    "::error file=x::boo\n::add-mask::y\n##[error]z",
    "<script>alert(1)</script><!-- promotion-report -->",
    "@everyone @octo-org/admins closes #1",
    "\ud800 lone \x00 nul \u202e reversed",
    "]" * 1000 + "![x](https://example.com/pixel.png)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_arrives_as_text(github: StandIn, github_client: GitHub, text: str) -> None:
    """Whatever a title, branch or body contains is sent as data and comes back as such."""
    github.hub.add_pull("retrain")
    pull = github_client.create_pull(title=text, head=text[:200].replace("\ud800", "x"), base="main", body=text)
    github_client.update_comment(github_client.create_comment(1, text).id, text + "!")
    github_client.set_status(SHA, "failure", text, context="promotion")
    github_client.dispatch("promote.yml", "main", {"reason": text})
    clean = text.replace("\ud800", "\ufffd").replace("\0", "\ufffd")

    assert pull.body == clean
    assert github.hub.comments(1)[0]["body"] == clean + "!"
    assert len(github.hub.statuses(SHA)[0]["description"]) <= 140


def test_text_over_the_limit_is_refused_before_it_is_sent(github: StandIn, github_client: GitHub) -> None:
    """65,536 characters pass, whatever their bytes; one more is refused here and by the stand-in."""
    github.hub.add_pull("retrain")
    made = github_client.create_comment(1, "😀" * MAX_BODY)

    assert len(github.hub.comments(1)[0]["body"]) == 65_536
    assert "65536" in sentence_of(lambda: github_client.update_comment(made.id, "x" * (MAX_BODY + 1)))
    url = f"{github.url}/repos/octo-org/fraud/issues/1/comments"
    headers = {"Authorization": "Bearer t-actions", "User-Agent": "x"}
    answer = requests.post(url, json={"body": "x" * (MAX_BODY + 1)}, headers=headers, timeout=5)
    github.requests.pop()
    assert answer.status_code == 422


def test_fork_token_reads_but_does_not_write(github: StandIn, fake_time: FakeTime) -> None:
    """With the read-only token of a fork's run every write is one sentence about the permission."""
    github.hub.add_pull("retrain", head_repo="eve/fraud")
    names = ("pull-requests", "issues", "statuses", "contents", "actions")
    client = client_of(github, fake_time, github.hub.token(permissions=dict.fromkeys(names, "read")))

    assert client.pull(1).head_repo == "eve/fraud"
    for call in (
        lambda: client.create_comment(1, "x"),
        lambda: client.set_status(SHA, "success", "x"),
        lambda: client.dispatch("promote.yml", "main"),
        lambda: client.create_issue("t", "b"),
    ):
        text = sentence_of(call)
        assert "lacks the permission" in text
        assert "fork" in text
    with pytest.raises(GitHubError) as caught:
        client.create_comment(1, "x")
    assert caught.value.status == 403


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
READERS = {
    answers.pull: shapes.pull(PULL, "o/r"),
    answers.comment: shapes.comment({"id": 1, "body": "b", "user": "eve", "issue": 1}, "o/r"),
    answers.issue: shapes.issue(
        {"number": 1, "title": "t", "body": "b", "state": "open", "user": "e", "labels": ["x"]}, "o/r"
    ),
    answers.run: shapes.run({"id": 1, "workflow": "promote.yml"}, "o/r"),
}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@given(data=st.data())
def test_any_answer_is_a_value_or_a_sentence(reader: Any, data: st.DataObject) -> None:
    """Whatever JSON stands in the place of any field, the result is our value or a GitHubError."""
    raw = dict(READERS[reader])
    key = data.draw(st.sampled_from(sorted(raw)))
    raw[key] = data.draw(json_values)
    try:
        found = reader(raw, "try")
    except GitHubError:
        return

    assert all(value is None or isinstance(value, str | int | tuple) for value in vars(found).values())
