"""Commits beside the work tree, and what pushing says when it fails: never a password, never by force."""

import base64
from pathlib import Path

import pytest
from promotion.errors import PromotionError
from promotion.git.commits import BOT, Change, commit_on, identity, login, push, push_branch
from promotion.git.repo import Repo
from promotion.github.pulls import host_of

from tests.support.copies import champions


@pytest.fixture
def repo(prepared, host) -> Repo:
    """A person's clone of a hosted repository."""
    return Repo(host(prepared("second champion", champions("one", "two"), hosted=True)).clone)


def test_commit_changes_what_it_says_and_nothing_else(repo: Repo) -> None:
    """Folders become trees, files become texts, line ends and modes stay, the index and the branch are not touched."""
    tree = repo.object_at("HEAD~1", "models/tiny")
    assert tree is not None
    change = Change(trees={"models/tiny": tree}, files={"a/b.txt": "x\r\ny", "promotion.yaml": None})

    commit = commit_on(repo, "HEAD", change, "subject\n\nbody")

    assert repo.object_at(commit, "models/tiny") == tree
    assert repo.file_at(commit, "a/b.txt") == "x\r\ny"
    assert repo.file_at(commit, "promotion.yaml") is None
    assert set(repo.changed_paths("HEAD", commit)) == {"models/tiny/train.py", "a/b.txt", "promotion.yaml"}
    assert repo.git("status", "--porcelain") == "" and repo.describe(commit).subject == "subject"


def test_executable_files_stay_executable(repo: Repo) -> None:
    """A file that is rewritten keeps its mode."""
    script = commit_on(repo, "HEAD", Change(files={"run.sh": "1"}), "add")
    repo.git("update-ref", "refs/heads/x", script)
    repo.git("checkout", "--quiet", "x")
    repo.git("update-index", "--chmod=+x", "run.sh")
    repo.git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "-m", "mode")

    commit = commit_on(repo, "HEAD", Change(files={"run.sh": "2"}), "again")
    assert repo.git("ls-tree", commit, "run.sh").startswith("100755")


def test_push_that_is_no_fast_forward_is_refused(repo: Repo) -> None:
    """A branch that moved is never overwritten."""
    repo.git("push", "--quiet", "origin", "HEAD:refs/heads/work")
    other = commit_on(repo, "HEAD~1", Change(files={"a": "1"}), "other")

    with pytest.raises(PromotionError, match="work moved meanwhile"):
        push(repo, other, "work")
    with pytest.raises(PromotionError, match="with other content"):
        push_branch(repo, other, "work")


def test_pushing_the_same_twice_is_harmless(repo: Repo) -> None:
    """The same files on the same parent are there already, whoever committed them when."""
    change = Change(files={"a": "1"})
    assert push_branch(repo, commit_on(repo, "HEAD", change, "one"), "work")
    assert not push_branch(repo, commit_on(repo, "HEAD", change, "two"), "work")


def test_passwords_of_addresses_are_not_said(repo: Repo) -> None:
    """An address with a password in it is shortened in every sentence."""
    repo.git("remote", "set-url", "origin", "http://dana:hunter2@127.0.0.1:9/octo-org/fraud.git")

    with pytest.raises(PromotionError) as caught:
        push(repo, repo.resolve("HEAD"), "work")
    assert "hunter2" not in str(caught.value) and "could not push" in str(caught.value)


def test_workflow_token_travels_in_the_environment(repo: Repo) -> None:
    """In Actions an https origin gets the token as a header, after whatever git's environment has already."""
    env = {"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "t0ken", "GIT_CONFIG_COUNT": "1"}
    assert login(repo, env) == {}  # a path is no https origin
    repo.git("remote", "set-url", "origin", "https://github.com/octo-org/fraud")

    found = login(Repo(repo.path), env)

    header = "AUTHORIZATION: basic " + base64.b64encode(b"x-access-token:t0ken").decode()
    assert found["GIT_CONFIG_COUNT"] == "3"
    assert found["GIT_CONFIG_KEY_2"] == "http.https://github.com/.extraheader"
    assert (found["GIT_CONFIG_VALUE_1"], found["GIT_CONFIG_VALUE_2"]) == ("", header)
    assert login(repo, {"GITHUB_TOKEN": "t0ken"}) == {}


def test_who_commits(repo: Repo) -> None:
    """A person's own configuration counts; in Actions the bot commits; else a sentence says what to set."""
    assert identity(repo, {"GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_EMAIL": "a@b"}) == {}
    assert identity(repo, {"GITHUB_ACTIONS": "true"})["GIT_COMMITTER_NAME"] == BOT[0]
    with pytest.raises(PromotionError, match="who you are"):
        identity(repo, {})
    repo.git("config", "user.email", "dana@example.com")
    assert identity(repo, {}) == {}


@pytest.mark.parametrize(
    ("url", "web", "api"),
    [
        ("https://github.com/octo-org/fraud.git", "https://github.com/octo-org/fraud", "https://api.github.com"),
        ("git@github.com:octo-org/fraud.git", "https://github.com/octo-org/fraud", "https://api.github.com"),
        (
            "ssh://git@git.example:2222/octo-org/fraud",
            "https://git.example/octo-org/fraud",
            "https://git.example/api/v3",
        ),
        (
            "https://dana:pw@git.example/octo-org/fraud",
            "https://git.example/octo-org/fraud",
            "https://git.example/api/v3",
        ),
        ("/srv/git/fraud.git", None, None),
    ],
)
def test_token_goes_to_the_server_of_origin(repo: Repo, url: str, web: str | None, api: str | None) -> None:
    """The API that gets the token is the one of the origin's server."""
    repo.git("remote", "set-url", "origin", url)

    found = host_of(repo, {"GITHUB_TOKEN": "t0ken"})

    assert found.web == web
    assert (found.github.api_url if found.github else None) == api
    assert host_of(repo, {}).github is None


def test_shallow_clone_is_told(repo: Repo, tmp_path: Path) -> None:
    """History is needed, so a shallow clone is a sentence."""
    from promotion.git.commits import hosted_tip

    origin = repo.git("remote", "get-url", "origin").strip()
    repo.git("clone", "--quiet", "--depth", "1", f"file://{origin}", str(tmp_path / "shallow"))
    with pytest.raises(PromotionError, match="unshallow"):
        hosted_tip(Repo(tmp_path / "shallow"), "main")


def test_a_bare_clone_is_told(repo: Repo, tmp_path: Path) -> None:
    """git has no index without a work tree, and says so in words that help nobody."""
    bare = Repo(tmp_path / "bare.git")
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(bare.path))

    with pytest.raises(PromotionError, match="is a bare repository; run this in a clone that has its files"):
        commit_on(bare, bare.resolve("HEAD"), Change(files={"a": "b"}), "no")
