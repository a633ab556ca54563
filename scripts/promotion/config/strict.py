"""Strict YAML: typed access to nodes, where every complaint is one sentence with the line."""

import difflib
import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from promotion.errors import PromotionError

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def compose(text: str, file: str) -> yaml.Node | None:
    """Return the YAML node tree of `text` with line marks (libyaml's parser where it is there)."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        line = None if mark is None else mark.line + 1
        raise PromotionError(f"not valid YAML: {problem}", file=file, line=line) from None


class Reader:
    """Typed access to YAML nodes; every complaint carries the node's line."""

    def __init__(self, file: str) -> None:
        self.file = file

    def error(self, node: yaml.Node, message: str) -> PromotionError:
        return PromotionError(message, file=self.file, line=node.start_mark.line + 1)

    def items(self, node: yaml.Node, name: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"`{name}` must be a mapping of keys to values")
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise self.error(key, f"a key of `{name}` must be plain text")
            if key.value in seen:
                raise self.error(key, f"`{key.value}` stands twice in `{name}` (first on line {seen[key.value]})")
            seen[key.value] = key.start_mark.line + 1
            yield key, value

    def mapping(
        self, node: yaml.Node, name: str, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        found: dict[str, yaml.Node] = {}
        for key, value in self.items(node, name):
            if key.value not in required + optional:
                hint = suggestion(key.value, required + optional)
                raise self.error(key, f"unknown key `{key.value}` in `{name}`{hint}")
            found[key.value] = value
        for key_name in required:
            if key_name not in found:
                raise self.error(node, f"`{name}` lacks the key `{key_name}`")
        return found

    def scalar(self, node: yaml.Node, name: str, kinds: tuple[str, ...], what: str) -> Any:
        if not isinstance(node, yaml.ScalarNode) or node.tag.rsplit(":", 1)[-1] not in kinds:
            raise self.error(node, f"`{name}` must be {what}")
        try:
            return plain_scalar(node.value) if node.tag.rsplit(":", 1)[-1] != "str" else node.value
        except (yaml.YAMLError, ValueError):
            raise self.error(node, f"`{name}` must be {what}") from None

    def text(self, node: yaml.Node, name: str, pattern: re.Pattern[str] | None = None, what: str = "text") -> str:
        value = self.scalar(node, name, ("str",), what)
        if not value.strip() or (pattern is not None and not pattern.fullmatch(value)):
            raise self.error(node, f"`{name}` must be {what}, not `{value}`")
        return value

    def number(self, node: yaml.Node, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        value = float(self.scalar(node, name, ("int", "float"), "a number"))
        if not math.isfinite(value) or not low <= value <= high:
            raise self.error(node, f"`{name}` must be a number{_range(low, high)}, not {node.value}")
        return value

    def integer(self, node: yaml.Node, name: str, *, low: int = 0, high: int = 10**9) -> int:
        value = self.scalar(node, name, ("int",), "a whole number")
        if not low <= value <= high:
            raise self.error(node, f"`{name}` must be a whole number{_range(low, high)}, not {node.value}")
        return int(value)

    def choice(self, node: yaml.Node, name: str, values: tuple[str, ...]) -> str:
        value = self.text(node, name)
        if value not in values:
            raise self.error(node, f"`{name}` must be {' or '.join(values)}, not `{value}`{suggestion(value, values)}")
        return value

    def texts(self, node: yaml.Node, name: str, *, most: int) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"`{name}` must be a list of column names")
        values = tuple(self.text(item, name, COLUMN_NAME, "a column name") for item in node.value)
        if len(values) > most or len(set(values)) != len(values):
            raise self.error(node, f"`{name}` must be a list of at most {most} different column names")
        return values

    def is_null(self, node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _range(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high) or high >= 10**9:
        return f" of {low:g} or more"
    return f" between {low:g} and {high:g}"


def suggestion(word: str, known: tuple[str, ...]) -> str:
    """`; did you mean X?` where something known is close, else the list of what is known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; known: {', '.join(known)}"


def plain(node: yaml.Node) -> Any:
    """Return a node as plain dicts, lists and scalars (already checked ones; keys as text)."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return node.value if node.tag == "tag:yaml.org,2002:str" else plain_scalar(node.value)


@functools.lru_cache(maxsize=4096)  # a thousand entries say mostly the same numbers
def plain_scalar(text: str) -> Any:
    """Return what a plain scalar stands for: a number, a truth value, a date, nothing."""
    return yaml.safe_load(text)
