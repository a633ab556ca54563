"""GitHub's API over real HTTP: what is sent, what is repeated, what becomes a sentence."""

import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from github import shapes
from github.fixtures import description_or_reason
from github.standin import Recorded, StandIn
from hypothesis import given
from hypothesis import strategies as st
from promotion import github_answers as answers
from promotion.errors import PromotionError
from promotion.github import MAX_BODY, GitHub
from promotion.github_errors import GitHubError, Unconfirmed
from promotion.github_http import Patience

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
QUICK = Patience(connect=5, read=0.3, attempts=6, deadline=600)


class FakeTime:
    """A clock that only sleep() moves: no test waits."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def fake() -> FakeTime:
    """A fresh fake clock."""
    return FakeTime()


@pytest.fixture
def client(github: StandIn, fake: FakeTime) -> GitHub:
    """A client with a workflow's token; its waits are only counted."""
    return client_of(github, fake)


def client_of(github: StandIn, fake: FakeTime, token: str = "t-actions", **more: Any) -> GitHub:
    """A client of the stand-in with a fake clock."""
    options = {"patience": QUICK, "clock": fake.now, "now": fake.now, "sleep": fake.sleep} | more
    return GitHub(github.url, github.hub.repo, token, **options)


def sentence_of(call: Callable[[], Any]) -> str:
    """The message of the GitHubError that `call` raises; it is one line."""
    with pytest.raises(PromotionError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_github_description_is_the_pinned_one() -> None:
    """GitHub's own description is there, so that the requests of these tests are checked against it."""
    description = description_or_reason()
    if isinstance(description, str):
        pytest.skip(description)

    assert description.raw["info"]["version"] == "23.0.2"


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


def test_every_request_carries_the_headers_and_the_token(github: StandIn, client: GitHub) -> None:
    """Version, media type, agent and token go with each request."""
    github.hub.add_pull("retrain")
    client.pull(1)

    (request,) = github.requests
    assert request.login == "github-actions[bot]"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["user-agent"]


def test_token_is_never_printed(github: StandIn, fake: FakeTime) -> None:
    """Neither repr nor an error that quotes it shows the token."""
    secret = "ghs_verysecret"
    client = client_of(github, fake, secret)
    github.fault("status", status=422, message=f"bad {secret}")
    text = sentence_of(lambda: client.pull(1))

    assert secret not in repr(client) + text + repr(vars(client)["_auth"])


def test_netrc_does_not_replace_the_token(github: StandIn, client: GitHub, tmp_path: Any, monkeypatch: Any) -> None:
    """A ~/.netrc entry for the API's host is not sent instead of the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    github.hub.add_pull("retrain")
    client.pull(1)

    assert github.requests[0].login == "github-actions[bot]"


def test_proxy_is_not_asked_for_this_machine(github: StandIn, client: GitHub, monkeypatch: Any) -> None:
    """With a proxy in the environment a server on the loopback is reached directly."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    github.hub.add_pull("retrain")

    assert client.pull(1).number == 1


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


# Retries


@pytest.mark.parametrize("kind", ["status", "reset", "short", "cut", "html", "hang"])
def test_reading_survives_faults(github: StandIn, client: GitHub, fake: FakeTime, kind: str) -> None:
    """A GET is repeated after 500, a reset, a short or cut body, a proxy's page and a hang."""
    github.hub.add_pull("retrain")
    github.fault(kind, times=2, status=502)

    assert client.pull(1).number == 1
    assert len(github.requests) == 3
    assert len(fake.slept) == 2


def test_retries_end_with_a_sentence(github: StandIn, client: GitHub, fake: FakeTime) -> None:
    """After the last attempt the sentence says what failed, how often, and to run again."""
    github.fault("status", status=503, times=99)
    text = sentence_of(lambda: client.pull(1))

    assert text == "cannot read pull request #1: GitHub answers 503, 6 times; run again later"
    assert len(github.requests) == 6
    assert len(fake.slept) == 5


def test_server_that_is_not_there(fake: FakeTime) -> None:
    """A refused connection is tried again, also for a POST, and says that there is none."""
    client = GitHub("http://127.0.0.1:9", "o/r", "t", clock=fake.now, now=fake.now, sleep=fake.sleep)
    text = sentence_of(lambda: client.create_comment(1, "x"))

    assert "no connection to GitHub" in text
    assert len(fake.slept) == 5


def test_slow_body_ends_at_the_deadline(github: StandIn, fake: FakeTime) -> None:
    """A body that arrives after the deadline is not waited for."""
    ticks = iter([0.0, *[1000.0 + n for n in range(50)]])
    client = client_of(github, fake, clock=lambda: next(ticks))
    github.hub.add_pull("retrain")

    assert "out of time" in sentence_of(lambda: client.pull(1))


@pytest.mark.parametrize(("kind", "applied"), [("status", True), ("status", False), ("reset", True), ("hang", False)])
def test_creating_is_never_repeated_blindly(github: StandIn, client: GitHub, kind: str, applied: bool) -> None:
    """A POST that creates, whose answer was lost, raises Unconfirmed after one attempt."""
    github.hub.add_pull("retrain")
    github.fault(kind, method="POST", applied=applied, status=502)
    with pytest.raises(Unconfirmed):
        client.create_comment(1, "x")

    assert len(github.requests) == 1
    assert len(github.hub.comments(1)) == int(applied)


def test_delete_whose_answer_was_lost_is_done(github: StandIn, client: GitHub) -> None:
    """The second DELETE finds nothing, which is what was wanted."""
    github.hub.add_pull("retrain")
    made = client.create_comment(1, "x")
    github.fault("reset", method="DELETE", applied=True)
    client.delete_comment(made.id)

    assert github.hub.comments(1) == []


# Rate limits


def test_retry_after_is_obeyed(github: StandIn, client: GitHub, fake: FakeTime) -> None:
    """429 with retry-after waits that long, and a POST is repeated because a refused request took no effect."""
    github.hub.add_pull("retrain")
    github.fault("status", method="POST", status=429, headers={"retry-after": "17"}, message="slow down")
    client.create_comment(1, "x")

    (slept,) = fake.slept
    assert 17 <= slept <= 18
    assert len(github.hub.comments(1)) == 1


@pytest.mark.parametrize(
    ("status", "after", "least", "most"),
    [(503, "5", 5, 6), (429, "Fri, 15 Jan 2027 08:00:30 GMT", 30, 31), (429, "soon", 60, 61), (429, "-5", 60, 61)],
)
def test_forms_of_retry_after(
    github: StandIn, client: GitHub, fake: FakeTime, status: int, after: str, least: float, most: float
) -> None:
    """Seconds, an HTTP date, also with 503; one that cannot be read counts as none: a minute."""
    github.hub.add_pull("retrain")
    github.fault("status", status=status, headers={"retry-after": after})
    client.pull(1)

    (slept,) = fake.slept
    assert least <= slept <= most


def test_reset_time_is_obeyed_where_the_quota_is_spent(github: StandIn, client: GitHub, fake: FakeTime) -> None:
    """403 with x-ratelimit-remaining 0 waits until x-ratelimit-reset."""
    github.hub.add_pull("retrain")
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(fake.seconds) + 200)}
    github.fault("status", status=403, headers=headers, message="API rate limit exceeded")
    client.pull(1)

    (slept,) = fake.slept
    assert 200 <= slept <= 203


def test_secondary_limit_without_headers_waits_a_minute_and_doubles(
    github: StandIn, client: GitHub, fake: FakeTime
) -> None:
    """403 that speaks of a rate limit without headers: a minute, two, four."""
    github.hub.add_pull("retrain")
    github.fault("status", status=403, message="You have exceeded a secondary rate limit", times=3)
    client.pull(1)

    assert [round(seconds - seconds % 60) for seconds in fake.slept] == [60, 120, 240]


def test_limit_that_outlasts_the_deadline_says_when_to_return(github: StandIn, client: GitHub, fake: FakeTime) -> None:
    """An hour is not waited for: the sentence names the time."""
    github.fault("status", status=429, headers={"retry-after": "3600"})
    text = sentence_of(lambda: client.pull(1))

    assert re.search(r"out of time, run again after \d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    assert fake.slept == []


def test_permission_403_is_not_taken_for_a_rate_limit(github: StandIn, fake: FakeTime) -> None:
    """A token that lacks a permission fails at once and names it."""
    github.hub.add_pull("retrain")
    client = client_of(github, fake, github.hub.token(permissions={"contents": "read"}))
    text = sentence_of(lambda: client.set_status(SHA, "success", "x"))

    assert "lacks the permission `statuses: write`" in text
    assert fake.slept == []


# Errors as sentences


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "GITHUB_TOKEN is wrong or has expired"),
        (403, "lacks the permission `pull-requests: read`"),
        (404, "check the name and number"),
        (409, "run again"),
        (410, "check the name and number"),
        (422, "GitHub refuses the content (422: no | such | thing)"),
        (418, "GitHub answers 418"),
    ],
)
def test_refusals_say_what_to_do(github: StandIn, client: GitHub, status: int, words: str) -> None:
    """Each refusal is one sentence with what was tried and what to do; GitHub's own words lose their line ends."""
    github.fault("status", status=status, message="no |\n::error::such | thing".replace("::error::", ""))
    text = sentence_of(lambda: client.pull(7))

    assert text.startswith("cannot read pull request #7: ")
    assert words in text


def test_forbidden_pull_request_creation_names_the_setting(github: StandIn, client: GitHub) -> None:
    """GitHub's refusal to let Actions open pull requests names the box to tick."""
    github.hub.state["settings"]["workflow"]["can_approve_pull_request_reviews"] = False
    text = sentence_of(lambda: client.create_pull(title="t", head="h", base="main", body=""))

    assert "Settings > Actions > General" in text


def test_html_page_instead_of_the_api_is_explained(github: StandIn, client: GitHub) -> None:
    """A proxy's 200 page ends in a sentence, not a traceback."""
    github.fault("html", status=200, times=9)

    assert "cut short" in sentence_of(lambda: client.pull(1))


@pytest.mark.parametrize("answer", [[], {}, "x", None, 5, {"number": 1, "title": "t", "state": "open", "head": []}])
def test_answer_of_another_shape_is_a_sentence(github: StandIn, client: GitHub, answer: Any) -> None:
    """Valid JSON that is no pull request says what it lacks."""
    github.hub.answer = lambda *args: (200, answer, {})  # type: ignore[method-assign]
    github.validate = False

    assert "GitHub's answer lacks" in sentence_of(lambda: client.pull(1))
    if not isinstance(answer, list):
        assert "not a list" in sentence_of(client.open_pulls)


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


# Pages and redirects


def test_two_hundred_pages_are_read(github: StandIn, client: GitHub) -> None:
    """A list of 20,000 comments is read to its last one, 100 at a time."""
    github.hub.add_pull("retrain")
    github.hub.state["comments"] = [{"id": n, "issue": 1, "user": "bob", "body": "hi"} for n in range(20_000)]
    github.validate = False  # 200 answers of one shape; the other tests check it
    found = list(client.comments(1))

    assert [comment.id for comment in found] == list(range(20_000))
    assert len(github.requests) == 200


def test_link_to_another_server_is_not_followed(github: StandIn, client: GitHub) -> None:
    """The token is never carried to the server that a Link names."""
    other = StandIn().start()
    original = github.hub.answer

    def elsewhere(*args: Any) -> Any:
        status, answer, headers = original(*args)
        return status, answer, headers | {"Link": f'<{other.url}/repos/octo-org/fraud/pulls?page=2>; rel="next"'}

    github.hub.answer = elsewhere  # type: ignore[method-assign]
    text = sentence_of(client.open_pulls)
    other.stop()

    assert "another server" in text
    assert other.requests == []


def test_list_that_leads_in_a_circle_ends(github: StandIn, client: GitHub) -> None:
    """A next page that was read already is an error, not an endless loop."""
    github.validate = False
    original = github.hub.answer

    def circle(*args: Any) -> Any:
        status, answer, headers = original(*args)
        return status, answer, headers | {"Link": f'<{github.url}/repos/octo-org/fraud/pulls?page=2>; rel="next"'}

    github.hub.answer = circle  # type: ignore[method-assign]

    assert "does not end" in sentence_of(client.open_pulls)
    assert len(github.requests) == 2


@pytest.mark.parametrize(("status", "followed"), [(301, True), (307, True)])
def test_renamed_repository_is_followed_on_the_same_server(
    github: StandIn, client: GitHub, status: int, followed: bool
) -> None:
    """GitHub redirects a renamed repository's reads; they arrive."""
    github.hub.add_pull("retrain")
    headers = {"location": "/repos/octo-org/fraud/pulls/1"}
    github.fault("status", status=status, headers=headers, message="Moved Permanently")

    assert client.pull(1).number == 1


def test_redirect_to_another_server_or_of_a_write_is_refused(github: StandIn, client: GitHub) -> None:
    """No token goes to another server, and no POST becomes a GET."""
    other = StandIn().start()
    github.fault("status", status=302, headers={"location": other.url + "/repos/octo-org/fraud/pulls/1"})
    first = sentence_of(lambda: client.pull(1))
    github.fault("status", status=301, headers={"location": "/repos/octo-org/fraud/issues/1/comments"})
    second = sentence_of(lambda: client.create_comment(1, "x"))
    other.stop()

    assert "has moved" in first
    assert "has moved" in second
    assert other.requests == []


# Pull requests


def test_open_pulls_by_branch_base_and_label(github: StandIn, client: GitHub) -> None:
    """Own branches are found by name; a fork's branch of the same name is not, nor is a closed one."""
    github.hub.add_pull("retrain", labels=["retrain"])
    github.hub.add_pull("retrain", head_repo="eve/fraud")
    github.hub.add_pull("retrain", state="closed")
    github.hub.add_pull("other", base_ref="release")
    github.hub.add_pull("retrain", head_repo="octo-org/copy-of-fraud")

    assert [pull.number for pull in client.open_pulls(head="retrain")] == [1]
    assert [pull.number for pull in client.open_pulls(base="release")] == [4]
    assert [pull.number for pull in client.open_pulls(label="retrain")] == [1]
    assert [pull.number for pull in client.open_pulls()] == [1, 2, 4, 5]


def test_second_creation_finds_the_open_pull_request(github: StandIn, client: GitHub) -> None:
    """Opening one that is open already returns it, and so does one whose answer was lost."""
    first = client.create_pull(title="t", head="h", base="main", body="b", draft=True)
    second = client.create_pull(title="t", head="h", base="main", body="b")
    github.fault("reset", method="POST", applied=True)
    third = client.create_pull(title="u", head="i", base="main", body="b")

    assert first == second
    assert first.draft
    assert third.head_ref == "i"
    assert len(github.hub.state["pulls"]) == 2


def test_update_pull_changes_what_is_given(github: StandIn, client: GitHub) -> None:
    """Title, body and state are changed, the rest stays."""
    github.hub.add_pull("retrain", title="old", body="old body")
    changed = client.update_pull(1, title="new", state="closed")

    assert (changed.title, changed.body, changed.state) == ("new", "old body", "closed")


def test_deleted_fork_has_no_repository(github: StandIn, client: GitHub) -> None:
    """A pull request whose fork is gone is read with head_repo None."""
    github.hub.add_pull("retrain", head_repo=None)
    github.validate = False  # the description calls head.repo an object; GitHub answers null here

    assert client.pull(1).head_repo is None


def test_heads_come_from_a_real_repository(github: StandIn, client: GitHub, tmp_path: Any) -> None:
    """With a bare repository behind it the stand-in shows the branch's tip, and finds the request by commit."""
    import subprocess

    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "-b", "main", "."], check=True)
    for branch in ("main", "retrain"):
        subprocess.run([*git, "checkout", "-q", "-B", branch], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", branch], check=True)
    github.hub.git = tmp_path
    tip = github.hub.tip("retrain")
    made = client.create_pull(title="t", head="retrain", base="main", body="")

    assert made.head_sha == tip
    assert [pull.number for pull in client.pulls_of_commit(str(tip))] == [made.number]
    assert "422" in sentence_of(lambda: client.create_pull(title="t", head="gone", base="main", body=""))
    assert "No commit found" in sentence_of(lambda: client.set_status(SHA, "success", "x"))


# Statuses


def test_newest_status_of_the_context_counts(github: StandIn, client: GitHub) -> None:
    """Statuses are read newest first, by context; the description is one line of at most 140 characters."""
    client.set_status(SHA, "pending", "wait", target_url="javascript:alert(1)")
    client.set_status(SHA, "failure", "other", context="ci")
    client.set_status(SHA, "success", "line\none\x1b[31m " + "é" * 200, target_url="https://example.com/run")
    status = client.status(SHA)

    assert status is not None
    assert (status.state, status.target_url) == ("success", "https://example.com/run")
    assert len(status.description) == 140
    assert status.description.startswith("line one [31m é")
    assert [entry["target_url"] for entry in github.hub.statuses(SHA)][-1] is None
    assert client.status(SHA, "absent") is None


def test_status_is_repeated_after_a_lost_answer(github: StandIn, client: GitHub) -> None:
    """A status posted twice says the same, so it is not given up."""
    github.fault("reset", method="POST", applied=True)
    client.set_status(SHA, "success", "ok")

    assert {entry["state"] for entry in github.hub.statuses(SHA)} == {"success"}


def test_status_on_something_that_is_no_commit_is_refused(github: StandIn, client: GitHub) -> None:
    """A ref or a path in place of a commit id never reaches the address."""
    for sha in ("main", "../../x", "A" * 40, SHA + "\n"):
        assert "not a full commit id" in sentence_of(lambda sha=sha: client.set_status(sha, "success", "x"))

    assert github.requests == []


# Workflows and issues


def test_dispatch_reaches_the_workflow(github: StandIn, client: GitHub) -> None:
    """A dispatch arrives with its branch and inputs, also after a 502."""
    github.fault("status", method="POST", status=502)
    client.dispatch("promote.yml", "main", {"reason": "drift; $(id)"})

    expected = {"workflow": "promote.yml", "ref": "main", "inputs": {"reason": "drift; $(id)"}}
    (dispatch,) = github.hub.state["dispatches"]
    assert expected == {key: dispatch[key] for key in expected}


def test_runs_are_listed_newest_first(github: StandIn, client: GitHub) -> None:
    """The newest runs of one workflow come first, as many as asked for."""
    github.hub.state["runs"] = [{"id": n, "workflow": "promote.yml", "conclusion": "success"} for n in range(250)]

    assert [run.id for run in client.runs("promote.yml", most=3, branch="main")] == [249, 248, 247]
    assert client.runs("drift.yml") == []


def test_issues_leave_out_pull_requests(github: StandIn, client: GitHub) -> None:
    """The list of issues has no pull request in it, and labels and state select."""
    github.hub.add_pull("retrain", labels=["drift"])
    made = client.create_issue("title", "body", ("drift",))
    client.update_issue(made.number, state="closed", state_reason="completed")

    assert client.issues(label="drift") == []
    assert [issue.number for issue in client.issues(label="drift", state="all")] == [made.number]


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
def test_hostile_text_arrives_as_text(github: StandIn, client: GitHub, text: str) -> None:
    """Whatever a title, branch or body contains is sent as data and comes back as such."""
    github.hub.add_pull("retrain")
    pull = client.create_pull(title=text, head=text[:200].replace("\ud800", "x"), base="main", body=text)
    client.update_comment(client.create_comment(1, text).id, text + "!")
    client.set_status(SHA, "failure", text, context="promotion")
    client.dispatch("promote.yml", "main", {"reason": text})
    clean = text.replace("\ud800", "\ufffd").replace("\0", "\ufffd")

    assert pull.body == clean
    assert github.hub.comments(1)[0]["body"] == clean + "!"
    assert len(github.hub.statuses(SHA)[0]["description"]) <= 140


def test_text_over_the_limit_is_refused_before_it_is_sent(github: StandIn, client: GitHub) -> None:
    """65,536 characters pass, whatever their bytes; one more is refused here and by the stand-in."""
    github.hub.add_pull("retrain")
    made = client.create_comment(1, "😀" * MAX_BODY)

    assert len(github.hub.comments(1)[0]["body"]) == 65_536
    assert "65536" in sentence_of(lambda: client.update_comment(made.id, "x" * (MAX_BODY + 1)))
    url = f"{github.url}/repos/octo-org/fraud/issues/1/comments"
    headers = {"Authorization": "Bearer t-actions", "User-Agent": "x"}
    answer = requests.post(url, json={"body": "x" * (MAX_BODY + 1)}, headers=headers, timeout=5)
    github.requests.pop()
    assert answer.status_code == 422


def test_fork_token_reads_but_does_not_write(github: StandIn, fake: FakeTime) -> None:
    """With the read-only token of a fork's run every write is one sentence about the permission."""
    github.hub.add_pull("retrain", head_repo="eve/fraud")
    names = ("pull-requests", "issues", "statuses", "contents", "actions")
    client = client_of(github, fake, github.hub.token(permissions=dict.fromkeys(names, "read")))

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

    script = Path(__file__).parent / "github" / "standin.py"
    state = tmp_path / "state.json"
    command = [sys.executable, str(script), "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()  # type: ignore[union-attr]
        number = requests.post(f"{url}/_control/pulls", json={"head_ref": "retrain"}, timeout=5).json()["number"]
        requests.post(f"{url}/_control/faults", json={"kind": "status", "status": 500}, timeout=5)
        client = GitHub(url, "octo-org/fraud", "t-actions", sleep=lambda seconds: None)
        client.update_comment(client.create_comment(number, "x").id if client.pull(number) else 0, "kept")
        recorded = requests.get(f"{url}/_control/requests", timeout=5).json()
    finally:
        process.kill()
        process.wait()

    assert json.loads(state.read_text())["comments"][0]["body"] == "kept"
    assert [request["method"] for request in recorded] == ["GET", "GET", "POST", "PATCH"]


def test_retries_are_bounded_in_real_time(github: StandIn) -> None:
    """With the real clock and no waits, six hanging attempts end within the read timeouts."""
    github.fault("hang", times=6)
    client = GitHub(github.url, github.hub.repo, "t-actions", patience=QUICK, sleep=lambda seconds: None)
    start = time.monotonic()

    assert "does not answer in time" in sentence_of(lambda: client.pull(1))
    assert time.monotonic() - start < 30
