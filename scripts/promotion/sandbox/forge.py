"""Imports the libraries once and forks a process for each step of model code; started by run.py, without credentials.

Run as a file: `python -s -P -u forge.py`. A line on stdin orders a step, a line on stdout says how it ended. What is
imported here is what every step would import for itself, so a forked step differs from a fresh one in time alone.
A fresh runner has no bytecode, and to compile it takes twice as long as to import it: two processes share that.
"""

import atexit
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import runpy
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Any

TABLES = ("numpy", "pandas", "pyarrow.parquet")
MODELS = (
    *TABLES,
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skops.io",
    "mlflow.sklearn",
    "mlflow.pyfunc.scoring_server",
)
DATABASE = (  # what a verb of a story needs, whose registry is a file
    "mlflow.artifacts",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "sqlalchemy.dialects.sqlite",
    "jinja2",
    "pydantic",
    "pyarrow.parquet",
    "yaml",
)
REQUIREMENTS = "mlflow.utils.requirements_utils"
NEEDED = {"features": TABLES, "sums": TABLES, "verb": DATABASE}


def main() -> None:
    """Fork on request until nobody orders any more; SIGTERM, or the death of who ordered, ends step and process."""
    child = 0

    def end(*_: object) -> None:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    news, told = os.pipe()  # of a child that ended
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    watched = select.poll()
    watched.register(0, 0)  # tells of a hang-up alone
    watched.register(news, select.POLLIN)
    for line in sys.stdin:
        order = json.loads(line)
        needed = NEEDED.get(order["step"], MODELS)
        import_all(needed)
        if needed is MODELS:
            with contextlib.suppress(Exception):  # MLflow lists what is installed, once, for every model that it loads
                importlib.import_module(REQUIREMENTS).warn_dependency_requirement_mismatches(["mlflow"])
        gc.freeze()  # what is shared with the forks is not touched by them
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            for one in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(one, signal.SIG_DFL)
            os._exit(run(order))
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if any(where == 0 for where, _ in watched.poll()):
                end()
            os.read(news, 4096)
        child = 0
        print(json.dumps({"code": os.waitstatus_to_exitcode(ended[1])}), flush=True)


def import_all(names: tuple[str, ...]) -> None:
    """Import modules; where their bytecode is missing, write it, beside a process that begins at the other end."""
    steps_write, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    new = [name for name in names if name not in sys.modules]
    fresh = any(not compiled(name.partition(".")[0]) for name in new)
    if fresh and os.fork() == 0:
        os.closerange(0, 2)  # whoever waits for an answer sees the end of the process that gives it
        each(reversed(new))
        os._exit(0)
    each(new)
    sys.dont_write_bytecode = steps_write  # no step writes beside the libraries, nor into a model's folder


def compiled(package: str) -> bool:
    """Whether a package has its bytecode, or none is needed: it is not installed, or is no file."""
    spec = importlib.util.find_spec(package)
    return spec is None or spec.cached is None or os.path.exists(spec.cached)


def each(names: Iterable[str]) -> None:
    """Import what can be imported."""
    for name in names:
        with contextlib.suppress(Exception):  # the step that needs it says so in its own log
            importlib.import_module(name)


def run(order: dict[str, Any]) -> int:
    """Become the process that was ordered: its program, folder, environment and log; return its exit code."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.argv = [order["program"], *order["arguments"]]
    sys.path[:0] = order.get("path", [])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # else every fork would draw the same numbers
    code = 0
    try:
        runpy.run_path(order["program"], run_name="__main__")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what a process does at its end, as multiprocessing's forks do
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


if __name__ == "__main__":
    main()
