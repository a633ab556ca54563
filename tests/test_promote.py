"""promote.py plan and apply: the end state in git and the registry, in every state of the world."""

import json
from collections.abc import Callable
from pathlib import Path

import promote
import pytest
from promotion.champion.apply import plan_moves, settle
from promotion.errors import PromotionError
from promotion.registry.client import Registry

from tests.support.worlds import World, policy_text

NewWorld = Callable[..., World]


def said(world: World, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that were printed after the one that says which commit and registry were read."""
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"reading main at {world.tip[:12]} and the registry {world.uri}"
    return lines


def test_first_champion(no_champion: World) -> None:
    """The first pin makes the first champion, and the ledger says by which commit."""
    no_champion.merge("one", message="Retrain (#12)")

    assert no_champion.apply() == 0
    assert no_champion.champion() == 1
    (entry,) = no_champion.ledger()
    assert (entry.commit, entry.height, entry.before, entry.version, entry.pr) == (no_champion.tip, 2, None, 1, 12)
    assert (entry.reason, entry.stands) == ("merge", True)


def test_twice_changes_nothing(champion_and_better_candidate: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A second apply makes no write and says so."""
    world = champion_and_better_candidate
    assert world.apply() == 0
    before = world.state()
    capsys.readouterr()

    assert world.apply() == 0
    assert world.state() == before
    assert said(world, capsys) == ["tiny: @champion is 2, as main pins"]


def test_plan_writes_nothing(champion_and_better_candidate: World, capsys: pytest.CaptureFixture[str]) -> None:
    """plan shows the difference and leaves it; what would happen reads otherwise than what happened."""
    world = champion_and_better_candidate
    before = world.state()
    capsys.readouterr()

    assert world.promote("plan") == 0
    assert world.state() == before
    assert said(world, capsys) == ["tiny: would move @champion 1 -> 2"]
    assert world.apply() == 0
    assert said(world, capsys) == ["tiny: moved @champion 1 -> 2"]


def test_plan_as_json(champion_and_better_candidate: World, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints every model, its step and why it is refused; what was read is on stderr."""
    world = champion_and_better_candidate
    (world.files_of(2) / "MLmodel").write_text("another model\n")
    capsys.readouterr()

    assert world.promote("plan", "--json") == 1
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)
    (problem,) = found.pop("refused")
    assert found == {"model": "tiny", "champion": 1, "pinned": 2, "step": "move", "notes": []}
    assert problem.startswith("files: ")
    assert printed.err.startswith(f"reading main at {world.tip[:12]}")


def test_plan_shows_refusals(first_champion: World, capsys: pytest.CaptureFixture[str]) -> None:
    """plan exits with 1 and names every refusal."""
    first_champion.merge("two", verdict="KEEP")

    assert first_champion.promote("plan") == 1
    assert "REFUSED evidence: version 2: its evidence says KEEP" in capsys.readouterr().out


def test_revert_and_revert_of_the_revert(second_champion: World) -> None:
    """git revert is the rollback; the revert of the revert promotes again; nothing is trained."""
    world = second_champion
    world.revert(world.tip)
    assert world.apply() == 0
    assert world.champion() == 1
    world.revert(world.tip)
    assert world.apply() == 0

    assert world.champion() == 2
    assert [(entry.version, entry.reason) for entry in world.ledger()] == [
        (1, "merge"),
        (2, "merge"),
        (1, "rollback"),
        (2, "rollback"),
    ]


def test_revert_of_a_merge_commit(first_champion: World) -> None:
    """With merge commits the height is first-parent too, and the revert goes back."""
    world = first_champion
    world.git("checkout", "--quiet", "-b", "retrain")
    world.code("draft")
    world.commit_here("draft")
    world.merge("two")
    world.git("checkout", "--quiet", "main")
    world.git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #9 from retrain", "retrain")
    assert world.apply() == 0
    assert (world.ledger()[-1].height, world.ledger()[-1].pr, world.champion()) == (3, 9, 2)
    world.git("revert", "--no-edit", "-m", "1", "HEAD")

    assert world.apply() == 0
    assert (world.champion(), world.ledger()[-1].height) == (1, 4)


def test_pins_between_applies(first_champion: World) -> None:
    """Pins that came and went between two applies were never champion: the ledger has only what was applied."""
    world = first_champion
    world.merge("two")
    world.merge("three")

    assert world.apply() == 0
    assert world.champion() == 3
    assert [entry.version for entry in world.ledger()] == [1, 3]


def test_a_rollback_that_finds_nothing_to_move(champion_and_better_candidate: World) -> None:
    """A revert before anybody applied is recorded, so that a late promoter of the reverted pin loses."""
    world = champion_and_better_candidate
    (late,) = plan_moves(world.repo, world.tip, world.registry)
    assert late.problems == ()
    world.revert(world.tip)
    assert world.apply() == 0

    said = settle(late.difference, world.registry, by="late")

    assert said.superseded
    assert world.champion() == 1
    assert [(entry.height, entry.version) for entry in world.ledger()] == [(2, 1), (4, 1)]


def test_a_late_retirement_that_finds_nothing_to_drop(no_champion: World) -> None:
    """The same where the revert goes back to no champion at all."""
    world = no_champion
    world.merge("one")
    (late,) = plan_moves(world.repo, world.tip, world.registry)
    world.revert(world.tip)
    assert world.apply() == 0

    settle(late.difference, world.registry, by="late")

    assert world.champion() is None
    assert [entry.version for entry in world.ledger()] == [None]


def test_retired(second_champion: World) -> None:
    """`champion: null` over our own champion drops the alias; versions stay; later nothing is touched."""
    world = second_champion
    world.pin(None)
    world.commit("retire")

    assert world.apply() == 0
    assert world.champion() is None
    assert world.ledger()[-1].reason == "retire"
    assert world.registry.version("tiny", 2) is not None
    assert world.apply() == 0


def with_one_promoted(new_world: NewWorld) -> World:
    """Two models, and the first has a champion."""
    world = new_world("one", "two")
    world.merge("first", "one")
    assert world.apply() == 0
    return world


def remove_one(world: World) -> None:
    """Take the first model out of main, with its folder."""
    world.write("promotion.yaml", policy_text("two"))
    world.git("rm", "-rq", "models/one")
    world.commit("remove one")


def test_a_candidate_before_the_first_champion_asks_for_nothing(no_champion: World) -> None:
    """It is registered, main pins none, and there is nothing to write."""
    no_champion.candidate("one")
    no_champion.git("checkout", "--quiet", "--", ".")
    before = no_champion.state()

    assert no_champion.promote("plan") == 0 and no_champion.apply() == 0
    assert no_champion.state() == before


def test_a_removal_that_was_cut_off_before_its_alias_is_finished(new_world: NewWorld) -> None:
    """The ledger has it and @champion is still there; a later alias of somebody else's is not ours to drop."""
    world = with_one_promoted(new_world)
    remove_one(world)
    assert world.apply() == 0
    world.set_champion(1, "one")
    world.registry.client.delete_registered_model_tag("one", world.ledger("one")[-1].reached_key)

    assert world.apply() == 0
    assert world.champion("one") is None and world.ledger("one")[-1].stands


def test_another_repositorys_model_of_a_name_that_was_removed_here(new_world: NewWorld) -> None:
    """It was pinned here and never applied; the champion that the registry has by that name is theirs."""
    world = with_one_promoted(new_world)
    entry, theirs = world.ledger("one")[0], "7" * 40
    world.registry.set_model_tag("one", entry.key, entry._replace(commit=theirs).text())
    remove_one(world)
    before = world.state("one")

    assert world.promote("plan") == 0 and world.apply() == 0
    assert world.state("one") == before


def test_removed_with_its_folder(new_world: NewWorld) -> None:
    """An entry that is removed together with its folder drops the alias once; then the name is nobody's."""
    world = with_one_promoted(new_world)
    remove_one(world)

    assert world.apply() == 0
    assert world.champion("one") is None
    world.set_champion(1, "one")
    before = world.state("one")
    assert world.apply() == 0
    assert world.state("one") == before


def test_entry_removed_but_not_its_folder(new_world: NewWorld) -> None:
    """A model that promotion.yaml does not name is never touched while its folder is there."""
    world = with_one_promoted(new_world)
    before = world.state("one")
    world.write("promotion.yaml", policy_text("two"))
    world.commit("remove the entry only")

    assert world.apply() == 0
    assert world.state("one") == before


def test_two_repositories_share_a_registry(first_champion: World, tmp_path: Path) -> None:
    """Another repository's models, with their own ledgers, are not named here and so never touched."""
    other = World(tmp_path / "other", first_champion.uri, ("theirs",))
    other.merge("one")

    assert other.apply() == 0
    assert first_champion.apply() == 0
    assert (first_champion.champion("tiny"), first_champion.champion("theirs")) == (1, 1)
    assert len(first_champion.ledger("tiny")) == len(first_champion.ledger("theirs")) == 1


def test_models_of_others(new_world: NewWorld) -> None:
    """Registered models that promotion.yaml does not name are left alone."""
    world = new_world()
    world.registry.client.create_registered_model("theirs")
    world.registry.set_model_tag("theirs", "team", "other")
    world.merge("one")

    assert world.apply() == 0
    assert world.tags("theirs") == {"team": "other"}


def test_alias_moved_by_hand(alias_moved_by_hand: World) -> None:
    """A hand-moved alias goes back to what main pins, and the repair is recorded."""
    world = alias_moved_by_hand

    assert world.apply() == 0
    assert world.champion() == 2
    (repair,) = world.repairs()
    assert (repair.before, repair.version, repair.height) == (1, 2, 3)
    assert "by hand" in repair.cause
    assert [entry.version for entry in world.ledger()] == [1, 2]


def test_alias_gone(alias_gone: World) -> None:
    """A deleted alias comes back, each time with its own record."""
    world = alias_gone
    assert world.apply() == 0
    world.set_champion(None)

    assert world.apply() == 0
    assert world.champion() == 2
    assert [(repair.number, repair.before, repair.cause) for repair in world.repairs()] == [
        (1, None, "alias gone"),
        (2, None, "alias gone"),
    ]


def test_version_gone(version_gone: World) -> None:
    """A pinned version that was deleted is a refusal; nothing is written."""
    before = version_gone.state()

    assert version_gone.apply() == 1
    assert version_gone.state() == before


def test_alias_never_settles(champion_and_better_candidate: World) -> None:
    """A registry that does not take the alias is an error after a bounded number of readings, not a claim."""
    world = champion_and_better_candidate

    class Deaf(Registry):
        def set_alias(self, name: str, alias: str, version: int) -> None:
            """Do as if."""

    (planned,) = plan_moves(world.repo, world.tip, world.registry)
    with pytest.raises(PromotionError, match="keeps changing"):
        settle(planned.difference, Deaf(world.uri), by="test")
    assert world.champion() == 1
    assert not world.ledger()[-1].stands


def test_two_histories(champion_and_better_candidate: World) -> None:
    """Two repositories that write to one registry at one height find out."""
    world = champion_and_better_candidate
    (planned,) = plan_moves(world.repo, world.tip, world.registry)
    text = world.tags()["promotion.ledger.00000002"].replace(world.ledger()[0].commit, "d" * 40)
    world.registry.set_model_tag("tiny", "promotion.ledger.00000003", text)

    with pytest.raises(PromotionError, match="two histories write to one registry"):
        settle(planned.difference, world.registry, by="test")
    assert world.champion() == 1


def test_applies_the_tip_of_origin(champion_and_better_candidate: World, tmp_path: Path) -> None:
    """A checkout that lags behind origin applies what origin's main pins: a re-run is no time machine."""
    world = champion_and_better_candidate
    assert world.apply() == 0
    world.git("clone", "--quiet", "--bare", str(world.path), str(tmp_path / "hosted.git"))
    world.git("remote", "add", "origin", str(tmp_path / "hosted.git"))
    world.revert(world.tip)
    world.git("push", "--quiet", "origin", "main")
    world.git("reset", "--quiet", "--hard", "main~1")

    assert world.apply() == 0
    assert world.champion() == 1


@pytest.mark.parametrize(
    ("prepare", "saying"),
    [
        ("no_repository", "is not a git checkout"),
        ("no_file", "promotion.yaml: missing at "),
        ("unknown_commit", "unknown commit deadbeef"),
        ("shallow", "this clone is shallow"),
        ("no_branch", "has no branch `main`"),
    ],
)
def test_bad_input(
    champion_and_better_candidate: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], prepare: str, saying: str
) -> None:
    """Each bad input is one sentence, exit 2, and nothing changes."""
    world = champion_and_better_candidate
    before, args, path = world.state(), [], world.path
    if prepare == "no_repository":
        path = tmp_path / "empty"
        path.mkdir()
    elif prepare == "no_file":
        world.git("rm", "-q", "promotion.yaml")
        world.commit("remove it")
    elif prepare == "unknown_commit":
        args = ["--commit", "deadbeef"]
    elif prepare == "shallow":
        path = tmp_path / "clone"
        world.git("clone", "--quiet", "--depth", "1", world.path.as_uri(), str(path))
    else:
        world.git("branch", "-m", "trunk")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", world.uri)
        assert promote.main(["apply", "--repo", str(path), *args]) == 2
    error = capsys.readouterr().err
    assert saying in error
    assert error.count("\n") == 1
    assert world.state() == before


def test_server_is_down(champion_and_better_candidate: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An MLflow that cannot be reached is one sentence with its address and without its password."""
    world = champion_and_better_candidate
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://dana:hunter2@127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        assert promote.main(["apply", "--repo", str(world.path)]) == 2
    error = capsys.readouterr().err
    assert "MLflow at http://127.0.0.1:9 cannot be reached" in error
    assert "hunter2" not in error
    assert error.count("\n") == 1


def test_deadline(champion_and_better_candidate: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that takes longer than its deadline stops with a sentence; the next one goes on."""
    world = champion_and_better_candidate

    assert world.apply("--deadline", "0.001") == 2
    assert "promote.py apply took longer than 0.001 s and was stopped" in capsys.readouterr().err
    assert world.apply() == 0
    assert world.champion() == 2
