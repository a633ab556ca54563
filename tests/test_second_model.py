"""A second model folder goes through the same verbs: a regression with a cost of its own, under its own policy."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.tiny import TinyProject

PROJECT = Path(__file__).resolve().parent.parent
NAME = "diabetes-progression"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A hosted repository with the shipped regression and its shipped policy, and nothing else."""
    shipped = yaml.safe_load((PROJECT / "promotion.yaml").read_text(encoding="utf-8"))
    policy = yaml.safe_dump({"models": {NAME: shipped["models"][NAME]}}, sort_keys=False)
    return TinyProject(tmp_path_factory.mktemp("second"), NAME, PROJECT / "models" / NAME, policy)


@pytest.mark.slow
def test_a_regression_is_promoted_by_its_own_cost(project: TinyProject) -> None:
    """The shipped ridge becomes champion; ridge on all features costs less per patient, wins, and is promoted."""
    project.edit("model.yaml", "seed: 0", "seed: 1")
    first = project.judge(project.open("first"))
    assert first.evaluation is not None
    assert first.evaluation.verdict == "FIRST"
    project.merge(first.request)
    assert project.promote()
    project.hosting.pull()
    path = project.clone / "models" / NAME / "model.yaml"
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if not line.strip().startswith("features:")]
    assert len(lines) < len(text.splitlines())
    path.write_text("".join(lines), encoding="utf-8")

    better = project.judge(project.open("all-features"))

    assert better.evaluation is not None
    assert better.evaluation.verdict == "PROMOTE", better.evaluation.headline
    cost = next(row for row in better.evaluation.comparisons if row.metric == "treatment_cost" and row.slice is None)
    assert cost.better == "lower"
    assert cost.difference is not None
    assert cost.difference.interval is not None
    assert cost.difference.interval[1] < 0
    assert {"rmse", "mae", "r2"} <= {row.metric for row in better.evaluation.comparisons}
    project.merge(better.request)
    assert project.promote()
    assert project.champion() == 2


def test_nothing_in_scripts_knows_about_fraud() -> None:
    """No file of the verbs or nouns speaks of fraud, transactions or terminals; the demo may name its model."""
    found = subprocess.run(
        ["git", "grep", "-niE", "fraud|terminal_id|transaction", "--", "scripts/*.py"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()

    assert [line for line in found if not line.startswith(("scripts/demo.py:", "scripts/story/"))] == []
