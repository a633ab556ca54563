"""Going back to an older champion: which ones there are, whether the last change was such a step, the commit.

A rollback is state, not a patch: the older champion's source tree and its pin, in one commit, whatever
came between. So it works where `git revert` would conflict or leave a tree without its pin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from promotion.champion.agreed import was_champion
from promotion.champion.apply import Planned, plan_move
from promotion.champion.checks import Permissions
from promotion.champion.desired import current_state
from promotion.champion.landing import Mandate
from promotion.champion.pins import PinChange, PinHistory, went_back
from promotion.config import FILE
from promotion.config.edit import splice
from promotion.config.pin import Override, PinRecord
from promotion.config.promotion_yaml import Entry
from promotion.errors import PromotionError
from promotion.git.commits import Change, commit_on
from promotion.git.promotion_at import promotion_at, promotion_text
from promotion.git.repo import Repo, pull_request
from promotion.registry.client import Registry
from promotion.registry.ledger import LedgerEntry
from promotion.text.escape import clean

MOST_NAMED = 5
Target = int | Literal["previous", "none"]  # a version, the champion before the last promotion, or no champion


@dataclass(frozen=True)
class Champion:
    """An earlier champion. change: the commit that pinned it (the latest); tree: its model folder there."""

    pin: PinRecord
    change: PinChange
    tree: str | None
    entry: LedgerEntry


@dataclass(frozen=True)
class Rollback:
    """A rollback that was prepared and checked. to: None where the champion is dropped; undone: what it takes back."""

    model: str
    now: PinRecord | None
    to: PinRecord | None
    undone: tuple[PinChange, ...]
    commit: str
    subject: str
    since: str | None
    merged_in: int | None


def last_change_is_rollback(history: PinHistory, model: str) -> PinChange | None:
    """Return the last change of a model's pin if it went back, to an older champion or to none; else None."""
    changes = list(history.changes(model))
    return changes[0] if changes and went_back(changes) else None


@dataclass(frozen=True)
class Standing:
    """A rollback that main has already. since: the change, None where main pins the asked version anyway."""

    model: str
    since: PinChange | None
    pin: PinRecord | None
    planned: Planned

    def __str__(self) -> str:
        pinned = "no champion" if self.pin is None else f"version {self.pin.version}"
        if self.since is None:
            return f"{self.model}: main pins {pinned} already"
        return f"{self.model} was rolled back already ({_move(self.since)} on {self.since.commit.when[:10]})"


def standing(repo: Repo, registry: Registry, model: str, *, base: str, to: Target, mandate: Mandate) -> Standing | None:
    """Return the rollback that `base` has already: asked for twice, or cut off after the push; None where it has none.

    `previous` never goes back twice, because whoever asks again at night means the same step.
    """
    pin = promotion_at(repo, base).entry(model).champion
    since = last_change_is_rollback(PinHistory(repo, base), model)
    asked = (None if pin is None else pin.version) == (None if to == "none" else to)
    if since is None and (to == "previous" or not asked):
        return None
    if to != "previous" and not asked:
        return None
    planned = plan_move(repo, base, registry, model, Permissions(thaw=mandate.reason))
    return Standing(model, since, pin, planned)


def champions(repo: Repo, history: PinHistory, model: str, ledger: Sequence[LedgerEntry]) -> list[Champion]:
    """Return every version that main pinned and promote confirmed, the latest first, each once."""
    found: dict[tuple[int, str | None], Champion] = {}
    for change in history.changes(model):
        pin = change.after
        entry = None if pin is None else was_champion(history, model, ledger, pin)
        if pin is not None and entry is not None and pin.identity not in found:
            tree = pin.source_tree or repo.object_at(change.commit.sha, f"models/{model}")
            found[pin.identity] = Champion(pin, change, tree, entry)
    return list(found.values())


def prepare_rollback(
    repo: Repo, registry: Registry, model: str, *, base: str, to: Target, mandate: Mandate
) -> Rollback | None:
    """Choose the target, make its commit on `base` (on no branch yet) and run promote's own checks on it.

    Return None where main pins the target already. Raise PromotionError, one sentence, when the target
    is not a former champion, is gone, was changed, has lost its tree, or the model is frozen and there
    is no reason. Nothing is pushed.
    """
    entry = promotion_at(repo, base).entry(model)
    history = PinHistory(repo, base)
    registered = registry.model(model)
    if registered is None and entry.champion is not None:
        raise PromotionError(registry.lacks(model, entry.champion.version, "nothing was pushed"))
    current = current_state(registered)
    if current.trouble is not None:
        raise PromotionError(f"{model}: {current.trouble}; nothing was pushed")
    former = champions(repo, history, model, current.ledger)
    target = None if to == "none" else _target(model, history, entry, former, to)
    pin = None if target is None else target.pin
    if pin == entry.champion or (pin and entry.champion and pin.identity == entry.champion.identity):
        return None
    if target is not None and target.tree is not None and not repo.has_object(target.tree):
        raise PromotionError(
            f"the code of version {target.pin.version} (git tree {str(target.tree)[:12]}) is not in this clone; "
            "run `git fetch --unshallow` or fetch the branch that has it"
        )
    if entry.freeze is not None and pin is not None:
        pin = _with_reason(model, pin, entry.freeze, mandate)
    undone = () if target is None else _undone(history, model, target)
    subject = _subject(model, entry.champion, pin, undone)
    change = Change(
        trees={} if target is None or target.tree is None else {f"models/{model}": target.tree},
        files={FILE: splice(promotion_text(repo, base), {model: pin})},
    )
    note = f"\n\n{clean(mandate.reason, 500)}" if mandate.reason else ""
    message = f"{subject}{note}\n\nMade by scripts/rollback.py."
    commit = commit_on(repo, base, change, message, author=mandate.by)
    refuse_problems(plan_move(repo, commit, registry, model))
    since = None if target is None else target.entry.at[:10]
    merged = None if target is None else target.entry.pr
    return Rollback(model, entry.champion, pin, undone, commit, subject, since, merged)


def refuse_problems(planned: Planned) -> None:
    """Raise PromotionError with the first check that does not hold."""
    failed = [check.problem for check in planned.checks if check.problem is not None]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise PromotionError(f"{planned.difference.model}: {failed[0]}{more}; nothing was pushed")


def _target(model: str, history: PinHistory, entry: Entry, former: list[Champion], to: Target) -> Champion:
    others = [one for one in former if entry.champion is None or one.pin.identity != entry.champion.identity]
    listed = ", ".join(str(one.pin.version) for one in others) or "none"
    if to != "previous":
        for one in former:
            if one.pin.version == to:
                return one
        raise PromotionError(
            f"version {to} of {model} was never champion (a pin that was refused, or that was only ever on a branch, "
            f"does not count); earlier champions: {listed}"
        )
    last = history.last_change(model)
    if last is None:
        raise PromotionError(f"{model} never had a champion, so there is nothing to roll back")
    if last.before is None:
        raise PromotionError(
            f"version {entry.champion.version if entry.champion else '?'} is {model}'s first champion, so there is no "
            "older one; `--to none` drops @champion, and servers then find no model"
        )
    for one in former:
        if one.pin.identity == last.before.identity:
            return one
    raise PromotionError(
        f"version {last.before.version}, which main pinned before, was never confirmed as champion; "
        f"choose with --to VERSION; earlier champions: {listed}"
    )


def _with_reason(model: str, pin: PinRecord, freeze: str, mandate: Mandate) -> PinRecord:
    """A pin that passes the freeze: promote runs unattended after the merge, so the reason travels in the pin."""
    if not mandate.reason:
        raise PromotionError(f"{model} is frozen ({freeze}); a rollback passes with --reason TEXT; nothing was pushed")
    why = Override(by=mandate.named, reason=clean(mandate.reason, 500))
    return pin.model_copy(update={"override": why})


def _undone(history: PinHistory, model: str, target: Champion) -> tuple[PinChange, ...]:
    """The changes since the target was pinned, the latest first."""
    newer = []
    for change in history.changes(model):
        if change.commit.sha == target.change.commit.sha:
            break
        newer.append(change)
    return tuple(newer)


def _subject(model: str, now: PinRecord | None, to: PinRecord | None, undone: Sequence[PinChange]) -> str:
    before = "no version" if now is None else f"version {now.version}"
    after = "no champion" if to is None else f"version {to.version}"
    pulls = [f"#{number}" for change in undone if (number := pull_request(change.commit)) is not None][:MOST_NAMED]
    return f"Roll back {model} from {before} to {after}" + (f" (undoes {', '.join(pulls)})" if pulls else "")


def _move(change: PinChange) -> str:
    names = ["none" if pin is None else str(pin.version) for pin in (change.before, change.after)]
    return f"{names[0]} -> {names[1]}"
