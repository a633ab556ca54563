"""The workflow files as text: what act does not evaluate, held to exact tables, and three checkers."""

import argparse
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from promotion.github.secrets import read_names

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
TOOLS = (ROOT / ".tools" / "bin", ROOT / ".tools" / "checkers" / "bin", Path(sys.executable).parent)
LOGIN = {f"MLFLOW_TRACKING_{part}" for part in ("USERNAME", "PASSWORD", "TOKEN")} | {"DATABRICKS_TOKEN"}
VARIABLES = {"MLFLOW_TRACKING_URI", "DATABRICKS_HOST"}
CHECKOUT = "actions/checkout"
# what other repositories call, and the jobs of it that check scripts out
CALLED = {
    "retrain": ("prepare", "judge"),
    "promote": ("promote", "override", "history"),
    "drift": ("drift",),
    "schedule": ("schedule",),
    "watch": ("prepare", "judge"),
    "pages": ("history",),
}
# whose scripts run: the called commit's, in the repository itself its production branch's; nothing else decides it
SCRIPTS = {
    "repository": "${{ inputs.scripts_repository || job.workflow_repository || github.repository }}",
    "ref": "${{ inputs.scripts_ref || job.workflow_repository != github.repository && job.workflow_sha || "
    "format('refs/heads/{0}', inputs.branch || 'main') }}",
    "token": "${{ secrets.SCRIPTS_TOKEN || github.token }}",
    "path": "trusted",
    "persist-credentials": False,
}
FETCHING = {"SCRIPTS_TOKEN", "token"}

# what each job may touch; a change of this table is a change of who is trusted
PERMISSIONS = {
    ("retrain", "prepare"): {"contents": "read", "pull-requests": "read"},
    ("retrain", "train"): {},
    ("retrain", "answer"): {},
    ("retrain", "score"): {},
    ("retrain", "judge"): {"contents": "write", "pull-requests": "write", "statuses": "write"},
    ("retrain", "promotion"): {},
    ("promote", "promote"): {"contents": "read", "pull-requests": "read"},
    ("promote", "override"): {"contents": "write"},
    ("promote", "history"): {"contents": "read"},
    ("watch", "prepare"): {"contents": "read"},
    ("watch", "score"): {},
    ("watch", "judge"): {"contents": "write", "pull-requests": "write", "actions": "write", "issues": "write"},
    ("pages", "history"): {"contents": "read"},
    ("pages", "deploy"): {"pages": "write", "id-token": "write"},
    ("drift", "drift"): {"contents": "read", "actions": "write", "issues": "write", "pull-requests": "read"},
    ("schedule", "schedule"): {"contents": "write", "pull-requests": "write", "actions": "write"},
    ("ci", "test"): {"contents": "read"},
}
# the only steps that see a secret or the workflow's token, by what they run
CREDENTIALS = {
    **{(name, key, "Check out the scripts"): FETCHING for name, keys in CALLED.items() for key in keys},
    ("retrain", "prepare", "prepare.py"): LOGIN | {"token"},
    ("retrain", "judge", "prepare.py"): LOGIN | {"token"},
    ("retrain", "judge", "gate.py"): LOGIN,
    ("retrain", "judge", "pin.py"): {"token"},
    ("retrain", "judge", "report.py"): {"token"},
    ("promote", "promote", "promote.py"): LOGIN | {"token"},
    ("promote", "override", "promote.py"): LOGIN | {"token"},
    ("promote", "history", "promote.py"): LOGIN | {"token"},
    ("drift", "drift", "drift.py"): LOGIN | {"token"},
    ("watch", "prepare", "watch.py"): LOGIN | {"token"},
    ("watch", "judge", "watch.py"): LOGIN | {"token"},
    ("watch", "judge", "promote.py"): LOGIN | {"token"},
    ("pages", "history", "promote.py"): LOGIN | {"token"},
    ("schedule", "schedule", "retrain.py"): {"token"},
}
# the jobs that run where a model asks, and where in prepare's output that is
ASKED = {
    ("retrain", "train"): "matrix.",
    ("retrain", "answer"): "matrix.",
    ("retrain", "score"): "needs.prepare.outputs.score_",
    ("watch", "score"): "needs.prepare.outputs.score_",
}
RUNS_ON = "inputs.runs_on || vars.PROMOTION_RUNS_ON || 'ubuntu-latest'"
MINUTES = "inputs.timeout || vars.PROMOTION_TIMEOUT || '120'"
TRIGGERS = {
    "retrain": {"pull_request", "merge_group", "workflow_dispatch", "workflow_call"},
    "promote": {"push", "workflow_dispatch", "workflow_call"},
    "drift": {"schedule", "workflow_dispatch", "workflow_call"},
    "schedule": {"schedule", "workflow_dispatch", "workflow_call"},
    "watch": {"schedule", "workflow_dispatch", "workflow_call"},
    "pages": {"schedule", "workflow_dispatch", "workflow_call"},
    "ci": {"pull_request", "push"},
}


def workflow(name: str) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    found = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    found["on"] = found.pop(True)
    return found


WORKFLOWS = {name: workflow(name) for name in TRIGGERS}
JOBS = [(name, key, job) for name, found in WORKFLOWS.items() for key, job in found["jobs"].items()]
STEPS = [(name, key, step) for name, key, job in JOBS for step in job["steps"]]
RUNS = [(name, key, step) for name, key, step in STEPS if "run" in step]


def test_these_seven_and_no_other() -> None:
    """A workflow that this table does not know is one that nobody looked at."""
    assert {path.stem for path in FOLDER.iterdir()} == set(TRIGGERS)


@pytest.mark.parametrize("name", TRIGGERS)
def test_each_starts_on_what_the_design_says(name: str) -> None:
    """No trigger gives a fork's pull request credentials, and no path filter leaves the required check pending."""
    on = WORKFLOWS[name]["on"]

    assert set(on) == TRIGGERS[name]
    assert not [event for event, how in on.items() if isinstance(how, dict) and {"paths", "paths-ignore"} & set(how)]


def test_pushes_count_on_main_only() -> None:
    """promote.yml runs for main; whatever else starts it is stopped by the job's condition and its environment."""
    assert WORKFLOWS["promote"]["on"]["push"] == {"branches": ["main"]}
    main = "github.ref == format('refs/heads/{0}', inputs.branch || 'main')"
    assert {(name, key): job["if"] for name, key, job in JOBS if name not in ("retrain", "ci")} == {
        ("promote", "promote"): f"{main} && !inputs.model",
        ("promote", "override"): f"{main} && inputs.model",
        ("drift", "drift"): main,
        ("schedule", "schedule"): main,
        ("promote", "history"): f"${{{{ !cancelled() && {main} }}}}",
        ("watch", "prepare"): main,
        ("watch", "score"): "needs.prepare.outputs.models != '[]'",
        ("watch", "judge"): "${{ !cancelled() && needs.prepare.result == 'success' }}",
        ("pages", "history"): f"{main} && vars.PROMOTION_PAGES == 'true'",
        ("pages", "deploy"): "needs.history.result == 'success'",
    }


def test_nothing_is_granted_on_top_and_each_job_gets_exactly_this() -> None:
    """`permissions: {}` for the workflow, and the table's grants by job."""
    assert all(found["permissions"] == {} for found in WORKFLOWS.values())
    assert {(name, key): job["permissions"] for name, key, job in JOBS} == PERMISSIONS


def test_every_grant_says_what_it_is_for() -> None:
    """A comment stands behind each permission."""
    lines = [line for path in FOLDER.glob("*.yml") for line in path.read_text().splitlines()]
    grants = [line for line in lines if re.match(r" {6}[a-z-]+: (read|write)\b", line)]

    assert len(grants) == sum(len(found) for found in PERMISSIONS.values())
    assert [line for line in grants if not re.search(r" # \w+ \w+", line)] == []


def test_only_these_steps_see_a_secret_or_the_token() -> None:
    """Secrets are given to steps, never to a whole job or workflow, and by this table."""
    seen = {}
    for name, key, step in STEPS:
        text = json.dumps(step)
        used = set(re.findall(r"secrets\.(\w+)", text)) | ({"token"} if "github.token" in text else set())
        if used:
            seen[name, key, re.findall(r"(\w+\.py)", step["run"])[0] if "run" in step else step["name"]] = used
    outside = [{k: v for k, v in job.items() if k != "steps"} for _, _, job in JOBS]
    outside += [{k: v for k, v in found.items() if k not in ("jobs", "on")} for found in WORKFLOWS.values()]

    assert seen == CREDENTIALS
    assert not re.search(r"secrets\b|github\.token", json.dumps(outside))


def test_model_code_runs_where_nothing_is_held() -> None:
    """train.py and score.py are called in four jobs only, which have no permission, secret or environment."""
    where = {(name, key) for name, key, step in RUNS if re.search(r"\b(train|score)\.py", step["run"])}
    jobs = {f"{name} {key}": WORKFLOWS[name]["jobs"][key] for name, key in where}

    assert where == {("retrain", "train"), ("retrain", "answer"), ("retrain", "score"), ("watch", "score")}
    assert all(job["permissions"] == {} and "environment" not in job for job in jobs.values())
    assert not re.search(r"secrets|github\.token|vars\.(?!PROMOTION_(RUNS_ON|TIMEOUT)\b)", json.dumps(jobs))


def test_the_candidates_code_reaches_neither_the_champions_job_nor_its_own_answers() -> None:
    """The order is train, answer, score, judge; each runs one side, and no later job runs the candidate's source."""
    jobs = WORKFLOWS["retrain"]["jobs"]
    calls = {
        key: re.findall(r"(train|score)\.py(?: --side (\w+))?", json.dumps(jobs[key]["steps"]))
        for key in ("train", "answer", "score")
    }

    assert [jobs[key]["needs"] for key in ("answer", "score", "judge")] == [
        ["prepare", "train"],
        ["prepare", "train", "answer"],
        ["prepare", "train", "answer", "score"],
    ]
    planned = "needs.prepare.result == 'success' && needs.prepare.outputs.models != '[]'"
    assert [jobs[key]["if"] for key in ("answer", "score")] == [f"${{{{ !cancelled() && {planned} }}}}"] * 2
    assert calls == {"train": [("train", "")], "answer": [("score", "candidate")], "score": [("score", "champion")]}


def test_what_later_jobs_believe_is_taken_by_its_id() -> None:
    """A job that runs the candidate's code can replace an artifact of any name, but not the id that a job put out."""
    jobs = WORKFLOWS["retrain"]["jobs"]
    downloads = {
        key: [step["with"] for step in jobs[key]["steps"] if "download-artifact" in step.get("uses", "")]
        for key in jobs
    }
    prepared = {"artifact-ids": "${{ needs.prepare.outputs.prepared }}"}

    assert [downloads[key][0] for key in ("train", "answer", "score")] == [prepared] * 3
    assert downloads["judge"] == [
        {"pattern": "trained-*", "path": "incoming"},
        {"artifact-ids": "${{ needs.score.outputs.scored }}", "path": "incoming/scored"},
    ]
    watched = [
        step["with"]
        for key in ("score", "judge")
        for step in WORKFLOWS["watch"]["jobs"][key]["steps"]
        if "download-artifact" in step.get("uses", "")
    ]
    assert watched == [prepared, downloads["judge"][1]]
    for name, key, output in itertools.product(("retrain", "watch"), ("prepare", "score"), ("prepared", "scored")):
        if output[:5] != key[:5]:
            continue
        jobs = WORKFLOWS[name]["jobs"]
        (step,) = [step for step in jobs[key]["steps"] if step.get("id") == "hand-over"]
        assert jobs[key]["outputs"][output] == "${{ steps.hand-over.outputs.artifact-id }}"
        assert "upload-artifact" in step["uses"]


def test_nothing_is_pinned_unless_every_job_before_ended_well() -> None:
    """A job that died before it handed over leaves what an earlier one may have put under its name."""
    (step,) = [step for step in WORKFLOWS["retrain"]["jobs"]["judge"]["steps"] if "pin.py" in step.get("run", "")]

    assert step["if"] == " && ".join(f"needs.{key}.result == 'success'" for key in ("train", "answer", "score"))


def test_scripts_of_a_pull_request_never_run_beside_credentials() -> None:
    """Whatever runs comes from `trusted`, which one rule fills: where it is decided, and the same in every job."""
    calls = [call for _, _, step in RUNS for call in re.findall(r"python (\S+)", step["run"])]
    jobs = {(name, key) for name, key, step in RUNS if "python " in step["run"]}
    own = {(name, key): step["with"] for name, key, step in STEPS if step.get("with", {}).get("path") == "trusted"}
    handed = {
        ("retrain", "train"),
        ("retrain", "answer"),
        ("retrain", "score"),
        ("watch", "score"),
    }  # what prepare checked out, by its id

    assert calls and all(call.startswith("trusted/scripts/") for call in calls)
    assert own == dict.fromkeys(jobs - handed, SCRIPTS)


@pytest.mark.parametrize("name", CALLED)
def test_each_can_be_called_with_what_adopters_change(name: str) -> None:
    """The inputs are the same everywhere; each secret that a step reads is declared, and none is required."""
    call = WORKFLOWS[name]["on"]["workflow_call"]
    dispatch = WORKFLOWS[name]["on"]["workflow_dispatch"] or {}
    common = {"root", "branch", "runs_on", "python", "scripts_repository", "scripts_ref", *dispatch.get("inputs", ())}
    text = json.dumps(WORKFLOWS[name]["jobs"])

    assert set(call["inputs"]) == common | ({"timeout"} if name in ("retrain", "watch") else set())
    assert all(item["type"] == "string" and not item.get("required") for item in call["inputs"].values())
    assert set(call["secrets"]) == set(re.findall(r"secrets\.(\w+)", text))
    assert not any(item["required"] for item in call["secrets"].values())


def test_the_judge_plans_again() -> None:
    """Nothing but candidates and scores comes from jobs that ran model code: the judge makes its own plan."""
    steps = WORKFLOWS["retrain"]["jobs"]["judge"]["steps"]

    assert [bool(re.search(r"prepare\.py", step.get("run", ""))) for step in steps].count(True) == 1


def test_production_is_one_workflow_that_installs_little() -> None:
    """Only promote.yml uses the environment `production`, and it installs requirements/promote.txt alone."""
    environments = {(name, key): job["environment"] for name, key, job in JOBS if "environment" in job}
    locks = {
        (name, step["with"]["lock"])
        for name, _, step in STEPS
        if step.get("uses", "").endswith("/.github/actions/setup")
    }
    names = read_names(FOLDER)

    assert environments == {
        ("promote", "promote"): "production",
        ("promote", "override"): "production",
        ("pages", "deploy"): "github-pages",
    }
    assert locks == {
        ("retrain", "judge"),
        ("retrain", "train"),
        ("promote", "promote"),
        ("drift", "promote"),
        ("schedule", "judge"),
        ("promote", "judge"),  # its page of the history, in a job without the environment
        ("watch", "judge"),
        ("watch", "train"),
        ("pages", "judge"),
    }
    assert names["production"].secrets == LOGIN | {"SCRIPTS_TOKEN"}
    assert names["production"].variables == VARIABLES | {"PROMOTION_RUNS_ON"}


@pytest.mark.parametrize("verb", ["promote", "drift"])
def test_what_runs_with_little_installed_imports_little(verb: str) -> None:
    """The verb answers --help, and reads a broken registry's address, where nothing beyond promote.txt exists."""
    if not (ROOT / "scripts" / f"{verb}.py").is_file():
        pytest.skip(f"scripts/{verb}.py is not there")
    heavy = ["numpy", "pandas", "sklearn", "scipy", "pyarrow", "matplotlib", "jinja2", "mlflow.sklearn", "skops"]
    block = f"import sys; sys.modules.update(dict.fromkeys({heavy})); sys.path.insert(0, 'scripts')"
    code = f"{block}; import {verb}; raise SystemExit({verb}.main(['--help']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-1500:]


def test_runs_that_write_do_so_one_at_a_time_and_are_never_cut() -> None:
    """One run a pull request, one promote, one drift, one schedule; only ci.yml is cancelled by a newer run."""
    found = {
        name: (item["concurrency"]["group"], item["concurrency"]["cancel-in-progress"])
        for name, item in WORKFLOWS.items()
    }

    assert {name: cut for name, (_, cut) in found.items()} == {name: name == "ci" for name in TRIGGERS}
    assert {name: found[name][0] for name in ("promote", "drift", "schedule", "watch", "pages")} == {
        name: name for name in ("promote", "drift", "schedule", "watch", "pages")
    }
    assert "github.event.pull_request.number" in found["retrain"][0] and "inputs.pull_request" in found["retrain"][0]


def test_every_job_has_an_end() -> None:
    """A hung job does not hold a concurrency group for six hours."""
    chosen = {(name, key) for name, key, job in JOBS if not isinstance(job["timeout-minutes"], int)}

    assert chosen == set(ASKED)
    assert all(1 <= job["timeout-minutes"] <= 60 for name, key, job in JOBS if (name, key) not in chosen)


def test_only_what_runs_model_code_runs_where_a_model_asks() -> None:
    """In four jobs, by prepare's word; what holds credentials runs where the workflow says."""
    for name, key, job in JOBS:
        place = ASKED.get((name, key))
        if place is None:
            assert job["runs-on"] in (f"${{{{ {RUNS_ON} }}}}", "ubuntu-latest")
            continue
        assert job["runs-on"] == f"${{{{ {place}runs_on || {RUNS_ON} }}}}"
        assert job["timeout-minutes"] == f"${{{{ fromJSON({place}timeout || {MINUTES}) }}}}"
    for name, output in itertools.product(("retrain", "watch"), ("score_runs_on", "score_timeout")):
        outputs = WORKFLOWS[name]["jobs"]["prepare"]["outputs"]
        assert outputs[output] == f"${{{{ steps.plan.outputs.{output} }}}}"


def test_actions_are_pinned_by_commit_and_named_by_version() -> None:
    """A tag can be moved; a commit cannot. Our own action is a path."""
    for path in [*FOLDER.glob("*.yml"), *(ROOT / ".github/actions").rglob("action.yml")]:
        for line in re.findall(r"^ +(?:- )?uses: (.*)", path.read_text(), re.M):
            assert re.fullmatch(
                r"(actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./trusted/\.github/actions/setup)", line
            )


def test_no_checkout_leaves_the_token_behind() -> None:
    """What pushes or fetches gets the token in its step's environment."""
    checkouts = [step["with"] for _, _, step in STEPS if step.get("uses", "").startswith(CHECKOUT)]

    assert checkouts and all(found["persist-credentials"] is False for found in checkouts)


def test_no_shell_contains_an_expression() -> None:
    """What a contributor chooses reaches a shell as an environment variable or not at all."""
    texts = [step["run"] for _, _, step in RUNS]
    action = yaml.safe_load((ROOT / ".github/actions/setup/action.yml").read_text())
    texts += [step["run"] for step in action["runs"]["steps"]]

    assert [text for text in texts if "${{" in text] == []


@pytest.mark.parametrize("answers", ["empty", "filled"])
def test_every_run_line_is_one_that_its_verb_understands(answers: str, tmp_path: Path) -> None:
    """Each `run:` is executed with a `python` that only writes its arguments down; the real parsers read them."""
    calls = list(_calls(tmp_path, "" if answers == "empty" else "some thing"))

    assert len(calls) >= 12
    for script, arguments in calls:
        path = ROOT / script.removeprefix("trusted/")
        if not path.is_file() and path.name == "drift.py":
            continue
        assert path.is_file(), script
        _parse(path.stem, arguments)


def _calls(scratch: Path, value: str) -> Iterator[tuple[str, list[str]]]:
    """(script, arguments) of each python that the workflows call, as bash passes them."""
    (scratch / "bin").mkdir()
    for name in ("python", "git", "make"):
        stub = scratch / "bin" / name
        recorder = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[2:]) + chr(10))"
        stub.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{recorder}" {scratch}/{name} "$@"\n')
        stub.chmod(0o755)
    for _, key, step in RUNS:
        if key == "promotion":
            continue
        env = {"PATH": f"{scratch / 'bin'}:/usr/bin:/bin", **dict.fromkeys(step.get("env", {}), value)}
        env |= {"MODEL": "m", "VERSION": "7", "BRANCH": "main", "ROOT": "."}
        subprocess.run(["bash", "-e", "-c", step["run"]], env=env, check=True, cwd=scratch)
    for line in (scratch / "python").read_text().splitlines():
        script, *arguments = json.loads(line)
        yield script, arguments


class _Understood(BaseException):
    """The arguments were parsed."""


def _parse(verb: str, arguments: list[str]) -> None:
    parse = argparse.ArgumentParser.parse_args

    def once(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        parse(self, args, namespace)
        raise _Understood

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", once)
        with pytest.raises(_Understood):
            importlib.import_module(verb).main(arguments)


def test_the_required_check_is_red_on_everything_but_success() -> None:
    """All results that GitHub knows, in every combination: only success all the way, or nothing to train, is green."""
    job = WORKFLOWS["retrain"]["jobs"]["promotion"]
    (step,) = job["steps"]
    results = ("success", "failure", "cancelled", "skipped", "")
    fine = {"PREPARE": "success", "JUDGE": "success", "MERGEABLE": "true", "MODELS": '["m"]'}
    fine |= dict.fromkeys(("TRAIN", "ANSWER", "SCORE"), "success")
    nothing = {**fine, "MODELS": "[]", **dict.fromkeys(("TRAIN", "ANSWER", "SCORE"), "skipped")}
    tried = [fine, nothing, {**fine, "MODELS": "[]"}]
    tried += [{**start, key: value} for start in (fine, nothing) for key in fine for value in (*results, "[]", "false")]
    tried += [{**fine, "TRAIN": a, "ANSWER": b, "SCORE": c} for a, b, c in itertools.product(results, repeat=3)]
    green = []
    for values in tried:
        done = subprocess.run(["bash", "-e", "-c", step["run"]], env=values, capture_output=True, check=False)
        if done.returncode == 0 and values not in green:
            green.append(values)

    assert job["if"] == "always()"
    assert job["name"] == "${{ github.event_name == 'workflow_dispatch' && 'dispatched' || 'promotion' }}"
    assert job["needs"] == ["prepare", "train", "answer", "score", "judge"]
    assert [{**values, "MODELS": fine["MODELS"]} for values in green if values["TRAIN"] == "success"] == [fine] * sum(
        values["TRAIN"] == "success" for values in green
    )
    assert [values for values in green if values["TRAIN"] != "success"] == [nothing]


def test_owners_guard_policy_machinery_and_what_is_measured() -> None:
    """CODEOWNERS names promotion.yaml, .github, the scripts and their locks, and models/ as a whole."""
    text = (ROOT / ".github" / "CODEOWNERS").read_text()

    assert all(
        re.search(rf"^{re.escape(path)} @", text, re.M)
        for path in ("/promotion.yaml", "/.github/", "/models/", "/scripts/", "/requirements/")
    )


def test_the_template_asks_for_what_retrain_py_knows() -> None:
    """Each field of the retrain pull request's template is one that retrain.py fills."""
    text = (ROOT / ".github/PULL_REQUEST_TEMPLATE/retrain.md").read_text()

    assert set(re.findall(r"\{\{([a-z ]+)\}\}", text)) <= {"model", "headline", "as of", "windows", "champion"}


def _tool(name: str) -> str:
    found = next((str(folder / name) for folder in TOOLS if (folder / name).is_file()), None) or shutil.which(name)
    if found is None:
        assert not os.environ.get("WORKFLOW_TOOLS"), f"`make test-workflows` should have installed {name}"
        pytest.skip(f"{name} is not installed; `make test-workflows` installs it")
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["actionlint"],
        ["zizmor", "--persona", "auditor", "--offline", "--no-progress", ".github"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *sorted(map(str, FOLDER.glob("*.yml")))],
        ["check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-actions", ".github/actions/setup/action.yml"],
    ],
    ids=lambda command: " ".join(command[:3:2]),
)
def test_checkers_find_nothing(command: list[str]) -> None:
    """actionlint, zizmor at its strictest, and GitHub's own schemas."""
    done = subprocess.run([_tool(command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_ignored_finding_says_why() -> None:
    """An inline ignore carries words after it, and a disabled rule a comment inside."""
    lines = [line for path in (ROOT / ".github").rglob("*.yml") for line in path.read_text().splitlines()]
    inline = [line for line in lines if "zizmor: ignore" in line]
    rules = (ROOT / ".github" / "zizmor.yml").read_text().split("rules:\n")[1]

    assert inline and all(re.search(r"ignore\[[a-z-]+\] \w+ \w+ \w+", line) for line in inline)
    assert len(re.findall(r"^  [a-z-]+:$", rules, re.M)) == len(re.findall(r"^  [a-z-]+:\n    # ", rules, re.M))
