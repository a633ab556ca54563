"""The README is tested: its commands exist and parse, its tables are the ones that commands of the tree make."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(python scripts/[^`]+)`", README)))
TARGETS = sorted(set(re.findall(r"`make ([a-z-]+)`", README)))
TABLES = list((PROJECT / "tests").rglob("table*.md"))


class Parsed(Exception):
    """Raised in place of running a command whose arguments were understood."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `python scripts/...` of the README is understood by that script's own argument parser."""
    import argparse

    _, script, *args = shlex.split(command.replace("…", ""))
    module = importlib.import_module(Path(script).stem)
    real = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *given: object, **options: object) -> None:
        real(self, *given, **options)  # type: ignore[arg-type]
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)

    with pytest.raises(Parsed):
        module.main(args)


def test_every_script_and_target_is_in_the_readme() -> None:
    """No verb and no make target is missing from the README."""
    scripts = {path.name for path in (PROJECT / "scripts").glob("*.py")}
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))

    assert {name for name in scripts if name not in README} == set()
    assert set(TARGETS) - targets == set()
    assert {name for name in targets - {"help", "lock", "clean"} if f"make {name}" not in README} == set()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_every_committed_table_is_in_the_readme(path: Path) -> None:
    """A table that a command of the tree made and that is committed stands in the README to the letter."""
    assert path.read_text(encoding="utf-8").strip() in README


def test_every_link_inside_the_tree_leads_somewhere() -> None:
    """Relative links and pictures of the README exist."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", README)

    assert [link for link in links if not (PROJECT / link).exists()] == []
