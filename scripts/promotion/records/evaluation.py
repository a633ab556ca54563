"""Frozen records: the only thing that passes from one verb to the next, as JSON with a schema version.

A record is written in one canonical form (fields in the order of their declaration, mappings in the
order of their source because the order of rules means something, no NaN, a final newline), so the
same content has the same bytes and the same digest on every machine.
"""

import hashlib
import math
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from promotion.config.pin import PinRecord
from promotion.config.policy import FILE, Place, Policy
from promotion.errors import PromotionError
from promotion.frozen import Frozen, canonical_json, sha256_text, strict_json
from promotion.text.escape import clean

MAX_RECORD_BYTES = 16 * 1024 * 1024


def added() -> Any:
    """A field that a later release added: None in older records, whose canonical text then stays without it.

    So an old record that is read and written again has the same bytes, and the digest that a pin names.
    """
    return Field(default=None, exclude_if=lambda value: value is None)


class Record(Frozen):
    """A record that is a file of its own; `schema_version` says how to read it."""

    SCHEMA: ClassVar[int] = 1
    schema_version: int = 1

    def text(self) -> str:
        """Return the record's one canonical JSON text."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """`sha256:<hex>` of the canonical text."""
        return sha256_text(self.text())

    def write(self, path: Path) -> Path:
        """Write the record to `path`, through a temporary file so that a reader never sees half of it.

        Raise PromotionError where nothing can be written there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + ".part")
            temporary.write_text(self.text(), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            why = f"cannot be written ({error.strerror or error}); give another folder, permission, or room"
            raise PromotionError(why, file=path) from None
        return path

    @classmethod
    def parse(cls, text: str, *, where: str | Path) -> Self:
        """Read a record from JSON `text`; raise PromotionError that names `where` when it is not one."""
        try:
            raw = strict_json(text)
        except ValueError as error:
            raise PromotionError(f"not a JSON record ({error}); make it again", file=where) from None
        if not isinstance(raw, dict) or raw.get("schema_version") != cls.SCHEMA:
            found = raw.get("schema_version") if isinstance(raw, dict) else None
            raise PromotionError(
                f"this is not a {cls.__name__} of schema version {cls.SCHEMA} (it says {clean(repr(found), 60)}); "
                "make it again with this checkout's scripts",
                file=where,
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = clean(".".join(str(part) for part in first["loc"]), 100)
            raise PromotionError(
                f"not a valid {cls.__name__}: {place}: {clean(first['msg'].lower(), 200)}; make it again", file=where
            ) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a file; raise PromotionError when it is missing, too large or malformed."""
        try:
            if path.stat().st_size > MAX_RECORD_BYTES:
                raise PromotionError(f"larger than {MAX_RECORD_BYTES} bytes, so it is not a record", file=path)
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise PromotionError("missing; run the step that writes it first", file=path) from None
        except UnicodeDecodeError:
            raise PromotionError("not UTF-8 text, so it is not a record; make it again", file=path) from None
        except OSError as error:
            raise PromotionError(f"cannot be read ({error.strerror or error}), so it is no record", file=path) from None
        return cls.parse(text, where=path)


META = "registered_model_meta"
META_TEXT = re.compile(rb"model_name: [^\r\n]{1,300}\nmodel_version: [^\r\n]{1,100}\n")


def is_meta(path: Path) -> bool:
    """Whether a file is the note (name and version) that MLflow writes into the top of some downloads, and no more."""
    return path.stat().st_size < 500 and META_TEXT.fullmatch(path.read_bytes()) is not None


def digest_files(folder: Path) -> str:
    """`sha256:<hex>` over the sorted relative paths, sizes and contents of all files below `folder`.

    Only MLflow's own note of a download, at the top, is left out. Raise PromotionError for a link or special file.
    """
    if not folder.is_dir():
        raise PromotionError("no such folder of model files", file=folder)
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PromotionError("a link or special file; a model is plain files", file=path)
        if path.is_dir() or (path == folder / META and is_meta(path)):
            continue
        with path.open("rb") as handle:
            content = hashlib.file_digest(handle, "sha256").hexdigest()
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        total.update(name + f"\0{path.stat().st_size}\0{content}\n".encode())
    return "sha256:" + total.hexdigest()


def finite(value: float | None, digits: int = 10) -> float | None:
    """Round to `digits` significant digits for a record; None for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


Verdict = Literal["REJECTED", "PROMOTE", "KEEP", "INCONCLUSIVE", "FIRST", "SAME"]
WINNING: frozenset[str] = frozenset({"PROMOTE", "FIRST", "SAME"})


class Assumptions(Frozen):
    """What the claim of a challenge rule rests on (`judgement/support.py` says why each matters).

    clusters: those with anything in them, in the rule's own slice. differing: those where the models' sums differ.
    counted: those that a rate is over, such as clusters with positives. skew, expected_skew: of the sum over
    clusters, as seen and as what is at stake lets expect it; below -0.2 few large losses, above 0.2 few large gains
    pull at it. largest_share: of the largest cluster in the sizes of all differences. without_largest: the
    difference without it. unseen: the largest loss (gain, where the candidate is worse), beyond those seen, that
    is still compatible: unseen_rate of each of the unseen_clusters largest stakes. exact: the interval's end is
    this bound, because the replicates cannot be taken at their word. extreme: an end is the most extreme replicate.
    """

    clusters: int
    differing: int
    counted: int | None = added()
    skew: float | None = added()
    expected_skew: float | None = added()
    largest_share: float | None = added()
    without_largest: float | None = added()
    unseen: float | None = added()
    unseen_rate: float | None = added()
    unseen_clusters: int | None = added()
    exact: bool | None = added()
    replicates: int
    extreme: bool | None = added()


class RuleResult(Frozen):
    """One rule of the gate or the challenge, as it came out.

    value: what was compared (a metric's value, or candidate minus champion, or the contrast of a
    relative margin). bound: what it was compared with. interval: (low, high) of `value` at the
    confidence really used. ok: True passed, False failed, None settled nothing. assumptions: what a
    challenge rule rests on. ruled: False where the policy lets a slice with too little data pass by.
    """

    rule: str
    kind: Literal["floor", "superior", "not_worse_than", "signature", "windows", "looks"]
    metric: str | None = None
    slice: str | None = None
    value: float | None = None
    bound: float | None = None
    interval: tuple[float, float] | None = None
    ok: bool | None = None
    reason: str
    assumptions: Assumptions | None = added()
    ruled: bool | None = added()


class Estimate(Frozen):
    """A metric's value with its interval; both None where it could not be computed (`reason` says why)."""

    value: float | None = None
    interval: tuple[float, float] | None = None
    reason: str | None = None


class Comparison(Frozen):
    """One metric on all rows or on one slice, for both models, and candidate minus champion."""

    metric: str
    unit: str | None = None
    better: Literal["higher", "lower"] = "higher"
    slice: str | None = None
    rows: int
    candidate: Estimate
    champion: Estimate | None = None
    difference: Estimate | None = None


class Day(Frozen):
    """One day of the test window: the first challenge metric of both models."""

    day: str
    rows: int
    candidate: float | None = None
    champion: float | None = None


class Flip(Frozen):
    """The rows of one kind on which the two models decide differently.

    dollars: the candidate's dollars on these rows minus the champion's; None without `measure.dollars`.
    """

    kind: Literal["newly_caught", "newly_missed", "new_false_alarm", "false_alarm_gone"]
    rows: int
    dollars: float | None = None


class Band(Frozen):
    """Values, each with the ends of its own interval (of all points at once they say less); None: not defined."""

    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class SideCurve(Frozen):
    """One model at every threshold. values: None where not defined; chosen: how many rows it really flags.

    low, high: the ends of each value's own interval.
    """

    values: tuple[float | None, ...]
    chosen: int
    low: tuple[float | None, ...] | None = added()
    high: tuple[float | None, ...] | None = added()


class Curve(Frozen):
    """The first challenge metric where at most so many rows are `flagged`, those with a model's highest scores.

    difference: candidate minus champion at the same number of flagged rows.
    """

    metric: str
    flagged: tuple[int, ...]
    candidate: SideCurve
    champion: SideCurve | None = None
    difference: Band | None = added()


class Costs(Frozen):
    """Net benefit of the models' own decisions if a review cost `times` what the policy says.

    even: the multiple at which both models would earn the same; None where there is none, or no champion.
    """

    times: tuple[float, ...]
    candidate: Band
    champion: Band | None = None
    difference: Band | None = None
    even: float | None = None


class Bin(Frozen):
    """Rows whose scores lie between `low` and `high`: their mean score, and the share of positives among them."""

    low: float
    high: float
    rows: int
    expected: float
    observed: float
    interval: tuple[float, float] | None = None


class Reliability(Frozen):
    """How far a model's probabilities are what they say. slope, intercept: 1 and 0 where they are exactly that.

    slope: of the label's log odds in the score's; below 1 the scores are too extreme. intercept: of the label's log
    odds with the slope held at 1; below 0 the scores are too high.
    """

    slope: Estimate
    intercept: Estimate
    bins: tuple[Bin, ...]


class Drift(Frozen):
    """How far a feature, or the candidate's scores, moved from training to test: the population stability index.

    bins: (label, share of the training rows, share of the test rows).
    """

    of: Literal["score", "feature"]
    column: Annotated[str, Field(max_length=100)]
    psi: float
    bins: Annotated[tuple[tuple[Annotated[str, Field(max_length=100)], float, float], ...], Field(max_length=20)]


Drifts = Annotated[tuple[Drift, ...], Field(max_length=201)]


class Calibration(Frozen):
    """Both models' probabilities against what happened."""

    candidate: Reliability
    champion: Reliability | None = None


class Power(Frozen):
    """What the test set can show about one challenge rule (all in the metric's units).

    sd: standard error of the difference. smallest: the smallest difference that this set shows with
    80% power. pass_zero, pass_worthwhile: probability that a candidate with zero and with the
    `worthwhile` difference passes. days_needed: test days for a worthwhile one at 80% power. days: the days that
    counted, to which sd and smallest belong.
    """

    rule: str
    sd: float
    smallest: float
    pass_zero: float
    pass_worthwhile: float | None = None
    days_needed: int | None = None
    warning: str | None = None
    days: int | None = added()


class Looks(Frozen):
    """How worn the test days are: this candidate is look `number` of `allowed` on overlapping days."""

    number: int
    allowed: int


class Side(Frozen):
    """One model of a judgement. predictions: digest of its predictions on the test rows."""

    source_tree: str | None = None
    digest: str | None = None
    predictions: str | None = None
    version: int | None = None
    labels_known_by: str | None = None


class JudgedRows(Frozen):
    """What was judged on: days, rows, and the digest over keys, labels, money and clusters, sorted."""

    first: str
    last: str
    rows: int
    positives: int | None = None
    digest: str


class Trivial(Frozen):
    """What a model that always says the same would get, on the same rows, by metric."""

    name: str
    values: dict[str, float]


class Evaluation(Record):
    """The judgement: deterministic, so the same judgement has the same digest. Written as evaluation.json.

    release: of the scripts that judged. flips: every kind of changed decision; None where nothing is decided
    (a regression), or there is nothing to compare with. warn: floors that block nothing; None where there are none.
    curve: None where no threshold moves the first challenge metric. costs: None without decisions or a review's
    cost. calibration: None where there are no probabilities. drift: of the candidate's scores and features, from
    the job that scored; None where it was not trained in this run.
    """

    model: str
    verdict: Verdict
    headline: str
    policy: Policy
    policy_digest: str
    test: JudgedRows
    candidate: Side
    champion: Side | None
    gate: tuple[RuleResult, ...]
    challenge: tuple[RuleResult, ...]
    comparisons: tuple[Comparison, ...]
    days: tuple[Day, ...]
    power: tuple[Power, ...]
    looks: Looks | None
    notes: tuple[str, ...]
    confidence_used: float
    release: str | None = added()
    flips: tuple[Flip, ...] | None = added()
    warn: tuple[RuleResult, ...] | None = added()
    curve: Curve | None = added()
    costs: Costs | None = added()
    calibration: Calibration | None = added()
    drift: tuple[Drift, ...] | None = added()
    trivial: tuple[Trivial, ...] | None = added()

    @property
    def lead(self) -> Comparison | None:
        """The comparison of the first challenge rule, else of the first floor, else the first there is."""
        overall = [row for row in self.comparisons if row.slice is None]
        for rule in (*self.challenge, *self.gate):
            for row in overall:
                if rule.metric == row.metric and rule.slice is None:
                    return row
        return overall[0] if overall else None


class Realized(Frozen):
    """What a promotion has brought on the days from `first` to `last`: the lead metric, the first challenge rule's.

    difference: champion minus predecessor. What grows with the days, such as dollars, is per `test_days`, as it
    was promised. days: how many count.
    """

    first: str
    last: str
    days: int
    rows: int
    champion: Estimate
    predecessor: Estimate
    difference: Estimate


class Watched(Record):
    """One look at a promotion after the merge. Written as watched.json.

    look: its number, of `looks` over the life of the promotion. worse: the predecessor won the challenge under the
    policy on all days since the promotion, at `tail`, which is this look's part of the declared `false_alarm`.
    floor missed: the champion's point value on the new days is below a floor. too little: nothing can be said.
    new, whole: the days of this look, and all days since the promotion, with intervals at `confidence`.
    """

    model: str
    look: int
    looks: int
    verdict: Literal["worse", "floor missed", "fine", "too little"]
    reason: str
    metric: str
    unit: str | None = None
    better: Literal["higher", "lower"]
    test_days: int
    confidence: float
    false_alarm: float
    tail: float
    new: Realized
    whole: Realized
    floors: tuple[RuleResult, ...]


class ScoresInfo(Record):
    """Beside scores.parquet: what was scored, and how the two sides differ. Written as scores.json.

    changes: what is measured differently by the candidate's data.py (keys, labels, money), in
    sentences; empty where both trees give the same rows. latency_ms: milliseconds for each model, none
    where they were not timed. empty_days: days of the window that data.py declares to have no rows.
    """

    model: str
    task: Literal["classification", "regression"]
    first: str
    last: str
    rows: int
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    test_digest: str
    candidate_predictions: str
    champion_predictions: str | None
    champion_digest: str | None = None
    candidate_digest: str
    changes: tuple[str, ...] = ()
    latency_ms: dict[str, float] = Field(default_factory=dict)
    empty_days: tuple[str, ...] | None = added()
    drift: Drifts | None = added()


class Candidate(Record):
    """What train.py made. Written as candidate.json beside the model's files."""

    model: str
    key: str
    source_tree: str
    lock: str
    digest: str
    as_of: str
    train: tuple[str, str]
    validation: tuple[str, str]
    labels_known_by: str
    parameters: dict[str, Any]
    seed: int
    trusted_types: tuple[str, ...] = ()  # of releases that trusted what a model.yaml says
    inputs: tuple[tuple[str, str], ...] = ()  # the same: they are read from the model's files
    train_seconds: float


class Answered(Record):
    """That the model files with this digest load, and answered `rows` rows. Written as answered.json.

    The rows are those of its example, or of the test window; then task and latency (milliseconds) are known.
    """

    model: str
    digest: str
    rows: int
    task: Literal["classification", "regression"] | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    drift: Drifts | None = added()


class Gate(Record):
    """What gate.py did: the floors, the run, and the version if it was registered. Written as gate.json."""

    model: str
    passed: bool
    rules: tuple[RuleResult, ...]
    run_id: str | None
    version: int | None
    reason: str
    looks: Looks | None = None


class FileChange(Frozen):
    """A file below the model's folder. added, removed: lines; None for a file that is not text."""

    path: str
    added: int | None
    removed: int | None


class Changed(Frozen):
    """How a model's folder differs from the base's.

    settings: (dotted key of model.yaml, before, after), None where the key is not there. more_settings,
    more_files: how many this record leaves out. new: the base has no such folder.
    """

    settings: tuple[tuple[str, str | None, str | None], ...] = ()
    files: tuple[FileChange, ...] = ()
    more_settings: int = 0
    more_files: int = 0
    new: bool = False


Action = Literal["none", "train", "judge", "verify", "refuse", "watch"]


class ModelPlan(Frozen):
    """What must happen to one model of a pull request, and why.

    source_tree: git tree of the model's folder in the merge result (None: the folder is gone).
    champion: the pin of the base. pin: the pin of the merge result. policy: measure, gate and
    challenge in force (the base's; a new model brings its own). champion_model: the name under which a
    renamed model's champion is registered. committed_on: the day (UTC) on which
    the tree of a model to judge was first committed. changed: how that tree differs from the base's.
    elsewhere: the MLflow run that trained it, where model.yaml names one and its files are not ours yet.
    gate_alone: the run has no credentials (a fork), so that the candidate meets the gate and no champion. folder: the
    model's, from the repository's top (older records: "").
    looked: (first day, days) of a look after a merge, where `champion` was promoted and `pin` is its predecessor.
    """

    model: str
    action: Action
    reason: str
    source_tree: str | None
    key: str | None
    champion: PinRecord | None
    pin: PinRecord | None
    policy: Policy | None
    policy_digest: str | None
    policy_place: Place | None = None
    committed_on: str | None = None
    says_first: tuple[str, ...] = ()
    merge_effect: str = ""
    run_id: str | None = None
    version: int | None = None
    champion_model: str | None = None
    changed: Changed | None = None
    gate_alone: bool = False
    elsewhere: str | None = None
    folder: str = ""
    looked: tuple[str, int] | None = added()

    @property
    def root(self) -> str:
        """The folder of promotion.yaml, from the repository's top; "" for the top."""
        return self.folder.removesuffix(f"models/{self.model}").rstrip("/")

    @property
    def shown(self) -> Path:
        """The model's folder, as messages name it."""
        return Path(self.folder or f"models/{self.model}")

    @property
    def judged_by(self) -> Policy:
        """The policy in force, which knows where it was written; raise PromotionError where the plan has none."""
        if self.policy is None:
            raise PromotionError(f"the plan says no policy for {self.model}; run prepare.py again")
        return self.policy.at(self.policy_place or Place(model=self.model, file=FILE))


class Plan(Record):
    """What must happen to a pull request. Written as plan.json by prepare.py.

    trial: it is one person's question on a laptop, so nothing is logged, registered or pinned. pull: the pull
    request's address. begun: ISO 8601, when its first commit was made. scripts: whose they are that judge, and of
    which commit. own: they are the judged repository's.
    """

    base: str
    head: str
    merge: str
    lock: str
    scripts: str = ""
    own: bool = True
    models: tuple[ModelPlan, ...]
    refusals: tuple[str, ...] = ()
    trial: bool = False

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why no model is judged: the refusals that are about the pull request, and not about one of its models."""
        own = {f"{item.model}: {item.reason}" for item in self.models if item.action == "refuse"}
        return tuple(reason for reason in self.refusals if reason not in own)

    pull: str | None = added()
    begun: str | None = added()
