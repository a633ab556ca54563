"""The ledger: every pin change of a model as one registered-model tag, so that order is ours, not MLflow's.

MLflow's alias write is last writer wins and keeps no history. An entry is keyed by the first-parent
height of the commit that changed the pin, written before the alias and never overwritten.
"""

import json
import re
from dataclasses import asdict, dataclass

from promotion.records import PinRecord

KEY = re.compile(r"promotion\.ledger\.(\d{8})")
REPAIR = re.compile(r"promotion\.repair\.(\d{8})\.(\d{3})")


@dataclass(frozen=True)
class LedgerEntry:
    """One confirmed pin change.

    height: first-parent height of `commit`. before, version: champion before and after (None: none).
    at: ISO 8601 UTC, when it was applied. by: who or what applied it. pr: pull request number.
    reason: merge, rollback, override, adopt, retire.
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

    @property
    def key(self) -> str:
        """The registered-model tag that holds this entry."""
        return f"promotion.ledger.{self.height:08d}"

    def text(self) -> str:
        """The tag's value: compact JSON, well below MLflow's 5,000 characters."""
        fields = {k: v for k, v in asdict(self).items() if k != "height"}
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Repair:
    """A move of the alias that no pin change asked for: somebody moved it by hand, and we moved it back."""

    height: int
    number: int
    before: int | None
    version: int | None
    at: str
    by: str
    cause: str

    @property
    def key(self) -> str:
        """The registered-model tag that holds this repair."""
        return f"promotion.repair.{self.height:08d}.{self.number:03d}"

    def text(self) -> str:
        """The tag's value."""
        fields = {k: v for k, v in asdict(self).items() if k not in ("height", "number")}
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def read_ledger(tags: dict[str, str]) -> list[LedgerEntry]:
    """Return the entries among a registered model's tags, lowest height first; others' tags are passed over."""
    entries = []
    for key, value in tags.items():
        match = KEY.fullmatch(key)
        if match:
            entries.append(LedgerEntry(height=int(match[1]), **json.loads(value)))
    return sorted(entries, key=lambda entry: entry.height)


def read_repairs(tags: dict[str, str]) -> list[Repair]:
    """Return the repairs among a registered model's tags, oldest first."""
    found = []
    for key, value in tags.items():
        match = REPAIR.fullmatch(key)
        if match:
            found.append(Repair(height=int(match[1]), number=int(match[2]), **json.loads(value)))
    return sorted(found, key=lambda repair: (repair.height, repair.number))


def was_champion(entries: list[LedgerEntry], pin: PinRecord, *, before_height: int | None = None) -> LedgerEntry | None:
    """Return the newest entry below `before_height` that made this very version (and files) champion."""
    for entry in reversed(entries):
        in_time = before_height is None or entry.height < before_height
        if in_time and entry.version == pin.version and entry.digest == pin.digest:
            return entry
    return None
