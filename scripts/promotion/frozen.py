"""The base of everything that is written down: immutable, strict, and one canonical text for the same content."""

import hashlib
import json
import math
import re
from typing import Any

from pydantic import BaseModel, ConfigDict

OBJECT_ID = r"[0-9a-f]{40}([0-9a-f]{24})?"  # of a git commit or tree, SHA-1 or SHA-256
DIGEST = r"sha256:[0-9a-f]{64}"
DEEPEST = 60
LONGEST_INTEGER, LONGEST_NUMBER = 20, 400  # characters: of 64 bits, and of a double that is written out in full
ESCAPES = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u[dD][89a-fA-F]\w\w|\\.")
MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)  # strings, so that what is in them does not count


class Frozen(BaseModel):
    """A strict, immutable part of a record or a file: an unknown or wrongly typed field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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
