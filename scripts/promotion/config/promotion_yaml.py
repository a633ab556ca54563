"""promotion.yaml: policy and state. One strict loader; every mistake of a file is one sentence with file:line."""

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from promotion.config import FILE
from promotion.config.mistakes import KEY, Mistake, empty, validated
from promotion.config.pin import PinRecord
from promotion.config.policy import FILES_KEYS, PARTS, FilesPolicy, Place, Policy
from promotion.config.rules import RULE, Challenge
from promotion.config.sections import Listed, ModelName, RunnerLabel, Section, Text
from promotion.config.strict import Loc, Node, Tree, compose, read_text, suggestion
from promotion.errors import PromotionError
from promotion.text.escape import clean

NEEDED = ("source_tree", "digest", "evidence")  # in a pin, unless it says why not
SETTINGS = tuple(Challenge.model_fields)


def _or_null(schema: dict[str, Any]) -> None:
    inner = dict(schema)
    schema.clear()
    schema["oneOf"] = [{"type": "null"}, inner]


class Watch(Section):
    """How a promotion is looked at after the merge: on the days since, is the predecessor better?"""

    false_alarm: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """The probability, over all looks together, that a champion which is no worse is called worse."""
    looks: Annotated[int, Field(ge=1, le=100)] = 8
    """How often a promotion is looked at; after that it is left alone."""
    days: Annotated[int, Field(ge=1, le=3660)] = 7
    """New days with known labels that a look waits for."""


class Entry(Policy):
    """One model: what it is judged by, and who is champion."""

    champion: Annotated[PinRecord | None, Field(json_schema_extra=_or_null)]
    """The champion, or null; written by pin.py, moved by merging, moved back by reverting."""
    freeze: Text | None = None
    """Why nothing may move; a rollback passes with a reason."""
    drift: Literal["repair", "report"] = "report"
    """What drift.yml does: dispatch promote, or keep an issue."""
    watch: Watch = Watch()
    """How a promotion is looked at after the merge."""
    renamed_from: ModelName | None = None
    """The model's old name: its champion is the one that its first candidate has to beat."""
    _for_all: dict[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    @functools.cached_property
    def policy(self) -> Policy:
        """The entry without its state, and with what the file says of every model's files."""
        files = {key: tuple(sorted({*getattr(self, key), *self._for_all.get(key, ())})) for key in FILES_KEYS}
        formats, types = (files[key] for key in FILES_KEYS)
        made = Policy.model_construct(
            measure=self.measure,
            gate=self.gate,
            warn=self.warn,
            challenge=self.challenge,
            inputs=self.inputs,
            formats=formats,
            trusted_types=types,
        )
        made._raw = {part: self._raw[part] for part in (*PARTS, "inputs") if part in self._raw}
        made._raw |= {key: list(found) for key, found in files.items() if found}
        made._place = self._place
        return made

    @property
    def line(self) -> int:
        """The line of the model's name."""
        return 0 if self._place is None else self._place.lines[""]


class Guard(Section):
    """Limits of one apply."""

    moves: Annotated[int, Field(ge=0)]
    """How many champions one apply may move or drop."""


class Promotion(FilesPolicy):
    """Policy and state: what is measured, the gate, the challenge, and who is champion."""

    models: dict[ModelName, Entry]
    """Every model that is promoted by pull request; one that is not named here is never touched."""
    guard: Guard | None = None
    """Limits of one apply."""
    runners: Annotated[tuple[RunnerLabel, ...], Listed("a list of runner labels", most=50)] = ()
    """Labels of runners that a model.yaml may ask for (`runs_on`)."""
    _file: str = PrivateAttr(default=FILE)

    @property
    def guard_moves(self) -> int | None:
        """How many champions one apply may move or drop."""
        return None if self.guard is None else self.guard.moves

    @property
    def file(self) -> str:
        """The file to name in an error."""
        return self._file

    def entry(self, model: str) -> Entry:
        """A model's entry; raise PromotionError, with what may have been meant, where there is none."""
        if model not in self.models:
            hint = suggestion(model, sorted(self.models))
            raise PromotionError(f"no entry for the model `{clean(model, 100)}`{hint}", file=self.file)
        return self.models[model]


def load(path: Path) -> Promotion:
    """Read promotion.yaml from a file; raise PromotionError with file:line for every mistake."""
    text = read_text(path, missing="run this from a checkout that has one, or see the README for a first")
    return parse(text, file=str(path))


def parse(text: str, *, file: str = FILE, past: bool = False) -> Promotion:
    """Read promotion.yaml from its text; `file` is the name that errors use. past: see `validated`."""
    tree = compose(text, file)
    if tree.root is None:
        raise PromotionError("empty; it needs `models:` with at least one model (or `models: {}`)", file=file, line=1)
    models = tree.root.get("models")
    entries = (models[1].mapping if models is not None else None) or []
    others = [one for key, _ in entries for one in _unseen(tree, ("models", key.text))]
    others += [
        (loc, f"{_name(loc)} is empty; give it a value")
        for loc in empty(tree.root, free=lambda loc: loc[2:] == ("champion",))
    ]
    made = validated(Promotion, tree, (), name=_name, others=others, past=past)
    made._file = file
    for key, value in entries:
        _put(made.models[key.text], tree, key, value)
    return made


_composing = threading.Lock()  # those who check many models at a time all ask at once


def _composed(text: str, file: str) -> Tree:
    with _composing:
        return _remembered(text, file)


@functools.lru_cache(maxsize=2)  # fifty pins of one merge have one base
def _remembered(text: str, file: str) -> Tree:
    return compose(text, file)


def model_entry(text: str, model: str, *, file: str = FILE) -> Entry | None:
    """Return one model's entry from an old promotion.yaml of which nothing else is read; None where it has none."""
    tree = _composed(text, file)
    loc = ("models", model)
    found = tree.find(loc)
    if found is None or found[0] is None:
        return None
    made = validated(Entry, tree, loc, name=_name, others=_unseen(tree, loc), past=True)
    _put(made, tree, found[0], found[1])
    return made


def _put(entry: Entry, tree: Tree, key: Node, value: Node) -> None:
    """Tell an entry where it was written."""
    lines = {"": tree.line(key.start.index)}
    for part, inner in value.mapping or ():
        if part.text != "measure":
            lines |= {f"{part.text}.{rule.text}": tree.line(rule.start.index) for rule, _ in inner.mapping or ()}
        elif (metrics := inner.get("metrics")) is not None:
            lines |= {f"metrics.{key.text}": tree.line(key.start.index) for key, _ in metrics[1].mapping or ()}
    entry._place = Place.model_construct(model=key.text, file=tree.file, lines=lines)
    found = {name: tree.root.get(name) for name in FILES_KEYS} if tree.root is not None else {}
    values = {name: pair[1].data for name, pair in found.items() if pair is not None}
    entry._for_all = {name: tuple(map(str, data)) for name, data in values.items() if isinstance(data, list)}


def _name(loc: Loc) -> str:
    """How a sentence calls a place: without the model's name, and without the part of the entry that it is in."""
    inner = loc[2:] if loc[:1] == ("models",) and len(loc) > 2 else loc[1:] if loc[:1] == ("models",) else loc
    if len(inner) > 1 and inner[0] in (*PARTS, "champion"):
        inner = inner[1:]
    return f"`{clean('.'.join(map(str, inner)) or 'models', 80)}`" if loc else "the file"


def _unseen(tree: Tree, loc: Loc) -> Iterator[Mistake]:
    """The mistakes of an entry that no schema can see: rules on columns that are no slices, a pin without its proof."""
    entry = tree.node(loc)
    data: Any = {} if entry is None or entry.mapping is None else entry.data
    measure = data.get("measure")
    slices = measure.get("slices", []) if isinstance(measure, dict) else None
    known = [str(one) for one in slices] if isinstance(slices, list) else None
    for part in PARTS[1:]:
        rules = data.get(part)
        for name in rules if isinstance(rules, dict) and known is not None else ():
            match = RULE.fullmatch(name)
            if match is not None and match[2] is not None and match[2] not in (known or ()):
                hint = suggestion(match[2], known or ())
                yield (*loc, part, name, KEY), f"`{clean(match[2], 60)}` is not one of measure.slices{hint}"
    challenge = data.get("challenge")
    if isinstance(challenge, dict) and not set(challenge) - set(SETTINGS):
        yield (*loc, "challenge"), "`challenge` has no rule, so everything would win; give at least one"
    pin = data.get("champion")
    if isinstance(pin, dict) and pin.get("adopted") is not True:
        for key in NEEDED:
            if key not in pin and not (key == "evidence" and "override" in pin):
                yield (*loc, "champion", key), None
