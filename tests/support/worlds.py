"""States of the world for tests: a real git repository and a real MLflow, with versions too small to train.

Promotion never loads a model, so a version here is a real one that always answers 1, with true digests, tags and
evidence.
"""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promote
import pytest
from promotion.config import promotion_yaml as config
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.git.repo import Repo
from promotion.records.evaluation import Evaluation, JudgedRows, Side
from promotion.records.files import digest_files
from promotion.registry.client import CHAMPION, Registry, Version
from promotion.registry.ledger import LedgerEntry, Repair, read_ledger, read_repairs

from tests.support.artifacts import tiny_files
from tests.support.mlflow_server import empty_database
from tests.support.places import Places

MODEL = "tiny"
ENTRY = """\
  {name}:
    measure: {{test_days: 7, delay_days: 7}}
    gate:
      f1: "> 0.2"
    challenge: {{confidence: 0.95, looks: 5, f1: superior}}
    champion: null
"""
GIT = {
    "GIT_CONFIG_GLOBAL": str(Path(__file__).parent / "gitconfig"),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Dana",
    "GIT_AUTHOR_EMAIL": "dana@example.com",
    "GIT_COMMITTER_NAME": "Dana",
    "GIT_COMMITTER_EMAIL": "dana@example.com",
}


def policy_text(*models: str) -> str:
    """A promotion.yaml with an entry for each model and no champions."""
    return "models:\n" + "".join(ENTRY.format(name=name) for name in models)


def sha(text: str) -> str:
    """`sha256:<hex>` of a text, for digests that only need to differ."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class World:
    """A repository whose main has `models`, and a registry (SQLite beside it, or any `uri`)."""

    def __init__(self, path: Path, uri: str, models: tuple[str, ...] = (MODEL,)) -> None:
        path.mkdir(parents=True)
        self.path, self.uri, self.models = path, uri, models
        self.model = models[0]
        self.registry = Registry(uri)
        self.repo = Repo(path)
        self.git("init", "--quiet", "--initial-branch=main")
        self.initial = policy_text(*models)
        self.write("promotion.yaml", self.initial)
        for model in models:
            self.code("zero", model)
        self.commit("start")

    # git

    def git(self, *args: str) -> str:
        """Run git in the repository; return its stdout without the last newline."""
        command = ["git", "-C", str(self.path), *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **GIT})
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of the work tree."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def read(self, name: str = "promotion.yaml") -> str:
        """Read a file of the work tree."""
        return (self.path / name).read_text(encoding="utf-8")

    def code(self, text: str, model: str | None = None) -> str:
        """Change a model's code in the work tree; return the git tree of its folder."""
        model = model or self.model
        self.write(f"models/{model}/train.py", f"# {text}\n")
        tree = self.repo.working_tree(f"models/{model}") if (self.path / ".git/index").exists() else None
        return tree or ""

    def commit(self, message: str, *, when: str | None = None) -> str:
        """Commit everything; return the commit. when: ISO 8601, both dates."""
        with _environment(**({} if when is None else {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when})):
            self.commit_here(message)
        return self.git("rev-parse", "HEAD")

    def commit_here(self, message: str) -> None:
        """Commit everything on the branch that is checked out."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def revert(self, commit: str) -> str:
        """Revert a commit of main, as the Revert button and a squash do; return the new commit."""
        self.git("revert", "--no-edit", commit)
        return self.tip

    @property
    def tip(self) -> str:
        """The commit that main points at."""
        return self.git("rev-parse", "main")

    # registry

    def version(
        self,
        tree: str,
        text: str,
        *,
        model: str | None = None,
        champion: PinRecord | None = None,
        verdict: str | None = None,
        policy_digest: str | None = None,
        files: dict[str, bytes] | None = None,
        tags: dict[str, str] | None = None,
    ) -> PinRecord:
        """Register a version trained from `tree` that won against `champion`; return the pin that names it."""
        model = model or self.model
        digest_tags = {"key": sha(tree + text), "source_tree": tree}
        run = self.registry.create_run(model, text, digest_tags)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            folder.mkdir()
            for name, content in (tiny_files(text) if files is None else files).items():
                (folder / name).write_bytes(content)
            digest = digest_files(folder)
            self.registry.log_files(run.run_id, folder, "model")
            found = self.registry.register(model, run, {**digest_tags, "digest": digest, **(tags or {})})
            policy = config.load(self.path / "promotion.yaml").models[model].policy
            evidence = evaluation(
                model, verdict or ("FIRST" if champion is None else "PROMOTE"), policy.raw,
                policy_digest or policy.digest, Side(source_tree=tree, digest=digest), champion,
            )  # fmt: skip
            kept = evidence.write(Path(scratch) / f"{evidence.sha256.removeprefix('sha256:')}.json")
            self.registry.log_files(run.run_id, kept, "evidence")
        return PinRecord(version=found.version, source_tree=tree, digest=digest, evidence=evidence.sha256)

    def files_of(self, version: int, model: str | None = None) -> Path:
        """The folder that holds a version's files (SQLite worlds only)."""
        found = self.registry.version(model or self.model, version)
        assert isinstance(found, Version)
        return Path(found.source.removeprefix("file://"))

    # the story

    def pin(self, pin: PinRecord | None, model: str | None = None) -> None:
        """Write a pin into promotion.yaml of the work tree."""
        self.write("promotion.yaml", splice(self.read(), {model or self.model: pin}))

    def pinned(self, model: str | None = None) -> PinRecord | None:
        """The pin in promotion.yaml of the work tree."""
        return config.load(self.path / "promotion.yaml").models[model or self.model].champion

    def pinned_at(self, commit: str, model: str | None = None) -> PinRecord | None:
        """The pin in promotion.yaml at a commit."""
        return config.parse(self.git("show", f"{commit}:promotion.yaml")).models[model or self.model].champion

    def candidate(self, text: str, model: str | None = None, **how: Any) -> PinRecord:
        """Change the code and register the version that beat today's pin with it; pin nothing."""
        tree = self.code(text, model)
        how.setdefault("champion", self.pinned(model))
        return self.version(tree, text, model=model, **how)

    def merge(self, text: str, model: str | None = None, *, message: str | None = None, **how: Any) -> PinRecord:
        """Merge a retrain pull request into main: code, version, evidence and pin; move no alias."""
        pin = self.candidate(text, model, **how)
        self.pin(pin, model)
        self.commit(message or f"Retrain: {text} (#{self.height() + 1})")
        return pin

    def height(self, commit: str = "main") -> int:
        """First-parent height of a commit."""
        return int(self.git("rev-list", "--first-parent", "--count", commit))

    def promote(self, *args: str) -> int:
        """Run promote.py in this process against this world; return its exit code."""
        with _environment(MLFLOW_TRACKING_URI=self.uri):
            return promote.main([args[0], "--repo", str(self.path), *args[1:]])

    def apply(self, *args: str) -> int:
        """`promote.py apply`."""
        return self.promote("apply", *args)

    # what is

    def champion(self, model: str | None = None) -> int | None:
        """The version behind @champion."""
        found = self.registry.model(model or self.model)
        return None if found is None else found.aliases.get(CHAMPION)

    def set_champion(self, version: int | None, model: str | None = None) -> None:
        """Move (or delete) the alias by hand."""
        if version is None:
            self.registry.delete_alias(model or self.model, CHAMPION)
        else:
            self.registry.set_alias(model or self.model, CHAMPION, version)

    def tags(self, model: str | None = None) -> dict[str, str]:
        """All tags of the registered model."""
        found = self.registry.model(model or self.model)
        return {} if found is None else dict(found.tags)

    def ledger(self, model: str | None = None) -> list[LedgerEntry]:
        """The ledger's entries, oldest pin first."""
        return read_ledger(self.tags(model))

    def repairs(self, model: str | None = None) -> list[Repair]:
        """The recorded repairs, oldest first."""
        return read_repairs(self.tags(model))

    def state(self, model: str | None = None) -> tuple[int | None, dict[str, str]]:
        """Alias and all tags: what a refusal must leave as it was."""
        return self.champion(model), self.tags(model)


def evaluation(
    model: str, verdict: str, policy: dict[str, Any], policy_digest: str, candidate: Side, champion: PinRecord | None
) -> Evaluation:
    """The smallest honest evaluation.json: this candidate, this champion, this policy, this verdict."""
    side = None
    if champion is not None:
        side = Side(source_tree=champion.source_tree, digest=champion.digest, version=champion.version)
    return Evaluation(
        model=model, verdict=verdict, headline=verdict, policy=policy, policy_digest=policy_digest,
        test=JudgedRows(first="2026-08-01", last="2026-08-07", rows=10, digest=sha("test")),
        candidate=candidate, champion=side, gate=(), challenge=(), comparisons=(), days=(), power=(), looks=None,
        notes=(), confidence_used=0.95,
    )  # fmt: skip


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture
def new_world(places: Places) -> Callable[..., World]:
    """Make worlds: `new_world()`, `new_world("one", "two")` for several models."""

    def make(*models: str) -> World:
        folder = places.next()
        return World(folder / "repo", empty_database(folder), models or (MODEL,))

    return make


@pytest.fixture
def no_champion(new_world: Callable[..., World]) -> World:
    """One model, `champion: null`, an empty registry."""
    return new_world()


@pytest.fixture
def alias_moved_by_hand(second_champion: World) -> World:
    """Main pins version 2; somebody pointed @champion at version 1 in MLflow."""
    second_champion.set_champion(1)
    return second_champion


@pytest.fixture
def alias_gone(second_champion: World) -> World:
    """Main pins version 2; somebody deleted @champion."""
    second_champion.set_champion(None)
    return second_champion


@pytest.fixture
def version_gone(second_champion: World) -> World:
    """Main pins version 2; somebody deleted that version, and the alias with it."""
    second_champion.registry.client.delete_model_version(second_champion.model, "2")
    return second_champion


@pytest.fixture
def files_changed(second_champion: World) -> World:
    """Main pins version 2; its files were overwritten in the artifact store."""
    (second_champion.files_of(2) / "MLmodel").write_text("flavors: {}\nname: another\n")
    return second_champion


@pytest.fixture
def foreign_champion(no_champion: World) -> World:
    """The registry has a champion that this project never set; main pins nothing."""
    no_champion.candidate("theirs")
    no_champion.set_champion(1)
    no_champion.git("checkout", "--quiet", "--", ".")
    return no_champion
