"""Where the records of one judgement lie: the folder that one verb leaves for the next."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from promotion.errors import PromotionError
from promotion.records import ModelPlan, Plan

DEFAULT = Path(".work")


@dataclass(frozen=True)
class ModelWork:
    """The files of one model below a work folder."""

    root: Path

    def side(self, name: str) -> "SideWork":
        """The files of `candidate` or `champion`."""
        return SideWork(self.root / name)

    @property
    def candidate_record(self) -> Path:
        """What train.py made."""
        return self.root / "candidate" / "candidate.json"

    @property
    def scores(self) -> Path:
        """The folder of score parts, champion and candidate on the same rows."""
        return self.root / "scores"

    @property
    def scores_record(self) -> Path:
        """What was scored."""
        return self.root / "scores.json"

    @property
    def gate(self) -> Path:
        """What gate.py did."""
        return self.root / "gate.json"

    @property
    def evaluation(self) -> Path:
        """What challenge.py found."""
        return self.root / "evaluation.json"

    @property
    def answered(self) -> Path:
        """That the pinned version of a verified pull request loads and answers."""
        return self.root / "answered.json"

    @property
    def error(self) -> Path:
        """Why a step of this model could not be done, in one sentence."""
        return self.root / "error.txt"

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Leave a step's expected error for the report, and raise it."""
        self.error.unlink(missing_ok=True)
        try:
            yield
        except PromotionError as error:
            self.error.parent.mkdir(parents=True, exist_ok=True)
            self.error.write_text(f"{error}\n", encoding="utf-8")
            raise


@dataclass(frozen=True)
class SideWork:
    """One model's own files: its source tree, its saved files, its scored rows."""

    root: Path

    @property
    def source(self) -> Path:
        """The model folder's files as of its tree."""
        return self.root / "source"

    @property
    def model(self) -> Path:
        """The saved model's files."""
        return self.root / "model"

    @property
    def rows(self) -> Path:
        """Scored rows, a part a day."""
        return self.root / "rows"


@dataclass(frozen=True)
class Work:
    """A work folder: plan.json and a folder per model."""

    root: Path

    @property
    def plan(self) -> Path:
        """What must happen."""
        return self.root / "plan.json"

    @property
    def pushed(self) -> Path:
        """What pin.py pushed."""
        return self.root / "pushed.json"

    @property
    def error(self) -> Path:
        """Why the whole pull request could not be planned, in one sentence."""
        return self.root / "error.txt"

    def note(self, error: PromotionError) -> None:
        """Leave an error for the report, unless the folder is somebody else's."""
        if self.root.is_dir() and any(self.root.iterdir()) and not self.plan.is_file() and not self.error.is_file():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        self.plan.unlink(missing_ok=True)
        self.error.write_text(f"{error}\n", encoding="utf-8")

    def model(self, name: str) -> ModelWork:
        """The files of one model."""
        return ModelWork(self.root / name)

    def read_plan(self) -> Plan:
        """Read plan.json."""
        return Plan.read(self.plan)

    def chosen(self, model: str | None, actions: tuple[str, ...]) -> list[ModelPlan]:
        """Return the planned models with one of `actions`, or only `model`; an unknown one is an error."""
        plan = self.read_plan()
        names = [item.model for item in plan.models]
        if model is not None and model not in names:
            known = ", ".join(names) or "none"
            raise PromotionError(f"no model `{model}` in this plan; it has: {known}", file=self.plan)
        return [item for item in plan.models if item.action in actions and model in (None, item.model)]
