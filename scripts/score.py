"""Let candidate and champion answer the same rows: reads artifacts and sources, writes scores/ and scores.json.

Two sides, which on GitHub are two jobs. The candidate's: its saved folder answers the features that its own data.py
made, in a process with neither its source nor scripts/. The champion's: the base's tree says what the rows are (keys,
labels, money), its champion answers, and both are put side by side; of the candidate only its answers are read.
"""

import json
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path

from promotion.cli import command_line, handled
from promotion.errors import BAD_INPUT, OK, PromotionError
from promotion.judgement.places import place
from promotion.pullrequest.incoming import allowed_by, open_scored, take_in
from promotion.pullrequest.sides import add_sums, join, make_features, packages, window, without_lock
from promotion.pullrequest.workdir import ModelWork, Work, base_side
from promotion.records.charts import Drift, Drifts
from promotion.records.files import digest_files
from promotion.records.plan import ModelPlan
from promotion.records.steps import Answered, ScoresInfo
from promotion.sandbox.answering import answer
from promotion.sandbox.artifact import read_artifact
from promotion.sandbox.run import run_model, run_model_code
from promotion.sandbox.workers import Pool, workers
from promotion.text.progress import progress
from pydantic import TypeAdapter, ValidationError

ROUNDS = 20  # of measuring latency


def score(plan: ModelPlan, work: Work, *, latency_rounds: int = ROUNDS, pool: Pool | None = None) -> ScoresInfo:
    """Let both sides of one plan answer, one after the other; raise PromotionError when they cannot be compared.

    pool: who answers the days of the window; without one they are answered here, one after another.
    """
    answer_candidate(plan, work.model(plan.model), latency_rounds, pool)
    return score_champion(plan, work, latency_rounds=latency_rounds, pool=pool)


def answer_candidate(plan: ModelPlan, files: ModelWork, rounds: int = ROUNDS, pool: Pool | None = None) -> Answered:
    """Let the candidate's saved folder answer its features; raise PromotionError when it is not allowed or does not."""
    side = files.side("candidate")
    if plan.action == "watch":  # it was champion: its files are those that were allowed then
        return _answer(plan, files, "candidate", rounds, pool=pool)
    artifact = read_artifact(side.model, allowed_by(plan), source=side.source)
    return _answer(plan, files, "candidate", rounds, artifact.types, pool)


def predecessor_features(plan: ModelPlan, files: ModelWork) -> None:
    """Make what a look's predecessor gets, by its own tree; by the champion's where it was adopted without one."""
    if files.side("candidate").source.is_dir():
        make_features(plan, files, "candidate")
        return
    make_features(plan, files, "champion")
    for name in ("features", "table"):
        shutil.copytree(files.side("champion").root / name, files.side("candidate").root / name, dirs_exist_ok=True)


def _answer(
    plan: ModelPlan, files: ModelWork, side: str, rounds: int, types: tuple[str, ...] = (), pool: Pool | None = None
) -> Answered:
    own = files.side(side)
    shutil.rmtree(own.answers, ignore_errors=True)
    job = {
        "model": str(own.model.resolve()),
        "features": str(own.features.resolve()),
        "out": str(own.answers.resolve()),
        "rounds": rounds,
        "types": types,
        "packages": packages(plan, files, side),
        "training": str(own.training.resolve()) if own.training.is_file() else None,
    }
    rows = {path.name: _rows(path) for path in own.features.glob("part-*")}
    what = f"{plan.model}: the {side} answers the test window"
    with progress(what, sum(rows.values()), "rows", done=lambda: _done(own.answers, rows)):
        try:
            result = answer(job, log=own.root / "answer.log", blame=_made_by(plan, files, side), pool=pool)
        except PromotionError as error:
            note = without_lock(plan, files, side)
            if note is None:
                raise
            raise PromotionError(f"{error.message}; {note}", file=error.file, log=error.log) from None
    record = Answered(
        model=plan.model,
        digest=digest_files(own.model),
        rows=int(result["rows"]),
        task=result["task"],
        latency_ms={name: float(value) for name, value in result["latency_ms"].items()},
        drift=_drifts(result.get("drift"), own.model),
    )
    record.write(own.answered)
    return record


def _rows(path: Path) -> int:
    """How many rows a table has, for how far a step is; what is wrong with it is said by who reads it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def _done(answers: Path, rows: dict[str, int]) -> int:
    return sum(rows.get(path.name, 0) for path in answers.glob("part-*"))


def _made_by(plan: ModelPlan, files: ModelWork, side: str) -> Path:
    """The file to mend where a model does not answer as it must; its own folder where nobody can mend it any more."""
    if side != "candidate" or plan.action == "watch":
        return files.side(side).model
    return plan.shown / ("train.py" if (files.side(side).source / "train.py").is_file() else "model.yaml")


def _drifts(found: object, blame: Path) -> tuple[Drift, ...] | None:
    """What the process that answered says of drift; None where it could not say."""
    try:
        return None if found is None else TypeAdapter(Drifts).validate_json(json.dumps(found))
    except ValidationError:
        raise PromotionError("what it says of the drift of its features is no record of it", file=blame) from None


def score_champion(
    plan: ModelPlan, work: Work, *, latency_rounds: int = ROUNDS, pool: Pool | None = None
) -> ScoresInfo:
    """Make the rows by the base's tree, let its champion answer, and put the candidate's answers beside its own."""
    files = work.model(plan.model)
    candidate = Answered.read(files.side("candidate").answered)
    champion = files.side("champion")
    if plan.champion is not None and not champion.model.is_dir():
        raise PromotionError(
            f"version {plan.champion.version}, the champion, has no files in {champion.model}; run prepare.py first"
        )
    first, days = window(plan, files)
    answered = {"candidate": candidate}
    if base_side(files) == "champion":
        make_features(plan, files, "champion")
    if plan.champion is not None:
        if base_side(files) == "candidate":  # adopted without a tree: it gets what the candidate's data.py makes
            for name in ("features", "table"):
                shutil.copytree(files.side("candidate").root / name, champion.root / name, dirs_exist_ok=True)
        answered["champion"] = _answer(plan, files, "champion", latency_rounds, pool=pool)
    if len({record.task for record in answered.values()}) > 1:
        raise PromotionError(f"{plan.model}: one model is a classifier and the other is not; they cannot be compared")
    changes = join(files, list(answered), first, days)
    sum_metrics(plan, files, list(answered))
    info = _describe(plan, files, answered, first, days, changes)
    info.write(files.scores_record)
    return info


def sum_metrics(plan: ModelPlan, files: ModelWork, sides: list[str]) -> None:
    """Let the base's metrics.py sum both sides' answers, where the policy has metrics of its own."""
    metrics = list(plan.judged_by.measure.metrics)
    if not metrics:
        return
    base, out = files.side(base_side(files)), files.root / "sums"
    shutil.rmtree(out, ignore_errors=True)
    job = {
        "source": str(base.source.resolve()),
        "scores": str(files.scores.resolve()),
        "sides": sides,
        "metrics": metrics,
        "packages": packages(plan, files, base_side(files)),
        "out": str(out.resolve()),
    }
    run_model_code("sums", job, log=files.root / "sums.log", blame=plan.shown)
    add_sums(files, out)


def _describe(
    plan: ModelPlan, files: ModelWork, answered: dict[str, Answered], first: date, days: int, changes: tuple[str, ...]
) -> ScoresInfo:
    from promotion.judgement.table import predictions_digest, rows_digest

    names = [f"{first + timedelta(days=offset)}" for offset in range(days)]
    empty = tuple(day for day in names if not (files.scores / f"part-{day}.parquet").is_file())  # declared by data.py
    scores = open_scored(plan, files, empty)
    candidate, champion = answered["candidate"], answered.get("champion")
    return ScoresInfo(
        model=plan.model,
        task=candidate.task or "regression",
        first=str(first),
        last=str(first + timedelta(days=days - 1)),
        rows=scores.rows,
        keys=tuple(scores.keys),
        columns=tuple(scores.columns),
        test_digest=rows_digest(scores),
        candidate_predictions=predictions_digest(scores, "candidate"),
        champion_predictions=None if champion is None else predictions_digest(scores, "champion"),
        candidate_digest=candidate.digest,
        champion_digest=None if champion is None else champion.digest,
        changes=changes,
        empty_days=empty or None,
        drift=candidate.drift,
        latency_ms={f"{side}.{name}": value for side in answered for name, value in answered[side].latency_ms.items()},
    )


def answer_example(plan: ModelPlan, work: Work) -> None:
    """Load the pinned version of a verified pull request and let it answer its own saved example."""
    files = work.model(plan.model)
    model = files.side("pinned").model
    if not model.is_dir():
        return
    job = {"model": str(model.resolve()), "packages": packages(plan, files, "pinned")}
    result = run_model("example", job, log=files.root / "answer.log", blame=model)
    Answered(model=plan.model, digest=digest_files(model), rows=int(result["rows"])).write(files.answered)
    print(f"{plan.model}: the pinned version loads and answers its example ({result['rows']} rows)")


@handled
def main(argv: list[str] | None = None) -> int:
    """Parse arguments and let every planned model answer, or one; one that fails does not stop the others."""
    parser = command_line(
        "Let candidate and champion answer the same rows of the test window.",
        "work",
        "workers",
        "cluster",
        epilog="Reads WORK/plan.json and WORK/MODEL/{candidate,champion}/. Writes WORK/MODEL/candidate/{answers/,"
        "answered.json} (candidate) and WORK/MODEL/{scores/part-DAY.parquet,scores.json} (champion). "
        "Holds no credentials. A cluster sees WORK, or --share, and has requirements/train.txt.",
    )
    parser.add_argument("--model", help="only this model (default: every planned one)")
    parser.add_argument("--side", choices=("candidate", "champion"), help="only this side (default: both)")
    parser.add_argument(
        "--incoming",
        type=Path,
        metavar="FOLDER",
        help="first take what the jobs before handed over in FOLDER/{trained,answered}-MODEL/",
    )
    parser.add_argument(
        "--share",
        type=place,
        metavar="URL",
        help="where workers that do not see WORK get model and days, and leave their answers: s3://… or a folder",
    )
    args = parser.parse_args(argv)
    work, failed = Work(args.work), []
    with work.held(), workers(args.workers, args.cluster, share=args.share) as pool:
        for item in work.chosen(args.model, ("train", "judge", "verify", "watch")):
            try:
                with work.model(item.model).noted():
                    _one(item, work, args.side, args.incoming, pool)
            except PromotionError as error:
                print(f"error: {error}", file=sys.stderr)
                failed.append(item.model)
    return BAD_INPUT if failed else OK


def _one(item: ModelPlan, work: Work, side: str | None, incoming: Path | None, pool: Pool | None) -> None:
    files = work.model(item.model)
    if item.action == "verify":
        if side != "candidate":
            answer_example(item, work)
        return
    if item.action == "watch":
        predecessor_features(item, files)
    if incoming is not None:
        take_in(incoming, files, item.action, "answer" if side == "candidate" else "score")
    if side != "champion":
        answer_candidate(item, files, pool=pool)
    if side != "candidate":
        info = score_champion(item, work, pool=pool)
        print(f"{item.model}: {info.rows} rows of {info.first} to {info.last} scored")


if __name__ == "__main__":
    raise SystemExit(main())
