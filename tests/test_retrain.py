"""Retrain pull requests: opened from a laptop or a schedule, one a model, brought up to date, never against people."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import retrain
from promotion.config.edit import splice
from promotion.config.model_yaml import move_as_of, read_as_of
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.retrain.update import base_pins

from tests.support.worlds import World, policy_text, sha

SPEC = "# when\nas_of: 2026-06-01 # first test day\ntrain_days: 7\nvalidation_days: 7\nseed: 0\n"
PATH = "models/tiny/model.yaml"
NEWEST = "2026-11-07"  # of 2026-11-21, with 7 test days and 7 days of delay


def with_spec(world: World) -> None:
    """Give the model a model.yaml of June, the repository our template, and make version 1 champion."""
    for name in ("data.py", "model.yaml"):
        world.write(f"models/tiny/{name}", SPEC if name == "model.yaml" else "# data\n")
    template = Path(__file__).parents[1] / ".github/PULL_REQUEST_TEMPLATE/retrain.md"
    world.write(".github/PULL_REQUEST_TEMPLATE/retrain.md", template.read_text(encoding="utf-8"))
    world.commit("model.yaml")
    world.merge("one")
    assert world.apply() == 0


@pytest.fixture
def hosted(prepared, host):
    """A model with a model.yaml of June and version 1 as champion, hosted."""
    return host(prepared("with a spec", with_spec, hosted=True))


def run(hosted, *args: str) -> int:
    return retrain.main([args[0], "--repo", str(hosted.clone), *args[1:]])


@pytest.fixture(autouse=True)
def on(monkeypatch) -> Callable[[str], None]:
    """The day it is; call it with another one."""

    def set_day(day: str) -> None:
        monkeypatch.setattr(retrain, "today", lambda: date.fromisoformat(day))

    set_day("2026-11-21")
    return set_day


def spec_at(hosted, commit: str) -> str:
    text = Repo(hosted.origin).file_at(commit, PATH)
    assert text is not None
    return text


def as_of_at(hosted, commit: str) -> str:
    return str(read_as_of(spec_at(hosted, commit), PATH))


def merged_as_of(hosted, day: str) -> None:
    """Merge a retrain of another day into main, with its version."""
    world = hosted.world
    world.write(PATH, move_as_of(world.read(PATH), date.fromisoformat(day), PATH))
    world.merge(f"as of {day}")
    hosted.publish()
    assert world.apply() == 0


# as_of


@pytest.mark.parametrize(
    "text",
    [
        SPEC,
        SPEC.replace("\n", "\r\n"),
        "seed: 0\nas_of:   2026-06-01   # odd spaces\n",
        "{as_of: 2026-06-01, seed: 0}",
        "name: é\nas_of: 2026-06-01",
    ],
)
def test_as_of_moves_by_position(text: str) -> None:
    """Only the date's ten characters change, whatever stands around them."""
    assert move_as_of(text, date(2026, 11, 7), PATH) == text.replace("2026-06-01", "2026-11-07")


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("seed: 0", "lacks `as_of`"), ("as_of: soon", "must be a date"), ("as_of: [", "not valid YAML")],
)
def test_as_of_that_is_none(text: str, message: str) -> None:
    """A model.yaml without a usable as_of is one sentence with the place."""
    with pytest.raises(PromotionError, match=message) as caught:
        move_as_of(text, date(2026, 11, 7), PATH)
    assert str(caught.value).startswith(PATH)


# open


def test_open_moves_as_of_to_the_newest_labelled_day(hosted) -> None:
    """Without anything else as_of becomes the newest day whose test window is labelled, comments stay, one PR opens."""
    assert run(hosted, "open", "tiny") == 0

    (pull,) = hosted.pulls()
    branch = f"retrain/tiny-{NEWEST}"
    assert pull["head_ref"] == branch
    assert spec_at(hosted, branch) == SPEC.replace("2026-06-01", NEWEST)
    assert "2026-06-01 -> 2026-11-07" in pull["body"] and "beat version 1" in pull["body"]
    assert "test: 2026-11-07 to 2026-11-13" in pull["body"] and "{{" not in pull["body"]
    assert hosted.git("status", "--porcelain") == ""


def test_open_moves_the_run_of_a_model_that_is_trained_elsewhere(hosted) -> None:
    """Its line and as_of move, a second run joins the open pull request; a model that is trained here is told so."""
    one, two = "1" * 32, "2" * 32
    assert run(hosted, "open", "tiny", "--run", one) == 2  # it has a train.py, and no line to move
    hosted.world.write(PATH, f"{SPEC}run: {'0' * 32} # of May\n")
    hosted.world.commit("trained elsewhere")
    hosted.publish()

    assert run(hosted, "open", "tiny", "--run", one) == 0
    assert run(hosted, "open", "tiny", "--run", two) == 0

    (pull,) = hosted.pulls()
    moved = SPEC.replace("2026-06-01", NEWEST)
    assert spec_at(hosted, pull["head_ref"]) == f"{moved}run: {two} # of May\n"
    assert pull["title"] == f"Retrain tiny by run 22222222 (as of {NEWEST})"


def test_second_open_updates_the_first(hosted) -> None:
    """A newer day goes on top of the open pull request's branch as a plain commit; there is no second one."""
    assert run(hosted, "open", "tiny", "--as-of", "2026-10-01") == 0
    first = hosted.tip("retrain/tiny-2026-10-01")

    assert run(hosted, "open", "tiny") == 0

    (pull,) = hosted.pulls()
    assert pull["head_ref"] == "retrain/tiny-2026-10-01"
    assert as_of_at(hosted, pull["head_ref"]) == NEWEST
    assert Repo(hosted.origin).parents(hosted.tip(pull["head_ref"])) == (first,)
    assert NEWEST in pull["title"]


def test_open_takes_the_callers_edit(hosted) -> None:
    """An uncommitted edit of the folder goes into the pull request as it is, and stays in the checkout."""
    (hosted.clone / "models/tiny/train.py").write_text("# better\n")
    (hosted.clone / "promotion.yaml").write_text("# not part of it\n")

    assert run(hosted, "open", "tiny", "--head", "better") == 0

    repo = Repo(hosted.origin)
    assert repo.changed_paths("main", "better") == ("models/tiny/train.py",)
    assert repo.file_at("better", "models/tiny/train.py") == "# better\n"
    assert (hosted.clone / "models/tiny/train.py").read_text() == "# better\n"


def test_edit_on_an_old_checkout_is_refused(hosted, capsys) -> None:
    """An edit made on an older folder than main's would undo main's change, so it is refused."""
    hosted.world.write("models/tiny/data.py", "# newer\n")
    hosted.world.commit("newer data.py")
    hosted.publish()
    (hosted.clone / "models/tiny/train.py").write_text("# better\n")

    assert run(hosted, "open", "tiny") == 2
    assert "git pull" in capsys.readouterr().err
    assert hosted.pulls() == []


def test_new_model_brings_its_entry(hosted) -> None:
    """A new folder with its own entry in promotion.yaml is one pull request."""
    for name in ("data.py", "train.py", "model.yaml"):
        path = hosted.clone / "models/small" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SPEC if name == "model.yaml" else "# code\n")
    text = (hosted.clone / "promotion.yaml").read_text() + policy_text("small").removeprefix("models:\n")
    (hosted.clone / "promotion.yaml").write_text(text)

    assert run(hosted, "open", "small") == 0

    (pull,) = hosted.pulls()
    assert Repo(hosted.origin).file_at(pull["head_ref"], "promotion.yaml") == text
    assert "no champion yet" in pull["body"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("tinny",), "did you mean `tiny`?"),
        (("tiny", "--as-of", "2026-11-08"), "known on 2026-11-22"),
        (("tiny", "--as-of", "2026-06-01"), "is at as_of 2026-06-01 already"),
    ],
)
def test_open_refuses_in_one_sentence(hosted, capsys, args: tuple[str, ...], message: str) -> None:
    """An unknown model, a window whose labels are not known, and an as_of that does not move push nothing."""
    assert run(hosted, "open", *args) == 2
    assert message in capsys.readouterr().err
    assert hosted.branches() == {"main"}


def test_forbidden_actions_say_what_to_do(hosted, capsys, monkeypatch) -> None:
    """Where the repository forbids Actions to open pull requests the sentence has the setting and the address."""
    monkeypatch.setenv("GITHUB_TOKEN", "t-actions")
    hosted.github.hub.state["settings"]["workflow"]["can_approve_pull_request_reviews"] = False

    assert run(hosted, "open", "tiny") == 2
    err = capsys.readouterr().err
    assert "Allow GitHub Actions to create and approve pull requests" in err
    assert f"compare/main...retrain/tiny-{NEWEST}" in err


def test_markers_of_others_are_not_ours(hosted) -> None:
    """A pull request of a longer model name, or from a fork, is not this model's."""
    hub = hosted.github.hub
    hub.add_pull("x", body="<!-- promotion-retrain tiny-two -->")
    hub.add_pull("y", body="<!-- promotion-retrain tiny -->", head_repo="mallory/fraud")

    assert run(hosted, "open", "tiny") == 0
    assert [pull["head_ref"] for pull in hosted.pulls()][-1] == f"retrain/tiny-{NEWEST}"


# update


@pytest.fixture
def conflicting(hosted):
    """An open pull request whose pin was won against version 1 while main went on to version 3."""
    assert run(hosted, "open", "tiny") == 0
    branch = f"retrain/tiny-{NEWEST}"
    world = hosted.world
    world.git("fetch", "--quiet", "origin")
    world.git("checkout", "--quiet", "-b", "pr", f"origin/{branch}")
    world.pin(world.version(Repo(world.path).object_at("HEAD", "models/tiny"), "two", champion=world.pinned()))
    world.git("commit", "--quiet", "-am", "Pin the winner")
    world.git("push", "--quiet", "origin", f"pr:{branch}")
    world.git("checkout", "--quiet", "main")
    world.merge("three")
    hosted.publish()
    assert world.apply() == 0
    hosted.branch = branch
    return hosted


def test_update_takes_the_bases_pin(conflicting, capsys) -> None:
    """The branch gets main merged as a plain fast-forward, with main's pin and its own as_of."""
    hosted, tip = conflicting, conflicting.tip(conflicting.branch)

    assert run(hosted, "update", "--head", hosted.branch) == 0

    repo, new = Repo(hosted.origin), hosted.tip(hosted.branch)
    assert repo.parents(new) == (tip, hosted.tip())
    assert hosted.pin(new) == hosted.pin("main")
    assert as_of_at(hosted, new) == NEWEST
    assert "has to challenge" in capsys.readouterr().out


def test_update_on_the_checked_out_branch_brings_it_along(conflicting) -> None:
    """Run on the branch itself without a name, the local branch follows."""
    hosted = conflicting
    hosted.git("fetch", "--quiet")
    hosted.git("checkout", "--quiet", hosted.branch)

    assert run(hosted, "update") == 0
    assert hosted.git("rev-parse", "HEAD") == hosted.tip(hosted.branch)
    assert hosted.git("status", "--porcelain") == ""
    assert hosted.git("worktree", "list").count("\n") == 0


def test_update_finds_the_models_pull_request_from_main(conflicting) -> None:
    """On main, a model's name is enough: the open pull request says which branch."""
    assert run(conflicting, "update", "tiny") == 0
    assert conflicting.pin(conflicting.branch) == conflicting.pin("main")


def test_update_twice_does_nothing_more(conflicting, capsys) -> None:
    """A branch that has the base already is left as it is."""
    assert run(conflicting, "update", "tiny") == 0
    tip = conflicting.tip(conflicting.branch)

    assert run(conflicting, "update", "tiny") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert conflicting.tip(conflicting.branch) == tip


def test_update_leaves_other_conflicts_to_a_person(conflicting, capsys) -> None:
    """Where code conflicts too, one sentence lists the files and nothing is changed."""
    hosted = conflicting
    merged_as_of(hosted, "2026-09-01")
    tip = hosted.tip(hosted.branch)

    assert run(hosted, "update", "--head", hosted.branch) == 2
    assert f"both changed {PATH}" in capsys.readouterr().err
    assert hosted.tip(hosted.branch) == tip


def test_update_on_main_without_a_name(hosted, capsys) -> None:
    """On main itself there is nothing to update, and the sentence says how to name a branch."""
    assert run(hosted, "update") == 2
    assert "--head" in capsys.readouterr().err


@pytest.mark.parametrize("args", [("--branch", "retrain/tiny-2026-11-07"), ("--head", "main")])
def test_main_is_never_updated(conflicting, capsys, args: tuple[str, str]) -> None:
    """--branch with a pull request's branch, as it once was, does not merge that into main."""
    before = conflicting.tip()

    assert run(conflicting, "update", *args) == 2
    assert "--head the pull request's own" in capsys.readouterr().err
    assert conflicting.tip() == before


def test_pins_of_models_that_main_left_alone_stay() -> None:
    """Of two pinned models only the one whose base pin moved gives way; comments of main's file stay."""
    from promotion.config.pin import PinRecord

    def pin(version: int) -> PinRecord:
        return PinRecord(version=version, source_tree="a" * 40, digest=sha(str(version)), evidence=sha("e"))

    older = policy_text("one", "two")
    ours = splice(older, {"one": pin(2), "two": pin(5)})
    base = "# said on main\n" + splice(older, {"one": pin(3)})

    text, yielded = base_pins(older, ours, base)

    assert yielded == ("one",)
    assert text == "# said on main\n" + splice(older, {"one": pin(3), "two": pin(5)})


def test_policy_changes_on_both_sides_are_a_persons() -> None:
    """A branch that changes policy too is not merged by machine."""
    older = policy_text("one")
    with pytest.raises(PromotionError, match="more than pins"):
        base_pins(older, older.replace("0.2", "0.3"), older.replace("looks: 5", "looks: 4"))


# schedule


@pytest.fixture
def scheduled(hosted, monkeypatch):
    """As schedule.yml runs: with the workflow's own token."""
    monkeypatch.setenv("GITHUB_TOKEN", "t-actions")
    return hosted


def dispatches(hosted) -> list[tuple[str, str]]:
    return [(item["workflow"], item["ref"]) for item in hosted.github.hub.state["dispatches"]]


def test_schedule_opens_and_starts_the_run(scheduled) -> None:
    """The workflow's token starts no run by opening, so the run is dispatched on the branch."""
    assert run(scheduled, "schedule") == 0

    (pull,) = scheduled.pulls()
    assert as_of_at(scheduled, pull["head_ref"]) == NEWEST
    assert dispatches(scheduled) == [("retrain.yml", pull["head_ref"])]


def test_schedule_again_does_nothing_once_the_run_is_there(scheduled) -> None:
    """The next day's schedule finds its pull request and its run."""
    assert run(scheduled, "schedule") == 0
    branch = scheduled.pulls()[0]["head_ref"]
    scheduled.github.hub.state["runs"].append(
        {"id": 1, "workflow": "retrain.yml", "status": "completed", "conclusion": "success", "event":
         "workflow_dispatch", "head_sha": scheduled.tip(branch), "head_branch": branch}
    )  # fmt: skip

    assert run(scheduled, "schedule") == 0
    assert len(scheduled.pulls()) == len(dispatches(scheduled)) == 1


def test_schedule_after_a_crash_starts_the_missing_run(scheduled) -> None:
    """A pull request without a run (the opener died in between) gets one."""
    assert run(scheduled, "schedule") == 0
    scheduled.github.hub.state["dispatches"].clear()

    assert run(scheduled, "schedule") == 0
    assert len(dispatches(scheduled)) == 1


def test_schedule_moves_its_pull_request_on_and_onto_the_base(scheduled, on) -> None:
    """A stale pull request gets newer data on the base as it is now, without a conflict, and a new run."""
    on("2026-09-30")
    assert run(scheduled, "schedule") == 0
    on("2026-11-21")
    branch = scheduled.pulls()[0]["head_ref"]
    first = scheduled.tip(branch)
    merged_as_of(scheduled, "2026-09-01")

    assert run(scheduled, "schedule") == 0

    (pull,) = scheduled.pulls()
    tip = scheduled.tip(branch)
    assert (pull["head_ref"], as_of_at(scheduled, branch)) == (branch, NEWEST)
    assert Repo(scheduled.origin).parents(tip) == (first, scheduled.tip())
    assert scheduled.pin(branch) == scheduled.pin("main")
    assert len(dispatches(scheduled)) == 2


def test_schedule_leaves_a_persons_pull_request_alone(scheduled) -> None:
    """A retrain pull request that carries an edit is not touched."""
    (scheduled.clone / "models/tiny/train.py").write_text("# better\n")
    assert run(scheduled, "open", "tiny", "--as-of", "2026-09-01") == 0
    branch = scheduled.pulls()[0]["head_ref"]
    tip, started = scheduled.tip(branch), dispatches(scheduled)

    assert run(scheduled, "schedule") == 0
    assert scheduled.tip(branch) == tip
    assert len(scheduled.pulls()) == 1 and dispatches(scheduled) == started


def test_schedule_is_quiet_after_a_rollback(scheduled, capsys) -> None:
    """While the model's last pin change is a rollback nothing is opened, and a person still can."""
    merged_as_of(scheduled, "2026-09-01")
    scheduled.world.revert("HEAD")
    scheduled.publish()

    assert run(scheduled, "schedule") == 0
    assert "quiet until a person" in capsys.readouterr().out
    assert scheduled.pulls() == []
    scheduled.git("pull", "--quiet")
    assert run(scheduled, "open", "tiny") == 0
    assert "was rolled back" in scheduled.pulls()[0]["body"]


def test_schedule_waits_for_a_whole_new_test_window(scheduled, capsys) -> None:
    """Test days that overlap the last ones wear out, so the next pull request waits for a fresh window."""
    merged_as_of(scheduled, "2026-11-01")

    assert run(scheduled, "schedule") == 0
    assert "labelled on 2026-11-22" in capsys.readouterr().out
    assert scheduled.pulls() == []


def test_schedule_respects_a_closed_pull_request(scheduled, capsys, on) -> None:
    """A person who closes the pull request is not asked again for the same window."""
    assert run(scheduled, "schedule") == 0
    scheduled.github.hub.state["pulls"][0]["state"] = "closed"

    on("2026-11-22")
    assert run(scheduled, "schedule") == 0
    assert "was closed without a merge" in capsys.readouterr().out
    assert scheduled.pulls() == []


def test_schedule_is_quiet_during_a_freeze(scheduled, capsys) -> None:
    """A frozen model is not retrained by the clock."""
    scheduled.world.write(
        "promotion.yaml", scheduled.world.read().replace("    champion:", "    freeze: audit\n    champion:")
    )
    scheduled.world.commit("freeze")
    scheduled.publish()

    assert run(scheduled, "schedule") == 0
    assert "frozen: audit" in capsys.readouterr().out
    assert scheduled.pulls() == []


def test_schedule_goes_on_after_one_models_trouble(scheduled, capsys) -> None:
    """A model whose model.yaml is broken fails by itself, the exit code tells, the others are opened."""
    world = scheduled.world
    for name, text in (("data.py", "#\n"), ("train.py", "#\n"), ("model.yaml", "as_of: soon\n")):
        world.write(f"models/broken/{name}", text)
    world.write("promotion.yaml", world.read() + policy_text("broken").removeprefix("models:\n"))
    world.commit("broken")
    scheduled.publish()

    assert run(scheduled, "schedule") == 1
    assert "broken: FAILED" in capsys.readouterr().out
    assert len(scheduled.pulls()) == 1
