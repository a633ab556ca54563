"""The process that runs a model folder's code: it fits and saves, makes features, sums metrics, and writes files.

Started by run.py with a clean environment; nothing else of this project imports model code. What it saves is
answered by another process (answer.py), which has none of this on its path.
"""

import importlib
import importlib.util
import inspect
import json
import site
import sys
import time
import traceback
from datetime import date, timedelta
from pathlib import Path
from typing import Any


class Complaint(Exception):
    """Something about the model folder that a person must mend: one sentence. file, line: where to look."""

    def __init__(self, message: str, file: str = "data.py", line: int | None = None) -> None:
        super().__init__(message)
        self.file, self.line = file, line


def enter(source: str, packages: str | None = None) -> None:
    """Make the model folder and this project's package importable, and nothing else of the caller's.

    packages: a folder of those that the model's own requirements.txt names, which come after all others.
    The package has a folder of its own on the path: beside it lie the verbs, whose names (train, score) are
    also those of model code.
    """
    alone = Path(sys.argv[1]).parent / "path"
    alone.mkdir()
    (alone / "promotion").symlink_to(Path(__file__).parents[1], target_is_directory=True)
    sys.path.insert(0, str(alone))
    sys.path.insert(0, source)
    if packages is not None:
        site.addsitedir(packages)


def load_rows(window: Any, name: str) -> Any:
    """Load a window through the folder's data.py and check that it is what the contract says."""
    import numpy as np
    import pandas as pd

    rows = hook("data", "load", "load(window)")(window)
    for part in ("X", "y", "keys", "columns"):
        if not hasattr(rows, part):
            raise Complaint(
                f"load() returned a {type(rows).__name__}; it must return promotion.model.Rows(X=…, y=…, keys=…, "
                "columns=…), as models/README.md shows"
            )
    for part in ("X", "keys", "columns"):
        if isinstance(found := getattr(rows, part), pd.Series):
            raise Complaint(
                f'Rows.{part} is a Series; it must be a data frame, also of one column: table[["{found.name}"]] with '
                "two brackets"
            )
    for part in ("X", "keys", "columns"):
        frame = getattr(rows, part)
        if not isinstance(frame, pd.DataFrame) or not all(isinstance(column, str) for column in frame.columns):
            raise Complaint(f"Rows.{part} must be a data frame whose columns are named by text")
        if not frame.columns.is_unique:
            raise Complaint(f"Rows.{part} has two columns of one name")
    y = np.asarray(rows.y)
    if y.ndim != 1:
        raise Complaint(f"Rows.y has the shape {y.shape}; it must be one label a row: table[COLUMN].to_numpy()")
    if not len(y) == len(rows.keys) == len(rows.columns) == len(rows.X):
        raise Complaint(f"the {name} window ({window}) has X, y, keys and columns of different lengths")
    labels = pd.Series(y)
    text = labels[labels.map(lambda label: isinstance(label, str))]
    if len(text):
        raise Complaint(
            f"Rows.y holds text, such as {text.iloc[0]!r}; labels must be numbers, 0 and 1 where it is a "
            f"classification: (table[COLUMN] == {text.iloc[0]!r}).astype(int)"
        )
    if labels.isna().any():
        raise Complaint(f"the {name} window ({window}) has {int(labels.isna().sum())} missing targets (NaN in y)")
    doubled = rows.keys.duplicated()
    if doubled.any():
        first = ", ".join(f"{k}={v}" for k, v in rows.keys[doubled].iloc[0].items())
        raise Complaint(f"the {name} window ({window}) has duplicate keys, the first is {first}")
    if "day" not in rows.columns:
        raise Complaint("Rows.columns lacks the column `day`")
    day = rows.columns["day"]
    zone = getattr(day.dtype, "tz", None)
    if zone is not None and (day.dt.date != day.dt.tz_convert("UTC").dt.date).any():
        raise Complaint(
            f"`day` in Rows.columns has the time zone {zone}, and would be another day elsewhere; write the day alone: "
            'table["day"].dt.tz_localize(None).dt.normalize()'
        )
    stray = other_day(rows.columns["day"], window)
    if stray is not None:
        raise Complaint(
            f"load() was asked for the {name} window ({window}) and gave rows of other days, such as {stray}; it must "
            "give those of its window alone, else training sees the labels of test days"
        )
    return rows


def other_day(column: Any, window: Any) -> date | None:
    """A day of a `day` column that lies outside a window; None where there is none, or the column holds no dates."""
    import pandas as pd

    days = pd.to_datetime(column, errors="coerce") if column.dtype.kind not in "iuf" else column
    if days.dtype.kind != "M":
        return None
    days = days.dt.tz_localize(None).dt.normalize()
    other = days[(days < pd.Timestamp(window.first)) | (days > pd.Timestamp(window.last))]
    return None if other.empty else other.iloc[0].date()


def hook(module: str, name: str, call: str) -> Any:
    """Return a function of the model folder that this project calls."""
    found = getattr(importlib.import_module(module), name, None)
    if found is None:
        raise Complaint(f"it has no function {call}, which is what is asked for (models/README.md)", f"{module}.py")
    try:
        inspect.signature(found).bind(*call.partition("(")[2].split(","))
    except TypeError as error:
        raise Complaint(f"{name}() cannot be called as {call}: {error} (models/README.md)", f"{module}.py") from None
    except ValueError:  # compiled code that does not say
        pass
    return found


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Fit on train and validation windows and save the model; return what candidate.json needs."""
    from promotion.model import Spec, Window
    from promotion.sandbox.saving import save

    spec = Spec(**{**job["spec"], "as_of": date.fromisoformat(job["spec"]["as_of"])})
    rows = {}
    for name in ("train", "validation"):
        rows[name] = load_rows(Window(date.fromisoformat(job[name][0]), job[name][1]), name)
        if len(rows[name].X) == 0:
            raise Complaint(
                f"the {name} window ({job[name][0]}, {job[name][1]} days) has zero rows; as_of and the days in "
                "model.yaml say which they are"
            )
    need_two_values(rows["train"].y, "train")
    fit = hook("train", "fit", "fit(train, validation, spec)")
    if hasattr(sys.modules["train"], "decide"):
        raise Complaint(
            "train.py defines decide(), which nobody asks any more: what is judged and served is the model's own "
            "`predict`. Put the threshold or the rule into the model that fit() returns (models/README.md shows how)",
            "train.py",
        )
    if job.get("training"):
        from promotion.sandbox.drift import MOST_ROWS, places

        kept = rows["train"].X.iloc[places(len(rows["train"].X), MOST_ROWS)]
        kept.reset_index(drop=True).to_parquet(Path(job["training"]), index=False)
    started = time.perf_counter()
    model = fit(rows["train"], rows["validation"], spec)
    seconds = time.perf_counter() - started
    need_0_and_1(model, rows["train"].y)
    try:
        save(model, rows["validation"].X, Path(job["out"]), Path(job["source"]), job.get("packages"))
    except ValueError as error:
        raise Complaint(str(error), "train.py") from error
    return {"train_seconds": seconds}


def need_two_values(labels: Any, name: str) -> None:
    """Complain when all labels are the same: there is nothing to learn."""
    import numpy as np

    if len(np.unique(labels)) < 2:
        raise Complaint(f"the {name} window has one class only (every label is {np.unique(labels)[0]})")


def need_0_and_1(model: Any, labels: Any) -> None:
    """Complain about a classifier of other classes than 0 and 1, whose answers nobody could judge."""
    import numpy as np

    classes = np.asarray(getattr(model, "classes_", ()))
    odd = [one for one in classes.tolist() if one not in (0, 1)] if classes.ndim == 1 else []
    if odd:
        where = "data.py" if set(odd) <= set(np.asarray(labels).tolist()) else "train.py"
        raise Complaint(
            f"the classifier's classes are {', '.join(map(repr, classes.tolist()[:5]))}; its labels must be 0 "
            "and 1, as numbers" + (": (y == VALUE).astype(int) in Rows.y" if where == "data.py" else ""),
            where,
        )


def features(job: dict[str, Any]) -> dict[str, Any]:
    """Write the test rows of this tree's data.py, a file a day: what the model gets, and what rows are measured by."""
    import numpy as np
    import pandas as pd

    from promotion.model import Window

    first, days, total = date.fromisoformat(job["first"]), int(job["days"]), 0
    empty: list[date] = []
    for name in ("features", "table"):
        Path(job[name]).mkdir(parents=True, exist_ok=True)
    for offset in range(days):
        day = first + timedelta(days=offset)
        rows = load_rows(Window(day, 1), "test")
        if len(rows.X) == 0:
            empty.append(day)
            continue
        for column, key in job.get("needs", {}).items():
            if column not in rows.columns:
                raise Complaint(
                    f"Rows.columns lacks `{column}`, which {key} in promotion.yaml names; it has: "
                    f"{', '.join(rows.columns)}"
                )
        table = {f"key.{name}": rows.keys[name].to_numpy() for name in rows.keys}
        table["label"] = np.asarray(rows.y)
        table |= {f"column.{name}": rows.columns[name].to_numpy() for name in rows.columns}
        pd.DataFrame(table).to_parquet(Path(job["table"]) / f"part-{day}.parquet", index=False)
        rows.X.reset_index(drop=True).to_parquet(Path(job["features"]) / f"part-{day}.parquet", index=False)
        total += len(rows.X)
        print(f"{day}: {len(rows.X)} rows", flush=True)
    if total == 0:
        raise Complaint(f"the test window ({Window(first, days)}) has zero rows")
    if job.get("declares"):
        check_empty(empty)
    return {"rows": total}


def check_empty(days: list[date]) -> None:
    """Complain about a test day without rows that data.py does not declare to have none."""
    declared = getattr(importlib.import_module("data"), "empty", None)
    for day in days:
        if declared is None or not declared(day):
            raise Complaint(
                f"the test day {day} has no rows; wait for them, or, where a day rightly has none, let data.py say so: "
                "`def empty(day)` that returns True for it"
            )


def sums(job: dict[str, Any]) -> dict[str, Any]:
    """Write the sums per row of the folder's own metrics, from a score table's labels, columns and answers."""
    import numpy as np
    import pandas as pd

    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(job["scores"]).glob("part-*.parquet")):
        table, found = pd.read_parquet(path), {}
        columns = table[[name for name in table if name.startswith("column.")]]
        columns = columns.rename(columns=lambda name: name.removeprefix("column."))
        for side in job["sides"]:
            answers = table[next(f"{side}.{n}" for n in ("decision", "score") if f"{side}.{n}" in table)].to_numpy()
            for metric in job["metrics"]:
                for name, value in dict(_metric(metric)(table["label"].to_numpy(), answers, columns)).items():
                    found[f"{side}.sum.{metric}.{name}"] = np.asarray(value, np.float64)
        pd.DataFrame(found, index=range(len(table))).to_parquet(out / path.name, index=False)
    return {}


def _metric(name: str) -> Any:
    try:
        module = importlib.import_module("metrics")
    except ModuleNotFoundError as error:
        if error.name != "metrics":
            raise
        raise Complaint(
            f"promotion.yaml names the metric `{name}` in measure.metrics, but there is no metrics.py", "metrics.py"
        ) from None
    function = getattr(module, name, None)
    if function is None:
        raise Complaint(
            f"metrics.py has no function `{name}`, which promotion.yaml names in measure.metrics", "metrics.py"
        )
    return function


def raised_in(error: BaseException, source: Path) -> tuple[str, int | None] | None:
    """Return (file, line) of the innermost call that lies in the model folder; None where none does."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((Path(error.filename), error.lineno))
    inside = [(path.relative_to(source).as_posix(), line) for path, line in frames if path.is_relative_to(source)]
    return inside[-1] if inside else None


def missing(error: BaseException, source: Path, name: str) -> Complaint | None:
    """The sentence for a library or a file that model code asks for and that is not there; None for any other error.

    name: of the model.
    """
    place = raised_in(error, source)
    if place is None:
        return None
    if isinstance(error, FileNotFoundError):
        return no_file(error, source, name, place)
    if isinstance(error, ImportError) and "relative import" in str(error):
        return Complaint("a model folder is no package: `from .helper import f` is `from helper import f` here", *place)
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    top = error.name.partition(".")[0]
    if top == "models":
        return Complaint("a module of the model folder is imported by its own name alone: `import helper`", *place)
    if importlib.util.find_spec(top) is not None:  # it is there, and lacks a part
        return None
    return Complaint(
        f"there is no module `{top}` here: if a library brings it, `python scripts/retrain.py lock {name} {top}` "
        f"writes that library into models/{name}/requirements.txt (its name on PyPI may be another); else it is a file "
        "that the model's folder lacks",
        *place,
    )


def no_file(error: FileNotFoundError, source: Path, name: str, place: tuple[str, int | None]) -> Complaint | None:
    """The sentence for a file that the model folder lacks, or that was looked for in the current folder."""
    asked = str(error.filename or (error.args or ("",))[0])
    path = Path(asked)
    if "\n" in asked or "://" in asked or not asked:
        return None
    if path.is_relative_to(source):
        here = path.relative_to(source).as_posix()
        return Complaint(f"there is no file models/{name}/{here}; is it ignored by git, or another name meant?", *place)
    if path.is_absolute():
        return None
    return Complaint(
        f"there is no file `{asked[:200]}` in the current folder, which is none of the model's: a file beside this one "
        f'is Path(__file__).with_name("{path.name}")',
        *place,
    )


def raised(error: BaseException, source: Path) -> dict[str, Any]:
    """An error as a result: what it says, and where in the model folder it comes from."""
    return {"raised": traceback.format_exception_only(error)[-1].strip(), "raised_in": raised_in(error, source)}


def told(complaint: Complaint) -> dict[str, Any]:
    """A complaint as a result."""
    return {"complaint": str(complaint), "file": complaint.file, "line": complaint.line}


STEPS = {"train": train, "features": features, "sums": sums}


def main(argv: list[str]) -> int:
    """Read a job file, run its step, write a result file; a Complaint becomes part of the result."""
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    enter(job["source"], job.get("packages"))
    try:
        result = STEPS[job["step"]](job)
    except Complaint as complaint:
        result = told(complaint)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        source = Path(job["source"])
        lacking = missing(error, source, job["name"])
        result = told(lacking) if lacking is not None else raised(error, source)
    Path(argv[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
