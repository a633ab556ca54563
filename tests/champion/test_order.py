"""Order is main's: old commits, branches, rewritten history and forged ledgers never move @champion."""

import pytest

from tests.support.refusals import refused
from tests.support.worlds import World, sha


@pytest.mark.parametrize("value", ["", "not JSON", "[]", '{"commit": "x"}', '{"version": "2"}', '{"version": null}'])
def test_ledger_entry_written_by_hand(champion_and_better_candidate: World, value: str) -> None:
    """An entry that cannot be read stops its model with one sentence: passing it over could lose the newest pin."""
    world = champion_and_better_candidate
    world.registry.set_model_tag("tiny", "promotion.ledger.00000099", value)

    refused(world, "ledger", saying="the tag promotion.ledger.00000099 of the registered model is not what")


def test_ledger_entry_forged(champion_and_better_candidate: World) -> None:
    """A readable entry that no commit explains is not obeyed."""
    world = champion_and_better_candidate
    value = world.tags()["promotion.ledger.00000002"]
    world.registry.set_model_tag("tiny", "promotion.ledger.00000099", value)

    refused(world, "order", saying="delete it")


@pytest.mark.parametrize("changed", [{"digest": sha("other")}, {"version": 1}, {"version": None, "digest": None}])
def test_ledger_entry_that_says_something_else_than_its_pin(second_champion: World, changed) -> None:
    """Where the tag of the very commit that main pins was changed, that is said, though the alias is right."""
    world, newest = second_champion, second_champion.ledger()[-1]
    world.registry.set_model_tag("tiny", newest.key, newest._replace(**changed).text())

    refused(world, "order", saying="is not what main pins")


def test_older_commit(second_champion: World) -> None:
    """An old commit of main is refused once a newer pin was confirmed: nothing moves backwards."""
    refused(second_champion, "order", "--commit", "main~1", saying="nothing moves backwards")


def test_older_commit_of_a_rollback(rolled_back: World) -> None:
    """The run of the promotion that was rolled back, started again, changes nothing."""
    refused(rolled_back, "order", "--commit", "main~1", saying="nothing moves backwards")
    assert rolled_back.champion() == 1


def test_commit_of_a_branch(first_champion: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A commit that is not on main's first-parent history is bad input."""
    world = first_champion
    world.git("checkout", "--quiet", "-b", "retrain")
    world.merge("two")
    world.git("checkout", "--quiet", "main")
    before = world.state()

    assert world.apply("--commit", "retrain") == 2
    assert "not on the first-parent history of main" in capsys.readouterr().err
    assert world.state() == before


def rewrite(world: World) -> None:
    """Rewrite main so that the commits of the ledger are gone, and pin version 2 anew at the same height."""
    text, height = world.read(), world.height()
    world.git("checkout", "--quiet", "--orphan", "other")
    world.write("promotion.yaml", world.initial)
    world.commit_here("start again")
    while world.height("other") < height - 1:
        world.commit_here("padding")
    world.write("promotion.yaml", text)
    world.commit_here("the same pin")
    world.git("branch", "--quiet", "--force", "main", "other")
    world.git("checkout", "--quiet", "main")
    assert world.height() == height


def test_rewritten_history(second_champion: World) -> None:
    """Rewritten history is its own refusal, with its own flag; then a new era of the ledger begins."""
    world = second_champion
    rewrite(world)

    refused(world, "order", saying="--rewritten-history")
    assert world.apply("--rewritten-history") == 0
    assert world.champion() == 2
    assert [entry.order for entry in world.ledger()] == [(0, 2), (0, 3), (1, 3)]
    assert world.apply() == 0
    world.merge("three")
    assert world.apply() == 0
    assert (world.champion(), world.ledger()[-1].order) == (3, (1, 4))


def test_main_was_reset(rolled_back: World) -> None:
    """A main that was forced back behind the ledger is refused, and passes with the flag for rewritten history."""
    world = rolled_back
    world.git("reset", "--quiet", "--hard", "main~1")

    refused(world, "order", saying="nothing moves backwards")
    assert world.apply("--rewritten-history") == 0
    assert world.champion() == 2
    assert world.apply() == 0


def test_rewritten_history_takes_the_tip(second_champion: World) -> None:
    """The flag does not open a way for an older commit."""
    before = second_champion.state()

    assert second_champion.apply("--rewritten-history", "--commit", "main~1") == 2
    assert second_champion.state() == before


def test_unreadable_revision_is_no_change(second_champion: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken promotion.yaml on main promotes nothing, and its repair is no new pin."""
    world = second_champion
    text, before = world.read(), world.state()
    world.write("promotion.yaml", "models: [\n")
    world.commit("break it")
    assert world.apply() == 2
    assert "promotion.yaml:" in capsys.readouterr().err
    world.write("promotion.yaml", text)
    world.commit("mend it")

    assert world.apply() == 0
    assert world.state() == before
