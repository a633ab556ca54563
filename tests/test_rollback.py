"""Rolling back: code and pin together, only to a champion that was, only after every check, and it stays."""

from pathlib import Path

import pytest
import rollback
from promotion.champion.pins import PinHistory
from promotion.champion.rollback import last_change_is_rollback
from promotion.git.commits import hosted_tip
from promotion.git.repo import Repo

from tests.support.copies import champions
from tests.support.mlflow_server import empty_database


@pytest.fixture
def hosted(prepared, host):
    """Versions 1, 2 and 3 were champion one after the other; hosted."""
    return host(prepared("third champion", champions("one", "two", "three"), hosted=True))


def run(hosted, *args: str) -> int:
    return rollback.main([hosted.world.model, "--repo", str(hosted.clone), *args])


def freeze(hosted, reason: str) -> None:
    """Merge a freeze of the model."""
    hosted.world.write(
        "promotion.yaml", hosted.world.read().replace("    champion:", f"    freeze: {reason}\n    champion:")
    )
    hosted.world.commit("freeze")
    hosted.publish()


def the_branch(hosted) -> str:
    (name,) = hosted.branches() - {"main"}
    return name


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_the_production_branch_is_no_pull_requests_own(hosted, more: tuple[str, ...], capsys) -> None:
    """It is said so, and not to delete it."""
    assert run(hosted, "--head", "main", *more) == 2

    told = capsys.readouterr().err
    assert "--head names the pull request's own branch, and main is what it goes into" in told
    assert "delete" not in told


def test_default_is_the_champion_before_the_last_promotion(hosted) -> None:
    """Without --to the pull request restores code and pin of the champion before, and says what merging does."""
    pin, tree = hosted.pin("main~1"), hosted.tree("main~1")

    assert run(hosted, "--reason", "declines rose") == 0

    branch, (pull,) = the_branch(hosted), hosted.pulls()
    assert (hosted.pin(branch), hosted.tree(branch)) == (pin, tree)
    assert pull["head_ref"] == branch
    assert "3 -> 2" in pull["body"] and "declines rose" in pull["body"]
    assert "undoes #4" in pull["title"]


def test_merged_rollback_moves_the_alias_back(hosted) -> None:
    """After the merge promote moves @champion to the older version and records a rollback."""
    assert run(hosted) == 0
    hosted.squash(the_branch(hosted), "Roll back (#9)")

    assert hosted.world.apply() == 0

    assert hosted.world.champion() == 2
    assert hosted.world.ledger()[-1].reason == "rollback"


def test_older_champion_where_git_revert_conflicts(hosted) -> None:
    """--to 1 skips over two later promotions, which a plain revert of the first cannot."""
    assert run(hosted, "--to", "1") == 0

    branch = the_branch(hosted)
    assert hosted.pin(branch).version == 1
    assert hosted.tree(branch) == hosted.pin(branch).source_tree


def test_now_pushes_to_main_and_moves_the_alias(hosted, capsys) -> None:
    """One command at three in the morning: main and @champion are both back, and it says so."""
    assert run(hosted, "--to", "1", "--now", "--reason", "page") == 0

    assert hosted.pin("main").version == 1
    assert hosted.world.champion() == 1
    assert "moved @champion 3 -> 1" in capsys.readouterr().out
    assert hosted.branches() == {"main"}


def test_dirty_checkout_is_not_touched(hosted) -> None:
    """Uncommitted, staged and untracked files of the caller stay as they are, and so does the branch."""
    (hosted.clone / "promotion.yaml").write_text("broken: [")
    (hosted.clone / "models" / "new.txt").write_text("mine")
    hosted.git("checkout", "--quiet", "-b", "work")
    hosted.git("add", "models/new.txt")
    before = hosted.git("status", "--porcelain=v2", "--branch")

    assert run(hosted) == 0

    assert hosted.git("status", "--porcelain=v2", "--branch") == before
    assert hosted.pin(the_branch(hosted)).version == 2


def test_asking_twice_keeps_one_pull_request(hosted) -> None:
    """The same question again finds its branch and its pull request, and brings the text up to date."""
    assert run(hosted) == 0
    assert run(hosted, "--reason", "second thought") == 0

    (pull,) = hosted.pulls()
    assert "second thought" in pull["body"]


def test_without_a_token_the_address_is_printed(hosted, monkeypatch, capsys) -> None:
    """The branch is pushed and the page that opens the pull request is named, filled in."""
    monkeypatch.delenv("GITHUB_TOKEN")

    assert run(hosted) == 0

    out = capsys.readouterr().out
    assert f"https://github.example/octo-org/fraud/compare/main...{the_branch(hosted)}" in out
    assert "quick_pull=1" in out
    assert hosted.pulls() == []


def test_forbidden_pull_request_still_says_how(hosted, capsys) -> None:
    """Where GitHub does not take the pull request, the sentence has its reason and the address."""
    hosted.github.fault("status", method="POST", path="/pulls$", status=403, message="Resource not accessible")

    assert run(hosted) == 2

    err = capsys.readouterr().err
    assert "is pushed, but" in err and "https://github.example/" in err


def refused(hosted, capsys, *args: str) -> str:
    """Run, expect a refusal that pushed nothing and moved nothing; return its sentence."""
    before = (hosted.tip(), hosted.world.state())
    assert run(hosted, *args) == 2
    assert (hosted.tip(), hosted.world.state()) == before
    assert hosted.branches() == {"main"} and hosted.pulls() == []
    return capsys.readouterr().err


def test_version_that_was_never_champion(hosted, capsys) -> None:
    """A version that lost, or does not exist, is no target."""
    hosted.world.version("0" * 40, "loser", champion=hosted.pin("main"))

    assert "was never champion" in refused(hosted, capsys, "--to", "4")
    assert "earlier champions: 2, 1" in refused(hosted, capsys, "--to", "77")


def test_pin_that_was_refused_is_no_target(hosted, capsys) -> None:
    """A pin that main had but promote never confirmed does not count as history."""
    hosted.world.merge("four", policy_digest="sha256:" + "0" * 64)
    hosted.publish()
    assert hosted.world.apply() == 1
    hosted.world.merge("five")
    hosted.publish()

    assert "version 4 of tiny was never champion" in refused(hosted, capsys, "--to", "4")
    assert "was never confirmed" in refused(hosted, capsys)


def test_target_whose_version_is_gone(hosted, capsys) -> None:
    """A deleted version cannot be promoted again."""
    hosted.world.registry.client.delete_model_version(hosted.world.model, "1")

    assert "version 1 of tiny does not exist" in refused(hosted, capsys, "--to", "1")


def test_target_whose_files_changed(hosted, capsys) -> None:
    """Files that no longer hash to the pin are refused before anything is pushed."""
    (hosted.world.files_of(1) / "MLmodel").write_text("other")

    assert "hash to" in refused(hosted, capsys, "--to", "1")


def test_a_ledger_that_cannot_be_read_is_named(hosted, capsys) -> None:
    """And nobody is told that a champion was none."""
    newest = hosted.world.ledger()[-1]
    hosted.world.registry.set_model_tag(hosted.world.model, newest.key, "nonsense")

    for to in ((), ("--to", "1"), ("--to", "none")):
        assert f"the tag {newest.key} of the registered model is not what" in refused(hosted, capsys, *to)


def test_first_champion_has_no_older_one(first_champion, host, capsys) -> None:
    """The revert of the first promotion leaves no champion, so it must be asked for by name."""
    hosted = host(first_champion)

    assert "--to none" in refused(hosted, capsys)
    assert run(hosted, "--to", "none") == 0
    assert hosted.pin(the_branch(hosted)) is None
    assert hosted.tree(the_branch(hosted)) == hosted.tree("main")
    assert "undoes" not in hosted.pulls()[0]["title"] and "takes back" not in hosted.pulls()[0]["body"]


def test_second_rollback_is_in_place(rolled_back, host, capsys) -> None:
    """Asked again, it says that the rollback is in place: one of a rollback would bring the bad model back."""
    hosted = host(rolled_back)
    before = (hosted.tip(), hosted.world.state())

    for more in ((), ("--now",)):
        assert run(hosted, *more) == 0
        said = capsys.readouterr().out
        assert "was rolled back already (2 -> 1 on " in said and "and @champion is there; to go further back" in said
    assert (hosted.tip(), hosted.world.state()) == before
    assert hosted.branches() == {"main"} and hosted.pulls() == []


@pytest.mark.parametrize("to", [(), ("--to", "2")])
def test_rollback_that_was_cut_off_after_its_push_is_finished(hosted, capsys, to) -> None:
    """main has it and the registry does not: the same command again moves @champion, and says so."""
    assert run(hosted, *to) == 0
    hosted.world.git("fetch", "--quiet", "origin")
    hosted.world.git("merge", "--quiet", "--ff-only", f"origin/{the_branch(hosted)}")
    hosted.publish()
    assert hosted.world.champion() == 3

    assert run(hosted, *to) == 1
    assert "@champion is not there yet" in capsys.readouterr().out
    assert hosted.world.champion() == 3

    (hosted.world.files_of(2) / "more").write_text("")
    assert run(hosted, *to) == 2 and "hash to" in capsys.readouterr().err  # promote.yml would be red
    (hosted.world.files_of(2) / "more").unlink()

    assert run(hosted, *to, "--now") == 0
    assert hosted.world.champion() == 2
    assert len(hosted.pulls()) == 1


def test_what_is_pinned_already_is_no_work(hosted, capsys) -> None:
    """Going to the champion that main pins says so and pushes nothing."""
    assert run(hosted, "--to", "3") == 0
    assert "main pins version 3 already, and @champion is there" in capsys.readouterr().out
    assert hosted.branches() == {"main"}


def test_unknown_model_names_the_known_ones(hosted, capsys) -> None:
    """A typing error is answered with the names that promotion.yaml has."""
    assert rollback.main(["tinny", "--repo", str(hosted.clone)]) == 2
    assert "did you mean `tiny`?" in capsys.readouterr().err


def test_dry_run_pushes_nothing(hosted, capsys) -> None:
    """--dry-run makes every check, shows the pull request's text, and pushes nothing."""
    assert run(hosted, "--dry-run") == 0
    assert "every check passes" in capsys.readouterr().out
    assert hosted.branches() == {"main"} and hosted.pulls() == []


def test_race_on_main_is_told(hosted, capsys, monkeypatch) -> None:
    """When main moves between the check and the push, nothing moves and the sentence says to run again."""
    land = rollback.land

    def late(*args, **kwargs):
        hosted.world.write("README.md", "meanwhile")
        hosted.world.commit("meanwhile")
        hosted.publish()
        return land(*args, **kwargs)

    monkeypatch.setattr(rollback, "land", late)

    assert run(hosted, "--now") == 2
    assert "moved meanwhile" in capsys.readouterr().err
    assert hosted.world.champion() == 3 and hosted.pin("main").version == 3


def test_protected_main_is_told(hosted, capsys) -> None:
    """Where main's rules refuse the push, the sentence says to open a pull request."""
    hook = hosted.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed' >&2\nexit 1\n")
    hook.chmod(0o755)

    assert run(hosted, "--now") == 2
    assert "open a pull request instead" in capsys.readouterr().err
    assert hosted.world.champion() == 3


def test_frozen_model_rolls_back_with_a_reason_only(hosted, capsys) -> None:
    """A freeze stops everything but a rollback with a reason, and promote needs nothing more after the merge."""
    freeze(hosted, "audit")

    assert "--reason" in refused(hosted, capsys)
    assert run(hosted, "--reason", "wrong declines") == 0
    hosted.squash(the_branch(hosted), "Roll back (#9)")
    assert hosted.world.apply() == 0
    assert hosted.world.champion() == 2
    assert (hosted.world.ledger()[-1].reason, hosted.world.ledger()[-1].note) == (
        "rollback",
        "Dana: wrong declines",
    ) or ("wrong declines" in (hosted.world.ledger()[-1].note or ""))


def test_a_freeze_keeps_a_champion_from_being_dropped(hosted, capsys) -> None:
    """No champion is no older champion, so no reason passes."""
    freeze(hosted, "audit")

    assert "remove `freeze` from promotion.yaml first; nothing was" in refused(hosted, capsys, "--to", "none")
    assert "remove `freeze` from promotion.yaml first; nothing was" in refused(
        hosted, capsys, "--to", "none", "--reason", "wrong declines"
    )


def test_a_model_that_never_had_a_champion(no_champion, host, capsys) -> None:
    """Nor a registered version."""
    hosted = host(no_champion)

    assert "tiny never had a champion, so there is nothing to roll back" in refused(hosted, capsys)
    assert run(hosted, "--to", "none") == 0
    assert "main pins no champion already" in capsys.readouterr().out


def test_reason_of_another_day_does_not_pass_a_freeze(hosted) -> None:
    """A revert to a pin whose override was given for something else is stopped by a freeze."""
    freeze(hosted, "audit")
    assert run(hosted, "--now", "--reason", "wrong declines") == 0
    hosted.pull_main()
    overridden, commit = hosted.world.pinned(), hosted.world.tip
    hosted.world.write("promotion.yaml", hosted.world.read().replace("    freeze: audit\n", ""))
    hosted.world.commit("thaw")
    hosted.world.merge("four")
    hosted.publish()
    assert hosted.world.apply() == 0
    freeze(hosted, "again")
    hosted.world.git("checkout", "--quiet", commit, "--", "models")
    hosted.world.pin(overridden)
    hosted.world.commit("back by hand")
    hosted.publish()

    assert hosted.world.apply() == 1
    assert hosted.world.champion() == 4


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (["merge", "merge"], False),
        (["merge", "merge", "revert"], True),
        (["merge", "merge", "revert", "revert"], False),
        (["merge", "revert"], True),
        (["merge", "merge", "revert", "merge"], False),
    ],
)
def test_what_counts_as_a_rollback(no_champion, story: list[str], expected: bool) -> None:
    """Going back to an older champion or to none is a rollback; a revert of a revert goes forward."""
    for number, step in enumerate(story):
        if step == "merge":
            no_champion.merge(f"step {number}")
        else:
            no_champion.revert("HEAD")
    history = PinHistory(no_champion.repo, no_champion.tip)

    assert (last_change_is_rollback(history, no_champion.model) is not None) == expected


def test_no_origin_is_a_sentence(second_champion, tmp_path: Path) -> None:
    """A repository without a remote is told to add one."""
    from promotion.errors import PromotionError

    with pytest.raises(PromotionError, match="no remote `origin`"):
        hosted_tip(Repo(second_champion.path), "main")


def test_reverted_revert_does_not_call_the_older_tree_rolled_back(no_champion) -> None:
    """After 1, 2, back to 1 and forward to 2 again, only version 2's tree was ever rolled back."""
    one = no_champion.merge("one").source_tree
    two = no_champion.merge("two").source_tree
    no_champion.revert("HEAD")
    no_champion.revert("HEAD")

    found = PinHistory(no_champion.repo, no_champion.tip).rolled_back(no_champion.model)
    assert two in found and one not in found


def test_empty_registry_is_named_and_no_rollback_advised(hosted, capsys, monkeypatch, tmp_path) -> None:
    """Where the registry that was read holds nothing of the model, the sentence says which one that was."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_database(tmp_path, "empty.db"))

    assert run(hosted) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith(f"reading origin/main at {hosted.tip()[:12]} and the registry sqlite:///")
    assert "empty.db has no model tiny" in printed.err and "MLFLOW_TRACKING_URI" in printed.err
    assert "rollback.py" not in printed.err
    assert hosted.branches() == {"main"}
