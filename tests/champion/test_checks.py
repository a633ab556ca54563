"""What must hold before @champion moves: each test breaks exactly one check and looks at what is left behind."""

import shutil
import sqlite3
from collections.abc import Callable

import pytest
from promotion.champion import apply as applying
from promotion.champion.checks import Permissions
from promotion.config.pin import Override, PinRecord
from promotion.sandbox import artifact

from tests.support.artifacts import tiny_files
from tests.support.refusals import refused
from tests.support.worlds import World, sha

NewWorld = Callable[..., World]


def test_all_checks_hold(champion_and_better_candidate: World) -> None:
    """A winner that nobody touched passes every check, by name, and moves."""
    world = champion_and_better_candidate
    (planned,) = applying.plan_moves(world.repo, world.tip, world.registry)

    names = [check.name for check in planned.checks]
    assert names == ["ledger", "order", "freeze", "ours", "version", "tree", "files", "artifact", "evidence"]
    assert planned.problems == ()
    assert world.apply() == 0
    assert world.champion() == 2


def test_version_missing(champion_and_better_candidate: World) -> None:
    """A version that was deleted is not promoted."""
    champion_and_better_candidate.registry.client.delete_model_version("tiny", "2")

    refused(champion_and_better_candidate, "version", saying="version 2 of tiny does not exist")


def test_model_not_registered(no_champion: World) -> None:
    """A pin of a model that the registry does not know is one refusal, not a crash."""
    pin = no_champion.candidate("one")
    no_champion.pin(pin)
    no_champion.commit("pin")
    no_champion.registry.client.delete_registered_model("tiny")

    refused(no_champion, "version", saying="has no model tiny, so version 1 is not there")


def test_version_not_ready(champion_and_better_candidate: World) -> None:
    """A version whose registration is not finished is not promoted."""
    with sqlite3.connect(champion_and_better_candidate.uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE version = 2")

    refused(champion_and_better_candidate, "version", saying="not READY")


def test_main_has_another_tree(champion_and_better_candidate: World) -> None:
    """Code that was changed on main after the pin is not what the version was trained from."""
    champion_and_better_candidate.code("edited on main")
    champion_and_better_candidate.commit("edit")

    refused(champion_and_better_candidate, "tree", saying="revert code and pin together")


def test_version_says_another_tree(champion_and_better_candidate: World) -> None:
    """A version whose tag names another tree than the pin is refused."""
    champion_and_better_candidate.registry.tag_version("tiny", 2, {"source_tree": "0" * 40})

    refused(champion_and_better_candidate, "tree", saying="somebody changed the tag or the pin")


def test_files_changed(champion_and_better_candidate: World) -> None:
    """Files that were overwritten after the judgement are found by downloading them again."""
    (champion_and_better_candidate.files_of(2) / "MLmodel").write_text("another model\n")

    refused(champion_and_better_candidate, "files", saying="changed after the pin was made")


def test_files_added(champion_and_better_candidate: World) -> None:
    """A file that was added beside the judged ones changes the digest too."""
    (champion_and_better_candidate.files_of(2) / "extra.pkl").write_bytes(b"x")

    refused(champion_and_better_candidate, "files", saying="changed after the pin was made")


def test_files_gone(champion_and_better_candidate: World) -> None:
    """Files that cannot be downloaded fail the check with a sentence."""
    shutil.rmtree(champion_and_better_candidate.files_of(2))

    refused(champion_and_better_candidate, "files")


def odd(name: str) -> dict[str, bytes]:
    """The files of a model with one file that belongs to no model."""
    return {**tiny_files(name), "extra.bin": b"x"}


def test_files_that_no_model_has(first_champion: World) -> None:
    """A version whose judgement let through what today's reader does not accept is not promoted."""
    first_champion.merge("two", files=odd("two"))

    refused(first_champion, "artifact", saying="`extra.bin` belongs to no model")


def test_format_that_the_policy_does_not_allow(first_champion: World) -> None:
    """The limits are those of the policy at the commit that is applied."""
    files = tiny_files("two")
    pickled = files["MLmodel"].replace(b"model.skops", b"model.pkl").replace(b"skops", b"pickle")
    first_champion.merge("two", files={"MLmodel": pickled, "model.pkl": files["model.skops"]})
    refused(first_champion, "artifact", saying="`formats: [pickle]`")

    old = "  tiny:\n"
    first_champion.write("promotion.yaml", first_champion.read().replace(old, f"{old}    formats: [pickle]\n"))
    first_champion.commit("its code owners allow pickles")
    (planned,) = applying.plan_moves(first_champion.repo, first_champion.tip, first_champion.registry)
    assert next(check for check in planned.checks if check.name == "artifact").ok


SCRIPT = """\
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.pyfunc.loaders.code_model
    model_code_path: script.py
    python_version: 3.11.0
mlflow_version: 3.0.0
utc_time_created: "2026-08-03 00:00:00"
"""


def test_code_of_a_model_is_the_reviewed_one(first_champion: World) -> None:
    """A script that is not byte for byte main's is not promoted, whoever judged it; nor one without a tree."""
    world, old = first_champion, "  tiny:\n"
    world.write("promotion.yaml", world.read().replace(old, f"{old}    formats: [code]\n"))
    world.commit("its code owners allow code")
    for script, said in ((b"print(1)\n", None), (b"print(2)\n", "its module differs from the reviewed one")):
        world.write("models/tiny/script.py", "print(1)\n")
        pin = world.merge("two" if said is None else "three", files={"MLmodel": SCRIPT.encode(), "script.py": script})
        if said is not None:
            refused(world, "artifact", saying=said)
        else:
            assert world.apply() == 0
            assert world.champion() == 2
    why = Override(reason="we know it")
    world.pin(pin.model_copy(update={"source_tree": None, "adopted": True, "evidence": None, "override": why}))
    world.commit("by override")

    refused(world, "artifact", saying="its module is not in the reviewed tree")


def test_no_release_strands_a_champion(
    second_champion: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a release before confirmed may be rolled back to, whatever today's reader says about its files."""
    world = second_champion
    with monkeypatch.context() as before:
        before.setattr(artifact, "accept", lambda *args, **how: None)
        world.merge("three", files=odd("three"))
        assert world.apply() == 0
    three = world.tip
    world.merge("four")
    assert world.apply() == 0
    world.revert(world.tip)
    capsys.readouterr()

    assert world.promote("plan") == 0
    assert "note: a new pin of these files would be refused" in capsys.readouterr().out
    assert world.apply() == 0
    assert world.pinned_at(three) == world.pinned_at("main") and world.champion() == 3


def test_evidence_changed(champion_and_better_candidate: World) -> None:
    """Evidence whose bytes do not hash to its pin is refused."""
    (path,) = (champion_and_better_candidate.files_of(2).parent / "evidence").iterdir()
    path.write_text(path.read_text().replace('"rows": 10', '"rows": 99'))

    refused(champion_and_better_candidate, "evidence", saying="was changed")


def test_evidence_gone(champion_and_better_candidate: World) -> None:
    """Evidence that is not kept any more is refused."""
    shutil.rmtree(champion_and_better_candidate.files_of(2).parent / "evidence")

    refused(champion_and_better_candidate, "evidence", saying="is not kept")


@pytest.mark.parametrize("verdict", ["KEEP", "INCONCLUSIVE", "REJECTED"])
def test_verdict_does_not_promote(first_champion: World, verdict: str) -> None:
    """A pin whose own evidence says anything but a win is refused."""
    first_champion.merge("two", verdict=verdict)

    refused(first_champion, "evidence", saying=f"says {verdict}")


def test_won_under_another_policy(first_champion: World) -> None:
    """A pin that was won under another policy than its base's is refused."""
    first_champion.merge("two", policy_digest=sha("a lower bar"))

    refused(first_champion, "evidence", saying="another policy")


def test_lowers_the_bar_and_jumps_it(first_champion: World) -> None:
    """A commit that brings a lower bar together with the pin that clears it is held against its base's policy."""
    world = first_champion
    world.write("promotion.yaml", world.read().replace('"> 0.2"', '"> 0.1"'))
    world.merge("two")

    refused(world, "evidence", saying="another policy")


def test_policy_changed_later(champion_and_better_candidate: World) -> None:
    """A policy that changes after the pin does not take the win away: the pin's own base counts."""
    world = champion_and_better_candidate
    world.write("promotion.yaml", world.read().replace('"> 0.2"', '"> 0.3"'))
    world.commit("raise the bar")

    assert world.apply() == 0
    assert world.champion() == 2


def test_won_against_another_champion(second_champion: World) -> None:
    """A candidate that challenged the champion before last has to challenge again."""
    world = second_champion
    one = world.ledger()[0]
    tree = world.code("three")
    stale = world.pinned()
    assert stale is not None
    world.pin(world.version(tree, "three", champion=stale.model_copy(update={"version": 1, "digest": one.digest})))
    world.commit("pin")

    refused(world, "evidence", saying="won against version 1, but the base pins version 2")


def test_won_against_nothing(first_champion: World) -> None:
    """Evidence of a first champion does not beat an existing one."""
    first_champion.merge("two", champion=None)

    refused(first_champion, "evidence", saying="won against no champion, but the base pins version 1")


def test_evidence_of_another_version(first_champion: World) -> None:
    """Evidence about other files than the pin's is refused."""
    world = first_champion
    two = world.candidate("two")
    three = world.version(str(two.source_tree), "three", champion=world.pinned())
    world.pin(two.model_copy(update={"version": 3, "digest": three.digest}))
    world.commit("pin")

    refused(world, "evidence", saying="is not kept")


def test_refused_pin_is_no_history(first_champion: World) -> None:
    """A pin that was merged and refused does not count as a former champion when it comes back."""
    world = first_champion
    world.merge("two", verdict="KEEP")
    bad = world.tip
    assert world.apply() == 1
    world.revert(bad)
    assert world.apply() == 0
    world.revert(world.tip)

    refused(world, "evidence", saying="says KEEP")
    assert [entry.version for entry in world.ledger()] == [1, 1]


def test_branch_pin_is_no_history(first_champion: World) -> None:
    """A pin that was only ever on a branch, under a merge commit, does not count as a former champion."""
    world = first_champion
    world.git("checkout", "--quiet", "-b", "retrain")
    lost = world.candidate("lost", verdict="KEEP")
    world.pin(lost)
    world.git("commit", "--quiet", "--all", "-m", "pin on the branch")
    world.pin(world.version(world.code("won"), "won", champion=world.pinned_at("main")))
    world.git("commit", "--quiet", "--all", "-m", "another pin on the branch")
    world.git("checkout", "--quiet", "main")
    world.git("merge", "--quiet", "--no-ff", "-m", "Merge pull request #7 from retrain", "retrain")
    assert world.apply() == 0
    assert [entry.version for entry in world.ledger()] == [1, 3]
    world.code("lost")
    world.pin(lost)
    world.commit("back to what was never champion")

    refused(world, "evidence", saying="says KEEP")


def test_rollback_needs_no_evidence(second_champion: World) -> None:
    """A former champion passes by the ledger, although its evidence was won against nothing."""
    world = second_champion
    world.revert(world.tip)

    assert world.apply() == 0
    assert (world.champion(), world.ledger()[-1].reason) == (1, "rollback")


def test_rollback_to_changed_files(second_champion: World) -> None:
    """A former champion whose files were changed meanwhile is refused all the same."""
    world = second_champion
    (world.files_of(1) / "MLmodel").write_text("another model\n")
    world.revert(world.tip)

    refused(world, "files")


def test_back_to_a_winner_that_nobody_applied(first_champion: World) -> None:
    """A pin that won on main, and was followed by the next before anybody applied it, may be gone back to."""
    world = first_champion
    world.merge("two")
    world.merge("three")
    assert world.apply() == 0
    world.revert(world.tip)

    assert world.apply() == 0
    assert [entry.version for entry in world.ledger()] == [1, 3, 2]


def test_override(first_champion: World) -> None:
    """A pin that says who overrode and why needs no win, and the ledger keeps the reason."""
    world = first_champion
    pin = world.candidate("two", verdict="INCONCLUSIVE")
    world.pin(pin.model_copy(update={"override": Override(by="dana", reason="holiday season")}))
    world.commit("override")

    assert world.apply() == 0
    assert (world.champion(), world.ledger()[-1].reason) == (2, "override")


def freeze(world: World) -> None:
    """Freeze the model on main."""
    world.write("promotion.yaml", world.read().replace("    champion:", "    freeze: audit\n    champion:"))
    world.commit("freeze")


def test_freeze_stops_a_promotion(champion_and_better_candidate: World) -> None:
    """A frozen model does not move, not even with a reason: it is no rollback."""
    freeze(champion_and_better_candidate)

    refused(champion_and_better_candidate, "freeze", saying="tiny is frozen: audit")
    refused(champion_and_better_candidate, "freeze", "--reason", "please", allowed=Permissions(thaw="please"))


def test_freeze_stops_a_repair(alias_moved_by_hand: World) -> None:
    """A frozen model's alias is not repaired, with or without a reason."""
    freeze(alias_moved_by_hand)

    refused(alias_moved_by_hand, "freeze")
    refused(alias_moved_by_hand, "freeze", "--reason", "please", allowed=Permissions(thaw="please"))


def test_freeze_lets_a_rollback_pass(second_champion: World) -> None:
    """A rollback passes a freeze with a reason, which the ledger keeps."""
    world = second_champion
    world.revert(world.tip)
    freeze(world)

    refused(world, "freeze", saying="a rollback passes with --reason TEXT")
    assert world.apply("--reason", "fraud wave") == 0
    assert (world.champion(), world.ledger()[-1].note) == (1, "fraud wave")


def guard(world: World, moves: int) -> None:
    """Set guard.moves on main."""
    world.write("promotion.yaml", world.read() + f"guard: {{moves: {moves}}}\n")
    world.commit("guard")


def test_guard_on_moves(new_world: NewWorld) -> None:
    """More moves at once than the guard allows are all refused; as many as it allows pass."""
    world = new_world("one", "two")
    world.merge("first", "one")
    world.merge("first", "two")
    guard(world, 1)

    assert world.apply() == 1
    assert (world.champion("one"), world.champion("two")) == (None, None)
    assert (world.tags("one"), world.tags("two")) == ({}, {})
    world.write("promotion.yaml", world.read().replace("moves: 1", "moves: 2"))
    world.commit("raise the guard")
    assert world.apply() == 0
    assert (world.champion("one"), world.champion("two")) == (1, 1)


def test_guard_on_drops(first_champion: World) -> None:
    """A drop counts like a move."""
    guard(first_champion, 0)
    first_champion.pin(None)
    first_champion.commit("retire")

    refused(first_champion, "guard")


def test_guard_counts_what_would_move(new_world: NewWorld) -> None:
    """A model that is refused anyway does not use up the guard, so it cannot hold another's rollback."""
    world = new_world("bad", "good")
    world.merge("first", "bad", verdict="KEEP")
    world.merge("first", "good")
    guard(world, 1)

    assert world.apply() == 1
    assert (world.champion("bad"), world.champion("good")) == (None, 1)


def test_null_over_a_foreign_champion(foreign_champion: World) -> None:
    """`champion: null` does not drop an alias that this project never set."""
    refused(foreign_champion, "ours", saying="promote.py adopt")


def test_first_pin_over_a_foreign_champion(foreign_champion: World) -> None:
    """The first pin does not run over a champion that somebody else set."""
    foreign_champion.merge("mine")

    refused(foreign_champion, "ours", saying="promote.py adopt")


def test_null_after_a_move_by_hand(first_champion: World) -> None:
    """A retired model whose alias points at a version that was never ours is left alone."""
    world = first_champion
    world.candidate("theirs")
    world.set_champion(2)
    world.git("checkout", "--quiet", "--", ".")
    world.pin(None)
    world.commit("retire")

    refused(world, "ours", saying="version 2 as @champion, which this project never set")


def test_a_freeze_lets_what_moves_nothing_be_recorded(second_champion: World) -> None:
    """A promote that was killed after its alias is finished."""
    world = second_champion
    freeze(world)
    world.registry.client.delete_registered_model_tag("tiny", world.ledger()[-1].reached_key)

    assert world.apply() == 0
    assert world.ledger()[-1].stands


def test_a_reason_passes_a_freeze_for_a_rollback_and_no_repair(rolled_back: World) -> None:
    """What was rolled back to stands; that somebody moved the alias since is another matter."""
    freeze(rolled_back)
    rolled_back.set_champion(2)

    thaw, saying = Permissions(thaw="wrong declines"), "is frozen: audit; remove `freeze`"
    refused(rolled_back, "freeze", "--reason", "wrong declines", saying=saying, allowed=thaw)


def test_a_ledger_that_cannot_be_read_is_all_that_is_said(champion_and_better_candidate: World) -> None:
    """Without it nobody knows whose champion it is, so nobody is told that it is somebody else's."""
    world = champion_and_better_candidate
    world.registry.set_model_tag("tiny", world.ledger()[-1].key, "nonsense")
    (planned,) = applying.plan_moves(world.repo, world.tip, world.registry)

    assert [check.name for check in planned.checks if not check.ok] == ["ledger"]


def test_a_retired_model_that_is_gone_asks_for_nothing(first_champion: World) -> None:
    """Somebody deletes the registered model of an entry without a champion: there is nothing to write."""
    world = first_champion
    world.pin(None)
    world.commit("retire")
    assert world.apply() == 0
    world.registry.client.delete_registered_model("tiny")

    assert world.apply() == 0


def test_adopted_champion(foreign_champion: World) -> None:
    """`adopted: true` takes over the champion that was there: the alias stays, the ledger begins."""
    world = foreign_champion
    world.pin(PinRecord(version=1, source_tree=None, digest=None, evidence=None, adopted=True))
    world.commit("adopt")

    assert world.apply() == 0
    assert world.champion() == 1
    assert [(entry.version, entry.reason, entry.stands) for entry in world.ledger()] == [(1, "adopt", True)]


def test_adopted_is_no_way_around(first_champion: World) -> None:
    """`adopted: true` on a version that never was champion is refused."""
    world = first_champion
    pin = world.candidate("two", verdict="KEEP")
    world.pin(pin.model_copy(update={"adopted": True}))
    world.commit("sneak in")

    refused(world, "evidence", saying="adopted: true")
    world.set_champion(2)
    refused(world, "evidence", saying="adopted: true")


def test_adopted_without_a_champion_to_adopt(no_champion: World) -> None:
    """Where the registry has no champion, `adopted: true` is no way around the gate either."""
    pin = no_champion.candidate("one", verdict="REJECTED")
    no_champion.pin(pin.model_copy(update={"adopted": True}))
    no_champion.commit("sneak in")

    refused(no_champion, "evidence", saying="adopted: true")


def test_one_refusal_does_not_hold_the_others(new_world: NewWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """All refusals are said before the first write; the good model moves, and the exit code tells."""
    world = new_world("bad", "good")
    world.merge("first", "good")
    world.merge("first", "bad", verdict="KEEP")

    assert world.apply("--together") == 1
    assert (world.champion("good"), world.tags("good")) == (None, {})
    capsys.readouterr()
    assert world.apply() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("REFUSED bad: evidence: ")
    assert lines[2] == "good: moved @champion nothing -> 1"
    assert (world.champion("bad"), world.champion("good")) == (None, 1)


def test_all_problems_of_a_model_are_said(champion_and_better_candidate: World) -> None:
    """One run names every check that fails, not only the first."""
    world = champion_and_better_candidate
    (world.files_of(2) / "MLmodel").write_text("another model\n")
    world.code("edited")
    world.commit("edit")
    (planned,) = applying.plan_moves(world.repo, world.tip, world.registry)

    assert [problem.split(":")[0] for problem in planned.problems] == ["tree", "files"]


def test_an_old_commit_does_not_say_that_others_set_the_champion(second_champion: World) -> None:
    """Its history knows no champion yet; that it is old is all that is wrong."""
    world = second_champion
    first = world.git("rev-list", "--max-parents=0", "main")
    (planned,) = applying.plan_moves(world.repo, first, world.registry)

    (problem,) = planned.problems
    assert problem.startswith("order: commit") and "nothing moves backwards" in problem
