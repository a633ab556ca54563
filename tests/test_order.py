"""The order of the packages: every import of scripts/ is drawn and held to the list in scripts/README.md."""

import ast
import re
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
VERBS = {path.stem for path in SCRIPTS.glob("*.py")}
FILES = sorted(SCRIPTS.rglob("*.py"))
NOUNS = [path for path in FILES if path.parent != SCRIPTS]


def order() -> list[str]:
    """The packages as scripts/README.md lists them."""
    text = (SCRIPTS / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- order -->")[1].split("<!-- /order -->")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file; `from a import b` counts as a and as a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path) -> set[str]:
    """The packages of this project that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("promotion.")} & set(order())


def test_the_list_names_every_package() -> None:
    """A package that is not in the list has no place in the order."""
    there = {p.stem for p in (SCRIPTS / "promotion").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}

    assert set(order()) == there - {"__init__"}


@pytest.mark.parametrize(
    "path", [p for p in FILES if "promotion" in p.parts], ids=lambda p: str(p.relative_to(SCRIPTS))
)
def test_a_package_imports_only_what_stands_above_it(path: Path) -> None:
    """No arrow upwards, so no circle; and no noun imports a verb."""
    own = path.relative_to(SCRIPTS / "promotion").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    allowed = set(order()[: order().index(own) + 1])

    assert packages(path) - allowed == set()
    assert imported(path) & VERBS == set()


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda p: p.name)
def test_a_verb_imports_no_verb(path: Path) -> None:
    """What two verbs share is a noun."""
    assert imported(path) & VERBS == set()


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("judgement", {"registry", "git", "github", "rendering", "serving"}),
        ("rendering", {"registry", "git", "github", "judgement", "serving"}),
        ("serving", {"git", "github", "judgement", "rendering", "champion", "pullrequest"}),
    ],
)
def test_what_a_package_never_knows(package: str, never: set[str]) -> None:
    """The judgement knows no network, rendering computes nothing, serving knows no git."""
    files = (SCRIPTS / "promotion" / package).rglob("*.py")

    assert set().union(*(packages(path) for path in files)) & never == set()


def test_only_one_package_talks_to_each_neighbour() -> None:
    """MLflow is asked in registry/, HTTP spoken there and in github/, git run in git/ (and by the demo's stage)."""
    for path in FILES:
        place = path.relative_to(SCRIPTS).parts
        names = {name.split(".")[0] for name in imported(path)}
        if "mlflow" in names:
            assert (place[1:2] and place[1] in ("registry", "sandbox", "serving")) or place == ("serve.py",), path
        if "requests" in names:
            assert place[1:2] in (("github",), ("registry",), ("story",)), path
