"""Verbs that write to git and to a service, killed at every step that leaves the machine, and run again.

A step is an HTTP request (of MLflow or of GitHub) or a git command that talks to origin: a fetch, a listing, a push.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promotion.config.promotion_yaml import parse
from promotion.pullrequest.push_pins import Pushed
from promotion.pullrequest.workdir import Work
from promotion.records.plan import Plan
from promotion.records.steps import Gate
from promotion.registry.client import CHAMPION
from promotion.registry.ledger import read_ledger, read_repairs

from tests.proofs.faults.promoters import Ended, Promoters, promoters
from tests.proofs.faults.proxy import Answer, Fault, Proxy, Rule, Seen, error, proxy
from tests.support import samples
from tests.support.github.hub import Hub
from tests.support.github.standin import StandIn
from tests.support.hosted_world import HostedWorld
from tests.support.mlflow_server import empty_database, mlflow_server
from tests.support.worlds import GIT, World

SHIM = """#!/bin/sh
talks=
for word in "$@"; do case "$word" in fetch|push|ls-remote) talks=$word;; esac; done
test -n "$talks" || exec {git} "$@"
number=$(wc -l < {log})
echo "$talks" >> {log}
test "$KILL_AT" = "$number-before" && kill -9 $PPID && exit 1
{git} "$@"
code=$?
test "$KILL_AT" = "$number-after" && kill -9 $PPID
exit $code
"""
TODAY = ("--as-of", "2026-06-15")


@dataclass(frozen=True)
class GitStep:
    """One git command that talks to origin: its number in a run (from 0) and what it does."""

    number: int
    name: str

    @property
    def is_write(self) -> bool:
        """Whether it changes origin."""
        return self.name == "push"


Step = Seen | GitStep


@dataclass
class VerbLab:
    """One run of a verb that can be repeated from the same state. front: before the service that it writes to."""

    verb: str
    argv: list[str]
    env: dict[str, str]
    folder: Path
    runs: Promoters
    front: Proxy | None = None
    points: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        tools = self.folder / f"tools-{self.verb}"
        tools.mkdir()
        self.log = tools / "log"
        git = tools / "git"
        git.write_text(SHIM.format(git=shutil.which("git"), log=self.log), encoding="utf-8")
        git.chmod(0o755)
        self.env = {**GIT, **self.env, "PATH": f"{tools}:{os.environ['PATH']}"}

    def begin(self) -> None:
        """Run it once without a fault, to learn its steps."""
        plain = self.run()
        assert plain.code == 0, plain.output
        steps = self.log.read_text().split()
        self.points = [*(self.front.seen if self.front else []), *(GitStep(n, name) for n, name in enumerate(steps))]
        assert self.problems() == [], self.problems()

    def run(self, rule: Rule | None = None, pids: list[int] | None = None, **env: str) -> Ended:
        """Run the verb as a process of its own."""
        self.log.write_text("")
        if self.front is not None:
            self.front.reset(rule or (lambda seen: None))
        pid = self.runs.start(self.argv, {**self.env, "KILL_AT": "", **env}, self.verb)
        if pids is not None:
            pids.append(pid)
        return self.runs.wait(pid)

    def kill(self, step: Step, *, before: bool) -> Ended:
        """Run it and kill it around one step."""
        if isinstance(step, GitStep):
            return self.run(KILL_AT=f"{step.number}-{'before' if before else 'after'}")
        pids: list[int] = []

        def kill() -> bool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[0], signal.SIGKILL)
            return False

        def after(answer: Answer) -> None:
            kill()

        fault = Fault(before=kill) if before else Fault(after=after)
        return self.run(lambda seen: fault if seen.number == step.number else None, pids)

    def meet(self, name: str, step: Step) -> Ended:
        """Meet one fault at one step."""
        if name.startswith("SIGKILL"):
            return self.kill(step, before="before" in name)
        make = FAILURES[name]
        onwards = name.endswith("from here on")
        return self.run(
            lambda seen: make() if seen.number == step.number or (onwards and seen.number > step.number) else None
        )

    def try_fault(self, name: str, step: Step) -> list[str]:
        """Meet one fault at one step, run again, and once more; return what is wrong."""
        self.restore()
        first = self.meet(name, step)
        again = self.run()
        found = [] if again.code == 0 else [f"the next run ended with {again.code}: {again.output}"]
        found += self.problems()
        state = self.state()
        once_more = self.run()
        if once_more.code != 0 or self.state() != state:
            found.append(f"one more run ended with {once_more.code} and changed something: {once_more.output}")
        if "Traceback" in first.output:
            found.append(f"a traceback: {first.output}")
        return [f"{name} at {step.number} {step.name} (first {first.code}): {line}" for line in found]

    def restore(self) -> None:
        """Put everything back to where it was before the first run."""
        raise NotImplementedError

    def problems(self) -> list[str]:
        """What is not as it must be after a plain run."""
        raise NotImplementedError

    def state(self) -> Any:
        """What a run too many must leave as it is."""
        raise NotImplementedError


def half(answer: Answer) -> Answer:
    """An answer that was cut off."""
    return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])


FAILURES = {
    "500 once": lambda: Fault(instead=error(500)),
    "500 from here on": lambda: Fault(instead=error(500)),
    "connection reset before the request": lambda: Fault(before=lambda: False),
    "connection reset after the request": lambda: Fault(after=lambda answer: None),
    "truncated JSON": lambda: Fault(after=half),
}
KILLS = ("SIGKILL before the request", "SIGKILL after the request")


def origin(path: Path, *args: str) -> str:
    """Run git in the hosted repository, past the shim."""
    done = subprocess.run(["git", "-C", str(path), *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class RollbackLab(VerbLab):
    """`rollback.py --now`: main and @champion go from version 3 back to 2."""

    def of(self, hosted: HostedWorld) -> "RollbackLab":
        """Set it on a hosted world."""
        self.hosted, self.world = hosted, hosted.world
        self.tip, self.tags = hosted.tip(), self.world.tags()
        self.want, self.entries = hosted.pin("main~1"), len(self.world.ledger())
        self.begin()
        return self

    def restore(self) -> None:
        origin(self.hosted.origin, "update-ref", "refs/heads/main", self.tip)
        for key in self.world.tags().keys() - self.tags.keys():
            self.world.registry.client.delete_registered_model_tag(self.world.model, key)
        if self.world.champion() != 3:
            self.world.set_champion(3)

    def problems(self) -> list[str]:
        tip, model = self.hosted.tip(), self.world.registry.model(self.world.model)
        assert model is not None
        ledger, found = read_ledger(model.tags), []
        if origin(self.hosted.origin, "rev-list", "--count", f"{self.tip}..{tip}") != "1":
            found.append(f"main is at {tip}, not one commit above {self.tip}")
        if self.hosted.pin("main") != self.want or model.aliases.get(CHAMPION) != 2:
            found.append(f"main pins {self.hosted.pin('main')}, @champion is {model.aliases.get(CHAMPION)}")
        if len(ledger) != self.entries + 1 or ledger[-1].commit != tip or not ledger[-1].stands:
            found.append(f"the ledger's newest entry is {ledger[-1]}")
        return [*found, *(f"a repair that never was: {repair}" for repair in read_repairs(model.tags))]

    def state(self) -> Any:
        return self.hosted.tip(), self.world.state()


class OpenLab(VerbLab):
    """`retrain.py open`: one branch, one pull request."""

    def of(self, hosted: HostedWorld) -> "OpenLab":
        """Set it on a hosted world."""
        self.hosted, self.branch = hosted, f"retrain/{hosted.world.model}-2026-06-15"
        self.begin()
        return self

    def restore(self) -> None:
        if self.branch in self.hosted.branches():
            origin(self.hosted.origin, "update-ref", "-d", f"refs/heads/{self.branch}")
        self.hosted.github.hub.state["pulls"].clear()

    def problems(self) -> list[str]:
        pulls = self.hosted.pulls()
        found = [] if self.hosted.branches() == {"main", self.branch} else [f"branches {self.hosted.branches()}"]
        if len(pulls) != 1 or (pulls[0]["head_ref"], pulls[0]["base_ref"]) != (self.branch, "main"):
            found.append(f"pull requests {pulls}")
        if not found and origin(self.hosted.origin, "rev-list", "--count", f"main..{self.branch}") != "1":
            found.append("the branch is not one commit above main")
        return found

    def state(self) -> Any:
        return self.hosted.branches(), self.hosted.tip(self.branch), json.dumps(self.hosted.github.hub.state["pulls"])


class PinLab(VerbLab):
    """`pin.py --push`: one commit on the pull request's branch, and a record of it."""

    def of(self, hosted: HostedWorld, work: Work, head: str) -> "PinLab":
        """Set it on a hosted world whose branch `retrain` was judged at `head`."""
        self.hosted, self.work, self.head = hosted, work, head
        self.begin()
        return self

    def restore(self) -> None:
        origin(self.hosted.origin, "update-ref", "refs/heads/retrain", self.head)
        self.work.pushed.unlink(missing_ok=True)

    def problems(self) -> list[str]:
        tip = self.hosted.tip("retrain")
        found = []
        if origin(self.hosted.origin, "rev-parse", f"{tip}^") != self.head:
            found.append(f"the branch is at {tip}, not one commit above {self.head}")
        pin = parse(origin(self.hosted.origin, "show", f"{tip}:promotion.yaml") + "\n").models["tiny"].champion
        if pin is None or pin.version != 7:
            found.append(f"the branch pins {pin}")
        if not self.work.pushed.is_file() or Pushed.read(self.work.pushed) != Pushed(commit=tip):
            found.append("pushed.json does not name the branch's tip")
        return found

    def state(self) -> Any:
        return self.hosted.tip("retrain")


@contextmanager
def _github(folder: Path) -> Iterator[StandIn]:
    standin = StandIn(Hub()).start()
    try:
        yield standin
    finally:
        standin.stop()


def _environment(standin: StandIn, **more: str) -> dict[str, str]:
    return {"GITHUB_API_URL": standin.url, "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": standin.hub.repo, **more}  # fmt: skip


@contextmanager
def rollback_lab(folder: Path) -> Iterator[RollbackLab]:
    """Versions 1, 2 and 3 were champion, on a server behind a proxy."""
    with (
        mlflow_server(folder, empty_database(folder)) as url,
        proxy(url) as front,
        promoters() as runs,
        _github(folder) as standin,
    ):
        world = World(folder / "repo", url)
        for text in ("one", "two", "three"):
            world.merge(text)
            assert world.apply() == 0
        hosted = HostedWorld(world, standin)
        argv = [world.model, "--repo", str(hosted.clone), "--now", "--reason", "page"]
        env = {"MLFLOW_TRACKING_URI": front.url}
        yield RollbackLab("rollback", argv, env, folder, runs, front).of(hosted)


@contextmanager
def open_lab(folder: Path) -> Iterator[OpenLab]:
    """A model of May whose labels of June are known; GitHub behind a proxy."""
    with promoters() as runs, _github(folder) as standin, proxy(standin.url) as front:
        world = World(folder / "repo", empty_database(folder))
        world.write("models/tiny/model.yaml", "as_of: 2026-05-01\ntrain_days: 7\nvalidation_days: 7\nseed: 0\n")
        world.commit("a model")
        hosted = HostedWorld(world, standin)
        env = _environment(standin, GITHUB_TOKEN=standin.hub.token("dana")) | {"GITHUB_API_URL": front.url}
        argv = ["open", world.model, "--repo", str(hosted.clone), *TODAY]
        yield OpenLab("retrain", argv, env, folder, runs, front).of(hosted)


@contextmanager
def pin_lab(folder: Path) -> Iterator[PinLab]:
    """A winner of the branch `retrain` was judged; its pin is version 7."""
    with promoters() as runs, _github(folder) as standin:
        world = World(folder / "repo", empty_database(folder))
        hosted = HostedWorld(world, standin)
        base = world.tip
        world.git("checkout", "--quiet", "-b", "retrain")
        tree = world.code("two")
        head = world.commit("two")
        world.git("push", "--quiet", "origin", "retrain")
        hosted.git("fetch", "--quiet", "origin")
        number = standin.hub.add_pull("retrain", head_sha=head)
        work = _judged(folder / "work", base, head, tree)
        pull = {"number": number, "head": {"sha": head, "ref": "retrain", "repo": {"full_name": standin.hub.repo}}}
        pull |= {"base": {"sha": base, "ref": "main"}, "user": {"login": "alice"}}
        event = folder / "event.json"
        event.write_text(json.dumps({"pull_request": pull, "repository": {"full_name": standin.hub.repo}}))
        env = _environment(standin, GITHUB_EVENT_NAME="pull_request", GITHUB_EVENT_PATH=str(event), GITHUB_ACTIONS="1")
        argv = ["--push", "--repo", str(hosted.clone), "--work", str(work.root)]
        yield PinLab("pin", argv, env, folder, runs).of(hosted, work, head)


def _judged(folder: Path, base: str, head: str, tree: str) -> Work:
    """The records that the steps before pin.py leave for a winner."""
    work, won = Work(folder), samples.promote()
    assert won.evaluation is not None and won.candidate is not None
    item = samples.model_plan(model="tiny", source_tree=tree, pin=None, champion=None)
    Plan(base=base, head=head, merge=head, lock="none", models=(item,)).write(work.plan)
    files = work.model("tiny")
    Gate(model="tiny", passed=True, rules=(), run_id="r", version=7, reason="every floor").write(files.gate)
    won.evaluation.model_copy(update={"model": "tiny"}).write(files.evaluation)
    won.candidate.model_copy(update={"model": "tiny", "source_tree": tree}).write(files.candidate_record)
    return work


LABS = {"rollback.py --now": rollback_lab, "retrain.py open": open_lab, "pin.py --push": pin_lab}


def tried(lab: VerbLab, fault: str) -> list[Step]:
    """The steps at which a fault makes sense."""
    return [step for step in lab.points if fault in KILLS or isinstance(step, Seen)]
