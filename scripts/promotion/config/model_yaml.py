"""A model folder from the outside: its model.yaml, its windows in time, its files. Imports no model code."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from promotion.config.strict import Reader, compose, plain
from promotion.errors import PromotionError
from promotion.model import Spec, Window

LOCK = "requirements/train.txt"
KEYS = ("as_of", "train_days", "validation_days", "seed", "parameters", "trusted_types")


@dataclass(frozen=True)
class Windows:
    """train | validation | delay | test, in this order and without a gap; test starts at as_of."""

    train: Window
    validation: Window
    test: Window
    labels_known_by: date


def read_spec(folder: Path) -> Spec:
    """Read `folder`/model.yaml; raise PromotionError with file:line for the first mistake."""
    for name in ("model.yaml", "data.py", "train.py"):
        if not (folder / name).is_file():
            raise PromotionError(f"a model folder needs {name} (see the README, Add a model)", file=folder / name)
    path = folder / "model.yaml"
    try:
        return parse_spec(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise PromotionError("not a UTF-8 text file", file=path) from None


def parse_spec(text: str, path: str) -> Spec:
    """Read a model.yaml from its text; raise PromotionError with `path` and the line of the first mistake."""
    node = compose(text, path)
    reader = Reader(path)
    if node is None:
        raise PromotionError(f"empty; it needs {', '.join(KEYS[:4])}", file=path, line=1)
    parts = reader.mapping(node, "model.yaml", required=KEYS[:4], optional=KEYS[4:])
    as_of = reader.scalar(parts["as_of"], "as_of", ("timestamp",), "a date such as 2018-08-08")
    if type(as_of) is not date:
        raise reader.error(parts["as_of"], f"`as_of` must be a date such as 2018-08-08, not {parts['as_of'].value}")
    parameters = {}
    if "parameters" in parts:
        for key, value in reader.items(parts["parameters"], "parameters"):
            parameters[key.value] = plain(value)
    types = plain(parts["trusted_types"]) if "trusted_types" in parts else []
    if not isinstance(types, list) or not all(isinstance(item, str) for item in types):
        raise reader.error(parts["trusted_types"], "`trusted_types` must be a list of type names")
    return Spec(
        as_of=as_of,
        train_days=reader.integer(parts["train_days"], "train_days", low=1),
        validation_days=reader.integer(parts["validation_days"], "validation_days", low=1),
        seed=reader.integer(parts["seed"], "seed", low=0, high=2**32 - 1),
        parameters=parameters,
        trusted_types=tuple(types),
    )


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
