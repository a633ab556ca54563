"""gate.py killed between any two of its requests, and run again: one run and one version of a training remain."""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from promotion.pullrequest.workdir import Work
from promotion.records.steps import Candidate, Gate
from promotion.registry.client import CANDIDATE, Registry

from tests.proofs.faults.promoters import Ended, Promoters, promoters
from tests.proofs.faults.proxy import Answer, Fault, Proxy, Rule, Seen, proxy
from tests.support.mlflow_server import empty_database, mlflow_server
from tests.support.tiny import MODEL, TinyProject


class GateLab:
    """A candidate that was trained and scored, and one gate.py that can be repeated as often as needed."""

    def __init__(self, project: TinyProject, work: Work, front: Proxy, runs: Promoters) -> None:
        self.project, self.work, self.front, self.runs = project, work, front, runs
        self.registry = project.registry
        self.candidate = Candidate.read(work.model(MODEL).candidate_record)
        assert self.gate().code == 0
        self.points = list(front.seen)
        assert self.problems() == []

    def gate(self, rule: Rule | None = None, pids: list[int] | None = None) -> Ended:
        """Run gate.py as a process of its own through the proxy."""
        self.front.reset(rule or (lambda seen: None))
        env = {"MLFLOW_TRACKING_URI": self.front.url}
        pid = self.runs.start(["--work", str(self.work.root)], env, "gate")
        if pids is not None:
            pids.append(pid)
        return self.runs.wait(pid)

    def restore(self) -> None:
        """Forget every run and version."""
        client = self.registry.client
        for run in self.registry.runs(MODEL):
            client.delete_run(run.run_id)
        if self.registry.model(MODEL) is not None:
            client.delete_registered_model(MODEL)
        self.work.model(MODEL).gate.unlink(missing_ok=True)

    def kill(self, point: Seen, *, before: bool) -> list[str]:
        """Kill one gate.py around one request, run it again; return what is wrong."""
        self.restore()
        pids: list[int] = []

        def kill() -> bool:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(pids[0], signal.SIGKILL)
            return False

        def kill_after(answer: Answer) -> None:
            kill()

        fault = Fault(before=kill) if before else Fault(after=kill_after)
        first = self.gate(lambda seen: fault if seen.number == point.number else None, pids)
        again = self.gate()
        if again.code != 0:
            return [f"{point.number} {point.name}: the second run ended with {again.code}: {again.output}"]
        return [f"{point.number} {point.name}, first {first.code}: {line}" for line in self.problems()]

    def problems(self) -> list[str]:
        """What is not as it must be: one complete run of the key, one version with its files, @candidate on it."""
        runs = self.registry.runs(MODEL, key=self.candidate.key)
        model = self.registry.model(MODEL)
        versions = [v for n in range(1, 9) if (v := self.registry.version(MODEL, n)) is not None]
        if len(runs) != 1 or len(versions) != 1 or model is None:
            return [f"{len(runs)} runs and {len(versions)} versions of one training"]
        found = []
        if runs[0].tags.get("complete") != "true" or runs[0].tags.get("version") != str(versions[0].version):
            found.append(f"the run is not complete: {runs[0].tags}")
        if model.aliases.get(CANDIDATE) != versions[0].version:
            found.append(f"@candidate is {model.aliases.get(CANDIDATE)}")
        _, digest = self.registry.fetch_version(versions[0], self.work.root / "fetched")
        if digest != self.candidate.digest:
            found.append("the version's files are not the candidate's")
        record = Gate.read(self.work.model(MODEL).gate)
        if (record.version, record.run_id) != (versions[0].version, runs[0].run_id):
            found.append("gate.json names another run or version")
        return found


@contextmanager
def gate_lab(folder: Path) -> Iterator[GateLab]:
    """A lab on a server of its own."""
    with mlflow_server(folder, empty_database(folder)) as url, proxy(url) as front, promoters() as runs:
        project = TinyProject(folder / "tiny")
        project.registry = Registry(url)
        project.edit("model.yaml", "seed: 0", "seed: 1")
        work, _ = project.scored(project.open("first"))
        yield GateLab(project, work, front, runs)
