"""serve.py beside `mlflow models serve`, same models, same run: one-row requests, and a champion that moves.

Run from the project's root: `python tests/proofs/benchmarks/bench_serve.py [--seconds 5]`. Prints a Markdown table with
ratios. A forest's predict takes milliseconds a row, as do ten boosters that vote, a linear model's microseconds.
serve.py and MLflow must answer with the same text. The client is a process of its own, on the same machine; what is
compared is measured in turns.
"""

import argparse
import contextlib
import http.client
import importlib.util
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[2] / "scripts"
sys.path[:0] = [str(SCRIPTS), str(HERE.parents[2])]

from tests.proofs.benchmarks.harness import Line, end_when_asked, table  # noqa: E402

TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
]
MODELS = {"booster": (64, 1), "forest": (64, 1), "linear": (64, 1), "vote": (1,)}  # connections
KEYS = ("rate", "p50", "p99")


def make_models(folder: Path, uri: str) -> dict[str, tuple[Path, Any]]:
    """Register boosters and a forest of 100 trees and a linear model; return folder and fitted model by name."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from promotion.records.files import digest_files
    from promotion.registry.client import Registry
    from promotion.registry.ledger import LedgerEntry
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 15)), columns=[f"f{i}" for i in range(15)])
    y = X.f0 + X.f1 * X.f2 > 0
    booster = HistGradientBoostingClassifier(max_iter=100, early_stopping=False)
    kinds = {
        "booster": booster,
        "forest": RandomForestClassifier(100, max_depth=10, n_jobs=2, random_state=0),
        "linear": LogisticRegression(),
        "vote": VotingClassifier([(f"booster {i}", booster) for i in range(10)]),
    }
    registry = Registry(uri)
    found = {}
    for name, model in kinds.items():
        model.fit(X, y)
        path = folder / name
        mlflow.sklearn.save_model(
            model,
            str(path),
            serialization_format="skops",
            skops_trusted_types=TRUSTED,
            pip_requirements=["scikit-learn"],
            signature=infer_signature(X, model.predict(X)),
            input_example=X.head(50),
        )
        for _ in range(3):  # versions to move between
            run = registry.create_run(name, "bench", {})
            registry.log_files(run.run_id, path, "model")
            version = registry.register(name, run, {}).version
            pin = LedgerEntry(
                height=version, commit="a" * 40, before=None, version=version, digest=digest_files(path),
                reason="merge", at="2026-08-01T00:00:00Z", by="bench",
            )  # fmt: skip
            registry.set_model_tag(name, pin.key, pin.text())
        registry.set_alias(name, "champion", version)
        found[name] = (path, model)
    (folder / "body.json").write_text(json.dumps({"dataframe_split": X.head(1).to_dict("split")}))
    return found


@contextlib.contextmanager
def running(
    command: list[str], port: int, environment: dict[str, str], log: Path, path: str = "/ping"
) -> Iterator[None]:
    """Run a server until it answers `path` with 200; at the end stop it, and whatever it has started."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while not _up(port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _up(port: int, path: str = "/ping") -> bool:
    try:
        return _got(port, path).status == 200
    except OSError:
        return False


def _got(port: int, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", path)
    return connection.getresponse()


def free_port() -> int:
    """A port that is free now."""
    from promotion.serving.server import listen

    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def predict_alone(model: Any, body: Path) -> float:
    """Calls a second of the fitted model's own predict on one row, an array, one thread, one call after the other."""
    import warnings

    import joblib
    import numpy as np
    from threadpoolctl import threadpool_limits

    row = np.array(json.loads(body.read_text())["dataframe_split"]["data"])
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    with joblib.parallel_config("sequential"), threadpool_limits(1):
        for _ in range(20):
            model.predict(row)
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < 1.0:
            model.predict(row)
            calls += 1
        return calls / (time.perf_counter() - began)


@dataclass(frozen=True)
class Peer:
    """Another server of the same model. command: without the port. ready: what answers 200 once it serves."""

    name: str
    command: list[str]
    ready: str = "/ping"
    same_text: bool = True


def peers_of(model: Path, *, all_of_them: bool) -> list[Peer]:
    """`mlflow models serve`, and LitServe where it is installed; it has no swap, so only its rate is compared."""
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local", "-p"]
    found = [Peer("mlflow models serve", mlflow)]
    if all_of_them and importlib.util.find_spec("litserve") is not None:
        lit = [sys.executable, str(HERE / "litserver.py"), str(model)]
        found.append(Peer("LitServe", lit, "/health", same_text=False))
    return found


def compare(name: str, model: Any, peer: Peer, folder: Path, environment: dict[str, str], seconds: float) -> list[Line]:
    """Measure both servers, and where one connection asks predict by itself, in turns on one model; medians."""
    from tests.proofs.benchmarks.hammer import measured

    body = folder / "body.json"
    ours, theirs = free_port(), free_port()
    serve_py = [sys.executable, str(SCRIPTS / "serve.py"), name, "--port", str(ours), "--store", str(folder / "store")]
    lines, texts = [], set()
    with (
        running([*peer.command, str(theirs)], theirs, environment, folder / "theirs.log", peer.ready),
        running(serve_py, ours, environment, folder / "ours.log"),
    ):
        for port in (ours, theirs):
            measured(port, 8, 1.0, body)
        for clients in MODELS[name]:
            alone, found = [], {theirs: [], ours: []}
            rounds, each = (5, seconds / 2) if clients == 1 else (2, seconds)
            for _ in range(rounds):
                if clients == 1:
                    alone.append(predict_alone(model, body))
                for port, results in found.items():
                    results.append(result := measured(port, clients, each, body))
                    if set(result["statuses"]) != {"200"}:
                        raise SystemExit(f"not every answer was 200: {result}")
                    texts |= set(result["texts"]) if port == ours or peer.same_text else set()
            a, b = ({key: statistics.median(r[key] for r in found[port]) for key in KEYS} for port in (ours, theirs))
            lines += beside(name, peer, clients, a, b, statistics.median(alone) if alone else 0.0)
    if len(texts) != 1:
        raise SystemExit(f"the servers disagree on {name}: {sorted(texts)}")
    return lines


def beside(
    name: str, peer: Peer, clients: int, a: dict[str, float], b: dict[str, float], alone: float
) -> Iterator[Line]:
    """The lines about one number of connections. a, b: ours and theirs. alone: calls a second of predict by itself."""
    asked = peer.name.startswith("mlflow")
    what = f"{name}, {clients} connection{'s' * (clients > 1)}"
    rates = [f"{one['rate']:,.0f} (p50 {one['p50']:,.1f} ms, p99 {one['p99']:,.1f})" for one in (a, b)]
    quick = clients == 1 and alone > 1000  # predict takes less than a millisecond
    goal = "" if not asked else "40" if clients == 64 else "5" if quick else ""
    yield Line(f"{what}: requests/s", rates[0], peer.name, rates[1], a["rate"] / b["rate"], goal)
    if asked and clients == 64:
        ends = f"{a['p99']:,.1f} ms", f"p50 {b['p50']:,.1f} ms"
        yield Line(f"{what}: p99 over their p50", ends[0], peer.name, ends[1], a["p99"] / b["p50"], "at most 0.1")
    if asked and clients == 1 and not quick:
        yield Line(
            f"{what}: requests/s", f"{a['rate']:,.0f}", "predict alone", f"{alone:,.0f}", a["rate"] / alone, "0.9"
        )


def moving(folder: Path, uri: str, environment: dict[str, str], seconds: float) -> Iterator[Line]:
    """p99 of serve.py while @champion moves every 2 s, 8 connections, beside the steady one, in turns; medians.

    To and fro between two versions, as a promotion and its rollback do, and through three, so that each is loaded.
    Beside the steady one the alias of another model moves, which takes this process as long on the same cores.
    """
    from promotion.registry.client import Registry

    from tests.proofs.benchmarks.hammer import measured

    registry, port, body = Registry(uri), free_port(), folder / "body.json"
    command = [sys.executable, str(SCRIPTS / "serve.py"), "forest", "--port", str(port), "--poll-seconds", "0.5"]
    ways = {"to and fro": (1, 2), "through three versions": (1, 2, 3)}
    steady: list[dict[str, Any]] = []
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}

    def while_moving(model: str, versions: Sequence[int]) -> dict[str, Any]:
        stop, following = threading.Event(), itertools.cycle(versions)

        def move() -> None:
            while not stop.wait(2.0):
                registry.set_alias(model, "champion", next(following))

        (thread := threading.Thread(target=move)).start()
        try:
            return measured(port, 8, 2 * seconds, body)
        finally:
            stop.set()
            thread.join()

    def served(version: int) -> None:
        registry.set_alias("forest", "champion", version)
        while json.loads(_got(port, "/version").read())["version"] != version:
            time.sleep(0.1)

    with running([*command, "--store", str(folder / "store")], port, environment, folder / "moving.log"):
        time.sleep(3)  # the second worker
        measured(port, 8, 1.0, body)
        for _ in range(3):
            for way, versions in ways.items():
                for version in versions:
                    served(version)
                steady.append(while_moving("linear", versions))
                found[way].append(while_moving("forest", versions))
    before = statistics.median(result["p99"] for result in steady)
    for way, results in found.items():
        after = statistics.median(result["p99"] for result in results)
        counts = [Counter(result["statuses"]) for result in results]
        answers = sum(map(Counter.total, counts))
        failed = answers - sum(count["200"] for count in counts) + sum(result["lost"] for result in results)
        seen = set().union(*(result["versions"] for result in results))
        if len(seen) < len(ways[way]):
            raise SystemExit(f"the champion did not move {way}: {seen}")
        yield Line(
            f"forest, 8 connections, @champion moves every 2 s {way}: p99",
            f"{after:.1f} ms; {failed} of {answers:,} requests failed",
            "another's moves",
            f"{before:.1f} ms",
            after / before,
            "at most 1.2; 0 failed",
        )


def lines(models: Sequence[str] = tuple(MODELS), seconds: float = 5.0) -> Iterator[Line]:
    """Measure all of it, a line at a time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = f"sqlite:///{folder}/mlflow.db"
        made = make_models(folder, uri)
        # mlflow looks for uvicorn on the path
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": search}
        for kind in models:
            for peer in peers_of(folder / kind, all_of_them=kind == models[0]):
                yield from compare(kind, made[kind][1], peer, folder, environment, seconds)
        yield from moving(folder, uri, environment, seconds)


def main(argv: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the measurements")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=tuple(MODELS))
    args = parser.parse_args(argv)
    end_when_asked()
    print(table(lines(args.models, args.seconds)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
