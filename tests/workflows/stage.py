"""A stage on which act plays the real workflows: a bare repository, MLflow's server, GitHub's stand-in, artifacts.

Every job runs in an empty folder of its own, in a clean environment, and gets what the workflow gives
it; only actions/checkout and the two artifact actions are stand-ins (actions/).
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from promotion.git.repo import Repo
from promotion.registry.client import CHAMPION, Registry
from promotion.story.hosting import Hosting, LocalPull, environment

from tests.support.github.hub import Hub
from tests.support.github.standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "support" / "tiny_model"
WORKFLOWS = ROOT / ".github" / "workflows"
ACTIONS = Path(__file__).parent / "actions"
TOOLS = ROOT / ".tools" / "bin"
REPO = "octo-org/fraud"
RUNNER = "big-memory"  # that promotion.yaml allows models to ask for
FRESH = {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
# what must never be seen where model code runs
SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "sekret-user",
    "MLFLOW_TRACKING_PASSWORD": "sekret-password",
}


def tool(name: str) -> str | None:
    """A tool that `make test-workflows` made, or one on the PATH."""
    own = TOOLS / name
    return str(own) if own.is_file() else shutil.which(name)


@dataclass
class Played:
    """One workflow run: act's exit code and log, each job's result, and the artifacts."""

    code: int
    log: str
    jobs: dict[str, str]
    artifacts: Path

    def text(self) -> str:
        """Everything that the run showed or kept, for looking for what must not be in it."""
        kept = [path.read_text(errors="replace") for path in self.artifacts.rglob("*") if path.is_file()]
        return "\n".join([self.log, *kept])


@dataclass
class Server:
    """`mlflow server --workers 1` on SQLite, as a person starts it."""

    folder: Path
    uri: str = ""
    process: Any = field(default=None, repr=False)

    def start(self) -> "Server":
        """Start it on a free port and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.uri = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--workers",
            "1",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        with (self.folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true"},
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.2)  # between questions to another process; nothing is assumed after it
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        """End the server and its workers, which are one session of their own."""
        if self.process is not None:
            os.killpg(self.process.pid, 15)
            self.process.wait(30)


class Stage:
    """The hosted repository with the models `names`, its registry and its GitHub.

    tree: whose scripts, locks and workflows it has. python: what has every package already; None: each job installs its
    own, as on a hosted runner, from an empty cache.
    """

    def __init__(
        self,
        root: Path,
        server: Server,
        names: tuple[str, ...],
        *,
        tree: Path = ROOT,
        python: str | None = sys.executable,
    ) -> None:
        project = root / "project"
        entries = []
        for name in names:
            folder = project / "models" / name
            shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("__pycache__"))
            text = (folder / "promotion.yaml").read_text()
            (folder / "promotion.yaml").unlink()
            entries.append(text.removeprefix("models:\n").replace("  tiny:\n", f"  {name}:\n    drift: repair\n"))
        runners = f"runners: [{RUNNER}]\n" if tree == ROOT else ""  # an older commit does not know them
        (project / "promotion.yaml").write_text(f"{runners}models:\n" + "".join(entries))
        for name in ("scripts", "requirements", ".github"):
            shutil.copytree(tree / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.called: dict[str, Path] = {}  # OWNER/NAME@COMMIT of what the workflows call -> a checkout of it
        self.theirs: Path | None = None  # where it is hosted
        self.prefix = ""  # of the workflows' file names
        self.begin(root, project, server, names, python)

    def begin(
        self, root: Path, project: Path, server: Server, names: tuple[str, ...], python: str | None = sys.executable
    ) -> None:
        """Host the project's files, and start GitHub's stand-in."""
        self.root, self.server, self.names, self.python = root, server, names, python
        self.env = environment(root, root / "data")
        self.hosting = Hosting(root, project, self.env)
        self.hosting.create()
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.registry = Registry(server.uri)
        self.github = StandIn(Hub({"repo": REPO}, git=self.hosting.bare)).start()
        self.runs = 0
        self.now = ""

    # the repository

    @property
    def clone(self) -> Path:
        """A person's checkout."""
        return self.hosting.clone

    def git(self, *args: str) -> str:
        """Run git in the hosted repository."""
        return Repo(self.hosting.bare).git(*args, env=self.env).strip()

    def tip(self, branch: str) -> str:
        """A branch's commit."""
        return self.git("rev-parse", f"refs/heads/{branch}")

    def edit(self, name: str, old: str, new: str, *, model: str | None = None) -> None:
        """Replace text in a file of a model's folder, in the clone."""
        path = self.clone / "models" / (model or self.names[0]) / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def open(self, branch: str, title: str = "Retrain", **more: Any) -> LocalPull:
        """Push the clone's edits as a branch and open its pull request."""
        number = self.github.hub.state["next_number"]
        self.hosting.count = number - 1
        request = self.hosting.open(title, branch, f"pr-{number}")
        found = self.github.hub.add_pull(branch, title=title, **more)
        assert found == request.number
        return request

    def merge(self, request: LocalPull) -> str:
        """Squash the pull request, as its branch is now, onto main."""
        Repo(self.clone).git("fetch", "--quiet", "origin", env=self.env)
        commit = self.hosting.squash(request)
        self.github.hub.close_pull(request.number, merged=True)
        return commit

    def main(self) -> str:
        """Bring the clone to main; return its commit."""
        return self.hosting.pull()

    # what is

    def champion(self, model: str | None = None) -> int | None:
        """@champion's version."""
        found = self.registry.model(model or self.names[0])
        return None if found is None else found.aliases.get(CHAMPION)

    def versions(self, model: str | None = None) -> int:
        """How many versions the registry has."""
        count = 0
        while self.registry.version(model or self.names[0], count + 1) is not None:
            count += 1
        return count

    def comments(self, request: LocalPull) -> list[str]:
        """The bodies of the pull request's comments."""
        return [comment["body"] for comment in self.github.hub.comments(request.number)]

    def statuses(self, sha: str) -> list[tuple[str, str]]:
        """(context, state) of a commit's statuses, newest first."""
        return [(item["context"], item["state"]) for item in self.github.hub.statuses(sha)]

    # act

    def retrain(self, request: LocalPull, *, fork: bool = False, draft: bool = False, author: str = "alice") -> Played:
        """Run retrain.yml as GitHub does for a pull request that was opened or pushed to."""
        where = self.hosting.merge_result(request)
        sha = Repo(where).resolve("HEAD")
        head_repo = "mallory/fraud" if fork else REPO
        pull = {
            "number": request.number,
            "title": request.title,
            "draft": draft,
            "user": {"login": author},
            "head": {"sha": self.tip(request.branch), "ref": request.branch, "repo": {"full_name": head_repo}},
            "base": {"sha": self.tip("main"), "ref": "main", "repo": {"full_name": REPO}},
        }
        event = {"action": "opened", "number": request.number, "pull_request": pull}
        ref = f"refs/pull/{request.number}/merge"
        return self.act(
            "pull_request", f"{self.prefix}retrain.yml", event, where=where, sha=sha, ref=ref, secrets=not fork
        )

    def promote(self, *, sha: str | None = None) -> Played:
        """Run promote.yml as GitHub does for a push to main (sha: a re-run of the run of an older commit)."""
        self.main()
        sha = sha or self.tip("main")
        event = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha}
        return self.act("push", f"{self.prefix}promote.yml", event, where=self.clone, sha=sha, ref="refs/heads/main")

    def dispatch(
        self, workflow: str, ref: str = "main", inputs: dict[str, str] | None = None, *, now: str = ""
    ) -> Played:
        """Run a workflow as a dispatch starts it; now: the time that its verbs are to believe."""
        self.main()
        self.now = now
        event = {"ref": f"refs/heads/{ref}", "inputs": inputs or {}}
        return self.act(
            "workflow_dispatch", workflow, event, where=self.clone, sha=self.tip(ref), ref=f"refs/heads/{ref}"
        )

    def found(self, number: int) -> LocalPull:
        """A pull request that a workflow opened."""
        pull = self.github.hub.find("pulls", number)
        folder = self.root / f"pr-{number}"
        folder.mkdir(exist_ok=True)
        return LocalPull(number, pull["title"], pull["head_ref"], folder)

    def act(
        self, name: str, workflow: str, event: dict[str, Any], *, where: Path, sha: str, ref: str, secrets: bool = True
    ) -> Played:
        """Run one workflow file with act in host mode; return what came of it."""
        self.runs += 1
        folder = self.root / f"run-{self.runs}"
        (folder / "home").mkdir(parents=True)
        sender = {"login": event.get("pull_request", {}).get("user", {}).get("login", "alice")}
        event |= {"repository": {"full_name": REPO, "default_branch": "main"}, "sender": sender}
        (folder / "event.json").write_text(json.dumps(event))
        token = self.github.hub.token(permissions=granted(where / ".github/workflows" / workflow))
        given = {"GITHUB_TOKEN": token} | (SECRETS if secrets else {})
        (folder / "secrets").write_text("".join(f"{key}={value}\n" for key, value in given.items()))
        passed = {
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": REPO,
            "GITHUB_SHA": sha,
            "GITHUB_REF": ref,
            "GITHUB_RUN_ID": str(self.runs),
            "GITHUB_WORKFLOW_REF": f"{REPO}/.github/workflows/{workflow}@{ref}",
            "STANDIN_ORIGIN": str(self.hosting.bare),
            "STANDIN_SCRIPTS": str(self.theirs or ""),
            "STANDIN_ARTIFACTS": str(folder / "artifacts"),
            "STANDIN_ACTIONS": str(ACTIONS),
            "PROMOTION_DATA_DIR": str(self.root / "data"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PROMOTION_NOW": self.now,
        }
        passed |= FRESH if self.python is None else {"PROMOTION_PYTHON": self.python}
        passed["TMPDIR"] = tempfile.gettempdir()  # uv links what lies on one disk, and copies from one to another
        file = str(where / ".github/workflows" / workflow)
        command = [tool("act") or "act", name, "-W", file, "-C", str(where)]
        command += ["-e", str(folder / "event.json"), "-P", "ubuntu-latest=-self-hosted", "--no-skip-checkout"]
        command += ["-P", f"{RUNNER}=-self-hosted"]
        command += ["--action-cache-path", str(folder / "cache"), "--no-cache-server", "--json", "--insecure-secrets"]
        command += ["--secret-file", str(folder / "secrets"), "--var", f"MLFLOW_TRACKING_URI={self.server.uri}"]
        for key, value in passed.items():
            command += ["--env", f"{key}={value}"]
        for uses in used_actions():
            action = uses.split("@")[0].split("/")[1]
            command += ["--local-repository", f"{uses}={ACTIONS / action}"]
        for uses, checkout in self.called.items():
            command += ["--local-repository", f"{uses}={checkout}"]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8"},
        )
        log, jobs = read_log(done.stdout + done.stderr)
        (folder / "log.txt").write_text(log)
        return Played(done.returncode, log, jobs, folder / "artifacts")

    def stop(self) -> None:
        """End what runs here."""
        self.github.stop()


def granted(workflow: Path) -> dict[str, str]:
    """What a workflow's jobs are granted together: act gives all of them one token."""
    found: dict[str, str] = {}
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        for name, level in job.get("permissions", {}).items():
            found[name] = level if found.get(name) != "write" else "write"
    return found


def used_actions() -> list[str]:
    """Every third-party action of the workflows, as `owner/name@sha`."""
    text = "\n".join(path.read_text() for path in WORKFLOWS.glob("*.yml"))
    return sorted(set(re.findall(r"uses: ([\w-]+/[\w-]+@[0-9a-f]{40})", text)))


def read_log(text: str) -> tuple[str, dict[str, str]]:
    """Return act's JSON lines as plain ones, and each job's result."""
    lines, jobs = [], {}
    for line in text.splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        lines.append(f"[{item.get('job', '')}] {str(item.get('msg', '')).rstrip()}")
        if "jobResult" in item:
            jobs[item.get("job", "").split("/")[-1].strip()] = item["jobResult"]
    return "\n".join(lines), jobs
