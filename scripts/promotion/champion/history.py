"""History: who moved @champion when, from what to what, by which commit, from first-parent git and the ledger."""

import datetime
from dataclasses import asdict, dataclass
from typing import Any

from promotion.champion.desired import Current, Desired, Main, current_state, desired_states
from promotion.champion.pins import PinChange, PinHistory
from promotion.errors import PromotionError
from promotion.git.repo import Commit, Repo, pull_request
from promotion.records.figures import Looks
from promotion.registry.client import CHAMPION, RegisteredModel, Registry, Run
from promotion.registry.ledger import LedgerEntry, Repair, has_ledger, place, read_ledger, read_repairs
from promotion.registry.looks import newest_looks
from promotion.registry.outcome import tried_of
from promotion.registry.watched import read_looks
from promotion.text.escape import clean
from promotion.timeline import History, Move, moment


def history(repo: Repo, tip: str, registry: Registry, model: str) -> list[Move]:
    """Return what happened to a model's champion, oldest first: pin changes, repairs, and pins never applied."""
    registered = registry.registered(model)
    pins = PinHistory(repo, tip)
    return rows_of(registered, list(pins.changes(model)), pins)


def histories(main: Main, registry: Registry) -> list[History]:
    """Return the history of every model that main names or named, in three listings however many there are.

    Of a pin that was replaced before anybody applied it only `history` of one model tells, which reads every
    revision of promotion.yaml.
    """
    registered = registry.models()
    states = {name: current_state(registered.get(name)) for name in main.promotion.models}
    states |= {name: current_state(model) for name, model in registered.items() if has_ledger(model.tags)}
    desired = desired_states(main, states)
    for name, state in states.items():
        if name not in desired and any(entry.commit in main.history.chain for entry in state.ledger):
            desired[name] = Desired(name, None, None, None, 0)  # retired
    runs = registry.runs_of(set(desired))
    return [_history(main, desired[name], states[name], registered.get(name), runs[name]) for name in sorted(desired)]


def _history(
    main: Main, desired: Desired, state: Current, registered: RegisteredModel | None, runs: list[Run]
) -> History:
    change, entry = desired.change, desired.entry
    late = [] if change is None or change.before == change.after == desired.pin else [change]
    moves = [] if registered is None or state.trouble is not None else rows_of(registered, late, main.history)
    number = newest_looks(runs)
    return History(
        model=desired.model,
        champion=state.champion,
        moves=tuple(moves),
        tried=tuple(tried_of(run) for run in runs),
        looks=read_looks(state.tags),
        left=None if entry is None else Looks(number=number, allowed=entry.policy.challenge.looks),
        watch_looks=None if entry is None else entry.watch.looks,
        trouble=state.trouble,
    )


def rows_of(registered: RegisteredModel, changes: list[PinChange], pins: PinHistory) -> list[Move]:
    """Join the ledger with the pin changes on main; `changes` newest first."""
    ledger, repairs = read_ledger(registered.tags), read_repairs(registered.tags)
    rows: list[tuple[tuple[int, int, int], Move]] = []
    standing: int | None = None
    eras = {entry.commit: entry.era for entry in ledger}
    for entry in ledger:
        rows.append(((*entry.order, 0), _entry_row(entry, standing, pins.by_sha.get(entry.commit))))
        standing = entry.version if entry.stands else standing
    for repair in repairs:
        commit = next((entry.commit for entry in ledger if entry.order == (repair.era, repair.height)), "")
        rows.append(((repair.era, repair.height, repair.number), _repair_row(repair, commit)))
    era = max(eras.values(), default=0)
    for change in changes:
        if change.commit.sha not in eras:
            height = pins.chain[change.commit.sha]
            rows.append(((era, height, 0), _missed_row(change)))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def _entry_row(entry: LedgerEntry, standing: int | None, commit: Commit | None) -> Move:
    return Move(
        at=entry.since if entry.stands else None,
        before=standing,
        version=entry.version,
        reason=entry.reason if entry.stands else "not applied",
        commit=entry.commit,
        pr=entry.pr,
        author=None if commit is None else commit.author,
        subject=None if commit is None else commit.subject,
        by=entry.by,
        note=entry.note,
        digest=entry.digest,
        place=place(entry.era, entry.height),
    )


def _repair_row(repair: Repair, commit: str) -> Move:
    return Move(
        at=repair.at,
        before=repair.before,
        version=repair.version,
        reason="repair",
        commit=commit,
        pr=None,
        author=None,
        subject=None,
        by=repair.by,
        note=repair.cause,
    )


def _missed_row(change: PinChange) -> Move:
    return Move(
        at=None,
        before=None if change.before is None else change.before.version,
        version=None if change.after is None else change.after.version,
        reason="not applied",
        commit=change.commit.sha,
        pr=pull_request(change.commit),
        author=change.commit.author,
        subject=change.commit.subject,
        by=None,
        note=None,
    )


@dataclass(frozen=True)
class InProduction:
    """What was @champion at a time, as far as it was recorded. event: the move that put it there."""

    model: str
    at: str
    version: int | None
    event: Move | None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "event": None if self.event is None else as_dicts([self.event])[0]}


def in_production(model: str, rows: list[Move], when: datetime.datetime) -> InProduction:
    """Return which version was champion at `when` (aware); pure.

    Pins count in the order of main, so an entry that came late below a newer one never served. A repair
    says that the alias stood elsewhere for an unknown time before it, a tag may say anything: the answer then says so.
    """
    stamp = when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    timed = [(at, row) for row in rows if (at := moment(row.at)) is not None]
    moves = [(at, row) for at, row in timed if row.reason != "repair"]
    last = next((row for at, row in reversed(moves) if at <= when), None)
    notes = [
        f"the ledger says {clean(row.at, 40)!r} where it should say when version {row.version} became champion"
        for row in rows
        if row.at is not None and row.reason != "repair" and moment(row.at) is None
    ]
    for at, row in timed:
        if row.reason == "repair" and at > when and not any(when < moved <= at for moved, _ in moves):
            elsewhere = "no version" if row.before is None else f"version {row.before}"
            notes.append(f"at {row.at} the alias was found on {elsewhere} and put back; since when is not known")
            break
    return InProduction(model, stamp, None if last is None else last.version, last, "; ".join(notes) or None)


def parse_time(text: str) -> datetime.datetime:
    """Read an ISO 8601 time; without an offset it is UTC."""
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise PromotionError(
            f"`{text}` is neither a day such as 2026-08-03 nor a time such as 2026-08-03T12:00Z"
        ) from None
    return when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)


def as_dicts(rows: list[Move]) -> list[dict[str, Any]]:
    """The rows as plain values for JSON."""
    return [row.model_dump(exclude={"place"}) for row in rows]


def as_text(model: str, rows: list[Move], champion: int | None) -> str:
    """The rows as text, newest first, and where @champion is now."""
    head = ("when", "from", "to", "reason", "commit", "PR", "author", "applied by")
    cells = [
        (
            row.at or "-",
            "-" if row.before is None else str(row.before),
            "-" if row.version is None else str(row.version),
            row.reason,
            row.commit[:12],
            "-" if row.pr is None else f"#{row.pr}",
            row.author or "-",
            (row.by or "-") + ("" if row.note is None else f": {row.note}"),
        )
        for row in reversed(rows)
    ]
    body = [[clean(cell) for cell in line] for line in cells]  # of a reason and an author: no line end, no control
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *body]
    ]
    now = "nothing" if champion is None else f"version {champion}"
    return "\n".join([f"{model}: @{CHAMPION} is {now}", *lines])
