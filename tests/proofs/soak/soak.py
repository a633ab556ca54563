"""Soak: alias moves under load among versions of every kind, good and bad, while everything is killed.

`python tests/proofs/soak/soak.py --minutes 20 --moves 200` (`make soak`). A real MLflow server holds the registry and
is killed and started again; workers and the zygote are killed; clients send half a request and leave. It fails when a
request failed that a healthy champion could have answered, when an answer came from a version that never was
champion, when an answer was wrong, when the server took nothing that was promoted, or when its memory grew.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

COLUMNS = ["a", "b", "c"]
CLIENTS = 4
PAUSE = 0.005  # leaves the processor to what is being tried
GROWN_MEGABYTES = 64

SLOW = """
import time
import numpy as np
from sklearn.base import BaseEstimator

class Slow(BaseEstimator):
    def __init__(self, factor=1.0):
        self.factor = factor

    def predict(self, X):
        time.sleep(0.02)
        return np.asarray(X)[:, 0] * self.factor
"""

LEAVES = """
import os
import numpy as np
from sklearn.base import BaseEstimator

class Leaves(BaseEstimator):
    def __init__(self, at_load=False):
        self.at_load = at_load

    def predict(self, X):
        if self.at_load:
            os._exit(3)
        return np.asarray(X)[:, 0]
"""


@dataclass
class World:
    """What the actors share. factors: version -> what its answer is a multiple by. was: versions that were champion.

    served: version -> answers.
    """

    uri: str
    url: str = ""
    kinds: dict[int, str] = field(default_factory=dict)
    was: set[int] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter)
    served: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def register_versions(folder: Path, world: World) -> None:
    """Register two versions of each kind; a good or slow one answers its number times column a."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    from tests.support.serving_world import ROWS, Models, save_module

    models = Models(folder)
    models.registry = type(models.registry)(world.uri)

    def linear(factor: float, rows: Any = ROWS) -> Path:
        fitted = LinearRegression().fit(rows, rows[rows.columns[0]])
        fitted.coef_, fitted.intercept_ = np.array([factor, *[0.0] * (rows.shape[1] - 1)]), 0.0
        return models.save(fitted, rows=rows.assign(a=rows[rows.columns[0]]) if "a" not in rows else rows)

    number = 0
    for _ in range(2):
        for kind in ("good", "slow", "broken", "incompatible", "unloadable", "good"):
            number += 1
            if kind == "slow":
                path = save_module(models, folder / f"code{number}", "slowmodule", SLOW, "Slow", factor=float(number))
            elif kind == "unloadable":
                path = save_module(models, folder / f"code{number}", "leaves", LEAVES, "Leaves", at_load=True)
            elif kind == "incompatible":
                path = linear(1.0, ROWS.assign(d=1.0)[["d", "a", "b", "c"]])
            else:
                path = linear(float(number))
            if kind == "broken":
                (path / "model.skops").write_bytes(b"not a model")
            assert models.register("soak", path) == number
            world.kinds[number] = kind


def move(world: World, moves: int, seconds: float) -> None:
    """Point @champion at one version after the other, as often as asked for."""
    from promotion.errors import PromotionError
    from promotion.registry.client import Registry

    registry, rng = Registry(world.uri), random.Random(1)
    began = time.monotonic()
    while world.did["alias moves"] < moves and not world.stop.is_set():
        good = [version for version, kind in world.kinds.items() if kind == "good"]
        version = rng.choice(good if world.did["alias moves"] % 2 else list(world.kinds))
        world.was.add(version)  # before the write: the server may be quicker than its answer
        try:
            registry.set_alias("soak", "champion", version)
        except PromotionError:
            continue  # the registry is down
        world.did["alias moves"] += 1
        world.did[f"{world.kinds[version]} promoted"] += 1
        world.stop.wait(max(0.0, began + world.did["alias moves"] * seconds / moves - time.monotonic()))


def ask(world: World, number: int) -> None:
    """One client: the answer must be right for the version in its header, and that version have been champion."""
    rng = random.Random(number)
    connection = http.client.HTTPConnection(world.url.removeprefix("http://"), timeout=60)
    while not world.stop.is_set():
        value = rng.randrange(1000) / 8
        body = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [[value, 1.0, 1.0]]}})
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text, version = response.read().decode(), int(response.headers["X-Model-Version"] or 0)
            problem = judged(world, response.status, text, version, value)
            with world.lock:
                world.served[version] += 1
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            connection.close()
        with world.lock:
            world.answers["requests"] += 1
            if problem is not None:
                world.wrong.append(problem)
        time.sleep(PAUSE)


def judged(world: World, status: int, text: str, version: int, value: float) -> str | None:
    """Return what is wrong with an answer, or None."""
    kind = world.kinds.get(version)
    if version not in world.was:
        return f"version {version} answered and never was champion"
    if kind == "incompatible":
        return None if status == 400 else f"{status} from an incompatible version: {text[:100]}"
    if kind not in ("good", "slow"):
        return f"version {version}, which is {kind}, answered {status}"
    if status != 200:
        return f"{status} from version {version}: {text[:100]}"
    got = json.loads(text)["predictions"]
    fits = len(got) == 1 and abs(got[0] - version * value) < 1e-6 * max(1.0, value)
    return None if fits else f"version {version} answered {got} to {value}"


def leave(world: World) -> None:
    """Clients that send half a request and go, or stay and say nothing."""
    host, _, port = world.url.removeprefix("http://").partition(":")
    rng, kept = random.Random(3), []
    halves = (b"", b"POST /invoc", b"POST /invocations HTTP/1.1\r\ncontent-length: 100000\r\n\r\n{")
    while not world.stop.wait(0.1):
        with contextlib.suppress(OSError):
            connection = socket.create_connection((host, int(port)), timeout=5)
            connection.sendall(rng.choice(halves))
            world.did["half requests"] += 1
            kept.append(connection)
        if len(kept) > 50:
            kept.pop(0).close()


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_workers(world: World, server: int) -> None:
    """Kill a worker now and then, and sometimes the zygote that would fork the next one."""
    rng = random.Random(4)
    while not world.stop.wait(rng.uniform(1.0, 4.0)):
        zygotes = children(server)
        workers = [worker for zygote in zygotes for worker in children(zygote)]
        victims = zygotes if zygotes and rng.random() < 0.05 else workers
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
                world.did["zygotes killed" if victims is zygotes else "workers killed"] += 1


class MlflowServer:
    """The registry, which can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        from tests.support.mlflow_server import QUIET, free_port

        self.folder, self.port = folder, free_port()
        self.env = {**os.environ, **QUIET, "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/registry.db"}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        from tests.support.mlflow_server import wait_for

        log = self.folder / "registry.log"
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--artifacts-destination", str(self.folder / "artifacts")),
        ]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.env, cwd=self.folder, start_new_session=True
            )
        wait_for(f"{self.uri}/health", self.process, log)

    def kill(self) -> None:
        """Kill it, and what it has started, without a word."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def trouble(self, world: World, pause: float) -> None:
        """Kill it every now and then."""
        while not world.stop.wait(pause):
            self.kill()
            if world.stop.wait(2.0):
                return
            self.start()
            world.did["registry killed and started"] += 1


def resident(pid: int) -> float:
    """Megabytes of a process that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def soak(folder: Path, *, minutes: float, moves: int, registry_pause: float = 60.0) -> World:
    """Run it; return what happened. World.wrong is empty when all went well."""
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    registry = MlflowServer(folder)
    registry.start()
    world = World(registry.uri)
    server: subprocess.Popen[str] | None = None
    try:
        register_versions(folder, world)
        first = next(number for number, kind in world.kinds.items() if kind == "good")
        world.was.add(first)
        from promotion.registry.client import Registry

        Registry(world.uri).set_alias("soak", "champion", first)
        with (folder / "server.log").open("w") as log:
            server = subprocess.Popen(
                [
                    *(sys.executable, str(ROOT / "scripts" / "serve.py"), "soak", "--port", "0"),
                    *("--poll-seconds", "0.5", "--store", str(folder / "store")),
                ],
                env={**os.environ, "MLFLOW_TRACKING_URI": world.uri},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert server.stdout is not None
        world.url = server.stdout.readline().strip().rpartition(" ")[2]
        memory = _act(world, server.pid, registry, (minutes * 60, moves, registry_pause))
        server.send_signal(signal.SIGTERM)
        if server.wait(60) != 0:
            world.wrong.append(f"the server ended with {server.returncode}")
        if len(world.served) < 2:
            world.wrong.append(f"the champion did not move: versions {sorted(world.served)} answered")
        begun, ended = _mean(memory, 0.1, 0.35), _mean(memory, 0.75, 1.0)
        world.answers["megabytes at the beginning"], world.answers["at the end"] = round(begun), round(ended)
        if ended - begun > GROWN_MEGABYTES:
            world.wrong.append(f"memory grew from {begun:.0f} to {ended:.0f} MB")
    finally:
        world.stop.set()
        if server is not None and server.poll() is None:
            server.kill()
            server.wait()
        registry.kill()
    return world


def _act(world: World, server: int, registry: MlflowServer, plan: tuple[float, int, float]) -> list[float]:
    """Let everybody act until the moves are made and the time is over; return the server's memory, sampled."""
    seconds, moves, pause = plan
    actors = [threading.Thread(target=ask, args=(world, number)) for number in range(CLIENTS)]
    actors += [
        threading.Thread(target=leave, args=(world,)),
        threading.Thread(target=kill_workers, args=(world, server)),
        threading.Thread(target=registry.trouble, args=(world, pause)),
    ]
    mover = threading.Thread(target=move, args=(world, moves, seconds))
    for actor in (*actors, mover):
        actor.start()
    memory, end = [], time.monotonic() + seconds
    while time.monotonic() < end or mover.is_alive():
        memory.append(resident(server))
        if sys.stderr.isatty():
            print(f"\r{sum(world.did.values())} deeds, {world.answers['requests']} requests", end="", file=sys.stderr)
        world.stop.wait(0.25)
    world.stop.set()
    for actor in actors:
        actor.join(150)
    return memory


def _mean(values: list[float], first: float, last: float) -> float:
    part = values[int(first * len(values)) : max(int(first * len(values)) + 1, int(last * len(values)))]
    return sum(part) / len(part)


def main(argv: list[str] | None = None) -> int:
    """Soak and print what was done and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--moves", type=int, default=200)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        world = soak(Path(name), minutes=args.minutes, moves=args.moves)
    for what, count in sorted({**world.did, **world.answers}.items()):
        print(f"{what}: {count}")
    print(f"wrong: {len(world.wrong)}")
    for problem in world.wrong[:20]:
        print(f"  {problem}")
    return 1 if world.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
