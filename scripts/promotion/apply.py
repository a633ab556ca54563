"""Move @champion to what main pins: ledger first, then the alias, then read again until the newest entry wins."""

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass

from promotion.checks import Check, Permissions, check_model
from promotion.desired import Difference, current_state, desired_states, difference, read_promotion
from promotion.ledger import LedgerEntry, Repair, read_ledger, read_repairs, was_champion
from promotion.registry import CHAMPION, Registry
from promotion.source import Commit, Repo

MOST_ROUNDS = 20


@dataclass(frozen=True)
class Planned:
    """One model's difference with its checks; none where there is nothing to do."""

    difference: Difference
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The sentences of the checks that do not hold."""
        return tuple(f"{check.name}: {check.problem}" for check in self.checks if check.problem is not None)

    @property
    def wanted(self) -> bool:
        """Whether there is something to write."""
        return self.difference.step != "none"


def plan(repo: Repo, tip: str, registry: Registry, allowed: Permissions | None = None) -> list[Planned]:
    """Compare main with the registry and check every model that differs; write nothing."""
    registered = registry.models()
    planned = []
    for name, desired in sorted(desired_states(repo, tip, registered).items()):
        diff = difference(desired, current_state(registered.get(name)))
        checks = [] if diff.step == "none" else check_model(diff, repo, tip, registry, allowed or Permissions())
        planned.append(Planned(diff, tuple(checks)))
    return _guarded(planned, read_promotion(repo, tip).guard_moves)


def _guarded(planned: list[Planned], most: int | None) -> list[Planned]:
    """Refuse all moves and drops when there are more than the guard allows."""
    moving = [item for item in planned if item.difference.step in ("move", "drop")]
    if most is None or len(moving) <= most:
        return planned
    problem = (
        f"{len(moving)} champions would move or drop at once, guard.moves allows {most}; raise it if that is meant"
    )
    return [
        Planned(item.difference, (*item.checks, Check("guard", problem))) if item in moving else item
        for item in planned
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

    One model's refusal does not hold the others, unless `together`. Each write is said as it is done.
    """
    refused = [item for item in planned if item.wanted and item.problems]
    for item in refused:
        say(f"REFUSED {item.difference.model}: " + "; ".join(item.problems))
    if refused and together:
        say("nothing was written, because --together asks for all or none")
        return False
    for item in planned:
        if item.wanted and not item.problems:
            say(settle(item.difference, registry, by=by, reason=reason))
        elif not item.wanted:
            say(str(item.difference))
    return not refused


def settle(diff: Difference, registry: Registry, *, by: str, reason: str | None = None) -> str:
    """Write the ledger entry and set the alias until both agree; return one line that says what happened."""
    name = diff.model
    entry = entry_of(diff, by=by, note=reason)
    before = diff.current.champion
    known = {old.height for old in diff.current.ledger}
    if entry is not None and entry.height not in known:
        registry.set_model_tag(name, entry.key, entry.text())
    elif before != diff.wanted:
        _record_repair(diff, registry, by)
    moved = False
    for _ in range(MOST_ROUNDS):
        model = registry.model(name)
        newest = (read_ledger(model.tags) or [entry])[-1] if model is not None else entry
        wanted = diff.wanted if newest is None else newest.version
        alias = None if model is None else model.aliases.get(CHAMPION)
        if alias == wanted:
            break
        if wanted is None:
            registry.delete_alias(name, CHAMPION)
        else:
            registry.set_alias(name, CHAMPION, wanted)
        moved = True
    now = "dropped" if wanted is None else str(wanted)
    was = "nothing" if before is None else str(before)
    if wanted != diff.wanted:
        return f"{name}: @champion is {now}: a newer pin than this commit's was confirmed meanwhile, so that one stands"
    return f"{name}: @champion {was} -> {now}" if moved else f"{name}: @champion is {now}; ledger brought up to date"


def entry_of(diff: Difference, *, by: str, note: str | None = None) -> LedgerEntry | None:
    """Return the ledger entry for the commit that last changed a model's pin."""
    change = diff.desired.change
    if change is None:
        return None
    pin = diff.desired.pin
    return LedgerEntry(
        height=diff.desired.height,
        commit=change.commit.sha,
        before=None if change.before is None else change.before.version,
        version=diff.wanted,
        digest=None if pin is None else pin.digest,
        reason=_reason(diff),
        at=now(),
        by=by,
        pr=pull_request(change.commit),
        note=note,
    )


def _reason(diff: Difference) -> str:
    pin = diff.desired.pin
    if pin is None:
        return "retire"
    if pin.override is not None:
        return "override"
    if was_champion(list(diff.current.ledger), pin) is not None:
        return "rollback"
    return "adopt" if pin.adopted else "merge"


def _record_repair(diff: Difference, registry: Registry, by: str) -> None:
    """Leave a trace that the alias was not where its confirmed pin put it."""
    earlier = [repair for repair in read_repairs(diff.current.tags) if repair.height == diff.desired.height]
    repair = Repair(
        height=diff.desired.height,
        number=len(earlier) + 1,
        before=diff.current.champion,
        version=diff.wanted,
        at=now(),
        by=by,
        cause="alias gone" if diff.current.champion is None else "alias moved by hand",
    )
    registry.set_model_tag(diff.model, repair.key, repair.text())


def pull_request(commit: Commit) -> int | None:
    """Return the pull request number from a squash or merge commit's subject, or None."""
    import re

    match = re.search(r"\(#(\d+)\)$|^Merge pull request #(\d+) ", commit.subject)
    return int(match[1] or match[2]) if match else None


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def who() -> str:
    """Who applies: the actor of the workflow run, else this machine's user."""
    actor, run = os.environ.get("GITHUB_ACTOR"), os.environ.get("GITHUB_RUN_ID")
    if actor:
        return f"{actor} (run {run})" if run else actor
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
