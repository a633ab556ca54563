"""The process that runs model code: it imports a model folder, fits, predicts, and writes files.

Started by run.py with a clean environment; nothing else of this project imports model code or
loads a model, except the server.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import sys
import time
import traceback
from datetime import date, timedelta
from pathlib import Path
from typing import Any

PINNED = ("mlflow", "scikit-learn", "numpy", "pandas", "scipy", "skops")
SAMPLE_ROWS = 1000


class Complaint(Exception):
    """Something about the model folder's data that a person must mend: one sentence."""


def enter(source: str) -> None:
    """Make the model folder and this project's package importable, and nothing else of the caller's.

    The package has a folder of its own on the path: beside it lie the verbs, whose names (train, score) are
    also those of model code.
    """
    alone = Path(sys.argv[1]).parent / "path"
    alone.mkdir()
    (alone / "promotion").symlink_to(Path(__file__).parents[1], target_is_directory=True)
    sys.path.insert(0, str(alone))
    sys.path.insert(0, source)


def load_rows(window: Any, name: str) -> Any:
    """Load a window through the folder's data.py and check that it is what the contract says."""
    import numpy as np
    import pandas as pd

    rows = importlib.import_module("data").load(window)
    n = len(rows.X)
    if not len(rows.y) == len(rows.keys) == len(rows.columns) == n:
        raise Complaint(f"the {name} window ({window}) has X, y, keys and columns of different lengths")
    labels = pd.Series(np.asarray(rows.y))
    if labels.isna().any():
        raise Complaint(f"the {name} window ({window}) has {int(labels.isna().sum())} missing targets (NaN in y)")
    doubled = rows.keys.duplicated()
    if doubled.any():
        first = ", ".join(f"{k}={v}" for k, v in rows.keys[doubled].iloc[0].items())
        raise Complaint(f"the {name} window ({window}) has duplicate keys, the first is {first}")
    if "day" not in rows.columns:
        raise Complaint("Rows.columns lacks the column `day`")
    return rows


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Fit on train and validation windows and save the model; return what candidate.json needs."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    from promotion.model import Spec, Window

    spec = Spec(**{**job["spec"], "as_of": date.fromisoformat(job["spec"]["as_of"])})
    rows = {}
    for name in ("train", "validation"):
        rows[name] = load_rows(Window(date.fromisoformat(job[name][0]), job[name][1]), name)
        if len(rows[name].X) == 0:
            raise Complaint(f"the {name} window ({job[name][0]}, {job[name][1]} days) has zero rows")
    need_two_values(rows["train"].y, "train")
    code = importlib.import_module("train")
    started = time.perf_counter()
    model = code.fit(rows["train"], rows["validation"], spec)
    seconds = time.perf_counter() - started
    sample = rows["validation"].X.head(SAMPLE_ROWS)
    signature = infer_signature(sample, model.predict(sample))
    mlflow.sklearn.save_model(
        model,
        job["out"],
        serialization_format="skops",
        skops_trusted_types=list(spec.trusted_types) or None,
        pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in PINNED],
        signature=signature,
        input_example=sample.head(5),
    )
    inputs = [[item.name or str(i), str(item.type)] for i, item in enumerate(signature.inputs.inputs)]
    return {"inputs": inputs, "train_seconds": seconds}


def need_two_values(labels: Any, name: str) -> None:
    """Complain when all labels are the same: there is nothing to learn."""
    import numpy as np

    if len(np.unique(labels)) < 2:
        raise Complaint(f"the {name} window has one class only (every label is {np.unique(labels)[0]})")


def open_model(folder: str) -> Any:
    """Load a saved model: scikit-learn's own object where it is one, else MLflow's generic wrapper."""
    import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import Model

    if "sklearn" in Model.load(folder).flavors:
        return mlflow.sklearn.load_model(folder)
    return mlflow.pyfunc.load_model(folder)


def predict(model: Any, X: Any) -> tuple[Any, Any]:
    """Return (score, decision): a probability and a 0/1 decision, or (prediction, None) for a regression."""
    import numpy as np

    code = importlib.import_module("train")
    served = code.decide(model, X) if hasattr(code, "decide") else model.predict(X)
    served = np.asarray(served).ravel()
    if len(served) != len(X):
        raise Complaint(f"the model gave {len(served)} predictions for {len(X)} rows")
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X))[:, 1], served
    return served, None


def score(job: dict[str, Any]) -> dict[str, Any]:
    """Score one model on the test window, a part a day; X comes from the model's own tree."""
    import numpy as np
    import pandas as pd

    from promotion.model import Window

    model, out = open_model(job["model"]), Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    first, days = date.fromisoformat(job["first"]), int(job["days"])
    total, task, sample = 0, "regression", None
    for offset in range(days):
        day = first + timedelta(days=offset)
        rows = load_rows(Window(day, 1), "test")
        if len(rows.X) == 0:
            continue
        values, decisions = predict(model, rows.X)
        table = {f"key.{name}": rows.keys[name].to_numpy() for name in rows.keys}
        table["label"] = np.asarray(rows.y)
        table |= {f"column.{name}": rows.columns[name].to_numpy() for name in rows.columns}
        table["score"] = np.asarray(values, dtype=np.float64)
        if decisions is not None:
            task = "classification"
            table["decision"] = np.asarray(decisions).astype(np.int8)
        for metric in job["metrics"]:
            table |= custom_sums(job, metric, rows.y, values if decisions is None else decisions, rows.columns)
        pd.DataFrame(table).to_parquet(out / f"part-{day}.parquet", index=False)
        total += len(rows.X)
        print(f"{day}: {len(rows.X)} rows", flush=True)
        if sample is None:
            sample = rows.X.head(SAMPLE_ROWS)
            sample.to_parquet(out / "sample.parquet", index=False)
    if total == 0:
        raise Complaint(f"the test window ({Window(first, days)}) has zero rows")
    return {"rows": total, "task": task}


def custom_sums(job: dict[str, Any], metric: str, y: Any, prediction: Any, columns: Any) -> dict[str, Any]:
    """Return a custom metric's sums per row, from the candidate's metrics.py for both models alike."""
    import numpy as np

    path = Path(job["metrics_source"]) / "metrics.py"
    if not path.is_file():
        raise Complaint(f"promotion.yaml names the metric `{metric}` in measure.metrics, but there is no metrics.py")
    found = importlib.util.spec_from_file_location("custom_metrics", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    function = getattr(module, metric, None)
    if function is None:
        raise Complaint(f"metrics.py has no function `{metric}`, which promotion.yaml names in measure.metrics")
    sums = function(np.asarray(y), np.asarray(prediction), columns)
    return {f"sum.{metric}.{name}": np.asarray(value, dtype=np.float64) for name, value in dict(sums).items()}


def latency(job: dict[str, Any]) -> dict[str, Any]:
    """Median milliseconds of one-row and whole-sample predictions, measured alternately in this process."""
    import statistics

    import pandas as pd

    models = {side: (open_model(part["model"]), pd.read_parquet(part["sample"])) for side, part in job["sides"].items()}
    times: dict[str, list[float]] = {}
    for _ in range(int(job["rounds"])):
        for side, (model, X) in models.items():
            for name, batch in (("one_row", X.head(1)), ("sample", X)):
                started = time.perf_counter()
                model.predict(batch)
                times.setdefault(f"{side}.{name}", []).append((time.perf_counter() - started) * 1000)
    return {"latency_ms": {name: statistics.median(values) for name, values in times.items()}}


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Load a model and let it answer its own saved example: what a rollback's target must still be able to do."""
    import mlflow.pyfunc
    import numpy as np

    model = mlflow.pyfunc.load_model(job["model"])
    example = model.input_example
    if example is None:
        return {"rows": 0}
    return {"rows": len(np.asarray(model.predict(example)))}


STEPS = {"train": train, "score": score, "latency": latency, "answer": answer}


def main(argv: list[str]) -> int:
    """Read a job file, run its step, write a result file; a Complaint becomes part of the result."""
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    enter(job.get("source") or str(Path(argv[0]).parent))
    try:
        result = STEPS[job["step"]](job)
    except Complaint as complaint:
        result = {"complaint": str(complaint)}
    except Exception:
        traceback.print_exc()
        return 1
    Path(argv[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
