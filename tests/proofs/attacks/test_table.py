"""The table of attacks in tests/README.md is about these tests, and SECURITY.md names tests that exist."""

import ast
import functools
import re
from pathlib import Path

from tests.support.documents import part

ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def functions() -> dict[str, ast.FunctionDef]:
    """Every test by `tests/…/test_file.py::test_name`."""
    return {
        f"{path.relative_to(ROOT)}::{node.name}": node
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def is_attack(node: ast.FunctionDef) -> bool:
    """Whether a test is marked as one."""
    return any(isinstance(one, ast.Call) and ast.unparse(one.func) == "attack" for one in node.decorator_list)


def test_the_table_has_every_attack_and_none_succeeds() -> None:
    """A new attack, or one that is told otherwise, asks for `python tests/proofs/attacks/table.py`."""
    table = part(ROOT / "tests" / "README.md", "attacks")
    rows = {re.sub(r" \(\d+ forms\)$", "", row) for row in re.findall(r"^\| ([^*|][^|]*?) \|", table, re.MULTILINE)}
    told = [ast.get_docstring(node) or "" for node in functions().values() if is_attack(node)]
    attacks = {doc.split("\n")[0].rstrip(".") for doc in told}

    assert rows - {"attack"} == attacks
    assert "IT SUCCEEDED" not in table and "not tried here" not in table


def test_every_test_that_the_threat_table_names_exists() -> None:
    """Each line of SECURITY.md's table says by which tests it is held; each of them is there."""
    lines = [line for line in part(ROOT / "SECURITY.md", "threats").splitlines()[2:] if line.startswith("|")]
    known = functions()
    for line in lines:
        named = re.findall(r"`(tests/[^`]+)`", line)
        assert named, f"no test: {line}"
        assert [name for name in named if name not in known and not (ROOT / name).is_dir()] == [], line
