"""serve.py beside `mlflow models serve`, same models, same run: one-row requests, and a champion that moves.

Run from the project's root: `python tests/proofs/benchmarks/bench_serve.py [--seconds 5]`. Prints Markdown tables with
ratios. A forest's predict takes milliseconds a row, a linear model's microseconds. Both servers must answer with the
same text. The client is a process of its own, on the same machine.
"""

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[2] / "scripts"
sys.path[:0] = [str(SCRIPTS), str(HERE.parents[2])]
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree"]
CLIENTS = (64, 8, 1)
GOALS = "goals: at 64 connections 40 times the rate, p99 at most a tenth of its p50; at one connection 5 times the rate"


def make_models(folder: Path, uri: str) -> dict[str, tuple[Path, Any]]:
    """Register a booster and a forest of 100 trees and a linear model; return folder and fitted model by name."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from promotion.records.files import digest_files
    from promotion.registry.client import Registry
    from promotion.registry.ledger import LedgerEntry
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 15)), columns=[f"f{i}" for i in range(15)])
    y = X.f0 + X.f1 * X.f2 > 0
    kinds = {
        "booster": HistGradientBoostingClassifier(max_iter=100, early_stopping=False),
        "forest": RandomForestClassifier(100, max_depth=10, n_jobs=2, random_state=0),
        "linear": LogisticRegression(),
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
        for _ in range(2):  # two versions, to move between
            run = registry.create_run(name, "bench", {})
            registry.log_files(run.run_id, path, "model")
            version = registry.register(name, run, {}).version
            pin = LedgerEntry(
                height=version, commit="a" * 40, before=None, version=version, digest=digest_files(path),
                reason="merge", at="t", by="bench",
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
    """Run a server until it answers `path` with 200; stop it at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            deadline = time.monotonic() + 120
            while not _up(port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _up(port: int, path: str = "/ping") -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port that is free now."""
    from promotion.serving.server import listen

    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def predict_alone(model: Any, body: Path) -> float:
    """Calls a second of the fitted model's own predict on one row, an array, one thread: what no server can beat."""
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
        while time.perf_counter() - began < 2.0:
            model.predict(row)
            calls += 1
        return calls / (time.perf_counter() - began)


def compare(name: str, model: Any, folder: Path, environment: dict[str, str], seconds: float) -> list[list[str]]:
    """Measure both servers in turns on one model; return the rows of the table."""
    from tests.proofs.benchmarks.hammer import measured

    body = folder / "body.json"
    ours, theirs = free_port(), free_port()
    serve_py = [sys.executable, str(SCRIPTS / "serve.py"), name, "--port", str(ours), "--store", str(folder / "store")]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / name), "--env-manager", "local"]
    rows, texts = [], set()
    with (
        running([*mlflow, "-p", str(theirs)], theirs, environment, folder / "theirs.log"),
        running(serve_py, ours, environment, folder / "ours.log"),
    ):
        for port in (ours, theirs):
            measured(port, 8, 1.0, body)
        for clients in CLIENTS:
            found = {}
            for port in (theirs, ours):
                results = [measured(port, clients, seconds, body) for _ in range(2)]
                texts |= {text for result in results for text in result["texts"]}
                if {status for result in results for status in result["statuses"]} != {"200"}:
                    raise SystemExit(f"not every answer was 200: {results}")
                found[port] = {key: statistics.mean(r[key] for r in results) for key in ("rate", "p50", "p99")}
            a, b = found[ours], found[theirs]
            rows.append(
                [
                    f"{name}, {clients} connections",
                    f"{a['rate']:.0f} ({a['p50']:.1f}, {a['p99']:.1f})",
                    f"{b['rate']:.0f} ({b['p50']:.1f}, {b['p99']:.1f})",
                    f"{a['rate'] / b['rate']:.1f}",
                    f"{a['p99'] / b['p50']:.2f}",
                ]
            )
            if clients == 1:
                most = predict_alone(model, body)
                rows[-1][1] += f"; {a['rate'] / most:.2f} of predict alone ({most:.0f}/s)"
    if len(texts) != 1:
        raise SystemExit(f"the servers disagree on {name}: {sorted(texts)}")
    return rows


def beside_litserve(name: str, folder: Path, environment: dict[str, str], seconds: float) -> list[list[str]]:
    """LitServe with the same model, where it is installed; it has no swap, so only its rate is compared."""
    from tests.proofs.benchmarks.hammer import measured

    body, ours, theirs = folder / "body.json", free_port(), free_port()
    serve_py = [sys.executable, str(SCRIPTS / "serve.py"), name, "--port", str(ours), "--store", str(folder / "store")]
    peer = [sys.executable, str(HERE / "litserver.py"), str(folder / name), str(theirs)]
    rows = []
    with (
        running(peer, theirs, environment, folder / "lit.log", "/health"),
        running(serve_py, ours, environment, folder / "ours.log"),
    ):
        for port in (ours, theirs):
            measured(port, 8, 1.0, body)
        for clients in CLIENTS:
            b, a = (measured(port, clients, seconds, body) for port in (theirs, ours))
            if set(b["statuses"]) | set(a["statuses"]) != {"200"}:
                raise SystemExit(f"not every answer was 200: {a} {b}")
            told = [f"{one['rate']:.0f} ({one['p50']:.1f}, {one['p99']:.1f})" for one in (a, b)]
            rows.append([f"{name}, {clients} connections", *told, f"{a['rate'] / b['rate']:.1f}"])
    return rows


def moving(folder: Path, uri: str, environment: dict[str, str], seconds: float) -> list[str]:
    """p99 of serve.py steady and while @champion moves every 2 s, 8 connections; return the row of the table."""
    from promotion.registry.client import Registry

    from tests.proofs.benchmarks.hammer import measured

    registry, port = Registry(uri), free_port()
    command = [sys.executable, str(SCRIPTS / "serve.py"), "forest", "--port", str(port), "--poll-seconds", "0.5"]
    with running([*command, "--store", str(folder / "store")], port, environment, folder / "moving.log"):
        time.sleep(3)  # the second worker
        body, stop = folder / "body.json", threading.Event()
        steady = [measured(port, 8, seconds, body)]

        def move() -> None:
            version = 1
            while not stop.wait(2.0):
                registry.set_alias("forest", "champion", version)
                version = 3 - version

        thread = threading.Thread(target=move)
        thread.start()
        while_moving = [measured(port, 8, 3 * seconds, body)]
        stop.set()
        thread.join()
        steady.append(measured(port, 8, seconds, body))
    p99 = [statistics.mean(result["p99"] for result in results) for results in (steady, while_moving)]
    failed = sum(count for status, count in while_moving[0]["statuses"].items() if status != "200")
    answers = sum(while_moving[0]["statuses"].values())
    return [
        f"forest, 8 connections, {answers} requests, versions {sorted(while_moving[0]['versions'])}",
        str(failed + while_moving[0]["lost"]),
        f"{p99[0]:.1f}",
        f"{p99[1]:.1f}",
        f"{p99[1] / p99[0]:.2f}",
    ]


def main(argv: list[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the measurements")
    parser.add_argument("--models", nargs="+", default=["booster", "forest", "linear"])
    args = parser.parse_args(argv)
    from tests.proofs.benchmarks.harness import markdown

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = f"sqlite:///{folder}/mlflow.db"
        models = make_models(folder, uri)
        # mlflow looks for uvicorn on the path
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": search}
        rows = []
        for kind in args.models:
            rows += compare(kind, models[kind][1], folder, environment, args.seconds)
        head = ["one-row requests, /s (p50, p99 ms)", "serve.py", "mlflow models serve", "rates", "p99 / its p50"]
        print(markdown(head, rows))
        if importlib.util.find_spec("litserve") is not None:
            rows = beside_litserve(args.models[0], folder, environment, args.seconds)
            print("\n" + markdown(["one-row requests, /s (p50, p99 ms)", "serve.py", "LitServe", "rates"], rows))
        print(f"\n{GOALS}, or 0.9 of what predict alone allows\n")
        row = moving(folder, uri, environment, args.seconds)
        print(markdown(["@champion moves every 2 s", "failed", "p99 ms steady", "p99 ms moving", "ratio"], [row]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
