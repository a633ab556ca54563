"""A renamed model challenges its old name's champion, under its old name's policy."""

import pytest
from promotion.pullrequest.classify import Change, classify
from promotion.records.plan import Plan

from tests.support.worlds import ENTRY, World


def rename(world: World, *, line: str = "    renamed_from: tiny\n", entry: str = ENTRY) -> None:
    """Move models/tiny to models/small and its entry with it, in the work tree."""
    world.git("mv", "models/tiny", "models/small")
    world.write("promotion.yaml", "models:\n" + entry.format(name="small") + line)


def planned(world: World) -> Plan:
    base = world.tip
    merge = world.commit("rename")
    return classify(world.repo, world.registry, Change(base=base, merge=merge, head=merge))


def test_renamed_model_is_trained_against_the_old_champion(second_champion: World) -> None:
    """The plan names the old champion, where it is registered, and says what merging does to the old name."""
    old = second_champion.pinned()
    rename(second_champion)

    plan = planned(second_champion)

    items = {item.model: item for item in plan.models}
    assert plan.refusals == ()
    assert (items["small"].action, items["small"].champion, items["small"].champion_model) == ("train", old, "tiny")
    assert "renames tiny" in items["small"].says_first[0]
    assert items["tiny"].merge_effect == "@champion is dropped"


def test_winner_under_the_new_name_is_promoted(second_champion: World) -> None:
    """Evidence won against the old name's champion passes, in the pull request and at promotion."""
    old, base = second_champion.pinned(), second_champion.tip
    rename(second_champion)
    tree = second_champion.repo.working_tree("models/small")
    assert tree is not None
    pin = second_champion.version(tree, "renamed", model="small", champion=old)
    second_champion.pin(pin, "small")
    merge = second_champion.commit("Rename (#9)")
    plan = classify(second_champion.repo, second_champion.registry, Change(base=base, merge=merge, head=merge))
    assert plan.refusals == () and {item.model: item.action for item in plan.models}["small"] == "verify"

    assert second_champion.apply() == 0
    assert second_champion.champion("small") == 1 and second_champion.champion("tiny") is None


def test_evidence_against_nobody_does_not_promote_a_renamed_model(second_champion: World) -> None:
    """A first champion under a new name is no way around the challenge."""
    rename(second_champion)
    tree = second_champion.repo.working_tree("models/small")
    assert tree is not None
    second_champion.pin(second_champion.version(tree, "renamed", model="small"), "small")
    second_champion.commit("Rename (#9)")

    assert second_champion.apply() == 1
    assert second_champion.champion("small") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "say `renamed_from: tiny`"),
        ("    renamed_from: tinny\n", "no model whose champion"),
    ],
)
def test_rename_without_its_old_name_is_refused(second_champion: World, line: str, says: str) -> None:
    """Removing a champion and adding a model in one pull request has to say whether that is a rename."""
    rename(second_champion, line=line)
    assert any(says in refusal for refusal in planned(second_champion).refusals)


def test_copied_pin_is_refused(second_champion: World) -> None:
    """Version numbers of the old name mean nothing under the new one."""
    old = second_champion.pinned()
    rename(second_champion)
    second_champion.pin(old, "small")
    assert any("set `champion: null`" in refusal for refusal in planned(second_champion).refusals)


def test_rename_with_a_lower_bar_is_refused(second_champion: World) -> None:
    """The old name's policy is in force."""
    rename(second_champion, entry=ENTRY.replace("0.2", "0.1"))
    assert any("lowers the bar" in refusal for refusal in planned(second_champion).refusals)


def test_revert_of_a_rename_is_a_rollback(second_champion: World) -> None:
    """Reverting puts the old name back, code, entry and champion."""
    rename(second_champion)
    tree = second_champion.repo.working_tree("models/small")
    assert tree is not None
    pin = second_champion.version(tree, "renamed", model="small", champion=second_champion_pin(second_champion))
    second_champion.pin(pin, "small")
    base = second_champion.commit("Rename (#9)")
    assert second_champion.apply() == 0
    merge = second_champion.revert(base)

    plan = classify(second_champion.repo, second_champion.registry, Change(base=base, merge=merge, head=merge))
    assert plan.refusals == ()
    assert second_champion.apply() == 0
    assert second_champion.champion("tiny") == 2 and second_champion.champion("small") is None


def second_champion_pin(world: World):
    from promotion.config import promotion_yaml as config
    from promotion.git.repo import Repo

    text = Repo(world.path).file_at("main", "promotion.yaml")
    assert text is not None
    return config.parse(text).models["tiny"].champion


def test_line_that_stays_is_harmless(second_champion: World) -> None:
    """After the merge `renamed_from` says nothing any more."""
    text = second_champion.read() + "    renamed_from: older\n"
    second_champion.write("promotion.yaml", text)
    second_champion.commit("a line")
    second_champion.merge("three")
    assert second_champion.apply() == 0
    assert second_champion.champion() == 3
