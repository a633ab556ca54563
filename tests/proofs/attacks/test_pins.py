"""The pin and the ledger: a tag earns nothing that main's history does not say, and a name is nobody's to choose."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from promotion.champion.apply import plan_moves, settle
from promotion.config.pin import Override, PinRecord
from promotion.errors import PromotionError
from promotion.github.pulls import Host, merged_by
from promotion.pullrequest.classify import Change, classify
from promotion.registry.ledger import LedgerEntry

from tests.support.attacks import attack
from tests.support.copies import champions
from tests.support.worlds import World, sha

CANDIDATE = "the candidate credentials, which may write tags and aliases"
AUTHOR = "an author, with a branch"
Happened = Callable[[str], None]


@pytest.fixture
def world(prepared) -> World:
    """Version 2 followed version 1 as @champion."""
    return prepared("second champion", champions("one", "two"))


def forge(world: World, pin: PinRecord | None, **fields: object) -> LedgerEntry:
    """Write a tag that says a pin was champion."""
    like = world.ledger()[-1]
    given = {"version": None if pin is None else pin.version, "digest": None if pin is None else pin.digest}
    entry = like._replace(**{"pending": False, "reached": None, "reason": "merge", **given, **fields})
    world.registry.set_model_tag(world.model, entry.key, entry.text())
    return entry


def loser(world: World) -> PinRecord:
    """A version that lost: its code and its pin are in the work tree, not committed."""
    pin = world.candidate("loser", verdict="KEEP")
    world.pin(pin)
    return pin


def planned(world: World, *, author: str | None = "alice"):
    """The plan of a pull request with the work tree's changes; main stays where it is."""
    base = world.tip
    merge = world.commit("merge result")
    world.git("update-ref", "refs/heads/main", base)
    return classify(world.repo, world.registry, Change(base=base, merge=merge, head=merge, author=author)), merge


def refused_everywhere(world: World, capsys: pytest.CaptureFixture[str], happened: Happened, says: str) -> None:
    """Assert that the pull request is refused, and that promote refuses it where it reached main all the same."""
    plan, merge = planned(world)
    assert [item.action for item in plan.models] == ["refuse"], plan.models[0].reason
    assert says in plan.refusals[0], plan.refusals
    world.git("update-ref", "refs/heads/main", merge)
    before = world.state()
    assert world.apply() == 1
    assert world.state() == before
    assert "REFUSED tiny" in capsys.readouterr().out
    happened(f"the pull request: {plan.refusals[0]}; and promote")


@attack(CANDIDATE, "@champion moved to a version that had lost")
@pytest.mark.parametrize("commit", ["of another pin", "of the root", "of nowhere", "of a branch", "at another height"])
def test_a_forged_ledger_entry(world: World, capsys, happened: Happened, commit: str) -> None:
    """A tag says that a version which lost was champion before, and a pull request pins it as a rollback."""
    world.git("checkout", "--quiet", "-b", "mine")
    pin = loser(world)
    branch = world.commit("the pin, on a branch")
    world.git("checkout", "--quiet", "main")
    world.git("checkout", "--quiet", "mine", "--", "models", "promotion.yaml")
    where = {
        "of another pin": ("main", 3), "of the root": ("main~2", 1), "of nowhere": ("d" * 40, 1),
        "of a branch": (branch, 2), "at another height": ("main~1", 1),
    }[commit]  # fmt: skip
    sha1 = where[0] if len(where[0]) == 40 else world.git("rev-parse", where[0])
    if commit == "of another pin":
        world.registry.client.delete_registered_model_tag("tiny", world.ledger()[-1].key)
    forge(world, pin, height=where[1], commit=sha1, era=0)

    plan, merge = planned(world)
    assert [item.action for item in plan.models] == ["refuse"], plan.models[0].reason
    world.git("update-ref", "refs/heads/main", merge)
    assert world.apply() == 1 and world.champion() == 2
    happened(f"the pull request: {plan.refusals[0]}; and promote")


@attack(AUTHOR, "green in the pull request; promote refused, and main was stuck")
def test_an_old_champions_name_on_other_code(world: World, capsys, happened: Happened) -> None:
    """A pin names a former champion's version and files, and a source tree that was never trained."""
    old = world.pinned_at("main~1")
    assert old is not None
    tree = world.code("never judged")
    world.pin(old.model_copy(update={"source_tree": tree}))

    refused_everywhere(world, capsys, happened, "was trained from tree")


@attack(CANDIDATE, "promote itself set @champion to the forged version")
@pytest.mark.parametrize("commit", ["HEAD", "of nowhere", "of a branch"])
def test_a_newer_entry_is_forged_while_promote_works(world: World, happened: Happened, commit: str) -> None:
    """Between promote's plan and its writes a tag appears that says a newer pin was confirmed."""
    world.git("checkout", "--quiet", "-b", "mine")
    pin = loser(world)
    branch = world.commit("the pin, on a branch")
    world.git("checkout", "--quiet", "main")
    world.merge("three")
    (item,) = plan_moves(world.repo, world.tip, world.registry)
    names = {"HEAD": world.tip, "of nowhere": "d" * 40, "of a branch": branch}
    forge(world, pin, height=99, commit=names[commit])

    with pytest.raises(PromotionError, match="somebody wrote that tag by hand") as refusal:
        settle(item.difference, world.registry, by="promote")
    assert world.champion() == 2
    happened(str(refusal.value))


@attack(CANDIDATE, "recorded, and the alias stayed where it had been moved to")
def test_the_right_commit_with_another_version(world: World, capsys, happened: Happened) -> None:
    """A tag for the very commit that promote is about to apply names another version, and @champion is moved to it."""
    world.git("checkout", "--quiet", "-b", "mine")
    pin = loser(world)
    world.commit("the loser's code")
    world.git("checkout", "--quiet", "main")
    world.merge("three")
    forge(world, pin, height=world.height(), commit=world.tip)
    world.set_champion(pin.version)

    assert world.apply() == 1
    out = capsys.readouterr().out
    assert "somebody wrote that tag by hand" in out
    happened(out.split("REFUSED ")[1])


@attack(CANDIDATE, "@champion was dropped, or the first pin ran over a foreign champion")
def test_a_foreign_champion_is_made_ours(foreign_champion: World, capsys, happened: Happened) -> None:
    """A tag says that the champion which was there before us is ours, so that `champion: null` drops it."""
    world = foreign_champion
    entry = LedgerEntry(
        height=1, commit=world.tip, before=None, version=1, digest=sha("x"), reason="merge", at="2026-01-01", by="x"
    )
    world.registry.set_model_tag(world.model, entry.key, entry.text())

    assert world.apply() == 1 and world.champion() == 1
    happened(capsys.readouterr().out)


@attack(CANDIDATE, "@champion stayed on a version that nothing had won")
@pytest.mark.parametrize("how", ["the ledger is deleted", "a retirement is forged"])
def test_adopted_is_said_of_our_own_model(world: World, capsys, happened: Happened, how: str) -> None:
    """@champion is moved by hand, the ledger made to forget, and a pin says `adopted: true`."""
    pin = loser(world)
    world.set_champion(pin.version)
    if how == "the ledger is deleted":
        for key in world.tags():
            world.registry.client.delete_registered_model_tag("tiny", key)
    else:
        forge(world, None, height=world.height(), commit=world.tip)
    world.pin(pin.model_copy(update={"adopted": True, "evidence": None}))

    refused_everywhere(world, capsys, happened, "adopted: true")


@attack(AUTHOR, "promoted, and the ledger named whom the author had made up")
def test_an_override_in_anothers_name(world: World, capsys, happened: Happened) -> None:
    """A hand-written override says that somebody else overrode."""
    pin = loser(world)
    world.pin(pin.model_copy(update={"override": Override(by="the head of risk", reason="season")}))

    refused_everywhere(world, capsys, happened, "by: the head of risk")


@attack(AUTHOR, "promoted in the other's name")
def test_an_override_whose_name_is_of_another_pull_request(world: World, host, happened: Happened) -> None:
    """The name is right for git, which believes what a commit says, and wrong for GitHub."""
    hosted = host(world)
    pin = loser(world)
    world.pin(pin.model_copy(update={"override": Override(by="Dana", reason="season")}))
    world.git("checkout", "--quiet", "-b", "mine")
    world.commit("override")
    world.git("push", "--quiet", "origin", "mine:refs/heads/mine")
    number = hosted.github.hub.add_pull("mine", author="mallory")
    world.git("checkout", "--quiet", "main")
    commit = hosted.squash("mine", f"Override (#{number})")
    hosted.github.hub.close_pull(number, merged=True)
    hosted.github.hub.find("pulls", number)["merge_commit_sha"] = commit
    import promote

    assert promote.main(["apply", "--repo", str(hosted.clone)]) == 1
    assert world.champion() == 2
    happened("refused: the pull request is mallory's")


def test_an_override_by_its_pull_requests_author(world: World, capsys) -> None:
    """The honest way: the author's own name, or none; both pass, and the ledger says why."""
    pin = loser(world)
    for by in ("Alice", "@alice", None):
        world.pin(pin.model_copy(update={"override": Override(by=by, reason="season")}))
        plan, _ = planned(world)
        assert (plan.models[0].action, plan.refusals) == ("verify", ())
        world.git("checkout", "--quiet", "--", ".")
        world.git("checkout", "--quiet", plan.merge, "--", "models")
    world.pin(pin.model_copy(update={"override": Override(by=None, reason="season")}))
    world.commit("override (#9)")

    assert world.apply() == 0 and world.champion() == 3
    assert (world.ledger()[-1].reason, world.ledger()[-1].note) == ("override", "Dana: season")


def test_who_a_commit_is_by(world: World, host, github) -> None:
    """The author of the merged pull request; git's author where it came by none; not that of an open one."""
    hosted = host(world)
    commit = world.repo.describe(world.tip)
    from promotion.github.client import GitHub

    names = merged_by(Host(None, None, GitHub(github.url, github.hub.repo, "t-actions")), "main")
    number = hosted.github.hub.add_pull("main", author="mallory")
    assert names(commit) == ("Dana",)
    hosted.github.hub.close_pull(number, merged=True)
    hosted.github.hub.find("pulls", number)["merge_commit_sha"] = commit.sha
    assert names(commit) == ("mallory",)


def test_an_adopted_pin_without_a_digest_gets_one(foreign_champion: World) -> None:
    """The ledger keeps the digest of the files that were adopted, and other files are refused from then on."""
    world = foreign_champion
    world.pin(PinRecord(version=1, source_tree=None, digest=None, evidence=None, adopted=True))
    world.commit("adopt")
    assert world.apply() == 0
    (entry,) = world.ledger()
    assert entry.digest is not None

    world.set_champion(None)
    (world.files_of(1) / "MLmodel").write_text("swapped\n")
    assert world.apply() == 1 and world.champion() is None


def test_old_ledgers_stay_valid(world: World, tmp_path: Path) -> None:
    """An entry of an earlier release, without the fields that came later, still makes a rollback a rollback."""
    first = world.ledger()[0]
    fields = json.loads(world.tags()[first.key])
    for name in ("pending", "note", "pr"):
        fields.pop(name, None)
    world.registry.set_model_tag("tiny", first.key, json.dumps(fields))
    world.revert(world.tip)

    assert world.apply() == 0
    assert (world.champion(), world.ledger()[-1].reason) == (1, "rollback")
