"""A pull request on a hosted world, and the steps of retrain.yml that judge one which needs no training."""

import json
import os
from pathlib import Path

import pin
import prepare
import pytest
import report
from promotion.pullrequest.workdir import Work
from promotion.records.plan import Plan
from promotion.records.steps import Answered

from tests.support.hosted_world import HostedWorld


class Judging:
    """Runs prepare.py, pin.py --push and report.py --github for an event, as the jobs `prepare` and `judge` do."""

    def __init__(self, hosted: HostedWorld, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.hosted, self.folder, self.patch = hosted, folder, patch
        self.world, self.github = hosted.world, hosted.github
        self.runs = 0
        values = {"ACTIONS": "true", "RUN_ID": "5", "REPOSITORY": self.github.hub.repo, "TOKEN": "t-actions"}
        for name, value in values.items():
            patch.setenv(f"GITHUB_{name}", value)
        patch.setenv("MLFLOW_TRACKING_URI", "http://registry.example")
        # the registry of these tests is a SQLite file, which --github refuses for people who forgot the variable
        patch.setattr(prepare, "Registry", lambda uri=None: self.world.registry)

    def push(self, branch: str, message: str = "change") -> str:
        """Commit the world's work tree as a branch on top of what is checked out, and push it; return its commit."""
        self.world.git("checkout", "--quiet", "-B", branch)
        commit = self.world.commit(message)
        self.world.git("push", "--quiet", "--force", "origin", f"{branch}:refs/heads/{branch}")
        return commit

    def merge_result(self, number: int, head: str, base: str) -> str:
        """Make refs/pull/NUMBER/merge as GitHub does; return its commit."""
        self.world.git("checkout", "--quiet", "--detach", base)
        self.world.git("merge", "--quiet", "--no-ff", "-m", "merge result", head)
        commit = self.world.git("rev-parse", "HEAD")
        self.world.git("push", "--quiet", "--force", "origin", f"{commit}:refs/pull/{number}/merge")
        self.world.git("checkout", "--quiet", "main")
        return commit

    def event(self, number: int, head: str, ref: str, *, base_ref: str = "main") -> None:
        """This run's event is one of the pull request."""
        pull = {"number": number, "head": {"sha": head, "ref": ref, "repo": {"full_name": self.github.hub.repo}}}
        pull |= {"base": {"sha": "b" * 40, "ref": base_ref}, "user": {"login": "alice"}, "draft": False}
        self._event("pull_request", {"number": number, "pull_request": pull})

    def dispatch(self, number: int, sha: str) -> None:
        """This run was dispatched for a pull request, on a commit of any branch."""
        self.patch.setenv("GITHUB_SHA", sha)
        self._event("workflow_dispatch", {"inputs": {"pull_request": str(number)}, "ref": "refs/heads/main"})

    def _event(self, name: str, payload: dict) -> None:
        path = self.folder / "event.json"
        path.write_text(json.dumps({**payload, "repository": {"full_name": self.github.hub.repo}}))
        values = {"EVENT_NAME": name, "EVENT_PATH": str(path), "OUTPUT": str(self.folder / "output")}
        for key, value in (values | {"STEP_SUMMARY": str(self.folder / "summary.md")}).items():
            self.patch.setenv(f"GITHUB_{key}", value)

    def start(self, merge: str) -> tuple[int, Work]:
        """Check the merge result out as the jobs do, and plan."""
        self.runs += 1
        self.work = Work(self.folder / f"work{self.runs}")
        self.pull = self.folder / f"pull{self.runs}"
        self.world.git("clone", "--quiet", "--no-checkout", str(self.hosted.origin), str(self.pull))
        self.world.git("-C", str(self.pull), "fetch", "--quiet", "origin", merge)
        self.world.git("-C", str(self.pull), "checkout", "--quiet", "--detach", "FETCH_HEAD")
        return prepare.main(["--github", "--repo", str(self.pull), "--work", str(self.work.root)]), self.work

    def answer(self) -> None:
        """What the job without credentials leaves for a verified pin."""
        for item in Plan.read(self.work.plan).models:
            if item.action == "verify" and item.pin is not None:
                record = Answered(model=item.model, digest=str(item.pin.digest), rows=5)
                record.write(self.work.model(item.model).answered)

    def finish(self) -> int:
        """Pin and report; return report.py's exit code, which is what the required check says."""
        pin.main(["--push", "--repo", str(self.pull), "--work", str(self.work.root)])
        return report.main(["--github", "--work", str(self.work.root)])

    def run(self, merge: str) -> int:
        """A whole run; 2 where it was not judged at all."""
        code, work = self.start(merge)
        if work.plan.is_file():
            self.answer()
        return max(code, self.finish()) if code < 2 else code

    def statuses(self) -> dict[str, list[str]]:
        """Commit -> states of its statuses, newest first."""
        found: dict[str, list[str]] = {}
        for status in reversed(self.github.hub.state["statuses"]):
            found.setdefault(status["sha"], []).append(status["state"])
        return found

    @property
    def output(self) -> str:
        """What the jobs hand to those that follow."""
        path = self.folder / "output"
        return path.read_text() if os.path.isfile(path) else ""
