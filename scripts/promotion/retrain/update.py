"""Bring a pull request's branch up to date: merge the base, and take its pin where the two conflict.

A candidate that won against yesterday's champion has to challenge today's, so its pin gives way; every
other conflict is a person's. The merge is made in a work tree of its own and pushed as a plain
fast-forward.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from promotion.champion.revisions import lenient_pins
from promotion.config import FILE
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.errors import PromotionError
from promotion.git.commits import default_branch, fetch_branch, identity, push
from promotion.git.promotion_at import promotion_text
from promotion.git.repo import Repo
from promotion.github.pulls import Host, own_pull
from promotion.text.escape import clean

MOST_FILES = 10


@dataclass(frozen=True)
class Updated:
    """What an update did. commit: the branch's new tip, None where it had the base already; yielded: models
    whose pin on the branch gave way to the base's."""

    branch: str
    commit: str | None
    yielded: tuple[str, ...]


def update_branch(repo: Repo, branch: str, base: str, base_name: str) -> Updated:
    """Merge the commit `base` into a branch of origin, which is not the default one, and push it.

    The branch's tip is origin's, or the local branch's where that is ahead. Raise PromotionError, with
    nothing changed, when other files than promotion.yaml conflict, or other lines of it than pins.
    """
    if branch in (base_name, default_branch(repo)):
        raise PromotionError(
            f"{clean(branch, 100)} takes pull requests and is not updated from {clean(base_name, 100)}; "
            "--branch names the production branch, --head the pull request's own"
        )
    tip = _tip(repo, branch)
    if repo.is_ancestor(base, tip):
        return Updated(branch, None, ())
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch) / "merge"
        top = repo.top
        top.git("worktree", "add", "--quiet", "--detach", str(where), tip)
        try:
            commit, yielded = _merge(Repo(where, repo.prefix), tip, base, base_name)
        finally:
            top.git("worktree", "remove", "--force", str(where))
    push(repo, commit, branch)
    return Updated(branch, commit, yielded)


def branch_to_update(repo: Repo, host: Host, model: str | None, base_name: str) -> str:
    """Return the branch that is checked out, or, on the base itself, the one of a model's open pull request."""
    code, name, _ = repo.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
    branch = name.strip() if code == 0 else ""
    if branch and branch != base_name:
        return branch
    pull = None if model is None or host.github is None else own_pull(host.github, model, base_name)
    if pull is None:
        raise PromotionError(
            f"you are on {branch or 'no branch'}; check out the pull request's branch, or name it with --head"
        )
    return pull.head_ref


def follow(repo: Repo, branch: str, commit: str) -> list[str]:
    """Bring the local branch along where that loses nothing; return lines to print."""
    code, name, _ = repo.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
    if code != 0 or name.strip() != branch:
        return []
    if repo.attempt("merge", "--quiet", "--ff-only", commit)[0] == 0:
        return [f"your {branch} has it too"]
    return [f"your checkout is left as it is, because it has changes of its own; `git pull` on {branch} updates it"]


def _tip(repo: Repo, branch: str) -> str:
    hosted = fetch_branch(repo, branch)
    if hosted is None:
        raise PromotionError(f"origin has no branch {clean(branch, 100)}; push it first, or name another")
    if repo.attempt("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")[0] != 0:
        return hosted
    local = repo.resolve(f"refs/heads/{branch}")
    if repo.is_ancestor(local, hosted):
        return hosted
    if repo.is_ancestor(hosted, local):
        return local
    raise PromotionError(f"your {branch} and origin's have parted; `git pull --rebase` on it, then run this again")


def _merge(there: Repo, tip: str, base: str, base_name: str) -> tuple[str, tuple[str, ...]]:
    """Merge in a work tree of its own; return the commit and the models whose pin gave way."""
    who = identity(there)
    message = f"Merge {base_name} into the pull request"
    quiet = ("-c", "core.hooksPath=/dev/null", "-c", "merge.conflictStyle=merge", "-c", "rerere.enabled=false")
    there.attempt(*quiet, "merge", "--quiet", "--no-ff", "--no-commit", base, env=who)
    conflicts = [name for name in there.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0") if name]
    others = [name for name in conflicts if name != there.at(FILE)]
    if others:
        more = f" and {len(others) - MOST_FILES} more" if len(others) > MOST_FILES else ""
        raise PromotionError(
            f"{base_name} and the branch both changed {', '.join(others[:MOST_FILES])}{more}; nothing was changed: "
            f"merge {base_name} by hand and settle them"
        )
    if there.attempt("rev-parse", "--verify", "--quiet", "MERGE_HEAD")[0] != 0:
        raise PromotionError(f"{base_name} cannot be merged into the branch; merge it by hand")
    yielded: tuple[str, ...] = ()
    if conflicts:
        older = there.git("merge-base", tip, base).split()[0]
        text, yielded = base_pins(*(promotion_text(there, commit) for commit in (older, tip, base)))
        (there.here / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
        there.git("add", "--", there.at(FILE))
        message += f"\n\nThe pin of {', '.join(yielded)} is {base_name}'s: the candidate has to challenge it."
    there.git(*quiet, "commit", "--quiet", "--no-verify", "-F", "-", stdin=message + "\n", env=who)
    return there.resolve("HEAD"), yielded


def base_pins(older: str, ours: str, base: str) -> tuple[str, tuple[str, ...]]:
    """Merge three promotion.yaml texts where only pins conflict: a pin that the base moved is the base's; pure.

    Return the text and the models whose pin in `ours` gave way. Raise PromotionError when the branch
    changed anything but pins of models that the base has.
    """
    if without_pins(older) != without_pins(ours):
        raise PromotionError(
            "the branch changes more than pins in it, and so does main; nothing was changed: merge by hand", file=FILE
        )
    before, mine, theirs = (lenient_pins(text) or {} for text in (older, ours, base))
    kept: dict[str, PinRecord | None] = {}
    yielded = []
    for model, pin in mine.items():
        if pin == before.get(model):
            continue
        if theirs.get(model) != before.get(model):
            yielded.append(model)
        elif model in theirs:
            kept[model] = pin
    return splice(base, kept), tuple(yielded)


def without_pins(text: str) -> str:
    """Return promotion.yaml with every champion null: what is left is policy."""
    return splice(text, dict.fromkeys(parse(text).models))
