"""Whose repository takes the project in, and from where: found out from git, never asked."""

import re
from pathlib import Path

import promotion
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.setup.files import Newcomer, Source
from promotion.setup.table import Task

HOSTED = re.compile(r"(?:https://|ssh://git@|git@)[^/:]+(?::\d+)?[/:](?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?")
USES = re.compile(r"(?P<uses>[\w.-]+/[\w.-]+)@(?P<sha>[0-9a-f]{40})")


def newcomer(into: Path, name: str, task: Task) -> Newcomer:
    """Return what git says about the folder; raise PromotionError where it is in no checkout, or in this project's."""
    if not into.is_dir():
        raise PromotionError("no such folder; --into takes a checkout, or a folder in one", file=into)
    top = Repo(into).root.resolve()
    if (top / "scripts" / "promotion" / "setup").is_dir():
        raise PromotionError("this is a copy of this project, which needs no init; add a model folder", file=into)
    root = into.resolve().relative_to(top).as_posix()
    if root != "." and not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", root):
        raise PromotionError(
            f"`{root}` cannot be named in a workflow; use letters, digits, `.`, `_` and `-` in folders"
        )
    code, head, _ = Repo(top).attempt("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    branch = head.strip().removeprefix("origin/") if code == 0 else _branch(Repo(top))
    hosted = HOSTED.fullmatch(_origin(Repo(top)))
    return Newcomer(top, "" if root == "." else root, branch, hosted["owner"] if hosted else None, name, task)


def source(here: Repo, asked: str | None) -> Source:
    """Return what the callers name: `asked` (OWNER/REPO@SHA), else the origin and commit of this clone."""
    version = f"v{promotion.__version__}"
    if asked is not None:
        found = USES.fullmatch(asked)
        if found is None:
            raise PromotionError(f"--uses takes OWNER/REPO@SHA with a full commit id, not `{asked}`")
        return Source(found["uses"], found["sha"], version)
    code, sha, _ = here.attempt("rev-parse", "HEAD")
    hosted = HOSTED.fullmatch(_origin(here)) if code == 0 else None
    if hosted is None:
        raise PromotionError(
            "this copy of the project does not know where it came from; "
            "say it with --uses OWNER/REPO@SHA, the repository and commit of the release"
        )
    return Source(f"{hosted['owner']}/{hosted['name']}", sha.strip(), version)


def _origin(repo: Repo) -> str:
    code, url, _ = repo.attempt("remote", "get-url", "origin")
    return url.strip() if code == 0 else ""


def _branch(repo: Repo) -> str:
    code, name, _ = repo.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
    return name.strip() if code == 0 else "main"
