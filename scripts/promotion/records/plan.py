"""What must happen to a pull request, as prepare.py found it."""

from pathlib import Path
from typing import ClassVar, Literal

from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.config.policy import Place, Policy
from promotion.errors import PromotionError
from promotion.frozen import Frozen, Record, added


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


class Runner(Frozen):
    """On which machine a model's jobs run; None: where the workflow itself says.

    runs_on, timeout_minutes: of the jobs that train and let the candidate answer. scored_on: of the one job in which
    champions answer.
    """

    runs_on: str | None = None
    timeout_minutes: int | None = None
    scored_on: str | None = None


Action = Literal["none", "train", "judge", "verify", "refuse", "watch"]


class ModelPlan(Frozen):
    """What must happen to one model of a pull request, and why.

    source_tree: git tree of the model's folder in the merge result (None: the folder is gone).
    champion: the pin of the base. pin: the pin of the merge result. policy: measure, gate and
    challenge in force (the base's; a new model brings its own). champion_model: the name under which a
    renamed model's champion is registered. committed_on: the day (UTC) on which
    the tree of a model to judge was first committed. changed: how that tree differs from the base's.
    elsewhere: the MLflow run or version that it is, where model.yaml names one and its files are not ours yet.
    gate_alone: the run has no credentials (a fork), so that the candidate meets the gate and no champion. folder: the
    model's, from the repository's top (older records: "").
    runner: what model.yaml asks of GitHub, as far as the base's promotion.yaml allows it; None for another machine.
    looked: (first day, days) of a look after a merge, where `champion` was promoted and `pin` is its predecessor;
    without one `champion` is None, and `pin` was promoted. held: why promote will not move @champion once this is
    merged, and what to do; None where it will.
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
    runner: Runner | None = added()
    looked: tuple[str, int] | None = added()
    held: str | None = added()

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

    BY: ClassVar[str] = "`python scripts/prepare.py`"

    base: str
    head: str
    merge: str
    lock: str
    scripts: str = ""
    own: bool = True
    models: tuple[ModelPlan, ...]
    refusals: tuple[str, ...] = ()
    trial: bool = False
    pull: str | None = added()
    begun: str | None = added()

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why no model is judged: the refusals that are about the pull request, and not about one of its models."""
        own = {f"{item.model}: {item.reason}" for item in self.models if item.action == "refuse"}
        return tuple(reason for reason in self.refusals if reason not in own)
