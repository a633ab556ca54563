"""Strict YAML: a text becomes plain values that know their lines; what is ambiguous or hidden is a sentence.

The parser's events are composed here and not by PyYAML: nesting is bounded while it is read, repeated keys are
found at every depth, anchors and tags are seen, and one pass over a file of a thousand models takes as long as
libyaml's own (0.1 s).
"""

import bisect
import functools
import gc
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from promotion.errors import PromotionError
from promotion.text.escape import clean

MAX_BYTES = 5_000_000  # seven times a file of a thousand models
MAX_DEPTH = 32
MAX_EXPANDED = 100_000
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there
RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
BREAK = re.compile("\r\n|\n|\r")
Loc = tuple[str | int, ...]


class Node:
    """One value: its plain `data`, its `text` where it is a scalar, and where it begins and ends in the file.

    items: (key, value) of a mapping, values of a list, None for a scalar. plain: a scalar without quotes.
    """

    __slots__ = ("by_name", "data", "end", "flow", "items", "plain", "size", "start", "text")

    def __init__(self, start: Any, data: Any) -> None:
        self.start, self.data = start, data  # start, end: the parser's marks; their index counts characters
        self.end = start
        self.items: list[Any] | None = None
        self.by_name: dict[str, tuple[Node, Node]] | None = None
        self.text, self.plain, self.flow, self.size = "", False, False, 1

    @property
    def mapping(self) -> list[tuple["Node", "Node"]] | None:
        """Keys and values, or None where this is no mapping."""
        return self.items if isinstance(self.data, dict) else None

    def get(self, name: str) -> tuple["Node", "Node"] | None:
        """The key and the value of that name in a mapping; the last one, as in `data`."""
        if self.by_name is None:
            self.by_name = {pair[0].text: pair for pair in self.mapping or ()}
        return self.by_name.get(name)


class Tree:
    """A YAML text as nodes. problems: (index, sentence) that no reader may overlook; style: what only today's may not.

    A file of an old commit was read by rules of its day: its `style` says nothing.
    """

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.root: Node | None = None
        self.problems: list[tuple[int, str]] = []
        self.style: list[tuple[int, str]] = []

    @property
    def data(self) -> Any:
        """The whole file as plain values; None where it is empty."""
        return None if self.root is None else self.root.data

    @functools.cached_property
    def _breaks(self) -> list[int]:
        return [match.end() for match in BREAK.finditer(self.text)]

    def line(self, index: int) -> int:
        """The line, from 1 on, as an editor counts it."""
        return bisect.bisect_right(self._breaks, index) + 1

    def find(self, loc: Loc) -> tuple[Node | None, Node] | None:
        """The key (None in a list) and the value at `loc`; None where there is none."""
        found: tuple[Node | None, Node] | None = None if self.root is None else (None, self.root)
        for part in loc:
            if found is None:
                return None
            value = found[1]
            if isinstance(part, int) and value.mapping is None:
                items = value.items or []
                found = (None, items[part]) if part < len(items) else None
            else:
                found = value.get(str(part))
        return found

    def node(self, loc: Loc) -> Node | None:
        """The value at `loc`, or None."""
        found = self.find(loc)
        return None if found is None else found[1]

    def nearest(self, loc: Loc, *, key: bool = False) -> int:
        """The index of the value at `loc` (of its key with `key`), or of the last one on the way there."""
        while (found := self.find(loc)) is None and loc:
            loc, key = loc[:-1], False
        if found is None:
            return 0
        node = found[0] if key and found[0] is not None else found[1]
        return int(node.start.index)

    def error(self, message: str, index: int = 0) -> PromotionError:
        """A sentence with the line of a position."""
        return PromotionError(message, file=self.file, line=self.line(index))


def read_text(path: Path, *, missing: str) -> str:
    """Return a file's text as `compose` judges it; raise PromotionError where it is missing, a folder or too large."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():  # to open a pipe is to wait for who writes it
            raise PromotionError(f"not a plain file; {missing}", file=path)
        with path.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise PromotionError(f"missing; {missing}", file=path) from None
    except OSError as error:
        raise PromotionError(f"cannot be read ({(error.strerror or '').lower()}); {missing}", file=path) from None
    return raw.decode("utf-8", "surrogateescape")


def compose(text: str, file: str) -> Tree:
    """Return the tree of a YAML text; raise PromotionError for what is no YAML, too deep or too large."""
    tree = Tree(text, file)
    _check_characters(tree)
    collecting = gc.isenabled()
    gc.disable()  # a thousand models are 50,000 nodes and no cycle: to look for one takes as long as to read them
    try:
        _Composer(tree).run(yaml.parse(text, Loader=LOADER))
    except yaml.YAMLError as error:
        raise _syntax_error(tree, error) from None
    finally:
        if collecting:
            gc.enable()
    return tree


def _check_characters(tree: Tree) -> None:
    text = tree.text
    if len(text) > MAX_BYTES:
        raise tree.error(f"larger than {MAX_BYTES:,} bytes, so it is not read; is this the right file?")
    if text.startswith("\ufeff"):
        tree.style.append((0, "begins with a byte order mark; save it as UTF-8 without one (an editor's `UTF-8`)"))
    found = UNPRINTABLE.search(text)
    if found is None:
        return
    char = found[0]
    if text.startswith(("\udcff\udcfe", "\udcfe\udcff", "\0")) or text[1:2] == "\0":
        raise tree.error("saved as UTF-16 or UTF-32; save it as UTF-8")
    if "\udc80" <= char <= "\udcff":
        raise tree.error(f"not UTF-8 (byte 0x{ord(char) - 0xDC00:02x}); save it as UTF-8", found.start())
    name = "a NUL byte" if char == "\0" else f"the control character U+{ord(char):04X}"
    raise tree.error(f"contains {name}, which is no text; remove it", found.start())


def _syntax_error(tree: Tree, error: yaml.YAMLError) -> PromotionError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    index = 0 if mark is None else mark.index
    line = tree.line(min(index, max(len(tree.text) - 1, 0)))
    context = getattr(error, "context_mark", None)
    first = line if context is None else tree.line(context.index)
    said = f"not valid YAML: {clean(problem, 150)}" + (f" (it began on line {first})" if first != line else "")
    here = BREAK.split(tree.text)[line - 1]
    if re.match(r" *\t", here):
        said = "indented with a tab; YAML indents with spaces"
    elif "\t" in here and "cannot start any token" in problem:
        said = "not valid YAML: a tab where it cannot be; use spaces"
    return PromotionError(said, file=tree.file, line=line)


class _Composer:
    """Builds a tree's nodes from the parser's events."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.open: list[tuple[Node, list[Node]]] = []  # a collection, and the key in hand
        self.anchors: dict[str, Node] = {}
        self.expanded = 0
        self.documents = 0

    def run(self, events: Iterable[Any]) -> None:
        """Read every event; the first document's root becomes the tree's."""
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.add(self.scalar(event))
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.start(event, {} if kind is yaml.MappingStartEvent else [])
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                node, _ = self.open.pop()
                node.end = event.end_mark
                if self.open:
                    self.open[-1][0].size += node.size
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.documents += 1
                if self.documents > 1:
                    raise self.tree.error("a second document begins here (`---`); keep one", event.start_mark.index)

    def scalar(self, event: Any) -> Node:
        node = Node(event.start_mark, event.value)
        node.end, node.text, node.plain = event.end_mark, event.value, event.style is None or event.style == ""
        self.named(event, node)
        tagged = event.tag is not None and event.tag.startswith("tag:yaml.org,2002:") and event.tag[18:] != "str"
        if event.implicit[0] or tagged:
            node.data, surprise = resolved(event.value)
            if surprise is not None:
                self.tree.style.append((event.start_mark.index, surprise))
        return node

    def start(self, event: Any, data: Any) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise self.tree.error(f"nested more than {MAX_DEPTH} deep", event.start_mark.index)
        node = Node(event.start_mark, data)
        node.items, node.flow = [], bool(event.flow_style)
        self.named(event, node)
        self.add(node)
        self.open.append((node, []))

    def named(self, event: Any, node: Node) -> None:
        index = event.start_mark.index
        if event.anchor is not None:
            self.anchors[event.anchor] = node
            self.tree.style.append((index, f"`&{event.anchor}` is an anchor; write values out where they are used"))
        if event.tag is not None:
            short = clean(event.tag.replace("tag:yaml.org,2002:", "!!"), 60)
            self.tree.style.append((index, f"`{short}` is a tag; leave it out (text goes in quotes)"))

    def alias(self, event: Any) -> None:
        name, index = event.anchor, event.start_mark.index
        node = self.anchors.get(name)
        if node is None or any(node is parent for parent, _ in self.open):
            raise self.tree.error(f"`*{name}` names no value; write the value out", index)
        self.tree.style.append((index, f"`*{name}` is an alias; write the value out"))
        self.expanded += node.size
        if self.expanded > MAX_EXPANDED:
            raise self.tree.error("its aliases stand for too many values; write them out", index)
        self.add(node)
        if node.items is not None and self.open:
            self.open[-1][0].size += node.size

    def add(self, node: Node) -> None:
        """Put a node into the collection that is open; a mapping takes key and value in turn."""
        if not self.open:
            self.tree.root = node
            return
        parent, waiting = self.open[-1]
        assert parent.items is not None
        if isinstance(parent.data, list):
            parent.items.append(node)
            parent.data.append(node.data)
        elif not waiting:
            waiting.append(node)
            return
        else:
            self.pair(parent, waiting.pop(), node)
        if node.items is None:
            parent.size += 1

    def pair(self, parent: Node, key: Node, value: Node) -> None:
        index, problems = key.start.index, self.tree.problems
        if key.items is not None:
            problems.append((index, "a key must be plain text"))
        elif key.text == "<<" and key.plain:
            problems.append((index, "`<<` merges other keys in; write them out"))
        else:
            if key.text in parent.data:
                line = next(self.tree.line(k.start.index) for k, _ in parent.items or () if k.text == key.text)
                problems.append((index, f"duplicate key `{clean(key.text, 60)}` (first on line {line})"))
            parent.items.append((key, value))  # type: ignore[union-attr]
            parent.data[key.text] = value.data


@functools.lru_cache(maxsize=4096)  # a thousand entries say mostly the same numbers
def resolved(text: str) -> tuple[Any, str | None]:
    """What a scalar without quotes stands for, and a sentence where that may surprise.

    What only looks like a number or a date (2018-02-31, forty digits of a tree id) stays text.
    """
    known = RESOLVERS.get(text[:1], []) + RESOLVERS.get(None, [])
    kind = next((tag.rsplit(":", 1)[-1] for tag, pattern in known if pattern.match(text)), "str")
    if kind in ("str", "merge", "value") or len(text) > (20 if kind == "int" else 400):
        return text, None
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError):
        return text, None
    if kind == "int" and not -(2**63) <= data < 2**63:
        return text, None
    surprise = None
    if kind == "int" and re.fullmatch(r"[-+]?0[0-7_]+", text) and text.strip("+-0_"):
        plain = text.replace("_", "").lstrip("+-0")
        surprise = f"YAML reads `{text}` as the octal number {data}; write {plain} or {data}, or put text in quotes"
    elif kind in ("int", "float") and ":" in text:
        surprise = f"YAML reads `{text}` as {data}, to base 60; write {data}, or put text in quotes"
    return data, surprise


def closest(word: Any, known: Iterable[str]) -> str | None:
    """What was meant by a misspelt word, whatever its capitals; None where nothing known is close."""
    import difflib  # only a mistake needs it

    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where something known is close, else the list of what is known."""
    known = tuple(known)
    close = closest(word, known)
    return f"; known: {', '.join(known) or 'none'}" if close is None else f"; did you mean `{close}`?"
