"""Fixtures that all tests share, and how the tests are dealt out to processes."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

gc.disable()  # until all is imported: what is imported stays

# Tests run side by side: libraries' threads would wait for each other by spinning. Also one environment for all steps.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whatever the shell says: else every process of every run compiles tests and scripts for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Whatever a person has configured; and git spends no time on what would outlive a test.
os.environ["GIT_CONFIG_GLOBAL"] = str(Path(__file__).parent / "support" / "gitconfig")

settings.register_profile("untimed", deadline=None)  # a busy machine is no mistake
settings.load_profile("untimed")

pytest_plugins = [  # in the order in which they import each other, for pytest rewrites what it imports itself
    "tests.support.attacks",
    "tests.support.github.fixtures",
    "tests.support.places",
    "tests.support.worlds",
    "tests.support.hosted_world",
    "tests.support.copies",
]
# Files that one process runs: each starts a process that imports scikit-learn and MLflow, once, to fork from.
MODELS = (
    *("tests/sandbox/", "tests/retrain/", "tests/test_story.py", "tests/test_bad_input.py", "tests/test_challenge.py"),
    *("tests/test_elsewhere.py", "tests/test_second_model.py", "tests/pullrequest/test_incoming.py"),
    "tests/pullrequest/test_sides.py",
)
SERVERS = ("tests/serving/", "tests/test_serve.py")
# Of the others, those that take longest.
LONGEST = ("tests/champion/test_checks.py", "tests/proofs/", "tests/test_")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many processes again as cores: in a third of the time a test waits for a server or for a limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal the tests out by file; files that need the same process to fork from go to one worker."""
    from xdist.scheduler import LoadFileScheduling

    class ByProcess(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            together = (files for files in (MODELS, SERVERS) if nodeid.startswith(files))
            return next((files[0] for files in together), super()._split_scope(nodeid))

    return ByProcess(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that none of it is left alone at the end."""
    order = (MODELS, SERVERS, LONGEST)
    items.sort(key=lambda item: next((i for i, files in enumerate(order) if item.nodeid.startswith(files)), len(order)))


def pytest_collection_finish() -> None:
    """The garbage collector need not look at what was imported, nor come as often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def pytest_unconfigure() -> None:
    """Nor at what was left when pytest has it look once more, which takes seconds."""
    gc.freeze()
