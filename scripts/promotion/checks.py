"""What must hold before @champion moves: every check of every model, before the first write."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from promotion.config import Promotion, parse
from promotion.desired import Difference
from promotion.errors import PromotionError
from promotion.evidence import judge_evidence, read_evidence
from promotion.ledger import was_champion
from promotion.records import PinRecord
from promotion.registry import Registry, Version
from promotion.source import Repo


@dataclass(frozen=True)
class Check:
    """One thing that must hold; `problem` is None when it does, else one sentence that says what to do."""

    name: str
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.problem is None


@dataclass(frozen=True)
class Permissions:
    """What the caller explicitly allows. thaw: reason for a rollback during a freeze."""

    thaw: str | None = None
    rewritten_history: bool = False


def check_model(diff: Difference, repo: Repo, tip: str, registry: Registry, allowed: Permissions) -> list[Check]:
    """Return all checks of one model that would move, be recorded or be dropped."""
    checks = [_order(diff, repo, tip, allowed), _freeze(diff, allowed)]
    pin = diff.desired.pin
    if pin is None:
        return [*checks, _ours(diff)]
    checks.append(_not_foreign(diff))
    version = registry.version(diff.model, pin.version)
    checks.append(_version(diff.model, pin, version))
    if version is None:
        return checks
    checks.append(_tree(diff, pin, version, repo, tip))
    checks.append(_files(diff.model, pin, version, registry))
    checks.append(_earned(diff, pin, version, repo, registry))
    return checks


def _order(diff: Difference, repo: Repo, tip: str, allowed: Permissions) -> Check:
    """A newer pin that was confirmed is never undone by an older commit, and history must be the one we know."""
    newest = diff.current.newest
    if newest is None:
        return Check("order")
    try:
        known = repo.on_first_parent(newest.commit, tip)
    except PromotionError:
        known = False
    if known:
        return Check("order")
    if repo.has_object(newest.commit + "^{commit}") and repo.is_ancestor(tip, newest.commit):
        return Check(
            "order",
            f"commit {tip[:12]} is older than {newest.commit[:12]}, whose pin (version {newest.version}) was confirmed on "
            f"{newest.at}; nothing moves backwards: promote the tip of main, or revert there",
        )
    if allowed.rewritten_history:
        return Check("order")
    return Check(
        "order",
        f"the ledger's newest commit {newest.commit[:12]} is not on this history: it was rewritten, or this is another "
        "branch or repository; if main was rewritten on purpose, apply once with --rewritten-history",
    )


def _freeze(diff: Difference, allowed: Permissions) -> Check:
    entry, pin = diff.desired.entry, diff.desired.pin
    if entry is None or entry.freeze is None or diff.step == "record":
        return Check("freeze")
    back = pin is not None and was_champion(list(diff.current.ledger), pin) is not None
    if back and allowed.thaw:
        return Check("freeze")
    how = "; a rollback passes with --reason TEXT" if back else ""
    return Check("freeze", f"{diff.model} is frozen: {entry.freeze}; remove `freeze` from promotion.yaml to go on{how}")


def _ours(diff: Difference) -> Check:
    """`champion: null` drops only an alias that this project set."""
    if diff.current.ledger:
        return Check("ours")
    return Check(
        "ours",
        f"promotion.yaml says `champion: null` but the registry has version {diff.current.champion} as @champion, which this "
        "project never set; run `python scripts/promote.py adopt` to take it over",
    )


def _not_foreign(diff: Difference) -> Check:
    """The first move must not run over a champion that somebody else set."""
    pin, champion = diff.desired.pin, diff.current.champion
    if diff.current.ledger or champion is None or pin is None or champion == pin.version:
        return Check("ours")
    return Check(
        "ours",
        f"the registry has version {champion} as @champion, which this project never set, and main pins {pin.version}; "
        "run `python scripts/promote.py adopt` to take it over, then let the candidate challenge it",
    )


def _version(model: str, pin: PinRecord, version: Version | None) -> Check:
    if version is None:
        return Check(
            "version",
            f"version {pin.version} does not exist in the registry; revert the pin or use scripts/rollback.py",
        )
    if not version.ready:
        return Check("version", f"version {pin.version} is not READY; wait for its registration and run this again")
    return Check("version")


def _tree(diff: Difference, pin: PinRecord, version: Version, repo: Repo, tip: str) -> Check:
    here = repo.object_at(tip, f"models/{diff.model}")
    if pin.adopted and pin.source_tree is None:
        return Check("tree")
    if pin.source_tree != here:
        return Check(
            "tree",
            f"main's models/{diff.model} is tree {str(here)[:12]}, but the pin's version {pin.version} was trained from "
            f"{str(pin.source_tree)[:12]}; revert code and pin together",
        )
    tagged = version.tags.get("source_tree")
    if tagged != pin.source_tree and not pin.adopted:
        return Check(
            "tree",
            f"the registry says version {pin.version} was trained from tree {str(tagged)[:12]}, the pin says "
            f"{str(pin.source_tree)[:12]}; somebody changed the tag or the pin",
        )
    return Check("tree")


def _files(model: str, pin: PinRecord, version: Version, registry: Registry) -> Check:
    if pin.digest is None:
        return Check("files")
    with tempfile.TemporaryDirectory() as folder:
        try:
            _, digest = registry.fetch_version(version, Path(folder))
        except PromotionError as error:
            return Check("files", f"the files of version {pin.version} cannot be read: {error}")
    if digest == pin.digest:
        return Check("files")
    return Check(
        "files",
        f"the files of version {pin.version} hash to {digest[:19]}, the pin says {pin.digest[:19]}; they were changed after "
        "the pin was made: restore them or roll back",
    )


def _earned(diff: Difference, pin: PinRecord, version: Version, repo: Repo, registry: Registry) -> Check:
    """The version won against the champion its base pinned, or was champion before, or an override says why."""
    change = diff.desired.change
    if was_champion(list(diff.current.ledger), pin) is not None or pin.override is not None or pin.adopted:
        return Check("evidence")
    if pin.evidence is None or version.run_id is None or change is None:
        return Check(
            "evidence", f"version {pin.version} has no evidence; challenge the champion in a retrain pull request"
        )
    try:
        found = read_evidence(registry, version.run_id, pin.evidence)
    except PromotionError as error:
        return Check("evidence", str(error))
    if found is None:
        return Check("evidence", f"the evidence {pin.evidence[:19]} is not kept with the run of version {pin.version}")
    parent = change.commit.parents[0] if change.commit.parents else None
    policy = base_policy(repo, diff.model, parent, change.commit.sha)
    problems = judge_evidence(
        f"version {pin.version}", pin, found, model=diff.model, champion=change.before, policy_digest=policy
    )
    return Check("evidence", "; ".join(problems) or None)


def base_policy(repo: Repo, model: str, parent: str | None, commit: str) -> str:
    """Return the digest of the policy in force at a pin change's base (a new model brings its own)."""
    for where in (parent, commit):
        text = None if where is None else repo.file_at(where, "promotion.yaml")
        if text is not None:
            promotion: Promotion = parse(text, file=f"promotion.yaml at {str(where)[:12]}")
            if model in promotion.models:
                return promotion.models[model].policy.digest
    raise PromotionError(f"{model} has no policy at {commit[:12]}")
