"""Records that come from a job which ran model code: nothing in them is trusted before it is checked."""

import shutil
from datetime import date
from pathlib import Path

import yaml

from promotion.config.model_yaml import read_spec, windows
from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.table import open_scores, predictions_digest, test_digest
from promotion.pullrequest.workdir import ModelWork
from promotion.records import Candidate, ModelPlan, Plan, ScoresInfo, digest_files

SCORED = ("scores", "scores.json", "error.txt")
EXPECTED = {
    "train": ("candidate/candidate.json", "candidate/model", "candidate/train.log", *SCORED),
    "judge": SCORED,  # trained before: the candidate's files come from the registry
    "verify": ("answered.json", "error.txt"),
}
MAX_ERROR = 4_000
MAX_FILES = 10_000
MAX_BYTES = 20 * 1024**3


def take_in(incoming: Path, files: ModelWork, action: str = "train") -> None:
    """Copy what a job without credentials may hand over for this action, and only that, into the work folder.

    Raise PromotionError for a link, a special file, more than any honest job would send, or the job's own
    error where it left one.
    """
    count = size = 0
    _plain_folders(incoming)
    for name in EXPECTED[action]:
        source, target = incoming / name, files.root / name
        if not source.exists() and not source.is_symlink():
            continue
        for path in [source, *(source.rglob("*") if source.is_dir() and not source.is_symlink() else ())]:
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise PromotionError("a link or special file is not a record; nothing of this job was used", file=path)
            count += 1
            size += path.stat().st_size
            if count > MAX_FILES or size > MAX_BYTES:
                raise PromotionError(f"more than {MAX_FILES} files or {MAX_BYTES} bytes; not used", file=incoming)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    if files.error.is_file():
        with files.error.open(encoding="utf-8", errors="replace") as handle:
            raise PromotionError(handle.read(MAX_ERROR).strip() or "its job failed without saying why")


def _plain_folders(incoming: Path) -> None:
    """Refuse links above what is copied: `candidate` -> somewhere else would be followed."""
    for path in (incoming, incoming / "candidate"):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise PromotionError("a link or special file is not a record; nothing of this job was used", file=path)


def check_incoming(
    plan: ModelPlan, whole: Plan, files: ModelWork, *, trained_before: bool = False
) -> tuple[Candidate, ScoresInfo, Policy]:
    """Compare candidate and scores with the plan: same tree, files, window, rows. Raise PromotionError if not."""
    policy = plan.judged_by
    candidate = Candidate.read(files.candidate_record)
    spec = read_spec(files.side("candidate").source, shown=Path("models") / plan.model)
    spans = windows(spec, test_days=policy.measure.test_days, delay_days=policy.measure.delay_days)
    want = {"model": plan.model, "key": plan.key, "source_tree": plan.source_tree, "lock": whole.lock}
    want |= {"as_of": str(spec.as_of), "digest": digest_files(files.side("candidate").model)}
    want |= {"parameters": spec.parameters, "seed": spec.seed, "trusted_types": spec.trusted_types}
    if not trained_before:
        want["labels_known_by"] = str(spans.labels_known_by)
    for name, value in want.items():
        if getattr(candidate, name) != value:
            raise PromotionError(
                f"its {name} is {getattr(candidate, name)!r}, the plan asks for {value!r}; train it again",
                file=files.candidate_record,
            )
    check_files(files.side("candidate").model, spec.trusted_types)
    info = ScoresInfo.read(files.scores_record)
    _check_scores(plan, policy, candidate, info, files, (str(spans.test.first), str(spans.test.last)))
    return candidate, info, policy


def check_files(model: Path, trusted: tuple[str, ...]) -> None:
    """Refuse a saved model that would run code when loaded: it must be scikit-learn's, in skops, of declared types."""
    path = model / "MLmodel"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavors = raw["flavors"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise PromotionError("not an MLflow model folder; train.py must save one", file=path) from None
    sklearn = flavors.get("sklearn")
    if sklearn is None:
        raise PromotionError(
            f"its flavours are {sorted(flavors)}; this gate accepts scikit-learn models in skops format", file=path
        )
    if sklearn.get("serialization_format") != "skops":
        raise PromotionError("it is pickled, and loading a pickle runs code; save it with skops", file=path)
    extra = sorted(set(sklearn.get("skops_trusted_types") or ()) - set(trusted))
    if extra:
        raise PromotionError(f"it contains types that model.yaml does not declare in trusted_types: {extra}", file=path)


def _check_scores(
    plan: ModelPlan, policy: Policy, candidate: Candidate, info: ScoresInfo, files: ModelWork, window: tuple[str, str]
) -> None:
    where = files.scores_record
    if (info.model, info.first, info.last) != (plan.model, *window):
        raise PromotionError(
            f"it is about {info.model} on {info.first} to {info.last}, "
            f"not about {plan.model} on {window[0]} to {window[1]}",
            file=where,
        )
    if info.candidate_digest != candidate.digest:
        raise PromotionError("it was made with other model files than candidate.json names; score again", file=where)
    pinned = None if plan.champion is None else plan.champion.digest
    if (info.champion_predictions is None) != (plan.champion is None) or (pinned and info.champion_digest != pinned):
        raise PromotionError("it was not made with the champion's pinned files; score again", file=where)
    scores = open_scores(files.scores, policy)
    found = (test_digest(scores), predictions_digest(scores, "candidate"))
    if found != (info.test_digest, info.candidate_predictions):
        raise PromotionError("the scores do not hash to what scores.json says; they were changed", file=files.scores)
    if plan.champion is not None and predictions_digest(scores, "champion") != info.champion_predictions:
        raise PromotionError("the champion's scores do not hash to what scores.json says", file=files.scores)


def overlaps(first: str, last: str, other_first: str, other_last: str) -> bool:
    """Whether two spans of ISO days share a day."""
    return date.fromisoformat(first) <= date.fromisoformat(other_last) and date.fromisoformat(
        other_first
    ) <= date.fromisoformat(last)
