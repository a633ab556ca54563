"""Fixtures that all tests share, and how the tests are dealt out to processes."""

import gc
import os
import sys

import pytest

# Tests run side by side: libraries' threads would wait for each other by spinning. Also one environment for all steps.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whatever the shell says: else every process of every run compiles tests and scripts for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# And no repository of a test needs the fourteen examples of hooks that git would copy into each.
os.environ["GIT_TEMPLATE_DIR"] = ""

pytest_plugins = [
    "tests.support.attacks",
    "tests.support.copies",
    "tests.support.github.fixtures",
    "tests.support.hosted_world",
    "tests.support.worlds",
]
LONGEST = ("tests/serving/", "tests/test_serve.py", "tests/test_story.py", "tests/proofs/")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many processes again as cores: in a third of the time a test waits for a server or for a limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that none of them is left alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """What was imported stays, so the garbage collector need not look at it again, nor come as often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
