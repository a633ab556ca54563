"""Real runs of a verb at the price of a fork: one process imports MLflow once and forks for each run.

Started as a program it reads commands as JSON lines and answers each with one line. A run is a process of
its own that calls the main of promote.py, or of another verb, and nothing else, so it can be stopped and
killed like any other.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
# Faults come quickly here; the limits that the product ships with are in promotion/registry.py.
HASTE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.05",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@dataclass(frozen=True)
class Ended:
    """How a run ended. code: its exit code, or minus the signal that killed it."""

    code: int
    output: str


class Promoters:
    """Starts runs of promote.py, or of another verb."""

    def __init__(self) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        self._files: dict[int, Path] = {}
        self._count = 0
        env = {**os.environ, "PYTHONPATH": f"{SCRIPTS}:{SCRIPTS.parent}", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, argv: list[str], env: dict[str, str], verb: str = "promote") -> int:
        """Start one run; return its process id."""
        self._count += 1
        output = Path(self._outputs.name) / f"{self._count}.txt"
        pid = self._ask(do="start", verb=verb, argv=argv, env={**HASTE, **env}, output=str(output))["pid"]
        self._files[pid] = output
        return pid

    def wait(self, pid: int) -> Ended:
        """Wait for a run to end (once for each)."""
        code = self._ask(do="wait", pid=pid)["code"]
        return Ended(code, self._files.pop(pid).read_text(encoding="utf-8", errors="replace"))

    def close(self) -> None:
        """Kill what still runs and end."""
        for pid in list(self._files):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._outputs.cleanup()


@contextlib.contextmanager
def promoters() -> Iterator[Promoters]:
    """Promoters that are gone at the end."""
    made = Promoters()
    try:
        yield made
    finally:
        made.close()


def _run(command: dict[str, Any]) -> None:
    """In the child: become a run of the verb and never return."""
    import importlib

    code = 70
    try:
        with open(command["output"], "w", buffering=1, encoding="utf-8") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.close(0)
            os.environ.update(command["env"])
            code = importlib.import_module(command["verb"]).main(command["argv"])
            sys.stdout.flush()
            sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def serve() -> None:
    """Fork a run for each `start`, reap it for each `wait`."""
    import mlflow.artifacts  # noqa: F401
    import promote  # noqa: F401
    from mlflow import MlflowClient  # noqa: F401

    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _run(command)
            print(json.dumps({"pid": pid}), flush=True)
        else:
            _, status = os.waitpid(command["pid"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
