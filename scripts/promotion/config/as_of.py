"""Move a model's as_of, and say which one is the newest whose labels are known."""

import re
from datetime import date, timedelta
from pathlib import Path

import yaml

from promotion.config.promotion_yaml import Measure
from promotion.config.strict import Reader, compose
from promotion.errors import PromotionError


def newest_as_of(today: date, measure: Measure) -> date:
    """The latest first test day whose whole window is labelled today: as_of + test_days + delay_days <= today."""
    return today - timedelta(days=measure.test_days + measure.delay_days)


def read_as_of(text: str, file: str) -> date:
    """Return as_of of a model.yaml's text; raise PromotionError with file:line where it is not a date."""
    return _found(text, file)[0]


def move_as_of(text: str, to: date, file: str) -> str:
    """Return a model.yaml's text with another as_of; every other byte, comments too, stays."""
    _, start, end = _found(text, file)
    changed = text[:start] + to.isoformat() + text[end:]
    if read_as_of(changed, file) != to:
        raise PromotionError("as_of cannot be set without changing other lines; set it by hand", file=file)
    return changed


def as_date(text: str) -> date:
    """Read a date such as 2026-11-07; raise ValueError for anything else."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"`{text}` is not a date such as 2026-11-07")
    return date.fromisoformat(text)


def _found(text: str, file: str | Path) -> tuple[date, int, int]:
    """as_of with the positions of its value."""
    compose(text, str(file))  # a syntax error with its line
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # its marks count characters
    reader = Reader(str(file))
    if root is None:
        raise PromotionError("empty; it needs `as_of`", file=file, line=1)
    node = {key.value: value for key, value in reader.items(root, "model.yaml")}.get("as_of")
    if node is None:
        raise PromotionError("lacks `as_of`, the first test day", file=file, line=1)
    value = reader.scalar(node, "as_of", ("timestamp",), "a date such as 2018-08-08")
    if type(value) is not date:
        raise reader.error(node, f"`as_of` must be a date such as 2018-08-08, not {node.value}")
    return value, node.start_mark.index, node.end_mark.index
