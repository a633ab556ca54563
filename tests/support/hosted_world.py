"""A World whose main is hosted: a bare repository as `origin`, a person's clone of it, and GitHub's stand-in."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from promotion.config import promotion_yaml as config
from promotion.config.pin import PinRecord
from promotion.git.repo import Repo

from tests.support.github.standin import StandIn
from tests.support.worlds import GIT, World

REPOSITORY = "octo-org/fraud"
ORIGIN, CLONE = "hosted.git", "clone"


def publish(world: World) -> None:
    """Push a world to a bare repository beside it, its `origin`, and clone that as a person does."""
    origin = world.path.parent / ORIGIN
    _git(world.path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    world.git("remote", "add", "origin", str(origin))
    world.git("push", "--quiet", "origin", "main:main")
    _git(world.path, "clone", "--quiet", str(origin), str(origin.parent / CLONE))


class HostedWorld:
    """`world` is where merges happen, `clone` is a person's checkout; both talk to the bare `origin`."""

    def __init__(self, world: World, github: StandIn) -> None:
        self.world, self.github = world, github
        self.origin, self.clone = (world.path.parent / name for name in (ORIGIN, CLONE))
        if not self.origin.exists():
            publish(world)
        github.hub.git = self.origin

    def publish(self) -> str:
        """Push main to origin; return its tip."""
        self.world.git("push", "--quiet", "origin", "main:main")
        return self.world.tip

    def git(self, *args: str) -> str:
        """Run git in the person's clone."""
        return _git(self.clone, *args)

    def branches(self) -> set[str]:
        """The branches that origin has."""
        return set(_git(self.origin, "for-each-ref", "--format=%(refname:short)", "refs/heads").split())

    def tip(self, branch: str = "main") -> str:
        """The tip of a branch of origin."""
        return _git(self.origin, "rev-parse", f"refs/heads/{branch}")

    def squash(self, branch: str, subject: str) -> str:
        """Merge a branch of origin into main by squashing, as GitHub does; return the commit."""
        self.world.git("fetch", "--quiet", "origin")
        self.world.git("checkout", "--quiet", "main")
        self.world.git("reset", "--quiet", "--hard", "origin/main")
        self.world.git("merge", "--quiet", "--squash", f"origin/{branch}")
        self.world.git("commit", "--quiet", "-m", subject)
        return self.publish()

    def pull_main(self) -> None:
        """Bring the world's own main to origin's."""
        self.world.git("fetch", "--quiet", "origin")
        self.world.git("reset", "--quiet", "--hard", "origin/main")

    def pin(self, commit: str) -> PinRecord | None:
        """The pin at a commit of origin."""
        text = Repo(self.origin).file_at(commit, "promotion.yaml")
        assert text is not None
        return config.parse(text).models[self.world.model].champion

    def tree(self, commit: str) -> str | None:
        """The model folder's tree at a commit of origin."""
        return Repo(self.origin).object_at(commit, f"models/{self.world.model}")

    def pulls(self) -> list[dict]:
        """The open pull requests."""
        return [pull for pull in self.github.hub.state["pulls"] if pull["state"] == "open"]


def _git(where: Path, *args: str) -> str:
    import os

    done = subprocess.run(
        ["git", "-C", str(where), *args], capture_output=True, text=True, check=False, env={**os.environ, **GIT}
    )
    assert done.returncode == 0, f"git {args}: {done.stderr}"
    return done.stdout.rstrip("\n")


@pytest.fixture
def host(github: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[[World], HostedWorld]:
    """Host a world: `host(second_champion)`; verbs then find its registry, GitHub and a token in the environment."""

    def make(world: World) -> HostedWorld:
        for name in ("GITHUB_ACTIONS", "GITHUB_ACTOR", "GITHUB_RUN_ID", "GH_TOKEN", "PROMOTION_LOGIN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            **GIT,
            "MLFLOW_TRACKING_URI": world.uri,
            "GITHUB_API_URL": github.url,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": github.hub.token("dana"),
        }.items():
            monkeypatch.setenv(name, value)
        return HostedWorld(world, github)

    return make
