"""A real `mlflow server` for tests: one worker, a free port, waited for at /health, always stopped; and its tables."""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 120
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@functools.cache
def _tables() -> bytes:
    from mlflow import MlflowClient
    from mlflow.store.db import utils

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
        # which tables are the newest: MLflow loads fifty modules to find out, for every database that is opened
        utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)
        return path.read_bytes()


def empty_database(folder: Path, name: str = "mlflow.db") -> str:
    """Put a SQLite file with MLflow's tables and nothing in them into `folder`; return its URI.

    Making the tables takes more than a second, so it is done once a process.
    """
    (folder / name).write_bytes(_tables())
    return f"sqlite:///{folder / name}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(
    command: list[str], log: Path, env: dict[str, str], cwd: Path | None = None, user: int | None = None
) -> Iterator[subprocess.Popen]:
    """Run a server in its own process group (as `user`, where given) and stop the whole group at the end."""
    who = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    with log.open("wb") as out:
        started = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
            cwd=cwd,
            **who,
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(15)
        with contextlib.suppress(ProcessLookupError):  # workers that outlive their parent
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def wait_for(url: str, started: subprocess.Popen, log: Path, seconds: float = START_SECONDS) -> None:
    """Return once `url` answers; fail with the log when the server ended or the deadline passed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if started.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers, if only that we may not
        except OSError:
            time.sleep(0.1)  # the deadline decides, not this pause
    raise AssertionError(f"{url} did not answer:\n" + log.read_text(errors="replace")[-3000:])


def served_from(backend: str, artifacts: Path) -> dict[str, str]:
    """The environment in which `mlflow server` starts its application: a backend store, and artifacts by way of it."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": backend,
        "_MLFLOW_SERVER_REGISTRY_STORE": backend,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(artifacts),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }


@contextlib.contextmanager
def mlflow_server(folder: Path, backend: str, *args: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """Serve MLflow from a backend store; artifacts go through the server into `folder` unless `args` say else.

    Without `args` it is what `mlflow server` starts, without the process that starts it: that takes as long again.
    """
    port, log = free_port(), folder / "server.log"
    place = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    if args:
        command = [sys.executable, "-m", "mlflow", "server", *place, *args]
        env = {"MLFLOW_BACKEND_STORE_URI": backend, **(env or {})}
    else:
        command = [sys.executable, "-m", "uvicorn", *place, "mlflow.server.fastapi_app:app"]
        env = {**served_from(backend, folder / "artifacts"), **(env or {})}
    with process(command, log, {**QUIET, **env}, cwd=folder) as started:
        wait_for(f"http://127.0.0.1:{port}/health", started, log)
        yield f"http://127.0.0.1:{port}"
