"""The only module that runs git: trees, first-parent history, files at a commit."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from promotion.errors import PromotionError


@dataclass(frozen=True)
class Commit:
    """One commit as history shows it. when: ISO 8601 with offset, of the committer."""

    sha: str
    parents: tuple[str, ...]
    author: str
    when: str
    subject: str


class Repo:
    """A git checkout or bare repository at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def git(self, *args: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        """Run git and return its stdout; raise PromotionError with git's own first line when it fails."""
        done = self._run(args, stdin, env)
        if done.returncode != 0:
            complaint = (done.stderr.strip().splitlines() or ["no message"])[0]
            raise PromotionError(f"git {args[0]} failed in {self.path}: {complaint}")
        return done.stdout

    def attempt(self, *args: str, stdin: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Run git and return (exit code, stdout, stderr), for callers that tell git's refusals apart."""
        done = self._run(args, stdin, env)
        return done.returncode, done.stdout, done.stderr

    def _run(
        self, args: tuple[str, ...], stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            # bytes, decoded here: text mode would turn a file's CRLF into LF
            done = subprocess.run(
                ["git", "-C", str(self.path), *args],
                input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(env or {})},
                check=False,
            )
        except FileNotFoundError:
            raise PromotionError("git is not installed or not on PATH; install git") from None
        texts = (part.decode("utf-8", "surrogateescape") for part in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def check(self) -> None:
        """Raise PromotionError unless this is a git repository."""
        done = self._run(("rev-parse", "--git-dir"))
        if done.returncode != 0:
            raise PromotionError(f"{self.path} is not a git checkout; run this from a clone of your repository")

    @property
    def root(self) -> Path:
        """The top folder of the work tree."""
        self.check()
        return Path(self.git("rev-parse", "--show-toplevel").rstrip("\n"))

    def resolve(self, revision: str) -> str:
        """Return the full id of a commit; an unknown one is its own error (a shallow clone, rewritten history)."""
        done = self._run(("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"))
        if done.returncode != 0:
            self.check()
            hint = (
                "this clone is shallow: run `git fetch --unshallow` (in Actions: `fetch-depth: 0`)"
                if self.is_shallow()
                else "fetch it, or check whether history was rewritten"
            )
            raise PromotionError(f"unknown commit {revision}; {hint}")
        return done.stdout.strip()

    def is_shallow(self) -> bool:
        """Whether the clone lacks part of its history."""
        return self.git("rev-parse", "--is-shallow-repository").strip() == "true"

    def need_full_history(self) -> None:
        """Raise PromotionError in a shallow clone."""
        self.check()
        if self.is_shallow():
            raise PromotionError(
                "this clone is shallow, so its history cannot be read; "
                "run `git fetch --unshallow` (in Actions: `fetch-depth: 0`)"
            )

    def need_clean(self, path: str) -> None:
        """Raise PromotionError when files below `path` differ from HEAD."""
        changed = self.git("status", "--porcelain", "--untracked-files=all", "--", path).splitlines()
        if changed:
            raise PromotionError(
                f"uncommitted changes below {path} (first: {changed[0][3:]}); commit or stash them, "
                "because a model is named by the git tree that it was made from"
            )

    def object_at(self, commit: str, path: str) -> str | None:
        """Return the id of the tree or blob at `path` of a commit, or None where there is none."""
        done = self._run(("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}"))
        if done.returncode == 0:
            return done.stdout.strip()
        self.resolve(commit)
        return None

    def file_at(self, commit: str, path: str) -> str | None:
        """Return the text of a file at a commit, or None where there is none."""
        blob = self.object_at(commit, path)
        return None if blob is None else self.git("cat-file", "blob", blob)

    def folders_at(self, commit: str, path: str) -> tuple[str, ...]:
        """Return the names of the folders directly below `path` at a commit."""
        lines = self.git("ls-tree", "-z", "-d", "--name-only", commit, f"{path}/").split("\0")
        return tuple(line.rsplit("/", 1)[-1] for line in lines if line)

    def has_object(self, name: str) -> bool:
        """Whether an object is in this clone."""
        return self._run(("cat-file", "-e", name)).returncode == 0

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is reachable from `newer`; an unknown commit raises PromotionError."""
        done = self._run(("merge-base", "--is-ancestor", older, newer))
        if done.returncode in (0, 1):
            return done.returncode == 0
        self.resolve(older)
        self.resolve(newer)
        raise PromotionError(f"git merge-base failed: {done.stderr.strip()}")

    def parents(self, commit: str) -> tuple[str, ...]:
        """Return the parents of a commit, the first parent first."""
        return tuple(self.git("rev-list", "--parents", "-n", "1", self.resolve(commit)).split()[1:])

    def on_first_parent(self, commit: str, tip: str) -> bool:
        """Whether `commit` lies on the first-parent chain of `tip`."""
        chain = self.git("rev-list", "--first-parent", tip).split()
        return commit in chain

    def first_parent_log(self, tip: str, path: str | None = None) -> list[Commit]:
        """Return the first-parent commits of `tip`, newest first; with `path`, those that changed it."""
        form = "--format=%H%x1f%P%x1f%an%x1f%cI%x1f%s%x1e"
        args = ["log", "--first-parent", form, tip]
        text = self.git(*args, *([] if path is None else ["--", path]))
        commits = []
        for line in text.split("\x1e"):
            if line.strip():
                sha, parents, author, when, subject = line.strip("\n").split("\x1f")
                commits.append(Commit(sha, tuple(parents.split()), author, when, subject))
        return commits

    def describe(self, commit: str) -> Commit:
        """Return one commit's author, time and subject."""
        text = self.git("log", "-1", "--format=%H%x1f%P%x1f%an%x1f%cI%x1f%s", commit)
        sha, parents, author, when, subject = text.rstrip("\n").split("\x1f")
        return Commit(sha, tuple(parents.split()), author, when, subject)

    def first_with(self, base: str, tip: str, path: str, tree: str) -> Commit | None:
        """Return the oldest commit of `base`..`tip` in which `path` is this very tree, or None."""
        for sha in self.git("rev-list", "--reverse", "--topo-order", f"{base}..{tip}").split():
            if self.object_at(sha, path) == tree:
                return self.describe(sha)
        return None

    def changed_paths(self, old: str, new: str) -> tuple[str, ...]:
        """Return the paths that differ between two commits, renames as both names."""
        text = self.git("diff", "--name-only", "--no-renames", "-z", old, new, "--")
        return tuple(path for path in text.split("\0") if path)

    def changed_files(self, old: str | None, new: str) -> tuple[tuple[str, int | None, int | None], ...]:
        """Return (path, lines added, lines removed) of the files that differ between two trees, by path.

        old: None for no tree at all. The lines of a file that is not text are None.
        """
        empty = self.git("hash-object", "-t", "tree", "-w", "--stdin", stdin="").strip() if old is None else old
        text = self.git("diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", empty, new, "--")
        found = []
        for line in text.split("\0"):
            if line:
                added, removed, path = line.split("\t", 2)
                plus, minus = (None if n == "-" else int(n) for n in (added, removed))
                found.append((path, plus, minus))
        return tuple(found)

    def export(self, tree: str, folder: Path) -> Path:
        """Write the files of a tree into a new folder, without filters of the caller's configuration."""
        if not self.has_object(tree):
            raise PromotionError(f"git tree {tree[:12]} is not in this clone; fetch the full history")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self.git("read-tree", tree, env=env)
            prefix = str(folder.resolve()) + "/"
            self.git("-c", "core.autocrlf=false", "checkout-index", "--all", f"--prefix={prefix}", env=env)
        return folder

    def working_tree(self, path: str) -> str | None:
        """Return the tree id of the files below `path` as they are now, committed or not."""
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self.git("read-tree", "HEAD", env=env)
            self.git("add", "--all", "--", path, env=env)
            root = self.git("write-tree", env=env).strip()
        return self.object_at_tree(root, path)

    def object_at_tree(self, tree: str, path: str) -> str | None:
        """Return the id of the object at `path` of a tree, or None."""
        done = self._run(("rev-parse", "--verify", "--quiet", "--end-of-options", f"{tree}:{path}"))
        return done.stdout.strip() if done.returncode == 0 else None


def pull_request(commit: Commit) -> int | None:
    """Return the pull request number from a squash or merge commit's subject, or None."""
    match = re.search(r"\(#(\d+)\)$|^Merge pull request #(\d+) ", commit.subject)
    return int(match[1] or match[2]) if match else None
