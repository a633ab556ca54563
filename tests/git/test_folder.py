"""What is promoted may lie in a folder of the repository: everything that a path names is counted from there."""

import subprocess
from pathlib import Path

import pytest
from promotion.errors import PromotionError
from promotion.git.commits import Change, commit_on
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.git.tree import folders_in
from promotion.git.whose import scripts_of
from promotion.retrain.trial import as_merged, base_of

from tests.support.worlds import GIT, policy_text

FOLDER = "services/churn"


def git(where: Path, *args: str) -> str:
    """Run git as a person."""
    return subprocess.run(["git", "-C", str(where), *args], check=True, capture_output=True, text=True, env=GIT).stdout


def commit(where: Path, message: str, **files: str) -> str:
    """Write files (`__` stands for a slash) and commit them."""
    for name, text in files.items():
        path = where / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(where, "add", "-A")
    git(where, "commit", "-qm", message)
    return git(where, "rev-parse", "HEAD").strip()


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """A repository with one folder that promotes and one that does not, and a history in both."""
    where = tmp_path / "mono"
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    git(where, "config", "user.name", "Dana")
    git(where, "config", "user.email", "dana@example.com")
    commit(where, "app", app__code="1")
    commit(where, "churn", services__churn__promotion_yaml=policy_text("churn"), services__churn__models__churn__a="1")
    commit(where, "app again", app__code="2", models__not_ours__a="1")
    return where


@pytest.mark.parametrize(
    ("at", "folder"),
    [("", FOLDER), (FOLDER, None), (f"{FOLDER}/models/churn", None), ("app", f"{FOLDER}/"), ("", None), ("app", None)],
)
def test_the_folder_is_given_or_the_one_that_the_path_lies_in(monorepo: Path, at: str, folder: str | None) -> None:
    """Whoever stands in it need not say it, nor where there is no other; all of these read the same."""
    repo = Repo(monorepo / at, folder)
    head = repo.resolve("HEAD")

    assert repo.at("models/churn") == f"{FOLDER}/models/churn"
    assert list(promotion_at(repo, head).models) == ["churn"]
    assert list(folders_in(repo, head, "models")) == ["churn"]
    assert [found.subject for found in repo.first_parent_log(head, "promotion.yaml")] == ["churn"]
    assert repo.working_tree("models/churn") == repo.object_at(head, "models/churn")
    assert repo.here.resolve() == (monorepo / FOLDER).resolve()
    assert repo.top.file_at(head, "app/code") == "2"


def test_at_the_top_nothing_changes(monorepo: Path) -> None:
    """Where it is asked for, or has a promotion.yaml itself, paths are the repository's, from every folder of it."""
    assert list(folders_in(Repo(monorepo / FOLDER, "."), "HEAD", "models")) == ["not_ours"]
    (monorepo / "promotion.yaml").write_text("models: {}\n")
    for repo in (Repo(monorepo), Repo(monorepo / "app")):
        assert list(folders_in(repo, "HEAD", "models")) == ["not_ours"]


def test_two_folders_have_to_be_told_apart(monorepo: Path) -> None:
    """From the top nobody can know which is meant; an ignored one does not count."""
    (monorepo / "copy").mkdir()
    (monorepo / "copy" / "promotion.yaml").write_text("models: {}\n")
    with pytest.raises(PromotionError, match=r"lies in copy, services/churn; say which with --root"):
        Repo(monorepo).at("models")
    (monorepo / ".gitignore").write_text("copy/\n")

    assert Repo(monorepo).at("models") == f"{FOLDER}/models"


def test_a_commit_and_a_trial_land_in_the_folder(monorepo: Path) -> None:
    """What is written beside the work tree, and what a try takes from it."""
    repo = Repo(monorepo / FOLDER)
    (monorepo / FOLDER / "models/churn/a").write_text("2")
    tried = as_merged(repo, repo.resolve("HEAD"), "churn", base_name=base_of(repo, "main")[0])
    tree = repo.object_at("HEAD", "models/churn")
    made = commit_on(repo, tried, Change(trees={"models/old": str(tree)}, files={"b": "text"}), "more")

    assert repo.changed_paths("HEAD", tried) == (f"{FOLDER}/models/churn/a",)
    assert repo.changed_paths(tried, made) == (f"{FOLDER}/b", f"{FOLDER}/models/old/a")
    with pytest.raises(PromotionError, match=f"there is no {FOLDER}/models/chrun/; did you mean `churn`"):
        as_merged(repo, "HEAD", "chrun", base_name="main")


def test_mistakes_and_edits_are_named_from_the_top(monorepo: Path) -> None:
    """`services/churn/promotion.yaml:2`, wherever the command was run."""
    repo = Repo(monorepo / FOLDER)
    broken = policy_text("churn").replace("test_days", "tset_days")
    head = commit(monorepo, "broken", services__churn__promotion_yaml=broken)
    (monorepo / FOLDER / "models/churn/a").write_text("3")

    with pytest.raises(PromotionError, match="tset_days") as caught:
        promotion_at(repo, head)
    assert caught.value.each[0].line_text.startswith(f"{FOLDER}/promotion.yaml:3: ")
    with pytest.raises(PromotionError, match=r"uncommitted changes below models \(first: services/churn/models/"):
        repo.need_clean("models")


@pytest.mark.parametrize("folder", ["../up", "/etc", "a/../b", "a b", "-x/$(id)"])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    """It stands in workflows, so only plain names do."""
    with pytest.raises(PromotionError, match="is no folder of a repository"):
        Repo(Path(), folder)


def test_a_link_in_a_pull_request_chooses_no_other_folder(monorepo: Path) -> None:
    """Where the folder is given, a link of its name is no folder, whatever it leads to."""
    git(monorepo, "mv", FOLDER, "elsewhere")
    (monorepo / FOLDER).parent.mkdir(exist_ok=True)
    (monorepo / FOLDER).symlink_to("../elsewhere")
    head = commit(monorepo, "link")

    with pytest.raises(PromotionError, match=f"{FOLDER}/promotion.yaml: missing at {head[:12]}"):
        promotion_at(Repo(monorepo, FOLDER), head)


def test_scripts_are_a_repositorys_own_only_where_it_has_their_commit(monorepo: Path, tmp_path: Path) -> None:
    """A checkout of one of its commits, or a folder of it, is its own; anything else is called, with its own lock."""
    theirs, release = tmp_path / "theirs", tmp_path / "release"
    theirs.mkdir()
    git(theirs, "init", "-q")
    git(theirs, "remote", "add", "origin", "https://github.com/acme/promotion.git")
    there = commit(theirs, "one", lock="numpy==1\n")
    git(monorepo, "worktree", "add", "-q", "--detach", str(tmp_path / "trusted"), "HEAD~1")
    release.mkdir()
    repo = Repo(monorepo, FOLDER)
    own, inside, called, unpacked = (
        scripts_of(repo, "lock", project) for project in (tmp_path / "trusted", monorepo / "app", theirs, release)
    )

    assert (own.own, inside.own, called.own, unpacked.own) == (True, True, False, False)
    assert own.name == f"this repository at {git(monorepo, 'rev-parse', 'HEAD~1')[:12]}" and own.lock is None
    assert called.name == f"acme/promotion at {there[:12]}" and called.lock == "numpy==1\n"
    assert unpacked.name.startswith("another checkout at release ")
