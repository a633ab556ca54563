"""Override: a person's reason moves @champion to any version, commit first, and everyone can read why."""

import json

import promote
import pytest
from promotion.champion import landing
from promotion.config.pin import Override, PinRecord
from promotion.pullrequest.classify import Change, classify

from tests.support.artifacts import tiny_files
from tests.support.copies import champions


@pytest.fixture
def hosted(prepared, host):
    """Version 2 is champion; version 3 is a candidate whose challenge was inconclusive, on an open branch."""
    world = prepared("second champion", champions("one", "two"), hosted=True)
    pin = world.candidate("three", verdict="INCONCLUSIVE", tags={"verdict": "INCONCLUSIVE"})
    world.registry.tag_version(world.model, pin.version, {"evidence": str(pin.evidence)})
    world.git("checkout", "--quiet", "-b", "candidate")
    world.commit("candidate three")
    world.git("checkout", "--quiet", "main")
    found = host(world)
    found.candidate = pin
    world.git("push", "--quiet", "origin", "candidate")
    found.git("remote", "set-branches", "origin", "main")
    return found


def run(hosted, *args: str, version: int = 3) -> int:
    reason = () if "--reason" in args else ("--reason", "the audit asks for it")
    return promote.main(
        ["override", hosted.world.model, "--to", str(version), "--repo", str(hosted.clone), *reason, *args]
    )


def test_inconclusive_candidate_is_promoted_commit_first(hosted, capsys) -> None:
    """The commit on main has the version's tree and a pin with who and why, and @champion follows it."""
    assert run(hosted) == 0

    pin: PinRecord = hosted.pin("main")
    assert pin == hosted.candidate.model_copy(update={"override": Override(by="Dana", reason="the audit asks for it")})
    assert hosted.tree("main") == hosted.candidate.source_tree
    assert hosted.world.champion() == 3
    assert "the challenge said INCONCLUSIVE" in capsys.readouterr().out


def test_history_and_ledger_show_it(hosted, capsys) -> None:
    """The ledger says override, by whom and why, and so does the history."""
    assert run(hosted) == 0
    entry = hosted.world.ledger()[-1]
    assert (entry.reason, entry.version) == ("override", 3)
    assert entry.note is not None and "the audit asks for it" in entry.note
    hosted.pull_main()
    capsys.readouterr()

    assert hosted.world.promote("history", hosted.world.model, "--json") == 0
    assert "the audit asks for it" in json.loads(capsys.readouterr().out)[-1]["note"]


def test_pull_request_says_override_first(hosted) -> None:
    """As a pull request it is verified, and the plan names who and why first."""
    assert run(hosted, "--pull-request") == 0

    (pull,) = hosted.pulls()
    assert "2 -> 3, by override" in pull["body"] and hosted.world.champion() == 2
    world = hosted.world
    world.git("fetch", "--quiet", "origin")
    head = pull["head_ref"]
    plan = classify(
        world.repo, world.registry, Change(base=world.tip, merge=hosted.tip(head), head=head, author=pull["user"])
    )
    (item,) = plan.models
    assert (item.action, plan.refusals) == ("verify", ())
    assert item.says_first == ("Override by dana: the audit asks for it",)


def test_apply_after_an_override_changes_nothing(hosted) -> None:
    """Main pins what serves, so the next promote run finds nothing to do."""
    assert run(hosted) == 0
    before = hosted.world.state()
    hosted.pull_main()

    assert hosted.world.apply() == 0
    assert hosted.world.state() == before


def test_version_made_elsewhere_is_pinned_as_unproven(hosted) -> None:
    """A version without a source tree can be overridden to; its pin says that its making is not known."""
    world = hosted.world
    run_ = world.registry.create_run(world.model, "by hand", {})
    folder = world.path.parent / "by-hand"
    folder.mkdir()
    for name, content in tiny_files("by hand").items():
        (folder / name).write_bytes(content)
    world.registry.log_files(run_.run_id, folder, "model")
    world.registry.register(world.model, run_, {})
    tree = hosted.tree("main")

    assert run(hosted, version=4) == 0

    pin = hosted.pin("main")
    assert (pin.version, pin.source_tree, pin.adopted, hosted.tree("main")) == (4, None, True, tree)
    assert world.champion() == 4


def test_older_champion_by_override_is_a_rollback(hosted) -> None:
    """Going to an older champion this way is recorded as a rollback, with the reason."""
    assert run(hosted, version=1) == 0
    entry = hosted.world.ledger()[-1]
    assert (entry.reason, entry.version) == ("rollback", 1)
    assert entry.note is not None and "audit" in entry.note


def refused(hosted, capsys, *args: str, version: int = 3) -> str:
    """Run, expect a refusal that changed nothing; return its sentence."""
    before = (hosted.tip(), hosted.world.state())
    assert run(hosted, *args, version=version) == 2
    assert (hosted.tip(), hosted.world.state()) == before
    return capsys.readouterr().err


def test_missing_version(hosted, capsys) -> None:
    """A version that the registry does not have is refused before the commit."""
    assert "version 9 of tiny does not exist" in refused(hosted, capsys, version=9)


def test_changed_files(hosted, capsys) -> None:
    """Files that are not what was registered are refused before the commit."""
    (hosted.world.files_of(3) / "MLmodel").write_text("other")
    assert "they were changed" in refused(hosted, capsys)


def test_empty_reason(hosted, capsys) -> None:
    """An override without a reason is none."""
    assert "may not be empty" in refused(hosted, capsys, "--reason", " ")


def test_lost_code(hosted, capsys) -> None:
    """A version whose tree is on no branch and no pull request cannot be put on main."""
    hosted.world.version("0" * 40, "lost", champion=hosted.world.pinned())
    assert "is on no branch or pull request" in refused(hosted, capsys, version=4)


def test_code_of_a_closed_pull_request_is_found(hosted) -> None:
    """The branch is gone, but the hosting service keeps the pull request's head."""
    hosted.world.git("push", "--quiet", "origin", "candidate:refs/pull/7/head", ":candidate")

    assert run(hosted) == 0
    assert hosted.tree("main") == hosted.candidate.source_tree
    assert "promotion/pull" not in hosted.git("for-each-ref")


def test_freeze_stops_an_override(hosted, capsys) -> None:
    """A freeze lets rollbacks through, not overrides to something new."""
    world = hosted.world
    world.git("checkout", "--quiet", "--", ".")
    world.write("promotion.yaml", world.read().replace("    champion:", "    freeze: audit\n    champion:"))
    world.commit("freeze")
    hosted.publish()

    assert "frozen: audit" in refused(hosted, capsys)


def test_race_on_main(hosted, capsys, monkeypatch) -> None:
    """When main moves meanwhile nothing is pushed and nothing promoted."""
    land = landing.land

    def late(*args, **kwargs):
        hosted.world.git("checkout", "--quiet", "--", ".")
        hosted.world.write("README.md", "meanwhile")
        hosted.world.commit("meanwhile")
        hosted.publish()
        return land(*args, **kwargs)

    monkeypatch.setattr(landing, "land", late)

    assert run(hosted) == 2
    assert "main moved meanwhile" in capsys.readouterr().err
    assert hosted.world.champion() == 2


def test_registry_that_fails_after_the_push_is_told(hosted, capsys, monkeypatch) -> None:
    """Main is right then, so the sentence says that the next promote run does the rest, and the exit code tells."""
    from promotion.errors import PromotionError
    from promotion.registry.client import Registry

    def fails(*_, **__):
        raise PromotionError("MLflow does not permit these credentials to set it")

    monkeypatch.setattr(Registry, "set_model_tag", fails)

    assert run(hosted) == 1
    out = capsys.readouterr().out
    assert "does not permit" in out and "the next run of promote.yml" in out
    assert hosted.pin("main").version == 3 and hosted.world.champion() == 2


def test_dry_run(hosted, capsys) -> None:
    """--dry-run makes every check and pushes nothing."""
    before = hosted.tip()
    assert run(hosted, "--dry-run") == 0
    assert "every check passes" in capsys.readouterr().out
    assert hosted.tip() == before and hosted.world.champion() == 2


# other people's words in our Markdown
