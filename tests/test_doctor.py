"""doctor.py: each setting that the invariant needs, missing on its own; nothing is changed."""

import copy
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import doctor
import pytest
from promotion import __version__
from promotion.git.repo import Repo
from promotion.github.pulls import host_of
from promotion.github.secrets import Names, lacking, read_names
from promotion.github.settings import MISSING, OK, UNKNOWN
from promotion.setup.callers import VERBS, Ours, texts

from tests.support.github import shapes
from tests.support.github.fixtures import problems
from tests.support.github.standin import StandIn

PROJECT = Path(__file__).resolve().parents[1]
JOB = """\
on: workflow_dispatch
permissions: {{}}
jobs:
  work:
    runs-on: ubuntu-latest
    {environment}
    env:
      MLFLOW_TRACKING_URI: ${{{{ vars.MLFLOW_TRACKING_URI }}}}
      MLFLOW_TRACKING_TOKEN: ${{{{ secrets.MLFLOW_TRACKING_TOKEN }}}}
      MLFLOW_TRACKING_USERNAME: ${{{{ secrets.MLFLOW_TRACKING_USERNAME }}}}
      MLFLOW_TRACKING_PASSWORD: ${{{{ secrets.MLFLOW_TRACKING_PASSWORD }}}}
      APP_KEY: ${{{{ secrets.PROMOTION_APP_KEY }}}}
      GITHUB_TOKEN: ${{{{ secrets.GITHUB_TOKEN }}}}
    steps: []
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with promotion.yaml, its models and the five workflows, and a registry file."""
    root = tmp_path / "checkout"
    shutil.copytree(PROJECT / "models", root / "models", ignore=shutil.ignore_patterns("__pycache__", ".data"))
    shutil.copy(PROJECT / "promotion.yaml", root)
    folder = root / ".github" / "workflows"
    folder.mkdir(parents=True)
    package = root / "scripts" / "promotion"
    package.mkdir(parents=True)
    shutil.copy(PROJECT / "scripts" / "promotion" / "__init__.py", package)
    (root / ".github" / "CODEOWNERS").write_text("* @octo-org/owners\n")
    for name in doctor.WORKFLOWS:
        environment = "environment: {name: production}" if name == "promote.yml" else ""
        (folder / name).write_text(JOB.format(environment=environment))
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "first")
    git(root, "remote", "add", "origin", "git@github.com:octo-org/fraud.git")
    sqlite3.connect(tmp_path / "mlflow.db").close()
    return root


def git(root: Path, *args: str) -> None:
    """Run git in a folder."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "-C", str(root), *args], check=True, capture_output=True)


@pytest.fixture
def job(github: StandIn, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The environment of an administrator's shell, for a repository that is set up as the README says."""
    for name in ("GH_TOKEN", "GITHUB_REPOSITORY", "PROMOTION_LOGIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    monkeypatch.setenv("GITHUB_TOKEN", "t-actions")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout.parent / 'mlflow.db'}")
    return github


def run(checkout: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the state of each check by name, and all that was printed."""
    code = doctor.main(["--repo", str(checkout), *args])
    output = capsys.readouterr()
    states = {}
    for line in output.out.splitlines():
        state, name = line[:8].strip(), line[9:].split("  ")[0].strip()
        if state in (OK, MISSING, UNKNOWN):
            states[name] = state
    return code, states, output.out + output.err


def test_repository_that_is_set_up(job: StandIn, checkout: Path, capsys: Any) -> None:
    """Everything is ok, the exit code is 0, and not one request writes."""
    before = copy.deepcopy(job.hub.state)
    code, states, text = run(checkout, capsys)

    assert set(states.values()) == {OK}, text
    assert code == 0
    assert len(states) >= 18
    assert {request.method for request in job.requests} == {"GET"}
    assert job.hub.state == before
    assert "PROMOTION_APP_KEY" in text
    assert "t-actions" not in text


def no_required_check(settings: Any) -> None:
    settings["rules"] = shapes.rules(checks=("ci", "a\n::error::b"))


def not_up_to_date(settings: Any) -> None:
    settings["rules"] = shapes.rules(strict=False)


def anybody_posts_the_check(settings: Any) -> None:
    settings["rules"] = shapes.rules(app=None)


def another_app_posts_the_check(settings: Any) -> None:
    settings["rules"] = shapes.rules(app=4711)


def no_rules(settings: Any) -> None:
    settings["rules"] = []


def rule(settings: Any, kind: str) -> Any:
    return next(entry for entry in settings["rules"] if entry["type"] == kind)


def rebase_in_repository_and_rules(settings: Any) -> None:
    settings["repo"]["allow_rebase_merge"] = True
    rule(settings, "pull_request")["parameters"]["allowed_merge_methods"] = ["merge", "rebase"]


def owners_do_not_review(settings: Any) -> None:
    rule(settings, "pull_request")["parameters"]["require_code_owner_review"] = False


def force_pushes(settings: Any) -> None:
    settings["rules"] = [entry for entry in settings["rules"] if entry["type"] != "non_fast_forward"]


def schedule_fell_asleep(settings: Any) -> None:
    settings["workflow_states"][".github/workflows/drift.yml"] = "disabled_inactivity"


def set_path(path: str, value: Any) -> Any:
    """A change of one setting, by dotted path."""

    def change(settings: Any) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            settings = settings[parent]
        settings[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (no_required_check, "required check"),
        (anybody_posts_the_check, "required check's source"),
        (another_app_posts_the_check, "required check's source"),
        (not_up_to_date, "up to date"),
        (no_rules, "pull requests only"),
        (rebase_in_repository_and_rules, "merge methods"),
        (owners_do_not_review, "review by code owners"),
        (force_pushes, "no force pushes"),
        (set_path("repo.has_issues", False), "issues"),
        (set_path("actions.enabled", False), "actions"),
        (set_path("workflow.can_approve_pull_request_reviews", False), "workflow token"),
        (set_path("workflow.default_workflow_permissions", "write"), "workflow token's default"),
        (set_path("environments", {}), "environment production"),
        (set_path("environments.production.branches", None), "environment production"),
        (set_path("environments.production.branches", ["main", "release/*"]), "environment production"),
        (set_path("environments.production.secrets", []), "secrets of the environment production"),
        (set_path("variables", []), "secrets of the repository"),
        (set_path("secrets", ["MLFLOW_TRACKING_USERNAME"]), "secrets of the repository"),
        (set_path("codeowners_errors", None), "code owners"),
        (
            set_path("codeowners_errors", [{"line": 3, "column": 1, "kind": "Unknown owner", "path": "CODEOWNERS"}]),
            "code owners",
        ),
        (set_path("workflow_states", {}), "workflows on GitHub"),
        (schedule_fell_asleep, "workflows on GitHub"),
    ],
)
def test_each_missing_setting_is_named(job: StandIn, checkout: Path, capsys: Any, change: Any, name: str) -> None:
    """One setting wrong: its line says missing with what to do, and the exit code is 1."""
    change(job.hub.state["settings"])
    code, states, text = run(checkout, capsys)

    assert states[name] == MISSING, text
    assert code == 1
    assert "\n::" not in text
    assert "  -> " in text


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (no_required_check, set()),
        (anybody_posts_the_check, set()),
        (another_app_posts_the_check, {"required check's source"}),  # somebody's own ruleset, which stays
        (no_rules, set()),
        (rebase_in_repository_and_rules, set()),
        (force_pushes, set()),
        (set_path("repo.has_issues", False), set()),
        (set_path("actions.enabled", False), set()),
        (set_path("workflow.can_approve_pull_request_reviews", False), set()),
        (set_path("workflow.default_workflow_permissions", "write"), set()),
        (set_path("environments", {}), {"secrets of the environment production"}),
        (set_path("environments.production.branches", ["release/*", "main", "x"]), set()),
        (set_path("secrets", []), {"secrets of the repository"}),
    ],
)
def test_fix_makes_what_it_says_and_the_second_time_nothing(
    job: StandIn, checkout: Path, capsys: Any, change: Any, left: set[str]
) -> None:
    """What the API allows is made, each thing said first; reviewers and other rulesets stay; secrets are a person's."""
    settings = job.hub.state["settings"]
    change(settings)
    code, states, text = run(checkout, capsys, "--fix")
    written = [request for request in job.requests if request.method != "GET"]
    after = copy.deepcopy(settings)
    run(checkout, capsys, "--fix")

    assert {name for name, state in states.items() if state == MISSING} == left, text
    assert code < 2, text
    assert (code == 0) == (not left)
    assert len(written) >= text.count("setting ") >= (0 if left == {"secrets of the repository"} else 1)
    assert settings == after
    assert [one["reviewers"] for name, one in settings["environments"].items() if not left] in ([True], [])
    assert problems(job.requests) == []


def test_fix_without_a_token_is_one_sentence(job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """It says what token it takes."""
    monkeypatch.delenv("GITHUB_TOKEN")
    code, _, text = run(checkout, capsys, "--fix")

    assert code == 2 and "--fix needs GITHUB_TOKEN: a token that may administer the repository" in text


def test_a_token_that_may_not_administer_changes_nothing(
    job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any
) -> None:
    """The first thing that it may not make ends it, by the permission's name."""
    job.hub.state["settings"]["repo"]["has_issues"] = False
    monkeypatch.setenv("GITHUB_TOKEN", job.hub.token("alice", {"contents": "read"}))
    code, _, text = run(checkout, capsys, "--fix")

    assert code == 2 and "cannot switch issues on" in text and "administration: write" in text
    assert job.hub.state["settings"]["repo"]["has_issues"] is False


@pytest.fixture
def called(checkout: Path) -> Path:
    """The checkout of somebody who only calls the workflows, for a folder of the repository."""
    shutil.rmtree(checkout / "scripts")
    shutil.rmtree(checkout / ".github" / "workflows")
    (checkout / "fraud").mkdir()
    for name in ("promotion.yaml", "models"):
        (checkout / name).rename(checkout / "fraud" / name)
    for path, text in texts(Ours("acme/promotion", "a" * 40, "v1.0.0", True), "fraud", "main").items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)
    return checkout


def test_callers_are_a_setup_of_their_own(job: StandIn, called: Path, capsys: Any) -> None:
    """Their files, what they hand on, and their release are looked at; nothing of ours need be there."""
    states_of = {f".github/workflows/promotion-{verb}.yml": "active" for verb in VERBS}
    job.hub.state["settings"]["workflow_states"] = states_of
    code, states, text = run(called / "fraud", capsys)

    assert code == 0 and set(states.values()) == {OK}, text
    assert "v1.0.0 of acme/promotion, which its workflows call" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("root: fraud", "root: other"), "promotes `other`"),
        (lambda text: text.replace(f"@{'a' * 40}", f"@{'b' * 40}"), "calls bbbbbbbbbbbb with scripts_ref aaaaaaaaaaaa"),
        (lambda text: "on: push\n", "nothing calls drift"),
    ],
)
def test_a_caller_that_does_not_fit(job: StandIn, called: Path, capsys: Any, change: Any, sentence: str) -> None:
    """Another folder, scripts of another commit than the workflow's, one that is gone."""
    path = called / ".github/workflows/promotion-drift.yml"
    path.write_text(change(path.read_text()))
    code, states, text = run(called / "fraud", capsys)

    assert code == 1 and states["workflows"] == MISSING
    assert sentence in text


def test_copied_files_that_would_be_red_are_named(job: StandIn, checkout: Path, capsys: Any) -> None:
    """ci.yml without what it runs, and owners that are nobody."""
    shutil.copy(PROJECT / ".github" / "workflows" / "ci.yml", checkout / ".github" / "workflows")
    shutil.copy(PROJECT / ".github" / "CODEOWNERS", checkout / ".github")
    code, states, text = run(checkout, capsys)

    assert code == 1 and (states["ci.yml"], states["CODEOWNERS"]) == (MISSING, MISSING)
    assert "it runs `make`, and there is no Makefile: red on the first push" in text
    assert "it names @your-org/model-owners, which is nobody" in text


def test_merge_queue_stands_for_up_to_date(job: StandIn, checkout: Path, capsys: Any) -> None:
    """With a merge queue nothing need be up to date, and its method counts."""
    job.hub.state["settings"]["rules"] = shapes.rules(strict=False, queue=True)
    job.hub.state["settings"]["repo"]["allow_rebase_merge"] = True
    code, _, text = run(checkout, capsys)

    assert code == 0, text


def test_branch_protection_counts_as_well_as_rulesets(job: StandIn, checkout: Path, capsys: Any) -> None:
    """The older branch protection with the same content is as good."""
    settings = job.hub.state["settings"]
    settings["rules"] = []
    settings["protection"] = {
        "required_status_checks": {
            "strict": True,
            "contexts": ["promotion"],
            "checks": [{"context": "promotion", "app_id": 15368}],
        },
        "required_pull_request_reviews": {"require_code_owner_reviews": True},
        "allow_force_pushes": {"enabled": False},
    }
    code, _, text = run(checkout, capsys)

    assert code == 0, text


def test_environment_for_protected_branches(job: StandIn, checkout: Path, capsys: Any) -> None:
    """`Protected branches only` is a restriction too."""
    job.hub.state["settings"]["environments"]["production"] |= {"protected": True, "branches": None}

    assert run(checkout, capsys)[0] == 0


def test_what_the_token_may_not_see_is_unknown(job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """With a plain reader's token the lines say unknown and name the permission; nothing is called missing."""
    monkeypatch.setenv("GITHUB_TOKEN", job.hub.token("alice", {"contents": "read"}))
    code, states, text = run(checkout, capsys)

    assert states["secrets of the repository"] == UNKNOWN
    assert states["workflow token"] == UNKNOWN
    assert states["environment production"] == UNKNOWN
    assert states["required check"] == OK
    assert "`administration: read`" in text
    assert MISSING not in states.values()
    assert code == 0


@pytest.mark.parametrize(
    "rules",
    [
        shapes.rules(checks=("other",)),
        shapes.rules(app=None),
        shapes.rules(strict=False),
        *([rule for rule in shapes.rules() if rule["type"] != kind] for kind in ("pull_request", "non_fast_forward")),
        [
            {**rule, "parameters": {**rule.get("parameters", {}), "require_code_owner_review": False}}
            for rule in shapes.rules()
        ],
    ],
    ids=["check", "source", "up to date", "pull requests", "force pushes", "owners"],
)
def test_what_rulesets_lack_may_be_where_the_token_does_not_see(
    job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any, rules: list[dict[str, Any]]
) -> None:
    """The older branch protection may ask for it: unknown to a reader, and missing to an administrator."""
    job.hub.state["settings"]["rules"] = rules
    job.validate = False
    seen = run(checkout, capsys)[1]
    monkeypatch.setenv("GITHUB_TOKEN", job.hub.token("alice", {"contents": "read"}))
    states = run(checkout, capsys)[1]

    assert MISSING in seen.values() and MISSING not in states.values()
    assert states["rules of main"] == UNKNOWN


def test_a_queue_is_as_good_as_up_to_date(job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """Nothing more is asked of the older branch protection, which a reader may not see."""
    job.hub.state["settings"]["rules"] = shapes.rules(strict=False, queue=True)
    monkeypatch.setenv("GITHUB_TOKEN", job.hub.token("alice", {"contents": "read"}))

    assert run(checkout, capsys)[1]["up to date"] == OK


def test_faults_of_the_api_are_unknown_not_missing(job: StandIn, checkout: Path, capsys: Any) -> None:
    """A part of the API that keeps failing leaves that line unknown; the others are made."""
    job.fault("status", path="environments", status=409, times=99)
    code, states, text = run(checkout, capsys)

    assert states["environment production"] == UNKNOWN, text
    assert states["required check"] == OK
    assert code == 0


def test_without_a_token_only_local_checks_are_made(
    job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any
) -> None:
    """No token: GitHub is not asked, and the line says what token to make."""
    monkeypatch.delenv("GITHUB_TOKEN")
    code, states, text = run(checkout, capsys)

    assert states["GitHub"] == UNKNOWN
    assert "set GITHUB_TOKEN" in text
    assert states["promotion.yaml"] == OK
    assert code == 0
    assert job.requests == []


@pytest.mark.parametrize(
    ("repo", "token", "words"),
    [
        ("not a repo", "t-actions", "not a repository"),
        ("octo-org/other", "t-actions", "GitHub does not find it (404"),
        ("octo-org/fraud", "expired", "does not accept the token (401)"),
    ],
)
def test_bad_repository_or_token_is_bad_input(
    job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any, repo: str, token: str, words: str
) -> None:
    """A name that is none, a repository that is not there, and a token that is refused: one sentence, exit 2."""
    monkeypatch.setenv("GITHUB_TOKEN", token)
    code, _, text = run(checkout, capsys, "--hosted", repo)

    assert code == 2
    assert words in text
    assert text.count("\n") == 1


def test_broken_checkout_is_described(job: StandIn, checkout: Path, capsys: Any, tmp_path: Path) -> None:
    """A shallow clone without workflows and with a broken promotion.yaml has a line for each."""
    (checkout / "promotion.yaml").write_text("models: {fraud-detector: {colour: red}}\n")
    shutil.rmtree(checkout / ".github")
    git(checkout, "commit", "-qam", "second")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{checkout}", str(shallow)], check=True)
    code, states, text = run(shallow, capsys, "--hosted", "octo-org/fraud")

    assert code == 1
    assert [states[name] for name in ("history", "promotion.yaml", "workflows", "CODEOWNERS")] == [MISSING] * 4
    assert "promotion.yaml:1: unknown key `colour`" in text


def test_folder_that_is_no_checkout(job: StandIn, tmp_path: Path, capsys: Any) -> None:
    """Outside of git it says so."""
    folder = tmp_path / "plain"
    folder.mkdir()
    code, states, _ = run(folder, capsys)

    assert states["checkout"] == MISSING
    assert code == 1


def test_registry_file_is_looked_at_and_not_made(job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """A SQLite registry that is not there is missing, and still not there afterwards."""
    path = checkout.parent / "absent.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    _, states, _ = run(checkout, capsys)

    assert states["registry"] == MISSING
    assert not path.exists()


def test_registry_that_does_not_answer(job: StandIn, checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """A server that is down is missing, with its address and without the password in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, states, text = run(checkout, capsys)

    assert states["registry"] == MISSING
    assert "cannot be reached" in text
    assert "hunter2" not in text
    assert code == 1


def test_names_are_read_from_the_workflows(checkout: Path) -> None:
    """Secrets and variables are told apart by the environment of the job that reads them."""
    found = read_names(checkout / ".github" / "workflows")

    assert set(found) == {None, "production"}
    assert found["production"].variables == {"MLFLOW_TRACKING_URI"}
    assert "PROMOTION_APP_KEY" in found[None].secrets
    assert "GITHUB_TOKEN" not in found[None].secrets


@pytest.mark.parametrize("text", ["jobs: [", "- a\n", "\xff"])
def test_workflow_that_is_none_is_bad_input(job: StandIn, checkout: Path, capsys: Any, text: str) -> None:
    """A workflow that cannot be read is one sentence with its file."""
    (checkout / ".github" / "workflows" / "ci.yml").write_bytes(text.encode("latin-1"))
    code, _, printed = run(checkout, capsys)

    assert code == 2
    assert "ci.yml: not" in printed


def test_one_whole_login_is_enough() -> None:
    """A token, or user with password; half a login is missing, other names are optional."""
    wanted = Names(
        frozenset({"MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "APP_KEY"}),
        frozenset({"MLFLOW_TRACKING_URI"}),
    )
    uri = frozenset({"MLFLOW_TRACKING_URI"})
    pair = frozenset({"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"})
    half = lacking(wanted, Names(frozenset({"MLFLOW_TRACKING_USERNAME"}), uri))

    assert lacking(wanted, Names(pair | uri, frozenset())) == ([], ["APP_KEY"])
    assert half[0] == ["MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME with MLFLOW_TRACKING_PASSWORD"]


@pytest.mark.parametrize(
    ("url", "name", "api"),
    [
        ("https://github.com/octo-org/fraud.git", "octo-org/fraud", "https://api.github.com"),
        ("git@github.com:octo-org/fraud", "octo-org/fraud", "https://api.github.com"),
        ("ssh://git@git.example.com:22/octo-org/my.fraud.git", "octo-org/my.fraud", "https://git.example.com/api/v3"),
        ("/srv/git/fraud.git", None, None),
    ],
)
def test_the_token_goes_to_origins_server_alone(checkout: Path, url: str, name: str | None, api: str | None) -> None:
    """Each form of a clone address names the repository and its server, which alone is asked."""
    git(checkout, "remote", "set-url", "origin", url)
    found = host_of(Repo(checkout), {"GITHUB_TOKEN": "t"})

    assert found.repo == name
    assert (found.github.api_url if found.github else None) == api


def test_token_without_a_known_server_goes_nowhere(checkout: Path, capsys: Any, monkeypatch: Any) -> None:
    """With a name and no server to match it, nothing is asked; github.com is not a guess to make with a token."""
    git(checkout, "remote", "set-url", "origin", "/srv/git/fraud.git")
    for name in ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout.parent / 'mlflow.db'}")
    _, states, text = run(checkout, capsys, "--hosted", "octo-org/fraud")

    assert states["GitHub"] == UNKNOWN
    assert "set GITHUB_API_URL" in text


def test_name_in_place_of_the_folder_is_told_where_to_go(checkout: Path, capsys: Any) -> None:
    """`--repo OWNER/NAME`, as it once was, gives the new option."""
    assert doctor.main(["--repo", "octo-org/fraud"]) == 2
    assert "--hosted octo-org/fraud" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "state", "says"),
    [
        (["retrain.yml@{sha} # v0.2.0", "promote.yml@{sha} # v0.2.0"], OK, "v0.2.0 of octo-org/promote"),
        (["retrain.yml@{sha}"], OK, "aaaaaaaaaaaa of octo-org/promote"),
        (["retrain.yml@{sha} # v0.2.0", "promote.yml@v1"], MISSING, "let all of them call one commit"),
        (["retrain.yml@{sha} # v1", "promote.yml@bb # v1"], MISSING, "v1 of octo-org/promote at bb"),
        ([], MISSING, "neither"),
    ],
)
def test_release_that_workflows_call(checkout: Path, lines: list[str], state: str, says: str) -> None:
    """A repository without the scripts runs the release that its workflows call, one for all."""
    shutil.rmtree(checkout / "scripts")
    calls = [f"    uses: octo-org/promote/.github/workflows/{line.format(sha='a' * 40)}" for line in lines]
    (checkout / ".github" / "workflows" / "retrain.yml").write_text("jobs:\n" + "\n".join(calls) + "\n")
    found = doctor.release_check(checkout)

    assert found.state == state
    assert says in f"{found.found}; {found.todo}"


def test_release_of_the_scripts_here(checkout: Path) -> None:
    """A copy of this project runs its own scripts; that doctor.py is of another release is said."""
    assert doctor.release_check(checkout).found == f"{__version__}, the scripts of this checkout"
    (checkout / "scripts" / "promotion" / "__init__.py").write_text('__version__ = "0.0.9"\n')
    assert doctor.release_check(checkout).found.startswith("0.0.9, the scripts of this checkout; this doctor.py")
