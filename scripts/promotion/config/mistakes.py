"""Every mistake of a file as one sentence with its line: what the YAML, the schema and the loader have to say.

What a key must be is read from the JSON schema, so that a limit is written once, in its section.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from promotion.config.sections import editor_schema
from promotion.config.strict import Loc, Node, Tree, closest, resolved, suggestion
from promotion.errors import PromotionError
from promotion.text.escape import clean

MOST_TOLD = 50
KEY = "[key]"  # how pydantic ends a place where a key is wrong, not its value
Mistake = tuple[Loc, str | None]  # a place and a sentence; None: the key is missing
Schema = dict[str, Any]
M = TypeVar("M", bound=BaseModel)
UNSEEN = re.compile(r"[\x85\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
WORDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}


def validated(
    model: type[M], tree: Tree, root: Loc, *, name: Callable[[Loc], str], others: Iterable[Mistake], past: bool = False
) -> M:
    """Return the value at `root` of a tree as `model`; raise PromotionError with every mistake of it, by line.

    name: how a sentence calls a place. others: mistakes that no schema can see, of places that it accepts.
    past: the text is of an old commit, which followed the style of its day, and only what lies at `root` matters.
    """
    value, told, result = tree.node(root), [], None
    try:
        result = model.model_validate(None if value is None else value.data)
    except ValidationError as error:
        told = _Teller(tree, editor_schema(model), root, name).all(error)
    said = {loc for loc, _ in told}
    told += [one for one in others if one[0] not in said]
    own = [*tree.problems, *(() if past else tree.style)]
    if past and value is not None:
        own = [one for one in own if value.start.index <= one[0] <= value.end.index]
    taken = {index for index, _ in own}  # a value that YAML itself is unsure of, the schema cannot judge
    placed = [(_index(tree, loc), sentence, loc[-1:] == (KEY,)) for loc, sentence in _merged(told, name)]
    own += [(index, sentence) for index, sentence, of_key in placed if of_key or index not in taken]
    if own or result is None:
        raise _error(tree, sorted(dict.fromkeys(own), key=lambda one: one[0]))
    return result


def empty(node: Node | None, loc: Loc = (), *, free: Callable[[Loc], bool]) -> Iterator[Loc]:
    """Where a value is missing in the node at `loc`; `free` says which places may be empty."""
    for key, value in (node.mapping if node is not None else None) or ():
        here = (*loc, key.text)
        if value.mapping is not None:
            yield from empty(value, here, free=free)
        elif value.items is None and value.data is None and not free(here):
            yield here


def _error(tree: Tree, mistakes: list[tuple[int, str]]) -> PromotionError:
    lines: list[tuple[str, int | None]] = [(sentence, tree.line(index)) for index, sentence in mistakes[:MOST_TOLD]]
    if len(mistakes) > MOST_TOLD:
        more = len(mistakes) - MOST_TOLD
        lines.append((f"and {more} more from here on; mend these first", tree.line(mistakes[MOST_TOLD][0])))
    return PromotionError.several(lines, file=tree.file)


def _index(tree: Tree, loc: Loc) -> int:
    """Where the fault is: at the key where the place ends in [key], else at the value."""
    return tree.nearest(loc[:-1], key=True) if loc[-1:] == (KEY,) else tree.nearest(loc)


def _merged(found: Iterable[Mistake], name: Callable[[Loc], str]) -> Iterator[tuple[Loc, str]]:
    """One sentence for all keys that one place lacks."""
    missing: dict[Loc, list[str]] = {}
    for loc, sentence in found:
        if sentence is not None:
            yield loc, sentence
        else:
            missing.setdefault(loc[:-1], []).append(f"`{loc[-1]}`")
    for loc, keys in missing.items():
        yield loc, f"{name(loc)} lacks the key{'s' * (len(keys) > 1)} {', '.join(keys)}"


class _Teller:
    """Turns pydantic's errors about one place of a tree into sentences."""

    def __init__(self, tree: Tree, schema: Schema, root: Loc, name: Callable[[Loc], str]) -> None:
        self.tree, self.schema, self.root, self.name = tree, schema, root, name

    def all(self, error: ValidationError) -> list[Mistake]:
        """Every mistake; a misspelt key is one, not an unknown key and a missing one."""
        errors = error.errors(include_url=False)
        unknown = [one["loc"] for one in errors if one["type"] == "extra_forbidden"]
        meant = {(*loc[:-1], closest(loc[-1], self.keys(loc[:-1]))) for loc in unknown}
        settings = {  # what stands there is for a setting, and no rule
            _place(one)[:-1] for one in errors if one["type"] == "says" and self.setting(_place(one))
        }
        return [
            self.one(one)
            for one in errors
            if (one["type"] != "missing" or one["loc"] not in meant) and _place(one) not in settings
        ]

    def one(self, error: Any) -> Mistake:
        """A pydantic error as a place and a sentence."""
        inner = _place(error)
        loc, kind, said = self.root + inner, error["type"], error.get("ctx", {}).get("what")
        if kind == "missing":
            return loc, None
        if loc[-1:] == (KEY,) and (unseen := UNSEEN.search(str(loc[-2]))):
            said = f"contains U+{ord(unseen[0]):04X}, which nobody sees; type it again"
            return loc, f"the key `{clean(loc[-2], 60)}` {said}"
        if kind == "extra_forbidden":
            hint = suggestion(str(loc[-2]), self.keys(inner[:-2]))
            return loc, f"unknown key `{clean(loc[-2], 60)}` in {self.name(loc[:-2])}{hint}"
        if kind == "says":
            hint = f"; did you mean `{close}`?" if (close := self.setting(inner)) else ""
            return loc, f"{self.name(tuple(part for part in loc if part != KEY))} {said}{hint}"
        if loc[-1:] == (KEY,):
            names = _at(self.schema, inner[:-2]).get("propertyNames", {})
            return loc, f"`{clean(loc[-2], 60)}` is not {names.get('title', 'allowed here')}"
        place = loc
        while place and isinstance(place[-1], int):  # a list is named, not its third value
            place, inner = place[:-1], inner[:-1]
        if kind == "must":
            return loc, f"{self.name(place)} must be {said}{self.not_(loc, {})}{self.hint(error, inner)}"
        expected = _at(self.schema, inner)
        return loc, f"{self.name(place)} must be {_described(expected)}{self.not_(loc, expected)}"

    def keys(self, inner: Sequence[Any]) -> tuple[str, ...]:
        """The keys that a section knows."""
        return tuple(_at(self.schema, tuple(inner)).get("properties", {}))

    def setting(self, inner: Loc) -> str | None:
        """The setting that was meant by a key that is no rule, such as `LOOKS` among rules."""
        return closest(inner[-2], self.keys(inner[:-2])) if inner[-1:] == (KEY,) else None

    def hint(self, error: Any, inner: Loc) -> str:
        """What was meant, where the validator has words for it: the value, or the key among its neighbours."""
        words = () if isinstance(error["input"], dict | list) else error["ctx"]["words"]
        close = words and (closest(error["input"], words) or closest(inner[-1], self.keys(inner[:-1])))
        return f"; did you mean `{close}`?" if close else ""

    def not_(self, loc: Loc, expected: Schema) -> str:
        """`, not …`: what stands there, and what was meant where that is plain."""
        node = self.tree.node(loc)
        if node is None or node.items is not None:
            return ""
        if not node.text.strip():
            return ", not empty"
        shown = clean(node.text, 60)
        found = f", not `{shown}`" if isinstance(node.data, str) else f", not {shown}"
        if "enum" in expected:
            return found + suggestion(node.text, map(str, expected["enum"]))
        if not node.plain and not isinstance(resolved(node.text)[0], str):
            return f"{found} in quotes"
        if expected.get("title") == "text" and not isinstance(node.data, str):
            return f"{found}; put text in quotes"
        number = re.fullmatch(r"[-+]?[0-9]{1,9}(\.[0-9]{1,9})?[eE]\+?[0-9]", node.text)
        if expected.get("type") in ("integer", "number") and number:  # 1e3 is text to YAML
            return f"{found}; write {float(node.text):.15g}"
        return found


def _place(error: Any) -> Loc:
    """Where pydantic found a mistake, without the branch of a union."""
    loc = tuple(part for part in error["loc"] if not str(part).startswith("#"))
    of_key = error["type"] == "extra_forbidden" or error.get("ctx", {}).get("of_key", False)
    return (*loc, KEY) if of_key and loc[-1:] != (KEY,) else loc


def _at(schema: Schema, loc: Loc) -> Schema:
    """The JSON schema of a place."""
    node = _resolved(schema, schema)
    for part in loc:
        inner = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        node = _resolved(schema, node.get("additionalProperties") if inner is None else inner)
    return node


def _resolved(schema: Schema, node: Any) -> Schema:
    """Follow a reference, and of alternatives take the mapping."""
    if not isinstance(node, dict):
        return {}
    if "$ref" in node:
        return _resolved(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    if "oneOf" in node and "title" not in node:
        branches = [_resolved(schema, one) for one in node["oneOf"]]
        return next((one for one in branches if one.get("type") == "object"), branches[0])
    return node


def _described(node: Schema) -> str:
    """What a value must be, in words."""
    if "title" in node:
        return str(node["title"])
    known = node.get("enum", [node["const"]] if "const" in node else None)
    if known is not None:
        return " or ".join(f"`{one}`" for one in known)
    return WORDS.get(node.get("type", ""), "a mapping of keys to values") + _range(node)


def _range(node: Schema) -> str:
    low, high, above = (node.get(key) for key in ("minimum", "maximum", "exclusiveMinimum"))
    if low is not None and high is not None:
        return f" between {low:g} and {high:.10g}"
    if above is not None:
        return f" above {above:g}"
    return "" if low is None else f" of {low:g} or more"
