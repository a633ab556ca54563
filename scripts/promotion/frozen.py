"""The base of everything that is written down: immutable, strict, and one canonical text for the same content.

Canonical: fields in the order of their declaration, mappings in the order of their source because the order of rules
means something, no NaN, a final newline. So the same content has the same bytes and the same digest on every machine.
"""

import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promotion.errors import PromotionError
from promotion.text.escape import clean

DIGEST = r"sha256:[0-9a-f]{64}"
MAX_RECORD_BYTES = 16 * 1024 * 1024
DEEPEST = 60
LONGEST_INTEGER, LONGEST_NUMBER = 20, 400  # characters: of 64 bits, and of a double that is written out in full
ESCAPES = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u[dD][89a-fA-F]\w\w|\\.")
MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)  # strings, so that what is in them does not count

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # no installed package has a say in what a record is


class Frozen(BaseModel):
    """A strict, immutable part of a record or a file: an unknown or wrongly typed field is an error.

    A class is built by its first use: a verb uses few of the records that it imports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def canonical_json(value: Any) -> str:
    """Return `value` as JSON in its own order, two spaces of indent and a final newline; NaN is an error."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def strict_json(text: str, *, deepest: int = DEEPEST) -> Any:
    """Return what a JSON text says; raise ValueError, a short reason, for what parsers read differently or choke on.

    That is a key twice, NaN and infinities, numbers longer than any honest one, halves of characters (lone
    surrogates, which no file can hold), and nesting below `deepest` levels.
    Who calls it bounds the length of the text.
    """
    depth = 0
    for mark in MARKS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        if depth > deepest:
            raise ValueError(f"nested more than {deepest} deep")
    if any(escape[0][:2] == "\\u" and len(escape[0]) == 6 for escape in ESCAPES.finditer(text)):
        raise ValueError("half of a character")
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_int)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {next(n for n in names if names.count(n) > 1)[:40]!r}")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _finite(text: str) -> float:
    if len(text) > LONGEST_NUMBER or not math.isfinite(float(text)):
        raise ValueError(f"the number {text[:20]} is too large or too long")
    return float(text)


def _int(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError(f"the number {text[:20]}... is too long")
    return int(text)


def sha256_text(text: str) -> str:
    """`sha256:<hex>` of `text` in UTF-8."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def finite(value: float | None, digits: int = 10) -> float | None:
    """Round to `digits` significant digits for a record; None for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def added() -> Any:
    """A field that a later release added: None in older records, whose canonical text then stays without it.

    So an old record that is read and written again has the same bytes, and the digest that a pin names.
    """
    return Field(default=None, exclude_if=lambda value: value is None)


class Record(Frozen):
    """A record that is a file of its own; `schema_version` says how to read it. BY: who writes it."""

    SCHEMA: ClassVar[int] = 1
    BY: ClassVar[str] = "the step that writes it"
    schema_version: int = 1

    def text(self) -> str:
        """Return the record's one canonical JSON text."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """`sha256:<hex>` of the canonical text."""
        return sha256_text(self.text())

    def write(self, path: Path) -> Path:
        """Write the record to `path`, through a temporary file so that a reader never sees half of it.

        Raise PromotionError where nothing can be written there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + ".part")
            temporary.write_text(self.text(), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            why = f"cannot be written ({error.strerror or error}); give another folder, permission, or room"
            raise PromotionError(why, file=path) from None
        return path

    @classmethod
    def parse(cls, text: str, *, where: str | Path) -> Self:
        """Read a record from JSON `text`; raise PromotionError that names `where` when it is not one."""
        try:
            raw = strict_json(text)
        except ValueError as error:
            raise PromotionError(f"not a JSON record ({error}); make it again", file=where) from None
        if not isinstance(raw, dict) or raw.get("schema_version") != cls.SCHEMA:
            found = raw.get("schema_version") if isinstance(raw, dict) else None
            raise PromotionError(
                f"this is not a {cls.__name__} of schema version {cls.SCHEMA} (it says {clean(repr(found), 60)}); "
                "make it again with this checkout's scripts",
                file=where,
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = clean(".".join(str(part) for part in first["loc"]), 100)
            raise PromotionError(
                f"not a valid {cls.__name__}: {place}: {clean(first['msg'].lower(), 200)}; make it again", file=where
            ) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a file; raise PromotionError when it is missing, too large or malformed."""
        try:
            if path.stat().st_size > MAX_RECORD_BYTES:
                raise PromotionError(f"larger than {MAX_RECORD_BYTES} bytes, so it is not a record", file=path)
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise PromotionError(f"missing; run {cls.BY} first", file=path) from None
        except UnicodeDecodeError:
            raise PromotionError("not UTF-8 text, so it is not a record; make it again", file=path) from None
        except OSError as error:
            raise PromotionError(f"cannot be read ({error.strerror or error}), so it is no record", file=path) from None
        return cls.parse(text, where=path)
