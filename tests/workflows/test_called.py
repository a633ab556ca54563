"""Somebody's own repository calls the workflows: from init.py to a champion that was merged, served and taken back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from promotion.config.promotion_yaml import parse
from promotion.sandbox.packages import packages_of
from promotion.setup.callers import VERBS
from promotion.story.client import Client, Server
from promotion.story.hosting import LocalPull

from tests.support.github.fixtures import problems
from tests.workflows import stage as stages
from tests.workflows.adopter import FOLDER, MODEL, OWN, Adopter, locked, python_with
from tests.workflows.stage import RUNNER, Played

pytestmark = pytest.mark.workflows
LIGHTGBM = """\
from lightgbm import LGBMClassifier
from promotion.model import Rows, Spec


def fit(train: Rows, validation: Rows, spec: Spec) -> LGBMClassifier:
    return LGBMClassifier(n_estimators=60, min_child_samples=5, verbose=-1, n_jobs=1).fit(train.X, train.y)
"""
FEW = 'numbers = ["mean_smoothness", "mean_symmetry"]'
ALL = 'numbers = list(train.X.select_dtypes("number"))'


@dataclass
class Judged:
    """A pull request and its run."""

    where: Adopter
    request: LocalPull
    run: Played
    head: str


def judged(where: Adopter, branch: str, title: str) -> Judged:
    """Open a pull request with the clone's edits and run the caller on it."""
    request = where.open(branch, title)
    head = where.tip(branch)
    return Judged(where, request, where.retrain(request), head)


@pytest.fixture(scope="module")
def adopter(server: stages.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopter]:
    """init.py has run, and what it wrote is on main."""
    made = Adopter(tmp_path_factory.mktemp("adopter"), server)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def first(adopter: Adopter) -> Judged:
    """The first pull request: a model that looks at two columns."""
    adopter.main()
    adopter.change("train.py", ALL, FEW)
    return judged(adopter, "retrain/first", "First model")


@pytest.fixture(scope="module")
def champion(first: Judged) -> Adopter:
    """It is merged and promoted."""
    first.where.merge(first.request)
    run = first.where.promote()
    assert run.code == 0, run.log
    return first.where


@pytest.fixture(scope="module")
def better(champion: Adopter) -> Judged:
    """A model of another library, which its folder asks for, looks at all columns and challenges it."""
    champion.main()
    (champion.model / "train.py").write_text(LIGHTGBM)
    (champion.model / "requirements.txt").write_text(locked("lightgbm"))
    champion.change("model.yaml", "seed: 0", f"seed: 0\nruns_on: {RUNNER}\ntimeout_minutes: 30")
    return judged(champion, "retrain/lightgbm", "LightGBM, on all columns")


@pytest.fixture(scope="module")
def merged(better: Judged) -> tuple[Adopter, str]:
    """The better one is merged and promoted; also the merge commit."""
    commit = better.where.merge(better.request)
    run = better.where.promote()
    assert run.code == 0, run.log
    return better.where, commit


@pytest.fixture(scope="module")
def reverted(merged: tuple[Adopter, str]) -> Judged:
    """A pull request reverts it."""
    where, commit = merged
    where.hosting.revert(commit)
    return judged(where, "revert/lightgbm", "Revert")


def test_init_left_what_was_there_and_no_file_of_ours(adopter: Adopter) -> None:
    """Only lines at the end of .gitignore; beside it promotion.yaml, one model folder, the callers."""
    main = set(adopter.git("ls-tree", "-r", "--name-only", "main").splitlines())
    ours = {f"{FOLDER}/promotion.yaml", ".github/dependabot.yml", ".github/CODEOWNERS"}
    ours |= {f".github/workflows/promotion-{verb}.yml" for verb in VERBS}
    ours |= {f"{FOLDER}/models/{MODEL}/{name}" for name in ("model.yaml", "data.py", "train.py", "samples.parquet")}

    assert main == set(OWN) | ours
    for name, text in OWN.items():
        assert adopter.git("show", f"main:{name}").startswith(text.strip())


def test_the_first_model_is_judged_by_the_called_commit_and_pinned_in_its_folder(first: Judged) -> None:
    """One comment, which says whose scripts judged; the pin is below the folder; the check is `promotion`."""
    where, pin = first.where, first.where.tip("retrain/first")
    (comment,) = where.comments(first.request)
    (uses,) = where.called

    assert first.run.code == 0, first.run.log[-3000:]
    assert "FIRST" in comment and f"scripts of acme/promotion at {uses.split('@')[1][:12]}" in comment
    assert where.git("diff", "--name-only", first.head, pin) == f"{FOLDER}/promotion.yaml"
    assert where.statuses(pin) == [("promotion", "success")]
    assert first.run.jobs["promotion"] == "success"


def test_merging_moves_the_champion(champion: Adopter) -> None:
    """The caller's promote.yml on main."""
    assert champion.champion(MODEL) == 1


def test_the_better_model_wins_and_nobody_saw_a_secret(better: Judged) -> None:
    """It challenges the champion through its own tree; no log and no artifact has a secret."""
    (comment,) = better.where.comments(better.request)

    assert better.run.code == 0, better.run.log[-3000:]
    assert "PROMOTE" in comment and "not pinned" not in comment.lower()
    assert f"Matrix: map[model:{MODEL} runs_on:{RUNNER} timeout:30]" in better.run.log and f"on {RUNNER}." in comment
    assert not [secret for secret in stages.SECRETS.values() if secret in better.run.text()]


def test_it_is_served_and_reverted_while_it_answers(
    first: Judged, merged: tuple[Adopter, str], reverted: Judged
) -> None:
    """Version 2 answers; the merged revert makes it version 1, and no request fails."""
    where, _ = merged
    model = first.run.artifacts / f"trained-{MODEL}" / "candidate" / "model"
    example = json.loads((model / "serving_input_example.json").read_text())
    env = {**where.env, "MLFLOW_TRACKING_URI": where.server.uri}
    source = where.root / "asks"
    source.mkdir()
    (source / "requirements.txt").write_text(locked("lightgbm"))
    python = python_with(where.root / "server", Path(str(packages_of(source, source))))
    server = Server(where.scripts, MODEL, env, where.root / "server.log", python=python)
    try:
        server.ready()
        client = Client(server.url, example).start()
        client.wait_for(2, 60)
        where.merge(reverted.request)
        back = where.promote()
        client.wait_for(1, 60)
        client.stop()
    finally:
        server.stop()

    assert reverted.run.code == 0 and back.code == 0, reverted.run.log[-3000:] + back.log[-2000:]
    assert where.champion(MODEL) == 1 and client.failures == []
    assert parse(where.git("show", f"main:{FOLDER}/promotion.yaml")).models[MODEL].champion.version == 1


def test_drift_starts_the_caller_beside_its_own(reverted: Judged) -> None:
    """What it dispatches is named as the adopter's files are, and repairs."""
    where = reverted.where
    pinned = where.champion(MODEL)
    where.registry.set_alias(MODEL, "champion", 3 - (pinned or 0))
    seen = where.dispatch("promotion-drift.yml")
    started = where.github.hub.state["dispatches"][-1]
    repaired = where.dispatch(started["workflow"], started["ref"], started["inputs"])

    assert seen.jobs["drift"] == "failure"  # that something differs is red, so that it is seen
    assert started["workflow"] == "promotion-promote.yml"
    assert repaired.code == 0 and where.champion(MODEL) == pinned


def test_every_request_was_what_github_describes(reverted: Judged) -> None:
    """All requests of all runs, against GitHub's own description of its API."""
    assert problems(reverted.where.github.requests) == []
