"""History: which version was in production when, who put it there, and why."""

import json
from datetime import UTC, datetime

import pytest
from promotion.champion.history import as_text, in_production, parse_time
from promotion.config.pin import Override
from promotion.timeline import Move

from tests.support.copies import Prepared
from tests.support.worlds import World

Out = pytest.CaptureFixture[str]


def rows(world: World, capsys: Out) -> list[dict[str, object]]:
    """The history as JSON, as the command prints it."""
    capsys.readouterr()
    assert world.promote("history", "tiny", "--json") == 0
    return json.loads(capsys.readouterr().out)


def at(world: World, capsys: Out, time: str) -> dict[str, object]:
    """What the command answers for a time."""
    capsys.readouterr()
    assert world.promote("history", "tiny", "--json", "--at", time) == 0
    return json.loads(capsys.readouterr().out)


def tell(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    """Let promote.py believe that it is this time."""
    monkeypatch.setattr("promotion.champion.apply.now", lambda: time)


def applied(at: str, before: int | None, version: int, commit: str) -> Move:
    """A merge that was applied, without what nobody asks for."""
    nothing = dict.fromkeys(("pr", "author", "subject", "by", "note"))
    return Move(at=at, before=before, version=version, reason="merge", commit=commit, **nothing)


def _august(world: World) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GITHUB_ACTOR", "dana")
        tell(patched, "2026-08-01T09:00:00Z")
        world.merge("one", message="First (#1)")
        assert world.apply() == 0
        tell(patched, "2026-08-03T10:00:00Z")
        world.merge("two", message="Better (#2)")
        assert world.apply() == 0
        tell(patched, "2026-08-03T14:00:00Z")
        world.revert(world.tip)
        assert world.apply("--reason", "complaints") == 0
        tell(patched, "2026-08-05T08:00:00Z")
        world.set_champion(2)
        assert world.apply() == 0


@pytest.fixture
def august(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> World:
    """Version 1 from 1 August, 2 from 3 August 10:00, rolled back at 14:00; moved by hand and repaired on the 5th."""
    monkeypatch.setenv("GITHUB_ACTOR", "dana")
    tell(monkeypatch, "2026-08-05T08:00:00Z")
    return prepared("august", _august)


def test_rows(august: World, capsys: Out) -> None:
    """Each move has its time, from, to, reason, commit, pull request, author and actor, without a gap."""
    found = rows(august, capsys)

    assert [(row["at"], row["before"], row["version"], row["reason"], row["pr"]) for row in found] == [
        ("2026-08-01T09:00:00Z", None, 1, "merge", 1),
        ("2026-08-03T10:00:00Z", 1, 2, "merge", 2),
        ("2026-08-03T14:00:00Z", 2, 1, "rollback", None),
        ("2026-08-05T08:00:00Z", 2, 1, "repair", None),
    ]
    assert [row["author"] for row in found] == ["Dana", "Dana", "Dana", None]
    assert {row["by"] for row in found} == {"dana"}
    assert found[2]["note"] == "complaints"
    assert found[2]["commit"] == found[3]["commit"] == august.tip


@pytest.mark.parametrize(
    ("time", "version"),
    [
        ("2026-07-31T12:00Z", None),
        ("2026-08-01T09:00:00Z", 1),
        ("2026-08-03T09:59:59Z", 1),
        ("2026-08-03T12:00Z", 2),
        ("2026-08-03T14:00+02:00", 2),
        ("2026-08-03T16:00+02:00", 1),
        ("2026-08-03T14:00", 1),
        ("2030-01-01", 1),
    ],
)
def test_which_version_was_in_production(august: World, capsys: Out, time: str, version: int | None) -> None:
    """The answer for a moment is the newest pin that @champion was seen on by then; no offset means UTC."""
    assert at(august, capsys, time)["version"] == version


def test_doubt_before_a_repair(august: World, capsys: Out) -> None:
    """Between the last move and a repair the answer says that the alias was found elsewhere."""
    assert "found on version 2 and put back" in str(at(august, capsys, "2026-08-04T12:00Z")["note"])
    assert at(august, capsys, "2026-08-03T12:00Z")["note"] is None
    assert at(august, capsys, "2026-08-06T12:00Z")["note"] is None


def test_as_text(august: World, capsys: Out) -> None:
    """Without --json it is a table, newest first, and one line for --at."""
    capsys.readouterr()
    assert august.promote("history", "tiny") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0] == "tiny: @champion is version 1"
    assert lines[1].split() == ["when", "from", "to", "reason", "commit", "PR", "author", "applied", "by"]
    assert lines[2].startswith("2026-08-05T08:00:00Z  2     1   repair")
    assert lines[5].startswith("2026-08-01T09:00:00Z  -     1   merge")
    assert august.promote("history", "tiny", "--at", "2026-08-03T12:00Z") == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[1]
        .startswith("tiny at 2026-08-03T12:00:00Z: version 2, since 2026-08-03T10:00:00Z (merge,")
    )


def test_pin_not_applied(champion_and_better_candidate: World, capsys: Out) -> None:
    """A pin on main that was never applied is shown as such and was never in production."""
    found = rows(champion_and_better_candidate, capsys)

    assert [(row["at"] is None, row["version"], row["reason"]) for row in found] == [
        (False, 1, "merge"),
        (True, 2, "not applied"),
    ]
    assert at(champion_and_better_candidate, capsys, "2099-01-01")["version"] == 1


def test_override_is_shown(first_champion: World, capsys: Out) -> None:
    """An override stays visible in the history."""
    world = first_champion
    pin = world.candidate("two", verdict="KEEP")
    world.pin(pin.model_copy(update={"override": Override(by="dana", reason="season")}))
    world.commit("override")
    assert world.apply() == 0

    assert rows(world, capsys)[-1]["reason"] == "override"


def test_unknown_model(first_champion: World, capsys: Out) -> None:
    """A model that the registry does not know is one sentence."""
    assert first_champion.promote("history", "nobody") == 2
    assert "has no model nobody" in capsys.readouterr().err


def test_not_a_time(first_champion: World, capsys: Out) -> None:
    """Something that is no time is one sentence with an example."""
    assert first_champion.promote("history", "tiny", "--at", "yesterday") == 2
    assert (
        "`yesterday` is neither a day such as 2026-08-03 nor a time such as 2026-08-03T12:00Z"
        in capsys.readouterr().err
    )


def test_a_row_is_a_line() -> None:
    """Whoever wrote a commit chose its author's name, and a reason may be pasted: neither breaks the table."""
    row = applied("2026-08-01T09:00:00Z", None, 1, "a" * 40)
    row = row.model_copy(update={"author": "eve\x1b[2J", "by": "dana", "note": "two\nlines"})

    *_, line = as_text("tiny", [row], 1).splitlines()
    assert line.endswith("  eve     dana: two lines")


def test_late_entry_never_served() -> None:
    """An entry below a newer one that was reached later does not win by its time: order is main's."""
    early = applied("2026-08-03T12:00:00Z", None, 4, "a")
    newer = applied("2026-08-03T10:00:00Z", 4, 5, "b")

    assert in_production("tiny", [early, newer], datetime(2026, 8, 4, tzinfo=UTC)).version == 5
    assert parse_time("2026-08-03T12:00Z") == datetime(2026, 8, 3, 12, tzinfo=UTC)
