"""Pins in time: what every first-parent commit of main says about the champions."""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from promotion.config.promotion_yaml import FILE
from promotion.git.repo import Commit, Repo
from promotion.records import PinRecord

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there


@dataclass(frozen=True)
class PinChange:
    """A first-parent commit that changed a model's pin; None stands for no champion."""

    commit: Commit
    before: PinRecord | None
    after: PinRecord | None


def lenient_pins(text: str | None) -> dict[str, PinRecord | None] | None:
    """Return the pins of an old promotion.yaml, whatever else it says; None where it cannot be read.

    History is read leniently because yesterday's file need not fit today's schema; only the file at
    the tip goes through the strict loader.
    """
    quick = quick_pins(text or "")
    return slow_pins(text) if quick is None else quick


def slow_pins(text: str | None) -> dict[str, PinRecord | None] | None:
    """Return what `lenient_pins` does by building the whole file."""
    try:
        raw: Any = yaml.load(text or "", Loader=LOADER)
    except yaml.YAMLError:
        return None
    models = raw.get("models") if isinstance(raw, dict) else None
    if not isinstance(models, dict):
        return None
    return {str(name): _pin(entry.get("champion")) for name, entry in models.items() if isinstance(entry, dict)}


def quick_pins(text: str) -> dict[str, PinRecord | None] | None:
    """Return what `slow_pins` does by building only the champions, or None where the file is not that plain.

    A file of a thousand models is one event stream of libyaml; nearly all champions are the same as in the
    revision before, so their texts are remembered. Anchors, aliases, tags and odd keys are left to the slow way.
    """
    try:
        blocks = _champion_blocks(text)
        return None if blocks is None else {name: block and _pin_of(*block) for name, block in blocks.items()}
    except (yaml.YAMLError, _Odd):
        return None


class _Odd(Exception):
    """A file that the quick way does not read."""


@functools.lru_cache(maxsize=100_000)
def _pin_of(block: str, column: int) -> PinRecord | None:
    return _pin(yaml.load(" " * column + block, Loader=LOADER))


def _champion_blocks(text: str) -> dict[str, tuple[str, int] | None] | None:
    """Return model -> (text of its champion, its first column), None for a model without one."""
    found: dict[str, tuple[str, int] | None] | None = None
    keys: list[str | None] = []  # of the open collections: the key in hand, or None where a key comes next
    starts: list[yaml.Mark] = []
    documents = 0
    for event in yaml.parse(text, Loader=LOADER):
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise _Odd
        starts_a_value = isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent) and None not in keys[-1:]
        again = (keys == ["models"] and found is not None) or (len(keys) == 2 and keys[1] in (found or ()))
        if documents > 1 or (starts_a_value and again):
            raise _Odd  # two documents, or a key that stands twice
        if isinstance(event, yaml.CollectionStartEvent):
            if len(keys) == 1 and keys == ["models"]:
                if not isinstance(event, yaml.MappingStartEvent):
                    return None
                found = {}
            elif len(keys) == 2 and keys[0] == "models" and found is not None:
                if keys[1] is None:
                    raise _Odd
                if isinstance(event, yaml.MappingStartEvent):
                    found[keys[1]] = None
            elif keys and keys[-1] is None:
                raise _Odd  # a key that is a collection
            keys.append(None if isinstance(event, yaml.MappingStartEvent) else "-")
            starts.append(event.start_mark)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            keys.pop()
            start = starts.pop()
        elif isinstance(event, yaml.ScalarEvent):
            if keys and keys[-1] is None:
                keys[-1] = _plain_key(event)
                continue
            start = event.start_mark
        else:
            continue
        if len(keys) == 3 and keys[0] == "models" and keys[2] == "champion" and found is not None and keys[1] in found:
            found[str(keys[1])] = (text[start.index : event.end_mark.index], start.column)
        if keys and keys[-1] != "-":
            keys[-1] = None
    return found


def _plain_key(event: yaml.ScalarEvent) -> str:
    """A key that YAML reads as text, whatever its version."""
    odd = event.value == "-" or event.value.lower() in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    if odd or not re.fullmatch(r"[A-Za-z][A-Za-z0-9._ =-]*", event.value):
        raise _Odd
    return event.value


def _pin(raw: Any) -> PinRecord | None:
    if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
        return None
    override = raw.get("override")
    return PinRecord(
        version=raw["version"],
        source_tree=None if raw.get("source_tree") is None else str(raw["source_tree"]),
        digest=None if raw.get("digest") is None else str(raw["digest"]),
        evidence=None if raw.get("evidence") is None else str(raw["evidence"]),
        override={str(k): str(v) for k, v in override.items()} if isinstance(override, dict) else None,
        adopted=raw.get("adopted") is True,
    )


class PinHistory:
    """The pins along the first-parent chain of `tip`; every revision of promotion.yaml is read at most once.

    A revision that is no YAML mapping (or has no file) says nothing: promote refuses it, so it neither
    sets nor drops a pin, and the revisions around it are compared with each other.
    """

    def __init__(self, repo: Repo, tip: str) -> None:
        repo.need_full_history()
        self.repo = repo
        self.tip = tip
        self.log = repo.first_parent_log(tip, FILE)
        self._pins: dict[str, dict[str, PinRecord | None] | None] = {}

    @functools.cached_property
    def chain(self) -> dict[str, int]:
        """Every first-parent commit of the tip with its height (the root commit is 1)."""
        shas = self.repo.git("rev-list", "--first-parent", self.tip).split()
        return {sha: len(shas) - index for index, sha in enumerate(shas)}

    @functools.cached_property
    def by_sha(self) -> dict[str, Commit]:
        """The commits that changed promotion.yaml."""
        return {commit.sha: commit for commit in self.log}

    def pins(self, commit: str) -> dict[str, PinRecord | None]:
        """Return every model's pin at a commit; {} where its promotion.yaml cannot be read."""
        return self._read(commit) or {}

    def _read(self, commit: str) -> dict[str, PinRecord | None] | None:
        if commit not in self._pins:
            self._pins[commit] = lenient_pins(self.repo.file_at(commit, FILE))
        return self._pins[commit]

    def _revisions(self) -> Iterator[tuple[Commit, dict[str, PinRecord | None]]]:
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
        newer: dict[str, PinRecord | None] | None = None
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
        first.setdefault(_name(change.after), age)
    before, after = first.get(_name(last.before)), first.get(_name(last.after))
    return before is not None and after is not None and after < before


def _name(pin: PinRecord | None) -> tuple[int, str | None] | None:
    return None if pin is None else (pin.version, pin.digest)
