"""How long each step of the main job takes: data, features, training, judgement, promote. Prints Markdown."""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TypeVar

PROJECT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(PROJECT / "scripts"), str(PROJECT)]
MODEL = PROJECT / "models" / "fraud-detector"
T = TypeVar("T")


def timed(what: str, call: Callable[[], T]) -> T:
    """Run a step, print its row, and return its result."""
    started = time.perf_counter()
    result = call()
    print(f"| {what} | {time.perf_counter() - started:.2f} |", flush=True)
    return result


def load(name: str) -> ModuleType:
    """Import a file of the model folder."""
    spec = importlib.util.spec_from_file_location(name, MODEL / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def promote_again(root: Path) -> None:
    """Judge and promote the tiny model once, and apply again."""
    from tests.support.tiny import TinyProject

    project = TinyProject(root)
    project.edit("model.yaml", "seed: 0", "seed: 1")
    request = project.open("first")
    judged = timed("a whole pull request of a tiny model (prepare to report)", lambda: project.judge(request))
    assert judged.evaluation is not None
    project.merge(request)
    timed("promote apply that moves @champion (SQLite, without start-up)", project.promote)
    timed("promote apply that finds nothing to do", project.promote)


def main() -> int:
    """Print the table."""
    from promotion.config.model_yaml import read_spec, windows
    from promotion.model import Window

    print("| step | seconds |\n|---|--:|")
    data, train = load("data"), load("train")
    table = timed("fraud data: 183 days, 5,000 customers, 10,000 terminals", data.simulate)
    timed("features of all days", lambda: data.add_features(table))
    spec = read_spec(MODEL)
    spans = windows(spec, test_days=7, delay_days=7)
    data.load(Window(date(2018, 4, 1), 1))  # makes the file where it is missing
    first = timed("load the train window", lambda: data.load(spans.train))
    second = timed("load the validation window", lambda: data.load(spans.validation))
    timed("fit the model that ships", lambda: train.fit(first, second, spec))
    with tempfile.TemporaryDirectory() as folder:
        promote_again(Path(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
