"""The only module that runs git: trees, first-parent history, files at a commit."""

import contextlib
import functools
import os
import re
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from promotion.config import FILE
from promotion.errors import PromotionError
from promotion.git.objects import FULL, Objects

# What a checkout's configuration could change in what we read, or run beside our credentials, is switched off:
# hooks, a file system monitor, submodules, signatures and renames in a log, other encodings.
PLAIN = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("log.showSignature", "false"),
    ("log.follow", "false"),
    ("i18n.logOutputEncoding", "UTF-8"),
)
# ... and so are replaced and grafted objects, and patterns in paths.
ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null/none",
    "GIT_LITERAL_PATHSPECS": "1",
}
REGULAR = ("100644", "100755")
# A NUL ends each field, because an author may put anything else into a subject or a name.
LOG = ("log", "-z", "--format=tformat:%H%x00%P%x00%an%x00%cI%x00%s")


class NotAFile(PromotionError):
    """A path at a commit is a link, a submodule or a folder where a plain file is needed."""


class Commit(NamedTuple):
    """One commit as history shows it. when: ISO 8601 with offset, of the committer."""

    sha: str
    parents: tuple[str, ...]
    author: str
    when: str
    subject: str


FOLDER = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class Repo:
    """A git checkout or bare repository at `path`. What is promoted lies in one folder of it, from which the paths
    that methods take are counted.

    folder: `services/churn`, "" or "." for the top. None: the folder with a promotion.yaml that `path` lies in, else
    the only one there is, else the top; a pull request's checkout has no say in that (a name may be a link), so there
    it is given.
    """

    def __init__(self, path: Path, folder: str | None = None) -> None:
        self.path = Path(path)
        self._folder = None if folder is None else "" if folder == "." else folder.rstrip("/")
        if self._folder and (not FOLDER.fullmatch(self._folder) or {".", ".."} & set(self._folder.split("/"))):
            raise PromotionError(f"`{self._folder}` is no folder of a repository; use a name like services/churn")

    @functools.cached_property
    def objects(self) -> Objects:
        """What its objects hold, by their ids."""
        return Objects(self.command("cat-file", "--batch"), self.environment())

    @functools.cached_property
    def _facts(self) -> tuple[bool, str]:
        """Whether the clone is shallow, and where `path` lies in its checkout; (True, "") where there is none."""
        code, out, _ = self.attempt("rev-parse", "--is-shallow-repository", "--show-prefix")
        shallow, _, inside = out.partition("\n")
        return (shallow == "true", inside.rstrip("\n")) if code == 0 else (True, "")

    @property
    def _inside(self) -> str:
        """Where `path` lies in its checkout: "" or `services/churn/`."""
        return self._facts[1]

    @functools.cached_property
    def origin(self) -> str | None:
        """The address of the remote `origin`; None where there is none."""
        code, url, _ = self.attempt("remote", "get-url", "origin")
        return url.strip() if code == 0 else None

    @functools.cached_property
    def prefix(self) -> str:
        """The folder, from the repository's top: "" or `services/churn/`."""
        if self._folder is not None:
            return f"{self._folder}/" if self._folder else ""
        parts = PurePosixPath(self._inside).parts
        above = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        found = next((f"{folder}/" for folder in above if (self.root / folder / FILE).is_file()), None)
        return self._only_folder() if found is None else found

    def _only_folder(self) -> str:
        """The one folder anywhere with a promotion.yaml, where the top has none; PromotionError where there are two."""
        top = self.root if self._inside else self.path
        if (top / FILE).exists():
            return ""
        wanted = ("--cached", "--others", "--exclude-standard", "--", f":(top,glob)**/{FILE}")
        _, out, _ = self.attempt("ls-files", "-z", "--full-name", *wanted, env={"GIT_LITERAL_PATHSPECS": "0"})
        found = sorted({path.removesuffix(FILE) for path in out.split("\0") if path and (top / path).is_file()})
        if len(found) > 1:
            listed = ", ".join(folder.rstrip("/") for folder in found[:5])
            raise PromotionError(f"{FILE} lies in {listed}; say which with --root, or run this in that folder")
        return found[0] if found else ""

    def at(self, path: str) -> str:
        """A path below the folder, from the repository's top; also how a message names it."""
        return f"{self.prefix}{path}"

    @property
    def here(self) -> Path:
        """The folder in the work tree."""
        return self.top.path / self.prefix

    @property
    def top(self) -> "Repo":
        """The whole repository: paths count from its top."""
        return self._whole if self._inside or self.prefix else self

    @functools.cached_property
    def _whole(self) -> "Repo":
        return Repo(self.root if self._inside else self.path, "")

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

    def command(self, *args: str) -> list[str]:
        """A git command line for this repository, free of what a checkout's configuration could change."""
        settings = [part for name, value in PLAIN for part in ("-c", f"{name}={value}")]
        return ["git", "-C", str(self.path), *settings, *args]

    def environment(self, env: dict[str, str] | None = None) -> dict[str, str]:
        """The environment of git's processes."""
        return {**os.environ, **ENVIRONMENT, **(env or {})}

    def _run(
        self, args: tuple[str, ...], stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            # bytes, decoded here: text mode would turn a file's CRLF into LF
            done = subprocess.run(
                self.command(*args),
                input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                env=self.environment(env),
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
        if FULL.fullmatch(revision) and (self.objects.read(revision) or ("",))[0] == "commit":
            return revision
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
        if not self._facts[0]:
            return
        self.check()
        if self.is_shallow():
            raise PromotionError(
                "this clone is shallow, so its history cannot be read; "
                "run `git fetch --unshallow` (in Actions: `fetch-depth: 0`)"
            )

    def need_clean(self, path: str) -> None:
        """Raise PromotionError when files below `path` differ from HEAD."""
        status = ("status", "--porcelain", "--untracked-files=all", "--")
        changed = self.top.git(*status, self.at(path)).splitlines()
        if changed:
            raise PromotionError(
                f"uncommitted changes below {path} (first: {changed[0][3:]}); commit or stash them, "
                "because a model is named by the git tree that it was made from"
            )

    def object_at(self, commit: str, path: str) -> str | None:
        """Return the id of the tree or blob at `path` of a commit, or None where there is none."""
        found = self.entry_at(commit, path)
        return None if found is None else found[1]

    def entry_at(self, commit: str, path: str) -> tuple[str, str] | None:
        """Return (mode in six octal digits, object id) of a path at a commit or in a tree, or None."""
        found = self.objects.entry(self._tree_of(commit), self.at(path))
        return None if found is None else (found.mode.zfill(6), found.id)

    def _tree_of(self, commit: str) -> str:
        """The tree of a commit, or the tree itself."""
        found = self.objects.tree_of(commit)
        if found is None:
            code, out, _ = self.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")
            found = out.strip() if code == 0 else None
        if found is None:
            self.resolve(commit)
            raise PromotionError(f"git has no tree of {commit} in {self.path}; fetch the full history")
        return found

    def file_at(self, commit: str, path: str) -> str | None:
        """Return the text of a plain file at a commit (or in a tree), or None where there is none."""
        found = self.entry_at(commit, path)
        if found is None:
            return None
        if found[0] not in REGULAR:
            raise NotAFile(
                f"not a plain file at {commit[:12]}, its mode is {found[0]}; make it one", file=self.at(path)
            )
        content = self.objects.read(found[1])
        if content is None or content[0] != "blob":
            raise PromotionError(f"git has no file {found[1][:12]} here; fetch the full history", file=self.at(path))
        return content[1].decode("utf-8", "surrogateescape")

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
        return commit in self.first_parents(tip)

    def first_parents(self, tip: str) -> list[str]:
        """Return the ids of the first-parent chain of `tip`, newest first."""
        return self._kept(tip, "rev-list", "--first-parent", tip).split()

    def first_parent_log(self, tip: str, path: str | None = None) -> list[Commit]:
        """Return the first-parent commits of `tip`, newest first; with `path`, those that changed it."""
        paths = [] if path is None else ["--", self.at(path)]
        return _commits(self.top._kept(tip, *LOG, "--first-parent", tip, *paths))

    def read_ahead(self, tip: str, path: str) -> None:
        """Let git read now what the history of a file at `tip` will be asked for; what fails is said when it is."""
        with contextlib.suppress(PromotionError):
            self.file_at(tip, path)
            self.first_parents(tip)
            self.first_parent_log(tip, path)

    def _kept(self, commit: str, *args: str) -> str:
        """What git says about a commit and those before it; that never changes where it is named by its full id."""
        if not FULL.fullmatch(commit):
            return self.git(*args)
        if args not in self._answers:
            self._answers[args] = self.git(*args)
        return self._answers[args]

    @functools.cached_property
    def _answers(self) -> dict[tuple[str, ...], str]:
        return {}

    def describe(self, commit: str) -> Commit:
        """Return one commit's author, time and subject."""
        return _commits(self.git(*LOG, "-1", commit))[0]

    def first_with(self, base: str, tip: str, path: str, tree: str) -> Commit | None:
        """Return the oldest commit of `base`..`tip` in which `path` is this very tree, or None."""
        for sha in self.git("rev-list", "--reverse", "--topo-order", f"{base}..{tip}").split():
            if self.object_at(sha, path) == tree:
                return self.describe(sha)
        return None

    def first_time(self, base: str, tip: str) -> str | None:
        """When the oldest commit of `base`..`tip` was committed, as ISO 8601; None where there is none."""
        times = self.git("log", "--format=%cI", f"{base}..{tip}").split()
        return min(times, key=datetime.fromisoformat, default=None)

    def changed_paths(self, old: str, new: str) -> tuple[str, ...]:
        """Return the paths that differ between two commits, from the top, renames as both names."""
        text = self.git("diff-tree", "-r", "--name-only", "--no-renames", "-z", old, new, "--")
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

    def merged(self, ours: str, theirs: str) -> str | None:
        """Merge two commits in memory; return the result's tree, or None where they conflict.

        Made in an empty repository that borrows this one's objects, so that neither a checkout's attributes
        nor a merge program of its configuration has a say.
        """
        objects = Path(self.git("rev-parse", "--path-format=absolute", "--git-path", "objects").rstrip("\n"))
        form = self.git("rev-parse", "--show-object-format").strip()
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}
            aside = Repo(Path(scratch))
            aside.git("init", "--quiet", "--bare", "--template=", f"--object-format={form}", env=env)
            env["GIT_OBJECT_DIRECTORY"] = str(objects)
            code, out, said = aside.attempt("merge-tree", "--write-tree", "--end-of-options", ours, theirs, env=env)
        if code not in (0, 1):
            raise PromotionError(f"git merge-tree failed, which needs git 2.38 or newer: {said.strip()[:200]}")
        return out.split("\n", 1)[0] if code == 0 else None

    def working_tree(self, path: str) -> str | None:
        """Return the tree id of the files below `path` as they are now, committed or not."""
        with tempfile.TemporaryDirectory() as scratch:
            env = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self.git("read-tree", "HEAD", env=env)
            if self.top.attempt("add", "--all", "--", self.at(path), env=env)[0] != 0:
                self.top.refuse_ignored([self.at(path)])
                self.top.git("add", "--all", "--", self.at(path), env=env)
            root = self.git("write-tree", env=env).strip()
        return self.object_at(root, path)

    def refuse_ignored(self, paths: list[str]) -> None:
        """Raise PromotionError, with the line at fault, where git would not take in one of these paths."""
        env = {"GIT_LITERAL_PATHSPECS": "0"}  # which check-ignore refuses
        _, said, _ = self.attempt("check-ignore", "--verbose", "--", *paths, env=env)
        found = re.search(r"^(.*?):(\d+):([^!\n].*)\t(.*)$", said, re.MULTILINE)
        if found:
            raise PromotionError(
                f"`{found[3]}` keeps {found[4]} out of git; take the line out, or add lines with `!` that take it in",
                file=Path(found[1]),
                line=int(found[2]),
            )


def _commits(text: str) -> list[Commit]:
    """Read what LOG prints."""
    rows = zip(*(iter(text.split("\0")),) * 5, strict=False)
    return [Commit(sha, tuple(parents.split()), who, when, subject) for sha, parents, who, when, subject in rows]


def pull_request(commit: Commit) -> int | None:
    """Return the pull request number from a squash or merge commit's subject, or None."""
    match = re.search(r"\(#(\d+)\)$|^Merge pull request #(\d+) ", commit.subject)
    return int(match[1] or match[2]) if match else None
