"""A pull request whose trees are written byte by byte, as git itself would never write them."""

import subprocess
from pathlib import Path

from prepare import prepare
from promotion.pullrequest.classify import Change
from promotion.pullrequest.workdir import Work
from promotion.records.plan import Plan

from tests.support.worlds import World

FILE, PROGRAM, FOLDER, LINK, SUBMODULE = "100644", "100755", "40000", "120000", "160000"
Line = tuple[str, bytes, str]


def blob(world: World, content: bytes) -> str:
    """Store a blob; return its id."""
    return _stored(world, "blob", content)


def tree(world: World, lines: list[Line]) -> str:
    """Store a tree with exactly these lines, in this order, whatever git thinks of them."""
    raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in lines)
    return _stored(world, "tree", raw)


def honest_lines(world: World) -> list[Line]:
    """The lines of the model folder on main."""
    found = []
    for line in world.git("ls-tree", f"main:models/{world.model}").splitlines():
        meta, name = line.split("\t")
        mode, _, one = meta.split()
        found.append((mode.lstrip("0"), name.encode(), one))
    return found


def commit(world: World, models: str, mode: str = FOLDER, *, pinned: str | None = None, on: str = "main") -> str:
    """Commit main's root with `models` as its folder (and promotion.yaml's text `pinned`), on no branch."""
    lines = []
    for line in world.git("ls-tree", on).splitlines():
        meta, name = line.split("\t")
        kind, _, one = meta.split()
        if name == "models":
            lines.append((mode, b"models", models))
        elif name == "promotion.yaml" and pinned is not None:
            lines.append((kind.lstrip("0"), b"promotion.yaml", blob(world, pinned.encode())))
        else:
            lines.append((kind.lstrip("0"), name.encode(), one))
    return world.git("commit-tree", tree(world, lines), "-p", on, "-m", "attack (#9)")


def planned(world: World, merge: str, tmp_path: Path) -> tuple[Plan, Path]:
    """Do what prepare.py does with a merge result; return its plan and the work folder."""
    work = tmp_path / "work"
    return prepare(world.repo, world.registry, Work(work), Change(base=world.tip, merge=merge, head=merge)), work


def _stored(world: World, kind: str, content: bytes) -> str:
    command = ["git", "-C", str(world.path), "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()
