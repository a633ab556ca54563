"""The ledger's entries as tags: written once, ordered by main, read strictly, never too long."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotion.errors import PromotionError
from promotion.registry.ledger import (
    MOST_TEXT,
    LedgerEntry,
    Repair,
    has_ledger,
    read_ledger,
    read_repairs,
)

from tests.support.worlds import World, sha

COMMIT = "c" * 40


def entry(
    height: int, version: int | None, *, era: int = 0, pending: bool = False, note: str | None = None
) -> LedgerEntry:
    """An entry that is like any other but for what a test is about."""
    return LedgerEntry(
        height=height, era=era, commit=COMMIT, before=None, version=version, digest=sha(str(version)),
        reason="merge", at="2026-08-03T00:00:00Z", by="dana", pr=7, note=note, pending=pending,
    )  # fmt: skip


def tags(*entries: LedgerEntry) -> dict[str, str]:
    """The tags that hold these entries, and one of somebody else."""
    return {"team": "fraud", **{one.key: one.text() for one in entries}}


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 10**8 - 1)), unique=True, min_size=1), st.randoms())
def test_order_is_mains(orders: list[tuple[int, int]], random: "object") -> None:
    """However tags are listed, entries come in the order of eras and heights."""
    entries = [entry(height, 1, era=era) for era, height in orders]
    random.shuffle(entries)  # type: ignore[attr-defined]

    assert [one.order for one in read_ledger(tags(*entries))] == sorted(orders)


@given(st.text(), st.text(), st.booleans())
def test_what_is_written_is_read(note: str, by: str, pending: bool) -> None:
    """An entry of any note and actor is read back as it was, unless it had to be cut."""
    one = LedgerEntry(4, COMMIT, None, 2, sha("x"), "merge", "2026-08-04T00:00:00Z", by, None, note, pending)
    (found,) = read_ledger(tags(one))

    assert (found.note, found.pending, found.version) == (note, pending, 2)
    assert found.by == by[:200]


@pytest.mark.parametrize("letter", ["x", '"', "\x01", "é", "\N{PILE OF POO}"])
def test_text_fits_a_tag(letter: str) -> None:
    """A very long note is cut so that the tag fits, whatever JSON makes of its letters."""
    one = entry(4, 2, note=letter * 60_000)

    assert len(one.text()) <= MOST_TEXT
    (found,) = read_ledger(tags(one))
    assert found.note is not None
    assert len(found.note) > 500
    assert set(found.note) == {letter}
    repair = Repair(4, 1, 1, 2, "2026-08-04T00:00:00Z", letter * 60_000, letter * 60_000)
    assert len(repair.text()) <= MOST_TEXT


def test_keys_fit() -> None:
    """Keys stay far below MLflow's 250 characters."""
    assert len(entry(99_999_999, 1, era=9999).reached_key) < 60


def test_nothing_of_ours() -> None:
    """Others' tags are no ledger, even where they look alike."""
    others = {"promotion.ledger": "x", "promotion.ledger.12": "x", "xpromotion.ledger.00000012": "x", "a": "b"}

    assert read_ledger(others) == []
    assert not has_ledger(others)


def test_unreadable_entry_is_one_sentence() -> None:
    """What is not ours under our key is an error that names the tag."""
    with pytest.raises(PromotionError, match=r"^the tag promotion\.ledger\.00000003 of the registered model is not"):
        read_ledger({"promotion.ledger.00000003": json.dumps({"version": 2})})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("commit", (None, "HEAD", "-x", "c" * 39, 7)),
        ("version", (True, 0, -1, 2**31, "2", 2.0)),
        ("before", (True, 0, "1")),
        ("pr", ("7", 0, [7])),
        ("digest", (5, [])),
        ("note", (5, {})),
        ("pending", (1, "true", None)),
        ("reason", (None, 5)),
        ("by", (None, 5)),
        ("at", (None, 5)),
    ],
)
def test_an_entry_with_a_value_that_is_none_of_ours_is_unreadable(name: str, values) -> None:
    """A field of another form, or one that is left out where every entry has it, stops the model and nothing else."""
    fields = json.loads(entry(3, 2, pending=True).text())
    wrong = [{**fields, name: value} for value in values]
    if name in ("commit", "version", "reason", "by", "at"):
        wrong.append({key: value for key, value in fields.items() if key != name})
    for one in wrong:
        with pytest.raises(PromotionError, match="is not what this project wrote"):
            read_ledger({"promotion.ledger.00000003": json.dumps(one)})


def test_an_entry_stands_once_its_alias_was_seen() -> None:
    """A second tag says when; one that cannot be read names itself."""
    pending = entry(3, 2, pending=True)
    for value in ("x", "[]"):
        with pytest.raises(PromotionError, match=r"promotion\.reached\.00000003"):
            read_ledger({**tags(pending), pending.reached_key: value})

    (found,) = read_ledger({**tags(pending), pending.reached_key: '{"at": "2026-08-03T00:00:01Z", "by": "dana"}'})
    assert found.stands and found.since == "2026-08-03T00:00:01Z"
    assert not read_ledger(tags(pending))[0].stands


def test_fields_of_a_later_release_are_passed_over() -> None:
    """An entry with a field that this release does not know is still an entry."""
    text = json.dumps({**json.loads(entry(3, 2).text()), "colour": "blue"})

    assert read_ledger({"promotion.ledger.00000003": text})[0].version == 2


def test_unreadable_repair_is_passed_over() -> None:
    """A repair is a note: a broken one must not stop a promotion."""
    good = Repair(3, 1, 1, 2, "2026-08-03T00:00:00Z", "dana", "alias gone")

    fields = json.loads(good.text())
    wrong = [{"before": "1"}, {"version": True}, {"at": 5}, {"at": None}, {"by": None}, {"cause": [1]}]
    broken = ["x", "{}", *(json.dumps({**fields, **one}) for one in wrong)]
    others = {f"promotion.repair.00000003.{number:03d}": text for number, text in enumerate(broken, 2)}

    assert read_repairs({good.key: good.text(), **others}) == [good]


def test_repairs_beyond_999() -> None:
    """A model that drifts a thousand times keeps its order."""
    many = [Repair(3, number, 1, 2, "2026-08-03T00:00:00Z", "dana", "alias gone") for number in (1001, 999, 1000)]

    assert [one.number for one in read_repairs({one.key: one.text() for one in many})] == [999, 1000, 1001]


def test_real_registry_takes_the_longest_entry(first_champion: World) -> None:
    """MLflow itself takes and returns an entry with the longest note."""
    first_champion.merge("two")

    assert first_champion.apply("--reason", '"' * 20_000) == 0
    note = first_champion.ledger()[-1].note
    assert note is not None
    assert set(note) == {'"'}
