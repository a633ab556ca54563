"""Fixtures that all tests share."""

import os

# Tests run side by side: libraries' threads would wait for each other by spinning. Also one environment for all steps.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = [
    "tests.support.github.fixtures", "tests.support.worlds", "tests.support.copies", "tests.support.hosted_world"
]  # fmt: skip
pytest_plugins += ["tests.support.attacks"]
