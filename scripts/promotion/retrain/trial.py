"""A trial: the commit that a pull request with the model folder as it lies on disk would be merged as."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from promotion.config import FILE
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.git.commits import REMOTE
from promotion.git.repo import Repo
from promotion.text.escape import clean


def base_of(repo: Repo, branch: str) -> tuple[str, str]:
    """Return (name, commit) of what a pull request from here would be judged against; nothing is fetched.

    It is the production branch as hosted, else as local, else the commit that is checked out.
    """
    # named in full: a tag called `main` would come before the branch
    full = {f"{REMOTE}/{branch}": f"refs/remotes/{REMOTE}/{branch}", branch: f"refs/heads/{branch}", "HEAD": "HEAD"}
    for name, ref in full.items():
        code, commit, _ = repo.attempt("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        if code == 0:
            return name, commit.strip()
    repo.check()
    raise PromotionError(f"{repo.path} has no commit yet; commit once before you try a model")


def no_folder(repo: Repo, model: str, known: Iterable[str]) -> PromotionError:
    """The error of a model that has no folder, with what may have been meant."""
    hint = suggestion(model, sorted(known))
    return PromotionError(f"no model `{clean(model, 100)}`: there is no {repo.at('models')}/{clean(model, 100)}/{hint}")


def as_merged(repo: Repo, base: str, model: str, *, base_name: str) -> str:
    """Return a commit, on no branch, of `base` with the model's folder and promotion.yaml as they lie on disk.

    Edits count whether they are committed or not. Raise PromotionError where `base` changed the folder or the
    file since this checkout parted from it: the trial would undo that change, and its pull request would not.
    """
    repo.check()
    top, folder = repo.top, f"models/{model}"
    if not (repo.here / folder).is_dir():
        raise no_folder(repo, model, [path.name for path in (repo.here / "models").glob("*") if path.is_dir()])
    mine = {path: _chosen(repo, base, path, base_name) for path in (folder, FILE)}
    with tempfile.TemporaryDirectory() as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        top.git("read-tree", base, env=env)
        for path, found in ((repo.at(path), found) for path, found in mine.items()):
            # -f: else git refuses where the base's content is neither the checkout's commit nor the file on disk
            top.git("rm", "-r", "-f", "--cached", "--quiet", "--ignore-unmatch", "--", path, env=env)
            if found is not None and path == repo.at(folder):
                top.git("read-tree", f"--prefix={path}/", found, env=env)
            elif found is not None:
                top.git("update-index", "--add", "--cacheinfo", f"100644,{found},{path}", env=env)
        tree = top.git("write-tree", env=env).strip()
    who = {f"GIT_{role}_{part}": "try" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    when = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}
    return top.git("commit-tree", tree, "-p", base, "-m", "try", env={**who, **when}).strip()


def _chosen(repo: Repo, base: str, path: str, base_name: str) -> str | None:
    """The object at `path` that a merge with `base` has: what lies on disk, or the base's where only that moved."""
    mine = repo.working_tree(path) if (repo.here / path).exists() else None
    theirs = repo.object_at(base, path)
    code, older, _ = repo.attempt("merge-base", base, "HEAD")
    was = repo.object_at(older.split()[0], path) if code == 0 else theirs
    if mine == theirs or theirs == was:
        return mine
    if mine == was and path == FILE:
        return theirs
    raise PromotionError(
        f"{repo.at(path)} changed on {base_name} since your checkout parted from it; merge {base_name} first, "
        "because a pull request keeps that change and this trial would undo it"
    )
