"""The audit: of every move who, when, why, by which evidence and policy, approved by whom; or that it is unknown."""

import json
from typing import Any

import pytest

from tests.support.copies import champions
from tests.support.hosted_world import HostedWorld
from tests.support.worlds import World

Out = pytest.CaptureFixture[str]


def records(world: World, capsys: Out, *args: str) -> list[dict[str, Any]]:
    """What the command prints."""
    capsys.readouterr()
    assert world.promote("audit", "tiny", *args) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def unhosted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token, so nobody can be asked about pull requests."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_evidence_policy_and_digests(unhosted: None, second_champion: World, capsys: Out) -> None:
    """They are those of the pin and of the judgement that it names."""
    world = second_champion
    first, second = records(world, capsys)
    pin = world.pinned()
    assert pin is not None

    assert (first["reason"], first["version"], second["before"], second["version"]) == ("merge", 1, 1, 2)
    assert (second["source_tree"], second["files"]) == (pin.source_tree, pin.digest)
    assert (second["evidence"]["digest"], second["evidence"]["verdict"]) == (pin.evidence, "PROMOTE")
    assert second["evidence"]["won_against"] == 1 and first["evidence"]["won_against"] is None
    assert second["policy"] == second["evidence"]["policy_digest"]
    assert second["author"] == "Dana" and second["applied_by"]


def test_what_cannot_be_asked_is_unknown(unhosted: None, second_champion: World, capsys: Out) -> None:
    """Without a token nobody knows who approved: that is said, and nothing is guessed."""
    second = records(second_champion, capsys)[1]

    assert second["pull"] == 3
    assert (second["merged_by"], second["approvals"]) == ("unknown", "unknown")


def test_evidence_that_was_changed_is_unknown(unhosted: None, second_champion: World, capsys: Out) -> None:
    """What does not hash to the pin is nobody's evidence."""
    (evidence,) = second_champion.files_of(2).parent.joinpath("evidence").iterdir()
    evidence.write_text(evidence.read_text().replace("PROMOTE", "FIRST"))

    assert records(second_champion, capsys)[1]["evidence"] == "unknown"


def test_a_rollback_names_what_came_back(unhosted: None, rolled_back: World, capsys: Out) -> None:
    """Its evidence is that of the older champion; no pull request is known."""
    back = records(rolled_back, capsys)[2]

    assert (back["reason"], back["version"], back["evidence"]["verdict"]) == ("rollback", 1, "FIRST")
    assert (back["pull"], back["policy"]) == ("unknown", None)


def test_only_what_lies_between_two_times(unhosted: None, second_champion: World, capsys: Out) -> None:
    """A day counts whole; an empty span is a mistake."""
    day = records(second_champion, capsys)[0]["at"][:10]

    assert len(records(second_champion, capsys, "--from", day, "--to", day)) == 2
    assert records(second_champion, capsys, "--to", "2020-01-01") == []
    assert len(records(second_champion, capsys, "--from", "0001-01-01", "--to", "9999-12-31")) == 2
    assert second_champion.promote("audit", "tiny", "--from", "2026-02-02", "--to", "2026-02-01") == 2
    assert "--from 2026-02-02 is not before --to 2026-02-01" in capsys.readouterr().err


@pytest.fixture
def hosted(prepared, host) -> HostedWorld:
    """Two champions, and GitHub knows the pull request of the second."""
    found: HostedWorld = host(prepared("second champion", champions("one", "two"), hosted=True))
    number = found.world.height()
    found.github.hub.state["next_number"] = number
    reviews = [("carol", "CHANGES_REQUESTED"), ("erin", "APPROVED"), ("carol", "APPROVED"), ("carol", "COMMENTED")]
    reviews += [("frank", "APPROVED"), ("frank", "DISMISSED")]
    listed = [{"id": i, "user": who, "state": state, "commit": "c" * 40} for i, (who, state) in enumerate(reviews)]
    found.github.hub.add_pull("retrain/two", reviews=listed, merged_by="erin", head_sha="c" * 40)
    found.github.hub.close_pull(number, merged=True)
    return found


def test_who_approved_and_who_merged(hosted: HostedWorld, capsys: Out) -> None:
    """The newest review of each person counts; one that was dismissed or taken back does not."""
    first, second = records(hosted.world, capsys)

    assert second["merged_by"] == "erin"
    assert sorted((one["by"], one["commit"]) for one in second["approvals"]) == [
        ("carol", "c" * 40),
        ("erin", "c" * 40),
    ]
    assert (first["merged_by"], first["approvals"]) == ("unknown", "unknown")
