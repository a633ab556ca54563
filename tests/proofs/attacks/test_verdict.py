"""The verdict: it belongs to a commit and a base, and nothing is green that nobody judged."""

from collections.abc import Callable
from pathlib import Path

import pytest
import report
from promotion.github.client import GitHub
from promotion.pullrequest.situation import Situation

from tests.proofs.attacks.judging import Judging
from tests.support.attacks import attack
from tests.support.copies import champions

AUTHOR = "an author, with a branch"
TIMING = "anybody, by timing"
Happened = Callable[[str], None]


@pytest.fixture
def judging(prepared, host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judging:
    """Version 2 is champion; a branch `back` reverts to version 1, which needs no training and is green."""
    hosted = host(prepared("second champion", champions("one", "two"), hosted=True))
    made = Judging(hosted, tmp_path, monkeypatch)
    made.world.git("revert", "--no-edit", "HEAD")
    made.head = made.push("back", "revert")
    made.world.git("checkout", "--quiet", "main")
    made.world.git("reset", "--quiet", "--hard", "origin/main")
    made.number = made.github.hub.add_pull("back", head_sha=made.head)
    made.merge = made.merge_result(made.number, made.head, "main")
    made.event(made.number, made.head, "back")
    return made


def test_the_honest_way_is_green(judging: Judging) -> None:
    """A revert into main, by its own event and by a dispatch: green, and a dispatch posts it on the judged head."""
    assert judging.run(judging.merge) == 0
    assert judging.statuses() == {}
    judging.dispatch(judging.number, judging.world.tip)
    assert judging.run(judging.merge) == 0
    assert judging.statuses() == {judging.head: ["success"]}


@attack(AUTHOR, "judged with the other branch's scripts and policy, and its success counted for main too")
@pytest.mark.parametrize("how", ["event", "dispatch"])
def test_into_another_branch(judging: Judging, capsys, happened: Happened, how: str) -> None:
    """A pull request goes into a branch of the author's own, whose policy is low."""
    world = judging.world
    world.git("checkout", "--quiet", "-B", "mine", "main")
    world.write("promotion.yaml", world.read().replace('"> 0.2"', '"> 0.0"'))
    judging.push("mine", "a low bar")
    number = judging.github.hub.add_pull("back", base_ref="mine", head_sha=judging.head)
    merge = judging.merge_result(number, judging.head, "mine")
    before = world.state()
    if how == "event":
        judging.event(number, judging.head, "back", base_ref="mine")
    else:
        judging.dispatch(number, world.tip)

    assert judging.run(merge) == 2
    assert (judging.statuses(), judging.output, world.state()) == ({}, "", before)
    assert judging.github.hub.comments(number) == []
    happened(capsys.readouterr().err)


@attack(AUTHOR, "judged against the branch that the merge result has, not the one that the event names")
def test_a_merge_result_of_another_base(judging: Judging, capsys, happened: Happened) -> None:
    """The base was changed to main, and the merge result still is the one into the author's branch."""
    world = judging.world
    world.git("checkout", "--quiet", "-B", "mine", "main")
    world.write("promotion.yaml", world.read().replace('"> 0.2"', '"> 0.0"'))
    judging.push("mine", "a low bar")
    merge = judging.merge_result(judging.number, judging.head, "mine")

    assert judging.run(merge) == 2 and judging.statuses() == {}
    happened(capsys.readouterr().err)


@attack(TIMING, "the older commit's verdict was shown on the newer one")
@pytest.mark.parametrize("how", ["event", "dispatch"])
def test_a_merge_result_of_another_head(judging: Judging, capsys, happened: Happened, how: str) -> None:
    """The merge result that is there is older than the commit that the run is about."""
    world = judging.world
    world.git("checkout", "--quiet", "back")
    world.write("models/tiny/train.py", "# never judged\n")
    newer = judging.push("back", "never judged")
    world.git("checkout", "--quiet", "main")
    if how == "event":
        judging.event(judging.number, newer, "back")
    else:
        judging.github.hub.find("pulls", judging.number)["head_sha"] = newer
        judging.dispatch(judging.number, world.tip)

    assert judging.run(judging.merge) == 2 and judging.statuses() == {}
    happened(capsys.readouterr().err)


@attack(TIMING, "success was posted on the newer commit, which nobody had judged")
@pytest.mark.parametrize("how", ["event", "dispatch"])
def test_a_push_while_a_run_judges(judging: Judging, happened: Happened, how: str) -> None:
    """The author pushes another model while the verified one is judged."""
    if how == "dispatch":
        judging.dispatch(judging.number, judging.world.tip)
    code, _ = judging.start(judging.merge)
    judging.answer()
    world = judging.world
    world.git("checkout", "--quiet", "back")
    world.write("models/tiny/train.py", "# never judged\n")
    newer = judging.push("back", "never judged")
    judging.github.hub.find("pulls", judging.number)["head_sha"] = newer
    world.git("checkout", "--quiet", "main")

    assert (code, judging.finish()) == (0, 1)
    assert newer not in judging.statuses()
    assert judging.statuses() == ({judging.head: ["failure"]} if how == "dispatch" else {})
    happened("red on the judged commit: " + judging.github.hub.comments(judging.number)[0]["body"].split("\n")[2])


@attack("who may start a re-run, 30 days long", "green against a base that had moved")
@pytest.mark.parametrize("what", ["the champion", "the policy", "a freeze", "the code"])
def test_a_rerun_of_an_old_run(judging: Judging, happened: Happened, what: str) -> None:
    """A run is started again after main's champion, policy, freeze or code of the model moved."""
    world = judging.world
    assert judging.run(judging.merge) == 0
    if what == "the champion":
        world.merge("three")
    elif what == "the code":
        world.code("edited on main")
        world.commit("edit")
    else:
        old, new = ('"> 0.2"', '"> 0.3"') if what == "the policy" else ("    champion:", "    freeze: x\n    champion:")
        world.write("promotion.yaml", world.read().replace(old, new))
        world.commit(what)
    judging.hosted.publish()

    assert judging.run(judging.merge) == 1
    (comment,) = judging.github.hub.comments(judging.number)
    assert "update the branch" in comment["body"]
    happened("red: " + next(line for line in comment["body"].split("\n") if "update the branch" in line))


def test_a_rerun_after_another_model_moved_is_green(judging: Judging) -> None:
    """What moved on main and has nothing to do with the pull request's models changes no verdict."""
    judging.world.write("README.md", "words\n")
    judging.world.commit("words")
    judging.hosted.publish()

    assert judging.run(judging.merge) == 0


@attack(
    "who may push to the branch", "the check of the commit before the pin stayed green: merged, it left main unpinned"
)
def test_the_branch_is_set_back_to_before_the_pin(judging: Judging, happened: Happened) -> None:
    """After the pin was pushed, the branch is forced back to the judged commit and merged at once."""
    github = GitHub(judging.github.url, judging.github.hub.repo, "t-actions")
    where = Situation(judging.number, "back", "main", head_sha=judging.head)
    pin = judging.push("pinned", "the pin")
    told = report.Told(ok=True, line="PROMOTE", body="x", labels=(), head=judging.head, pin=pin, url=None)
    report.publish(github, where, told)

    assert judging.statuses() == {judging.head: ["pending"], pin: ["success"]}
    happened(judging.github.hub.statuses(judging.head)[0]["description"])


@attack("who may start a workflow", "the check of a dispatch was green on any commit that it was started on")
def test_a_dispatch_on_another_branch(judging: Judging, happened: Happened) -> None:
    """retrain.yml is dispatched on the author's branch for somebody else's green pull request."""
    world = judging.world
    world.code("never judged")
    evil = judging.push("evil", "never judged")
    judging.dispatch(judging.number, evil)

    assert judging.run(judging.merge) == 0
    assert judging.statuses() == {judging.head: ["success"]}
    assert evil not in judging.statuses()
    happened("the status is on the judged commit; the dispatch's own last job is called `dispatched`")


@attack(TIMING, "a traceback or a success for a closed pull request")
def test_a_late_dispatch(judging: Judging, capsys, happened: Happened) -> None:
    """A dispatch waits in its queue until the pull request is merged."""
    judging.github.hub.close_pull(judging.number, merged=True)
    judging.dispatch(judging.number, judging.world.tip)

    assert judging.run(judging.merge) == 2 and judging.statuses() == {}
    happened(capsys.readouterr().err)
