"""The locks: what is declared is what is imported, every file has its hash, and no registry is named."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from promotion.config.requirements import base_lock, former_lock

PROJECT = Path(__file__).resolve().parent.parent
REQUIREMENTS = PROJECT / "requirements"
NAMES = sorted(path.stem for path in REQUIREMENTS.glob("*.in"))
DISTRIBUTIONS = packages_distributions()
# Declared, though no file imports them by name.
NOT_IMPORTED = {
    "train": {"alembic", "pip", "sqlalchemy"},  # MLflow imports them, where it keeps its records in a file, or saves
    "dev": {"mlflow", "ruff", "mypy", "types-pyyaml", "types-requests", "types-tqdm"},
}


def declared(name: str) -> set[str]:
    """The packages that a .in file names itself, without those of the files that it reads."""
    lines = (REQUIREMENTS / f"{name}.in").read_text(encoding="utf-8").splitlines()
    words = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith(("#", "-")))
    return {word[0].lower().replace("_", "-") for word in words if word}


def imported(*folders: str) -> set[str]:
    """The packages that files below these folders import, by the name that installs them."""
    own = {path.stem for path in (PROJECT / "scripts").iterdir()} | {"tests", "data", "train"}
    found: set[str] = set()
    for path in (path for folder in folders for path in (PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").split(".")[0])
    third = found - set(sys.stdlib_module_names) - own
    named = {DISTRIBUTIONS.get(name, [name])[0].lower().replace("_", "-") for name in third}
    return {"mlflow-skinny" if name.startswith("mlflow") else name for name in named}  # three bring `mlflow`


def test_what_verbs_and_models_import_is_declared_and_nothing_else() -> None:
    """train.in, serve.in, cluster.in have what scripts/ and models/ import, and nothing else."""
    there = set().union(*map(declared, ("train", "serve", "cluster")))

    assert there - NOT_IMPORTED["train"] == imported("scripts", "models")


def test_what_promote_installs_is_a_part_of_what_trains() -> None:
    """promote.in has nothing that train.in has not."""
    assert declared("promote") < declared("train")


def test_what_judges_is_pinned_as_what_trains() -> None:
    """A library that both locks have is the same in both: what is judged here is judged alike anywhere."""
    pins = [
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8"), re.M))
        for name in ("judge", "train")
    ]
    both = pins[0].keys() & pins[1].keys()

    assert len(both) > 40
    assert {name: pins[0][name] for name in both} == {name: pins[1][name] for name in both}


def test_what_a_champion_may_lean_on_is_no_longer_in_the_lock() -> None:
    """former.txt has what train.txt had, each with its hashes, and nothing that train.txt has."""
    former = {pin.name for pin in former_lock()}

    assert {"matplotlib", "contourpy", "pillow"} <= former
    assert former.isdisjoint(base_lock())


def test_what_tests_import_is_declared() -> None:
    """dev.in has what tests/ import beyond train.in, and what the other targets add for themselves."""
    there = imported("tests")
    own = declared("dev") - NOT_IMPORTED["dev"]

    others = ("train", "serve", "servers", "browser", "bench")
    assert there - own <= set().union(*map(declared, others))
    assert own <= there


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_has_hashes_and_names_no_registry(name: str) -> None:
    """Every package that a .in file names is pinned in its lock with a hash, wherever it comes from."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==\S+[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)

    assert declared(name) <= set(pins)
    assert len(pins) == len(re.findall(r"^\S", text, re.MULTILINE))
    assert "://" not in text
