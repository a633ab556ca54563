"""Promotion at scale: a plan over many models, an apply that moves some, one promotion as a process, adopt, history.

Run from the project's root: `python tests/proofs/benchmarks/bench_promote.py [--models 1000] [--moves 50]`.
Prints Markdown rows. MLflow runs on PostgreSQL where it and its driver are installed, else on SQLite.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from promotion.champion.apply import apply, plan_moves  # noqa: E402
from promotion.config.pin import PinRecord  # noqa: E402
from promotion.registry.client import Registry  # noqa: E402
from promotion.registry.ledger import LedgerEntry  # noqa: E402

from tests.proofs.benchmarks.harness import Line  # noqa: E402
from tests.proofs.faults.proxy import Answer, Proxy, proxy  # noqa: E402
from tests.support.backends import postgres, psycopg2_is_here  # noqa: E402
from tests.support.mlflow_server import mlflow_server  # noqa: E402
from tests.support.worlds import ENTRY, World, sha  # noqa: E402

COMMENT = "".join(f"    # line {number} of what a policy of this size says\n" for number in range(9))


# Makes the requests that it reads from stdin, one after another, and nothing else.
BARE = """
import json, sys
import requests
session = requests.Session()
for method, url, body in json.load(sys.stdin):
    answer = session.request(method, url, data=body.encode() or None, headers={"Content-Type": "application/json"})
    answer.content
"""


class Waiting(Proxy):
    """A proxy that adds up how long the registry took to answer, and keeps what it was asked."""

    seconds = 0.0

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Ask the registry and look at the clock."""
        began = time.perf_counter()
        self.asked.append((method, path, body.decode("utf-8", "replace")))
        try:
            return super().forward(method, path, headers, body)
        finally:
            self.seconds += time.perf_counter() - began

    def reset(self, *args: object) -> None:
        """Begin anew."""
        self.asked: list[tuple[str, str, str]] = []
        self.seconds = 0.0
        super().reset(*args)  # type: ignore[arg-type]


@contextlib.contextmanager
def backend(folder: Path) -> Iterator[tuple[str, str]]:
    """The backend store's URI, and its name for the report."""
    with contextlib.ExitStack() as stack:
        try:
            if not psycopg2_is_here():
                raise RuntimeError("its driver is not installed; `make test-servers` installs it")
            cluster = stack.enter_context(postgres())
            made = cluster.uri("proxied"), "PostgreSQL"
        except BaseException as error:  # pytest's Skipped is no Exception
            if isinstance(error, KeyboardInterrupt):
                raise
            made = f"sqlite:///{folder / 'mlflow.db'}", f"SQLite ({error})"
        yield made


def text_of(pins: dict[str, PinRecord]) -> str:
    """promotion.yaml with these pins, about 20 lines a model."""
    parts = []
    for name, pin in pins.items():
        block = (
            f"    champion:\n      version: {pin.version}\n      source_tree: {pin.source_tree}\n"
            f"      digest: {pin.digest}\n      evidence: {pin.evidence}\n"
        )
        parts.append(ENTRY.format(name=name).replace("    champion: null\n", COMMENT + block))
    return "models:\n" + "".join(parts)


def fill(uri: str, entries: dict[str, LedgerEntry]) -> None:
    """Write registered models, a version, three aliases and a ledger each straight into the tables."""
    import sqlalchemy as sa

    engine = sa.create_engine(uri)
    tables = sa.MetaData()
    tables.reflect(engine)
    space = {"workspace": "default"} if "workspace" in tables.tables["registered_models"].c else {}
    rows: dict[str, list[dict[str, object]]] = {
        "registered_models": [{"name": name, "creation_time": 1, "last_updated_time": 1} for name in entries],
        "model_versions": [
            {"name": name, "version": 1, "creation_time": 1, "last_updated_time": 1, "current_stage": "None",
             "source": "s3://nowhere", "status": "READY"}
            for name in entries
        ],
        "registered_model_aliases": [
            {"name": name, "alias": alias, "version": 1}
            for name in entries for alias in ("champion", "candidate", "stable")
        ],
        "registered_model_tags": [
            {"name": name, "key": key, "value": value}
            for name, entry in entries.items()
            for key, value in ((entry.key, entry.text()), (entry.reached_key, json.dumps({"at": entry.at})))
        ],
    }  # fmt: skip
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(tables.tables[table].insert(), [{**value, **space} for value in values])
        counted(connection)
    engine.dispose()


def counted(connection: Any) -> None:
    """Let the database count its rows, as PostgreSQL does by itself within a minute: else it plans for empty tables."""
    connection.exec_driver_sql("ANALYZE")


def settled_world(folder: Path, url: str, uri: str, models: int, moves: int) -> World:
    """Main pins version 1 of every model and the registry has it; the last `moves` models are made over HTTP."""
    names = [f"model-{number:04d}" for number in range(models)]
    real = names[models - moves :]
    world = World(folder / "repo", url, tuple(names))
    tree = {name: str(world.repo.object_at("HEAD", f"models/{name}")) for name in names}
    pins = {name: PinRecord(version=1, source_tree=tree[name], digest=sha(name), evidence=sha(name)) for name in names}
    for number in range(30):  # history that no plan needs to read
        world.write("promotion.yaml", text_of(pins) + f"# revision {number}\n")
        world.commit(f"comment {number}")
    world.write("promotion.yaml", world.initial)
    world.commit("no champions")
    world.write("promotion.yaml", text_of(pins))
    commit = world.commit("all champions")
    for number in range(3):  # revisions since the newest commit in any ledger
        world.write("promotion.yaml", text_of(pins) + f"# later revision {number}\n")
        world.commit(f"later comment {number}")
    height = world.height(commit)
    fill(
        uri,
        {
            name: LedgerEntry(
                height, commit, None, 1, pin.digest, "merge", "2026-08-01T00:00:00Z", "bench", None, None, True
            )
            for name, pin in pins.items()
        },
    )
    world.real, world.pins = real, pins  # type: ignore[attr-defined]
    return world


def retrain(world: World) -> None:
    """Register a better version of the real models and merge all their pins in one commit."""
    for name in world.real:  # type: ignore[attr-defined]
        tree = world.code("better", name)
        world.pins[name] = world.version(tree, "better", model=name, champion=world.pins[name])  # type: ignore[attr-defined]
    world.write("promotion.yaml", text_of(world.pins))  # type: ignore[attr-defined]
    world.commit("retrain many (#7)")


def timed_plan(world: World, url: str, front: Proxy) -> tuple[float, float, int, int]:
    """Return (seconds after imports, of these processor time here, HTTP requests, models that differ) of one plan."""
    front.reset()
    began, processor = time.perf_counter(), time.process_time()
    planned = plan_moves(world.repo, world.tip, Registry(url))
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return seconds, processor, len(front.seen), sum(item.wanted for item in planned)


def installed(folder: Path) -> str:
    """The Python of an environment as the promote job makes it: with requirements/promote.txt and nothing else."""
    install, venv = str(ROOT / "requirements/install.sh"), folder / "venv"
    env = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["sh", install, str(venv), "promote"], env=env, check=True, capture_output=True)
    return str(venv / "bin/python")


def as_process(folder: Path, front: Waiting, upstream: str, rounds: int = 15) -> Line:
    """Promote one model as a command, beside a bare HTTP client that makes the same requests; medians of rounds.

    Both run on one Python, which has what the promote job installs.
    """
    python = installed(folder)
    world = World(folder / "one", upstream, ("one",))
    ours, bare, asked = [], [], 0
    for turn in range(rounds):
        world.merge(f"round {turn}")
        front.reset()
        began = time.perf_counter()
        said = command(folder, front.url, "apply", "--repo", str(world.path), python=python)
        ours.append(time.perf_counter() - began)
        assert "one: moved @champion" in said, said[-500:]
        requests = [(method, front.url + path, body) for method, path, body in front.asked]  # by the same way
        asked = len(requests)
        began = time.perf_counter()
        alone = [python, "-c", BARE]
        subprocess.run(alone, env=compiled(folder), input=json.dumps(requests), text=True, check=True)
        bare.append(time.perf_counter() - began)
    mine, theirs = statistics.median(ours), statistics.median(bare)
    what = f"promote.py apply of one model, whole process, {asked} HTTP requests"
    return Line(
        what, f"{mine:.2f} s", "a bare client that makes the same", f"{theirs:.2f} s", mine / theirs, "at most 1.5"
    )


def lines() -> Iterator[Line]:
    """One promotion as a process."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with (
        tempfile.TemporaryDirectory() as scratch,
        backend(Path(scratch)) as (uri, name),
        mlflow_server(Path(scratch), uri) as upstream,
        proxy(upstream, Waiting) as front,
    ):
        Registry(upstream).models()  # imports
        line = as_process(Path(scratch), front, upstream)
        yield dataclasses.replace(line, what=f"{line.what}, on {name.partition(' ')[0]}")


def many_versions(uri: str, name: str, count: int) -> None:
    """Add `count` more versions of a model, straight into the tables."""
    import sqlalchemy as sa

    engine = sa.create_engine(uri)
    tables = sa.MetaData()
    tables.reflect(engine)
    versions = tables.tables["model_versions"]
    space = {"workspace": "default"} if "workspace" in versions.c else {}
    row = {"name": name, "creation_time": 1, "last_updated_time": 1, "current_stage": "None", "status": "READY"}
    with engine.begin() as connection:
        connection.execute(
            versions.insert(),
            [{**row, **space, "version": 1000 + number, "source": "s3://nowhere"} for number in range(count)],
        )
        counted(connection)
    engine.dispose()


def timed_command(front: Waiting, folder: Path, *args: str) -> tuple[float, int]:
    """Seconds of a whole promote.py, and its requests."""
    front.reset()
    began = time.perf_counter()
    command(folder, front.url, *args)
    return time.perf_counter() - began, len(front.seen)


def command(folder: Path, uri: str, *args: str, python: str = sys.executable) -> str:
    """Run promote.py as a process; return what it printed."""
    line = [python, str(ROOT / "scripts/promote.py"), *args]
    return subprocess.run(
        line, env={**compiled(folder), "MLFLOW_TRACKING_URI": uri}, capture_output=True, text=True, check=True
    ).stdout


def compiled(folder: Path) -> dict[str, str]:
    """An environment in which a second process finds the first one's byte code, as anywhere but in a container."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def taking_over(world: World, front: Waiting, folder: Path) -> str:
    """List what could be adopted where no champion is pinned, then adopt the models whose files are real."""
    registry = Registry(front.url)
    for name in world.real:  # type: ignore[attr-defined]
        for key in registry.model(name).tags:  # type: ignore[union-attr]
            registry.client.delete_registered_model_tag(name, key)
    empty = folder / "new"
    empty.mkdir()
    subprocess.run(["git", "init", "--quiet", str(empty)], check=True)
    listed = timed_command(front, folder, "adopt", "--repo", str(empty))
    taken = timed_command(front, folder, "adopt", "--repo", str(empty), "--all")
    count = len(world.real)  # type: ignore[attr-defined]
    return (
        f"| adopt: list all models | {listed[0]:.2f} s, {listed[1]} HTTP requests |\n"
        f"| adopt --all: {count} champions (files read and hashed) | {taken[0]:.1f} s, {taken[1]} HTTP requests |"
    )


def main() -> int:
    """Measure and print; exit 1 when the plan takes more than five requests or the apply did not do its work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--versions", type=int, default=2000)
    args = parser.parse_args()
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    with tempfile.TemporaryDirectory() as scratch, backend(Path(scratch)) as (uri, name):
        folder = Path(scratch)
        with mlflow_server(folder, uri) as upstream, proxy(upstream, Waiting) as front:
            Registry(upstream).models()  # imports
            print("| promotion | measured |\n|---|---|")
            print(f"| MLflow server (1 worker) on | {name} |")
            one = as_process(folder, front, upstream)
            print(f"| {one.what} | {one.ours}; {one.peer}: {one.theirs} (ratio {one.ratio:.2f}) |", flush=True)
            world = settled_world(folder, upstream, uri, args.models, args.moves)
            lines = world.read().count("\n")
            plans = [timed_plan(world, front.url, front) for _ in range(3)]
            seconds, processor, requests, differ = min(plans)
            what = f"plan over {args.models} models with 3 aliases each ({lines} lines of promotion.yaml)"
            print(
                f"| {what} | {seconds:.2f} s after imports ({processor:.2f} s of processor time), "
                f"{requests} HTTP requests |"
            )
            retrain(world)
            front.reset()
            began = time.perf_counter()
            planned = plan_moves(world.repo, world.tip, Registry(front.url))
            middle = time.perf_counter()
            done = apply(planned, Registry(front.url), by="bench", say=lambda line: None)
            end = time.perf_counter()
            spent, asked = front.seconds, len(front.seen)
            print(
                f"| apply that moves {args.moves} of them (files and evidence read again) | {end - began:.1f} s "
                f"({middle - began:.1f} s checks, {end - middle:.1f} s writes), {asked} HTTP requests; "
                f"the registry took {spent:.1f} s of it |"
            )
            after = timed_plan(world, front.url, front)
            print(
                f"| plan after it | {after[0]:.2f} s ({after[1]:.2f} s of processor time), {after[2]} HTTP requests, "
                f"{after[3]} models differ |"
            )
            first = world.real[0]  # type: ignore[attr-defined]
            before = timed_command(front, folder, "history", first, "--repo", str(world.path))
            many_versions(uri, first, args.versions)
            later = timed_command(front, folder, "history", first, "--repo", str(world.path))
            print(
                f"| history of one model | {before[0]:.2f} s, {before[1]} HTTP requests; with {args.versions} more "
                f"versions of it {later[0]:.2f} s, {later[1]} |"
            )
            print(taking_over(world, front, folder))
            return 0 if done and differ == 0 and requests <= 5 and after[3] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
