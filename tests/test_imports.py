"""What every verb imports: its start-up time, and which lock a job needs to run it."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.test_requirements import declared

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SMALL = {"pydantic", "pydantic_core", "yaml"}
HTTP, ARRAYS, PAGES = {"requests"}, {"numpy", "pyarrow"}, {"jinja2", "markupsafe"}
REGISTRY = HTTP | {"urllib3"}
# What is loaded before a verb has read its arguments; MLflow, pandas and scikit-learn never are.
AT_START: dict[str, set[str]] = {
    "challenge": SMALL | REGISTRY | ARRAYS,
    "demo": SMALL - {"yaml"} | REGISTRY,
    "doctor": SMALL | REGISTRY,
    "drift": SMALL | REGISTRY,
    "gate": SMALL | REGISTRY | ARRAYS,
    "init": SMALL,
    "judge": SMALL | ARRAYS | {"threadpoolctl"},
    "pin": SMALL | HTTP,
    "prepare": SMALL | REGISTRY | {"numpy"},
    "promote": REGISTRY,  # the rest while the registry answers
    "rehearse": SMALL | REGISTRY,
    "report": SMALL | HTTP | PAGES,
    "retrain": SMALL | HTTP,
    "rollback": SMALL | REGISTRY,
    "score": SMALL | ARRAYS,
    "serve": set(),
    "train": SMALL | ARRAYS,
    "watch": SMALL | REGISTRY | ARRAYS,
}
# Which lock the workflows install for which verbs. tqdm draws a bar in a terminal, which a job has none of; a page
# (`promote.py history --html`) is not made where @champion is moved; a Dask cluster has a lock of its own.
JOBS = {"promote": ("promote", "drift"), "judge": ("prepare", "gate", "challenge", "pin", "report", "retrain", "watch")}
UNNEEDED = {"promote": {"tqdm"} | PAGES, "judge": {"tqdm", "distributed"}}
NAMES = {"mlflow": "mlflow-skinny", "yaml": "pyyaml", "pydantic_core": "pydantic-core"}


def file_of(module: str) -> Path | None:
    """The file of one of our own modules."""
    found = SCRIPTS.joinpath(*module.split("."))
    return next((path for path in (found.with_suffix(".py"), found / "__init__.py") if path.is_file()), None)


@cache
def imports(path: Path, *, later: bool) -> frozenset[str]:
    """The modules that a file imports when it is loaded, or also `later`, in its functions."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif later or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
    return frozenset(found)


def libraries(verb: str, *, later: bool = False) -> set[str]:
    """The libraries that a verb brings in, by way of whatever it imports."""
    found: set[str] = set()
    todo, seen = [verb], set()
    while todo:
        module = todo.pop()
        path = file_of(module)
        if path is None:
            found.add(module.split(".")[0])
        elif path not in seen:
            seen.add(path)
            parts = module.split(".")
            todo += [".".join(parts[:n]) for n in range(1, len(parts))]
            todo += imports(path, later=later)
    own = {"promotion", *(path.stem for path in SCRIPTS.iterdir())}
    return found - own - set(sys.stdlib_module_names)


def test_a_verb_loads_what_it_needs_when_it_starts() -> None:
    """Every library that any verb loads at its start is in the table above."""
    assert {path.stem: libraries(path.stem) for path in SCRIPTS.glob("*.py")} == AT_START


@pytest.mark.parametrize(("lock", "verb"), [(lock, verb) for lock, verbs in JOBS.items() for verb in verbs])
def test_a_job_installs_what_its_verbs_may_ever_import(lock: str, verb: str) -> None:
    """The locks without the libraries that train are enough, whichever way a verb goes."""
    there = declared(lock) | (declared("promote") if lock == "judge" else set())

    assert {NAMES.get(name, name) for name in libraries(verb, later=True) - UNNEEDED[lock]} <= there


def test_the_jobs_around_a_training_install_no_library_that_trains() -> None:
    """Neither lock has pandas, scikit-learn or SciPy, by way of another package either."""
    for lock in JOBS:
        text = (SCRIPTS.parent / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        pins = {line.split("==")[0] for line in text.splitlines() if "==" in line}

        assert pins & {"mlflow", "pandas", "scikit-learn", "scipy", "skops", "matplotlib"} == set()
