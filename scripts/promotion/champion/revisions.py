"""Old revisions of promotion.yaml: the pins that each says, and what stands in many of them unchanged is read once.

History is read leniently because yesterday's file need not fit today's schema; only the file at the tip goes through
the strict loader.
"""

import re
from typing import Any

from promotion.config import FILE
from promotion.config.pin import Override, PinRecord
from promotion.config.strict import Node, compose
from promotion.errors import PromotionError

Pins = dict[str, PinRecord | None]

# Each begins with the end of the line before, which is found ten times as fast as a beginning of a line.
MODELS = re.compile(r"\nmodels:([ ]*|[ ]+#[^\n]*)(?=\n)")
TOP = re.compile(r"\n(?=[^\s#])")
ENTRY = re.compile(r"\n  (?=[^\s#])")
DOCUMENT = re.compile(r"\n(---|\.\.\.|%)")
NOTHING = re.compile(r"(\n[ ]*(#[^\n]*)?)*")
BREAKS = ("\r", "\x85", "\u2028", "\u2029")  # ends of lines to YAML, beside the one that is looked for here


def lenient_pins(text: str | None) -> Pins | None:
    """Return the pins of an old promotion.yaml, whatever else it says; None where it cannot be read."""
    try:
        data = compose(text or "", FILE).data
    except PromotionError:
        return None
    models = data.get("models") if isinstance(data, dict) else None
    return _pins(models) if isinstance(models, dict) else None


def _pins(models: dict[str, Any]) -> Pins:
    return {name: _pin(entry.get("champion")) for name, entry in models.items() if isinstance(entry, dict)}


def _pin(raw: Any) -> PinRecord | None:
    """A pin as it stands there, unchecked."""
    if not isinstance(raw, dict) or not isinstance(raw.get("version"), int):
        return None
    why = raw.get("override")
    return PinRecord.model_construct(
        version=raw["version"],
        source_tree=_text(raw.get("source_tree")),
        digest=_text(raw.get("digest")),
        evidence=_text(raw.get("evidence")),
        override=Override.model_construct(by=_text(why.get("by")), reason=_text(why.get("reason")))
        if isinstance(why, dict)
        else None,
        adopted=raw.get("adopted") is True,
    )


def _text(raw: Any) -> str | None:
    return None if raw is None else str(raw)


class Reader:
    """Reads many revisions of one file: an entry whose text was read before is not read again.

    A text is put together from its parts only where each is whole by itself: `models:` at the margin, each entry at
    two blanks, and every part alone is YAML with nothing left open. Any other text is read as one.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Pins] | None] = {}
        self._others: dict[str, bool] = {}

    def pins(self, text: str | None) -> Pins | None:
        """What `lenient_pins` says."""
        parts = _parts(text or "")
        if parts is None or not all(self._is_other(one) for one in parts[0]):
            return lenient_pins(text)
        found: dict[str, Pins] = {}
        for one in parts[1]:
            entry = self._entry(one)
            if entry is None or entry[0] in found:
                return lenient_pins(text)
            found[entry[0]] = entry[1]
        return {name: pin for pins in found.values() for name, pin in pins.items()}

    def _entry(self, text: str) -> tuple[str, Pins] | None:
        """(name, its pin where it can have one) of an entry; None where it is no whole one by itself."""
        if text not in self._entries:
            top = _block(_alone(f"models:{text}"), 0)
            inner = _block(top[0][1], 2) if len(top) == 1 else []
            name = inner[0][0].text if len(inner) == 1 else ""
            self._entries[text] = (name, _pins({name: inner[0][1].data})) if name else None
        return self._entries[text]

    def _is_other(self, text: str) -> bool:
        """Whether what stands before or after the models is whole by itself, and none of them."""
        if text not in self._others:
            keys = [key.text for key, _ in _block(_alone(text), 0)]
            self._others[text] = bool(NOTHING.fullmatch(text)) or (bool(keys) and "models" not in keys)
        return self._others[text]


def _parts(text: str) -> tuple[tuple[str, str], list[str]] | None:
    """((what stands before the models, after them), the text of each entry); None where it is laid out otherwise."""
    text = f"\n{text}"
    start = MODELS.search(text)
    if start is None or any(one in text for one in BREAKS) or DOCUMENT.search(text):
        return None
    after = TOP.search(text, start.end())
    end = len(text) if after is None else after.start()
    begins = [match.start() for match in ENTRY.finditer(text, start.end(), end)]
    if not begins or not NOTHING.fullmatch(text, start.end(), begins[0]):
        return None
    entries = [text[one : other + 1] for one, other in zip(begins, [*begins[1:], end], strict=True)]
    return (text[: start.start() + 1], text[end:]), entries


def _alone(text: str) -> Node | None:
    """What a text is by itself; None where it is nothing, or something is odd about it."""
    try:
        tree = compose(text, FILE)
    except PromotionError:
        return None
    return None if tree.problems or tree.style else tree.root


def _block(node: Node | None, column: int) -> list[tuple[Node, Node]]:
    """The keys and values of a mapping that others can follow: by lines, its keys at this column; else none."""
    pairs = [] if node is None or node.flow else node.mapping or []
    return pairs if all(key.start.column == column for key, _ in pairs) else []
