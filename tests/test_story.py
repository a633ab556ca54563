"""The whole story on a tiny model: real git, real SQLite MLflow, model code in processes of its own."""

from pathlib import Path

import pytest
from promotion.records.evaluation import Evaluation
from promotion.registry.client import CANDIDATE
from promotion.registry.evidence import artifact_path

from tests.support.tiny import MODEL, Judged, TinyProject


class Story:
    """A project after its first and second champion, with the pull requests that made them."""

    def __init__(self, root: Path) -> None:
        self.project = TinyProject(root)
        project = self.project
        project.edit("model.yaml", "seed: 0", "seed: 1")
        self.first = project.judge(project.open("first"))
        project.merge(self.first.request)
        assert project.promote()
        self.after_first = project.champion()
        project.edit("model.yaml", "features: [hint]", "features: [hint, clue]")
        self.better = project.judge(project.open("better"))
        self.merged = project.merge(self.better.request)
        assert project.promote()
        self.after_better = project.champion()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Two promotions, played once for this module."""
    return Story(tmp_path_factory.mktemp("story"))


def attempt(story: Story, branch: str, old: str, new: str) -> Judged:
    """Judge a pull request that changes model.yaml, and leave main as it is."""
    story.project.hosting.pull()
    story.project.edit("model.yaml", old, new)
    judged = story.project.judge(story.project.open(branch))
    story.project.hosting.pull()
    return judged


def test_the_first_champion_needs_the_gate_alone(story: Story) -> None:
    """Without a champion the verdict is FIRST, and merging makes version 1 the champion."""
    assert story.first.action == "train"
    assert story.first.evaluation is not None
    assert (story.first.evaluation.verdict, story.first.evaluation.champion) == ("FIRST", None)
    assert story.after_first == 1


def test_a_better_model_wins_on_the_same_rows(story: Story) -> None:
    """The better candidate is promoted, judged against version 1 on one test set, and its evidence is kept."""
    evaluation = story.better.evaluation
    assert evaluation is not None
    assert (evaluation.verdict, story.after_better) == ("PROMOTE", 2)
    assert evaluation.champion is not None
    assert evaluation.champion.version == 1
    assert evaluation.test.rows == 7 * 200
    version = story.project.registry.version(MODEL, 2)
    assert version is not None
    assert version.run_id is not None
    kept = story.project.registry.fetch(version.run_id, artifact_path(evaluation.sha256), story.project.root / "kept")
    assert kept is not None
    assert Evaluation.read(kept) == evaluation
    assert version.tags["verdict"] == "PROMOTE"


@pytest.fixture(scope="module")
def rejected(story: Story) -> Judged:
    """A pull request whose candidate reviews nothing, and so earns nothing."""
    return attempt(story, "blind", "threshold: 0.5", "threshold: 0.999999")


def test_a_candidate_below_a_floor_stays_in_the_tracker(story: Story, rejected: Judged) -> None:
    """A rejected candidate keeps run, parameters, metrics, scores and model, with the reason; it has no version."""
    assert rejected.evaluation is not None
    assert rejected.evaluation.verdict == "REJECTED"
    key = next(str(item.key) for item in rejected.plan.models if item.model == MODEL)
    (run,) = story.project.registry.runs(MODEL, key=key)
    assert story.project.registry.version_of_run(MODEL, run.run_id) is None
    assert run.tags["gate"] == "REJECTED"
    assert "net_benefit" in run.tags["gate_reason"]
    stored = story.project.registry.client.get_run(run.run_id).data
    assert stored.params["threshold"] == "0.999999"
    assert "f1" in stored.metrics
    for path in ("model", "scores", "candidate.json"):
        assert story.project.registry.fetch(run.run_id, path, story.project.root / "rejected") is not None


def test_a_rejected_tree_is_not_trained_again(story: Story, rejected: Judged) -> None:
    """The same tree again: what is stored is judged, to the same bytes but for the drift, and there is no new run."""
    runs = len(story.project.registry.runs(MODEL))

    again = attempt(story, "blind-again", "threshold: 0.5", "threshold: 0.999999")

    assert (rejected.action, again.action) == ("train", "judge")
    assert len(story.project.registry.runs(MODEL)) == runs
    assert rejected.evaluation is not None
    assert again.evaluation is not None
    assert rejected.evaluation.drift and not again.evaluation.drift  # drift is measured where a model is trained
    assert rejected.evaluation.model_copy(update={"drift": None}).text() == again.evaluation.text()


def test_a_candidate_that_does_not_win_keeps_its_version_and_loses_its_alias(story: Story) -> None:
    """KEEP: the version is registered and tagged, @candidate is gone, @champion stays, nothing is pinned."""
    judged = attempt(story, "worse", "features: [hint, clue]", "features: [hint]\n  again: 1")

    assert judged.evaluation is not None
    assert judged.evaluation.verdict == "KEEP"
    model = story.project.registry.model(MODEL)
    assert model is not None
    assert CANDIDATE not in model.aliases
    newest = story.project.registry.version(MODEL, max(story.project.versions()))
    assert newest is not None
    assert newest.tags["verdict"] == "KEEP"
    assert story.project.champion() == 2


@pytest.mark.slow
def test_a_trial_on_a_laptop_says_what_the_pull_request_says(story: Story) -> None:
    """`retrain.py try` judges the uncommitted folder, registers nothing, and gives every figure of the pull request."""
    project = story.project
    project.hosting.pull()
    project.edit("model.yaml", "features: [hint, clue]", "features: [clue]")
    before = (project.registry.model(MODEL), project.registry.runs(MODEL), project.versions())

    tried = project.attempt()

    assert tried.evaluation is not None
    assert tried.code == (0 if tried.evaluation.verdict == "PROMOTE" else 1)
    assert (project.registry.model(MODEL), project.registry.runs(MODEL), project.versions()) == before
    judged = project.judge(project.open("for-real"))
    project.hosting.pull()
    assert judged.evaluation is not None
    files = {"digest": None}  # a saved model's files carry the time of saving
    mine, theirs = (
        found.model_copy(update={"candidate": found.candidate.model_copy(update=files)})
        for found in (tried.evaluation, judged.evaluation)
    )
    assert mine.text() == theirs.text()


@pytest.mark.slow
def test_the_same_predictions_are_the_same_and_use_no_look(story: Story) -> None:
    """A tree whose model predicts the same on every row is SAME, may be pinned, and wears nothing out."""
    judged = attempt(story, "comment", "features: [hint, clue]", "features: [hint, clue] # both")

    assert judged.evaluation is not None
    assert (judged.evaluation.verdict, judged.evaluation.looks) == ("SAME", None)
    assert "@champion" in (judged.work.root / "comment.md").read_text(encoding="utf-8")


def test_revert_and_revert_of_the_revert(story: Story) -> None:
    """git revert brings the old champion back without training; reverting that brings the new one back."""
    project = story.project
    runs = len(project.registry.runs(MODEL))
    project.hosting.revert(story.merged)
    undo = project.judge(project.open("undo"))
    assert undo.action == "verify"
    undone = project.merge(undo.request)
    assert project.promote()
    assert project.champion() == 1

    project.hosting._git(project.clone, "branch", "-D", "revert-work")
    project.hosting.revert(undone)
    redo = project.judge(project.open("redo"))
    project.merge(redo.request)
    assert project.promote()

    assert (redo.action, project.champion()) == ("verify", 2)
    assert len(project.registry.runs(MODEL)) == runs


def test_promoting_again_writes_nothing(story: Story) -> None:
    """A second apply leaves aliases and ledger as they are."""
    before = story.project.registry.model(MODEL)

    assert story.project.promote()

    assert story.project.registry.model(MODEL) == before
