"""Saved models for tests: made once each, copied, and spoiled by who wants to see them refused."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

COLUMNS = ["a", "b", "c"]
X = pd.DataFrame(np.random.default_rng(7).normal(size=(300, 3)), columns=COLUMNS)
y = (X.a + X.b > 0).astype(int).to_numpy()
NO_SOURCE = Path("/nonexistent")
FOREST_TYPES = frozenset({"sklearn.tree._tree.Tree"})


def save(model: Any, out: Path, source: Path = NO_SOURCE, rows: pd.DataFrame = X) -> Path:
    """Save a fitted model as train.py's process does; return its folder."""
    from promotion.sandbox.saving import save as save_model

    shutil.rmtree(out, ignore_errors=True)
    save_model(model, rows, out, source)
    return out


def logistic() -> Any:
    """A fitted logistic regression behind a threshold."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import FixedThresholdClassifier

    scorer = LogisticRegression().fit(X, y)
    return FixedThresholdClassifier(FrozenEstimator(scorer), threshold=0.4).fit(X, y)


def forest() -> Any:
    """A small fitted forest, whose trees hold a type that a policy must trust."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(3, max_depth=3, random_state=0).fit(X, y)


MLMODEL = """\
flavors:
  python_function:
    env: {{conda: conda.yaml, virtualenv: python_env.yaml}}
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
    python_version: "3.11.0"
  sklearn: {{code: null, pickled_model: model.skops, serialization_format: skops, sklearn_version: 1.9.1}}
mlflow_version: 3.17.2
model_uuid: {name}
signature:
  inputs: '[{{"type": "double", "name": "a", "required": true}}]'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "int64", "shape": [-1]}}}}]'
utc_time_created: "2026-08-01 00:00:00"
"""


def tiny_files(name: str) -> dict[str, bytes]:
    """The files of a real model that always answers 1, and that differs from another `name`'s by its bytes."""
    return {"MLmodel": MLMODEL.format(name=json.dumps(name)).encode(), "model.skops": _always_one()}


@functools.cache
def _always_one() -> bytes:
    import skops.io
    from sklearn.dummy import DummyClassifier

    return skops.io.dumps(DummyClassifier(strategy="constant", constant=1).fit(np.zeros((4, 1)), [0, 1, 0, 1]))


def change_mlmodel(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change what a folder's MLmodel says, in the way MLflow writes it; return the folder."""
    path = folder / "MLmodel"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(yaml.safe_dump(raw, default_flow_style=False), encoding="utf-8")
    return folder


def features(folder: Path, rows: pd.DataFrame = X) -> Path:
    """Write feature tables of two days; return their folder."""
    folder.mkdir(parents=True)
    half = len(rows) // 2
    for day, part in (("2026-03-01", rows[:half]), ("2026-03-02", rows[half:])):
        part.reset_index(drop=True).to_parquet(folder / f"part-{day}.parquet", index=False)
    return folder


def answers_of(model: Path, scratch: Path, rows: pd.DataFrame = X) -> pd.DataFrame:
    """Let a saved model answer rows in a process of its own, as score.py does; PromotionError where it does not."""
    from promotion.sandbox.run import run_model

    job = _job(model, scratch, rows)
    run_model("answers", job, log=scratch / "answer.log", blame=model)
    return pd.concat([pd.read_parquet(path) for path in sorted(Path(job["out"]).glob("*.parquet"))], ignore_index=True)


def complaint_about(model: Path, scratch: Path, rows: pd.DataFrame = X) -> str | None:
    """The same in this process, which takes no seconds to start: what is wrong with the model, or None."""
    from promotion.sandbox.answer import Complaint, answers

    try:
        answers(_job(model, scratch, rows))
    except Complaint as complaint:
        return str(complaint)
    return None


def _job(model: Path, scratch: Path, rows: pd.DataFrame) -> dict[str, Any]:
    made = features(scratch / "features", rows)
    return {"model": str(model), "features": str(made), "out": str(scratch / "answers"), "rounds": 0}
