"""Requests a second of serve.py beside `mlflow models serve`, on the same model in the same run.

Run from the project's root: `python tests/proofs/benchmarks/bench_serve.py [--seconds 5] [--clients 8]`.
Prints one Markdown row; both servers answer with the same text, which is checked.
"""

import argparse
import contextlib
import http.client
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

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
ROUNDS = 2


def make_model(folder: Path, uri: str) -> tuple[Path, str]:
    """Register a histogram booster of 100 trees as `bench`@champion; return its folder and a one-row request."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from promotion.registry.client import Registry
    from sklearn.ensemble import HistGradientBoostingClassifier

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20_000, 15)), columns=[f"f{i}" for i in range(15)])
    model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False).fit(X, X.f0 + X.f1 * X.f2 > 0)
    path = folder / "model"
    mlflow.sklearn.save_model(
        model,
        str(path),
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
        pip_requirements=["scikit-learn"],
        signature=infer_signature(X, model.predict(X)),
        input_example=X.head(2),
    )
    registry = Registry(uri)
    run = registry.create_run("bench", "bench", {})
    registry.log_files(run.run_id, path, "model")
    registry.set_alias("bench", "champion", registry.register("bench", run, {}).version)
    return path, json.dumps({"dataframe_split": X.head(1).to_dict("split")})


@contextlib.contextmanager
def running(command: list[str], port: int, environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server until it answers /ping with 200; stop it at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            deadline = time.monotonic() + 120
            while not _up(port):
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


def _up(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False


def measure(port: int, body: str, clients: int, seconds: float) -> tuple[float, float, set[str]]:
    """Return requests a second, the median milliseconds of one, and the different answers."""
    times: list[float] = []
    texts: set[str] = set()
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.perf_counter() < end:
            began = time.perf_counter()
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            times.append(time.perf_counter() - began)
            texts.add(f"{response.status} {text}")

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / seconds, statistics.median(times) * 1000, texts


def free_port() -> int:
    """A port that is free now."""
    from promotion.serving.server import listen

    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def main(argv: list[str] | None = None) -> int:
    """Measure both in turns and print the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the measurements")
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args(argv)
    sys.path.insert(0, str(SCRIPTS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = f"sqlite:///{folder}/mlflow.db"
        path, body = make_model(folder, uri)
        # mlflow looks for uvicorn on the path
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": search}
        ours, theirs = free_port(), free_port()
        serve_py = [sys.executable, str(SCRIPTS / "serve.py"), "bench", "--port", str(ours)]
        mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(path), "--env-manager", "local"]
        rates: dict[tuple[int, int], list[tuple[float, float]]] = {}
        answers: set[str] = set()
        with (
            running(serve_py, ours, environment, folder / "ours.log"),
            running([*mlflow, "-p", str(theirs)], theirs, environment, folder / "theirs.log"),
        ):
            for port in (ours, theirs):
                measure(port, body, args.clients, 1.0)
            for _ in range(ROUNDS):
                for clients in (args.clients, 1):
                    for port in (ours, theirs):
                        rate, median, texts = measure(port, body, clients, args.seconds)
                        rates.setdefault((port, clients), []).append((rate, median))
                        answers |= texts
        if len(answers) != 1:
            raise SystemExit(f"the servers disagree: {sorted(answers)}")
    print("| one-row requests | serve.py, /s (median ms) | mlflow models serve, /s (median ms) | ratio |")
    print("|---|---|---|---|")
    for clients in (args.clients, 1):
        cells = []
        for port in (ours, theirs):
            cells.append([statistics.mean(values) for values in zip(*rates[port, clients], strict=True)])
        (a, a_ms), (b, b_ms) = cells
        print(f"| {clients} connections | {a:.0f} ({a_ms:.1f}) | {b:.0f} ({b_ms:.1f}) | {a / b:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
