"""`retrain.py try`: what is tried is what a merge would have, wherever and however the edit lies on disk."""

import subprocess
from pathlib import Path

import pytest
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.retrain.trial import as_merged, base_of

from tests.support.tiny import MODEL, TinyProject

FOLDER = f"models/{MODEL}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A hosted repository of two commits, in a folder whose path has spaces."""
    found = TinyProject(tmp_path_factory.mktemp("a folder with spaces"))
    found.edit("model.yaml", "seed: 0", "seed: 1")
    found.merge(found.open("first"))
    found.hosting.pull()
    return found


@pytest.fixture
def checkout(project: TinyProject, tmp_path: Path) -> Path:
    """A fresh clone of main beside the others, without an identity of git's."""
    where = tmp_path / "fresh clone"
    subprocess.run(["git", "clone", "--quiet", str(project.hosting.bare), str(where)], check=True)
    return where


def git(where: Path, *args: str) -> str:
    """Run git as a person with a name."""
    who = ["-c", "user.name=Dana", "-c", "user.email=dana@example.com"]
    done = subprocess.run(["git", "-C", str(where), *who, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def better(where: Path) -> None:
    """Edit the model."""
    path = where / FOLDER / "model.yaml"
    path.write_text(path.read_text().replace("features: [hint]", "features: [hint, clue]"))


def merged(where: Path) -> Repo:
    """The checkout, whose branch `tried` is the commit that is tried against its base."""
    repo = Repo(where)
    name, base = base_of(repo, "main")
    commit = as_merged(repo, base, MODEL, base_name=name)
    git(where, "branch", "--force", "tried", commit)
    assert repo.parents(commit) == (base,) == (repo.resolve("origin/main"),)
    return repo


@pytest.mark.slow
def test_committed_edit_is_tried_in_a_fresh_clone(project: TinyProject, checkout: Path) -> None:
    """All steps run, the verdict is the exit code, nothing is registered; what was read and written is said."""
    better(checkout)
    git(checkout, "commit", "-qam", "better")

    tried = project.attempt(where=checkout)

    assert tried.code == 0, tried.err
    assert tried.evaluation is not None and tried.evaluation.verdict == "FIRST"
    assert "tried against origin/main at " in tried.out and "nothing was registered" in tried.out
    assert (project.registry.model(MODEL), project.registry.runs(MODEL)) == (None, [])


def test_an_edit_in_a_folder_of_a_monorepo_is_tried_whole(project: TinyProject, checkout: Path) -> None:
    """Standing in it, or at the top where there is no other; what is not there is named from the top."""
    (checkout / "services" / "a").mkdir(parents=True)
    git(checkout, "mv", "models", "promotion.yaml", "services/a")
    git(checkout, "commit", "-qm", "one folder of many")
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    better(checkout / "services" / "a")
    (checkout / "models").mkdir()

    tried = project.attempt(where=checkout / "services" / "a")
    assert tried.code == 0, tried.err
    assert tried.evaluation is not None and tried.evaluation.verdict == "FIRST"
    (checkout / "services" / "a" / FOLDER / "data.py").unlink()
    missing = project.attempt(where=checkout)
    assert missing.code == 2 and f"services/a/{FOLDER}/data.py: a model folder needs data.py" in missing.err


def test_step_that_fails_ends_the_trial(project: TinyProject, checkout: Path) -> None:
    """A train.py that raises is told once, by train.py, and nothing is scored."""
    (checkout / FOLDER / "train.py").write_text("raise RuntimeError('no')\n")

    tried = project.attempt(where=checkout)

    assert tried.code == 2
    assert "train.py" in tried.err and "answers the test window" not in tried.out
    assert tried.err.count("error: ") == 1


@pytest.mark.parametrize("how", ["uncommitted", "committed", "committed on a branch", "half of it committed"])
def test_edit_counts_committed_or_not(checkout: Path, how: str) -> None:
    """What is tried has the folder as it lies on disk, and all else as main has it."""
    better(checkout)
    if "branch" in how:
        git(checkout, "checkout", "-qb", "better")
    if how != "uncommitted":
        git(checkout, "commit", "-qam", "better")
    if "half" in how:
        (checkout / FOLDER / "train.py").write_text("# not committed\n")
        (checkout / FOLDER / "data.py").unlink()
    (checkout / "requirements" / "train.txt").write_text("# another lock\n")

    repo = merged(checkout)

    on_disk = {path.name: path.read_text() for path in (checkout / FOLDER).iterdir()}
    names = git(checkout, "ls-tree", "--name-only", f"tried:{FOLDER}").split()
    assert {name: repo.file_at("tried", f"{FOLDER}/{name}") for name in names} == on_disk
    assert all(path.startswith(FOLDER) for path in repo.changed_paths("origin/main", "tried"))


def test_new_model_comes_with_its_entry(checkout: Path) -> None:
    """A folder that main does not have, with the entry that promotion.yaml on disk gives it."""
    better(checkout)
    git(checkout, "rm", "-rq", "--cached", FOLDER)
    git(checkout, "commit", "-qam", "main without the model")
    git(checkout, "push", "-q", "origin", "HEAD:refs/heads/none")
    (checkout / "promotion.yaml").write_text("# mine\n")
    repo = Repo(checkout)

    commit = as_merged(repo, repo.resolve("HEAD"), MODEL, base_name="HEAD")

    assert repo.object_at("HEAD", FOLDER) is None
    assert repo.object_at(commit, FOLDER) == repo.working_tree(FOLDER)
    assert repo.file_at(commit, "promotion.yaml") == "# mine\n"


def test_a_new_model_that_git_ignores_is_told_by_the_line(checkout: Path) -> None:
    """`models/` is ignored in many repositories: a pull request would not have the folder either."""
    git(checkout, "rm", "-rq", "--cached", FOLDER)
    (checkout / ".gitignore").write_text("*.log\nmodels/\n")

    with pytest.raises(PromotionError, match=rf"^\.gitignore:2: `models/` keeps {FOLDER} out of git"):
        as_merged(Repo(checkout), Repo(checkout).resolve("HEAD"), MODEL, base_name="HEAD")


def test_folder_older_than_mains_is_not_tried(checkout: Path) -> None:
    """A checkout that misses main's change of the folder would undo it, so the sentence says to merge first."""
    git(checkout, "reset", "--quiet", "--hard", "HEAD~1")
    better(checkout)

    with pytest.raises(PromotionError, match=f"{FOLDER} changed on origin/main .* merge origin/main first"):
        merged(checkout)


@pytest.mark.parametrize("mine", [False, True])
def test_promotion_yaml_that_main_changed(project: TinyProject, checkout: Path, tmp_path: Path, mine: bool) -> None:
    """Main's promotion.yaml counts where only main changed it: an old checkout still challenges today's champion."""
    better(checkout)
    if mine:
        (checkout / "promotion.yaml").write_text("# mine\n")
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", str(project.hosting.bare), str(other)], check=True)
    text = f"# of {tmp_path}\n" + (other / "promotion.yaml").read_text()
    (other / "promotion.yaml").write_text(text)
    git(other, "commit", "-qam", "comment")
    git(other, "push", "-q", "origin", "main")
    git(checkout, "fetch", "-q")

    if mine:
        with pytest.raises(PromotionError, match=r"promotion\.yaml changed on origin/main"):
            merged(checkout)
    else:
        assert merged(checkout).file_at("tried", "promotion.yaml") == text


def test_base_is_named(checkout: Path, tmp_path: Path) -> None:
    """Main as hosted, else as local, else what is checked out; the name says which."""
    repo = Repo(checkout)
    assert base_of(repo, "main") == ("origin/main", repo.resolve("HEAD"))
    git(checkout, "remote", "remove", "origin")
    assert base_of(repo, "main")[0] == "main"
    assert base_of(repo, "production")[0] == "HEAD"
    with pytest.raises(PromotionError, match="not a git checkout"):
        base_of(Repo(tmp_path), "main")
