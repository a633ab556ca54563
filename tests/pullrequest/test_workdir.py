"""A work folder has one run at a time; what a run made stays where another one is refused."""

import contextlib
import fcntl
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from promotion.errors import BAD_INPUT
from promotion.pullrequest.workdir import LOCK, MADE_BY, TRIAL, Work

from tests.test_cli import PROJECT, VERBS, parsers

POLICY = str(PROJECT / "tests/support/tiny_model/promotion.yaml")
# The commands that have --work, what else they are told, and whose records they work on.
COMMANDS = {
    "prepare": ([], "prepare.py"),
    "train": ([], "prepare.py"),
    "score": ([], "prepare.py"),
    "gate": ([], "prepare.py"),
    "challenge": ([], "prepare.py"),
    "report": ([], "prepare.py"),
    "pin": ([], "prepare.py"),
    "judge": (["table.parquet", "--policy", POLICY], "judge.py"),
    "retrain try": (["tiny"], TRIAL),
    "watch plan": ([], "watch.py"),
    "watch judge": ([], "watch.py"),
}


@contextlib.contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """A folder with another run at work in it."""
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_every_command_that_has_a_work_folder_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table below is whole."""
    found = set()
    for verb in VERBS:
        top, *commands = parsers(verb, monkeypatch)
        for parser in (top, *commands):
            if any("--work" in action.option_strings for action in parser._actions):
                found.add(f"{verb}{parser.prog.removeprefix(top.prog)}")

    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_second_run_in_a_folder_is_refused(command: str, tmp_path: Path, monkeypatch, capsys) -> None:
    """One sentence, and all that the first has there is as it was."""
    verb, *more = command.split()
    arguments, owner = COMMANDS[command]
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / MADE_BY).write_text(f"{owner}\n")
    (folder / "plan.json").write_text("of the first\n")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)

    with in_use(folder):
        assert importlib.import_module(verb).main([*more, *arguments, "--work", "work"]) == BAD_INPUT

    said = "error: work is in use by another run; wait for it, or choose another folder with --work\n"
    assert capsys.readouterr().err == said
    assert {path.name for path in folder.iterdir()} == {LOCK, MADE_BY, "plan.json"}
    assert (folder / "plan.json").read_text() == "of the first\n"


def test_a_run_lets_its_own_steps_in(tmp_path: Path) -> None:
    """Also by another name of the folder, and when it was emptied; then others may come."""
    work, link = Work(tmp_path / "work"), tmp_path / "link"
    link.symlink_to(work.root, target_is_directory=True)
    with work.held(TRIAL):
        work.claim(TRIAL)
        with Work(link).held(TRIAL):
            work.plan.write_text("{}")
        assert is_in_use(work.root)
    assert not is_in_use(work.root)


def is_in_use(folder: Path) -> bool:
    """Whether another run would find it so."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


KILLED = """
import os, sys
from pathlib import Path
from promotion.pullrequest.workdir import Work
with Work(Path(sys.argv[1])).held("prepare.py"):
    os.kill(os.getpid(), 9)
"""


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    """Its lock ends with it, though the file stays."""
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "scripts")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "work")], env=env, check=False)

    assert done.returncode == -signal.SIGKILL and (tmp_path / "work" / LOCK).is_file()
    with Work(tmp_path / "work").held():
        pass


@pytest.mark.parametrize("command", ["judge", "retrain try", "watch plan"])
def test_a_command_that_fails_at_once_leaves_no_folder(command: str, tmp_path: Path, monkeypatch) -> None:
    """Its name in an empty folder would keep every other command out of it; a folder that was there stays."""
    verb, *more = command.split()
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    run = importlib.import_module(verb).main

    assert run([*more, *COMMANDS[command][0], "--work", "work"]) == BAD_INPUT
    assert not Path("work").exists()
    Path("work").mkdir()
    assert run([*more, *COMMANDS[command][0], "--work", "work"]) == BAD_INPUT
    assert Path("work").is_dir()
