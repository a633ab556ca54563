"""One comment a pull request, one issue a subject: whoever else writes, however many runs write at once."""

import random
import threading
from typing import Any

import pytest
from promotion.errors import PromotionError
from promotion.github.client import GitHub
from promotion.github.comments import (
    REPORT_MARKER,
    close_issue,
    own_comments,
    upsert_comment,
    upsert_issue,
)
from promotion.github.errors import GitHubError
from promotion.github.http import Patience

from tests.support.github.standin import Recorded, StandIn

BOT = "github-actions[bot]"
DRIFT = "<!-- promotion-drift fraud-detector -->"


def client_of(github: StandIn, token: str = "t-actions", **more: Any) -> GitHub:
    """A client that never waits."""
    patience = Patience(connect=5, read=5)
    return GitHub(github.url, github.hub.repo, token, patience=patience, sleep=lambda seconds: None, **more)


def bodies(github: StandIn, number: int = 1) -> list[str]:
    """What the comments of a pull request say."""
    return [comment["body"] for comment in github.hub.comments(number)]


@pytest.fixture
def client(github: StandIn) -> GitHub:
    """A workflow's client; pull request 1 is open."""
    github.hub.add_pull("retrain")
    return client_of(github)


def test_comment_is_written_once_and_then_updated(github: StandIn, client: GitHub) -> None:
    """Three reports leave one comment that says the last of them."""
    for word in ("first", "second", "third"):
        upsert_comment(client, 1, REPORT_MARKER, word)

    assert bodies(github) == [f"{REPORT_MARKER}\nthird"]


def test_same_report_again_writes_nothing(github: StandIn, client: GitHub) -> None:
    """A re-run with the same text makes no write."""
    upsert_comment(client, 1, REPORT_MARKER, "same")
    github.requests.clear()
    upsert_comment(client, 1, REPORT_MARKER, "same")

    assert {request.method for request in github.requests} == {"GET"}


@pytest.mark.parametrize("author", ["eve", "GitHub-Actions", "dependabot[bot]"])
def test_comment_of_somebody_else_with_our_marker_is_left_alone(github: StandIn, client: GitHub, author: str) -> None:
    """A person or another bot with our marker is neither updated nor deleted."""
    theirs = f"{REPORT_MARKER}\nmerge me"
    github.hub.add_comment(1, author, theirs)
    upsert_comment(client, 1, REPORT_MARKER, "ours")

    assert bodies(github) == [theirs, f"{REPORT_MARKER}\nours"]


def test_own_comment_that_quotes_the_marker_is_left_alone(github: StandIn, client: GitHub) -> None:
    """Another workflow of the same bot that quotes a report further down is not ours; nor is a deleted user's."""
    github.hub.add_comment(1, BOT, f"> {REPORT_MARKER}\n> quoted")
    github.hub.state["comments"].append({"id": 999, "issue": 1, "user": None, "body": REPORT_MARKER})
    upsert_comment(client, 1, REPORT_MARKER, "ours")

    assert len(bodies(github)) == 3


def test_comment_on_the_last_of_two_hundred_pages_is_found(github: StandIn, client: GitHub) -> None:
    """Ours is the last of 20,000 comments: it is updated, no second one is written."""
    people = [{"id": n, "issue": 1, "user": "bob", "body": "hi"} for n in range(19_999)]
    github.hub.state.update(comments=people, next_id=50_000)
    github.hub.add_comment(1, BOT, f"{REPORT_MARKER}\nold")
    github.validate = False
    upsert_comment(client, 1, REPORT_MARKER, "new")

    assert len(bodies(github)) == 20_000
    assert bodies(github)[-1] == f"{REPORT_MARKER}\nnew"


def test_duplicates_of_earlier_runs_are_removed(github: StandIn, client: GitHub) -> None:
    """Where a crash left several of ours, the oldest survives with the new text."""
    ids = [github.hub.add_comment(1, BOT, f"{REPORT_MARKER}\n{n}") for n in range(4)]
    survivor = upsert_comment(client, 1, REPORT_MARKER, "new")

    assert survivor.id == ids[0]
    assert bodies(github) == [f"{REPORT_MARKER}\nnew"]


def test_comment_that_disappears_meanwhile_is_written_again(github: StandIn, client: GitHub) -> None:
    """Somebody deletes the comment between our reading and our update: 404, and a new one."""
    github.hub.add_comment(1, BOT, f"{REPORT_MARKER}\nold")

    def deleted_just_now(request: Recorded) -> None:
        if request.method == "PATCH":
            github.hub.state["comments"].clear()

    github.before = deleted_just_now
    upsert_comment(client, 1, REPORT_MARKER, "new")

    assert bodies(github) == [f"{REPORT_MARKER}\nnew"]


def test_comment_that_always_disappears_ends_with_a_sentence(github: StandIn, client: GitHub) -> None:
    """A list that never agrees with the updates is given up after a few rounds."""
    github.hub.add_comment(1, BOT, f"{REPORT_MARKER}\nold")
    github.fault("status", method="PATCH", status=404, times=99)
    with pytest.raises(PromotionError, match="cannot keep one comment on #1 after 6 tries"):
        upsert_comment(client, 1, REPORT_MARKER, "new")


@pytest.mark.parametrize("kind", ["status", "reset", "short", "cut"])
@pytest.mark.parametrize("applied", [True, False])
def test_lost_answer_never_doubles_the_comment(github: StandIn, client: GitHub, kind: str, applied: bool) -> None:
    """Whether or not the creation took effect before its answer was lost, there is one comment."""
    github.fault(kind, method="POST", applied=applied, status=502)
    upsert_comment(client, 1, REPORT_MARKER, "report")

    assert bodies(github) == [f"{REPORT_MARKER}\nreport"]


@pytest.mark.parametrize("runs", [2, 5])
def test_runs_at_once_end_with_one_comment(github: StandIn, runs: int) -> None:
    """Runs that all saw no comment and all wrote one leave exactly one, the oldest, with one run's whole text."""
    github.hub.add_pull("retrain")
    together = threading.Barrier(runs)

    def all_create_at_the_same_time(request: Recorded) -> None:
        if request.method == "POST":
            together.wait(20)

    github.before = all_create_at_the_same_time
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            upsert_comment(client_of(github), 1, REPORT_MARKER, f"run {number}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    (body,) = bodies(github)
    assert body in {f"{REPORT_MARKER}\nrun {number}" for number in range(runs)}
    assert github.hub.comments(1)[0]["id"] == 1001


@pytest.mark.parametrize("seed", range(12))
def test_four_runs_under_faults_end_with_one_comment(github: StandIn, seed: int) -> None:
    """Four runs at once, a few lost answers and server errors, comments over several pages: one comment, one text."""
    rng = random.Random(seed)
    github.hub.add_pull("retrain")
    for _ in range(rng.choice([0, 99, 100, 250])):
        github.hub.add_comment(1, rng.choice(["bob", BOT]), rng.choice(["hi", f"{REPORT_MARKER}\nold"]))
    for _ in range(rng.randint(1, 6)):
        kind = rng.choice(["status", "reset", "short", "cut", "html"])
        method, applied = rng.choice(["", "POST", "PATCH", "DELETE", "GET"]), rng.random() < 0.5
        github.fault(kind, method=method, times=rng.randint(1, 2), status=502, applied=applied)
    texts = [f"{REPORT_MARKER}\nrun {number}" for number in range(4)]
    threads = [threading.Thread(target=upsert_comment, args=(client_of(github), 1, REPORT_MARKER, t)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours = [entry["body"] for entry in github.hub.comments(1) if entry["user"] == BOT]
    ours = [body for body in ours if body.startswith(REPORT_MARKER)]

    assert len(ours) == 1
    assert ours[0] in texts


def test_unknown_own_login_is_learned(github: StandIn) -> None:
    """With a GitHub App's token and no PROMOTION_LOGIN two runs still leave one comment."""
    github.hub.add_pull("retrain")
    token = github.hub.token("promoter[bot]")
    upsert_comment(client_of(github, token), 1, REPORT_MARKER, "first")
    upsert_comment(client_of(github, token), 1, REPORT_MARKER, "second")

    assert bodies(github) == [f"{REPORT_MARKER}\nsecond"]


def test_limit_counts_the_marker(github: StandIn, client: GitHub) -> None:
    """Marker and text together fit exactly, or are refused before anything is sent."""
    room = 65_536 - len(REPORT_MARKER) - 1
    upsert_comment(client, 1, REPORT_MARKER, "ä" * room)

    assert len(bodies(github)[0]) == 65_536
    with pytest.raises(PromotionError, match="65536"):
        upsert_comment(client, 1, REPORT_MARKER, "ä" * (room + 1))


def test_missing_permission_is_one_sentence(github: StandIn) -> None:
    """A token that may not comment says which permission it lacks, and nothing is left behind."""
    github.hub.add_pull("retrain")
    client = client_of(github, github.hub.token(permissions={"pull-requests": "read"}))
    with pytest.raises(GitHubError, match="lacks the permission `pull-requests: write`"):
        upsert_comment(client, 1, REPORT_MARKER, "x")

    assert bodies(github) == []


def test_body_may_bring_its_marker(github: StandIn, client: GitHub) -> None:
    """A text that begins with the marker does not get it twice."""
    upsert_comment(client, 1, REPORT_MARKER, f"{REPORT_MARKER}\ntext")

    assert bodies(github) == [f"{REPORT_MARKER}\ntext"]
    assert len(own_comments(client, 1, REPORT_MARKER)) == 1


def test_marker_is_one_html_comment(client: GitHub) -> None:
    """A marker that would show, or that spans lines, is a bug of the caller."""
    for marker in ("promotion", "<!-- a\n-->"):
        with pytest.raises(ValueError, match="HTML comment"):
            upsert_comment(client, 1, marker, "x")


# The one issue


def test_drift_issue_is_opened_updated_and_closed(github: StandIn) -> None:
    """One issue lives from the first drift to the end of it; the next drift opens a new one."""
    client = client_of(github)
    first = upsert_issue(client, DRIFT, title="drift", body="one", label="model-drift")
    again = upsert_issue(client, DRIFT, title="drift!", body="two", label="model-drift")
    (kept,) = github.hub.state["issues"]
    before = (kept["title"], kept["body"])
    closed = close_issue(client, DRIFT, "model-drift", comment="all well")
    new = upsert_issue(client, DRIFT, title="drift", body="three", label="model-drift")

    assert first.number == again.number
    assert before == ("drift!", f"{DRIFT}\ntwo")
    assert closed == [first.number]
    assert bodies(github, first.number) == ["all well"]
    assert new.number != first.number
    assert [issue["state"] for issue in github.hub.state["issues"]] == ["closed", "open"]


def test_issue_of_somebody_else_is_left_alone(github: StandIn) -> None:
    """A person's issue with our marker and label is neither changed nor closed."""
    eve = client_of(github, github.hub.token("eve"))
    theirs = eve.create_issue("drift", f"{DRIFT}\nmine", ("model-drift",))
    client = client_of(github)
    ours = upsert_issue(client, DRIFT, title="drift", body="one", label="model-drift")
    close_issue(client, DRIFT, "model-drift", comment="all well")

    assert ours.number != theirs.number
    assert github.hub.state["issues"][0]["state"] == "open"


def test_duplicate_issues_are_closed(github: StandIn) -> None:
    """Two issues of ours for one subject become one."""
    client = client_of(github)
    for _ in range(2):
        client.create_issue("drift", DRIFT, ("model-drift",))
    upsert_issue(client, DRIFT, title="drift", body="x", label="model-drift")

    assert [issue["state"] for issue in github.hub.state["issues"]] == ["open", "closed"]


def test_lost_answer_to_a_new_issue_is_looked_up(github: StandIn) -> None:
    """An issue that was created although the answer was lost is found and not opened twice."""
    github.fault("reset", method="POST", applied=True)
    upsert_issue(client_of(github), DRIFT, title="drift", body="x", label="model-drift")

    assert len(github.hub.state["issues"]) == 1


def test_label_that_github_dropped_is_added(github: StandIn) -> None:
    """GitHub drops labels that the author may not set with the issue; without it the next run would not find it."""
    original = github.hub.answer

    def dropping(method: str, path: str, query: Any, headers: Any, body: Any, token: str) -> Any:
        if method == "POST" and path.endswith("/issues"):
            body = body | {"labels": []}
        return original(method, path, query, headers, body, token)

    github.hub.answer = dropping  # type: ignore[method-assign]
    upsert_issue(client_of(github), DRIFT, title="drift", body="x", label="model-drift")

    assert github.hub.state["issues"][0]["labels"] == ["model-drift"]


def test_close_without_an_issue_does_nothing(github: StandIn) -> None:
    """Nothing to close is no error and no write."""
    assert close_issue(client_of(github), DRIFT, "model-drift", comment="all well") == []
    assert {request.method for request in github.requests} == {"GET"}
