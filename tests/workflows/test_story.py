"""The real workflows, executed by act: a repository's life from its first champion to a rollback.

Each fixture is a state of the world that one run of a workflow reached from the one before; runs cost
tens of seconds, so the states are shared and the tests only read them.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from promotion.config.promotion_yaml import load, parse
from promotion.git.repo import Repo
from promotion.github.comments import REPORT_MARKER
from promotion.registry.client import CHAMPION
from promotion.registry.watched import read_looks
from promotion.story.hosting import LocalPull

from tests.support.github.fixtures import problems
from tests.workflows.stage import RUNNER, SECRETS, Played, Stage

pytestmark = pytest.mark.workflows

# git takes this as a branch's name, and a shell would run it
HOSTILE_BRANCH = "retrain/$(touch${IFS}pwned);`touch${IFS}pwned`\"'&&x"
HOSTILE_TITLE = "::error::x $(touch pwned) `touch pwned` <img src=x onerror=alert(1)> @everyone ${{ secrets.X }}"
BETTER = ("[hint]", "[hint, clue]")
ASKING = ("seed: 1", f"seed: 1\nruns_on: {RUNNER}\ntimeout_minutes: 30")
SPY = """
import os
import sys
for place in ("self", str(os.getppid())):
    print("environ:", open(f"/proc/{place}/environ").read().replace(chr(0), chr(10)), flush=True)
print("::add-mask::harmless", "::error file=x::seen", sep=chr(10))
print("::warning::told", file=sys.stderr)
raise RuntimeError("::error::spied " + repr(sorted(os.environ)))
"""


@dataclass
class State:
    """A pull request and what its run came to; `head` is the commit that was judged."""

    stage: Stage
    request: LocalPull
    run: Played
    head: str
    before: dict[str, object]


def judged(stage: Stage, branch: str, title: str = "Retrain", **how: object) -> State:
    """Open a pull request with the clone's edits and run retrain.yml on it."""
    before = {"versions": stage.versions(), "runs": len(stage.registry.runs("tiny")), "champion": stage.champion()}
    request = stage.open(branch, title)
    head = stage.tip(branch)
    return State(stage, request, stage.retrain(request, **how), head, before)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def first(stage: Stage) -> State:
    """A pull request that brings both models' first champions was judged."""
    stage.main()
    for model in stage.names:
        stage.edit("model.yaml", "seed: 0", "seed: 1", model=model)
    return judged(stage, "retrain/first")


@pytest.fixture(scope="module")
def champions(first: State) -> Stage:
    """Both first champions are merged and promoted."""
    first.stage.merge(first.request)
    assert first.stage.promote().code == 0
    return first.stage


@pytest.fixture(scope="module")
def one_loses(champions: Stage) -> State:
    """Of two models in one pull request one wins and one is below a floor."""
    champions.main()
    champions.edit("model.yaml", *BETTER)
    champions.edit("model.yaml", *ASKING)
    champions.edit("model.yaml", "threshold: 0.5", "threshold: 0.999", model="other")
    return judged(champions, "retrain/two")


@pytest.fixture(scope="module")
def spying(one_loses: State) -> State:
    """A train.py printed its whole environment and its parent's, with workflow commands, and raised."""
    stage = one_loses.stage
    stage.main()
    path = stage.clone / "models/tiny/train.py"
    path.write_text(path.read_text() + SPY)
    return judged(stage, "retrain/spy")


@pytest.fixture(scope="module")
def better(spying: State) -> State:
    """The winning model comes alone, from a branch and with a title that a shell would run."""
    stage = spying.stage
    stage.main()
    stage.edit("model.yaml", *BETTER)
    stage.edit("model.yaml", *ASKING)
    return judged(stage, HOSTILE_BRANCH, HOSTILE_TITLE)


@pytest.fixture(scope="module")
def again(better: State) -> Played:
    """The pinned branch is judged once more, as after the button Update branch or with an App's token."""
    return better.stage.retrain(better.request)


@pytest.fixture(scope="module")
def merged(better: State, again: Played) -> tuple[Stage, str]:
    """The better model is merged and promoted; also the merge commit."""
    commit = better.stage.merge(better.request)
    run = better.stage.promote()
    assert run.code == 0, run.log
    return better.stage, commit


@pytest.fixture(scope="module")
def watched(merged: tuple[Stage, str]) -> Played:
    """watch.yml ran on the day on which the labels of a week after the merge are known."""
    later = datetime.now(UTC) + timedelta(days=16)
    run = merged[0].dispatch("watch.yml", now=later.isoformat())
    merged[0].now = ""
    return run


@pytest.fixture(scope="module")
def forked(merged: tuple[Stage, str], watched: Played) -> State:
    """A fork's pull request, whose model passes the gate, was judged without secrets."""
    stage, _ = merged
    stage.main()
    stage.edit("model.yaml", "seed: 1", "seed: 2")
    return judged(stage, "mallory/seed", fork=True)


@pytest.fixture(scope="module")
def reverted(forked: State, merged: tuple[Stage, str]) -> State:
    """A pull request reverts the better model."""
    stage, commit = merged
    stage.hosting.revert(commit)
    return judged(stage, "revert/better")


@pytest.fixture(scope="module")
def rolled_back(reverted: State) -> Stage:
    """The revert is merged and promoted."""
    reverted.stage.merge(reverted.request)
    run = reverted.stage.promote()
    assert run.code == 0, run.log
    return reverted.stage


def test_a_winning_pull_request_gets_one_comment_a_pin_commit_and_the_check_on_it(first: State) -> None:
    """Opened, judged, pinned: all jobs are green, and the pin's commit carries the status `promotion`."""
    stage, pin = first.stage, first.stage.tip("retrain/first")
    comments = stage.comments(first.request)

    assert first.run.code == 0, first.run.log[-3000:]
    assert len(comments) == 1 and comments[0].startswith(REPORT_MARKER)
    assert comments[0].count("FIRST") >= 2 and "not pinned" not in comments[0].lower()
    assert stage.git("rev-list", "--count", f"{first.head}..{pin}") == "1"
    assert stage.git("log", "-1", "--format=%an", pin) == "github-actions[bot]"
    assert stage.git("diff", "--name-only", first.head, pin) == "promotion.yaml"
    assert stage.statuses(pin) == [("promotion", "success")]
    assert stage.statuses(first.head) == [("promotion", "pending")]  # else a reset to it could be merged unpinned


def test_the_pins_name_the_trees_and_versions_of_both_models(first: State) -> None:
    """All pins of a pull request come in one commit, each with its own model's tree."""
    pin = first.stage.tip("retrain/first")
    models = parse(first.stage.git("show", f"{pin}:promotion.yaml")).models

    for name in first.stage.names:
        assert models[name].champion is not None
        assert models[name].champion.source_tree == first.stage.git("rev-parse", f"{pin}:models/{name}")


def test_the_full_report_is_kept(first: State) -> None:
    """report.html is an artifact of the run, and the comment links it."""
    page = (first.run.artifacts / "report" / "report.html").read_text()

    assert "FIRST" in page and "<html" in page
    assert "/artifacts/" in first.stage.comments(first.request)[0]


def test_no_third_job_hands_over_more_than_the_judge_takes(first: State) -> None:
    """The champion's files and the sources do not travel back from a job that ran model code."""
    kept = {path.relative_to(first.run.artifacts).as_posix() for path in first.run.artifacts.rglob("*")}

    assert {"scored/tiny/scores.json", "answered-tiny/candidate/answered.json"} <= set(kept)
    handed = [name for name in kept if name.startswith(("trained-", "answered-", "scored/"))]
    assert not [name for name in handed if "/source" in name or "/champion/" in name]


def test_merging_moves_the_champion(champions: Stage) -> None:
    """promote.yml on main's new tip sets @champion of both models to what main pins."""
    pinned = load(champions.clone / "promotion.yaml").models

    assert [champions.champion(name) for name in champions.names] == [1, 1]
    assert [pinned[name].champion.version for name in champions.names] == [1, 1]  # type: ignore[union-attr]


def test_one_loser_of_two_keeps_both_from_being_pinned(one_loses: State) -> None:
    """Nothing is pushed, the check is red, and the comment names the loser."""
    stage = one_loses.stage

    assert one_loses.run.code != 0
    assert stage.tip("retrain/two") == one_loses.head
    assert "`other`" in stage.comments(one_loses.request)[0] and "REJECTED" in stage.comments(one_loses.request)[0]
    assert one_loses.run.jobs["promotion"] == "failure"


def test_a_rejected_candidate_has_a_run_and_no_version(one_loses: State) -> None:
    """Below a floor the candidate stays in the experiment tracker and never reaches the registry."""
    runs = one_loses.stage.registry.runs("other")

    assert runs[-1].tags["gate"] == "REJECTED" and runs[-1].tags["gate_reason"]
    assert one_loses.stage.versions("other") == 1


def test_model_code_sees_no_secret(spying: State) -> None:
    """Neither its own environment nor its parent's holds a secret or a token, and no log or artifact does."""
    seen = (spying.run.artifacts / "trained-tiny" / "candidate" / "train.log").read_text()
    token = next(reversed(spying.stage.github.hub.state["tokens"]))

    assert seen.count("environ:") == 2 and "PATH=" in seen
    for secret in (*SECRETS.values(), token):
        assert secret not in seen
        assert secret not in spying.run.text()
    assert "MLFLOW_TRACKING_URI" not in seen


def test_a_training_that_raises_is_red_and_its_log_is_in_the_comment(spying: State) -> None:
    """The report says that training failed and shows the end of its log; nothing is registered."""
    comment = spying.stage.comments(spying.request)[0]

    assert spying.run.jobs["promotion"] == "failure"
    assert "RuntimeError" in comment
    assert spying.stage.versions() == spying.before["versions"]


def test_workflow_commands_of_model_code_are_shown_and_not_obeyed(spying: State) -> None:
    """act marks what it takes as a command; the only one is our own annotation, whose text is escaped."""
    obeyed = [line for line in spying.run.log.splitlines() if any(sign in line for sign in ("❗", "🚧", "💬", "***"))]

    assert "spied" in spying.run.log
    assert obeyed and all("::error title=promotion::" in line for line in obeyed)


def test_a_hostile_branch_and_title_do_no_harm(better: State) -> None:
    """A branch that a shell would run is judged and pinned like any other; nothing of the title is shown."""
    stage = better.stage

    assert better.run.code == 0, better.run.log[-3000:]
    assert stage.statuses(stage.tip(HOSTILE_BRANCH)) == [("promotion", "success")]
    assert not list(stage.root.rglob("pwned"))
    assert "@everyone" not in stage.comments(better.request)[0]
    assert "PROMOTE" in stage.comments(better.request)[0]


def test_a_tree_that_was_trained_before_is_not_trained_again(better: State) -> None:
    """The winner of the pull request with two models comes alone: its run is found and judged again."""
    runs = better.stage.registry.runs("tiny")

    assert len(runs) == better.before["runs"]
    assert "already trained" in better.run.log


def test_the_pin_commit_starts_no_loop(better: State, again: Played) -> None:
    """A run on the pinned head verifies: no second pin, no training, and the comment keeps the judgement."""
    stage = better.stage
    (comment,) = stage.comments(better.request)

    assert again.code == 0, again.log[-3000:]
    assert stage.git("rev-list", "--count", f"{better.head}..{stage.tip(HOSTILE_BRANCH)}") == "1"
    assert len(stage.registry.runs("tiny")) == better.before["runs"]
    assert "VERIFIED" in comment and "net_benefit superior" in comment


def test_the_merged_winner_is_champion(merged: tuple[Stage, str]) -> None:
    """@champion moves from 1 to 2 and the other model's stays."""
    stage, _ = merged

    assert (stage.champion("tiny"), stage.champion("other")) == (2, 1)


def test_watch_looks_at_what_was_merged_and_moves_nothing(merged: tuple[Stage, str], watched: Played) -> None:
    """The better model pays: a look, its line, and the page; the other, a first champion, is above its floors."""
    stage, _ = merged
    tags = stage.registry.model("tiny").tags
    (look,) = [look for looks in read_looks(tags).values() for look in looks]

    assert watched.code == 0, watched.log
    assert watched.jobs == dict.fromkeys(("prepare", "score", "judge"), "success")
    assert (look.verdict, look.number) == ("fine", 1) and look.realized.difference > 0
    assert "tiny: look 1 of 8: fine: net_benefit: promised +$" in watched.log
    assert "its floors alone, because it is the first champion" in watched.log
    assert "other: look 1 of 8: fine: net_benefit: promised " in watched.log
    assert "What was promoted, and what it paid" in (watched.artifacts / "history" / "index.html").read_text()
    assert stage.champion() == look.version


def test_a_fork_sees_no_credentials_and_leaves_no_trace(forked: State) -> None:
    """No secret, no comment, no status, no run in the tracker; the report is in the job summary."""
    stage = forked.stage

    assert not [secret for secret in SECRETS.values() if secret in forked.run.text()]
    assert stage.comments(forked.request) == []
    assert stage.statuses(forked.head) == []
    assert stage.tip("mallory/seed") == forked.head
    assert (stage.versions(), len(stage.registry.runs("tiny"))) == (forked.before["versions"], forked.before["runs"])


def test_a_fork_is_green_by_the_gate_and_cannot_be_merged_unpinned(forked: State) -> None:
    """Its judge is green because the gate passes; `promotion` is red because main needs a pin for that tree."""
    page = (forked.run.artifacts / "report" / "report.html").read_text()

    assert forked.run.jobs["judge"] == "success"
    assert forked.run.jobs["promotion"] == "failure"
    assert "comes from a fork" in page


def test_a_model_trains_on_the_runner_that_it_asks_for(one_loses: State, better: State, forked: State) -> None:
    """Its two jobs get label and minutes, the other model's none; a fork asks in vain."""
    asked = f"map[model:tiny runs_on:{RUNNER} timeout:30]"
    page = (better.run.artifacts / "report" / "report.html").read_text()  # later runs write the comment again

    assert (
        f"train tiny-2 ] 🧪  Matrix: {asked}" in one_loses.run.log and "Matrix: map[model:other]" in one_loses.run.log
    )
    assert f"answer tiny-2 ] 🧪  Matrix: {asked}" in one_loses.run.log
    assert f"on {RUNNER}." in page and asked not in forked.run.log
    assert "asks for a runner or a time of its own" in (forked.run.artifacts / "report" / "report.html").read_text()


def test_a_revert_is_verified_and_says_what_merging_does(reverted: State) -> None:
    """Nothing is trained or pushed; the old version loads and answers; the comment names the move."""
    stage = reverted.stage
    comment = stage.comments(reverted.request)[0]

    assert reverted.run.code == 0, reverted.run.log[-3000:]
    assert len(stage.registry.runs("tiny")) == reverted.before["runs"]
    assert stage.tip("revert/better") == reverted.head
    assert "@champion 2 → 1" in comment and "rollback to the champion of" in comment
    assert json.loads((reverted.run.artifacts / "scored" / "tiny" / "answered.json").read_text())["rows"] > 0


def test_a_merged_revert_moves_the_champion_back(rolled_back: Stage) -> None:
    """@champion is version 1 again."""
    assert rolled_back.champion() == 1


def test_a_rerun_of_an_old_promote_run_changes_nothing(rolled_back: Stage, merged: tuple[Stage, str]) -> None:
    """A re-run keeps its old commit, but the job promotes the tip of main, which is where it stands."""
    before = rolled_back.registry.model("tiny")
    run = rolled_back.promote(sha=merged[1])

    assert run.code == 0, run.log
    assert rolled_back.registry.model("tiny") == before


def test_an_older_commit_is_refused_by_name(rolled_back: Stage, merged: tuple[Stage, str]) -> None:
    """`apply --commit OLD` would undo the rollback, so it is refused and nothing moves."""
    before = rolled_back.registry.model("tiny")
    rolled_back.main()
    env = {**os.environ, "MLFLOW_TRACKING_URI": rolled_back.server.uri}
    script = rolled_back.clone / "scripts" / "promote.py"
    command = [sys.executable, str(script), "apply", "--repo", str(rolled_back.clone), "--commit", merged[1]]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    assert done.returncode == 1 and "older" in done.stdout
    assert rolled_back.registry.model("tiny") == before


def test_drift_is_repaired_by_promote_alone(rolled_back: Stage) -> None:
    """Somebody moves the alias by hand: drift.yml writes nothing to the registry and starts promote.yml, which does."""
    rolled_back.registry.set_alias("tiny", CHAMPION, 2)
    seen = rolled_back.dispatch("drift.yml")
    between = rolled_back.champion()
    started = rolled_back.github.hub.state["dispatches"][-1]
    repaired = rolled_back.dispatch(started["workflow"], started["ref"], started["inputs"])

    assert between == 2 and (started["workflow"], started["ref"]) == ("promote.yml", "main"), seen.log
    assert repaired.code == 0 and rolled_back.champion() == 1


def test_the_schedule_opens_a_pull_request_and_starts_its_run(rolled_back: Stage) -> None:
    """For the model that was not rolled back; the dispatched run judges it and posts the check as a status."""
    run = rolled_back.dispatch("schedule.yml")
    started = rolled_back.github.hub.state["dispatches"][-1]
    request = rolled_back.found(int(started["inputs"]["pull_request"]))
    head = rolled_back.tip(request.branch)
    rolled_back.hosting.merge_result(request)
    judged = rolled_back.dispatch("retrain.yml", started["ref"], started["inputs"])
    verdict = "success" if judged.code == 0 else "failure"

    assert run.code == 0, run.log
    assert "other" in request.title and "tiny" not in request.title
    assert len(rolled_back.comments(request)) == 1
    assert rolled_back.statuses(rolled_back.tip(request.branch)) == [("promotion", verdict)]
    assert (rolled_back.tip(request.branch) == head) == (verdict == "failure")


def test_a_draft_and_a_pull_request_without_models(rolled_back: Stage) -> None:
    """A draft trains nothing and is red; a change of the README alone is green and says so."""
    rolled_back.main()
    rolled_back.edit("model.yaml", "seed: 1", "seed: 7")
    draft = judged(rolled_back, "retrain/draft", draft=True)
    rolled_back.main()
    (rolled_back.clone / "README.md").write_text("words\n")
    words = judged(rolled_back, "docs/words")

    assert draft.run.jobs["promotion"] == "failure" and "draft" in rolled_back.comments(draft.request)[0]
    assert "train" not in " ".join(draft.run.jobs) and rolled_back.tip("retrain/draft") == draft.head
    assert words.run.code == 0 and "Nothing to judge" in rolled_back.comments(words.request)[0]


def test_an_override_commits_who_and_why_and_then_moves(rolled_back: Stage) -> None:
    """A dispatch with a model, a version and a reason: main gets code and pin in one commit, @champion follows."""
    reason = "the customer asked `$(touch pwned)` ::error::x"
    run = rolled_back.dispatch("promote.yml", inputs={"model": "tiny", "version": "2", "reason": reason})
    rolled_back.main()
    pin = load(rolled_back.clone / "promotion.yaml").models["tiny"].champion

    assert run.code == 0, run.log
    assert pin is not None and pin.version == 2 and pin.override is not None
    assert pin.override.reason == reason
    assert pin.source_tree == rolled_back.git("rev-parse", "refs/heads/main:models/tiny")
    assert rolled_back.champion() == 2
    assert not list(rolled_back.root.rglob("pwned"))


def test_every_request_was_what_github_describes(stage: Stage, rolled_back: Stage) -> None:
    """All requests of all runs, against GitHub's own description of its API."""
    assert problems(stage.github.requests) == []
    assert Repo(stage.clone).git("status", "--porcelain") == ""
