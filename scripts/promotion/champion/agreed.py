"""Where git and the ledger agree: a tag can be written by whoever may register a version, main's history cannot.

A ledger entry counts as "was champion" only where main's first-parent history says the same: its commit is
there, at that height, and pins exactly this version, files and source tree.
"""

from collections.abc import Callable, Iterable

from promotion.champion.pins import PinHistory
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.git.repo import Commit
from promotion.registry.ledger import LedgerEntry

Authors = Callable[[Commit], tuple[str, ...]]


def agrees(history: PinHistory, model: str, entry: LedgerEntry) -> bool:
    """Whether an entry says what main's history says: this commit, at this height, pins this version and files."""
    if history.chain.get(entry.commit) != entry.height:
        return False
    pin = history.pins(entry.commit).get(model)
    if pin is None or entry.version is None:
        return pin is None and entry.version is None
    return pin.version == entry.version and (pin.digest is None or pin.digest == entry.digest)


def was_champion(
    history: PinHistory,
    model: str,
    ledger: Iterable[LedgerEntry],
    pin: PinRecord,
    *,
    before: tuple[int, int] | None = None,
) -> LedgerEntry | None:
    """Return the newest entry, below the order `before`, under which this version, files and tree were champion.

    A pin that was refused, that was only ever on a branch, whose alias was never seen, or that only a tag
    knows does not count.
    """
    entries = sorted(ledger, key=lambda entry: entry.order, reverse=True)
    # where the newest commit is gone, main was rewritten (or is another's), which promote asks about on its own
    rewritten = bool(entries) and entries[0].commit not in history.chain

    def of_an_earlier_era(entry: LedgerEntry) -> bool:
        return entry.era < max((other.era for other in entries if agrees(history, model, other)), default=0)

    for entry in entries:
        if not entry.stands or (before is not None and entry.order >= before) or not _names(entry, pin):
            continue
        if agrees(history, model, entry):
            then = [history.pins(entry.commit).get(model)]
        elif entry.commit not in history.chain and (rewritten or of_an_earlier_era(entry)):
            # of before main was rewritten: the commit is gone, but some commit of today must pin the same
            then = [change.after for change in history.changes(model)]
        else:
            continue
        if any(old is not None and _same(old, pin) for old in then):
            return entry
    return None


def _names(entry: LedgerEntry, pin: PinRecord) -> bool:
    """Whether an entry is about this version and these files; of an adopted pin either may lack the digest.

    Asked first: what git says then has to be read only of the few entries that are.
    """
    return entry.version == pin.version and (entry.digest == pin.digest or None in (entry.digest, pin.digest))


def _same(old: PinRecord, pin: PinRecord) -> bool:
    """Whether the pin of then and the pin of now are about one version and one tree; that of then may lack a digest."""
    return old.version == pin.version and old.source_tree == pin.source_tree and old.digest in (None, pin.digest)


def by_commit(commit: Commit) -> tuple[str, ...]:
    """Who wrote a commit, where no hosting service can be asked."""
    return (commit.author,)


def unproven(by: str | None, names: Iterable[str], what: str) -> str | None:
    """Say why the name in an override proves nothing; None where it is left out or one of `names`; pure."""
    known = list(names)
    if by is None or by.removeprefix("@").casefold() in [name.casefold() for name in known]:
        return None
    return (
        f"its override says `by: {by}`, but {what} is by {' and '.join(known) or 'nobody known'}; "
        "write that name, or leave `by` out"
    )


def need_git(history: PinHistory, model: str, entry: LedgerEntry, branch: str) -> None:
    """Raise PromotionError where an entry does not say what the branch's history says."""
    if not agrees(history, model, entry):
        raise PromotionError(
            f"the ledger's {entry.key} of {model} is not what {branch} pins at {entry.commit[:12]}; somebody wrote "
            "that tag by hand: delete it, then run this again"
        )
