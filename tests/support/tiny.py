"""A small project on real git and SQLite MLflow: a hosted repository with one tiny model, and its pull requests.

The steps of a pull request run in this process (their model code runs in its own, as always), so that
a whole judgement takes seconds.
"""

import contextlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import retrain
from challenge import challenge
from challenge import main as challenge_main
from gate import gate
from gate import main as gate_main
from pin import winners, write_pins
from prepare import prepare
from promotion.champion.apply import apply, plan_moves
from promotion.git.repo import Repo
from promotion.pullrequest.classify import Change
from promotion.pullrequest.sides import make_features
from promotion.pullrequest.workdir import Work
from promotion.records.evaluation import Evaluation
from promotion.records.plan import Plan
from promotion.records.steps import ScoresInfo
from promotion.registry.client import CHAMPION, Registry
from promotion.story.hosting import Hosting, LocalPull, environment
from report import collect, write_report
from score import main as score_main
from score import score
from train import train

from tests.support.mlflow_server import empty_database

HERE = Path(__file__).resolve().parent
MODEL = "tiny"


def challenger_of_a_champion(root: Path) -> "TinyProject":
    """A project whose model was promoted, and a better one that was tried: it lies in the clone and in .work-try."""
    project = TinyProject(root)
    project.edit("model.yaml", "seed: 0", "seed: 1")
    project.merge(project.judge(project.open("first")).request)
    assert project.promote()
    project.edit("model.yaml", "[hint]", "[hint, clue]")
    assert project.attempt().code == 0
    return project


@dataclass(frozen=True)
class Judged:
    """A pull request with its plan, its evaluation (None where nothing was judged), and its work folder."""

    request: LocalPull
    plan: Plan
    evaluation: Evaluation | None
    work: Work

    @property
    def action(self) -> str:
        """What was planned for the project's one model."""
        (item,) = self.plan.models
        return item.action


@dataclass(frozen=True)
class Tried:
    """What `retrain.py try` did; evaluation: None where it was not judged."""

    code: int
    out: str
    err: str
    evaluation: Evaluation | None


class TinyProject:
    """A hosted repository, its clone, and a registry."""

    def __init__(self, root: Path, model: str = MODEL, folder: Path = HERE / "tiny_model", policy: str = "") -> None:
        project = root / "project"
        self.model = model
        ignored = shutil.ignore_patterns("__pycache__", "promotion.yaml")
        shutil.copytree(folder, project / "models" / model, ignore=ignored)
        policy = policy or (folder / "promotion.yaml").read_text(encoding="utf-8")
        (project / "promotion.yaml").write_text(policy, encoding="utf-8")
        (project / "requirements").mkdir()
        (project / "requirements" / "train.txt").write_text("# a lock\n", encoding="utf-8")
        self.root = root
        self.env = environment(root, root / "data")
        self.registry = Registry(self.env["MLFLOW_TRACKING_URI"])
        empty_database(root)
        self.hosting = Hosting(root, project, self.env)
        self.hosting.create()
        self.clone = self.hosting.clone

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the model folder (or of the project), on a fresh main."""
        path = self.clone / "models" / self.model / name
        path = path if path.exists() else self.clone / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def open(self, branch: str) -> LocalPull:
        """Open a pull request with the clone's edits."""
        return self.hosting.open(f"Retrain on {branch}", branch, branch.replace("/", "-"))

    def scored(self, request: LocalPull) -> tuple[Work, Plan]:
        """Do what comes before the gate: plan, train, score."""
        merge = Repo(self.hosting.merge_result(request))
        commit = merge.resolve("HEAD")
        base, head = merge.parents(commit)
        work = Work(request.folder / "records")
        planned = prepare(merge, self.registry, work, Change(base=base, merge=commit, head=head))
        for item in planned.models:
            if item.action in ("train", "judge") and not planned.refusals:
                if item.action == "train":
                    train(item, work, planned.lock)
                make_features(item, work.model(item.model), "candidate")
                score(item, work, latency_rounds=0)
        return work, planned

    def judge(self, request: LocalPull, *, pin: bool = True) -> Judged:
        """Do to a pull request what retrain.yml does."""
        work, planned = self.scored(request)
        evaluation = None
        for item in planned.models:
            if item.action in ("train", "judge") and not planned.refusals:
                files = work.model(item.model)
                gate(item, planned, files, self.registry)
                evaluation = challenge(item, planned, files, self.registry)
        pins, losers = winners(work) if evaluation else ({}, ["nothing judged"])
        pinned = pin and not losers
        if pinned:
            self.hosting._git(self.clone, "checkout", "--quiet", request.branch)
            write_pins(self.clone / "promotion.yaml", dict(pins))
            self.hosting.commit_pin(request)
        whole, models = collect(work, pinned=pinned)
        write_report(work, whole, models)
        return Judged(request, planned, evaluation, work)

    def attempt(self, *args: str, where: Path | None = None) -> Tried:
        """Run `retrain.py try` in the clone (or another checkout), as a person does."""
        folder, out, err = where or self.clone, io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(folder), mock.patch.dict(os.environ, self.env, clear=True),
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        ):  # fmt: skip
            code = retrain.main(["try", self.model, *args])
        record = folder / ".work-try" / self.model / "evaluation.json"
        evaluation = Evaluation.read(record) if record.is_file() and code in (0, 1) else None
        return Tried(code, out.getvalue(), err.getvalue(), evaluation)

    def judge_again(self, copy: Path, *how: str, share: str | None = None) -> dict[str, bytes]:
        """Score and judge what was tried once more, in a copy of its folder; return the bytes of what came out.

        how: options of score.py, gate.py and challenge.py; share: score.py's. Latency is another one each time.
        """
        shutil.copytree(self.clone / ".work-try", copy)
        files = Work(copy).model(self.model)
        for path in (files.scores, *(files.side(side).answers for side in ("candidate", "champion"))):
            shutil.rmtree(path)
        for path in (files.scores_record, files.gate, files.evaluation):
            path.unlink()
        with contextlib.chdir(self.clone), mock.patch.dict(os.environ, self.env):
            assert score_main(["--work", str(copy), *how, *(["--share", share] if share else [])]) == 0
            assert gate_main(["--work", str(copy), *how]) == challenge_main(["--work", str(copy), *how]) == 0
        info = ScoresInfo.read(files.scores_record)
        info.model_copy(update={"latency_ms": {}}).write(files.scores_record)
        made = [*files.root.glob("*.json"), *files.scores.iterdir(), *files.root.glob("*/answers/*")]
        return {path.relative_to(copy).as_posix(): path.read_bytes() for path in made}

    def merge(self, request: LocalPull) -> str:
        """Merge a pull request by squash."""
        return self.hosting.squash(request)

    def promote(self) -> bool:
        """Apply the tip of main; return whether everything wanted was done."""
        tip = self.hosting.pull()
        return apply(plan_moves(Repo(self.clone), tip, self.registry), self.registry, by="test", say=lambda line: None)

    def champion(self) -> int | None:
        """Return the registry's champion."""
        model = self.registry.model(self.model)
        return None if model is None else model.aliases.get(CHAMPION)

    def versions(self) -> list[int]:
        """Return the registry's versions."""
        found: list[int] = []
        while self.registry.version(self.model, len(found) + 1) is not None:
            found.append(len(found) + 1)
        return found
