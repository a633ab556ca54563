"""Drift by its cause: why @champion is not what main pins, and whether promote can put it right."""

import datetime
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from promotion.champion.apply import Planned
from promotion.champion.desired import Difference
from promotion.git.repo import pull_request
from promotion.github.actions import beside
from promotion.registry.client import Registry
from promotion.registry.ledger import Repair, read_repairs
from promotion.timeline import moment

Cause = Literal[
    "well",
    "waiting",
    "main not applied",
    "alias moved by hand",
    "alias gone",
    "version gone",
    "files changed",
    "champion of others",
    "ledger unreadable",
]
REPAIRABLE: frozenset[str] = frozenset({"main not applied", "alias moved by hand", "alias gone"})
FINE: frozenset[str] = frozenset({"well", "waiting"})


@dataclass(frozen=True)
class Limits:
    """When patience ends. grace: minutes that promote has after a merge. again, days: so many repairs in so many days
    need a person."""

    grace: int = 15
    again: int = 3
    days: int = 7


@dataclass(frozen=True)
class ModelDrift:
    """One model. text: what is wrong in one sentence; todo: what to do; problems: why promote would refuse.

    policy: repair or report, of promotion.yaml. repairs: how often the alias was put back lately.
    """

    model: str
    cause: Cause
    champion: int | None
    wanted: int | None
    text: str
    todo: str = ""
    policy: str = "report"
    problems: tuple[str, ...] = ()
    repairs: int = 0
    needs_person: bool = False

    @property
    def drifted(self) -> bool:
        """Whether @champion is not what main pins, or not with the pinned files."""
        return self.cause not in FINE

    @property
    def repair(self) -> bool:
        """Whether to dispatch promote: the policy says so and promote would not refuse."""
        return self.policy == "repair" and self.cause in REPAIRABLE and not self.problems

    @property
    def reported(self) -> bool:
        """Whether it belongs in the issue."""
        return (self.drifted and not self.repair) or self.needs_person


def find_drift(
    planned: Sequence[Planned], registry: Registry, *, now: datetime.datetime, limits: Limits, files: bool = False
) -> list[ModelDrift]:
    """Return one finding a model. files: download every pinned version and hash it, which takes its time."""
    return [_finding(item, registry, now, limits, files) for item in planned]


def _finding(item: Planned, registry: Registry, now: datetime.datetime, limits: Limits, files: bool) -> ModelDrift:
    diff = item.difference
    pin = diff.desired.pin
    version = None
    if pin is not None and (item.wanted or files):
        version = registry.version(diff.model, pin.version)
    gone = pin is not None and (item.wanted or files) and version is None
    changed = None
    if files and version is not None and pin is not None and pin.digest is not None:
        with tempfile.TemporaryDirectory() as folder:
            _, digest = registry.fetch_version(version, Path(folder))
        changed = None if digest == pin.digest else digest
    cause = cause_of(diff, gone=gone, changed=changed is not None, late=_late(diff, now, limits.grace))
    text, todo = _sentences(diff, cause, registry.where)
    entry = diff.desired.entry
    repairs = len(recent_repairs(read_repairs(diff.current.tags), now, limits.days))
    again = repairs >= limits.again
    if again:
        text += f"; @champion was put back {repairs} times in {limits.days} days"
        todo = (
            "find out what keeps moving it: `python scripts/promote.py history "
            f"{diff.model}` has the times, MLflow's access log the user"
        )
    elif item.problems and cause in REPAIRABLE:
        todo = f"first put right what promote would refuse, then {todo}"
    return ModelDrift(
        model=diff.model,
        cause=cause,
        champion=diff.current.champion,
        wanted=diff.wanted,
        text=text,
        todo=todo,
        policy="report" if entry is None else entry.drift,
        problems=item.problems if cause not in FINE else (),
        repairs=repairs,
        needs_person=again,
    )


def cause_of(diff: Difference, *, gone: bool, changed: bool, late: bool) -> Cause:
    """Name the cause; pure. gone: the pinned version is not there. changed: its files are others. late: past grace."""
    current, desired = diff.current, diff.desired
    if current.trouble is not None:
        return "ledger unreadable"
    if gone:
        return "version gone"
    if diff.step == "none":
        return "files changed" if changed else "well"
    newest = current.newest
    if newest is None and current.champion is not None and diff.step in ("move", "drop"):
        return "champion of others"
    if newest is not None and newest.stands and newest.order == desired.order:
        return "alias gone" if current.champion is None else "alias moved by hand"
    if newest is not None and current.champion not in (newest.version, diff.wanted) and newest.stands and not late:
        return "alias gone" if current.champion is None else "alias moved by hand"
    return "main not applied" if late else "waiting"


def recent_repairs(repairs: Sequence[Repair], now: datetime.datetime, days: int) -> list[Repair]:
    """Return the repairs of the last `days` days; pure. One whose time cannot be read is not counted."""
    since = now - datetime.timedelta(days=days)
    return [repair for repair in repairs if (moment(repair.at) or since) > since]


def _late(diff: Difference, now: datetime.datetime, grace: int) -> bool:
    """Whether promote had its time: the commit that changed the pin is older than `grace` minutes."""
    change = diff.desired.change
    when = None if change is None else moment(change.commit.when)
    return when is None or now - when >= datetime.timedelta(minutes=grace)


def _sentences(diff: Difference, cause: Cause, where: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    model, now = diff.model, "nothing" if diff.current.champion is None else f"version {diff.current.champion}"
    wanted = "no champion" if diff.wanted is None else f"version {diff.wanted}"
    file = beside("promote.yml", top=None if diff.main is None else diff.main.repo.top.path)
    promote = f"`gh workflow run {file}`, or `python scripts/promote.py apply`"
    back = f"`python scripts/rollback.py {model}` goes back to an older champion"
    if cause == "well":
        return f"@champion is {now}, as main pins", ""
    if cause == "waiting":
        return f"@champion is {now}; main pinned {wanted} a moment ago, and {file} is about to apply it", ""
    if cause == "main not applied":
        what = f"{wanted} is not recorded" if diff.step == "record" else f"@champion is {now}"
        return f"main pins {wanted}{_since(diff)}, but promote has not applied it: {what}", promote
    if cause == "alias moved by hand":
        was = any(entry.version == diff.current.champion and entry.stands for entry in diff.current.ledger)
        verb = f"rollback.py {model}" if was else f"promote.py override {model} --reason TEXT"
        keep = f"if that is meant, make it a pin: `python scripts/{verb} --to {diff.current.champion}`"
        return f"main pins {wanted}, but somebody moved @champion to {now}", f"{promote}; {keep}"
    if cause == "alias gone":
        return f"main pins {wanted}, but @champion was deleted", promote
    if cause == "version gone":
        if not diff.current.exists:
            todo = "set MLFLOW_TRACKING_URI to the server that holds it"
            return f"main pins {wanted}, but {where} has no model {model}", todo
        text = f"main pins {wanted}, but that version is not in {where} any more; @champion is {now}"
        return text, f"restore it, or go back: {back}"
    if cause == "files changed":
        return f"the files of {wanted} are not the ones that main pins", f"restore them, or go back: {back}"
    if cause == "ledger unreadable":
        return f"the ledger cannot be read: {diff.current.trouble}", "restore the tag; until then nothing moves"
    adopt = f"`python scripts/promote.py adopt {model}`"
    return f"@champion is {now}, which this project never set, and main pins {wanted}", f"take it over with {adopt}"


def _since(diff: Difference) -> str:
    change = diff.desired.change
    if change is None:
        return ""
    number = pull_request(change.commit)
    return f" since {change.commit.when[:16].replace('T', ' ')}" + ("" if number is None else f" (#{number})")
