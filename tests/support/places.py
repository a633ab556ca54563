"""Folders at the same few paths in every test of a process.

MLflow keeps an engine and its stores for each database that was opened, by its path, and the engine every query that
it compiled: at a path that is new to them, most of a test's time is spent on making these again.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils


class Places:
    """The folders below `root`, given out anew to each test."""

    def __init__(self, root: Path) -> None:
        self.root, self.taken = root, 0

    def next(self) -> Path:
        """An empty folder that this test has not got yet; what an earlier test left there is removed."""
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs

        folder = self.root / f"place{self.taken}"
        self.taken += 1
        shutil.rmtree(folder, ignore_errors=True)
        for store in (Models, Runs):
            engine = store._engine_map.get(f"sqlite:///{folder / 'mlflow.db'}")
            if engine is not None:
                engine.dispose()  # its connections are to the file that was there
        utils._artifact_repos_cache.clear()  # MLflow remembers by the run's id alone where it keeps its files
        folder.mkdir()
        return folder


@pytest.fixture(scope="session")
def all_places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """The places of this process."""
    return Places(tmp_path_factory.mktemp("places"))


@pytest.fixture
def places(all_places: Places) -> Iterator[Places]:
    """The places of this process, all of them free."""
    all_places.taken = 0
    yield all_places
