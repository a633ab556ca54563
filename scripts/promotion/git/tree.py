"""Folders as git trees: what may be in one, and its files written exactly as the blobs that were reviewed.

Trees and blobs are read through `git cat-file` alone, so nothing that a checkout would apply has a say:
no attribute, filter, line ending, hook or export rule. Names are held to what every system writes the
same way, because a folder that is reviewed on one is trained on another.
"""

import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from promotion.errors import PromotionError
from promotion.git.objects import FOLDER, Entry
from promotion.git.repo import Repo
from promotion.text.escape import clean

FILE, PROGRAM = "100644", "100755"
KINDS = {
    "120000": "a symbolic link, which names other files than the ones that are reviewed here",
    "160000": "a submodule, whose files are not in this repository",
}
MOST_FILES = 10_000  # of one model folder
MOST_BYTES = 1024**3
MOST_DEPTH = 20
CHUNK = 1024 * 1024
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.I)
GITS_OWN = re.compile(r"\.git|git~[0-9]+", re.I)
COMPILED = re.compile(r"__pycache__|.*\.py[co]", re.I)


def entries(repo: Repo, trees: Iterable[str]) -> dict[str, tuple[Entry, ...]]:
    """Return what each tree holds, as the bytes say; raise PromotionError for an id that is no tree here."""
    return {tree: repo.objects.tree(tree) for tree in dict.fromkeys(trees)}


def entries_of(repo: Repo, commit: str, path: str = "") -> tuple[Entry, ...]:
    """Return what lies directly in a folder of a commit; () where there is no such folder."""
    tree = repo.object_at(commit, "") if path == "" else folder_at(repo, commit, path)
    return () if tree is None else entries(repo, [tree])[tree]


def folder_at(repo: Repo, commit: str, path: str) -> str | None:
    """Return the tree of a folder at a commit; None where there is nothing, or something that is no folder."""
    found = repo.entry_at(commit, path)
    return found[1] if found is not None and found[0] == "040000" else None


def folders_in(repo: Repo, commit: str, path: str) -> dict[str, str]:
    """Return name -> tree of the plain folders directly below `path` at a commit."""
    return {
        entry.name.decode("utf-8", "replace"): entry.id
        for entry in entries_of(repo, commit, path)
        if entry.mode == FOLDER
    }


def problems(repo: Repo, tree: str, path: str) -> list[tuple[str, str]]:
    """Return (path, what is wrong with it) of everything in a tree that a model folder may not hold."""
    found: list[tuple[str, str]] = []
    level = [(path, tree)]
    count = 0
    for _ in range(MOST_DEPTH):
        read = entries(repo, [one for _, one in level])
        below = []
        for where, one in level:
            count += len(read[one])
            if count > MOST_FILES:
                return [*found, (path, f"it has more than {MOST_FILES:,} entries")]
            found += [(f"{where}/{name}", why) for name, why in wrong(read[one])]
            below += [(f"{where}/{entry.shown}", entry.id) for entry in read[one] if entry.mode == FOLDER]
        if not below:
            return found
        level = below
    return [*found, (level[0][0], f"it lies deeper than {MOST_DEPTH} folders")]


def wrong(found: tuple[Entry, ...], before: tuple[Entry, ...] = ()) -> list[tuple[str, str]]:
    """Return (name, what is wrong with it) of what lies directly in a folder, but was not in it before; pure."""
    odd = list(_collisions(found))
    for entry in found:
        why = None if entry in before else _wrong(entry)
        if why is not None:
            odd.append((entry.shown, why))
    return odd


def sentence(found: tuple[str, str]) -> str:
    """One problem as a sentence that says what to do."""
    return f"{found[0]} is refused: {found[1]}; below models/ only plain files and folders with plain names count"


def need_plain(repo: Repo, tree: str, path: str) -> None:
    """Raise PromotionError for the first thing in a tree that a model folder may not hold."""
    for found in problems(repo, tree, path)[:1]:
        raise PromotionError(sentence(found))


def export(repo: Repo, tree: str, folder: Path) -> Path:
    """Write the files of a tree into a folder made anew, byte for byte as they were reviewed.

    Raise PromotionError, with nothing written, where the tree is not here, holds a link or the like, or is too large.
    """
    if not repo.has_object(tree):
        raise PromotionError(f"git tree {clean(tree, 12)} is not in this clone; fetch the full history")
    need_plain(repo, tree, folder.name)
    files = list(_files(repo, tree))
    total = sum(_sizes(repo, [entry.id for _, entry in files]))
    if total > MOST_BYTES:
        raise PromotionError(
            f"the files of git tree {tree[:12]} have {total:,} bytes; a model folder has {MOST_BYTES:,}"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _batch(repo, [entry.id for _, entry in files]) as out:
        for path, entry in files:
            size = _header(out, entry.id, "blob")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as handle:
                for chunk in _chunks(out, size):
                    handle.write(chunk)
            target.chmod(0o755 if entry.mode == PROGRAM else 0o644)
            out.read(1)
    return folder


def _files(repo: Repo, tree: str, path: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield (path, entry) of every file of a tree that was checked."""
    level = [(path, tree)]
    while level:
        read = entries(repo, [one for _, one in level])
        below = []
        for where, one in level:
            for entry in read[one]:
                inner = f"{where}{entry.name.decode()}"
                if entry.mode == FOLDER:
                    below.append((f"{inner}/", entry.id))
                else:
                    yield inner, entry
        level = below


def _wrong(entry: Entry) -> str | None:
    if entry.mode in KINDS:
        return f"it is {KINDS[entry.mode]}"
    if entry.mode not in (FOLDER, FILE, PROGRAM):
        return f"its mode is {entry.mode}, which is none that git writes"
    return odd_name(entry.name)


def odd_name(raw: bytes) -> str | None:
    """Say why a name is not written the same way everywhere, or hides what it is; None where it is plain; pure."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    if any(unicodedata.category(char)[0] == "C" or (char.isspace() and char != " ") for char in name):
        return "its name has characters that do not show"
    if unicodedata.normalize("NFC", name) != name:
        return "its name has another spelling (Unicode NFC), which looks the same"
    if set(name) & set('\\/:*?"<>|') or not name:
        return "its name has a character that some system cannot write"
    if name[0] in " -" or name[-1] in " ." or len(raw) > 200:
        return "its name begins with a blank or `-`, ends with a blank or `.`, or is too long"
    if RESERVED.fullmatch(name):
        return "its name is a device on Windows"
    if GITS_OWN.fullmatch(name):
        return "its name is git's own"
    if COMPILED.fullmatch(name):
        return "compiled Python would run in place of the source that is reviewed"
    return None


def _collisions(found: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    """Names that are one on systems which do not tell case or spelling apart, and entries out of git's order."""
    seen: dict[str, Entry] = {}
    for entry in found:
        if entry.folded in seen:
            yield entry.shown, f"beside {seen[entry.folded].shown} it is the same file on some systems"
        seen[entry.folded] = entry
    order = [entry.name + (b"/" if entry.mode == FOLDER else b"") for entry in found]
    if order != sorted(order):
        yield "", "its entries are not in git's order"


class _batch:
    """`git cat-file` over ids, as a stream of its output."""

    def __init__(self, repo: Repo, ids: Iterable[str], how: str = "--batch") -> None:
        self.repo, self.ids, self.how = repo, ids, how

    def __enter__(self) -> IO[bytes]:
        self.asked = tempfile.TemporaryFile()  # a pipe could fill up on both sides
        self.asked.write("".join(f"{one}\n" for one in self.ids).encode("ascii", "replace"))
        self.asked.seek(0)
        self.process = subprocess.Popen(
            self.repo.command("cat-file", self.how),
            stdin=self.asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.repo.environment(),
        )
        assert self.process.stdout is not None
        return self.process.stdout

    def __exit__(self, *_: object) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        self.asked.close()


def _header(out: IO[bytes], wanted: str, kind: str) -> int:
    """Read one answer's first line; return the object's size."""
    parts = out.readline().split()
    if len(parts) != 3 or parts[0].decode("ascii", "replace") != wanted or parts[1] != kind.encode():
        raise PromotionError(f"git has no {kind} {clean(wanted, 12)} here; fetch the full history")
    return int(parts[2])


def _sizes(repo: Repo, blobs: list[str]) -> Iterator[int]:
    with _batch(repo, blobs, "--batch-check") as out:
        for blob in blobs:
            yield _header(out, blob, "blob")


def _chunks(out: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = out.read(min(size, CHUNK))
        if not chunk:
            raise PromotionError("git stopped in the middle of an object; the clone is damaged: clone again")
        size -= len(chunk)
        yield chunk
