"""Run model code, or a model, in a process of its own, with an environment that holds no secret."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.frozen import strict_json

HERE = Path(__file__).parent
KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT", "PROMOTION_DATA_DIR", "OMP_NUM_THREADS")
FIXED = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "Agg",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# what no library reads when it is imported
UNREAD = {"HOME", "MLFLOW_TRACKING_URI", "GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE", "PROMOTION_DATA_DIR", "PROMOTION_NOW"}
TAIL_LINES = 40
LITTLE = 1 << 16  # bytes, with which neither a log nor an answer can be relied on
MOST_RESULT = 1 << 20


def clean_environment(home: str) -> dict[str, str]:
    """Return the environment for model code: an allow-list, so what is not named here is not seen."""
    # OPENBLAS_*: what the machine tells its linear algebra decides the last bits of a sum
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("OPENBLAS_")}
    kept.setdefault("PROMOTION_DATA_DIR", str(Path.cwd() / ".data"))
    return {**kept, "HOME": home, **FIXED}


def run_model_code(step: str, job: dict[str, Any], *, log: Path, blame: Path) -> dict[str, Any]:
    """Run one step of child.py, which imports the model folder `job["source"]`, and return its result.

    Model code's output goes to `log`. An expected complaint is a PromotionError that names a file of the folder
    `blame`; when the code raises, its traceback is printed, then where the log is.
    """
    return _run("child.py", step, job, log=log, blame=blame)


def run_model(step: str, job: dict[str, Any], *, log: Path, blame: Path) -> dict[str, Any]:
    """Run one step of answer.py, which loads the saved model `job["model"]` alone, and return its result."""
    return _run("answer.py", step, job, log=log, blame=blame)


class Forge:
    """Forks a process for each step from one that has imported the libraries; that one ends with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._one = threading.Lock()  # a step at a time
        atexit.register(self.close)

    def run(self, order: dict[str, Any]) -> int:
        """Run one step; return its exit code, negative for a signal."""
        with self._one:
            process = self._started(order["environment"])
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            except BaseException:  # the caller was interrupted or is overdue: nobody waits for this step any more
                process.terminate()
                process.wait()
                raise
            return int(json.loads(line)["code"]) if line else process.wait()

    def close(self) -> None:
        """End it, where it runs."""
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
        self._process = None

    def _started(self, environment: dict[str, str]) -> "subprocess.Popen[str]":
        """The process to fork from: another one where libraries would read another environment at their import."""
        read = {name: value for name, value in environment.items() if name not in UNREAD}
        if self._process is None or self._process.poll() is not None or self._environment != read:
            self.close()
            self._environment = read
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-u", str(_here() / "forge.py")],  # not -I, which ignores PYTHONHASHSEED
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        return self._process


FORGE = Forge()


@functools.cache
def _here() -> Path:
    """The folder of the programs as files; a cluster's worker was sent them in a zip."""
    packed = next((one for one in HERE.parents if one.is_file()), None)
    if packed is None:
        return HERE
    folder = tempfile.mkdtemp(prefix="promotion-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(packed) as files:
        files.extractall(folder)
    return Path(folder) / HERE.relative_to(packed)


def _run(program: str, step: str, job: dict[str, Any], *, log: Path, blame: Path) -> dict[str, Any]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        request, answer = Path(home) / "job.json", Path(home) / "result.json"
        log.write_bytes(b"")
        request.write_text(json.dumps({**job, "step": step, "name": blame.name}), encoding="utf-8")
        order = {
            "step": step,
            "program": str(_here() / program),
            "arguments": [str(request), str(answer)],
            "folder": home if program == "answer.py" else str(Path.cwd()),
            "log": str(log.resolve()),
            "environment": clean_environment(home),
        }
        returncode = FORGE.run(order)
        result = _answer(answer) if returncode == 0 else None  # a step that was killed may have left one
    if result is not None and not {"complaint", "raised"} & set(result):
        return result
    if result is not None and "complaint" in result:
        file = blame / str(result["file"]) if "file" in result else blame
        line = result.get("line")
        raise PromotionError(
            f"{result['complaint']} (log: {log})", file=file, line=line if isinstance(line, int) else None, log=log
        )
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    print("\n".join(tail), file=sys.stderr)
    place, line = (result or {}).get("raised_in") or (None, None)
    if returncode < 0:
        how = f"died by signal {-returncode}"
    elif result is not None:
        how = f"raised {str(result['raised'])[:500]}"
    elif returncode:
        last = next((line for line in reversed(tail) if line.strip()), "nothing was printed")
        how = f"ended with exit code {returncode} ({last.strip()[:200]})"
    else:
        how = "ended without an answer, as after os._exit(0)"
    if shutil.disk_usage(log.parent).free < LITTLE:
        how += f"; the disk of {log.parent} is full"
    raise PromotionError(
        f"the {step} step {how}; its own output is above, the whole log is {log}",
        file=blame if place is None else blame / str(place),
        line=line if isinstance(line, int) else None,
        log=log,
    )


def _answer(path: Path) -> dict[str, Any] | None:
    try:
        value = strict_json(path.read_text(encoding="utf-8")) if path.stat().st_size <= MOST_RESULT else None
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
