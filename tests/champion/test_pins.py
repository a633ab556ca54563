"""Pins in time: every revision of promotion.yaml is read leniently."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from promotion.champion import revisions
from promotion.champion.pins import PinHistory
from promotion.champion.revisions import Reader, lenient_pins
from promotion.config.pin import Override
from promotion.config.strict import compose

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

    found = Reader().pins(text)

    assert found is not None and found == lenient_pins(text)
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
    found = Reader().pins(text)

    assert isinstance(found, dict | None)
    assert found == lenient_pins(text)


PLAIN = """\
# policy and state
guard: {moves: 3}
models:

  one: # the first
    gate: {f1: "> 0.2"}
    champion:
      version: 1
      digest: sha256:1
  # between
  two:
    champion: null
  three:
    champion: {version: 3,
      digest: 'sha256:3'}
formats:
  - pickle
"""
# fmt: off
ODD = [
    *"\n \r\t\"'#&*!|>%{}[]:,-?~", "  ", "\n  ", "\n  six:", "\n  two:", "\nmodels:", "\n---\n", "\n...\n",
    ": |+\n", " >1\n", "? ", "&a ", "*a", "<<: ", "'\n  six: '", "\u2028", "\x85", "champion: {version: 4}",
    "\n    champion: {version: 4}",
]
# fmt: on
ONE_READER = Reader()  # what it keeps of one text must not be believed of another


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(PLAIN)), st.sampled_from(ODD), st.integers(0, 9)), max_size=4))
def test_an_entry_that_was_read_before_says_the_same_in_any_text(edits: list[tuple[int, str, int]]) -> None:
    """Whatever is put in or cut out anywhere, a revision says what it says when it is read as a whole."""
    text = PLAIN
    for at, odd, cut in edits:
        text = text[:at] + odd + text[at + cut :]

    assert ONE_READER.pins(text) == lenient_pins(text)


def test_an_entry_that_stays_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand models of which one changes cost one of them, and the texts around them nothing."""
    read: list[str] = []
    monkeypatch.setattr(revisions, "compose", lambda text, file: read.append(text) or compose(text, file))
    reader = Reader()
    reader.pins(PLAIN)
    read.clear()

    assert reader.pins(PLAIN.replace("version: 1", "version: 2"))["one"].version == 2  # type: ignore[index, union-attr]
    assert [text.splitlines()[1] for text in read] == ["  one: # the first"]


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


def test_a_plan_reads_few_revisions_however_long_the_ledger_is(second_champion: World, monkeypatch) -> None:
    """What git says of every entry is not asked where the entry is about other versions."""
    world = second_champion
    texts: list[str | None] = []
    read = Reader.pins
    monkeypatch.setattr(Reader, "pins", lambda reader, text: texts.append(text) or read(reader, text))

    def revisions_read() -> int:
        texts.clear()
        assert world.promote("plan") == 0
        return len(texts)

    world.merge("three")
    after_two = revisions_read()
    for turn in range(5):
        assert world.apply() == 0
        world.merge(f"more {turn}")

    assert revisions_read() == after_two
