"""A bare repository that stands for the hosted one, and pull requests against it, played with plain git."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.sandbox.run import Forge

BOT = ("promotion-bot", "promotion-bot@example.com")
PERSON = ("Dana Scientist", "dana@example.com")
FORGES: list[Forge] = []  # those that nobody uses now; a step at a time is forked from each
LEFT_OUT = (".git", ".venv", ".data", ".demo", ".work", ".tools", "__pycache__", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True)
class LocalPull:
    """An open pull request: its branch, its number, and the folder where its records go."""

    number: int
    title: str
    branch: str
    folder: Path


class Hosting:
    """`hosted.git` (bare), `clone` (a person's checkout of main) and pull requests between them.

    folder: of the project, what is promoted; nothing else of it is copied. scripts: those that run (default: the
    checkout's own).
    """

    def __init__(
        self, root: Path, project: Path, env: dict[str, str], *, folder: str = "", scripts: Path | None = None
    ) -> None:
        self.root = root
        self.project = project
        self.env = env
        self.folder, self.scripts = folder, scripts
        self.bare = root / "hosted.git"
        self.clone = root / "clone"
        self.count = 0

    def create(self, change: Callable[[Path], None] = lambda here: None) -> None:
        """Make the bare repository from the project's files and clone it; change: of the files, before the commit."""
        self._git(self.root, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        self._git(self.root, "clone", "--quiet", str(self.bare), str(self.clone))
        self._git(self.clone, "checkout", "--quiet", "-B", "main")
        for key, value in zip(("user.name", "user.email"), BOT, strict=True):
            self._git(self.clone, "config", key, value)
        copy_project(self.project, self.clone, below=self.folder)
        change(self.here)
        self._git(self.clone, "add", "--all")
        self.commit(self.clone, "The project as it ships", PERSON)
        self._git(self.clone, "push", "--quiet", "-u", "origin", "main")

    @property
    def here(self) -> Path:
        """What is promoted, in the clone."""
        return self.clone / self.folder

    def _git(self, where: Path, *args: str) -> str:
        return Repo(where).git(*args, env=self.env)

    def commit(self, where: Path, message: str, author: tuple[str, str] = PERSON) -> None:
        """Commit what is staged."""
        name, mail = author
        self._git(where, "-c", f"user.name={name}", "-c", f"user.email={mail}", "commit", "--quiet", "-m", message)

    def pull(self) -> str:
        """Bring the clone's main to the hosted tip and return it."""
        self._git(self.clone, "checkout", "--quiet", "main")
        self._git(self.clone, "pull", "--quiet", "--ff-only", "origin", "main")
        return Repo(self.clone).resolve("HEAD")

    def open(self, title: str, branch: str, folder: str) -> LocalPull:
        """Commit the clone's edits on a new branch, push it, and open a pull request."""
        self._git(self.clone, "checkout", "--quiet", "-b", branch)
        self._git(self.clone, "add", "--all")
        if self._git(self.clone, "status", "--porcelain").strip():
            self.commit(self.clone, title)
        self._git(self.clone, "push", "--quiet", "origin", branch)
        return self._numbered(title, branch, folder)

    def opened(self, pattern: str, title: str, folder: str) -> LocalPull:
        """Take a branch that a verb pushed for its pull request."""
        self._git(self.clone, "fetch", "--quiet", "origin")
        (name,) = self._git(
            self.clone, "for-each-ref", "--format=%(refname:lstrip=3)", f"refs/remotes/origin/{pattern}"
        ).split()
        return self._numbered(title, name, folder)

    def _numbered(self, title: str, branch: str, folder: str) -> LocalPull:
        self.count += 1
        path = self.root / f"pr-{self.count}-{folder}"
        path.mkdir()
        return LocalPull(self.count, title, branch, path)

    def merge_result(self, request: LocalPull) -> Path:
        """Check out refs/pull/N/merge as the hosting service makes it, in a folder of its own."""
        where = self.root / f"merge-{request.number}"
        if where.exists():
            self._git(self.clone, "worktree", "remove", "--force", str(where))
        self._git(self.clone, "fetch", "--quiet", "origin")
        self._git(self.clone, "worktree", "add", "--quiet", "--detach", str(where), "origin/main")
        message = f"Merge {request.branch} into main"
        name, mail = BOT
        identity = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
        self._git(where, *identity, "merge", "--quiet", "--no-ff", "-m", message, f"origin/{request.branch}")
        self._git(where, "push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{request.number}/merge")
        return where

    def commit_pin(self, request: LocalPull) -> None:
        """Commit promotion.yaml on the pull request's branch as the bot and push it as a plain fast-forward."""
        self._git(self.here, "add", "promotion.yaml")
        self.commit(self.clone, f"Pin the winner of #{request.number}", BOT)
        self._git(self.clone, "push", "--quiet", "origin", request.branch)

    def squash(self, request: LocalPull) -> str:
        """Merge a pull request by squashing it onto main; return the commit."""
        self.pull()
        self._git(self.clone, "merge", "--quiet", "--squash", f"origin/{request.branch}")
        self.commit(self.clone, f"{request.title} (#{request.number})")
        self._git(self.clone, "push", "--quiet", "origin", "main")
        return Repo(self.clone).resolve("HEAD")

    def revert(self, commit: str) -> None:
        """Undo a commit on a new branch of the clone, as the Revert button does; open() pushes it."""
        self.pull()
        name, mail = PERSON
        identity = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
        self._git(self.clone, "checkout", "--quiet", "-B", "revert-work")
        self._git(self.clone, *identity, "revert", "--no-edit", commit)

    def verb(self, where: Path, script: str, *args: str, log: Path, accept: Sequence[int] = (0,)) -> int:
        """Run one of the scripts, as a workflow step would; its output goes to `log`.

        It is forked from a process that has imported MLflow and its database, which are most of a verb's time.
        """
        scripts = self.scripts or where / "scripts"
        with log.open("a", encoding="utf-8") as handle:
            print(f"$ python scripts/{script} {' '.join(args)}", file=handle)
        order = {
            "step": "verb",
            "program": str(scripts / script),
            "path": [str(scripts)],
            "arguments": args,
            "folder": str(where),
            "log": str(log.resolve()),
            "environment": self.env,
        }
        try:
            forge = FORGES.pop()
        except IndexError:
            forge = Forge()
        try:
            code = forge.run(order)
        finally:
            FORGES.append(forge)
        if code not in accept:
            tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-25:])
            print(tail, file=sys.stderr)
            raise PromotionError(f"{script} exited with {code}; the end of {log} is above")
        return code


def copy_project(source: Path, target: Path, *, below: str = "") -> None:
    """Copy the project's files as they are now: git's own list where this is a checkout, else all but caches.

    below: only this folder of them.
    """
    repo = Repo(source)
    try:
        listed = repo.git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        names = [name for name in listed if name]
    except PromotionError:
        names = [
            str(path.relative_to(source))
            for path in source.rglob("*")
            if path.is_file() and not set(path.relative_to(source).parts) & set(LEFT_OUT)
        ]
    for name in names:
        if (source / name).is_file() and (not below or name.startswith(f"{below}/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def environment(root: Path, data: Path) -> dict[str, str]:
    """The environment of every step: an MLflow of its own in `root`, and no configuration of the caller's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GIT_", "GITHUB_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of some forty processes compiles these scripts for itself
    return {
        **kept,
        "MLFLOW_TRACKING_URI": f"sqlite:///{(root / 'mlflow.db').resolve()}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PROMOTION_DATA_DIR": str(data.resolve()),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",  # several steps run at once; threads of each would wait for the others' by spinning
    }
