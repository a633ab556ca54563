"""A model folder from the outside: its model.yaml, its windows in time, its files. Imports no model code."""

import dataclasses
import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from promotion.config.mistakes import Mistake, empty, validated
from promotion.config.policy import Measure
from promotion.config.sections import Listed, RunnerLabel, Section, must
from promotion.config.strict import Loc, Node, Tree, compose, read_text
from promotion.errors import PromotionError
from promotion.model import Spec, Window
from promotion.text.escape import clean

LOCK = "requirements/train.txt"
FILES = ("model.yaml", "data.py", "train.py")
DATE = "a date such as 2018-08-08"
# the id of a run, or a registered version as MLflow writes it
RUN = r"^([0-9a-f]{32}|models:/[A-Za-z0-9_][A-Za-z0-9_. -]{0,249}/[1-9][0-9]{0,8})$"
RUN_TITLE = "the id of an MLflow run (32 hex digits), or a registered version such as models:/churn/7"
Days = Annotated[int, Field(ge=1, le=36_600)]


def _within_reach(day: date) -> date:
    """Windows before and after `day` can be computed."""
    if not 1000 <= day.year <= 9000:
        raise must(f"{DATE}, of the years 1000 to 9000")
    return day


class ModelYaml(Section):
    """What is trained, on which days."""

    as_of: Annotated[date, AfterValidator(_within_reach), Field(title=DATE)]
    """First test day, the simulated go-live; a retrain with new data moves only this."""
    train_days: Days
    """Days of the training window, which ends where the validation window begins."""
    validation_days: Days
    """Days of the validation window; its labels are known by as_of."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    """Of every random choice in training."""
    run: Annotated[str, Field(pattern=RUN, title=RUN_TITLE)] | None = None
    """The MLflow run, or registered version, whose model is the candidate, in place of train.py."""
    runs_on: RunnerLabel | None = None
    """On GitHub, the label of the runner that trains and answers: one of promotion.yaml's `runners`."""
    timeout_minutes: Annotated[int, Field(ge=1, le=7200)] | None = None
    """On GitHub, how long training and answering may take."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """What train.py is given as `spec.parameters`; any keys."""
    trusted_types: Annotated[tuple[str, ...], Listed("a list of type names")] = ()
    """Not read any more, and kept for old folders: promotion.yaml says which types a saved model may contain."""


@dataclass(frozen=True)
class Windows:
    """train | validation | delay | test, in this order and without a gap; test starts at as_of."""

    train: Window
    validation: Window
    test: Window
    labels_known_by: date


def read_spec(folder: Path, *, shown: Path | None = None) -> Spec:
    """Read `folder`/model.yaml; raise PromotionError with file:line for every mistake.

    shown: the folder that errors name, where `folder` is a copy of it.
    """
    shown = folder if shown is None else shown
    for name in FILES[:2]:
        if not (folder / name).is_file():
            raise PromotionError(f"a model folder needs {name} (see models/README.md)", file=shown / name)
    spec = parse_spec(read_text(folder / FILES[0], missing="see models/README.md"), str(shown / FILES[0]))
    if spec.run is None and not (folder / FILES[2]).is_file():
        raise PromotionError(
            f"a model folder needs {FILES[2]}, or the line `run: ID` in {FILES[0]} (see models/README.md)",
            file=shown / FILES[2],
        )
    if spec.run is not None and (folder / FILES[2]).is_file():
        raise PromotionError(
            f"{FILES[0]} says `run: {spec.run}`, so nothing would run {FILES[2]}; remove one of the two",
            file=shown / FILES[2],
        )
    return spec


def parse_spec(text: str, file: str) -> Spec:
    """Read a model.yaml from its text; `file` is the name that errors use."""
    found = _parsed(_tree(text, file))
    return Spec(
        as_of=found.as_of,
        train_days=found.train_days,
        validation_days=found.validation_days,
        seed=found.seed,
        parameters=found.parameters,
        trusted_types=found.trusted_types,
        run=found.run,
    )


def _tree(text: str, file: str) -> Tree:
    tree = compose(text, file)
    if tree.root is None:
        needed = [f"`{key}`" for key, field in ModelYaml.model_fields.items() if field.is_required()]
        raise PromotionError(f"empty; it needs {', '.join(needed)}", file=file, line=1)
    return tree


def _parsed(tree: Tree) -> ModelYaml:
    return validated(ModelYaml, tree, (), name=_name, others=_unseen(tree))


def _name(loc: Loc) -> str:
    return f"`{clean('.'.join(map(str, loc)), 80)}`" if loc else "the file"


def _unseen(tree: Tree) -> Iterator[Mistake]:
    """Parameters that a record cannot keep, and keys without a value."""
    for loc in empty(tree.root, free=lambda loc: len(loc) > 1):
        yield loc, f"{_name(loc)} is empty; give it a value, or leave it out"
    for loc, node in _scalars(("parameters",), tree.node(("parameters",))):
        if isinstance(node.data, float) and not math.isfinite(node.data):
            yield loc, f"{_name(loc)} is {node.text}, which is no finite number"
        elif isinstance(node.data, date):
            yield loc, f"{_name(loc)} is a date to YAML; put it in quotes"
        elif node.plain and isinstance(node.data, str) and re.fullmatch(r"[-+]?[0-9_]+", node.text):
            yield loc, f"{_name(loc)} is too large a number, {clean(node.text, 60)}; put it in quotes if it is text"


def _scalars(loc: Loc, node: Node | None) -> Iterator[tuple[Loc, Node]]:
    if node is None or (len(loc) == 1 and node.mapping is None):
        return
    if node.items is None:
        yield loc, node
        return
    for index, item in enumerate(node.items):
        inner = ((*loc, item[0].text), item[1]) if isinstance(item, tuple) else ((*loc, index), item)
        yield from _scalars(*inner)


def read_as_of(text: str, file: str) -> date:
    """Return as_of of a model.yaml's text; raise PromotionError with file:line where it is not a date."""
    return _as_of(text, file)[0]


def move_as_of(text: str, to: date, file: str) -> str:
    """Return a model.yaml's text with another as_of; every other byte, comments too, stays."""
    _, node = _as_of(text, file)
    changed = text[: node.start.index] + to.isoformat() + text[node.end.index :]
    if read_as_of(changed, file) != to:
        raise PromotionError("as_of cannot be set without changing other lines; set it by hand", file=file)
    return changed


def with_seed(text: str, seed: int, file: str) -> str:
    """Return a model.yaml's text with another seed; every other byte stays."""
    node = _tree(text, file).node(("seed",))
    if node is None:
        raise PromotionError("the file lacks `seed`", file=file, line=1)
    changed = text[: node.start.index] + str(seed) + text[node.end.index :]
    if parse_spec(changed, file) != dataclasses.replace(parse_spec(text, file), seed=seed):
        raise PromotionError("seed cannot be set without changing other lines; set it by hand", file=file)
    return changed


def run_of(text: str | None) -> str | None:
    """The MLflow run that a model.yaml names in place of train.py; None where it names none, or nobody can read it."""
    try:
        return None if text is None else parse_spec(text, FILES[0]).run
    except PromotionError:  # told with its line by whoever reads the folder
        return None


@dataclass(frozen=True)
class Machine:
    """What a model.yaml asks of GitHub; None where it leaves it to the workflow. line: of `runs_on`."""

    runs_on: str | None
    timeout_minutes: int | None
    line: int | None


def machine_of(text: str | None) -> Machine:
    """The runner and the time that a model.yaml asks for; nothing where nobody can read it."""
    try:
        tree = _tree(text or "", FILES[0])
        found = _parsed(tree)
    except PromotionError:  # told with its line by whoever reads the folder
        return Machine(None, None, None)
    node = tree.node(("runs_on",))
    return Machine(found.runs_on, found.timeout_minutes, None if node is None else tree.line(node.start.index))


def registered(run: str) -> tuple[str, int] | None:
    """The (name, version) of a `run:` that is a registered version; None where it is the id of a run."""
    kind, _, rest = run.partition(":/")
    name, _, version = rest.rpartition("/")
    return (name, int(version)) if kind == "models" else None


def maker(run: str, *, digits: int = 32) -> str:
    """A `run:` in words: `run 0123…`, of which `digits` are shown, or `version 7 of churn`."""
    version = registered(run)
    return f"run {run[:digits]}" if version is None else f"version {version[1]} of {version[0]}"


def move_run(text: str, to: str, file: str) -> str:
    """Return a model.yaml's text with another run; every other byte, comments too, stays."""
    node = _tree(text, file).node(("run",))
    if node is None:
        raise PromotionError(
            "it has no line `run: ID`, so this model is trained here; a model that is trained elsewhere has one in "
            "place of train.py (see models/README.md)",
            file=file,
        )
    changed = text[: node.start.index] + to + text[node.end.index :]
    if parse_spec(changed, file).run != to:
        raise PromotionError("run cannot be set without changing other lines; set it by hand", file=file)
    return changed


def _as_of(text: str, file: str) -> tuple[date, Node]:
    """as_of and its node; the rest of the file is not judged."""
    tree = _tree(text, file)
    node = tree.node(("as_of",))
    if node is None:
        raise PromotionError("the file lacks `as_of`, the first test day", file=file, line=1)
    if type(node.data) is not date:
        raise tree.error(f"`as_of` must be {DATE}, not `{clean(node.text, 60)}`", node.start.index)
    return node.data, node


def newest_as_of(today: date, measure: Measure) -> date:
    """The latest first test day whose whole window is labelled today: as_of + test_days + delay_days <= today."""
    return today - timedelta(days=measure.test_days + measure.delay_days)


def as_date(text: str) -> date:
    """Read a date such as 2026-11-07; raise ValueError for anything else."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"`{text}` is not a date such as 2026-11-07")
    return date.fromisoformat(text)


def windows(spec: Spec, *, test_days: int, delay_days: int) -> Windows:
    """Return the windows of a spec: labels of day d are known on day d + delay_days, before as_of."""
    validation = Window(spec.as_of - timedelta(days=delay_days + spec.validation_days), spec.validation_days)
    train = Window(validation.first - timedelta(days=spec.train_days), spec.train_days)
    known = validation.last + timedelta(days=delay_days)
    return Windows(train, validation, Window(spec.as_of, test_days), known)


def lock_digest(text: str | None) -> str:
    """Name the environment that trains: the digest of the lock file's text."""
    return "none" if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def training_key(model: str, source_tree: str, lock: str) -> str:
    """The address of a training: model name, source tree and lock file; the same key is never trained twice."""
    return hashlib.sha256(f"{model}\0{source_tree}\0{lock}".encode()).hexdigest()
