"""What the steps of a judgement write on the way: train.py, score.py, gate.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from promotion.frozen import Record, added
from promotion.records.charts import Drifts
from promotion.records.figures import Looks, RuleResult


class Candidate(Record):
    """What train.py made. Written as candidate.json beside the model's files."""

    BY: ClassVar[str] = "`python scripts/train.py`"

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

    BY: ClassVar[str] = "`python scripts/score.py`"

    model: str
    digest: str
    rows: int
    task: Literal["classification", "regression"] | None = None
    latency_ms: dict[str, float] = Field(default_factory=dict)
    drift: Drifts | None = added()


class ScoresInfo(Record):
    """Beside scores.parquet: what was scored, and how the two sides differ. Written as scores.json.

    changes: what is measured differently by the candidate's data.py (keys, labels, money), in
    sentences; empty where both trees give the same rows. latency_ms: milliseconds for each model, none
    where they were not timed. empty_days: days of the window that data.py declares to have no rows.
    """

    BY: ClassVar[str] = "`python scripts/score.py`"

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


class Gate(Record):
    """What gate.py did: the floors, the run, and the version if it was registered. Written as gate.json."""

    BY: ClassVar[str] = "`python scripts/gate.py`"

    model: str
    passed: bool
    rules: tuple[RuleResult, ...]
    run_id: str | None
    version: int | None
    reason: str
    looks: Looks | None = None
