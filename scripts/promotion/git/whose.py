"""Whose scripts these are: the judged repository's own, or another's, from which it only calls the workflows."""

import functools
import os
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from promotion import __version__
from promotion.git.repo import Repo

PROJECT = Path(__file__).resolve().parents[3]
CLONE = "../promotion"  # how words for somebody else's repository call a clone of these scripts
COMMAND = re.compile(r"\bpython scripts/(?=\w+\.py)")  # how every sentence of ours writes a command
ADDRESS = re.compile(r"[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


class Scripts(NamedTuple):
    """The scripts that run. own: they belong to the judged repository, so that a pull request could change them there.

    name: whose they are, and of which commit or release, for the foot of a report. lock: the text of their own lock
    of what trains; None where it is the judged repository's, which each of its commits says for itself.
    """

    own: bool
    name: str
    lock: str | None = None


def scripts_of(repo: Repo, lock: str, project: Path = PROJECT) -> Scripts:
    """Return whose scripts lie in `project`, seen from the judged repository; lock: that file's path below it.

    They are its own where the commit that they were checked out at is one of its commits.
    """
    here = Repo(project, "")
    found, commit, _ = here.attempt("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    name = commit.strip()[:12] if found == 0 else f"release {__version__}"
    inside, top, _ = repo.attempt("rev-parse", "--show-toplevel")
    vendored = inside == 0 and project.is_relative_to(Path(top.rstrip("\n")).resolve())
    if vendored or (found == 0 and repo.has_object(commit.strip())):
        return Scripts(own=True, name=f"this repository at {name}")
    address = None if here.origin is None else ADDRESS.search(here.origin)
    text = (project / lock).read_text(encoding="utf-8") if (project / lock).is_file() else ""
    return Scripts(own=False, name=f"{address[1] if address else 'another checkout'} at {name}", lock=text)


def told(text: str, *, alone: bool = False) -> str:
    """Return words of ours with the commands in them as their readers can type them.

    On a person's machine that is the folder that they called these scripts in; in a run of a repository that only
    calls the workflows, a clone of ours. alone: nothing stands beside the text, so its last line says which clone.
    """
    if not COMMAND.search(text):
        return text
    folder, note = _place()
    found = COMMAND.sub(lambda _: f"python {folder}/", text)
    return f"{found.rstrip()}\n\n{note}\n" if alone and note and f"{CLONE}:" not in text else found


def _place() -> tuple[str, str]:
    """Where these scripts are for who reads, and what has to be said of it."""
    if os.environ.get("GITHUB_ACTIONS"):
        return _called_from(os.environ.get("GITHUB_REPOSITORY", ""), PROJECT)
    typed, scripts = Path(sys.argv[0] or "."), PROJECT / "scripts"
    return (shlex.quote(typed.parent.as_posix()), "") if typed.resolve().parent == scripts else ("scripts", "")


@functools.cache
def _called_from(repository: str, project: Path) -> tuple[str, str]:
    """The same in a run of OWNER/NAME."""
    here = Repo(project, "")
    code, url, _ = here.attempt("remote", "get-url", "origin")
    address = ADDRESS.search(url.strip()) if code == 0 else None
    if address is None or address[1].lower() == repository.lower():
        return "scripts", ""
    _, commit, _ = here.attempt("rev-parse", "HEAD")
    return f"{CLONE}/scripts", f"{CLONE}: a clone of {address[1]} at {commit.strip()[:12]}"
