"""The process that answers: one model folder, loaded and asked exactly as the server does it.

Started by run.py as a file, with a clean environment; neither the model's source nor this project's scripts are on
its path, so a model that needs either fails here and not in production. What it answers is what is judged.
"""

import functools
import importlib
import importlib.util
import json
import os
import site
import statistics
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SAMPLE_ROWS = 1000  # for latency, and for the rows of both decisions that are asked alone
CODE = "code"


class Complaint(Exception):
    """What a person must mend about a model: one sentence."""


@functools.cache
def sibling(name: str) -> Any:
    """A module that lies beside this file, or config/trusted.py, loaded without putting this project on the path."""
    if name == "proof":
        sibling("same")  # which it imports
    folder = Path(__file__).parents[1] / ("config" if name == "trusted" else "sandbox")
    found = importlib.util.spec_from_file_location(f"promotion.{folder.name}.{name}", folder / f"{name}.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


def load(folder: str, types: Sequence[str] = ()) -> Any:
    """Load a model folder as the server does, and let it answer its own example.

    types: names in it that promotion.yaml trusts, which must not stand for something that nobody may trust.
    """
    import mlflow.pyfunc
    from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT as SERVING

    os.environ[SERVING.name] = "true"
    _no_disguise(Path(folder))
    for name in types:
        not_another(name, Path(folder) / CODE)
    try:
        model = mlflow.pyfunc.load_model(folder)
    except Exception as error:
        raise Complaint(
            f"the saved model cannot be loaded where neither its source nor scripts/ is on the path, as in a server "
            f"({_short(error)}); what it needs belongs into the model (models/README.md)"
        ) from error
    if model.input_example is not None:
        ask(model, model.input_example)
    return model


def _no_disguise(folder: Path) -> None:
    """A module that the model brings must not take the place of an installed one."""
    for path in sorted((folder / CODE).iterdir()) if (folder / CODE).is_dir() else ():
        name = path.name.removesuffix(".py")
        if importlib.util.find_spec(name) is not None:
            raise Complaint(f"its module {name} has the name of an installed one, which it would hide; rename it")


def not_another(name: str, code: Path) -> None:
    """A trusted name must not lead to os.system and the like, which a module can pass on under its own name."""
    module, _, attribute = name.rpartition(".")
    before = set(sys.modules)
    sys.path.insert(0, str(code))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise Complaint(f"its type {name} cannot be imported ({_short(error)})") from error
    finally:
        sys.path.remove(str(code))
        for own in set(sys.modules) - before:
            if (code / own.partition(".")[0]).is_dir() or (code / f"{own}.py").is_file():
                del sys.modules[own]  # MLflow imports it again, as it does in a server
    trusted = sibling("trusted")
    if trusted.forbidden(trusted.of(found)):
        raise Complaint(
            f"its type {name} is {trusted.of(found)} under another name, which can run or load something else; "
            "no policy can allow that"
        )


def _short(error: BaseException) -> str:
    """What was raised, on one line; of a long text both ends, for MLflow says what is wrong after showing the rows."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else f"{text[:150]} … {text[-150:]}"


def ask(model: Any, X: Any) -> Any:
    """Return the model's answer to a table; Complaint where it has none."""
    try:
        return model.predict(X)
    except Exception as error:
        raise Complaint(f"the saved model does not answer {len(X)} rows of its own data ({_short(error)})") from error


def columns_of(answer: Any, rows: int) -> list[Any]:
    """Return an answer's columns as arrays: decisions or predictions, and, if it has two, the probabilities."""
    import numpy as np
    import pandas as pd

    if isinstance(answer, pd.DataFrame):
        found = [answer[name].to_numpy() for name in answer]
    else:
        values = np.asarray(answer)
        found = [values] if values.ndim == 1 else list(values.T) if values.ndim == 2 else []
    if not 1 <= len(found) <= 2 or any(len(values) != rows for values in found):
        shape = np.shape(answer)
        raise Complaint(
            f"it answered {rows} rows with something of shape {shape}; a model answers each row with one value, or "
            "with a decision and its probability"
        )
    for values in found:
        if values.dtype.kind not in "biuf":
            raise Complaint(
                f"its answers are {values.dtype}, such as {str(values[:1].tolist())[:60]}; decisions must be 0 or 1, "
                "predictions numbers"
            )
        if not np.isfinite(values.astype(np.float64)).all():
            raise Complaint("one of its answers is missing or infinite")
    return found


def probabilities(model: Any, X: Any) -> Any:
    """Return the (n,) probability of 1 behind a classifier's decisions, from the same loaded object; None without."""
    import numpy as np
    from mlflow.models.utils import _enforce_schema

    try:
        raw = model.get_raw_model()
    except Exception:
        return None
    if not hasattr(raw, "predict_proba"):
        return None
    schema = model.metadata.get_input_schema()
    found = np.asarray(raw.predict_proba(X if schema is None else _enforce_schema(X, schema)))
    if found.shape != (len(X), 2):
        raise Complaint(f"its probabilities have the shape {found.shape}; a classifier here has the classes 0 and 1")
    return found[:, 1]


def need_numbers(found: Any) -> None:
    """Complain about a probability that is missing or infinite; what lies beyond 0 and 1 is judged as a mere score."""
    import numpy as np

    odd = found[~np.isfinite(found)]
    if len(odd):
        raise Complaint(f"one of its probabilities is {odd[0]:g}; they lie between 0 and 1")


def table(model: Any, X: Any, answer: Any) -> dict[str, Any]:
    """Return what is judged of an answer, (n,) each: `decision` (0/1) and `score`; a regression has `score` alone."""
    import numpy as np

    first, *second = columns_of(answer, len(X))
    probable = second[0] if second else probabilities(model, X)
    if probable is not None:
        need_numbers(probable)
    if probable is None and first.dtype.kind == "f":
        return {"score": first.astype(np.float64)}
    if not np.isin(first, (0, 1)).all():
        if probable is None:
            return {"score": first.astype(np.float64)}
        odd = first[~np.isin(first, (0, 1))][0]
        raise Complaint(f"it answered {odd}; the decisions of a classifier must be 0 or 1")
    score = first if probable is None else probable
    return {"decision": first.astype(np.int8), "score": score.astype(np.float64)}


def row_by_row(model: Any, rows: Any, judged: list[str]) -> None:
    """Complain where an answer depends on the other rows of its table, or on when it is asked.

    rows: distinct ones; judged: the answers that they got in the table of their day. They are asked alone, in
    groups, and once more, since requests come in any size. Floats may differ in their last bits.
    """
    proof = sibling("proof")

    def alone(place: int) -> str:
        return proof.texts_of(ask(model, rows.iloc[[place]].reset_index(drop=True)), [1])[0]

    found = [alone(place) for place in range(len(rows))]
    for one, many in zip(found, judged, strict=True):
        if not sibling("same").same(one, many):
            raise Complaint(
                "what would be served differs from what is judged: its answer to a row depends on the other rows "
                f"({one[17:-2]} alone, {many[17:-2]} in the table of its day)"
            )
    steps = proof.same_in_groups(lambda frame: ask(model, frame), rows, found)
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        difference = stop.value[0]
    if difference is not None:
        raise Complaint(f"what would be served differs from what is judged: {difference.partition(': ')[2]}")
    if not all(sibling("same").same(found[place], alone(place)) for place in {0, len(rows) - 1}):
        raise Complaint("asked again, it answers the same row otherwise; a model must answer alike each time")


def over_http(model: Any, rows: Any, judged: list[str]) -> None:
    """Complain where rows that come as a request, in MLflow's JSON, are answered otherwise than as a table."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    proof = sibling("proof")
    data = [[_plain(value) for value in row] for row in rows.astype(object).itertuples(index=False, name=None)]
    try:
        body = json.loads(json.dumps({"dataframe_split": {"columns": list(rows.columns), "data": data}}))
        answer = ask(model, infer_and_parse_data(body, model.metadata.get_input_schema()))
    except Complaint:
        raise
    except Exception as error:
        raise Complaint(f"its rows cannot be sent as a request ({_short(error)})") from error
    found = proof.texts_of(answer, [1] * len(rows))
    if not all(sibling("same").same(one, other) for one, other in zip(judged, found, strict=True)):
        raise Complaint("rows that come as a request, in JSON, are answered otherwise than as a table")


def _plain(value: Any) -> Any:
    """A cell as JSON holds it; missing ones are null."""
    import pandas as pd

    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def milliseconds(model: Any, X: Any, rounds: int) -> dict[str, float]:
    """Median milliseconds of one-row and whole-sample answers."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, batch in (("one_row", X.head(1)), ("sample", X)):
            started = time.perf_counter()
            model.predict(batch)
            times.setdefault(name, []).append((time.perf_counter() - started) * 1000)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def part(job: dict[str, Any]) -> dict[str, Any]:
    """Answer one day's table of features: what a worker does of `answers`."""
    import pandas as pd

    X = pd.read_parquet(Path(job["features"]) / job["part"])
    return _part(load(job["model"], job.get("types", ())), X, Path(job["out"]) / job["part"])


def _part(model: Any, X: Any, out: Path) -> dict[str, Any]:
    """Write a day's answers; return how many, of which kind, and some rows (their places) with what they were answered.

    What is there under its name is whole, so a worker that dies leaves nothing that counts.
    """
    import pandas as pd

    answer = ask(model, X)
    found = table(model, X, answer)
    out.parent.mkdir(parents=True, exist_ok=True)
    begun = out.with_name(f".{out.name}.{os.getpid()}")
    pd.DataFrame(found).to_parquet(begun, index=False)
    begun.replace(out)
    places, texts = _sample(answer, found)
    print(f"{out.stem[5:]}: {len(X)} rows answered", flush=True)
    task = "classification" if "decision" in found else "regression"
    return {"rows": len(X), "task": task, "places": places, "texts": texts}


def answers(job: dict[str, Any]) -> dict[str, Any]:
    """Answer a folder of feature tables, a file a day; check a sample of rows as the server would be asked for them.

    parts: what `part` said of each day, in order, where workers have answered them.
    """
    import pandas as pd

    model, out = load(job["model"], job.get("types", ())), Path(job["out"])
    paths = sorted(Path(job["features"]).glob("part-*.parquet"))
    parts, samples, seen = [], [], []
    for path, told in zip(paths, job.get("parts") or [None] * len(paths), strict=True):
        X = pd.read_parquet(path)
        parts.append(told or _part(model, X, out / path.name))
        samples.append(X.iloc[parts[-1]["places"]])
        if job.get("training"):
            kept = sibling("drift").places(len(X), max(1, sibling("drift").MOST_ROWS // len(paths)))
            score = pd.read_parquet(out / path.name, columns=["score"])["score"]
            seen.append((X.iloc[kept], score.to_numpy()[kept]))
    tasks = {one["task"] for one in parts}
    if len(tasks) != 1:
        raise Complaint("on some days it answers 0 or 1 and on others something else" if tasks else "no rows to answer")
    rows = pd.concat(samples, ignore_index=True)
    judged = [text for one in parts for text in one["texts"]]
    chosen = _distinct(rows)
    row_by_row(model, rows.iloc[chosen].reset_index(drop=True), [judged[place] for place in chosen])
    over_http(model, rows.iloc[chosen].reset_index(drop=True), [judged[place] for place in chosen])
    latency = milliseconds(model, rows.head(SAMPLE_ROWS), int(job["rounds"]))
    result = {"rows": sum(one["rows"] for one in parts), "task": tasks.pop(), "latency_ms": latency}
    return result | ({"drift": _drift(model, job["training"], seen)} if job.get("training") else {})


def _drift(model: Any, training: str, seen: list[tuple[Any, Any]]) -> list[dict[str, Any]] | None:
    """How far scores and features of the test window have moved from those of training.

    A figure beside the verdict, so a failure is only printed.
    """
    import numpy as np
    import pandas as pd

    try:
        before, now = pd.read_parquet(training), pd.concat([X for X, _ in seen], ignore_index=True)
        said = table(model, before, ask(model, before))["score"], np.concatenate([score for _, score in seen])
        frames = [pd.DataFrame({"score": score}) for score in said]
        moved = sibling("drift").drift
        return [{"of": "score", **one} for one in moved(*frames)] + [
            {"of": "feature", **one} for one in moved(before, now)
        ]
    except Exception:
        traceback.print_exc()
        return None


def _sample(answer: Any, found: dict[str, Any]) -> tuple[list[int], list[str]]:
    """The places of some rows of a day and what they were answered: of each decision, so the rarer one is tried too."""
    import numpy as np
    import pandas as pd

    if "decision" in found:
        places = np.concatenate([np.flatnonzero(found["decision"] == one)[: SAMPLE_ROWS // 8] for one in (1, 0)])
    else:
        places = np.arange(min(len(found["score"]), SAMPLE_ROWS // 4))
    taken = answer.iloc[places] if isinstance(answer, pd.DataFrame | pd.Series) else np.asarray(answer)[places]
    return places.tolist(), sibling("proof").texts_of(taken, [1] * len(places))


def _distinct(rows: Any) -> list[int]:
    """Return the places of distinct rows, evenly, at most as many as may share a `predict` in the server."""
    import numpy as np

    places = np.flatnonzero(~rows.duplicated().to_numpy())
    most = min(len(places), sibling("proof").MOST_ROWS)
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)].tolist()


def example(job: dict[str, Any]) -> dict[str, Any]:
    """Load a model and let it answer its own example: what a rollback's target must still be able to do."""
    model = load(job["model"])
    return {"rows": 0 if model.input_example is None else len(model.input_example)}


STEPS = {"answers": answers, "part": part, "example": example}


def main(argv: list[str]) -> int:
    """Read a job file, run its step, write a result file; a Complaint becomes part of the result."""
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    if job.get("packages") is not None:  # what the model's requirements.txt names; after all others on the path
        site.addsitedir(job["packages"])
    try:
        result = STEPS[job["step"]](job)
    except Complaint as complaint:
        traceback.print_exc()
        result = {"complaint": str(complaint)}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        result = {"raised": traceback.format_exception_only(error)[-1].strip()}
    Path(argv[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
