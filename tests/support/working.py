"""What tests give to workers; a module, because a worker imports what it is given."""

import contextlib
import importlib
import os
import signal
from pathlib import Path
from typing import Any

from promotion.sandbox import answering
from promotion.sandbox.run import run_model_code


def doubled(number: int) -> int:
    """Twice a number."""
    return 2 * number


def dies_first(marker: Path, number: int) -> int:
    """Twice a number; whoever comes first is killed."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return 2 * number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def always_dies(number: int) -> int:
    """Nobody survives this."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def answers_or_dies(marker: Path, *item: Any) -> Any:
    """A day's answers; whoever comes first is killed when they are written, before anybody is told."""
    found = answering._part(*item)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return found
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def always_dies_on_a_day(*item: Any) -> Any:
    """No worker survives any day."""
    os.kill(os.getpid(), signal.SIGKILL)


def waits_in_model_code(begun: Path) -> None:
    """Let model code say that it has begun, by a FIFO that it keeps open, and wait for ever."""
    folder = begun.parent / "model"
    folder.mkdir()
    code = f"import signal\nheld = open({str(begun)!r}, 'w')\nheld.write('begun')\nheld.flush()\nsignal.pause()\n"
    (folder / "data.py").write_text(code, encoding="utf-8")
    job = {"source": str(folder), "first": "2026-03-01", "days": 1, "features": str(folder), "table": str(folder)}
    run_model_code("features", job, log=folder / "log", blame=folder)


def forged(folder: Path) -> int:
    """Run a step of model code, which ends at once; return the process that this worker forks steps from."""
    folder.mkdir(exist_ok=True)
    (folder / "data.py").write_text(f"import os\nopen({str(folder / 'pid')!r}, 'w').write(str(os.getppid()))\n")
    job = {"source": str(folder), "first": "2026-03-01", "days": 1, "features": str(folder), "table": str(folder)}
    now = importlib.import_module("promotion.sandbox.run")  # of the scripts that the worker has now
    with contextlib.suppress(Exception):  # it has no load()
        now.run_model_code("features", job, log=folder / "log", blame=folder)
    return int((folder / "pid").read_text())


def environment() -> dict[str, str]:
    """What a worker's environment has."""
    return dict(os.environ)


def lacking(number: int) -> int:
    """Needs what nobody has."""
    return int(importlib.import_module("a_library_that_nobody_has").double(number))
