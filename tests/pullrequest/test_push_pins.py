"""Pins on a branch, the report on a pull request: real repositories, and a GitHub that remembers."""

import json
from collections.abc import Callable
from pathlib import Path

import pin
import prepare
import pytest
import report
from pin import winners
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.github.actions import MAX_SUMMARY_BYTES
from promotion.github.comments import REPORT_MARKER
from promotion.pullrequest.push_pins import Pushed, push_pins
from promotion.pullrequest.situation import THROWAWAY
from promotion.pullrequest.workdir import Work
from promotion.records.plan import Plan
from promotion.story.hosting import Hosting, environment

from tests.support import samples
from tests.support.github.standin import StandIn
from tests.support.worlds import policy_text, sha

BRANCH = "retrain/$(touch${IFS}pwned)`id`"  # git takes it; a shell must never see it

PIN_9 = f"champion: {{version: 9, source_tree: {'a' * 40}, digest: '{sha('x')}', evidence: '{sha('y')}'}}"


class Hosted:
    """A hosted repository with one model, an open pull request that changes its code, and the judged plan."""

    def __init__(self, root: Path) -> None:
        project = root / "project"
        for name in ("tiny", "other"):
            (project / "models" / name).mkdir(parents=True)
            (project / "models" / name / "train.py").write_text("# one\n")
        (project / "promotion.yaml").write_text("# kept\n" + policy_text("tiny", "other"))
        self.hosting = Hosting(root, project, environment(root, root / "data"))
        self.hosting.create()
        self.hosting._git(self.hosting.clone, "config", "--remove-section", "user")  # a runner has no identity
        (self.hosting.clone / "models" / "tiny" / "train.py").write_text("# two\n")
        self.request = self.hosting.open("Retrain", BRANCH, "pr")
        self.pull = self.hosting.merge_result(self.request)
        repo = Repo(self.pull)
        merge = repo.resolve("HEAD")
        base, head = repo.parents(merge)
        self.plan = Plan(base=base, head=head, merge=merge, lock="none", models=())
        tree = repo.object_at(merge, "models/tiny")
        self.pins = {"tiny": PinRecord(version=4, source_tree=tree, digest=sha("files"), evidence=sha("evidence"))}

    def push(self) -> Pushed:
        """What pin.py --push does."""
        return push_pins(Repo(self.pull), self.plan, self.pins, head_ref=BRANCH, base_ref="main", number=7)

    def tip(self, branch: str = BRANCH) -> str:
        """A hosted branch's commit."""
        return Repo(self.hosting.bare).resolve(f"refs/heads/{branch}")

    def text(self, commit: str, path: str = "promotion.yaml") -> str:
        """A file of the hosted repository."""
        return Repo(self.hosting.bare).file_at(commit, path) or ""

    def commit(self, branch: str, path: str, change: Callable[[str], str]) -> None:
        """Somebody pushes another commit meanwhile."""
        clone = self.hosting.clone
        self.hosting._git(clone, "checkout", "--quiet", "-B", "meanwhile", f"origin/{branch}")
        file = clone / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change(file.read_text() if file.exists() else ""))
        self.hosting._git(clone, "add", "--all")
        self.hosting.commit(clone, "meanwhile")
        self.hosting._git(clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


@pytest.fixture
def hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosted:
    """An open pull request whose candidate won."""
    for key, value in environment(tmp_path, tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    return Hosted(tmp_path)


def test_the_pin_is_one_commit_of_the_bot_on_the_judged_head(hosted: Hosted) -> None:
    """A plain fast-forward that changes the pin's lines and nothing else."""
    pushed = hosted.push()
    tip = hosted.tip()
    repo = Repo(hosted.hosting.bare)

    assert pushed == Pushed(commit=tip)
    assert repo.parents(tip) == (hosted.plan.head,)
    assert repo.changed_paths(hosted.plan.head, tip) == ("promotion.yaml",)
    assert repo.describe(tip).author == "github-actions[bot]"
    assert parse(hosted.text(tip)).models["tiny"].champion == hosted.pins["tiny"]
    assert hosted.text(tip).startswith("# kept\n")


def test_a_second_run_of_the_same_judgement_finds_the_first_ones_commit(hosted: Hosted) -> None:
    """A re-run after a lost status goes on with the commit that is there."""
    first = hosted.push()

    assert hosted.push() == first
    assert hosted.tip() == first.commit


def test_the_same_files_on_another_parent_are_not_the_first_runs_commit(hosted: Hosted) -> None:
    """Somebody squashed the branch, pin and all, while a second run judged: that commit has not been judged."""
    hosted.push()
    clone = hosted.hosting.clone
    hosted.hosting._git(clone, "fetch", "--quiet", "origin")
    hosted.hosting._git(clone, "checkout", "--quiet", "-B", "squashed", "origin/main")
    hosted.hosting._git(clone, "checkout", "--quiet", f"origin/{BRANCH}", "--", ".")
    hosted.hosting.commit(clone, "squashed")
    hosted.hosting._git(clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{BRANCH}")

    assert "the branch moved" in str(hosted.push().blocked)


def test_nothing_is_pushed_when_the_branch_moved(hosted: Hosted) -> None:
    """Somebody pushed while the candidate was judged: the newer commit's run decides."""
    hosted.commit(BRANCH, "models/tiny/train.py", lambda text: text + "# three\n")
    before = hosted.tip()
    pushed = hosted.push()

    assert pushed.commit is None and "the branch moved" in str(pushed.blocked)
    assert hosted.tip() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("champion: null", PIN_9, 1), "version 9"),
        (lambda text: text.replace('f1: "> 0.2"', 'f1: "> 0.1"', 1), "policy of tiny changed"),
        (lambda text: text.replace("  tiny:\n", "  tiny:\n    freeze: holidays\n", 1), "policy of tiny changed"),
        (lambda text: text.replace("champion: null", "champion: null # mine", 1), "conflict"),
    ],
    ids=["champion", "policy", "freeze", "a comment on the same line"],
)
def test_nothing_is_pushed_when_the_bases_pin_or_policy_moved(
    hosted: Hosted, change: Callable[[str], str], said: str
) -> None:
    """The judgement was made against another base; the sentence says to update the branch."""
    hosted.commit("main", "promotion.yaml", change)
    pushed = hosted.push()

    assert pushed.commit is None and said in str(pushed.blocked) and "update the branch" in str(pushed.blocked)
    assert hosted.tip() == hosted.plan.head


def test_nothing_is_pushed_when_the_bases_model_folder_changed(hosted: Hosted) -> None:
    """The merge result would have another tree than the pin names."""
    hosted.commit("main", "models/tiny/notes.md", lambda _: "notes\n")
    pushed = hosted.push()

    assert pushed.commit is None and "models/tiny/ changed" in str(pushed.blocked)


def test_another_change_of_the_base_does_not_matter(hosted: Hosted) -> None:
    """A README, another model's policy: the pin is as true as before."""
    hosted.commit("main", "README.md", lambda _: "words\n")
    hosted.commit("main", "promotion.yaml", lambda text: text[:-1] + " # other's\n")

    assert hosted.push().commit == hosted.tip()


def test_a_promotion_yaml_that_is_a_link_is_refused(hosted: Hosted) -> None:
    """The branch cannot make the bot write through a link."""
    clone = hosted.hosting.clone
    hosted.hosting._git(clone, "checkout", "--quiet", BRANCH)
    (clone / "promotion.yaml").unlink()
    (clone / "promotion.yaml").symlink_to("models/tiny/train.py")
    hosted.hosting._git(clone, "add", "--all")
    hosted.hosting.commit(clone, "a link")
    hosted.hosting._git(clone, "push", "--quiet", "origin", BRANCH)
    hosted.plan = hosted.plan.model_copy(update={"head": hosted.tip()})
    Repo(hosted.pull).git("fetch", "--quiet", "origin")

    with pytest.raises(PromotionError, match=r"promotion\.yaml: not a plain file"):
        hosted.push()


def test_a_push_that_is_not_permitted_is_one_sentence(hosted: Hosted) -> None:
    """A protected branch, or a token without `contents: write`."""
    hook = hosted.hosting.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(PromotionError, match="nothing was pushed"):
        hosted.push()
    assert hosted.tip() == hosted.plan.head


def prepared(hosted: Hosted, patch: pytest.MonkeyPatch, *, head_repo: str, uri: str = "") -> int:
    """Run prepare.py --github on the hosted pull request, as the job `prepare` does."""
    pull = {"number": 1, "head": {"sha": hosted.plan.head, "ref": BRANCH, "repo": {"full_name": head_repo}}}
    pull |= {"base": {"sha": hosted.plan.base, "ref": "main"}, "user": {"login": "alice"}}
    path = hosted.hosting.root / "event.json"
    path.write_text(json.dumps({"pull_request": pull, "repository": {"full_name": "octo-org/fraud"}}))
    values = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(path), "MLFLOW_TRACKING_URI": uri}
    for key, value in (values | {"GITHUB_OUTPUT": str(hosted.hosting.root / "output")}).items():
        patch.setenv(key, value)
    patch.chdir(hosted.hosting.root)
    return prepare.main(["--github", "--repo", str(hosted.pull), "--work", "work"])


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (None, ""),
        (("promotion.yaml", lambda text: text + "# mine\n"), "the branch moved"),
        (("notes.md", lambda text: "mine\n"), "the branch moved"),
    ],
    ids=["pins", "pins and more", "another file"],
)
def test_a_run_that_is_started_again_after_its_pins_judges_again(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch, then: tuple[str, Callable[[str], str]] | None, told: str
) -> None:
    """Its report was not taken, say: the commit on top of what it judged is its own, which push_pins finds again."""
    pushed = hosted.push()
    if then is not None:
        hosted.commit(BRANCH, *then)

    assert prepared(hosted, monkeypatch, head_repo="octo-org/fraud") == (1 if told else 0)
    assert told in "; ".join(Plan.read(Path("work/plan.json")).refusals)
    assert (hosted.push() == pushed) is not bool(told)


def test_policy_on_top_of_what_is_judged_is_no_pin(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's commit may look like one until the pins are known: then nothing is pushed."""
    hosted.commit(BRANCH, "promotion.yaml", lambda text: text + "# mine\n")

    assert prepared(hosted, monkeypatch, head_repo="octo-org/fraud") == 0
    assert "the branch moved" in str(hosted.push().blocked)


def test_a_repository_without_a_tracker_is_told_so(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where main pins a champion, an unset MLFLOW_TRACKING_URI is a mistake, and nothing is judged."""
    hosted.commit("main", "promotion.yaml", lambda text: text.replace("champion: null", PIN_9))
    hosted.pull = hosted.hosting.merge_result(hosted.request)

    assert prepared(hosted, monkeypatch, head_repo="octo-org/fraud") == 2
    assert "MLFLOW_TRACKING_URI is not set, and promotion.yaml pins a champion of" in capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI" in Work(Path("work")).error.read_text()


def test_a_trial_without_a_tracker(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """While main pins nothing a run trains and meets the gate, says what to set, and registers and pins nothing."""
    assert prepared(hosted, monkeypatch, head_repo="octo-org/fraud") == 0
    plan = Plan.read(Path("work/plan.json"))
    (item,) = [item for item in plan.models if item.model == "tiny"]

    assert (item.action, item.gate_alone) == ("train", True)
    assert item.says_first[0].startswith("This repository does not set MLFLOW_TRACKING_URI yet, so this is a trial")
    assert THROWAWAY in (hosted.hosting.root / "output").read_text()
    work, won = Work(Path("work")), samples.promote()
    files = work.model("tiny")
    for record, path in (
        (won.gate, files.gate),
        (won.evaluation, files.evaluation),
        (won.candidate, files.candidate_record),
    ):
        assert record is not None
        record.write(path)
    plan.model_copy(update={"models": (item,)}).write(work.plan)
    assert winners(work) == ({}, ["tiny met the gate alone, and its version is in a throwaway tracker"])


def test_a_fork_is_planned_without_asking_the_registry(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the variable names a server: the job's outputs send the judge to a throwaway tracker."""
    assert prepared(hosted, monkeypatch, head_repo="mallory/fraud", uri="http://127.0.0.1:9") == 0
    (item,) = [item for item in Plan.read(Path("work/plan.json")).models if item.model == "tiny"]
    output = (hosted.hosting.root / "output").read_text()

    assert (item.action, item.champion) == ("train", None)
    assert '["tiny"]' in output and THROWAWAY in output


# The report on the pull request


class Publishing:
    """A work folder with records, an event, and a GitHub to tell."""

    def __init__(self, folder: Path, github: StandIn, patch: pytest.MonkeyPatch) -> None:
        self.work, self.github, self.folder = Work(folder / "work"), github, folder
        self.number = github.hub.add_pull("retrain/x", head_sha="a" * 40)
        self.event(draft=False, repo=github.hub.repo)
        values = {"ACTIONS": "true", "EVENT_NAME": "pull_request", "EVENT_PATH": str(folder / "event.json")}
        values |= {"REPOSITORY": github.hub.repo, "API_URL": github.url, "TOKEN": "t-actions", "RUN_ID": "5"}
        values |= {"OUTPUT": str(folder / "output"), "STEP_SUMMARY": str(folder / "summary.md")}
        for key, value in (values | {"SERVER_URL": "https://github.com"}).items():
            patch.setenv(f"GITHUB_{key}", value)
        self.patch = patch

    def event(self, *, draft: bool, repo: str | None) -> None:
        """The pull_request event of this run."""
        head = {"sha": "a" * 40, "ref": "retrain/x", "repo": None if repo is None else {"full_name": repo}}
        pull = {"number": self.number, "head": head, "base": {"sha": "b" * 40, "ref": "main"}, "draft": draft}
        raw = {"pull_request": pull | {"user": {"login": "alice"}}, "repository": {"full_name": self.github.hub.repo}}
        (self.folder / "event.json").write_text(json.dumps(raw))

    def records(self, *reported: report.Reported, pushed: Pushed | None = None, **plan: object) -> None:
        """Write what the steps before would have left."""
        models = tuple(item.plan for item in reported)
        samples.PLAN.model_copy(update={"models": models, **plan}).write(self.work.plan)
        for item in reported:
            files = self.work.model(item.plan.model)
            for record, path in (
                (item.evaluation, files.evaluation),
                (item.gate, files.gate),
                (item.candidate, files.candidate_record),
                (item.scores, files.scores_record),
            ):
                if record is not None:
                    record.write(path)
        if pushed is not None:
            pushed.write(self.work.pushed)

    def tell(self) -> int:
        """report.py --github."""
        return report.main(["--github", "--work", str(self.work.root), "--report-url", "https://github.com/r/1"])

    @property
    def comments(self) -> list[str]:
        """The pull request's comments."""
        return [comment["body"] for comment in self.github.hub.comments(self.number)]

    @property
    def mergeable(self) -> bool:
        """What the job's output says to the required check."""
        return "\ntrue\n" in (self.folder / "output").read_text()


@pytest.fixture
def publishing(tmp_path: Path, github: StandIn, monkeypatch: pytest.MonkeyPatch) -> Publishing:
    """An open pull request of this repository."""
    return Publishing(tmp_path, github, monkeypatch)


def test_a_pinned_winner_gets_its_status_first_and_one_comment(publishing: Publishing) -> None:
    """The check stands on the pin's commit, not on the one before; one comment says what merging does."""
    publishing.records(samples.promote(), pushed=Pushed(commit="c" * 40))

    assert publishing.tell() == 0 and publishing.tell() == 0
    assert publishing.mergeable
    assert [item["state"] for item in publishing.github.hub.statuses("c" * 40)] == ["success", "success"]
    assert {item["state"] for item in publishing.github.hub.statuses(samples.PLAN.head)} == {"pending"}
    assert len(publishing.comments) == 1 and "`@champion 3 → 4`" in publishing.comments[0]
    writes = [request.path for request in publishing.github.requests if request.method == "POST"]
    assert writes[0].endswith("/statuses/" + "c" * 40)


def test_the_label_says_how_it_came_out_and_follows(publishing: Publishing) -> None:
    """The label of an earlier verdict goes, other people's labels stay, and a second run changes nothing."""
    labels = publishing.github.hub.find("pulls", publishing.number)["labels"]
    labels += ["promotion: keep", "urgent"]
    publishing.records(samples.promote(), pushed=Pushed(commit="c" * 40))

    assert publishing.tell() == 0 and publishing.tell() == 0
    assert publishing.github.hub.find("pulls", publishing.number)["labels"] == ["urgent", "promotion: promote"]


def test_a_repository_that_forbids_labels_is_judged_all_the_same(publishing: Publishing, capsys) -> None:
    """The comment is there, the check is as it was, and the log says why there is no label."""
    publishing.records(samples.promote(), pushed=Pushed(commit="c" * 40))
    publishing.github.fault("status", method="POST", path="/labels", status=403, message="Resource not accessible")

    assert publishing.tell() == 0
    assert len(publishing.comments) == 1
    assert "the labels were left as they are: cannot label" in capsys.readouterr().out


def test_a_winner_that_could_not_be_pinned_is_red_and_says_why(publishing: Publishing) -> None:
    """The base moved: no status, a comment that says to update the branch, the output `mergeable` false."""
    publishing.records(
        samples.promote(pinned=False), pushed=Pushed(blocked="the base's champion is now 9; update the branch")
    )

    assert publishing.tell() == 1
    assert not publishing.mergeable
    assert publishing.github.hub.state["statuses"] == []
    assert "update the branch" in publishing.comments[0] and "REFUSED" in publishing.comments[0]


def test_a_plan_that_could_not_be_made_is_told(publishing: Publishing) -> None:
    """A broken promotion.yaml in the pull request: file, line and sentence are in the comment."""
    publishing.work.claim("prepare.py")
    publishing.work.note(PromotionError("unknown key `champoin`", file="promotion.yaml", line=7))

    assert publishing.tell() == 1
    assert "promotion.yaml:7" in publishing.comments[0] and "champoin" in publishing.comments[0]


def test_a_verified_pin_that_did_not_answer_is_red(publishing: Publishing) -> None:
    """Without a record that the version loads and answers, a revert is not green."""
    publishing.records(samples.rollback())

    assert publishing.tell() == 1
    assert "was not seen to load and answer" in publishing.comments[0]


def test_a_fork_is_told_in_the_job_summary_alone(publishing: Publishing) -> None:
    """No request is made; green by the gate, and still not mergeable, because main needs a pin."""
    publishing.event(draft=False, repo="mallory/fraud")
    publishing.records(samples.fork())

    assert publishing.tell() == 0
    assert not publishing.mergeable
    assert publishing.github.requests == []
    assert "GATE PASSED" in (publishing.folder / "summary.md").read_text()


def test_a_fork_below_a_floor_is_red(publishing: Publishing) -> None:
    """Red by the gate."""
    publishing.event(draft=False, repo="mallory/fraud")
    publishing.records(samples.rejected())

    assert publishing.tell() == 1


def test_the_comment_of_somebody_else_with_our_marker_stays(publishing: Publishing) -> None:
    """Ours is written beside it."""
    publishing.github.hub.add_comment(publishing.number, "mallory", f"{REPORT_MARKER}\nall green, merge me")
    publishing.records(samples.keep())

    assert publishing.tell() == 1
    assert publishing.comments[0].endswith("merge me") and len(publishing.comments) == 2


def test_a_report_over_the_limit_is_cut_and_links_the_full_one(publishing: Publishing) -> None:
    """1,000 slices: the stand-in refuses more than 65,536 characters, the page keeps everything."""
    won = samples.promote()
    assert won.evaluation is not None
    one = won.evaluation.comparisons[0]
    many = tuple(one.model_copy(update={"slice": f"band={i}`<b>|@all"}) for i in range(1000))
    long = won.evaluation.model_copy(update={"comparisons": (*won.evaluation.comparisons, *many)})
    publishing.records(report.Reported(**{**won.__dict__, "evaluation": long}), pushed=Pushed(commit="c" * 40))

    assert publishing.tell() == 0
    assert len(publishing.comments[0]) <= 65_536 and "https://github.com/r/1" in publishing.comments[0]
    assert publishing.comments[0].count("```") % 2 == 0
    assert publishing.comments[0].count("<details>") == publishing.comments[0].count("</details>")
    assert "band=999" in (publishing.work.root / "report.html").read_text()
    assert (publishing.folder / "summary.md").stat().st_size <= MAX_SUMMARY_BYTES


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_comment_that_is_not_taken_is_one_sentence_and_red(
    publishing: Publishing, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing permission, a locked pull request: exit 2, nothing half said."""
    publishing.github.fault("status", method="POST", path="/comments", status=status, times=9)
    publishing.records(samples.keep())

    assert publishing.tell() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_verb_prints_is_no_workflow_command(publishing: Publishing, capfd: pytest.CaptureFixture[str]) -> None:
    """In Actions, a line that a model's words begin is shown with a bar before it."""
    publishing.work.claim("prepare.py")
    publishing.work.note(PromotionError("train.py said\n::add-mask::x\n  ::error::y\n##[group]z"))
    publishing.tell()
    shown = capfd.readouterr()

    lines = [line for line in (shown.out + shown.err).splitlines() if line.lstrip().startswith(("::", "##["))]
    assert [line for line in lines if not line.startswith("::error title=promotion::")] == []


def test_pin_py_pushes_only_where_the_event_allows(publishing: Publishing, tmp_path: Path) -> None:
    """A draft's winner is not pushed: pin.py leaves a record that says nothing was."""
    publishing.event(draft=True, repo=publishing.github.hub.repo)
    publishing.records(samples.promote())

    assert pin.main(["--push", "--repo", str(tmp_path), "--work", str(publishing.work.root)]) == 0
    assert Pushed.read(publishing.work.pushed) == Pushed()
