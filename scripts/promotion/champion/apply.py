"""Move @champion to what main pins: ledger first, then the alias, then read again until the newest entry wins."""

import json
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from promotion.champion.agreed import was_champion
from promotion.champion.checks import Check, Permissions, check_model, digest_now
from promotion.champion.desired import Difference, Main, differences, one_difference
from promotion.cli import now
from promotion.errors import PromotionError
from promotion.git.repo import Repo, pull_request
from promotion.registry.at_once import at_once
from promotion.registry.client import CHAMPION, RegisteredModel, Registry
from promotion.registry.ledger import LedgerEntry, Repair, read_ledger, read_repairs

MOST_ROUNDS = 12
GONE = "alias gone"
BY_HAND = "alias moved by hand"
EARLIER = "alias on an earlier champion: moved by hand, or a write of an older commit that came late"
LATE = "a write of an older commit came late"


class Planned(NamedTuple):
    """One model's difference with its checks; none where there is nothing to do."""

    difference: Difference
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The sentences of the checks that do not hold."""
        return tuple(f"{check.name}: {check.problem}" for check in self.checks if check.problem is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know although nothing is refused for it."""
        return tuple(check.note for check in self.checks if check.note is not None)

    @property
    def wanted(self) -> bool:
        """Whether there is something to write."""
        return self.difference.step != "none"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the model, where @champion is, which version main pins, the step, and why it would be refused."""
        diff = self.difference
        return {
            "model": diff.model,
            "champion": diff.current.champion,
            "pinned": diff.wanted,
            "step": diff.step,
            "refused": list(self.problems),
            "notes": list(self.notes),
        }


class Settled(NamedTuple):
    """Where @champion was and is; newest: the entry that stands. text: one line that says what happened."""

    model: str
    before: int | None
    newest: LedgerEntry
    moved: bool
    superseded: bool

    @property
    def text(self) -> str:
        """One line that says what happened."""
        was = "nothing" if self.before is None else str(self.before)
        now = "nothing" if self.newest.version is None else str(self.newest.version)
        if self.superseded:
            return f"{self.model}: @champion is {now}: a newer pin than this commit's was confirmed and stands"
        if not self.moved:
            return f"{self.model}: @champion is {now}; recorded in the ledger"
        if self.newest.version is None:
            return f"{self.model}: dropped @champion, which was {was}"
        return f"{self.model}: moved @champion {was} -> {now}"


def plan_moves(
    repo: Repo,
    tip: str,
    registry: Registry,
    allowed: Permissions | None = None,
    *,
    branch: str = "main",
    listed: Callable[[], dict[str, RegisteredModel]] | None = None,
    reached: Callable[[int, int], None] = lambda done, total: None,
) -> list[Planned]:
    """Compare main with the registry and check every model that differs; write nothing.

    listed: what waits for the registry's list (Registry.beside), where it was asked for before. reached: called
    with how many models are checked, and of how many, after each.
    """
    listed = listed or registry.beside(registry.models)
    main = Main(repo, tip, branch)
    found = differences(main, listed())
    wanted = [diff for diff in found if diff.step != "none"]

    def checked(diff: Difference) -> Planned:
        return Planned(diff, tuple(check_model(diff, main, registry, allowed or Permissions())))

    planned = {}
    for done, item in enumerate(at_once(checked, wanted, registry.at_once), 1):
        planned[item.difference.model] = item
        reached(done, len(wanted))
    return _guarded([planned.get(diff.model, Planned(diff, ())) for diff in found], main.promotion.guard_moves)


def plan_move(
    repo: Repo,
    commit: str,
    registry: Registry,
    model: str,
    allowed: Permissions | None = None,
    *,
    branch: str = "main",
) -> Planned:
    """Return what `apply` would do about one model if `commit` were the tip of main; write nothing."""
    main = Main(repo, commit, branch)
    diff = one_difference(main, model, registry.model(model))
    checks = [] if diff.step == "none" else check_model(diff, main, registry, allowed or Permissions())
    return Planned(diff, tuple(checks))


def _guarded(planned: list[Planned], most: int | None) -> list[Planned]:
    """Refuse all moves and drops when there are more than the guard allows; what is refused anyway does not count."""
    moving = [item for item in planned if item.difference.step in ("move", "drop") and not item.problems]
    if most is None or len(moving) <= most:
        return planned
    problem = (
        f"{len(moving)} champions would move or drop at once; guard.moves allows {most}: raise it if this is intended"
    )
    return [
        item._replace(checks=(*item.checks, Check("guard", problem))) if item in moving else item for item in planned
    ]


def apply(
    planned: list[Planned],
    registry: Registry,
    *,
    by: str,
    together: bool = False,
    reason: str | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Write what is planned and holds; return whether everything wanted was done.

    Every refusal is said before the first write. One model's refusal or failure does not stop the others,
    unless `together`. Raise PromotionError at the end when the registry failed for a model.
    """
    refused = [item for item in planned if item.wanted and item.problems]
    for item in refused:
        say(f"REFUSED {item.difference.model}: " + "; ".join(item.problems))
    if refused and together:
        say("nothing was written, because --together asks for all or none")
        return False
    failed: list[str] = []

    def settled(item: Planned) -> str | PromotionError:
        try:
            return settle(item.difference, registry, by=by, reason=reason).text
        except PromotionError as error:
            return error

    outcomes = at_once(settled, [item for item in planned if item.wanted and not item.problems], registry.at_once)
    for item in planned:
        if not item.wanted:
            say(str(item.difference))
        elif not item.problems:
            outcome = next(outcomes)
            if isinstance(outcome, PromotionError):
                failed.append(f"{item.difference.model}: {outcome.brief}")
                outcome = f"FAILED {failed[-1]}"
            say(outcome)
    if failed:
        raise PromotionError(f"{len(failed)} of {len(planned)} models failed; run this again to finish ({failed[0]})")
    return not refused


def settle(diff: Difference, registry: Registry, *, by: str, reason: str | None = None) -> Settled:
    """Write the ledger entry and set the alias until both agree, and leave the newest entry standing.

    Each round reads the model afresh and does one thing: write our entry if it is the newest, else move
    the alias to the newest entry, else say when it was reached. So whoever comes last, and whoever was
    held up between a reading and a write, finds out and puts the newest entry's version back.
    """
    name, ours = diff.model, entry_of(diff, registry, by=by, note=reason)
    written: set[tuple[int, int]] = set()
    for turn in range(MOST_ROUNDS):
        _pause(turn)
        model = registry.model(name)
        if model is None:
            raise PromotionError(f"{name} is not registered any more; register a version again, then run this again")
        ledger = read_ledger(model.tags)
        newest = ledger[-1] if ledger else None
        if newest is None or ours.order > newest.order:
            registry.set_model_tag(name, ours.key, ours.text())
            continue
        _need_ours(diff, newest, ours)
        alias = model.aliases.get(CHAMPION)
        if alias == newest.version:
            if not newest.stands:
                registry.set_model_tag(name, newest.reached_key, json.dumps({"at": now(), "by": by[:200]}))
            moved = diff.current.champion != newest.version or bool(written)
            return Settled(name, diff.current.champion, newest, moved, newest.order > ours.order)
        if newest.stands and newest.order not in written:
            cause = LATE if written else _cause(alias, ledger)
            registry.set_model_tag(name, *_repair(model, newest, cause, by))
        if newest.version is None:
            registry.delete_alias(name, CHAMPION)
        else:
            registry.set_alias(name, CHAMPION, newest.version)
        written.add(newest.order)
    raise PromotionError(
        f"{name}@{CHAMPION} keeps changing: after {MOST_ROUNDS} readings it is not what was set; something else writes "
        f"it, or {registry.where} answers with old values: look there, then run this again"
    )


def _need_ours(diff: Difference, newest: LedgerEntry, ours: LedgerEntry) -> None:
    """Raise PromotionError where the newest entry is neither ours nor what the branch has pinned since."""
    if newest.order > ours.order and diff.main is not None:
        diff.main.need_git(diff.model, newest)
    if newest.order != ours.order:
        return
    if newest.commit != ours.commit:
        raise PromotionError(
            f"{newest.key} of {diff.model} is about commit {newest.commit[:12]}, not {ours.commit[:12]}: two histories "
            "write to one registry; apply the right one with --rewritten-history"
        )
    if newest.version != ours.version or newest.digest not in (None, ours.digest):
        raise PromotionError(
            f"{newest.key} of {diff.model} is not what commit {ours.commit[:12]} pins; somebody wrote that tag by "
            "hand: delete it, then run this again"
        )


def _pause(turn: int) -> None:
    """Wait a little before later readings: three or four are normal, more mean that others write or readings lag."""
    if turn >= 4:
        time.sleep(random.uniform(0, min(1.0, 0.02 * 2 ** (turn - 3))))


def entry_of(diff: Difference, registry: Registry, *, by: str, note: str | None = None) -> LedgerEntry:
    """Return the ledger entry for the commit that last changed a model's pin.

    An adopted pin may lack the digest of its files; the entry has the one that they have now.
    """
    change, pin, newest = diff.desired.change, diff.desired.pin, diff.current.newest
    if change is None:
        raise PromotionError(f"main's history has no pin of {diff.model}; there is nothing to record")
    if note is None and pin is not None and pin.override is not None:
        note = f"{pin.override.by or change.commit.author}: {pin.override.reason}"
    return LedgerEntry(
        height=diff.desired.height,
        era=diff.desired.era,
        commit=change.commit.sha,
        before=None if newest is None else newest.version,
        version=diff.wanted,
        digest=None if pin is None else pin.digest or _digest_of(registry, diff.model, pin.version),
        reason=_reason(diff),
        at=now(),
        by=by,
        pr=pull_request(change.commit),
        note=note,
        pending=True,
    )


def _digest_of(registry: Registry, model: str, number: int) -> str:
    version = registry.version(model, number)
    if version is None:
        raise PromotionError(registry.lacks(model, number, "nothing was written"))
    return digest_now(registry, version)


def _reason(diff: Difference) -> str:
    pin = diff.desired.pin
    if pin is None:
        return "retire"
    history = None if diff.main is None else diff.main.history
    if history and was_champion(history, diff.model, diff.current.ledger, pin, before=diff.desired.order):
        return "rollback"
    if pin.override is not None:
        return "override"
    return "adopt" if pin.adopted else "merge"


def _cause(alias: int | None, ledger: list[LedgerEntry]) -> str:
    if alias is None:
        return GONE
    return EARLIER if any(entry.version == alias for entry in ledger[:-1]) else BY_HAND


def _repair(model: RegisteredModel, newest: LedgerEntry, cause: str, by: str) -> tuple[str, str]:
    """Return the tag that keeps a trace of an alias that was not where its confirmed pin put it."""
    earlier = [old.number for old in read_repairs(model.tags) if (old.era, old.height) == newest.order]
    repair = Repair(
        height=newest.height,
        era=newest.era,
        number=max(earlier, default=0) + 1,
        before=model.aliases.get(CHAMPION),
        version=newest.version,
        at=now(),
        by=by,
        cause=cause,
    )
    return repair.key, repair.text()
