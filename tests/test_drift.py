"""Drift: each cause by its name, repaired or reported as the policy says, and a person asked when it goes on."""

import datetime
import json

import drift
import pytest
from promotion.champion.drift import Limits, recent_repairs
from promotion.registry.ledger import Repair

from tests.support.copies import champions
from tests.support.worlds import World


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    """promote gets no time: what was merged a moment ago counts."""
    monkeypatch.setattr(drift, "LIMITS", Limits(grace=0))


def look(world: World, capsys, *args: str, monkeypatch) -> tuple[int, dict]:
    """Run drift.py without a token; return its exit code and the model's finding."""
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.delenv("GH_TOKEN", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.uri)
    capsys.readouterr()
    code = drift.main(["--repo", str(world.path), "--json", *args])
    found = {item["model"]: item for item in json.loads(capsys.readouterr().out)}
    return code, found[world.model]


@pytest.mark.parametrize(
    ("state", "cause", "champion", "wanted"),
    [
        ("second_champion", "well", 2, 2),
        ("rolled_back", "well", 1, 1),
        ("no_champion", "well", None, None),
        ("champion_and_better_candidate", "main not applied", 1, 2),
        ("alias_moved_by_hand", "alias moved by hand", 1, 2),
        ("alias_gone", "alias gone", None, 2),
        ("version_gone", "version gone", None, 2),
        ("foreign_champion", "champion of others", 1, None),
    ],
)
def test_causes_are_told_apart(state, cause, champion, wanted, request, capsys, monkeypatch) -> None:
    """Every state of the world has its own name, and the exit code tells well from drifted."""
    world = request.getfixturevalue(state)

    code, found = look(world, capsys, monkeypatch=monkeypatch)

    assert (found["cause"], found["champion"], found["wanted"]) == (cause, champion, wanted)
    assert code == (0 if cause == "well" else 1)


def test_what_somebody_meant_is_made_a_pin_by_a_command_that_does_it(second_champion, capsys, monkeypatch) -> None:
    """Only what was champion before can be rolled back to; anything else is an override."""
    second_champion.candidate("never champion")
    for version, verb in ((1, "rollback.py tiny --to 1`"), (3, "promote.py override tiny --reason TEXT --to 3`")):
        second_champion.set_champion(version)
        assert look(second_champion, capsys, monkeypatch=monkeypatch)[1]["todo"].endswith(f"scripts/{verb}")


def test_changed_files_are_found_where_asked_for(files_changed, capsys, monkeypatch) -> None:
    """--files downloads and hashes; without it files are not looked at."""
    assert look(files_changed, capsys, monkeypatch=monkeypatch)[1]["cause"] == "well"
    assert look(files_changed, capsys, "--files", monkeypatch=monkeypatch)[1]["cause"] == "files changed"


def test_fresh_merge_is_given_time(champion_and_better_candidate, capsys, monkeypatch) -> None:
    """Right after a merge promote is about to apply it: nothing is wrong yet."""
    monkeypatch.setattr(drift, "LIMITS", Limits())

    code, found = look(champion_and_better_candidate, capsys, monkeypatch=monkeypatch)
    assert (code, found["cause"]) == (0, "waiting")


def test_nothing_is_written(alias_moved_by_hand, capsys, monkeypatch) -> None:
    """Drift only reads the registry."""
    before = alias_moved_by_hand.state()
    look(alias_moved_by_hand, capsys, "--files", monkeypatch=monkeypatch)
    assert alias_moved_by_hand.state() == before


def test_rollback_is_not_drift(rolled_back, capsys, monkeypatch) -> None:
    """Repairing after a rollback keeps the older champion: main is what counts."""
    rolled_back.set_champion(2)
    assert look(rolled_back, capsys, monkeypatch=monkeypatch)[1]["wanted"] == 1
    assert rolled_back.apply() == 0
    assert rolled_back.champion() == 1


# on GitHub


@pytest.fixture
def hosted(prepared, host, monkeypatch):
    """Version 2 is champion; drift.yml's token."""
    found = host(prepared("second champion", champions("one", "two"), hosted=True))
    monkeypatch.setenv("GITHUB_TOKEN", "t-actions")
    return found


def policy(hosted, line: str) -> None:
    """Add a line to the model's entry on main."""
    world = hosted.world
    world.write("promotion.yaml", world.read().replace("    champion:", f"    {line}\n    champion:"))
    world.commit("policy")
    hosted.publish()


def run(hosted, *args: str) -> int:
    return drift.main(["--repo", str(hosted.clone), *args])


def issues(hosted, state: str = "open") -> list[dict]:
    return [item for item in hosted.github.hub.state["issues"] if item["state"] == state]


def dispatched(hosted) -> list[str]:
    return [item["workflow"] for item in hosted.github.hub.state["dispatches"]]


def test_report_keeps_one_issue_and_closes_it(hosted, capsys, monkeypatch, tmp_path) -> None:
    """Two looks leave one issue; when all is well again it is closed with a word, and the summary says all well."""
    hosted.world.set_champion(1)

    assert run(hosted) == run(hosted) == 1

    (issue,) = issues(hosted)
    assert "somebody moved `@champion`" in issue["body"] and "tiny" in issue["title"]
    assert dispatched(hosted) == []
    hosted.world.set_champion(2)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    assert run(hosted) == 0
    assert issues(hosted) == [] and len(issues(hosted, "closed")) == 1
    assert "All well" in hosted.github.hub.state["comments"][-1]["body"]
    assert "all well" in summary.read_text()
    assert "1 of 1 models are as main pins them" in capsys.readouterr().out


def test_unchanged_drift_writes_nothing_twice(hosted) -> None:
    """The second look at the same drift changes nothing on GitHub."""
    hosted.world.set_champion(1)
    assert run(hosted) == 1
    hosted.github.requests.clear()

    assert run(hosted) == 1
    assert {request.method for request in hosted.github.requests} == {"GET"}


def test_repair_dispatches_promote(hosted) -> None:
    """With `drift: repair` promote.yml is started on main, once for all models, and no issue is opened."""
    policy(hosted, "drift: repair")
    hosted.world.set_champion(1)

    assert run(hosted) == 1
    assert dispatched(hosted) == ["promote.yml"] and issues(hosted) == []
    assert hosted.world.apply() == 0
    assert hosted.world.champion() == 2
    assert run(hosted) == 0


def test_run_under_way_is_not_started_twice(hosted) -> None:
    """A promote run that is queued or in progress is left to finish."""
    policy(hosted, "drift: repair")
    hosted.world.set_champion(1)
    add_run(hosted, "in_progress", None)

    assert run(hosted) == 1
    assert dispatched(hosted) == []


def test_repairs_that_never_come_through_ask_for_a_person(hosted) -> None:
    """When the last runs of promote.yml all failed, the issue says so."""
    policy(hosted, "drift: repair")
    hosted.world.set_champion(1)
    for _ in range(3):
        add_run(hosted, "completed", "failure")

    assert run(hosted) == 1
    (issue,) = issues(hosted)
    assert "A person has to look" in issue["body"] and "did not succeed" in issue["body"]


def test_again_and_again_asks_for_a_person(hosted, monkeypatch) -> None:
    """After three repairs in a week the issue asks for a person, even while @champion is right, and stays open."""
    policy(hosted, "drift: repair")
    for _ in range(3):
        hosted.world.set_champion(1)
        assert hosted.world.apply() == 0

    assert run(hosted) == 0
    (issue,) = issues(hosted)
    assert "a person has to look" in issue["title"] and "put back 3 times" in issue["body"]

    monkeypatch.setattr(drift, "LIMITS", Limits(grace=0, again=4))
    assert run(hosted) == 0
    assert issues(hosted) == []


def test_freeze_stops_repair_and_is_reported(hosted) -> None:
    """A frozen model is not repaired; the issue says why promote would refuse."""
    policy(hosted, "drift: repair")
    policy(hosted, "freeze: audit")
    hosted.world.set_champion(1)

    assert run(hosted) == 1
    assert dispatched(hosted) == []
    body = issues(hosted)[0]["body"]
    assert "frozen: audit" in body and "to do: first put right what promote would refuse, then" in body


def test_what_promote_would_refuse_is_not_dispatched(hosted) -> None:
    """A version that is gone needs a person, whatever the policy says."""
    policy(hosted, "drift: repair")
    hosted.world.registry.client.delete_model_version(hosted.world.model, "2")

    assert run(hosted) == 1
    assert dispatched(hosted) == []
    body = issues(hosted)[0]["body"]
    assert "version gone" in body and "rollback" in body


def test_dry_run_writes_nothing(hosted, capsys) -> None:
    """--dry-run says what is wrong and talks to nobody."""
    policy(hosted, "drift: repair")
    hosted.world.set_champion(1)

    assert run(hosted, "--dry-run") == 1
    assert "promote.py apply" in capsys.readouterr().out
    assert hosted.github.requests == []


def test_others_issues_are_left_alone(hosted) -> None:
    """An issue of somebody else with our marker is neither changed nor closed."""
    hosted.github.hub.state["issues"].append(
        {"number": 90, "title": "mine", "body": drift.MARKER, "state": "open", "state_reason": None,
         "labels": [drift.LABEL], "user": "mallory"}
    )  # fmt: skip

    assert run(hosted) == 0
    assert [item["title"] for item in issues(hosted)] == ["mine"]


def add_run(hosted, status: str, conclusion: str | None) -> None:
    hosted.github.hub.state["runs"].append(
        {"id": len(hosted.github.hub.state["runs"]) + 1, "workflow": "promote.yml", "status": status,
         "conclusion": conclusion, "event": "workflow_dispatch", "head_sha": "a" * 40, "head_branch": "main"}
    )  # fmt: skip


def test_repairs_age_out() -> None:
    """Only the repairs of the last days count; one with an unreadable time does not."""
    now = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)

    def repair(at: str) -> Repair:
        return Repair(height=3, number=1, before=1, version=2, at=at, by="x", cause="alias gone")

    found = recent_repairs([repair("2026-11-20T12:00:00Z"), repair("2026-11-10T12:00:00Z"), repair("once")], now, 7)
    assert [item.at for item in found] == ["2026-11-20T12:00:00Z"]
