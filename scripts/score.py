"""Score champion and candidate on the same rows: reads models and sources, writes scores/ and scores.json.

Each model gets its features from its own tree's data.py. Keys, labels and columns of both must agree;
where the candidate's data.py measures something else, the record says what.
"""

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from promotion.cli import command_line, handled
from promotion.config.model_yaml import read_spec
from promotion.errors import PromotionError
from promotion.pullrequest.workdir import ModelWork, Work
from promotion.records import Answered, ModelPlan, ScoresInfo, digest_files
from promotion.sandbox.run import run_model_code

PREDICTION = ("score", "decision", "sum.")


def score(plan: ModelPlan, work: Work, *, latency_rounds: int = 20) -> ScoresInfo:
    """Score both models of one plan; raise PromotionError when they cannot be compared."""
    files = work.model(plan.model)
    sides = ["candidate"] + (["champion"] if files.side("champion").model.is_dir() else [])
    if plan.champion is not None and "champion" not in sides:
        raise PromotionError(
            f"version {plan.champion.version}, the champion, has no files in {files.side('champion').model}; "
            "run prepare.py first"
        )
    measure = plan.judged_by.measure
    spec = read_spec(files.side("candidate").source, shown=Path("models") / plan.model)
    first, days, customs = spec.as_of, measure.test_days, list(measure.metrics)
    results = {side: _score_side(plan, files, side, first, days, customs) for side in sides}
    if len({result["task"] for result in results.values()}) > 1:
        raise PromotionError(f"{plan.model}: one model is a classifier and the other is not; they cannot be compared")
    changes = join(files, sides, first, days)
    task = results["candidate"]["task"]
    info = _describe(plan, files, sides, first, days, task, changes)
    milliseconds = _latency(files, sides, latency_rounds)
    info = info.model_copy(update={"latency_ms": milliseconds})
    info.write(files.scores_record)
    return info


def _score_side(
    plan: ModelPlan, files: ModelWork, side: str, first: date, days: int, customs: list[str]
) -> dict[str, Any]:
    own = files.side(side)
    shutil.rmtree(own.rows, ignore_errors=True)
    source = own.source if own.source.is_dir() else files.side("candidate").source
    return run_model_code(
        "score",
        {
            "source": str(source.resolve()),
            "metrics_source": str(files.side("candidate").source.resolve()),
            "model": str(own.model.resolve()),
            "first": str(first),
            "days": days,
            "out": str(own.rows.resolve()),
            "metrics": customs,
        },
        log=own.root / "score.log",
        blame=Path("models") / plan.model / "data.py",
    )


def join(files: ModelWork, sides: Sequence[str], first: date, days: int) -> tuple[str, ...]:
    """Write scores/ from the sides' rows, a part a day; return what the candidate's data measures differently."""
    import pandas as pd

    shutil.rmtree(files.scores, ignore_errors=True)
    files.scores.mkdir(parents=True)
    changes: dict[str, None] = {}
    for offset in range(days):
        name = f"part-{first + timedelta(days=offset)}.parquet"
        paths = [files.side(side).rows / name for side in sides]
        here = [path.is_file() for path in paths]
        if not any(here):
            continue
        if not all(here):
            raise PromotionError(
                f"only one of champion and candidate has rows on {name[5:15]}; both data.py must give the same rows"
            )
        tables = [_sorted(pd.read_parquet(path)) for path in paths]
        joined = _own(tables[0], "candidate")
        if len(tables) == 2:
            changes.update(dict.fromkeys(_compare(tables[0], tables[1], name[5:15])))
            champion = _own(tables[1], "champion")
            joined = joined.join(champion[[c for c in champion if c.startswith("champion.")]])
        joined.to_parquet(files.scores / name, index=False)
    return tuple(changes)


def _keys(table: Any) -> list[str]:
    return [column for column in table if column.startswith("key.")]


def _sorted(table: Any) -> Any:
    return table.sort_values(_keys(table), ignore_index=True)


def _own(table: Any, side: str) -> Any:
    return table.rename(columns={c: f"{side}.{c}" for c in table if c.startswith(PREDICTION)})


def _compare(candidate: Any, champion: Any, day: str) -> list[str]:
    """Return what differs between the two trees' rows, in sentences; other rows than the champion's are an error."""
    keys = _keys(candidate)
    if keys != _keys(champion):
        raise PromotionError(
            f"the candidate's rows are keyed by {keys}, the champion's by {_keys(champion)}; they cannot be paired"
        )
    if len(candidate) != len(champion) or not candidate[keys].equals(champion[keys]):
        raise PromotionError(
            f"on {day} the candidate's data.py gives {len(candidate)} rows and the champion's {len(champion)}, "
            "or other keys; both models must be judged on the same rows, so keep the test rows as they are"
        )
    changes = []
    if not candidate["label"].equals(champion["label"]):
        changes.append("the candidate's data.py changes the labels of test rows")
    mine, theirs = ({c for c in table if c.startswith("column.")} for table in (candidate, champion))
    changes += [f"the candidate's data.py drops the column {c[7:]}" for c in sorted(theirs - mine)]
    for column in sorted(mine & theirs):
        if not candidate[column].equals(champion[column]):
            changes.append(f"the candidate's data.py changes the values of {column[7:]}")
    return changes


def _describe(
    plan: ModelPlan, files: ModelWork, sides: list[str], first: date, days: int, task: str, changes: tuple[str, ...]
) -> ScoresInfo:
    from promotion.judgement.table import open_scores, predictions_digest, test_digest

    scores = open_scores(files.scores, plan.judged_by)
    champion = "champion" in sides
    return ScoresInfo(
        model=plan.model,
        task=task,  # type: ignore[arg-type]
        first=str(first),
        last=str(first + timedelta(days=days - 1)),
        rows=scores.rows,
        keys=tuple(scores.keys),
        columns=tuple(scores.columns),
        test_digest=test_digest(scores),
        candidate_predictions=predictions_digest(scores, "candidate"),
        champion_predictions=predictions_digest(scores, "champion") if champion else None,
        candidate_digest=digest_files(files.side("candidate").model),
        champion_digest=digest_files(files.side("champion").model) if champion else None,
        changes=changes,
    )


def _latency(files: ModelWork, sides: list[str], rounds: int) -> dict[str, float]:
    """Measure both models alternately in one process; informational, so a failure is only printed."""
    if rounds == 0:
        return {}
    parts = {
        side: {
            "model": str(files.side(side).model.resolve()),
            "sample": str((files.side(side).rows / "sample.parquet").resolve()),
        }
        for side in sides
    }
    try:
        job = {"sides": parts, "rounds": rounds}
        result = run_model_code("latency", job, log=files.root / "latency.log", blame=files.root)
    except PromotionError as error:
        print(f"latency was not measured: {error}")
        return {}
    return {name: round(float(value), 3) for name, value in result["latency_ms"].items()}


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and score every planned model, or one."""
    parser = command_line(
        "Score champion and candidate on the same rows of the test window.",
        "work",
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate,champion}/{source,model}/. "
        "Writes WORK/MODEL/scores/part-DAY.parquet and WORK/MODEL/scores.json. Holds no credentials.",
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    args = parser.parse_args(argv)
    work = Work(args.work)
    for item in work.chosen(args.model, ("train", "judge")):
        print(f"{item.model}: scoring the test window ...", flush=True)
        with work.model(item.model).noted():
            info = score(item, work)
        print(f"{item.model}: {info.rows} rows of {info.first} to {info.last} scored")
    for item in work.chosen(args.model, ("verify",)):
        with work.model(item.model).noted():
            answer(item, work)
    return 0


def answer(plan: ModelPlan, work: Work) -> None:
    """Load the pinned version of a verified pull request and let it answer its own saved example."""
    files = work.model(plan.model)
    model = files.side("pinned").model
    if not model.is_dir():
        return
    job = {"model": str(model.resolve())}
    result = run_model_code("answer", job, log=files.root / "answer.log", blame=model)
    digest = digest_files(model)
    Answered(model=plan.model, digest=digest, rows=int(result["rows"])).write(files.answered)
    print(f"{plan.model}: the pinned version loads and answers its example ({result['rows']} rows)")


if __name__ == "__main__":
    raise SystemExit(main())
