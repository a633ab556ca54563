"""The stage, set up once: starting MLflow's server takes longer than any run of a workflow."""

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.stage import Server, Stage, tool


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running MLflow server."""
    if tool("act") is None:
        pytest.skip("act is not installed; `make test-workflows` installs it where Go is present")
    if platform.system() == "Windows":
        pytest.skip("act's host mode needs bash")
    found = Server(tmp_path_factory.mktemp("mlflow"))
    try:
        yield found.start()
    finally:
        found.stop()


@pytest.fixture(scope="module")
def stage(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A hosted repository with two models and no champion."""
    root: Path = tmp_path_factory.mktemp("stage")
    made = Stage(root, server, ("tiny", "other"))
    yield made
    made.stop()
