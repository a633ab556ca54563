"""What git's objects hold, without a process a question: one `git cat-file --batch` that stays.

An object is named by its content, so nothing that changes meanwhile (a branch, a fetch) changes an answer.
"""

import os
import re
import subprocess
import threading
import unicodedata
import weakref
from collections.abc import Iterator
from typing import NamedTuple

from promotion import OBJECT_ID
from promotion.errors import PromotionError
from promotion.text.escape import clean

FULL = re.compile(OBJECT_ID)
FOLDER = "40000"
MOST_TREE = 8 * 1024**2  # bytes of one tree object, which holds 30 to 300 an entry
KEPT = 16  # trees whose names are remembered: a thousand models lie in one
DAMAGED = "a git tree cannot be read; the clone is damaged: clone again"


class Entry(NamedTuple):
    """One line of a tree. mode: as it stands there, in octal without a leading zero."""

    mode: str
    name: bytes
    id: str

    @property
    def shown(self) -> str:
        """The name for a sentence."""
        return clean(self.name.decode("utf-8", "replace"), 100)

    @property
    def folded(self) -> str:
        """The name as systems see it that do not tell case or spelling apart."""
        return unicodedata.normalize("NFKC", self.name.decode("utf-8", "replace")).casefold()


class Objects:
    """The objects of a repository. command, environment: of its `git cat-file --batch`, begun by the first question."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command, self.environment = command, environment
        self._lock = threading.Lock()  # checks of many models at a time ask one process
        self._names: dict[str, dict[bytes, Entry | None]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def read(self, name: str, most: int | None = None) -> tuple[str, bytes] | None:
        """Return (kind, content) of the object with a full id; None where it is not here.

        Raise PromotionError where git cannot say, or where it has more than `most` bytes.
        """
        if not FULL.fullmatch(name):
            return None
        with self._lock:
            try:
                return self._ask(name, most)
            except BaseException as error:  # half an answer is left behind, also by a deadline: begin anew
                self._end()
                if isinstance(error, OSError | ValueError):
                    why = f"git could not read the object {name[:12]}; is the clone whole? `git fetch`, or clone again"
                    raise PromotionError(why) from None
                raise

    def tree_of(self, name: str) -> str | None:
        """Return the tree of a commit, or the tree itself; None for anything else."""
        found = self.read(name)
        if found is None or found[0] not in ("commit", "tree"):
            return None
        return name if found[0] == "tree" else found[1].split(b"\n", 1)[0].removeprefix(b"tree ").decode()

    def tree(self, name: str) -> tuple[Entry, ...]:
        """Return what a tree holds, as the bytes say; raise PromotionError for an id that is no tree here."""
        found = self.read(name, MOST_TREE)
        if found is None or found[0] != "tree":
            raise PromotionError(f"git has no tree {clean(name, 12)} here; fetch the full history")
        return tuple(parsed(found[1], len(name) // 2))

    def entry(self, tree: str, path: str) -> Entry | None:
        """Return what lies at a path (`services/churn/promotion.yaml`, "" for itself) below a tree, or None."""
        *folders, last = path.rstrip("/").encode("utf-8", "surrogateescape").split(b"/")
        if not last:
            return Entry(FOLDER, b"", tree)
        for folder in folders:
            found = self._named(tree, folder)
            if found is None or found.mode != FOLDER:
                return None
            tree = found.id
        return self._named(tree, last)

    def _named(self, tree: str, name: bytes) -> Entry | None:
        names = self._names.get(tree)
        if names is None:
            names = {}
            for entry in self.tree(tree):
                names[entry.name] = None if entry.name in names else entry
            if len(self._names) >= KEPT:
                self._names.clear()
            self._names[tree] = names
        if name in names and names[name] is None:  # twice
            raise PromotionError(DAMAGED)
        return names.get(name)

    def _ask(self, name: str, most: int | None) -> tuple[str, bytes] | None:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{name}\n".encode())
        process.stdin.flush()
        head = process.stdout.readline().split()
        if head[1:] == [b"missing"]:
            return None
        if len(head) != 3 or head[0] != name.encode():
            raise ValueError("no answer")
        kind, size = head[1].decode(), int(head[2])
        if most is not None and size > most:
            raise PromotionError(f"git {kind} {name[:12]} has {size:,} bytes; it may have {most:,}")
        content = process.stdout.read(size)
        if len(content) != size or process.stdout.read(1) != b"\n":
            raise ValueError("half an answer")
        return kind, content

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._owner != os.getpid():  # a forked process shares no pipe with its parent
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=self.environment,
                )
            except FileNotFoundError:
                raise PromotionError("git is not installed or not on PATH; install git") from None
            self._owner = os.getpid()
            self._stop = weakref.finalize(self, _stop, self._process, self._owner)
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._stop()
            self._process = None


def _stop(process: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() == owner:
        process.kill()
        process.communicate()


def parsed(raw: bytes, width: int) -> Iterator[Entry]:
    """Read a tree object: mode, blank, name, NUL, id of `width` bytes, again and again."""
    at = 0
    while at < len(raw):
        blank, end = raw.find(b" ", at), raw.find(b"\0", at)
        if not at < blank < end or end + 1 + width > len(raw):
            raise PromotionError(DAMAGED)
        mode = raw[at:blank].decode("ascii", "replace")
        yield Entry(mode, raw[blank + 1 : end], raw[end + 1 : end + 1 + width].hex())
        at = end + 1 + width
