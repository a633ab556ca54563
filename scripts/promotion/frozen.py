"""The base of everything that is written down: immutable, strict, and one canonical text for the same content."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A strict, immutable part of a record or a file: an unknown or wrongly typed field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def canonical_json(value: Any) -> str:
    """Return `value` as JSON in its own order, two spaces of indent and a final newline; NaN is an error."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """`sha256:<hex>` of `text` in UTF-8."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
