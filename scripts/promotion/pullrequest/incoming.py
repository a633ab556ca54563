"""Records that come from a job which ran model code: nothing in them is trusted before it is checked."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from promotion.config.model_yaml import read_spec, windows
from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.table import READING, Reading, Scores, open_scores, predictions_digest, rows_digest
from promotion.judgement.targets import listed
from promotion.model import Window
from promotion.pullrequest.workdir import ModelWork, tail
from promotion.records.files import digest_files
from promotion.records.plan import ModelPlan
from promotion.records.steps import Candidate, ScoresInfo
from promotion.sandbox.artifact import Allowed, Artifact, read_artifact
from promotion.sandbox.tables import take_tables

# Who takes what of which job's folder, by what is planned; a tree that was trained before is not taken again.
TRAINED, ANSWERED, SCORED = "trained-{model}", "answered-{model}", "scored/{model}"
MADE = ("candidate/candidate.json", "candidate/model")
FEATURES = ("candidate/features", "candidate/table")
TAKEN: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("answer", "train"): {TRAINED: ("candidate/model", "candidate/training.parquet", *FEATURES)},
    ("answer", "judge"): {TRAINED: FEATURES},
    ("score", "train"): {ANSWERED: (*FEATURES, "candidate/answers", "candidate/answered.json")},
    ("judge", "train"): {TRAINED: MADE, SCORED: ("scores", "scores.json")},
    ("judge", "judge"): {SCORED: ("scores", "scores.json")},
    ("judge", "verify"): {SCORED: ("answered.json",)},
    ("judge", "watch"): {SCORED: ("scores", "scores.json")},
}
TAKEN["score", "judge"] = TAKEN["score", "train"]
JOBS = {TRAINED: "train", ANSWERED: "answer", SCORED: "score"}
RESULTS = ("candidate/candidate.json", "candidate/table", "candidate/answered.json", "scores.json")
TABLES = ("candidate/table", "candidate/answers", "scores")
MAX_ERROR = 4_000
MAX_FILES = 10_000
MAX_BYTES = 20 * 1024**3


def take_in(incoming: Path, files: ModelWork, action: str, taker: str = "judge") -> None:
    """Copy what jobs without credentials may hand over to `taker` for this action, and only that, into the work folder.

    Raise PromotionError for a link, a special file, more than any honest job would send, a table that cannot be
    read within its limits, a job's own error where it left one, or a job that left neither that nor its result.
    """
    count = size = 0
    for place, names in TAKEN.get((taker, action), {}).items():
        folder = incoming / place.format(model=files.root.name)
        _plain_folders(incoming, folder)
        for name in (*names, "error.txt", "error.log"):
            source, target = folder / name, files.root / name
            if not source.exists() and not source.is_symlink():
                continue
            for path in [source, *(source.rglob("*") if source.is_dir() and not source.is_symlink() else ())]:
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise PromotionError(
                        "a link or special file is not a record; nothing of this job was used", file=path
                    )
                count += 1
                size += path.stat().st_size
                if count > MAX_FILES or size > MAX_BYTES:
                    raise PromotionError(f"more than {MAX_FILES} files or {MAX_BYTES} bytes; not used", file=folder)
            _take(source, target, table=name in TABLES and taker != "answer")
        if files.error.is_file():
            with files.error.open(encoding="utf-8", errors="replace") as handle:
                raise PromotionError(handle.read(MAX_ERROR).strip() or "its job failed without saying why")
        for name in names:
            if name in RESULTS and not (folder / name).exists():
                raise PromotionError(
                    f"its {JOBS[place]} job ended without {Path(name).name} and without a reason: it was stopped, or "
                    "failed outside the model; see that job's log, then run it again"
                )


def _take(source: Path, target: Path, *, table: bool) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if table and source.is_dir():
        take_tables(source, target)
    elif target.name == "error.log" and source.is_file():
        target.write_bytes(tail(source))
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _plain_folders(incoming: Path, folder: Path) -> None:
    """Refuse links above what is copied: `candidate` -> somewhere else would be followed."""
    for path in (incoming, *reversed(folder.relative_to(incoming).parents[:-1]), folder, folder / "candidate"):
        path = incoming / path
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise PromotionError("a link or special file is not a record; nothing of this job was used", file=path)


@dataclass(frozen=True)
class Believed:
    """What came in and was checked: the candidate's record and its files, the policy in force, and the scores.

    These scores were opened once, and these are judged.
    """

    candidate: Candidate
    artifact: Artifact
    info: ScoresInfo
    policy: Policy
    scores: Scores


def allowed_by(plan: ModelPlan) -> Allowed:
    """What promotion.yaml allows in this model's files beyond what runs no code."""
    return Allowed.by(plan.judged_by)


def check_incoming(plan: ModelPlan, files: ModelWork, *, lock: str, reading: Reading = READING) -> Believed:
    """Compare candidate and scores with the plan: same tree, files, window, rows. Raise PromotionError if not.

    lock: the plan's, of the environment that trained. What the model accepts and contains is read from its files,
    never from a record about them.
    """
    policy = plan.judged_by
    candidate = Candidate.read(files.candidate_record)
    side = files.side("candidate")
    spec = read_spec(side.source, shown=Path("models") / plan.model)
    spans = windows(spec, test_days=policy.measure.test_days, delay_days=policy.measure.delay_days)
    artifact = read_artifact(side.model, allowed_by(plan), source=side.source)
    want: dict[str, object] = {
        "model": plan.model,
        "key": plan.key,
        "source_tree": plan.source_tree,
        "lock": lock,
    }
    want |= {"as_of": str(spec.as_of), "digest": digest_files(side.model)}
    want |= {"parameters": spec.parameters, "seed": spec.seed}
    if plan.run_id is None:  # it was trained in this run
        want["labels_known_by"] = str(spans.labels_known_by)
    for name, value in want.items():
        if getattr(candidate, name) != value:
            raise PromotionError(
                f"its {name} is {getattr(candidate, name)!r}, the plan asks for {value!r}; train it again",
                file=files.candidate_record,
            )
    info, scores = check_scored(plan, files, spans.test, candidate.digest, reading=reading)
    return Believed(candidate, artifact, info, policy, scores)


def check_scored(
    plan: ModelPlan, files: ModelWork, window: Window, digest: str | None, *, reading: Reading = READING
) -> tuple[ScoresInfo, Scores]:
    """Compare the scores with the plan: these days, the pinned champion, and the other model's files.

    digest: of those, None where nobody knows it (adopted). Raise PromotionError if they differ.
    """
    info, where = ScoresInfo.read(files.scores_record), files.scores_record
    if (info.model, info.first, info.last) != (plan.model, str(window.first), str(window.last)):
        raise PromotionError(
            f"it is about {info.model} on {info.first} to {info.last}, not about {plan.model} on {window}", file=where
        )
    if digest is not None and info.candidate_digest != digest:
        raise PromotionError(
            "it was made with other model files than the plan and candidate.json name; score again", file=where
        )
    pinned = None if plan.champion is None else plan.champion.digest
    if (info.champion_predictions is None) != (plan.champion is None) or (pinned and info.champion_digest != pinned):
        raise PromotionError("it was not made with the champion's pinned files; score again", file=where)
    scores = open_scored(plan, files, info.empty_days or (), reading)
    _check_scores(plan, info, scores, window)
    return info, scores


def open_scored(plan: ModelPlan, files: ModelWork, empty: Sequence[str], reading: Reading = READING) -> Scores:
    """Open what score.py joined; an error about a value that a data.py gave names that file."""
    try:
        return open_scores(files.scores, plan.judged_by, empty=empty, reading=reading)
    except PromotionError as error:
        if re.match(r"label|key\.|column\.", error.message) is None:
            raise
        raise PromotionError(f"{error.message}; {plan.shown}/data.py gives it", file=error.file) from None


def _check_scores(plan: ModelPlan, info: ScoresInfo, scores: Scores, window: Window) -> None:
    found = (rows_digest(scores), predictions_digest(scores, "candidate"))
    if found != (info.test_digest, info.candidate_predictions):
        raise PromotionError("the scores do not hash to what scores.json says; they were changed", file=scores.where)
    if plan.champion is not None and predictions_digest(scores, "champion") != info.champion_predictions:
        raise PromotionError("the champion's scores do not hash to what scores.json says", file=scores.where)
    first = (window.first - date(1970, 1, 1)).days
    asked, there = set(range(first, first + window.days)), set(scores.counted())
    for days, what in ((asked - there, "no rows on"), (there - asked, "rows outside the test window, on")):
        if days:
            raise PromotionError(f"{what} {listed(tuple(sorted(days)))}; score again", file=scores.where)


def overlaps(first: str, last: str, other_first: str, other_last: str) -> bool:
    """Whether two spans of ISO days share a day."""
    return date.fromisoformat(first) <= date.fromisoformat(other_last) and date.fromisoformat(
        other_first
    ) <= date.fromisoformat(last)
