"""Pins in time: what every first-parent commit of main says about the champions."""

import functools
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from promotion.champion.revisions import Pins, Reader
from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.git.repo import REGULAR, Commit, Repo


class PinChange(NamedTuple):
    """A first-parent commit that changed a model's pin; None stands for no champion."""

    commit: Commit
    before: PinRecord | None
    after: PinRecord | None


class PinHistory:
    """The pins along the first-parent chain of `tip`; every text of promotion.yaml is read at most once.

    A revision that is no YAML mapping (or has no file) says nothing: promote refuses it, so it neither
    sets nor drops a pin, and the revisions around it are compared with each other.
    """

    def __init__(self, repo: Repo, tip: str) -> None:
        repo.need_full_history()
        self.repo = repo
        self.tip = tip
        self.log = repo.first_parent_log(tip, FILE)
        self._pins: dict[str, Pins | None] = {}  # by commit
        self._texts: dict[str, Pins | None] = {}  # by blob, for a revert brings one back
        self._reader = Reader()
        self._reading = threading.Lock()  # checks of many models at a time read one history

    @functools.cached_property
    def chain(self) -> dict[str, int]:
        """Every first-parent commit of the tip with its height (the root commit is 1)."""
        shas = self.repo.first_parents(self.tip)
        return {sha: len(shas) - index for index, sha in enumerate(shas)}

    @functools.cached_property
    def by_sha(self) -> dict[str, Commit]:
        """The commits that changed promotion.yaml."""
        return {commit.sha: commit for commit in self.log}

    def pins(self, commit: str) -> Pins:
        """Return every model's pin at a commit; {} where its promotion.yaml cannot be read."""
        return self._read(commit) or {}

    def _read(self, commit: str) -> Pins | None:
        with self._reading:
            if commit not in self._pins:
                found = self.repo.entry_at(commit, FILE)
                blob = "" if found is None or found[0] not in REGULAR else found[1]
                if blob not in self._texts:
                    self._texts[blob] = self._reader.pins(self.repo.file_at(commit, FILE)) if blob else None
                self._pins[commit] = self._texts[blob]
            return self._pins[commit]

    def _revisions(self) -> Iterator[tuple[Commit, Pins]]:
        """The readable revisions of promotion.yaml, newest first."""
        for commit in self.log:
            pins = self._read(commit.sha)
            if pins is not None:
                yield commit, pins

    def changes(self, model: str) -> Iterator[PinChange]:
        """Yield the commits that changed a model's pin, newest first."""
        newer: tuple[Commit, PinRecord | None] | None = None
        for commit, pins in self._revisions():
            pin = pins.get(model)
            if newer is not None and newer[1] != pin:
                yield PinChange(newer[0], pin, newer[1])
            newer = commit, pin
        if newer is not None and newer[1] is not None:
            yield PinChange(newer[0], None, newer[1])

    def last_change(self, model: str) -> PinChange | None:
        """Return the commit that last changed a model's pin, or None where it never had one."""
        return next(self.changes(model), None)

    def changed_above(self, height: int) -> frozenset[str]:
        """Return the models whose pin changed in a commit above `height`, reading no revision further down."""
        changed: set[str] = set()
        newer: Pins | None = None
        for commit, pins in self._revisions():
            if newer is not None:
                changed |= {name for name in newer.keys() | pins.keys() if newer.get(name) != pins.get(name)}
            if self.chain[commit.sha] <= height:
                return frozenset(changed)
            newer = pins
        return frozenset(changed | {name for name, pin in (newer or {}).items() if pin is not None})

    def rolled_back(self, model: str) -> dict[str, PinChange]:
        """Return source tree -> the change that took it out of production by going back to an older champion."""
        changes = list(self.changes(model))
        found: dict[str, PinChange] = {}
        for index, change in enumerate(changes):
            if change.before is not None and change.before.source_tree and went_back(changes[index:]):
                found.setdefault(change.before.source_tree, change)
        return found


def went_back(changes: Sequence[PinChange]) -> bool:
    """Whether the first of `changes` (newest first) left a champion for an older one, or for none; pure.

    Older is who became champion first, not the lower version number: a revert of a revert goes forward.
    """
    last = changes[0]
    if last.before is None or last.after is None:
        return last.before is not None
    first: dict[tuple[int, str | None] | None, int] = {}
    for age, change in enumerate(reversed(changes[1:])):
        first.setdefault(None if change.after is None else change.after.identity, age)
    before, after = first.get(last.before.identity), first.get(last.after.identity)
    return before is not None and after is not None and after < before
