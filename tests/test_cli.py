"""The command line that every verb shares: one name and one meaning for an option, one code for a bug."""

import argparse
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import promotion
import pytest
from promotion.cli import SHARED, handled
from promotion.errors import BAD_INPUT, BUG

PROJECT = Path(__file__).resolve().parents[1]
VERBS = sorted(path.stem for path in (PROJECT / "scripts").glob("*.py"))
MOVED = [
    ("retrain", ["--try", "m"], "retrain.py try MODEL"),
    ("retrain", ["open", "m", "--base", "main"], "--branch NAME"),
    ("retrain", ["update", "--base", "main"], "--branch NAME"),
    ("retrain", ["schedule", "--base=main"], "--branch NAME"),
    ("rollback", ["m", "--base", "main"], "--branch NAME"),
    ("challenge", ["--scores", "t.parquet"], "judge.py TABLE"),
    ("pin", ["--file", "promotion.yaml"], "--repo FOLDER"),
    ("drift", ["--grace", "5"], "15 minutes"),
    ("drift", ["--again", "5"], "3 repairs in 7 days"),
]


class Parser(BaseException):
    """Raised in place of parsing, with the parser."""


def parsers(verb: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[argparse.ArgumentParser]:
    """A verb's parser and those of its commands."""

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        raise Parser(self)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Parser) as caught:
            importlib.import_module(verb).main([])
    top = caught.value.args[0]
    yield top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_its_release(verb: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """--version prints the one release, of a verb and of each of its commands."""
    for parser in parsers(verb, monkeypatch):
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args(["--version"])
        assert stopped.value.code == 0
        assert promotion.__version__ in capsys.readouterr().out


def test_release_is_written_in_one_place() -> None:
    """pyproject.toml has the release that scripts/promotion/__init__.py has."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")

    assert re.findall(r'^version = "(.*)"$', text, re.MULTILINE) == [promotion.__version__]


@pytest.mark.parametrize("verb", VERBS)
def test_shared_options_mean_the_same(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--repo, --branch, --work and --json have one help and one type wherever they stand; nothing is abbreviated."""
    for parser in parsers(verb, monkeypatch):
        assert not parser.allow_abbrev
        for action in parser._actions:
            name = (action.option_strings or [""])[0].removeprefix("--")
            own = (verb, name) == ("serve", "workers")  # a server's are another thing
            if name in SHARED and action.help is not argparse.SUPPRESS and not own:
                assert action.help == SHARED[name]["help"]
                assert action.type == SHARED[name].get("type")


@pytest.mark.parametrize(("verb", "arguments", "says"), MOVED, ids=lambda value: " ".join(value)[:30])
def test_old_spellings_give_the_new_one(verb: str, arguments: list[str], says: str, capsys) -> None:
    """An option that moved is one sentence with where to, and exit 2."""
    assert importlib.import_module(verb).main(arguments) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


SCRIPT = """
import sys
from promotion.cli import handled

@handled
def main(argv=None):
    print("shown")
    print(":", end="", flush=True)
    print(":error::over a flush")
    print("#", end="", file=sys.stderr, flush=True)
    print("#[error]over a flush", file=sys.stderr)
    print("a line", end="", flush=True)
    print("\\r::error::after a return")
    raise ValueError("x\\n::error::obeyed\\n  ##[error]obeyed too")

raise SystemExit(main())
"""


@pytest.mark.parametrize("where", ["actions", "laptop"])
def test_bug_has_its_own_code_and_passes_no_command_on(where: str) -> None:
    """An uncaught exception exits with 3, and in Actions no line of its traceback is one that the runner obeys."""
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "scripts"), "GITHUB_ACTIONS": "true" if where == "actions" else ""}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=False)

    assert done.returncode == BUG
    assert "ValueError" in done.stderr and "bug" in done.stderr
    lines = re.split(r"[\n\r]", done.stdout + done.stderr)
    assert "shown" in lines
    obeyed = [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert bool(obeyed) == (where == "laptop")


def test_interrupt_is_no_bug(capsys) -> None:
    """Ctrl-C is one word and exit 130."""

    def interrupted(argv: object) -> int:
        raise KeyboardInterrupt

    assert handled(interrupted)([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("verb", VERBS)
def test_interrupt_while_a_verb_imports_is_no_bug(verb: str, tmp_path: Path) -> None:
    """Ctrl-C before a verb began is the same word, and ends it as a shell expects."""
    for name in ("pydantic", "requests"):  # one of which every verb imports
        (tmp_path / f"{name}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, PROJECT / "scripts" / f"{verb}.py", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == "interrupted\n"
    assert done.returncode in (130, -signal.SIGINT)  # which a shell says as 130


def test_reader_that_goes_away_is_no_bug() -> None:
    """`promote.py … | head -1` ends without a traceback."""
    body = "handled(lambda argv: [print('x' * 9999) for _ in range(999)])()"
    script = f"from promotion.cli import handled\nraise SystemExit({body})"
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "scripts")}
    command = f'"{sys.executable}" -c "$SCRIPT" | head -c 1'
    done = subprocess.run(
        ["bash", "-c", command], env={**env, "SCRIPT": script}, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("x", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_output_is_no_bug(closed: str, tmp_path: Path) -> None:
    """A job whose output goes nowhere has the same exit codes; what can be said is said."""
    command = f'"{sys.executable}" "{PROJECT / "scripts/promote.py"}" plan --repo "{tmp_path}" {closed}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == BAD_INPUT
    assert done.stdout == ""
    assert ("not a git checkout" in done.stderr, "Traceback" in done.stderr) == ("2>" not in closed, False)


FULL_DISK = """
import os, resource, shutil, sys, tempfile
import pyarrow as pa, pyarrow.parquet as pq
from promotion.cli import handled

os.mkdir("from"), os.mkdir("there"), open("from/file", "w").write("x")
WAYS = {
    "printed": lambda: print("x"),
    "written": lambda: open("there/file", "w").write("x" * 99999),
    "parquet": lambda: pq.write_table(pa.table({"a": [1]}), "there/file"),
    "folder": lambda: shutil.copytree("from", "there/folder"),
    "temporary": lambda: tempfile.mkdtemp(),
}
tempfile._candidate_tempdir_list = lambda: ["/nowhere"]
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a full disk, whoever runs this
raise SystemExit(handled(lambda argv: WAYS[sys.argv[1]]() and 0 or 0)())
"""


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("printed", "error: File too large; make room"),
        ("written", "error: File too large; make room"),
        ("parquet", "error: File too large; make room"),
        ("folder", "error: there/folder/file: File too large; give another folder"),
        ("temporary", "error: no folder for temporary files can be written; let TMPDIR name one"),
    ],
)
def test_full_disk_is_no_bug(tmp_path: Path, way: str, says: str) -> None:
    """Whatever is written where no room is left, is one sentence and exit 2; where it is known, with the file."""
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "scripts")}
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, way],
            env=env, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    (line,) = done.stderr.splitlines()
    assert done.returncode == BAD_INPUT
    assert line.startswith(says)


def test_user_without_a_home_has_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user whom the system does not know, and no HOME: what asks for a home gets one."""

    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)

    assert handled(lambda _: 0 if Path.home() == Path("/") else 1)([]) == 0
