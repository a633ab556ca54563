"""Try every attack (some minutes) and write the table of tests/README.md: `python tests/proofs/attacks/table.py`."""

import contextlib
import re
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from tests.support.documents import put  # noqa: E402

README = ROOT / "tests" / "README.md"
MOST = 160  # characters of what happened
COMMAND = "Made by `python tests/proofs/attacks/table.py`, which tries them all."


class Collected:
    """A pytest plugin that keeps a row for each attack."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}
        self.marks: dict[str, tuple[str, str, str, str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what each attack is."""
        for item in items:
            mark = item.get_closest_marker("attack")
            if mark is not None:
                doc = (getattr(item, "function", None).__doc__ or "").split("\n")[0]
                kind = (item.module.__doc__ or "").split("\n")[0].split(":")[0]  # type: ignore[attr-defined]
                self.marks[item.nodeid] = (kind, doc, mark.kwargs["who"], mark.kwargs["before"])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came of it."""
        if report.nodeid in self.marks and (report.when == "call" or report.outcome != "passed"):
            said = [text for name, text in report.user_properties if name == "happened"]
            text = (
                "not tried here" if report.skipped else "IT SUCCEEDED" if report.failed else (said or ["refused"])[-1]
            )
            self.rows[report.nodeid] = [*self.marks[report.nodeid], str(text)]


def rendered(rows: list[list[str]]) -> str:
    """The table: the same attack in several forms is one row with their number."""
    lines = ["| attack | who, with what | at d8a954a | now |", "|---|---|---|---|"]
    kinds = dict.fromkeys(row[0] for row in rows)
    for kind in kinds:
        lines.append(f"| **{kind}** | | | |")
        groups: dict[tuple[str, str, str], list[str]] = {}
        for _, doc, who, before, now in (row for row in rows if row[0] == kind):
            groups.setdefault((doc, who, before), []).append(now)
        for (doc, who, before), outcomes in groups.items():
            bad = [now for now in outcomes if now == "IT SUCCEEDED"]
            now = f"IT SUCCEEDED {len(bad)} of {len(outcomes)}" if bad else _cut(outcomes[0])
            forms = f" ({len(outcomes)} forms)" if len(outcomes) > 1 else ""
            lines.append(f"| {doc.rstrip('.')}{forms} | {who} | {before} | {now} |")
    return "\n".join(lines) + "\n"


def _cut(text: str) -> str:
    # what a path of this machine leads to, not the path
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/[^\s:;,]*/(?=[^/\s]+)", "/", text)
    plain = text.replace("|", "\\|").replace("<", "&lt;")
    return plain if len(plain) <= MOST else plain[: MOST - 1] + "…"


def main() -> int:
    """Run every attack; exit 1 where one succeeded."""
    collected = Collected()
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "\n@attack(" in path.read_text()]
    with contextlib.redirect_stdout(sys.stderr):
        code = pytest.main(
            ["-m", "attack", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *files], plugins=[collected]
        )
    table = rendered(list(collected.rows.values()))
    print(table, end="")
    if code == 0:
        put(README, "attacks", f"{COMMAND}\n\n{table}")
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
