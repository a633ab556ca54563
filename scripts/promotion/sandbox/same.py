"""When two answers are the same: in value, type and null, floats to their last bits."""

import json
import math
from typing import Any

RELATIVE = 1e-9


def same(one: str, other: str) -> bool:
    """Whether two answers are the same in value, type and null; floats to RELATIVE."""
    return one == other or _same(json.loads(one), json.loads(other))


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=RELATIVE) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    return one == other
