"""Whose repository takes the project in, and from where: found out from git, never asked."""

import re
from pathlib import Path

from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.setup.files import Newcomer
from promotion.setup.table import Task
from promotion.text.escape import clean

HOSTED = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)(?P<server>[^/:]+)(?::\d+)?[/:](?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?"
)


def newcomer(into: Path, name: str, task: Task) -> Newcomer:
    """Return what git says about the folder; raise PromotionError where it is in no checkout, or in this project's."""
    if not into.is_dir():
        raise PromotionError("no such folder; --into takes a checkout, or a folder in one", file=into)
    code, inside, _ = Repo(into).attempt("rev-parse", "--is-inside-work-tree")
    if code == 0 and inside.strip() != "true":
        raise PromotionError("it is in no work tree of git; --into takes a checkout, or a folder in one", file=into)
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
    if not re.fullmatch(r"[\w./-]+", branch):
        raise PromotionError(
            f"the branch `{clean(branch, 100)}` cannot be named in a workflow, where some characters are a "
            "pattern; use letters, digits, `.`, `_`, `-` and `/`"
        )
    hosted = HOSTED.fullmatch(Repo(top).origin or "")
    owner, server = (hosted["owner"], hosted["server"]) if hosted else (None, None)
    return Newcomer(top, "" if root == "." else root, branch, owner, server, name, task)


def _branch(repo: Repo) -> str:
    code, name, _ = repo.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
    return name.strip() if code == 0 else "main"
