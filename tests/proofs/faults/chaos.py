"""Twenty promoters of different commits at once against one registry, held, stopped and killed at random points."""

import contextlib
import json
import os
import random
import signal
import threading
from dataclasses import dataclass, field

from tests.proofs.faults.promoters import Ended, Promoters
from tests.proofs.faults.proxy import Fault, Proxy, Seen
from tests.support.worlds import World


@dataclass
class Promoter:
    """One run of promote.py for one commit.

    trouble: request number (of its own) -> what happens there: `kill`, `stop` (SIGSTOP), `hold` (the request
    is under way but does not arrive). began: how many requests all runs had made when it started.
    """

    number: int
    commit: str
    trouble: dict[int, str]
    began: int
    pid: int = 0
    requests: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    ended: Ended | None = None


@dataclass(frozen=True)
class Write:
    """One write that reached the registry: of the alias (`version`) or of a tag (`key`); at: among all requests."""

    at: int
    promoter: int
    version: int | None
    key: str | None


class Chaos:
    """Runs promoters through one proxy and tells them apart by the first part of their path."""

    def __init__(self, world: World, front: Proxy, runs: Promoters, seed: int) -> None:
        self.world, self.front, self.runs = world, front, runs
        self.random = random.Random(seed)
        self.promoters: list[Promoter] = []
        self.writes: list[Write] = []
        self.met: list[str] = []
        self._lock = threading.Lock()
        front.reset(self._rule)

    def _rule(self, seen: Seen) -> Fault | None:
        promoter = self.promoters[int(seen.path.split("/")[1].removeprefix("p"))]
        with self._lock:
            promoter.requests += 1
            what = promoter.trouble.get(promoter.requests)
            if what is not None:
                self.met.append(what)

        def before() -> bool:
            if what == "kill":
                self._signal(promoter, signal.SIGKILL)
                if promoter.requests % 2:  # half of the writes under way still arrive
                    return False
            if what == "stop" and not promoter.released.is_set():
                self._signal(promoter, signal.SIGSTOP)
                if promoter.released.is_set():  # it was let go in between
                    self._signal(promoter, signal.SIGCONT)
            if what == "hold":
                promoter.released.wait(120)
            self._log(seen, promoter)
            return True

        return Fault(before=before)

    def _signal(self, promoter: Promoter, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(promoter.pid, number)

    def _log(self, seen: Seen, promoter: Promoter) -> None:
        fields = json.loads(seen.body) if seen.is_write and seen.body else {}
        with self._lock:
            if seen.path.endswith("registered-models/alias"):
                version = int(fields["version"]) if seen.method == "POST" else None
                self.writes.append(Write(seen.number, promoter.number, version, None))
            elif seen.path.endswith("registered-models/set-tag"):
                self.writes.append(Write(seen.number, promoter.number, None, fields["key"]))

    def start(self, commit: str, *, trouble: bool = True) -> Promoter:
        """Start a promoter, with up to three troubles at random requests."""
        points: dict[int, str] = {}
        if trouble:
            for _ in range(self.random.randint(1, 3)):
                points[self.random.randint(1, 16)] = self.random.choice(["kill", "kill", "stop", "hold", "hold"])
        promoter = Promoter(len(self.promoters), commit, points, len(self.front.seen))
        with self._lock:
            self.promoters.append(promoter)
        argv = ["apply", "--repo", str(self.world.path), "--commit", commit]
        env = {"MLFLOW_TRACKING_URI": f"{self.front.url}/p{promoter.number}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5"}
        promoter.pid = self.runs.start(argv, env)
        return promoter

    def finish(self, promoter: Promoter) -> Ended:
        """Let a promoter go on, if it was stopped or held, and wait for its end."""
        promoter.released.set()
        self._signal(promoter, signal.SIGCONT)
        promoter.ended = self.runs.wait(promoter.pid)
        return promoter.ended

    def run(self, commits: list[str]) -> None:
        """Start one promoter for each commit in random order; restart half of those that were killed."""
        order = commits.copy()
        self.random.shuffle(order)
        waiting = [self.start(commit) for commit in order]
        self.random.shuffle(waiting)
        while waiting:
            promoter = waiting.pop(0)
            ended = self.finish(promoter)
            if ended.code == -signal.SIGKILL and self.random.random() < 0.5:
                waiting.append(self.start(promoter.commit))
