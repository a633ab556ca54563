"""Pins in time: every revision of promotion.yaml is read leniently."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from promotion.champion.pins import PinHistory, lenient_pins
from promotion.config.pin import Override

from tests.support.worlds import World, policy_text

PIN = {"version": 3, "source_tree": "a" * 40, "digest": "sha256:" + "b" * 64, "evidence": "sha256:" + "c" * 64}
words = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=9)
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
pins = st.none() | st.fixed_dictionaries(
    {"version": st.integers(1, 9)},
    optional={
        "digest": words | st.integers(),
        "adopted": st.booleans(),
        "override": st.fixed_dictionaries({"by": words, "reason": words}),
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
def test_the_pins_of_any_file(models: dict[str, object], flow: bool | None, comment: str, guard: bool) -> None:
    """Whatever the entries say and however they are laid out, what stands under `champion` is read."""
    raw = {"guard": {"moves": 3}, "models": models} if guard else {"models": models}
    text = f"# {comment}\n" + yaml.safe_dump(raw, default_flow_style=flow, allow_unicode=True, sort_keys=False)

    found = lenient_pins(text)

    assert found is not None
    assert set(found) == {name for name, entry in models.items() if isinstance(entry, dict)}
    for name, pin in found.items():
        said = models[name].get("champion")  # type: ignore[union-attr]
        assert (pin is None) == (said is None)
        if pin is not None and said is not None:
            assert (pin.version, pin.adopted) == (said["version"], said.get("adopted", False))
            assert pin.digest == (str(said["digest"]) if "digest" in said else None)
            why = said.get("override")
            assert pin.override == (None if why is None else Override.model_construct(**why))


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
def test_any_text_has_an_answer(text: str) -> None:
    """Files that nobody would write are no exception: pins, or None for what cannot be read."""
    assert isinstance(lenient_pins(text), dict | None)


def test_a_pin_that_this_project_wrote_reads_as_it_was_written(champion_and_better_candidate: World) -> None:
    """History and the strict loader agree about the tip."""
    world = champion_and_better_candidate

    assert lenient_pins(world.read()) == {"tiny": world.pinned()}
    assert lenient_pins(policy_text("a", "b")) == {"a": None, "b": None}


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
