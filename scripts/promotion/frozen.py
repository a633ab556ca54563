"""The base of everything that is written down: immutable, strict, and one canonical text for the same content."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

OBJECT_ID = r"[0-9a-f]{40}([0-9a-f]{24})?"  # of a git commit or tree, SHA-1 or SHA-256
DIGEST = r"sha256:[0-9a-f]{64}"


class Frozen(BaseModel):
    """A strict, immutable part of a record or a file: an unknown or wrongly typed field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def canonical_json(value: Any) -> str:
    """Return `value` as JSON in its own order, two spaces of indent and a final newline; NaN is an error."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """`sha256:<hex>` of `text` in UTF-8."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
