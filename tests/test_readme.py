"""The documents are tested: commands parse, paths and links exist, tables are the ones that commands made."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    ".github/SETUP.md",
    "models/README.md",
    "scripts/README.md",
    "tests/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
)
TEXTS = {name: (PROJECT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
ALL = "\n".join(TEXTS.values())
INLINE = re.findall(r"`(python scripts/[^`]+)`", ALL)
BLOCKS = re.findall(r"^(?:\$ )?(python scripts/.*?)(?:  +#.*)?$", ALL, re.MULTILINE)
COMMANDS = sorted(set(INLINE) | set(BLOCKS))
TARGETS = set(re.findall(r"`make ([a-z-]+)`", ALL))
TABLES = sorted((PROJECT / "tests").rglob("table*.md"))
ROOMS = ("scripts", "tests", "models", "requirements", ".github")
NAMED = re.compile(rf"`((?:{'|'.join(map(re.escape, ROOMS))})/[\w./-]*)`")


class Parsed(BaseException):
    """Raised in place of running a command whose arguments were understood."""


def anchors(text: str) -> set[str]:
    """The names that GitHub gives a document's headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `python scripts/...` of the documents is understood by that script's own argument parser."""
    _, script, *args = shlex.split(command.replace("…", ""))
    module = importlib.import_module(Path(script).stem)
    real = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *given: object, **options: object) -> None:
        real(self, *given, **options)  # type: ignore[call-overload]
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)

    with pytest.raises(Parsed):
        module.main(args)


def test_every_script_and_target_is_documented() -> None:
    """No verb is missing from scripts/README.md, no make target from the documents, and no target is invented."""
    scripts = {path.name for path in (PROJECT / "scripts").glob("*.py")}
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))

    assert {name for name in scripts if name not in TEXTS["scripts/README.md"]} == set()
    assert targets - {"help"} - TARGETS == set()
    assert TARGETS - targets == set()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_every_committed_table_is_in_a_document(path: Path) -> None:
    """A table that a command of the tree made and that is committed stands in a document to the letter."""
    assert path.read_text(encoding="utf-8").strip() in ALL


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_inside_the_tree_leads_somewhere(name: str) -> None:
    """Relative links and pictures exist, and so do the headings that links name."""
    dead = []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)", TEXTS[name]):
        path, _, anchor = link.partition("#")
        there = (PROJECT / name).parent / path if path else PROJECT / name
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            dead.append(link)

    assert dead == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_exists(name: str) -> None:
    """Somebody who is sent to `scripts/…` or `tests/…` finds it there; NAME stands for any, churn is who copies."""
    named = [path for path in NAMED.findall(TEXTS[name]) if not path.startswith("models/churn/")]

    assert [path for path in named if not any(PROJECT.glob(path.replace("NAME", "*")))] == []


def test_the_front_page_is_short_and_the_only_one() -> None:
    """README.md has at most 200 lines, and no .github/README.md stands in its place on GitHub."""
    assert len(TEXTS["README.md"].splitlines()) <= 200
    assert not (PROJECT / ".github" / "README.md").exists()
