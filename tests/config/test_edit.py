"""Pins are written by position: everything else in promotion.yaml keeps its bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.errors import PromotionError

HEX = "0123456789abcdef"
pins = st.builds(
    PinRecord,
    version=st.integers(1, 10**6),
    source_tree=st.text(HEX, min_size=40, max_size=40),
    digest=st.text(HEX, min_size=64, max_size=64).map("sha256:".__add__),
    evidence=st.text(HEX, min_size=64, max_size=64).map("sha256:".__add__),
    override=st.none()
    | st.fixed_dictionaries({"by": st.just("dana"), "reason": st.text(min_size=1, max_size=30)}).filter(
        lambda o: bool(o["reason"].strip()) and o["reason"].isprintable()
    ),
)
comments = st.sampled_from(["", " # who is champion", "  # größer: a # b", "   "])
extras = st.sampled_from(["", "\n", "    # a comment of its own\n", "\n\n  # less indented\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A promotion.yaml of one to three models in varied layout, and the models' names."""
    names = draw(st.lists(st.sampled_from(["a", "fraud-detector", "z.2"]), min_size=1, max_size=3, unique=True))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    text = "# héader\nmodels:\n"
    for name in names:
        before, after, comment = draw(extras), draw(extras), draw(comments)
        pin = draw(st.none() | pins)
        champion = f"    champion: {draw(st.sampled_from(['null', '~', '']))}{comment}\n"
        if pin is not None:
            tree, digest, evidence = pin.source_tree, pin.digest, pin.evidence
            champion = draw(
                st.sampled_from(
                    [
                        f"    champion:{comment}\n      version: {pin.version} # v\n      source_tree: '{tree}'\n"
                        f"      # about the files\n      digest: {digest}\n      evidence: {evidence}{comment}\n",
                        f'    champion: {{version: {pin.version}, source_tree: "{tree}",\n'
                        f"               digest: {digest}, evidence: {evidence}}}{comment}\n",
                    ]
                )
            )
        text += (
            f"  {name}:\n{before}    measure: {{test_days: 7, delay_days: 7}}\n    gate: {{f1: '> 0.2'}}\n"
            f"    challenge: {{confidence: 0.95, looks: 5, f1: superior}}\n{champion}{after}"
        )
        if draw(st.booleans()):
            text += "    freeze: winter\n"
    text += draw(st.sampled_from(["", "guard: {moves: 2}\n", "# the end"]))
    return text.replace("\n", newline), names


@settings(max_examples=300, deadline=None)
@given(files(), st.data())
def test_a_pin_changes_nothing_but_itself(file: tuple[str, list[str]], data: st.DataObject) -> None:
    """Whatever the layout: the pin reads back, every other model and every comment outside the pin survives."""
    text, names = file
    name = data.draw(st.sampled_from(names))
    pin = data.draw(st.none() | pins)
    before = parse(text)

    after_text = splice(text, {name: pin})

    after = parse(after_text)
    assert after.models[name].champion == pin
    for other in names:
        assert after.models[other].policy.raw == before.models[other].policy.raw
        assert after.models[other].freeze == before.models[other].freeze
        if other != name:
            assert after.models[other].champion == before.models[other].champion
    outside = [line for line in text.splitlines() if "champion" not in line and "sha256" not in line]
    kept = [line for line in outside if not any(word in line for word in ("version:", "source_tree:", "# about the"))]
    found = after_text.splitlines()
    assert [line for line in found if line in kept and line.strip()] == [line for line in kept if line.strip()]
    assert after_text.count("\r\n") in (0, after_text.count("\n"))


@settings(max_examples=100, deadline=None)
@given(files(), pins, pins)
def test_moving_there_and_back_is_the_same_file(file: tuple[str, list[str]], one: PinRecord, two: PinRecord) -> None:
    """A pin that moves and moves back leaves the bytes that the first write left."""
    text, names = file
    there = splice(text, {names[0]: one})

    back = splice(splice(there, {names[0]: two}), {names[0]: one})

    assert back == there or one.override != two.override


def test_the_diff_of_a_promotion_is_the_lines_of_the_pin() -> None:
    """Moving a champion changes four lines and no other."""
    old = PinRecord(version=1, source_tree="a" * 40, digest="sha256:" + "a" * 64, evidence="sha256:" + "a" * 64)
    new = PinRecord(version=2, source_tree="b" * 40, digest="sha256:" + "b" * 64, evidence="sha256:" + "b" * 64)
    text = splice(
        "models:\n  m:\n    measure: {test_days: 7, delay_days: 7}\n    gate: {f1: '> 0.2'}\n"
        "    challenge: {confidence: 0.95, looks: 5, f1: superior}\n    champion: null # by pin.py\n",
        {"m": old},
    )

    moved = splice(text, {"m": new})

    changed = [(a, b) for a, b in zip(text.splitlines(), moved.splitlines(), strict=True) if a != b]
    assert len(changed) == 4


def test_a_model_without_an_entry_is_refused() -> None:
    """A pin for a model that promotion.yaml does not name is one sentence."""
    with pytest.raises(PromotionError, match="no entry for the model `ghost`"):
        splice("models: {}\n", {"ghost": None})
