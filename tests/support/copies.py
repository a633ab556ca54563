"""States of the world that are built once a session and copied for each test, which takes a tenth of the time."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from promotion.git.repo import Repo
from promotion.registry.client import Registry

from tests.support.hosted_world import CLONE, publish
from tests.support.mlflow_server import empty_database
from tests.support.places import Places
from tests.support.worlds import World

Prepared = Callable[..., World]
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def copied(world: World, template: Path, folder: Path) -> World:
    """Return a copy of a world that was built elsewhere and put aside: files, git, and the registry with its paths."""
    old = world.path.parent
    shutil.copytree(template, folder, dirs_exist_ok=True)
    if folder != old:
        with sqlite3.connect(folder / "mlflow.db") as database:
            for table, column in ADDRESSES:
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(old), str(folder)))
        database.close()
        for repository in ("repo", CLONE):
            config = folder / repository / ".git" / "config"
            if config.exists():
                config.write_text(config.read_text().replace(f"{old}/", f"{folder}/"))
    copy = World.__new__(World)
    copy.path, copy.uri = folder / "repo", f"sqlite:///{folder / 'mlflow.db'}"
    copy.models, copy.model, copy.initial = world.models, world.model, world.initial
    copy.registry, copy.repo = Registry(copy.uri), Repo(copy.path)
    return copy


@pytest.fixture(scope="session")
def templates() -> dict[str, tuple[World, Path]]:
    """Worlds that were built already, by name, and the folders of their copies; each test gets a copy."""
    return {}


@pytest.fixture
def prepared(
    templates: dict[str, tuple[World, Path]], places: Places, tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """A world that `build` brought into a state, built once a session: `prepared("third champion", build)`.

    hosted: with its origin and a person's clone, for `host`.
    """

    def make(name: str, build: Callable[[World], None], *, hosted: bool = False) -> World:
        folder, name = places.next(), f"{name}, hosted" if hosted else name
        if name in templates:
            return copied(*templates[name], folder)
        world = World(folder / "repo", empty_database(folder))
        with pytest.MonkeyPatch.context() as outside:
            for variable in ("GITHUB_ACTIONS", "GITHUB_ACTOR", "GITHUB_RUN_ID"):
                outside.delenv(variable, raising=False)
            build(world)
        world.git("repack", "-a", "-d", "-q")  # few files are copied sooner than many
        if hosted:
            publish(world)
        template = tmp_path_factory.mktemp("template")
        shutil.copytree(folder, template, dirs_exist_ok=True)
        templates[name] = (world, template)
        return world

    return make


def champions(*texts: str) -> Callable[[World], None]:
    """Build a world whose versions were champion one after the other."""

    def build(world: World) -> None:
        for text in texts:
            world.merge(text)
            assert world.apply() == 0

    return build


def and_then(build: Callable[[World], None], *more: Callable[[World], object]) -> Callable[[World], None]:
    """Build a world, then do more to it."""

    def whole(world: World) -> None:
        build(world)
        for one in more:
            one(world)

    return whole


def _applied(world: World) -> None:
    assert world.apply() == 0


@pytest.fixture
def first_champion(prepared: Prepared) -> World:
    """Version 1 is pinned, applied and @champion."""
    return prepared("first champion", champions("one"))


@pytest.fixture
def champion_and_better_candidate(prepared: Prepared) -> World:
    """Version 1 is @champion; version 2 won against it and its pin is merged, not applied."""
    return prepared("better candidate", and_then(champions("one"), lambda world: world.merge("two")))


@pytest.fixture
def second_champion(prepared: Prepared) -> World:
    """Version 2 followed version 1 as @champion."""
    return prepared("second champion", champions("one", "two"))


@pytest.fixture
def rolled_back(prepared: Prepared) -> World:
    """Version 1 is @champion again, by a revert."""
    build = and_then(champions("one", "two"), lambda world: world.revert(world.tip), _applied)
    return prepared("rolled back", build)
