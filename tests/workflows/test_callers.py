"""The callers that init.py writes: valid, granted what the called jobs ask for, and with the required check."""

import subprocess
from pathlib import Path

import pytest
import yaml
from promotion.setup.callers import VERBS, Ours, callers, texts

from tests.workflows.test_files import CALLED, WORKFLOWS, _tool

COMMIT = "0123456789" * 4
CASES = {
    "top": (Ours("acme/promotion", COMMIT, "v1.2.3"), "", "main"),
    "folder on a server of one's own": (Ours("acme/promotion", COMMIT, "v1.2.3", True), "services/churn", "trunk"),
}


@pytest.fixture(params=CASES)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A repository with the callers of one case."""
    for path, text in texts(*CASES[request.param]).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def read(repository: Path, verb: str) -> dict:
    """One caller."""
    return yaml.safe_load((repository / ".github/workflows" / f"promotion-{verb}.yml").read_text())


def test_there_is_one_for_each_workflow_that_can_be_called(repository: Path) -> None:
    """All call the one commit, and are found again by what they call."""
    assert set(VERBS) == set(CALLED)
    assert {(one.verb, one.commit, one.version) for one in callers(repository)} == {
        (verb, COMMIT, "v1.2.3") for verb in VERBS
    }
    assert len({(one.root, one.scripts_ref) for one in callers(repository)}) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_caller_grants_and_passes_what_is_declared(repository: Path, verb: str) -> None:
    """Every permission of every called job, and no more; every secret by its name; no input that is not there."""
    job, called = read(repository, verb)["jobs"][verb], WORKFLOWS[verb]
    asked: dict[str, str] = {}
    for one in called["jobs"].values():
        for name, level in one["permissions"].items():
            asked[name] = level if asked.get(name) != "write" else "write"
    declared = called["on"]["workflow_call"]

    assert job["permissions"] == asked
    assert job["secrets"] == {name: f"${{{{ secrets.{name} }}}}" for name in declared["secrets"]}
    assert set(job.get("with", {})) <= set(declared["inputs"])
    assert set((called["on"]["workflow_dispatch"] or {}).get("inputs", ())) <= set(job.get("with", {}))


@pytest.mark.parametrize("verb", VERBS)
def test_a_caller_starts_on_what_the_called_one_does(repository: Path, verb: str) -> None:
    """The same events, types and inputs, on its own production branch."""
    own = dict(read(repository, verb)[True])
    ours = {name: how for name, how in WORKFLOWS[verb]["on"].items() if name != "workflow_call"}
    branch = next(iter({tuple(how.pop("branches")) for how in own.values() if how and "branches" in how}), None)
    ours = yaml.safe_load(yaml.safe_dump(ours))
    for how in ours.values():
        if isinstance(how, dict):
            how.pop("branches", None)

    assert {name: how or None for name, how in own.items()} == {name: how or None for name, how in ours.items()}
    assert branch in (None, ("main",), ("trunk",))


@pytest.mark.parametrize("result", ["success", "failure", "cancelled", "skipped", ""])
def test_the_required_check_has_the_same_name_and_is_green_on_success_alone(repository: Path, result: str) -> None:
    """`promotion`, as in this repository; a dispatch's is no check."""
    job = read(repository, "retrain")["jobs"]["promotion"]
    (step,) = job["steps"]
    done = subprocess.run(["bash", "-e", "-c", step["run"]], env={"RESULT": result}, check=False)

    assert job["name"] == WORKFLOWS["retrain"]["jobs"]["promotion"]["name"]
    assert (job["if"], job["needs"], job["permissions"]) == ("always()", "retrain", {})
    assert step["env"] == {"RESULT": "${{ needs.retrain.result }}"}
    assert (done.returncode == 0) == (result == "success")


def test_a_callers_concurrency_is_not_the_called_ones(repository: Path) -> None:
    """A run that waits for itself would never end."""
    assert read(repository, "retrain")["concurrency"]["group"] != WORKFLOWS["retrain"]["concurrency"]["group"]


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint"],
        ["zizmor", "--pedantic", "--offline", "--no-progress", ".github"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
    ],
    ids=lambda command: command[0],
)
def test_checkers_find_nothing(repository: Path, command: list[str]) -> None:
    """As on our own."""
    files = [f".github/workflows/promotion-{verb}.yml" for verb in VERBS] if "jsonschema" in command[0] else []
    done = subprocess.run(
        [_tool(command[0]), *command[1:], *files], cwd=repository, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
