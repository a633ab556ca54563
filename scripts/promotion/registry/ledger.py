"""The ledger: every pin change of a model as one registered-model tag, so that order is ours, not MLflow's.

MLflow's alias write is last writer wins and keeps no history. An entry is keyed by the first-parent
height of the commit that changed the pin and written before the alias; once the alias was seen on it, a
second tag says when. Nothing is ever overwritten. When main's history is rewritten on purpose, a new era
begins: heights start again there, and any entry of it is newer than all of the era before.
"""

import json
import re
from typing import Any, NamedTuple

from promotion import OBJECT_ID
from promotion.errors import PromotionError
from promotion.frozen import strict_json

PLACE = r"(?:(\d{4})\.)?(\d{8})"
KEY = re.compile(rf"promotion\.ledger\.{PLACE}")
REACHED = re.compile(rf"promotion\.reached\.{PLACE}")
REPAIR = re.compile(rf"promotion\.repair\.{PLACE}\.(\d{{3,}})")
MOST_TEXT = 5000  # characters; what every MLflow release takes as a tag's value


class LedgerEntry(NamedTuple):
    """One pin change that passed its checks.

    height: first-parent height of `commit`. era: how often history was rewritten before it. before,
    version: champion before and after (None: none). at: ISO 8601 UTC, when it was written. by: who or
    what applied it. pr: pull request number. reason: merge, rollback, override, adopt, retire.
    pending: it was written before its alias, so only `reached` (ISO 8601 UTC) proves that it served.
    """

    height: int
    commit: str
    before: int | None
    version: int | None
    digest: str | None
    reason: str
    at: str
    by: str
    pr: int | None = None
    note: str | None = None
    pending: bool = False
    era: int = 0
    reached: str | None = None

    @property
    def order(self) -> tuple[int, int]:
        """What sorts entries: the highest is what main wants."""
        return self.era, self.height

    @property
    def stands(self) -> bool:
        """Whether @champion was seen on it."""
        return not self.pending or self.reached is not None

    @property
    def since(self) -> str:
        """When @champion was seen on it, or, where that is not known, when it was written."""
        return self.reached or self.at

    @property
    def key(self) -> str:
        """The registered-model tag that holds this entry."""
        return f"promotion.ledger.{place(self.era, self.height)}"

    @property
    def reached_key(self) -> str:
        """The registered-model tag that says when @champion was seen on this entry."""
        return f"promotion.reached.{place(self.era, self.height)}"

    def text(self) -> str:
        """The tag's value: compact JSON of at most 5,000 characters; a longer note is cut."""
        fields = self._asdict()
        for name in ("height", "era", "reached") if self.pending else ("height", "era", "reached", "pending"):
            del fields[name]
        fields["by"] = fields["by"][:200]
        return _fitting(fields, "note")


class Repair(NamedTuple):
    """A move of the alias that no pin change asked for, and that we took back.

    height, era: the entry that stood. before: where the alias was found. version: where it was put.
    """

    height: int
    number: int
    before: int | None
    version: int | None
    at: str
    by: str
    cause: str
    era: int = 0

    @property
    def key(self) -> str:
        """The registered-model tag that holds this repair."""
        return f"promotion.repair.{place(self.era, self.height)}.{self.number:03d}"

    def text(self) -> str:
        """The tag's value."""
        fields = {k: v for k, v in self._asdict().items() if k not in ("height", "number", "era")}
        fields["by"] = fields["by"][:200]
        return _fitting(fields, "cause")


def place(era: int, height: int) -> str:
    """The part of a key that orders it."""
    return f"{height:08d}" if era == 0 else f"{era:04d}.{height:08d}"


def _fitting(fields: dict[str, Any], longest: str) -> str:
    while True:
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
        if len(text) <= MOST_TEXT or not fields.get(longest):
            return text
        fields[longest] = fields[longest][: max(0, len(fields[longest]) - (len(text) - MOST_TEXT) // 6 - 1)]


def has_ledger(tags: dict[str, str]) -> bool:
    """Whether this project ever wrote an entry, readable or not."""
    return any(KEY.fullmatch(key) for key in tags)


def read_ledger(tags: dict[str, str]) -> list[LedgerEntry]:
    """Return the entries among a registered model's tags, lowest order first; others' tags are passed over.

    Raise PromotionError when an entry cannot be read: passing it over could undo the newest pin.
    """
    reached = {}
    for key, value in tags.items():
        match = REACHED.fullmatch(key)
        if match:
            reached[_order(match)] = str(_fields(key, value).get("at"))
    entries = []
    for key, value in tags.items():
        match = KEY.fullmatch(key)
        if match:
            era, height = _order(match)
            entry = _entry(key, _fields(key, value), era, height)
            entries.append(entry._replace(reached=reached.get((era, height))))
    return sorted(entries, key=lambda entry: entry.order)


def _order(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1] or 0), int(match[2])


def _fields(key: str, value: str) -> dict[str, Any]:
    try:
        fields = strict_json(value)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise _unreadable(key)
    return fields


def _unreadable(key: str) -> PromotionError:
    return PromotionError(
        f"the tag {key} of the registered model is not what this project wrote; "
        "somebody changed it: restore its value, or delete the tag if it was made by hand"
    )


def _is_version(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31)


def _entry(key: str, fields: dict[str, Any], era: int, height: int) -> LedgerEntry:
    texts = ("commit", "reason", "at", "by")
    fine = (
        all(isinstance(fields.get(name), str) for name in texts)
        and all(_is_version(fields.get(name)) for name in ("before", "version", "pr"))
        and all(fields.get(name) is None or isinstance(fields[name], str) for name in ("digest", "note"))
        and isinstance(fields.get("pending", False), bool)
        and re.fullmatch(OBJECT_ID, str(fields.get("commit"))) is not None
        and "version" in fields
    )
    if not fine:
        raise _unreadable(key)
    known = ("commit", "before", "version", "digest", "reason", "at", "by", "pr", "note", "pending")
    defaults = {"before": None, "digest": None}  # fields of later releases are passed over
    return LedgerEntry(height=height, era=era, **{**defaults, **{k: v for k, v in fields.items() if k in known}})


def read_repairs(tags: dict[str, str]) -> list[Repair]:
    """Return the repairs among a registered model's tags, oldest first; unreadable ones are passed over."""
    found = []
    for key, value in tags.items():
        match = REPAIR.fullmatch(key)
        if match:
            try:
                fields = _fields(key, value)
                wanted = {name: fields[name] for name in ("before", "version", "at", "by", "cause")}
            except (PromotionError, KeyError):
                continue  # a repair is a note, nothing is decided by it
            texts = all(isinstance(wanted[name], str) for name in ("at", "by", "cause"))
            if not (texts and _is_version(wanted["before"]) and _is_version(wanted["version"])):
                continue
            era, height = _order(match)
            found.append(Repair(height=height, number=int(match[3]), era=era, **wanted))
    return sorted(found, key=lambda repair: (repair.era, repair.height, repair.number))
