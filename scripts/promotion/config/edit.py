"""Write pins and entries into promotion.yaml by position: comments and layout survive, the diff is a few lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.config.strict import Node, compose
from promotion.errors import PromotionError


def pin_lines(pin: PinRecord) -> list[str]:
    """Return a pin as `key: value` lines, in the order of the README."""
    lines = [f"version: {pin.version}"]
    for key in ("source_tree", "digest", "evidence"):
        value = getattr(pin, key)
        if value is not None:
            lines.append(f"{key}: {_scalar(value)}")
    if pin.override is not None:
        by = "" if pin.override.by is None else f"by: {_quoted(pin.override.by)}, "
        lines.append(f"override: {{{by}reason: {_quoted(pin.override.reason)}}}")
    if pin.adopted:
        lines.append("adopted: true")
    return lines


def _scalar(value: str) -> str:
    """Plain where YAML reads it back as the same text (a tree id of digits only would become a number)."""
    return value if yaml.safe_load(value) == value else _quoted(value)


def _quoted(value: str) -> str:
    return yaml.safe_dump(value, default_style='"', width=10**9, allow_unicode=True).strip()


def splice(text: str, pins: Mapping[str, PinRecord | None], *, file: str = FILE) -> str:
    """Return `text` with the champions of `pins` set; everything else keeps its bytes.

    Raise PromotionError when a model has no entry, or when the result would say anything but the old
    file with these pins.
    """
    before = parse(text, file=file)
    for model in pins:
        if model not in before.models:
            raise PromotionError(f"no entry for the model `{model}`; add one (see models/README.md)", file=file)
    result = text
    places = [(name.text, entry) for name, entry in _models(text, file)[1].mapping or () if name.text in pins]
    for model, entry in reversed(places):  # from the end, so that what is still to come stays where it is
        result = _splice_one(result, entry, pins[model])
    _need_same(text, result, file, {model: pins.get(model, entry.champion) for model, entry in before.models.items()})
    return result


def add_entries(
    text: str, entries: Mapping[str, Sequence[str]], pins: Mapping[str, PinRecord | None], *, file: str = FILE
) -> str:
    """Return `text` with more models below the others, in their indentation; everything else keeps its bytes.

    entries: by name, the lines from the comments and `NAME:` on, indented by themselves, without line ends. pins:
    what they pin. Raise PromotionError when the result would say anything but the old file with these entries.
    """
    if not entries:
        return text
    before = parse(text, file=file)
    key, models = _models(text, file)
    if models.flow and models.items:
        raise PromotionError(
            "`models` is written in braces; write it as a block, one model a paragraph",
            file=file,
            line=key.start.line + 1,
        )
    result = text
    if models.mapping:
        column, at = models.mapping[0][0].start.column, line_end(text, _end(models))
    else:  # {}: the braces go
        colon = text.index(":", key.end.index) + 1
        result = text[:colon] + text[models.end.index :]
        column, at = key.start.column + 2, line_end(result, colon)
    newline = _newline(text)
    block = newline.join((" " * column + line).rstrip() for lines in entries.values() for line in lines)
    result = f"{result[:at]}{newline}{block}{result[at:] or newline}"
    wanted = {model: entry.champion for model, entry in before.models.items()} | {name: pins[name] for name in entries}
    _need_same(text, result, file, wanted, added=tuple(entries))
    return result


def _need_same(
    text: str, result: str, file: str, pins: Mapping[str, PinRecord | None], *, added: Sequence[str] = ()
) -> None:
    """Raise PromotionError unless `result` has these pins and otherwise says what `text` says (and `added`)."""
    try:
        after = parse(result, file=file)
        same = _without_pins(result, added) == _without_pins(text)
        same = same and {model: entry.champion for model, entry in after.models.items()} == dict(pins)
    except PromotionError:
        same = False
    if not same:
        what = f"the entry of {', '.join(added)}" if added else f"the pin of {', '.join(pins)}"
        raise PromotionError(f"cannot write {what} without changing other lines; write it by hand", file=file)


def _without_pins(text: str, left_out: Sequence[str] = ()) -> Any:
    data = compose(text, FILE).data
    models = {name: {**entry, "champion": None} for name, entry in data["models"].items() if name not in left_out}
    return {**data, "models": models}


def _models(text: str, file: str) -> tuple[Node, Node]:
    """The key and the value of `models` in a file that was parsed before."""
    root = compose(text, file).root
    found = None if root is None else root.get("models")
    assert found is not None
    return found


def _end(node: Node) -> int:
    """Where a node's own text ends: a block's end mark lies beyond comments that follow it."""
    if node.items and not node.flow:
        last = node.items[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end.index)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _splice_one(text: str, entry: Node, pin: PinRecord | None) -> str:
    found = entry.get("champion")
    assert found is not None
    key, value = found
    if entry.flow:
        inside = "null" if pin is None else "{" + ", ".join(pin_lines(pin)) + "}"
        return text[: value.start.index] + inside + text[_end(value) :]
    if pin is not None and value.mapping and not value.flow:
        patched = _patch_block(text, value, pin)
        if patched is not None:
            return patched
    return _rewrite(text, key, value, pin)


def _patch_block(text: str, value: Node, pin: PinRecord) -> str | None:
    """Replace the values of a block whose keys stay the same; None when the keys differ."""
    lines = dict(line.split(": ", 1) for line in pin_lines(pin))
    pairs = value.mapping or []
    if [key.text for key, _ in pairs] != list(lines):
        return None
    for key, node in reversed(pairs):
        text = text[: node.start.index] + lines[key.text] + text[_end(node) :]
    return text


def _rewrite(text: str, key: Node, value: Node, pin: PinRecord | None) -> str:
    """Replace the whole value, keeping the comment on the key's line."""
    newline = _newline(text)
    colon = text.index(":", key.end.index) + 1
    start, end = value.start.index, _end(value)
    if value.mapping and not value.flow:
        head_rest = text[colon : line_end(text, colon)]
        tail = text[line_end(text, end) :]
    elif end <= colon:  # an empty value
        head_rest, tail = text[colon : line_end(text, colon)], text[line_end(text, colon) :]
    else:
        before = text[colon:start].rstrip(" ") if newline not in text[colon:start] else ""
        head_rest, tail = before + text[end : line_end(text, end)], text[line_end(text, end) :]
    head_rest = head_rest.strip()
    comment = f" {head_rest}" if head_rest.startswith("#") else ""
    if pin is None:
        return f"{text[:colon]} null{comment}{tail}"
    indent = " " * (key.start.column + 2)
    block = "".join(f"{newline}{indent}{line}" for line in pin_lines(pin))
    return f"{text[:colon]}{comment}{block}{tail}"


def line_end(text: str, position: int) -> int:
    """Return the position of the line break (or end of text) at or after `position`."""
    end = text.find("\n", position)
    if end < 0:
        return len(text)
    return end - 1 if end > 0 and text[end - 1] == "\r" else end
