"""prepare.py puts in place what a judgement needs, each model by itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pin import winners
from prepare import prepare
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.pullrequest.classify import Change
from promotion.pullrequest.workdir import Work
from promotion.records.plan import Plan
from promotion.sandbox import artifact

from tests.support.artifacts import tiny_files
from tests.support.attacks import attack
from tests.support.worlds import World, sha


@pytest.fixture
def two(new_world: Callable[..., World]) -> World:
    """Two models, each with a champion, whose code both changed in the commit on top of main."""
    world = new_world("one", "two")
    for model in world.models:
        world.merge("zero", model)
    for model in world.models:
        world.code("next", model)
    return world


def planned(world: World, tmp_path: Path) -> tuple[Plan, Work]:
    """Prepare the world's work tree as a pull request into main."""
    base = world.tip
    world.git("checkout", "--quiet", "-B", "branch")
    merge = world.commit("retrain")
    work = Work(tmp_path / "work")
    return prepare(world.repo, world.registry, work, Change(base=base, merge=merge, head=merge)), work


@attack("who holds the candidate credentials", "the whole pull request ended in an error, and no model was judged")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "one version 1"),
        (lambda files: (files / "MLmodel").write_text("another"), "somebody changed them after the pin was made"),
        (lambda files: next((files.parent / "evidence").iterdir()).write_text("{}"), "it was changed"),
        (lambda files: (files / "link").symlink_to("/etc/passwd"), "one version 1"),
    ],
)
def test_one_models_bad_records_do_not_stop_the_others(
    two: World, tmp_path: Path, spoil: Callable[[Path], object], said: str, happened: Callable[[str], None]
) -> None:
    """A champion's files or evidence are gone or spoiled, and its pull request changes another model too."""
    spoil(two.files_of(1, "one"))
    plan, work = planned(two, tmp_path)

    assert [(item.model, item.action) for item in plan.models] == [("one", "refuse"), ("two", "train")]
    assert said in plan.models[0].reason
    assert plan.refusals == (f"one: {plan.models[0].reason}",) and plan.blocked == ()
    assert work.read_plan() == plan
    assert "MLmodel" in {path.name for path in work.model("two").side("champion").model.iterdir()}
    assert winners(work)[0] == {}
    happened("that model is refused with the reason, and the other is judged")


def test_an_unreadable_ledger_is_one_models_trouble(two: World, tmp_path: Path) -> None:
    """Whoever may register can write a tag that nobody can read: its model is refused, the other is judged."""
    two.git("checkout", "--quiet", "--", "models/one")
    tree = two.git("rev-parse", "main:models/one")
    two.pin(PinRecord(version=7, source_tree=tree, digest=sha("7"), evidence=sha("won")), "one")
    two.registry.set_model_tag("one", "promotion.ledger.00000099", "[" * 3000)
    plan, _ = planned(two, tmp_path)

    assert [(item.model, item.action) for item in plan.models] == [("one", "refuse"), ("two", "train")]
    assert "is not what this project wrote" in plan.models[0].reason and plan.blocked == ()


def test_a_pin_that_lands_is_read_by_todays_limits(first_champion: World, tmp_path: Path) -> None:
    """A branch's own pin of files that no model has is refused before it is merged."""
    pin = first_champion.candidate("two", files={**tiny_files("two"), "extra.bin": b"x"})
    first_champion.pin(pin)
    with pytest.raises(PromotionError, match=r"tiny version 2: the file `extra.bin` belongs to no model"):
        planned(first_champion, tmp_path)


def test_the_way_back_stays_open(
    first_champion: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A revert to what was confirmed before is verified, with a note about what a new pin would be refused for."""
    world = first_champion
    with monkeypatch.context() as before:
        before.setattr(artifact, "accept", lambda *args, **how: None)
        world.merge("two", files={**tiny_files("two"), "extra.bin": b"x"})
        assert world.apply() == 0
    world.merge("three")
    assert world.apply() == 0
    world.git("revert", "--no-commit", "HEAD")
    plan, _ = planned(world, tmp_path)

    assert plan.models[0].action == "verify"
    assert "a new pin of these files would be refused" in capsys.readouterr().out
