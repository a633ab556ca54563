"""Pins in time: every revision of promotion.yaml read leniently, the quick way and the slow way alike."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from promotion.champion.pins import PinHistory, lenient_pins, quick_pins, slow_pins

from tests.support.worlds import World, policy_text

PIN = {"version": 3, "source_tree": "a" * 40, "digest": "sha256:" + "b" * 64, "evidence": "sha256:" + "c" * 64}
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
pins = st.none() | st.fixed_dictionaries(
    {"version": st.integers(1, 9)},
    optional={
        "digest": st.text(max_size=9) | st.integers(),
        "adopted": st.booleans(),
        "override": st.fixed_dictionaries({"by": st.text(max_size=9), "reason": st.text(max_size=9)}),
    },
)
entries = st.fixed_dictionaries(
    {}, optional={"gate": st.text(max_size=9), "champion": pins, "measure": st.lists(names)}
)


@given(
    models=st.dictionaries(
        names, entries | st.none() | st.text(max_size=5) | st.lists(st.text(max_size=3)), max_size=5
    ),
    flow=st.sampled_from([None, True, False]),
    comment=st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=9),
    guard=st.booleans(),
)
def test_quick_is_slow(models: dict[str, object], flow: bool | None, comment: str, guard: bool) -> None:
    """Whatever the file says and however it is laid out, the quick way reads what the slow way does, or gives up."""
    raw = {"guard": {"moves": 3}, "models": models} if guard else {"models": models}
    text = f"# {comment}\n" + yaml.safe_dump(raw, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    quick = quick_pins(text)

    assert quick is None or quick == slow_pins(text)
    assert lenient_pins(text) == slow_pins(text)


@given(st.text(st.sampled_from("models: \n\t-{}[]&*!#'\"|>champion:version 12,~abc?"), max_size=80))
@example("models:\n  a: &x\n    champion: {version: 1}\n  b: *x\n")
@example("models:\n  a:\n    champion: {version: 1}\n  a:\n    champion: {version: 2}\n")
@example("models:\n  a:\n    <<: {champion: {version: 1}}\n")
@example("models:\n  1:\n    champion: {version: 1}\n  true:\n    champion: {version: 1}\n")
@example("models:\n  a:\n    champion: |\n      version: 1\n")
@example("models:\n  a:\n    ? [champion]\n    : {version: 1}\n")
@example("models: {a: {champion: {version: 1}}, b: {champion: null}}\n")
@example("models:\r\n  a:\r\n    champion:\r\n      version: 1\r\n")
@example("\ufeffmodels:\n  a:\n    champion:\n      version: 1\n")
@example("models:\n  a:\n    champion:\n      version: 1\n---\nmodels: {}\n")
@example("models:\n  a:\n    champion: !!map {version: 1}\n")
@example("models: []\n")
@example("models:\n  a:\n    champion:\n      version: 1\n    champion:\n")
def test_quick_is_slow_for_anything(text: str) -> None:
    """Files that nobody would write are read the same way too."""
    quick = quick_pins(text)

    assert quick is None or quick == slow_pins(text)
    assert lenient_pins(text) == slow_pins(text)


def test_quick_reads_what_this_project_writes(champion_and_better_candidate: World) -> None:
    """The files that pin.py writes go the quick way."""
    quick = quick_pins(champion_and_better_candidate.read())

    assert quick is not None
    assert quick == {"tiny": champion_and_better_candidate.pinned()}
    assert quick_pins(policy_text("a", "b")) == {"a": None, "b": None}


def test_last_change(second_champion: World) -> None:
    """The last change of a pin is found below commits that changed other things."""
    world = second_champion
    wanted, pin = world.tip, world.pinned()
    world.write("promotion.yaml", world.read() + "# a comment\n")
    world.commit("comment")
    world.write("notes.md", "hello\n")
    world.commit("notes")
    history = PinHistory(world.repo, world.tip)
    change = history.last_change("tiny")

    assert change is not None
    assert (change.commit.sha, change.after, change.before) == (wanted, pin, world.pinned_at(f"{wanted}~1"))
    assert history.chain[change.commit.sha] == 3
    assert history.last_change("other") is None


@pytest.mark.parametrize(("height", "changed"), [(1, {"one", "two"}), (2, {"one", "two"}), (3, {"one"}), (4, set())])
def test_changed_above(new_world, height: int, changed: set[str]) -> None:  # type: ignore[no-untyped-def]
    """Only models whose pin changed above a height are named."""
    world = new_world("one", "two")
    world.merge("first", "one")
    world.merge("first", "two")
    world.merge("second", "one")

    assert PinHistory(world.repo, world.tip).changed_above(height) == changed
