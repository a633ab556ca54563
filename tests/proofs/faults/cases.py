"""Every fault at every request of an apply, and what is left after the next plain run."""

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from promotion.registry.client import CHAMPION, RegisteredModel
from promotion.registry.ledger import read_ledger, read_repairs

from tests.proofs.faults.promoters import Ended, Promoters, promoters
from tests.proofs.faults.proxy import Answer, Fault, Proxy, Rule, Seen, error, proxy
from tests.support.mlflow_server import empty_database, mlflow_server
from tests.support.worlds import World

ONCE = "next run finished it"
SAME = "same run got over it"


@dataclass(frozen=True)
class Outcome:
    """One fault at one request. first: how the run that met it ended. problems: what was wrong after the next."""

    fault: str
    point: Seen
    first: Ended
    problems: tuple[str, ...]

    @property
    def survived(self) -> bool:
        """Whether the run that met the fault came to its end by itself."""
        return self.first.code == 0


class Lab:
    """A server behind a proxy, and one apply that can be repeated from the same state as often as needed."""

    def __init__(self, world: World, front: Proxy, runs: Promoters) -> None:
        self.world, self.front, self.runs = world, front, runs
        self.start = self._read()
        self.wanted = world.pinned()
        self.points: list[Seen] = []
        self.entries = len(read_ledger(self.start.tags))
        self.points = self._plain_points()

    def _read(self) -> RegisteredModel:
        model = self.world.registry.model(self.world.model)
        assert model is not None
        return model

    def restore(self) -> None:
        """Put alias and tags back to where they were before the apply."""
        now, registry = self._read(), self.world.registry
        for key in now.tags.keys() - self.start.tags.keys():
            registry.client.delete_registered_model_tag(self.world.model, key)
        alias = self.start.aliases.get(CHAMPION)
        if now.aliases.get(CHAMPION) != alias:
            self.world.set_champion(alias)

    def apply(self, rule: Rule | None = None, started: Callable[[int], None] | None = None, **env: str) -> Ended:
        """Run promote.py apply as a process of its own through the proxy."""
        self.front.reset(rule or (lambda seen: None))
        argv = ["apply", "--repo", str(self.world.path)]
        pid = self.runs.start(argv, {"MLFLOW_TRACKING_URI": self.front.url, **env})
        if started is not None:
            started(pid)
        return self.runs.wait(pid)

    def _plain_points(self) -> list[Seen]:
        assert self.apply().code == 0
        points = list(self.front.seen)
        assert self.problems() == []
        self.restore()
        return points

    def problems(self) -> list[str]:
        """What is not as it must be after a plain run: alias, ledger, marks, no repair, nothing more to write."""
        model = self._read()
        ledger = read_ledger(model.tags)
        found = []
        assert self.wanted is not None
        if model.aliases.get(CHAMPION) != self.wanted.version:
            found.append(f"@champion is {model.aliases.get(CHAMPION)}, not {self.wanted.version}")
        if len(ledger) != self.entries + 1:
            found.append(f"{len(ledger)} entries, not {self.entries + 1}")
        if ledger[-1].version != self.wanted.version or ledger[-1].commit != self.world.tip:
            found.append("the newest entry is not about this commit")
        found += [f"entry {entry.key} was never marked as reached" for entry in ledger if not entry.stands]
        found += [f"a repair that never was: {repair}" for repair in read_repairs(model.tags)]
        return found

    def recover(self) -> list[str]:
        """Run promote.py again without a fault, and once more, which must write nothing; return what is wrong."""
        found = []
        plain = self.apply()
        if plain.code != 0:
            found.append(f"the next run ended with {plain.code}: {plain.output}")
        found += self.problems()
        again = self.apply()
        if again.code != 0 or any(seen.is_write for seen in self.front.seen):
            found.append("one more run still wrote something")
        return found

    def try_fault(self, name: str, point: Seen) -> Outcome:
        """Meet one fault at one request, then run again; return what happened."""
        self.restore()
        first = FAULTS[name](self, point)
        if "Traceback" in first.output:
            return Outcome(name, point, first, (f"a traceback: {first.output}",))
        return Outcome(name, point, first, tuple(self.recover()))


def _at(point: Seen, fault: Callable[[Seen], Fault]) -> Rule:
    return lambda seen: fault(seen) if seen.number == point.number else None


def _killing(lab: Lab, point: Seen, *, before: bool) -> Ended:
    pids: list[int] = []

    def kill() -> bool:
        os.kill(pids[0], signal.SIGKILL)
        return False

    def kill_after(answer: Answer) -> None:
        kill()

    fault = Fault(before=kill) if before else Fault(after=kill_after)
    return lab.apply(_at(point, lambda seen: fault), pids.append)


def _once(make: Callable[[], Fault], **env: str) -> Callable[[Lab, Seen], Ended]:
    return lambda lab, point: lab.apply(_at(point, lambda seen: make()), **env)


def _from_here_on(make: Callable[[], Fault]) -> Callable[[Lab, Seen], Ended]:
    return lambda lab, point: lab.apply(lambda seen: make() if seen.number >= point.number else None)


def _truncated(answer: Answer) -> Answer:
    return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])


def _silence(lab: Lab, point: Seen) -> Ended:
    """The registry does the work and never answers; the client has to give up and ask again."""
    from threading import Event

    gone = Event()

    def swallow(answer: Answer) -> None:
        gone.wait(30)  # far beyond the client's timeout of a second, unless the run ends first

    try:
        rule = _at(point, lambda seen: Fault(after=swallow))
        return lab.apply(rule, MLFLOW_HTTP_REQUEST_TIMEOUT="1")
    finally:
        gone.set()


def _old_value(lab: Lab, point: Seen) -> Ended:
    """The first reading after the write at `point` shows the model as it was before that write."""
    before: dict[str, Answer] = {}
    served: list[int] = []

    def rule(seen: Seen) -> Fault | None:
        if not seen.path.endswith("registered-models/get"):
            return None

        def answer(now: Answer) -> Answer:
            if seen.number < point.number:
                before["model"] = now
            elif len(served) < 2 and "model" in before:  # MLflow's client asks twice for each reading
                served.append(seen.number)
                return before["model"]
            return now

        return Fault(after=answer)

    return lab.apply(rule)


FAULTS: dict[str, Callable[[Lab, Seen], Ended]] = {
    "SIGKILL before the request": lambda lab, point: _killing(lab, point, before=True),
    "SIGKILL after the request": lambda lab, point: _killing(lab, point, before=False),
    "500 once": _once(lambda: Fault(instead=error(500))),
    "503 once": _once(lambda: Fault(instead=error(503))),
    "429 once, retry-after 1 s": _once(lambda: Fault(instead=error(429, Retry_After="1"))),
    "500 from here on": _from_here_on(lambda: Fault(instead=error(500))),
    "429 for an hour, deadline 2 s": lambda lab, point: _hour(lab, point),
    "connection reset before the request": _once(lambda: Fault(before=lambda: False)),
    "connection reset after the request": _once(lambda: Fault(after=lambda answer: None)),
    "no answer after the request": _silence,
    "truncated JSON": _once(lambda: Fault(after=_truncated)),
    "an old value after a write": _old_value,
}


def _hour(lab: Lab, point: Seen) -> Ended:
    lab.front.reset(_at(point, lambda seen: Fault(instead=error(429, Retry_After="3600"))))
    argv = ["apply", "--repo", str(lab.world.path), "--deadline", "2"]
    return lab.runs.wait(lab.runs.start(argv, {"MLFLOW_TRACKING_URI": lab.front.url}))


def fits(fault: str, point: Seen) -> bool:
    """Whether a fault makes sense at a request."""
    if fault == "an old value after a write":
        return point.is_write
    return True


@contextmanager
def lab(folder: Path, *, story: str = "merge") -> Iterator[Lab]:
    """A lab whose apply moves @champion from 1 to 2 (story `merge`) or, by a revert, from 2 to 1 (`rollback`)."""
    with mlflow_server(folder, empty_database(folder)) as url, proxy(url) as front, promoters() as runs:
        world = World(folder / "repo", url)
        world.merge("one")
        assert world.apply() == 0
        world.merge("two")
        if story == "rollback":
            assert world.apply() == 0
            world.revert(world.tip)
        yield Lab(world, front, runs)


def as_json(outcomes: Iterable[Outcome]) -> str:
    """What went wrong, for a failing test's message."""
    bad = [
        {"fault": o.fault, "at": f"{o.point.number} {o.point.name}", "first": o.first.output, "problems": o.problems}
        for o in outcomes
        if o.problems
    ]
    return json.dumps(bad, indent=2)
