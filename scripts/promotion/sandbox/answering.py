"""A model answers the days of a window: one after another, or each by a worker, with the same bytes."""

import importlib.metadata
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.sandbox.run import run_model
from promotion.sandbox.workers import Pool

# Whose versions could change a bit of an answer.
ANSWER = ("mlflow-skinny", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")


def answer(job: dict[str, Any], *, log: Path, blame: Path, pool: Pool | None = None) -> dict[str, Any]:
    """Run answer.py's `answers`; with workers each day is answered by one of them, and all is checked here.

    The folders of the job and of the log are such as the workers see too. Wherever it runs, a model is in a process of
    its own, whose environment holds no secret.
    """
    if pool is None:
        return run_model("answers", job, log=log, blame=blame)
    wanted = _versions()
    days = sorted(path.name for path in Path(job["features"]).glob("part-*.parquet"))
    logs = [log.resolve().with_name(f"{log.stem}-{day[5:-8]}.log") for day in days]
    items = [({**job, "part": day}, wanted, one, blame) for day, one in zip(days, logs, strict=True)]
    return run_model("answers", {**job, "parts": list(pool.map(_part, items))}, log=log, blame=blame)


def _part(job: dict[str, Any], wanted: dict[str, str | None], log: Path, blame: Path) -> dict[str, Any]:
    """What a worker does."""
    here = _versions()
    odd = [
        f"{name} {here[name] or 'is not there'} instead of {said}"
        for name, said in wanted.items()
        if said is not None and here[name] != said
    ]
    if odd:
        raise PromotionError(f"a worker has {', '.join(odd)}; install the same requirements/train.txt there")
    if not Path(job["features"]).is_dir():
        raise PromotionError("a worker does not see this folder; give a --work that all of them share", file=log.parent)
    return run_model("part", job, log=log, blame=blame)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(ANSWER)
    for name in ANSWER:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
