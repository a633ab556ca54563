"""Where the records of one judgement lie: the folder that one verb leaves for the next."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from promotion.errors import PromotionError
from promotion.records.plan import ModelPlan, Plan
from promotion.text.escape import clean

MADE_BY = "made-by.txt"
PREPARE = "prepare.py"
TRIAL = "retrain.py try"  # what a folder says is of, where prepare.py was asked for a trial
LOCK = ".lock"  # stays where it is: what another run holds must not be made anew
LOG_TAIL = 8_000  # bytes
HELD: set[Path] = set()  # by this process, whose steps do not keep each other out
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}  # some network file systems


def tail(log: Path) -> bytes:
    """The end of a file."""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - LOG_TAIL))
        return handle.read(LOG_TAIL)


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

    @property
    def error_log(self) -> Path:
        """The end of what the process printed that failed."""
        return self.root / "error.log"

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Leave a step's expected error for the report, with the end of its own log, and raise it."""
        for path in (self.error, self.error_log):
            path.unlink(missing_ok=True)
        try:
            yield
        except PromotionError as error:
            with contextlib.suppress(OSError):  # on a full disk the error itself is what counts
                self.error.parent.mkdir(parents=True, exist_ok=True)
                self.error.write_text(f"{error}\n", encoding="utf-8")
                if error.log is not None and error.log.is_file():
                    self.error_log.write_bytes(tail(error.log))
            raise


def base_side(files: ModelWork) -> str:
    """Whose tree says what is measured: the base's where it has this model, else the candidate's own."""
    return "champion" if files.side("champion").source.is_dir() else "candidate"


@dataclass(frozen=True)
class SideWork:
    """One model's own files: its source tree, its saved files, its test rows and its answers to them."""

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
    def training(self) -> Path:
        """Some rows of what the model was trained on, without labels: what its test rows have drifted from."""
        return self.root / "training.parquet"

    @property
    def features(self) -> Path:
        """What this tree's data.py gives the model for the test rows, a part a day."""
        return self.root / "features"

    @property
    def table(self) -> Path:
        """Keys, labels and columns of the test rows by this tree's data.py, a part a day."""
        return self.root / "table"

    @property
    def answers(self) -> Path:
        """What the saved model answered to `features`, a part a day."""
        return self.root / "answers"

    @property
    def answered(self) -> Path:
        """Which files answered, and how."""
        return self.root / "answered.json"


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

    def made_by(self) -> str | None:
        """The command whose records the folder holds; None where it is empty or absent, "" where nobody knows."""
        if not self.root.exists() or not any(each.name != LOCK for each in self.root.iterdir()):
            return None
        if (self.root / MADE_BY).is_file():
            return clean((self.root / MADE_BY).read_text(encoding="utf-8", errors="replace"), 60)
        return ""

    def claim(self, owner: str, *, empty: bool = True) -> None:
        """Take the folder for a command's records and, with `empty`, remove its earlier ones.

        Raise PromotionError, with nothing touched, where it holds the records of another command, or other files.
        """
        held = self.made_by()
        if held not in (None, owner):
            whose = f"the records of `{held}`" if held else "files that these scripts did not make"
            remove = ", or remove this one" if held else ""  # it may be anything, the whole repository among it
            raise PromotionError(f"{self.root} holds {whose}; choose another folder with --work{remove}")
        self.root.mkdir(parents=True, exist_ok=True)
        for each in self.root.iterdir() if empty else ():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            elif each.name != LOCK:
                each.unlink()
        (self.root / MADE_BY).write_text(f"{owner}\n", encoding="utf-8")

    @contextlib.contextmanager
    def held(self, owner: str | None = None) -> Iterator[None]:
        """Keep other runs out of the folder, where there is one, while the body runs; a run that died keeps none out.

        owner: the command that makes the folder and claims it; where it fails before it left anything, the folder that
        it made goes again. Raise PromotionError where another run is at work.
        """
        made = owner is not None and not self.root.exists()
        if owner is not None:
            self.claim(owner, empty=False)
        root = self.root.resolve()
        if root in HELD or not root.is_dir():
            yield
            return
        with (root / LOCK).open("a") as file:
            if not _locked(file.fileno()):
                raise PromotionError(
                    f"{self.root} is in use by another run; wait for it, or choose another folder with --work"
                )
            HELD.add(root)
            try:
                yield
            except BaseException:
                if made and {each.name for each in root.iterdir()} <= {LOCK, MADE_BY}:
                    shutil.rmtree(root)
                raise
            finally:
                HELD.remove(root)

    def note(self, error: PromotionError) -> None:
        """Leave an error of prepare.py for the report."""
        self.plan.unlink(missing_ok=True)
        self.error.write_text(f"{error}\n", encoding="utf-8")

    def model(self, name: str) -> ModelWork:
        """The files of one model."""
        return ModelWork(self.root / name)

    def read_plan(self) -> Plan:
        """Read plan.json; raise PromotionError that names the command whose records are here instead."""
        held = self.made_by()
        if held and held != PREPARE and not self.plan.is_file() and not self.error.is_file():
            raise PromotionError(
                f"it holds the records of `{held}`, not of prepare.py; name another --work", file=self.root
            )
        return Plan.read(self.plan)

    def chosen(self, model: str | None, actions: tuple[str, ...]) -> list[ModelPlan]:
        """Return the planned models with one of `actions`, or only `model`; an unknown one is an error."""
        plan = self.read_plan()
        names = [item.model for item in plan.models]
        if model is not None and model not in names:
            known = ", ".join(names) or "none"
            raise PromotionError(f"no model `{model}` in this plan; it has: {known}", file=self.plan)
        return [item for item in plan.models if item.action in actions and model in (None, item.model)]


def _locked(file: int) -> bool:
    """Lock an open file until it is closed; False where another run has locked it."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        return True
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in NO_LOCKS:
            raise
    return True
