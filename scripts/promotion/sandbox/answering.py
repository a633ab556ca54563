"""A model answers the days of a window: one after another, or each by a worker, with the same bytes."""

import functools
import importlib.metadata
import tempfile
import uuid
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.judgement.places import Place, copied, inside, removed
from promotion.sandbox.run import run_model
from promotion.sandbox.workers import Pool

# Whose versions could change a bit of an answer.
ANSWER = ("mlflow-skinny", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
SENT = ("model", "packages")  # folders that every day's work needs


def answer(job: dict[str, Any], *, log: Path, blame: Path, pool: Pool | None = None) -> dict[str, Any]:
    """Run answer.py's `answers`; with workers each day is answered by one of them, and all is checked here.

    The folders of the job and of the log are such as the workers see too, or all goes by `pool.share`, a folder or URL
    that they see. Wherever it runs, a model is in a process of its own, whose environment holds no secret.
    """
    if pool is None:
        return run_model("answers", job, log=log, blame=blame)
    days = sorted(path.name for path in Path(job["features"]).glob("part-*.parquet"))
    if pool.share is not None:
        parts = _by_share(job, days, pool, pool.share, blame)
    else:
        logs = [log.resolve().with_name(f"{log.stem}-{day[5:-8]}.log") for day in days]
        items = [({**job, "part": day}, _versions(), one, blame) for day, one in zip(days, logs, strict=True)]
        parts = list(pool.map(_part, items))
    return run_model("answers", {**job, "parts": parts}, log=log, blame=blame)


def _by_share(job: dict[str, Any], days: list[str], pool: Pool, share: Place, blame: Path) -> list[dict[str, Any]]:
    """Put model and days where the workers find them, let them answer there, and fetch the answers."""
    place, out = inside(share, f"promotion-{uuid.uuid4().hex}"), Path(job["out"])
    sent = tuple(name for name in SENT if job.get(name) is not None)
    try:
        for name in (*sent, "features"):
            copied(Path(job[name]), inside(place, name))
        items = [({**job, "part": day}, _versions(), place, sent, blame) for day in days]
        parts = list(pool.map(_sent_part, items))
        out.mkdir(parents=True, exist_ok=True)
        for day in days:
            copied(inside(place, f"answers/{day}"), out / day)
    finally:
        removed(place)
    return parts


def _sent_part(
    job: dict[str, Any], wanted: dict[str, str | None], place: Place, sent: tuple[str, ...], blame: Path
) -> dict[str, Any]:
    """What a worker does that sees no folder of ours: fetch, answer, leave the answers."""
    day, kept = job["part"], _kept(place, sent)
    with tempfile.TemporaryDirectory() as name:
        features, out = Path(name) / "features", Path(name) / "answers"
        copied(inside(place, f"features/{day}"), features / day)
        here = {one: f"{kept.name}/{one}" if one in sent else None for one in SENT}
        job = {**job, **here, "features": str(features), "out": str(out)}
        found = _part(job, wanted, Path(name) / "answer.log", blame)
        copied(out / day, inside(place, f"answers/{day}"))
    return found


@functools.lru_cache(maxsize=1)
def _kept(place: Place, names: tuple[str, ...]) -> "tempfile.TemporaryDirectory[str]":
    """A folder with what every day needs, fetched once a worker; it goes when another model's comes."""
    folder = tempfile.TemporaryDirectory(prefix="promotion-")
    for name in names:
        copied(inside(place, name), Path(folder.name) / name)
    return folder


def _part(job: dict[str, Any], wanted: dict[str, str | None], log: Path, blame: Path) -> dict[str, Any]:
    """What a worker does."""
    here = _versions()
    odd = [
        f"no {name}" if here.get(name) is None else f"{name} {here[name]} instead of {said}"
        for name, said in wanted.items()
        if said is not None and here.get(name) != said
    ]
    if odd:
        raise PromotionError(f"a worker has {', '.join(odd)}; install the same requirements/train.txt there")
    for name in (*SENT, "features"):
        if job.get(name) is not None and not Path(job[name]).is_dir():
            raise PromotionError(
                "a worker does not see this folder; give a --work that all of them share, or --share s3://…",
                file=job[name],
            )
    return run_model("part", job, log=log, blame=blame)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(ANSWER)
    for name in ANSWER:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
