"""A pull request is classified by state: every row of the README's table, on real repositories."""

import subprocess
from pathlib import Path

import pytest
from promotion.champion.pins import PinHistory
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.config.promotion_yaml import parse
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.pullrequest.classify import Change, classify, decide
from promotion.pullrequest.refusals import State
from promotion.records.plan import Runner
from promotion.registry.client import Registry
from promotion.registry.ledger import LedgerEntry

from tests.support.mlflow_server import empty_database
from tests.support.places import Places

MODEL = "tiny"
POLICY = """\
models:
  tiny:
    measure: {test_days: 7, delay_days: 7}
    gate:
      f1: "> 0.2"
    challenge: {confidence: 0.95, looks: 5, f1: superior}
    champion: null
"""


class Hosted:
    """A repository on main, with branches that are merged by squash or by merge commit."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.run("init", "--quiet", "--initial-branch=main")
        self.run("config", "user.name", "Dana")
        self.run("config", "user.email", "dana@example.com")
        self.repo = Repo(path)
        self.write("promotion.yaml", POLICY)
        self.code("one")
        self.commit("start")

    def run(self, *args: str) -> str:
        done = subprocess.run(["git", "-C", str(self.path), *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def code(self, text: str) -> None:
        for name in ("data.py", "train.py", "model.yaml"):
            self.write(f"models/{MODEL}/{name}", f"# {text}\n")

    def commit(self, message: str) -> str:
        self.run("add", "--all")
        self.run("commit", "--quiet", "--allow-empty", "-m", message)
        return self.run("rev-parse", "HEAD")

    def tree(self) -> str:
        found = self.repo.object_at("HEAD", f"models/{MODEL}")
        assert found is not None
        return found

    def pin(self, version: int | None, tree: str | None = None) -> PinRecord | None:
        pin = None if version is None else a_pin(version, tree or self.working_tree())
        text = (self.path / "promotion.yaml").read_text(encoding="utf-8")
        self.write("promotion.yaml", splice(text, {MODEL: pin}))
        return pin

    def working_tree(self) -> str:
        found = self.repo.working_tree(f"models/{MODEL}")
        assert found is not None
        return found

    def branch(self, name: str) -> None:
        self.run("checkout", "--quiet", "-b", name, "main")

    def merge(self, branch: str, how: str) -> str:
        """Merge a branch into main as the hosting service does; return the commit on main."""
        self.run("checkout", "--quiet", "main")
        if how == "squash":
            self.run("merge", "--quiet", "--squash", branch)
            return self.commit(f"{branch} (#1)")
        self.run("merge", "--quiet", "--no-ff", "-m", f"Merge pull request #1 from {branch}", branch)
        return self.run("rev-parse", "HEAD")

    def revert(self, commit: str, how: str, branch: str) -> None:
        """Revert a commit of main on a new branch, as the Revert button does."""
        self.branch(branch)
        self.run("revert", "--no-edit", *(["-m", "1"] if how == "merge" else []), commit)

    def merge_result(self, branch: str) -> tuple[str, str]:
        """Return (base, merge result) of a pull request, made on a detached head."""
        base = self.run("rev-parse", "main")
        self.run("checkout", "--quiet", "--detach", "main")
        self.run("merge", "--quiet", "--no-ff", "-m", "merge result", branch)
        merge = self.run("rev-parse", "HEAD")
        self.run("checkout", "--quiet", branch)
        return base, merge

    def plan(self, branch: str, registry: Registry):
        base, merge = self.merge_result(branch)
        return classify(self.repo, registry, Change(base=base, merge=merge, head=branch))

    def only(self, branch: str, registry: Registry):
        (item,) = self.plan(branch, registry).models
        return item


def a_pin(version: int, tree: str) -> PinRecord:
    letter = "0123456789abcdef"[version]
    return PinRecord(
        version=version, source_tree=tree, digest="sha256:" + letter * 64, evidence="sha256:" + letter * 64
    )


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    """A repository whose main has one model and no champion."""
    return Hosted(tmp_path / "repo")


@pytest.fixture
def registry(places: Places) -> Registry:
    """An empty SQLite MLflow."""
    return Registry(empty_database(places.next()))


def was_champion(registry: Registry, pin: PinRecord, hosted: Hosted) -> None:
    """Write what promote.py leaves behind when it has moved @champion to the pin at main's tip."""
    if registry.model(MODEL) is None:
        registry.client.create_registered_model(MODEL)
    entry = LedgerEntry(
        height=int(hosted.run("rev-list", "--first-parent", "--count", "main")),
        commit=hosted.run("rev-parse", "main"),
        before=None,
        version=pin.version,
        digest=pin.digest,
        reason="merge",
        at="2026-08-03T12:00:00Z",
        by="test",
        pr=12,
    )
    registry.set_model_tag(MODEL, entry.key, entry.text())


ONE, TWO = a_pin(1, "1" * 40), a_pin(2, "2" * 40)
ADOPTED = PinRecord(version=3, source_tree=None, digest="sha256:" + "3" * 64, evidence=None, adopted=True)


@pytest.mark.parametrize(
    ("tree", "base_tree", "pin", "champion", "action"),
    [
        (1, 1, None, None, "none"),
        (1, 1, ONE, ONE, "none"),
        (2, 1, None, None, "train"),
        (2, 1, ONE, ONE, "train"),
        (2, 1, TWO, ONE, "verify"),
        (1, 2, ONE, ONE, "verify"),  # back to what is pinned
        (1, 1, TWO, ONE, "refuse"),
        (1, 1, None, ONE, "verify"),  # retired
        (None, 1, None, None, "refuse"),
        (None, 1, None, ONE, "refuse"),
        (None, 1, ONE, ONE, "refuse"),
        (None, 1, TWO, ONE, "refuse"),
        (1, 1, ADOPTED, None, "verify"),
        (2, 1, ADOPTED, ONE, "train"),
        (None, None, ADOPTED, None, "verify"),  # a champion that was never a folder here
        (None, None, ADOPTED, ADOPTED, "none"),
        (None, 1, ADOPTED, ONE, "verify"),
        (None, 1, ADOPTED, ADOPTED, "refuse"),
        (None, None, ADOPTED.model_copy(update={"source_tree": "3" * 40}), None, "refuse"),
    ],
)
def test_what_a_state_asks_for(hosted: Hosted, tree, base_tree, pin, champion, action: str) -> None:
    """Every row of the table, by trees (numbers here) and pins; an entry without its folder only where adopted."""
    entry = parse(POLICY).models[MODEL]
    new, old = (entry.model_copy(update={"champion": one}) for one in (pin, champion))
    trees = [None if one is None else str(one) * 40 for one in (tree, base_tree)]

    assert decide(State(MODEL, *trees, new, old), PinHistory(hosted.repo, "main"))[0] == action


def test_neither_tree_nor_pin_differs(hosted: Hosted, registry: Registry) -> None:
    """A pull request that leaves the model alone is nothing, green."""
    hosted.branch("docs")
    hosted.write("notes.md", "hello\n")
    hosted.commit("docs")

    plan = hosted.plan("docs", registry)

    assert [(item.action, item.merge_effect) for item in plan.models] == [("none", "nothing changes")]
    assert plan.refusals == ()


def test_a_new_tree_is_trained(hosted: Hosted, registry: Registry) -> None:
    """A changed folder that no pin names is trained, against the base's champion and policy."""
    hosted.branch("retrain")
    hosted.code("two")
    hosted.commit("retrain")

    item = hosted.only("retrain", registry)

    assert (item.action, item.source_tree, item.champion) == ("train", hosted.tree(), None)


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_the_story_of_a_pin(hosted: Hosted, registry: Registry, how: str) -> None:
    """Promote, promote, revert, revert of the revert: each is verified or trained, by squash and by merge commit."""
    hosted.branch("first")
    hosted.code("two")
    one = hosted.pin(1)
    hosted.commit("first champion")
    assert one is not None
    hosted.merge("first", how)
    was_champion(registry, one, hosted)

    hosted.branch("second")
    hosted.code("three")
    hosted.commit("retrain")
    assert hosted.only("second", registry).action == "train"
    two = hosted.pin(2)
    hosted.commit("pin")
    assert two is not None
    promoted = hosted.merge("second", how)
    was_champion(registry, two, hosted)

    hosted.revert(promoted, how, "undo")
    undo = hosted.only("undo", registry)
    assert (undo.action, undo.pin, undo.champion) == ("verify", one, two)
    assert undo.merge_effect == "@champion 2 -> 1, rollback to the champion of 2026-08-03, merged in #12"
    undone = hosted.merge("undo", how)
    assert hosted.tree() == one.source_tree

    hosted.revert(undone, how, "redo")
    redo = hosted.only("redo", registry)
    assert (redo.action, redo.pin) == ("verify", two)
    assert any("rolled back" in line for line in redo.says_first)
    hosted.merge("redo", how)

    tip = hosted.repo.resolve("main")
    again = classify(
        hosted.repo, registry, Change(base=tip, merge=tip, head=tip), only=MODEL
    )  # a trial of the champion
    assert [item.says_first for item in again.models] == [()]


@pytest.mark.parametrize("how", ["squash", "merge"])
def test_reverting_the_first_champion_drops_it(hosted: Hosted, registry: Registry, how: str) -> None:
    """The revert of a first promotion goes back to no champion, and says so."""
    hosted.branch("first")
    hosted.code("two")
    one = hosted.pin(1)
    hosted.commit("first champion")
    assert one is not None
    promoted = hosted.merge("first", how)
    was_champion(registry, one, hosted)
    hosted.revert(promoted, how, "undo")

    item = hosted.only("undo", registry)

    assert (item.action, item.merge_effect) == ("verify", "@champion is dropped (was version 1)")


def test_an_older_tree_is_trained_where_nobody_was_champion(hosted: Hosted, registry: Registry) -> None:
    """To go back to a tree without a champion drops nobody, so it is a candidate like any other."""
    hosted.code("two")
    edited = hosted.commit("edited before the first champion")
    hosted.revert(edited, "squash", "back")

    assert hosted.only("back", registry).action == "train"


def test_a_pin_that_was_only_on_a_branch_is_not_history(hosted: Hosted, registry: Registry) -> None:
    """A pin without evidence that main never had is refused, though the branch had it before."""
    hosted.branch("sneak")
    hosted.code("two")
    hosted.pin(7)
    hosted.commit("pin")
    hosted.commit("more")

    plan = hosted.plan("sneak", registry)

    assert plan.models[0].action == "refuse"
    assert "version 7 does not exist in the registry" in plan.refusals[0]


def test_a_pin_without_its_code_is_refused(hosted: Hosted, registry: Registry) -> None:
    """Moving the pin and leaving the folder is refused, and the sentence names rollback.py."""
    hosted.branch("pin-only")
    hosted.pin(1, tree="f" * 40)
    hosted.commit("pin")

    plan = hosted.plan("pin-only", registry)

    assert plan.models[0].action == "refuse"
    assert "rollback.py" in plan.refusals[0]


def test_a_wrong_pin_with_changed_code_is_trained(hosted: Hosted, registry: Registry) -> None:
    """A pin by hand that names another tree does not stop the judgement of the changed folder."""
    hosted.branch("both")
    hosted.code("two")
    hosted.pin(1, tree="f" * 40)
    hosted.commit("both")

    assert hosted.only("both", registry).action == "train"


def test_dropping_the_pin_does_not_smuggle_code_in(hosted: Hosted, registry: Registry) -> None:
    """A new tree with `champion: null` is trained, not waved through as a retired champion."""
    hosted.branch("first")
    hosted.code("two")
    hosted.pin(1)
    hosted.commit("first champion")
    hosted.merge("first", "squash")
    hosted.branch("smuggle")
    hosted.code("never judged")
    hosted.pin(None)
    hosted.commit("smuggle")

    assert hosted.only("smuggle", registry).action == "train"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("promotion.yaml", POLICY.replace("> 0.2", "> 0.1"), "policy of tiny"),
        ("scripts/gate.py", "print()\n", "together with scripts/"),
        (".github/workflows/x.yml", "on: push\n", "together with .github/"),
        ("requirements/train.txt", "x==1\n", "together with requirements/"),
        ("promotion.yaml", POLICY + "guard: {moves: 100}\n", "together with `guard`"),
    ],
)
def test_nobody_lowers_the_bar_and_jumps_it(
    hosted: Hosted, registry: Registry, name: str, text: str, says: str
) -> None:
    """A model's change together with policy or machinery is refused; each alone is not."""
    hosted.branch("alone")
    hosted.write(name, text)
    hosted.commit("alone")
    assert hosted.plan("alone", registry).refusals == ()

    hosted.code("two")
    hosted.commit("mixed")

    (refusal,) = hosted.plan("alone", registry).refusals
    assert says in refusal


def test_one_model_alone_is_planned_where_it_is_asked_for(hosted: Hosted, registry: Registry) -> None:
    """A trial of one model is no trial of the others that the branch changes, and is one where nothing differs."""
    hosted.write("models/other/train.py", "# new\n")
    hosted.write("promotion.yaml", POLICY + POLICY.removeprefix("models:\n").replace("tiny:", "other:"))
    hosted.commit("two models")
    hosted.branch("both")
    hosted.code("two")
    hosted.commit("change one")
    base, merge = hosted.merge_result("both")

    for name, reason in ((MODEL, "a tree that no pin names"), ("other", "a trial was asked for")):
        plan = classify(hosted.repo, registry, Change(base=base, merge=merge, head="both"), only=name)
        assert [(item.model, item.action) for item in plan.models] == [(name, "train")]
        assert reason in plan.models[0].reason


def test_a_new_model_brings_its_own_entry(hosted: Hosted, registry: Registry) -> None:
    """A new folder with its entry is trained under what it brings, and the report says so first."""
    hosted.branch("new")
    hosted.write("models/other/train.py", "# new\n")
    hosted.write("promotion.yaml", POLICY + POLICY.removeprefix("models:\n").replace("tiny:", "other:"))
    hosted.commit("new model")

    plan = hosted.plan("new", registry)

    found = {item.model: item.action for item in plan.models}
    assert found == {"other": "train", "tiny": "none"}
    assert plan.refusals == ()
    assert "brings the model's own policy" in plan.models[0].says_first[0]


def test_a_folder_without_an_entry_and_an_entry_without_a_folder_are_refused(
    hosted: Hosted, registry: Registry
) -> None:
    """What promotion.yaml and models/ disagree about is refused with what to do."""
    hosted.branch("half")
    hosted.write("models/other/train.py", "# new\n")
    hosted.run("rm", "-r", "--quiet", f"models/{MODEL}")
    hosted.commit("half")

    refusals = hosted.plan("half", registry).refusals

    assert "models/other/ has no entry" in refusals[0]
    assert "models/tiny/ is gone" in refusals[1]


@pytest.mark.parametrize("name", ["n" * 101, "größe", "two words", "_x"])
def test_a_folder_whose_name_no_entry_can_have_is_told_so(hosted: Hosted, registry: Registry, name: str) -> None:
    """The advice to add an entry would be refused in its turn."""
    hosted.branch("odd")
    hosted.write(f"models/{name}/train.py", "# new\n")
    hosted.commit("odd")

    (refusal,) = hosted.plan("odd", registry).refusals
    assert "is no name of a model: at most 100 letters" in refusal and "has no entry" not in refusal


def test_what_was_trained_before_is_judged_not_trained(hosted: Hosted, registry: Registry) -> None:
    """A tree that has a finished run, rejected or not, is judged again from what is stored."""
    hosted.branch("retrain")
    hosted.code("two")
    hosted.commit("retrain")
    key = hosted.only("retrain", registry).key
    assert key is not None
    run = registry.create_run(MODEL, "tiny", {"key": key})
    assert hosted.only("retrain", registry).action == "train"  # a run that was cut off does not count

    registry.tag_run(run.run_id, {"complete": "true"})

    item = hosted.only("retrain", registry)
    assert (item.action, item.run_id) == ("judge", run.run_id)


def test_a_shallow_clone_is_one_sentence(hosted: Hosted, registry: Registry, tmp_path: Path) -> None:
    """Where history is cut off, the sentence says how to fetch it."""
    hosted.commit("more")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", hosted.path.as_uri(), str(shallow)], check=True)

    with pytest.raises(PromotionError, match=r"shallow.*git fetch --unshallow"):
        classify(Repo(shallow), registry, Change(base="HEAD", merge="HEAD", head="HEAD"))


WITH_DATES = "as_of: 2026-03-01\ntrain_days: 20\nvalidation_days: 10\nseed: 0\n"


def asks(hosted: Hosted, branch: str, *lines: str, allowed: str | None = None) -> None:
    """Commit a model.yaml with these lines on a new branch, and labels that the branch's own promotion.yaml allows."""
    hosted.branch(branch)
    hosted.write(f"models/{MODEL}/model.yaml", WITH_DATES + "".join(f"{line}\n" for line in lines))
    if allowed is not None:
        hosted.write("promotion.yaml", f"runners: [{allowed}]\n" + POLICY)
    hosted.commit(branch)


def test_a_model_asks_for_a_runner_that_the_base_allows(hosted: Hosted, registry: Registry) -> None:
    """The label and the minutes of its own; one that the pull request itself allows is refused with its line."""
    hosted.write("promotion.yaml", "runners: [gpu-large, big]\n" + POLICY)
    hosted.commit("allowed")
    asks(hosted, "fits", "runs_on: big", "timeout_minutes: 600")
    asks(hosted, "time", "timeout_minutes: 5")
    asks(hosted, "other", "runs_on: self-hosted", allowed="gpu-large, big, self-hosted")

    plan = hosted.plan("other", registry)

    assert hosted.only("fits", registry).runner == Runner(runs_on="big", timeout_minutes=600)
    assert hosted.only("time", registry).runner == Runner(timeout_minutes=5)
    assert (plan.models[0].action, plan.models[0].runner) == ("refuse", None)
    assert (
        f"models/{MODEL}/model.yaml:5: `runs_on: self-hosted` is not among `runners` of the base's promotion.yaml, "
        "which allows gpu-large, big; leave the line out, or add the label there in a pull request of its own"
    ) in plan.refusals[0]


def test_no_label_stops_a_rollback(hosted: Hosted, registry: Registry) -> None:
    """The runner is gone from `runners` since; what comes back answers where the workflow says."""
    hosted.write("promotion.yaml", "runners: [old]\n" + POLICY)
    hosted.write(f"models/{MODEL}/model.yaml", WITH_DATES + "runs_on: old\n")
    one = hosted.pin(1)
    hosted.commit("first champion")
    assert one is not None
    was_champion(registry, one, hosted)
    hosted.code("two")
    hosted.pin(2)
    promoted = hosted.commit("second champion")
    hosted.write("promotion.yaml", (hosted.path / "promotion.yaml").read_text().replace("runners: [old]\n", ""))
    hosted.commit("the runner is gone")
    hosted.revert(promoted, "squash", "undo")

    item = hosted.only("undo", registry)

    assert (item.action, item.runner) == ("verify", None)


def test_a_first_promotion_yaml_says_what_it_allows(hosted: Hosted, registry: Registry) -> None:
    """Where the base has none, nobody could have allowed anything before."""
    hosted.run("rm", "--quiet", "promotion.yaml")
    hosted.commit("nothing yet")
    asks(hosted, "first", "runs_on: big", allowed="big")

    assert hosted.only("first", registry).runner == Runner(runs_on="big")
