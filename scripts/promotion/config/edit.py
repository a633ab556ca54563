"""Write pins into promotion.yaml by position, so that comments and layout survive and the diff is a few lines."""

import yaml

from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import FILE, parse
from promotion.errors import PromotionError


def pin_lines(pin: PinRecord) -> list[str]:
    """Return a pin as `key: value` lines, in the order of the README."""
    lines = [f"version: {pin.version}"]
    for key in ("source_tree", "digest", "evidence"):
        value = getattr(pin, key)
        if value is not None:
            lines.append(f"{key}: {_scalar(value)}")
    if pin.override is not None:
        lines.append(f"override: {{by: {_quoted(pin.override.by)}, reason: {_quoted(pin.override.reason)}}}")
    if pin.adopted:
        lines.append("adopted: true")
    return lines


def _scalar(value: str) -> str:
    """Plain where YAML reads it back as the same text (a tree id of digits only would become a number)."""
    return value if yaml.safe_load(value) == value else _quoted(value)


def _quoted(value: str) -> str:
    return yaml.safe_dump(value, default_style='"', width=10**9, allow_unicode=True).strip()


def splice(text: str, pins: dict[str, PinRecord | None], *, file: str = FILE) -> str:
    """Return `text` with the champions of `pins` set; everything else keeps its bytes.

    Raise PromotionError when a model has no entry, or when the result would say anything but the old
    file with these pins.
    """
    before = parse(text, file=file)
    for model in pins:
        if model not in before.models:
            raise PromotionError(f"no entry for the model `{model}`; add one (see models/README.md)", file=file)
    result = text
    for model, pin in pins.items():
        result = _splice_one(result, model, pin)
    after = parse(result, file=file)
    for model, entry in before.models.items():
        new = after.models[model]
        same = (entry.policy.raw, entry.freeze, entry.drift) == (new.policy.raw, new.freeze, new.drift)
        if not same or new.champion != pins.get(model, entry.champion) or len(before.models) != len(after.models):
            raise PromotionError(
                f"cannot write the pin of {model} without changing other lines; set it by hand", file=file
            )
    return result


def _find(text: str, model: str) -> tuple[yaml.MappingNode, yaml.ScalarNode, yaml.Node]:
    """Return (the model's mapping, its `champion` key node, its value node), with character positions."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None  # it was parsed before
    models = next(value for key, value in root.value if key.value == "models")
    entry = next(value for key, value in models.value if key.value == model)
    key, value = next((key, value) for key, value in entry.value if key.value == "champion")
    return entry, key, value


def _end(node: yaml.Node) -> int:
    """Where a node's own text ends: a block mapping's end mark lies beyond comments that follow it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    return node.end_mark.index


def _splice_one(text: str, model: str, pin: PinRecord | None) -> str:
    entry, key, value = _find(text, model)
    newline = "\r\n" if "\r\n" in text else "\n"
    if entry.flow_style:
        inside = "null" if pin is None else "{" + ", ".join(pin_lines(pin)) + "}"
        return text[: value.start_mark.index] + inside + text[_end(value) :]
    if pin is not None and isinstance(value, yaml.MappingNode) and not value.flow_style:
        patched = _patch_block(text, value, pin)
        if patched is not None:
            return patched
    return _rewrite(text, key, value, pin, newline)


def _patch_block(text: str, value: yaml.MappingNode, pin: PinRecord) -> str | None:
    """Replace the values of a block whose keys stay the same; None when the keys differ."""
    lines = dict(line.split(": ", 1) for line in pin_lines(pin))
    if [key.value for key, _ in value.value] != list(lines):
        return None
    for key, node in reversed(value.value):
        text = text[: node.start_mark.index] + lines[key.value] + text[_end(node) :]
    return text


def _rewrite(text: str, key: yaml.ScalarNode, value: yaml.Node, pin: PinRecord | None, newline: str) -> str:
    """Replace the whole value, keeping the comment on the key's line."""
    colon = text.index(":", key.end_mark.index) + 1
    start, end = value.start_mark.index, _end(value)
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
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
    indent = " " * (key.start_mark.column + 2)
    block = "".join(f"{newline}{indent}{line}" for line in pin_lines(pin))
    return f"{text[:colon]}{comment}{block}{tail}"


def line_end(text: str, position: int) -> int:
    """Return the position of the line break (or end of text) at or after `position`."""
    end = text.find("\n", position)
    if end < 0:
        return len(text)
    return end - 1 if end > 0 and text[end - 1] == "\r" else end
