"""Override: a person moves @champion to any version, with a reason that stays in the pin for everyone to read.

The commit comes first (the version's tree and its pin with `override: {by, reason}`), then the alias, so
what main pins and what serves never part.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from promotion import OBJECT_ID
from promotion.champion.apply import plan_move
from promotion.champion.landing import Mandate
from promotion.champion.rollback import refuse_problems
from promotion.config import FILE
from promotion.config.edit import splice
from promotion.config.pin import Override as Why
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.frozen import DIGEST
from promotion.git.commits import REMOTE, Change, commit_on, fetch_refs
from promotion.git.promotion_at import promotion_at, promotion_text
from promotion.git.repo import Repo
from promotion.registry.client import Registry, Version
from promotion.text.escape import clean, code, markdown

PULLS = "refs/promotion/pull"


@dataclass(frozen=True)
class Override:
    """An override that was prepared and checked. verdict: what the challenge said of the version, where known."""

    model: str
    now: PinRecord | None
    to: PinRecord
    verdict: str | None
    commit: str
    subject: str


def prepare_override(
    repo: Repo, registry: Registry, model: str, *, base: str, to: int, mandate: Mandate
) -> Override | None:
    """Make the commit of an override on `base` (on no branch yet) and run promote's own checks on it.

    Return None where main pins that version already. Raise PromotionError, one sentence, when the
    version is missing, not READY or changed, its code cannot be had, or the model is frozen.
    """
    entry = promotion_at(repo, base).entry(model)
    reason = mandate.reason or ""
    if not reason.strip():
        raise PromotionError("an override needs a --reason, which may not be empty")
    if entry.champion is not None and entry.champion.version == to:
        return None
    version = registry.version(model, to)
    if version is None:
        raise PromotionError(registry.lacks(model, to, "nothing was pushed"))
    tree = _tree(repo, version)
    pin = PinRecord(
        version=to,
        source_tree=tree,
        digest=_digest(registry, version),
        evidence=_matching(DIGEST, version.tags.get("evidence")),
        override=Why(by=mandate.named, reason=clean(reason, 500)),
        adopted=tree is None,
    )
    subject = f"Override: {model} to version {to}"
    message = f"{subject}\n\n{clean(reason, 500)}\n\nOverridden by {clean(mandate.by, 100)}."
    change = Change(
        trees={} if tree is None else {f"models/{model}": tree},
        files={FILE: splice(promotion_text(repo, base), {model: pin})},
    )
    commit = commit_on(repo, base, change, message, author=mandate.by)
    _forget_pulls(repo)
    refuse_problems(plan_move(repo, commit, registry, model))
    return Override(model, entry.champion, pin, version.tags.get("verdict"), commit, subject)


def body_of(found: Override, by: str) -> str:
    """Return the text of the pull request that proposes an override; pure."""
    assert found.to.override is not None
    before = "nothing" if found.now is None else str(found.now.version)
    said = "no challenge is known" if found.verdict is None else f"the challenge said {code(found.verdict)}"
    return (
        f"**Merging moves `@champion` of {code(found.model)}: {before} -> {found.to.version}, by override** "
        f"({said}).\n\n"
        f"Reason: {markdown(found.to.override.reason)}\nAsked for by {code(by)}; the author of this pull request "
        "overrides.\n\n"
        f"The commit puts `models/{found.model}/` at the version's tree and writes the pin with `override`, "
        "which every later report and the history show.\n"
    )


def _digest(registry: Registry, version: Version) -> str:
    """Hash the version's files; they must be what was registered."""
    with tempfile.TemporaryDirectory() as folder:
        _, digest = registry.fetch_version(version, Path(folder))
    registered = version.tags.get("digest")
    if registered is not None and registered != digest:
        raise PromotionError(
            f"the files of version {version.version} hash to {digest[:19]}, but {registered[:19]} was registered; "
            "they were changed: nothing was pushed"
        )
    return digest


def _tree(repo: Repo, version: Version) -> str | None:
    """Return the git tree that a version was trained from, fetched if need be; None for a version not made here."""
    tree = _matching(OBJECT_ID, version.tags.get("source_tree"))
    if tree is None or repo.has_object(tree):
        return tree
    # a candidate that did not win may live on an open pull request only
    for refs in ("+refs/heads/*:refs/remotes/origin/*", f"+refs/pull/*:{PULLS}/*"):
        if fetch_refs(repo, refs) and repo.has_object(tree):
            return tree
    raise PromotionError(
        f"the code of version {version.version} (git tree {tree[:12]}) is on no branch or pull request of {REMOTE}; "
        "fetch it from where it was trained and run this again"
    )


def _forget_pulls(repo: Repo) -> None:
    """Drop the references that _tree fetched: the new commit holds what is needed."""
    names = repo.git("for-each-ref", "--format=delete %(refname)", PULLS)
    if names:
        repo.git("update-ref", "--stdin", stdin=names)


def _matching(pattern: str, value: str | None) -> str | None:
    return value if value is not None and re.fullmatch(pattern, value) else None
