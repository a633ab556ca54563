"""Looks after a merge, each one tag of the registered model: which days were used, and what was found.

A tag is keyed by its promotion's place in the ledger and the look's number, and never overwritten, so that one
listing of the registered models knows every look of every model.
"""

import re
from collections.abc import Mapping

from promotion.registry.ledger import PLACE
from promotion.timeline import Look

KEY = re.compile(rf"promotion\.watch\.({PLACE})\.(\d{{3,}})")


def look_key(place: str, number: int) -> str:
    """The registered-model tag that holds a look."""
    return f"promotion.watch.{place}.{number:03d}"


def read_looks(tags: Mapping[str, str]) -> dict[str, tuple[Look, ...]]:
    """Return the looks among a registered model's tags by the place of their promotion, oldest first."""
    found: dict[str, list[Look]] = {}
    for key, value in sorted(tags.items()):
        match = KEY.fullmatch(key)
        look = None if match is None else Look.from_tag(value)
        if match is not None and look is not None:
            found.setdefault(match[1], []).append(look)
    return {place: tuple(sorted(looks, key=lambda look: look.number)) for place, looks in found.items()}
