"""What a pull request is told that merging does is what promote then does."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from promotion.config.pin import Override, PinRecord
from promotion.pullrequest.classify import Change, classify
from promotion.records.plan import Plan
from promotion.rendering import Reported, comment_markdown, is_green

from tests.support import samples
from tests.support.worlds import World

WHY = "wrong declines"


def told(world: World, text: str = "the pull request (#9)") -> Plan:
    """Commit the work tree as a squash does; return what its pull request was told before."""
    base, merge = world.tip, world.commit(text)
    return classify(world.repo, world.registry, Change(base=base, merge=merge, head=merge))


def freeze(world: World) -> None:
    """Merge a freeze."""
    world.write("promotion.yaml", world.read().replace("    champion:", "    freeze: audit week\n    champion:"))
    world.commit("freeze")


def winner(world: World) -> None:
    """A candidate that won, with its pin."""
    world.pin(world.candidate("three"))


def back(world: World, override: Override | None = None) -> None:
    """The pin and the code of the first champion, as a revert brings them."""
    first = next(change for change in reversed(world.ledger()) if change.version == 1)
    world.git("checkout", "--quiet", first.commit, "--", "models")
    pin = world.pinned_at(first.commit)
    assert pin is not None
    world.pin(pin.model_copy(update={"override": override}))


def back_with_a_reason(world: World) -> None:
    """What rollback.py --reason brings."""
    back(world, Override(reason=WHY))


def back_with_the_reason_of_another_day(world: World) -> None:
    """The same pin as it was brought before, and left again, while nothing was frozen."""
    frozen = world.read()
    world.write("promotion.yaml", frozen.replace("    freeze: audit week\n", ""))
    world.commit("thaw")
    back_with_a_reason(world)
    world.commit("back")
    assert world.apply() == 0
    world.merge("four")
    assert world.apply() == 0
    freeze(world)
    back_with_a_reason(world)


def overridden(world: World) -> None:
    """A version that never was champion, with a reason in place of a win."""
    world.pin(world.candidate("three").model_copy(update={"override": Override(reason=WHY)}))


def dropped(world: World) -> None:
    """`champion: null`."""
    world.pin(None)


@pytest.mark.parametrize(
    ("change", "frozen", "moves"),
    [
        (winner, False, True),
        (winner, True, False),
        (back, False, True),
        (back, True, False),
        (back_with_a_reason, True, True),
        (back_with_the_reason_of_another_day, True, False),
        (overridden, False, True),
        (overridden, True, False),
        (dropped, False, True),
        (dropped, True, False),
    ],
)
def test_a_freeze_is_said_before_the_merge(
    second_champion: World, change: Callable[[World], None], frozen: bool, moves: bool
) -> None:
    """Where promote will refuse, the plan says so with what to do; where it will not, nothing is said."""
    if frozen:
        freeze(second_champion)
    change(second_champion)
    (item,) = told(second_champion).models
    before = second_champion.champion()

    assert (item.action, item.held is None) == ("verify", moves)
    assert second_champion.apply() == (0 if moves else 1)
    assert (second_champion.champion() != before) is moves


def test_what_is_trained_during_a_freeze_is_told_so(second_champion: World) -> None:
    """Also before there is a pin; and the way that is open, for a rollback alone."""
    freeze(second_champion)
    second_champion.write("notes.md", "nothing of the model's")
    (untouched,) = told(second_champion).models
    second_champion.code("five")
    (item,) = told(second_champion).models
    second_champion.git("checkout", "--quiet", "HEAD~1", "--", "models")
    back(second_champion)
    (reverted,) = told(second_champion).models

    assert (untouched.action, untouched.held, item.action) == ("none", None, "train")
    assert item.held == (
        "tiny is frozen (audit week), so merging this moves no champion; take `freeze` out of promotion.yaml first"
    )
    assert str(reverted.held).endswith(
        "; a rollback passes with `python scripts/rollback.py tiny --to 1 --reason TEXT`"
    )


def test_what_moves_nothing_is_not_held_by_a_freeze(foreign_champion: World) -> None:
    """A champion that is adopted, and code that comes back to what is pinned; the way back to that one is."""
    world = foreign_champion
    freeze(world)
    adopted = PinRecord(version=1, source_tree=None, digest=None, evidence=None, adopted=True)
    world.pin(adopted)
    (taken,) = told(world, "adopt").models
    assert world.apply() == 0
    world.write("promotion.yaml", world.read().replace("    freeze: audit week\n", ""))
    world.commit("thaw")
    pinned = world.merge("two")
    assert world.apply() == 0
    freeze(world)
    world.code("not judged")
    world.commit("pushed around the rules")
    world.git("checkout", "--quiet", "HEAD~1", "--", "models")
    (again,) = told(world, "back to the pinned code").models
    world.pin(adopted)
    (back,) = told(world, "back to the adopted one").models

    assert [(item.action, item.held) for item in (taken, again)] == [("verify", None)] * 2
    assert again.pin == pinned
    assert back.action == "verify" and "rollback.py tiny --to 1 --reason" in str(back.held)
    assert world.apply() == 1 and world.champion() == pinned.version


def held(reported: Reported) -> Reported:
    """The same during a freeze."""
    return replace(reported, plan=reported.plan.model_copy(update={"held": "it is frozen"}))


@pytest.mark.parametrize(
    ("reported", "says"),
    [
        (samples.promote(), "Merging pins version 4, and `@champion` stays 3."),
        (samples.verified(), "Merging pins version 4, and `@champion` stays 3."),
        (samples.rollback(), "Merging pins version 3, and `@champion` stays 4."),
        (samples.first(), "Merging pins version 1, and there is still no `@champion`."),
        (samples.promote(pinned=False), "then merging pins version 4, and `@champion` stays 3."),
    ],
)
def test_the_comment_promises_nothing_that_a_freeze_stops(reported: Reported, says: str) -> None:
    """A warning before all, what merging does, and no next step that promises seconds."""
    text = comment_markdown([held(reported)], plan=samples.PLAN)

    assert text.startswith("<!-- promotion-report -->\n> [!WARNING]\n> **it is frozen**")
    assert says in text and "within seconds" not in text and "merging is the promotion" not in text
    assert is_green(held(reported)) is is_green(reported)


def test_a_champion_that_this_project_never_set_is_adopted_first(foreign_champion: World) -> None:
    """No first champion is promised that promote would refuse to put in another's place."""
    foreign_champion.code("one")
    plan = told(foreign_champion)
    trial = foreign_champion.tip
    change = Change(base=f"{trial}~1", merge=trial, head=trial)
    (tried,) = classify(foreign_champion.repo, foreign_champion.registry, change, only="tiny").models

    assert [item.action for item in plan.models] == ["refuse"]
    assert "the registry has version 1 as @champion, which this project never set" in plan.refusals[0]
    assert "promote.py adopt" in plan.refusals[0]
    assert tried.action == "train"


def test_a_first_pin_beside_a_champion_of_others_is_refused_as_promote_does(foreign_champion: World) -> None:
    """Also where it won: the candidate has not met that champion."""
    winner(foreign_champion)
    plan = told(foreign_champion)

    assert [item.action for item in plan.models] == ["refuse"] and "never set" in plan.refusals[0]
    assert foreign_champion.apply() == 1
    assert foreign_champion.champion() == 1


def test_a_champion_that_waits_for_its_promotion_is_nobody_elses(no_champion: World) -> None:
    """Between the merge of a pin and promote, and after the alias was moved by hand, a candidate is trained."""
    no_champion.merge("one")
    no_champion.code("two")
    (waits,) = told(no_champion).models
    no_champion.git("reset", "--quiet", "--hard", "HEAD~1")
    assert no_champion.apply() == 0
    no_champion.merge("three")
    assert no_champion.apply() == 0
    no_champion.candidate("by hand")
    no_champion.set_champion(3)
    (moved,) = told(no_champion).models

    assert (waits.action, moved.action) == ("train", "train")


@pytest.mark.parametrize(("most", "refused"), [(1, True), (2, False), (None, False)])
def test_more_champions_than_the_guard_allows_are_refused(
    new_world: Callable[..., World], most: int | None, refused: bool
) -> None:
    """As promote would refuse them all; a third model that is left alone does not count."""
    world = new_world("one", "two", "three")
    if most is not None:
        world.write("promotion.yaml", world.read() + f"guard: {{moves: {most}}}\n")
        world.commit("guard")
    for model in ("one", "two"):
        world.pin(world.candidate("first", model), model)
    plan = told(world)

    assert [item.action for item in plan.models] == ["verify", "none", "verify"]
    assert (plan.refusals != ()) is refused
    assert world.apply() == (1 if refused else 0)
    assert world.champion("one") == (None if refused else 1)
    if refused:
        assert plan.blocked == plan.refusals
        assert "it moves 2 champions (one, two), and `guard.moves` in promotion.yaml allows 1" in plan.refusals[0]


def test_what_is_adopted_moves_nothing_and_needs_no_room(foreign_champion: World) -> None:
    """A guard of 0 lets the registry's own champion be taken over."""
    foreign_champion.write("promotion.yaml", foreign_champion.read() + "guard: {moves: 0}\n")
    foreign_champion.commit("guard")
    foreign_champion.pin(PinRecord(version=1, source_tree=None, digest=None, evidence=None, adopted=True))
    plan = told(foreign_champion)

    assert ([item.action for item in plan.models], plan.refusals) == (["verify"], ())
    assert foreign_champion.apply() == 0


def test_a_pin_that_wins_goes_forward_whatever_its_number() -> None:
    """Of two pull requests the later one may be merged first: version 3 then wins against 4, and is no rollback."""
    reported = samples.verified()
    pins = {"champion": samples.verified().plan.pin, "pin": samples.rollback().plan.pin}
    plan = reported.plan.model_copy(update={**pins, "merge_effect": "@champion 4 -> 3"})
    text = comment_markdown([replace(reported, plan=plan)], plan=samples.PLAN)

    assert "## ✅ VERIFIED" in text and "Merging: `@champion 4 → 3`." in text
