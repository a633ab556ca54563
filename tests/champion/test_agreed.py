"""Who was champion: only where the ledger, and main's history, say the same."""

import pytest
from promotion.champion.agreed import agrees, was_champion
from promotion.champion.pins import PinHistory
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.registry.ledger import LedgerEntry

from tests.support.worlds import MODEL, World, sha

PIN = PinRecord(version=2, source_tree="a" * 40, digest=sha("2"), evidence=sha("won"))


@pytest.fixture
def pinned(new_world) -> World:
    """A main whose second commit pins version 2, of which its third lacks the digest, as an adopted one may."""
    world: World = new_world()
    for pin in (PIN, PIN.model_copy(update={"digest": None, "adopted": True})):
        world.write("promotion.yaml", splice(world.initial, {MODEL: pin}))
        world.commit("pin")
    return world


def entry(world: World, height: int, *, version: int = 2, digest: str = "2", pending: bool = False) -> LedgerEntry:
    """An entry for the commit of main at a height."""
    commit = world.git("rev-list", "--first-parent", "--reverse", "main").split()[height - 1]
    when = "2026-08-03T00:00:00Z"
    return LedgerEntry(height, commit, 1, version, sha(digest), "merge", when, "dana", pending=pending)


def found(world: World, entries, pin: PinRecord = PIN, **more) -> LedgerEntry | None:
    """What was_champion says of main."""
    return was_champion(PinHistory(world.repo, "main"), MODEL, entries, pin, **more)


def test_the_same_files(pinned: World) -> None:
    """A version number whose files, or whose tree, were others does not count."""
    entries = [entry(pinned, 2)]

    assert found(pinned, entries) == entries[0]
    assert found(pinned, entries, PIN.model_copy(update={"digest": sha("other")})) is None
    assert found(pinned, entries, PIN.model_copy(update={"source_tree": "b" * 40})) is None


def test_the_files_that_the_ledger_saw_of_an_adopted_pin(pinned: World) -> None:
    """Main does not say which files it adopted; the ledger does, and others under that version are others."""
    entries = [entry(pinned, 3)]

    assert found(pinned, entries) == entries[0]
    assert found(pinned, entries, PIN.model_copy(update={"digest": sha("changed")})) is None


def test_an_alias_that_was_seen(pinned: World) -> None:
    """An entry whose alias was never seen does not count; once reached it does."""
    pending = entry(pinned, 2, pending=True)
    reached = pending._replace(reached="2026-08-03T00:00:01Z")

    assert found(pinned, [pending]) is None
    assert found(pinned, [reached]) == reached


def test_only_earlier_entries(pinned: World) -> None:
    """The newest below the given order, so a pin is no rollback to itself."""
    entries = [entry(pinned, 2), entry(pinned, 3)]

    assert found(pinned, entries) == entries[1]
    assert found(pinned, entries, before=(0, 3)) == entries[0]
    assert found(pinned, entries, before=(0, 2)) is None


def test_what_main_says(pinned: World) -> None:
    """A tag alone proves nothing: its commit pins these files on main, at its height."""
    first = entry(pinned, 2)

    assert found(pinned, [first._replace(height=3)]) is None
    assert found(pinned, [entry(pinned, 1)]) is None
    assert found(pinned, [entry(pinned, 2, digest="other")]) is None
    assert found(pinned, [first._replace(version=3)], PIN.model_copy(update={"version": 3})) is None


def test_an_entry_agrees_with_its_commit_in_everything(pinned: World) -> None:
    """Height, version and files; an adopted pin's files are the ledger's; a commit without a pin is no champion."""
    history, right = PinHistory(pinned.repo, "main"), entry(pinned, 2)
    none = entry(pinned, 1)._replace(version=None, digest=None)
    wrong = [right._replace(height=3), right._replace(version=3), entry(pinned, 2, digest="other"), entry(pinned, 1)]

    assert all(agrees(history, MODEL, one) for one in (right, entry(pinned, 3, digest="any"), none))
    assert not any(agrees(history, MODEL, one) for one in (*wrong, right._replace(version=None)))


def test_what_was_before_main_was_rewritten(pinned: World) -> None:
    """Its commits are gone, and a new era has begun: it counts where main pins the same again."""
    gone = entry(pinned, 2)._replace(height=9, commit="f" * 40)
    now, by_hand = entry(pinned, 3)._replace(era=1), entry(pinned, 2)._replace(era=5, height=7)

    assert found(pinned, [gone]) == gone  # nobody has applied main since
    assert found(pinned, [gone, now], before=now.order) == gone
    assert found(pinned, [gone, entry(pinned, 2), now], before=(0, 10)) == gone
    assert found(pinned, []) is None
    assert found(pinned, [gone, now], PIN.model_copy(update={"source_tree": "b" * 40})) is None
    assert found(pinned, [gone._replace(height=2), entry(pinned, 3)], before=(0, 3)) is None
    assert found(pinned, [gone, by_hand]) is None
    assert found(pinned, [entry(pinned, 2)._replace(height=9), now], before=now.order) is None
