"""What is repeated and what is not, how long is waited, which pages are followed, what a refusal says."""

import re
import time
from typing import Any

import pytest
from promotion.github.client import GitHub
from promotion.github.errors import Unconfirmed

from tests.support.github.clients import QUICK, FakeTime, client_of, sentence_of
from tests.support.github.standin import StandIn

SHA = "c" * 40


# Retries


@pytest.mark.parametrize("kind", ["status", "reset", "short", "cut", "html", "hang"])
def test_reading_survives_faults(github: StandIn, github_client: GitHub, fake_time: FakeTime, kind: str) -> None:
    """A GET is repeated after 500, a reset, a short or cut body, a proxy's page and a hang."""
    github.hub.add_pull("retrain")
    github.fault(kind, times=2, status=502)

    assert github_client.pull(1).number == 1
    assert len(github.requests) == 3
    assert len(fake_time.slept) == 2


def test_retries_end_with_a_sentence(github: StandIn, github_client: GitHub, fake_time: FakeTime) -> None:
    """After the last attempt the sentence says what failed, how often, and to run again."""
    github.fault("status", status=503, times=99)
    text = sentence_of(lambda: github_client.pull(1))

    assert text == "cannot read pull request #1: GitHub answers 503, 6 times; run again later"
    assert len(github.requests) == 6
    assert len(fake_time.slept) == 5


def test_server_that_is_not_there(fake_time: FakeTime) -> None:
    """A refused connection is tried again, also for a POST, and says that there is none."""
    client = GitHub("http://127.0.0.1:9", "o/r", "t", clock=fake_time.now, now=fake_time.now, sleep=fake_time.sleep)
    text = sentence_of(lambda: client.create_comment(1, "x"))

    assert "no connection to GitHub" in text
    assert len(fake_time.slept) == 5


def test_slow_body_ends_at_the_deadline(github: StandIn, fake_time: FakeTime) -> None:
    """A body that arrives after the deadline is not waited for."""
    ticks = iter([0.0, *[1000.0 + n for n in range(50)]])
    client = client_of(github, fake_time, clock=lambda: next(ticks))
    github.hub.add_pull("retrain")

    assert "out of time" in sentence_of(lambda: client.pull(1))


@pytest.mark.parametrize(("kind", "applied"), [("status", True), ("status", False), ("reset", True), ("hang", False)])
def test_creating_is_never_repeated_blindly(github: StandIn, github_client: GitHub, kind: str, applied: bool) -> None:
    """A POST that creates, whose answer was lost, raises Unconfirmed after one attempt."""
    github.hub.add_pull("retrain")
    github.fault(kind, method="POST", applied=applied, status=502)
    with pytest.raises(Unconfirmed):
        github_client.create_comment(1, "x")

    assert len(github.requests) == 1
    assert len(github.hub.comments(1)) == int(applied)


def test_delete_whose_answer_was_lost_is_done(github: StandIn, github_client: GitHub) -> None:
    """The second DELETE finds nothing, which is what was wanted."""
    github.hub.add_pull("retrain")
    made = github_client.create_comment(1, "x")
    github.fault("reset", method="DELETE", applied=True)
    github_client.delete_comment(made.id)

    assert github.hub.comments(1) == []


# Rate limits


def test_retry_after_is_obeyed(github: StandIn, github_client: GitHub, fake_time: FakeTime) -> None:
    """429 with retry-after waits that long, and a POST is repeated because a refused request took no effect."""
    github.hub.add_pull("retrain")
    github.fault("status", method="POST", status=429, headers={"retry-after": "17"}, message="slow down")
    github_client.create_comment(1, "x")

    (slept,) = fake_time.slept
    assert 17 <= slept <= 18
    assert len(github.hub.comments(1)) == 1


@pytest.mark.parametrize(
    ("status", "after", "least", "most"),
    [(503, "5", 5, 6), (429, "Fri, 15 Jan 2027 08:00:30 GMT", 30, 31), (429, "soon", 60, 61), (429, "-5", 60, 61)],
)
def test_forms_of_retry_after(
    github: StandIn, github_client: GitHub, fake_time: FakeTime, status: int, after: str, least: float, most: float
) -> None:
    """Seconds, an HTTP date, also with 503; one that cannot be read counts as none: a minute."""
    github.hub.add_pull("retrain")
    github.fault("status", status=status, headers={"retry-after": after})
    github_client.pull(1)

    (slept,) = fake_time.slept
    assert least <= slept <= most


def test_reset_time_is_obeyed_where_the_quota_is_spent(
    github: StandIn, github_client: GitHub, fake_time: FakeTime
) -> None:
    """403 with x-ratelimit-remaining 0 waits until x-ratelimit-reset."""
    github.hub.add_pull("retrain")
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(fake_time.seconds) + 200)}
    github.fault("status", status=403, headers=headers, message="API rate limit exceeded")
    github_client.pull(1)

    (slept,) = fake_time.slept
    assert 200 <= slept <= 203


def test_secondary_limit_without_headers_waits_a_minute_and_doubles(
    github: StandIn, github_client: GitHub, fake_time: FakeTime
) -> None:
    """403 that speaks of a rate limit without headers: a minute, two, four."""
    github.hub.add_pull("retrain")
    github.fault("status", status=403, message="You have exceeded a secondary rate limit", times=3)
    github_client.pull(1)

    assert [round(seconds - seconds % 60) for seconds in fake_time.slept] == [60, 120, 240]


def test_limit_that_outlasts_the_deadline_says_when_to_return(
    github: StandIn, github_client: GitHub, fake_time: FakeTime
) -> None:
    """An hour is not waited for: the sentence names the time."""
    github.fault("status", status=429, headers={"retry-after": "3600"})
    text = sentence_of(lambda: github_client.pull(1))

    assert re.search(r"out of time, run again after \d{4}-\d\d-\d\d \d\d:\d\d UTC", text)
    assert fake_time.slept == []


def test_permission_403_is_not_taken_for_a_rate_limit(github: StandIn, fake_time: FakeTime) -> None:
    """A token that lacks a permission fails at once and names it."""
    github.hub.add_pull("retrain")
    client = client_of(github, fake_time, github.hub.token(permissions={"contents": "read"}))
    text = sentence_of(lambda: client.set_status(SHA, "success", "x"))

    assert "lacks the permission `statuses: write`" in text
    assert fake_time.slept == []


def test_retries_are_bounded_in_real_time(github: StandIn) -> None:
    """With the real clock and no waits, six hanging attempts end within the read timeouts."""
    github.fault("hang", times=6)
    client = GitHub(github.url, github.hub.repo, "t-actions", patience=QUICK, sleep=lambda seconds: None)
    start = time.monotonic()

    assert "does not answer in time" in sentence_of(lambda: client.pull(1))
    assert time.monotonic() - start < 30


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
def test_refusals_say_what_to_do(github: StandIn, github_client: GitHub, status: int, words: str) -> None:
    """Each refusal is one sentence with what was tried and what to do; GitHub's own words lose their line ends."""
    github.fault("status", status=status, message="no |\n::error::such | thing".replace("::error::", ""))
    text = sentence_of(lambda: github_client.pull(7))

    assert text.startswith("cannot read pull request #7: ")
    assert words in text


def test_forbidden_pull_request_creation_names_the_setting(github: StandIn, github_client: GitHub) -> None:
    """GitHub's refusal to let Actions open pull requests names the box to tick."""
    github.hub.state["settings"]["workflow"]["can_approve_pull_request_reviews"] = False
    text = sentence_of(lambda: github_client.create_pull(title="t", head="h", base="main", body=""))

    assert "Settings > Actions > General" in text


def test_html_page_instead_of_the_api_is_explained(github: StandIn, github_client: GitHub) -> None:
    """A proxy's 200 page ends in a sentence, not a traceback."""
    github.fault("html", status=200, times=9)

    assert "makes no sense" in sentence_of(lambda: github_client.pull(1))


def test_an_answer_that_is_nested_without_end_is_a_sentence(github: StandIn, github_client: GitHub) -> None:
    """Deeper than any reader goes."""
    github.fault("deep", status=200, times=9)

    assert "makes no sense" in sentence_of(lambda: github_client.pull(1))


@pytest.mark.parametrize("address", ["http://[::1", "http://127.0.0.1:99999/", "https://host:x/", ""])
def test_an_address_that_is_none_is_not_followed(github: StandIn, github_client: GitHub, address: str) -> None:
    """As a redirect's target, or as the next page."""
    github.validate = False
    github.fault("status", status=302, headers={"location": address}, times=9)
    moved = sentence_of(lambda: github_client.pull(1))
    github.faults.clear()
    github.hub.answer = lambda *args: (200, [], {"Link": f'<{address}>; rel="next"'})  # type: ignore[method-assign]

    assert any(said in moved for said in ("makes no sense", "too many redirects", "connection to GitHub"))
    assert "another server" in sentence_of(github_client.open_pulls)


@pytest.mark.parametrize("answer", [[], {}, "x", None, 5, {"number": 1, "title": "t", "state": "open", "head": []}])
def test_answer_of_another_shape_is_a_sentence(github: StandIn, github_client: GitHub, answer: Any) -> None:
    """Valid JSON that is no pull request says what it lacks."""
    github.hub.answer = lambda *args: (200, answer, {})  # type: ignore[method-assign]
    github.validate = False

    assert "GitHub's answer lacks" in sentence_of(lambda: github_client.pull(1))
    if not isinstance(answer, list):
        assert "not a list" in sentence_of(github_client.open_pulls)


# Pages and redirects


def test_two_hundred_pages_are_read(github: StandIn, github_client: GitHub) -> None:
    """A list of 20,000 comments is read to its last one, 100 at a time."""
    github.hub.add_pull("retrain")
    github.hub.state["comments"] = [{"id": n, "issue": 1, "user": "bob", "body": "hi"} for n in range(20_000)]
    github.validate = False  # 200 answers of one shape; the other tests check it
    found = list(github_client.comments(1))

    assert [comment.id for comment in found] == list(range(20_000))
    assert len(github.requests) == 200


def test_link_to_another_server_is_not_followed(github: StandIn, github_client: GitHub) -> None:
    """The token is never carried to the server that a Link names."""
    other = StandIn().start()
    original = github.hub.answer

    def elsewhere(*args: Any) -> Any:
        status, answer, headers = original(*args)
        return status, answer, headers | {"Link": f'<{other.url}/repos/octo-org/fraud/pulls?page=2>; rel="next"'}

    github.hub.answer = elsewhere  # type: ignore[method-assign]
    text = sentence_of(github_client.open_pulls)
    other.stop()

    assert "another server" in text
    assert other.requests == []


def test_list_that_leads_in_a_circle_ends(github: StandIn, github_client: GitHub) -> None:
    """A next page that was read already is an error, not an endless loop."""
    github.validate = False
    original = github.hub.answer

    def circle(*args: Any) -> Any:
        status, answer, headers = original(*args)
        return status, answer, headers | {"Link": f'<{github.url}/repos/octo-org/fraud/pulls?page=2>; rel="next"'}

    github.hub.answer = circle  # type: ignore[method-assign]

    assert "does not end" in sentence_of(github_client.open_pulls)
    assert len(github.requests) == 2


@pytest.mark.parametrize(("status", "followed"), [(301, True), (307, True)])
def test_renamed_repository_is_followed_on_the_same_server(
    github: StandIn, github_client: GitHub, status: int, followed: bool
) -> None:
    """GitHub redirects a renamed repository's reads; they arrive."""
    github.hub.add_pull("retrain")
    headers = {"location": "/repos/octo-org/fraud/pulls/1"}
    github.fault("status", status=status, headers=headers, message="Moved Permanently")

    assert github_client.pull(1).number == 1


def test_redirect_to_another_server_or_of_a_write_is_refused(github: StandIn, github_client: GitHub) -> None:
    """No token goes to another server, and no POST becomes a GET."""
    other = StandIn().start()
    github.fault("status", status=302, headers={"location": other.url + "/repos/octo-org/fraud/pulls/1"})
    first = sentence_of(lambda: github_client.pull(1))
    github.fault("status", status=301, headers={"location": "/repos/octo-org/fraud/issues/1/comments"})
    second = sentence_of(lambda: github_client.create_comment(1, "x"))
    other.stop()

    assert "has moved" in first
    assert "has moved" in second
    assert other.requests == []
