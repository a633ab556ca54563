"""What must hold before @champion moves: every check of every model, before the first write."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from promotion.champion.agreed import Authors, agrees, by_commit, unproven, was_champion
from promotion.champion.desired import Difference, Main
from promotion.champion.pins import PinChange
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import Entry
from promotion.errors import PromotionError
from promotion.git.tree import export, folder_at, need_plain
from promotion.registry.client import Registry, Version
from promotion.registry.evidence import judge_evidence, read_evidence
from promotion.registry.ledger import LedgerEntry

if TYPE_CHECKING:
    from promotion.records.evaluation import Evaluation


class Check(NamedTuple):
    """One thing that must hold; `problem` is None when it does, else one sentence that says what to do.

    note: what a person should know although it holds.
    """

    name: str
    problem: str | None = None
    note: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.problem is None


class Permissions(NamedTuple):
    """What the caller explicitly allows. thaw: reason for a rollback during a freeze.

    authors: who a commit of main is by; what an override's `by` is compared with.
    """

    thaw: str | None = None
    rewritten_history: bool = False
    authors: Authors = by_commit


def check_model(diff: Difference, main: Main, registry: Registry, allowed: Permissions) -> list[Check]:
    """Return all checks of one model that would move, be recorded or be dropped.

    What cannot be read fails its check: one model's trouble is its own.
    """
    order = _ask("order", lambda: _order(diff, main, allowed))
    checks = [
        _ask("ledger", lambda: diff.current.trouble),
        order,
        _ask("freeze", lambda: _freeze(diff, main, allowed)),
    ]
    if order.ok:  # else this is not the history that knows who set it
        checks.append(_ask("ours", lambda: _ours(diff, main, allowed)))
    pin = diff.desired.pin
    if pin is None:
        return checks
    try:
        version = diff.current.latest.get(pin.version) or registry.version(diff.model, pin.version)
    except PromotionError as error:
        return [*checks, Check("version", str(error))]
    checks.append(_ask("version", lambda: _version(diff, pin, version, registry)))
    if version is None:
        return checks
    evidence = registry.beside(lambda: _ask("evidence", lambda: _earned(diff, pin, version, main, registry)))
    checks += [
        _ask("tree", lambda: _tree(diff, pin, version, main)),
        *_files(diff, pin, version, main, registry),
        evidence(),
    ]
    if pin.override is not None:
        checks.append(_ask("override", lambda: _proven(diff, pin, main, allowed)))
    return checks


def _ask(name: str, question: Callable[[], str | None]) -> Check:
    try:
        return Check(name, question())
    except PromotionError as error:
        return Check(name, error.brief)


def _order(diff: Difference, main: Main, allowed: Permissions) -> str | None:
    """A newer pin that was confirmed is never undone by an older commit, and history must be the one we know."""
    newest = diff.current.newest
    if newest is None or allowed.rewritten_history:
        return None
    if newest.commit in main.history.chain:
        main.need_git(diff.model, newest)
        if newest.order <= diff.desired.order:
            return None
        return (
            f"the ledger's newest entry {newest.key} is above the commit that last changed this pin, "
            f"{str(diff.desired.change and diff.desired.change.commit.sha)[:12]}; somebody wrote "
            "that tag by hand: delete it"
        )
    repo = main.repo
    if repo.has_object(newest.commit + "^{commit}") and repo.is_ancestor(main.tip, newest.commit):
        return (
            f"commit {main.tip[:12]} is older than {newest.commit[:12]}, whose pin ({_version_name(newest.version)}) "
            f"was confirmed on {newest.at}; nothing moves backwards: promote the tip of main, or revert there"
        )
    return (
        f"the ledger's newest commit {newest.commit[:12]} is not on this history: it was rewritten, or this is another "
        "branch or repository; if main was rewritten on purpose, apply once with --rewritten-history"
    )


def _version_name(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _freeze(diff: Difference, main: Main, allowed: Permissions) -> str | None:
    """A freeze stops moves and repairs; a rollback passes with a reason. Recording moves nothing."""
    entry, pin, newest = diff.desired.entry, diff.desired.pin, diff.current.newest
    if entry is None or entry.freeze is None or diff.step == "record":
        return None
    confirmed = newest is not None and newest.stands and newest.order == diff.desired.order
    back = pin is not None and not confirmed and _was_champion(diff, pin, main, before=diff.desired.order)
    if back and (allowed.thaw or _says_why(diff, main)):
        return None
    how = "; a rollback passes with --reason TEXT" if back else ""
    return f"{diff.model} is frozen: {entry.freeze}; remove `freeze` from promotion.yaml first{how}"


def _says_why(diff: Difference, main: Main) -> bool:
    """Whether the pin itself carries the rollback's reason, as rollback.py writes it for an unattended promote.

    A reason that an older pin carried already was given for something else.
    """
    pin = diff.desired.pin
    if pin is None or pin.override is None:
        return False
    return not any(change.after == pin for change in list(main.history.changes(diff.model))[1:])


def _was_champion(
    diff: Difference, pin: PinRecord, main: Main, before: tuple[int, int] | None = None
) -> LedgerEntry | None:
    return was_champion(main.history, diff.model, diff.current.ledger, pin, before=before)


def _ours(diff: Difference, main: Main, allowed: Permissions) -> str | None:
    """Neither `champion: null` nor a first pin may run over a champion that somebody else set."""
    pin, champion = diff.desired.pin, diff.current.champion
    if champion is None or diff.current.trouble is not None:
        return None
    if pin is not None and champion == pin.version:
        return None

    def known(entry: LedgerEntry) -> bool:
        return agrees(main.history, diff.model, entry) or (
            allowed.rewritten_history and entry.commit not in main.history.chain
        )

    newest_first = reversed(diff.current.ledger)
    if any((pin is not None or entry.version == champion) and known(entry) for entry in newest_first):
        return None
    what = "no champion but the registry has" if pin is None else f"{pin.version}, but the registry has"
    todo = "to take it over" if pin is None else "to take it over, then let the candidate challenge it"
    return (
        f"main pins {what} version {champion} as @champion, which this project never set; "
        f"run `python scripts/promote.py adopt` {todo}"
    )


def _version(diff: Difference, pin: PinRecord, version: Version | None, registry: Registry) -> str | None:
    if version is None:
        back = f"revert the commit that pinned it, or go back with `python scripts/rollback.py {diff.model}`"
        return registry.lacks(diff.model, pin.version, back)
    if not version.ready:
        return f"version {pin.version} is not READY; wait for its registration and run this again"
    return None


def _tree(diff: Difference, pin: PinRecord, version: Version, main: Main) -> str | None:
    here = folder_at(main.repo, main.tip, f"models/{diff.model}")
    if pin.adopted and pin.source_tree is None:
        return None
    if pin.source_tree != here:
        return (
            f"main's models/{diff.model} is tree {str(here)[:12]}, but the pin's version {pin.version} was trained "
            f"from {str(pin.source_tree)[:12]}; revert code and pin together"
        )
    need_plain(main.repo, str(here), f"models/{diff.model}")
    tagged = version.tags.get("source_tree")
    if tagged != pin.source_tree and not pin.adopted:
        return (
            f"the registry says version {pin.version} was trained from tree {str(tagged)[:12]}, the pin says "
            f"{str(pin.source_tree)[:12]}; somebody changed the tag or the pin"
        )
    return None


def digest_now(registry: Registry, version: Version) -> str:
    """Return the digest of a version's files as they are in the registry."""
    with tempfile.TemporaryDirectory() as folder:
        return registry.fetch_version(version, Path(folder))[1]


def _load() -> None:
    """Import and build what reads files and evidence once they are here."""
    import promotion.sandbox.artifact  # noqa: F401
    from promotion.records.evaluation import Evaluation

    for record in (Evaluation, Entry):
        record.model_rebuild()


def _files(diff: Difference, pin: PinRecord, version: Version, main: Main, registry: Registry) -> list[Check]:
    """The files are the pinned ones; of an adopted pin without a digest the ones that the ledger saw first.

    And they are what a model may be: for a pin that lands, by the policy of this commit.
    """
    seen = _was_champion(diff, pin, main)
    wanted = pin.digest or (None if seen is None else seen.digest)
    label = f"the files of version {pin.version}"
    loaded = registry.beside(_load)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder, digest = registry.fetch_version(version, Path(scratch) / "files")
        except PromotionError as error:
            return [Check("files", f"{label} cannot be read: {error}")]
        finally:
            loaded()  # Python may crash where it ends in the middle of an import
        if wanted not in (None, digest):
            return [
                Check(
                    "files",
                    f"{label} hash to {digest[:19]}, the pin says {wanted[:19]}; they were changed "
                    "after the pin was made: restore them or roll back",
                )
            ]
        from promotion.sandbox.artifact import Allowed, accept

        entry = diff.desired.entry
        limits = Allowed.by(None if entry is None else entry.policy)
        vouched = seen is not None or (pin.adopted and pin.override is None)
        try:
            source = None
            if "code" in limits.formats and not vouched:
                source = Path(scratch) / "source"  # without a tree nobody reviewed its modules
                if pin.source_tree is not None:
                    export(main.repo, pin.source_tree, source)
            note = accept(folder, label, limits, source=source, vouched=vouched)
        except PromotionError as error:
            return [Check("files"), Check("artifact", error.brief)]
    return [Check("files"), Check("artifact", note=note)]


def _earned(diff: Difference, pin: PinRecord, version: Version, main: Main, registry: Registry) -> str | None:
    """The version won against the champion its base pinned, or was champion before, or an override says why."""
    change = diff.desired.change
    if pin.override is not None or _was_champion(diff, pin, main) is not None:
        return None
    if pin.adopted:
        return _adoptable(diff, pin, main)
    if pin.evidence is None or version.run_id is None or change is None:
        return f"version {pin.version} has no evidence; challenge the champion in a retrain pull request"
    found = read_evidence(registry, version.run_id, pin.evidence)
    if found is None:
        return f"the evidence {pin.evidence[:19]} is not kept with the run of version {pin.version}"
    problems = _judged(diff, pin, found, change, main)
    if problems and any(not _judged(diff, pin, found, earlier, main) for earlier in _earlier(diff, pin, main)):
        return None
    return "; ".join(problems) or None


def _judged(diff: Difference, pin: PinRecord, found: "Evaluation", change: PinChange, main: Main) -> list[str]:
    return judge_evidence(
        f"version {pin.version}",
        pin,
        found,
        model=diff.model,
        champion=main.base_champion(diff.model, change),
        policy_digest=main.base_policy(diff.model, change),
    )


def _earlier(diff: Difference, pin: PinRecord, main: Main) -> Iterator[PinChange]:
    """Earlier commits of main that pinned the same: what won there rightly may be gone back to.

    It need not be in the ledger, because the next pin may have been merged before anybody applied this one.
    """
    changes = iter(main.history.changes(diff.model))
    next(changes, None)
    return (change for change in changes if change.after == pin)


def _adoptable(diff: Difference, pin: PinRecord, main: Main) -> str | None:
    """`adopted: true` takes over the champion that was there before us; it is no way around the challenge.

    Whether there was one of ours is what main's history says, for a ledger can be deleted.
    """
    earlier = [change for change in list(main.history.changes(diff.model))[1:] if change.after is not None]
    if not earlier and diff.current.champion == pin.version:
        return None
    return (
        f"version {pin.version} is marked `adopted: true`, but it is not a champion that the registry had before this "
        "project; challenge the champion in a retrain pull request"
    )


def _proven(diff: Difference, pin: PinRecord, main: Main, allowed: Permissions) -> str | None:
    """The name in an override is who wrote the commit that brought it, unless it was confirmed before."""
    history, change = main.history, diff.desired.change
    for entry in diff.current.ledger:
        old = history.pins(entry.commit).get(diff.model) if agrees(history, diff.model, entry) else None
        if entry.stands and old is not None and old.override == pin.override:
            return None
    if pin.override is None or change is None:
        return None
    commit = change.commit
    return unproven(pin.override.by, allowed.authors(commit), f"commit {commit.sha[:12]}")
