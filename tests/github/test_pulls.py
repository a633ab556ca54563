"""Where a repository is hosted, and how its pull requests are opened there."""

import subprocess
from pathlib import Path

import pytest
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.github.client import GitHub
from promotion.github.pulls import MAX_URL, Host, Proposal, by_hand, host_of, marker, own_pull, refreshed

from tests.support.github.standin import StandIn

REPO = "octo-org/fraud"


def cloned(path: Path, origin: str | None) -> Repo:
    """A repository with that origin."""
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    if origin is not None:
        subprocess.run(["git", "-C", str(path), "remote", "add", "origin", origin], check=True)
    return Repo(path)


def proposal(**how: str) -> Proposal:
    """A pull request to be."""
    return Proposal(
        **{"commit": "c" * 40, "branch": "retrain/x", "base": "main", "title": "Retrain", "body": "b", **how}
    )


@pytest.mark.parametrize(
    ("origin", "web", "api"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r", "https://api.github.com"),
        ("https://me:secret@github.com/o/r", "https://github.com/o/r", "https://api.github.com"),
        ("git@github.com:o/r.git", "https://github.com/o/r", "https://api.github.com"),
        ("ssh://git@git.acme.example:2222/o/r.git", "https://git.acme.example/o/r", "https://git.acme.example/api/v3"),
        ("/srv/git/o/r.git", None, None),
        (None, None, None),
    ],
)
def test_origin_says_where_it_is_hosted(tmp_path: Path, origin: str | None, web: str | None, api: str | None) -> None:
    """In every form of an address; a folder is no host, and without one the token goes nowhere."""
    found = host_of(cloned(tmp_path, origin), {"GH_TOKEN": "t"})

    assert found.web == web
    assert (None if found.github is None else found.github.api_url) == api
    assert host_of(cloned(tmp_path / "again", origin), {}).github is None


def test_actions_say_it_before_origin_does(tmp_path: Path) -> None:
    """Name, server and API of the run; a name that is asked for comes before all."""
    env = {"GITHUB_REPOSITORY": REPO, "GITHUB_SERVER_URL": "https://ghe", "GITHUB_API_URL": "https://ghe/api/v3"}
    repo = cloned(tmp_path, "https://github.com/o/r")
    run, asked = host_of(repo, {**env, "GITHUB_TOKEN": "t"}), host_of(repo, {**env, "GITHUB_TOKEN": "t"}, name="a/b")

    assert (run.repo, run.web) == (REPO, f"https://ghe/{REPO}")
    assert run.github is not None and run.github.api_url == "https://ghe/api/v3"
    assert (asked.repo, asked.github and asked.github.repo) == ("a/b", "a/b")


@pytest.mark.parametrize("env", [{"GITHUB_REPOSITORY": REPO}, {"GITHUB_API_URL": "https://ghe/api/v3"}])
def test_a_token_alone_picks_neither_server_nor_repository(tmp_path: Path, env: dict[str, str]) -> None:
    """Where one of both is not known, nothing is asked."""
    assert host_of(cloned(tmp_path, "/srv/git/o/r.git"), {**env, "GH_TOKEN": "t"}).github is None


def test_an_address_that_a_browser_takes() -> None:
    """With the body where it fits, with the title alone where it does not; without a host a sentence."""
    host = Host("o/r", "https://github.com/o/r", None)
    short, long = by_hand(host, proposal()), by_hand(host, proposal(body="ü" * MAX_URL))

    assert short == "https://github.com/o/r/compare/main...retrain/x?quick_pull=1&title=Retrain&body=b"
    assert long == "https://github.com/o/r/compare/main...retrain/x?quick_pull=1&title=Retrain"
    assert by_hand(Host(None, None, None), proposal()) == "open one from retrain/x into main, titled `Retrain`"


def test_a_branch_into_itself_is_no_pull_request() -> None:
    """Nobody is told to delete main."""
    with pytest.raises(PromotionError, match="--head names the pull request's own branch"):
        proposal(branch="main")


def test_the_open_pull_request_of_a_model_is_found_by_its_first_line(github: StandIn, github_client: GitHub) -> None:
    """Of this repository, of this very model, the oldest; a fork's, a quotation and a closed one are not."""
    hub = github.hub
    hub.close_pull(hub.add_pull("closed", body=marker("tiny")))
    hub.add_pull("fork", body=marker("tiny"), head_repo="mallory/fraud")
    hub.add_pull("quoted", body=f"> {marker('tiny')}")
    hub.add_pull("other", body=marker("tiny-2"))
    assert own_pull(github_client, "tiny", "main") is None
    mine = hub.add_pull("mine", body=f"\n{marker('tiny')}\r\nwords")
    hub.add_pull("later", body=marker("tiny"))

    found = own_pull(github_client, "tiny", "main")
    assert found is not None and found.number == mine


@pytest.mark.parametrize(
    ("title", "body", "writes"),
    [("Retrain", "b\r\n", 0), ("Retrain", "b", 0), ("Retrain!", "b", 1), ("Retrain", "c", 1)],
)
def test_a_pull_request_is_written_again_where_it_says_something_else(
    github: StandIn, github_client: GitHub, title: str, body: str, writes: int
) -> None:
    """A line's end that GitHub changed is no difference."""
    pull = github_client.pull(github.hub.add_pull("retrain/x", title=title, body=body))
    after = refreshed(github_client, pull, proposal())

    assert sum(request.method == "PATCH" for request in github.requests) == writes
    assert (after.title, after.body.strip()) == ("Retrain", "b")
