"""Champion and candidate side by side: what each side's tree asks for."""

from pathlib import Path

import pytest
from promotion.config.edit import splice
from promotion.config.promotion_yaml import load
from promotion.errors import PromotionError
from promotion.pullrequest.sides import packages
from promotion.pullrequest.workdir import ModelWork, Work

from tests.support import samples
from tests.support.tiny import MODEL, TinyProject

UNLOCKED = "pandas\nscikit-learn>=1.0 # as it was\n"


@pytest.fixture
def files(tmp_path: Path) -> ModelWork:
    """A model's work folder, both of whose trees have a requirements.txt that is no lock."""
    found = Work(tmp_path).model("fraud-detector")
    for side in ("champion", "candidate"):
        found.side(side).source.mkdir(parents=True)
        (found.side(side).source / "requirements.txt").write_text(UNLOCKED)
    return found


def test_a_tree_of_the_past_without_a_lock_runs_with_the_bases_packages(
    files: ModelWork, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adopted champion's was never asked for one; a candidate's is refused, unless it is a look's predecessor."""
    plan = samples.model_plan()
    watch = plan.model_copy(update={"action": "watch"})

    assert packages(plan, files, "champion") is None and packages(watch, files, "candidate") is None
    assert (
        "the requirements.txt of the champion's own tree is no lock (`pandas` is not a package"
        in capsys.readouterr().out
    )
    with pytest.raises(PromotionError, match=r"requirements.txt:1: `pandas` is not a package pinned"):
        packages(plan, files, "candidate")


@pytest.mark.slow
def test_an_adopted_champion_without_a_lock_is_challenged(tmp_path: Path) -> None:
    """It answers with the base's packages; the pull request that brings a lock is judged against it, and says so."""
    project = TinyProject(tmp_path)
    project.edit("model.yaml", "seed: 0", "seed: 1")
    project.merge(project.judge(project.open("first")).request)
    assert project.promote()
    project.hosting.pull()
    file = project.clone / "promotion.yaml"
    pin = load(file).models[MODEL].champion
    assert pin is not None
    adopted = pin.model_copy(update={"source_tree": None, "evidence": None, "adopted": True})
    file.write_text(splice(file.read_text(), {MODEL: adopted}))
    (project.clone / "models" / MODEL / "requirements.txt").write_text(UNLOCKED)
    project.merge(project.open("adopted"))
    project.hosting.pull()
    (project.clone / "models" / MODEL / "requirements.txt").unlink()
    project.edit("model.yaml", "features: [hint]", "features: [hint, clue]")

    found = project.judge(project.open("better")).evaluation

    assert found is not None and found.verdict == "PROMOTE"
    assert any("its tree's requirements.txt is no lock (`pandas` is not a package" in note for note in found.notes)
