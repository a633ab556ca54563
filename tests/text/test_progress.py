"""Long steps show how far they are in a terminal, and one line elsewhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from promotion.text import progress as module
from promotion.text.progress import progress

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
COUNTED = """
from threading import Event
from promotion.text.progress import progress
with progress("scoring candidate", 4, "days") as step:
    for day in range(4):
        step.say(f"day {day}")
        step.advance()
        Event().wait(0.3)
print("scored")
"""
LOOKED = """
from threading import Event
from promotion.text.progress import progress
asked = []
with progress("fitting", seconds=1) as step:
    Event().wait(0.7)
with progress("saving") as step:
    Event().wait(0.5)
"""
LONG = """
from threading import Event
from promotion.text.progress import progress
with progress("a-model: the candidate answers the test window", 1400, "rows", done=lambda: 700):
    Event().wait(0.6)
"""
LEARNED = """
from threading import Event
from promotion.text.progress import progress
with progress("judging", unit="rows") as step:
    step.reached(1_500_000, 3_000_000)
    Event().wait(0.5)
    step.reached(1_000_000, 3_000_000)
    Event().wait(0.5)
with progress("downloading", unit="B") as step:
    step.reached(1_500_000, 3_000_000)
    Event().wait(0.5)
"""


def in_a_terminal(code: str, *, without: str | None = None, columns: int = 120) -> str:
    """Run code whose output is a terminal; return what the terminal was sent. without: a module that is missing."""
    ours, theirs = pty.openpty()
    hide = f"import sys; sys.modules[{without!r}] = None\n" if without else ""
    process = subprocess.Popen(
        [sys.executable, "-c", hide + code],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "COLUMNS": str(columns)},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is gone, on Linux
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(30) == 0
    return seen.decode()


def test_a_terminal_shows_how_far_it_is_and_the_time_left() -> None:
    """A bar counts the days with the time left; lines stand above it, and it leaves nothing behind."""
    seen = in_a_terminal(COUNTED)

    assert "3/4 days" in seen
    assert " left" in seen
    assert [line for line in ("day 0", "day 3", "scored") if line not in seen] == []
    assert seen.rstrip().endswith("scored")


def test_a_step_that_cannot_count_follows_the_clock() -> None:
    """Where only the last time's seconds are known they give the time left; where nothing is, the time gone."""
    seen = in_a_terminal(LOOKED)

    assert "fitting |" in seen and "%" in seen and " left" in seen
    assert "100%" not in seen
    assert "saving 00:00" in seen


def test_how_much_there_is_may_be_learned_on_the_way() -> None:
    """A pass over rows says after each part how many of how many are done."""
    seen = in_a_terminal(LEARNED)

    assert "judging |" in seen and "1,500,000/3,000,000 rows, " in seen and "M rows/s, " in seen and " left" in seen
    assert "judging, pass 2 |" in seen and "1.50MB/3.00MB" in seen


@pytest.mark.parametrize(("columns", "shown"), [(120, "the candidate answers the test window |"), (70, "a-model:… |")])
def test_what_is_under_way_is_cut_before_the_time_left(columns: int, shown: str) -> None:
    """Model names are long and terminals are not."""
    seen = in_a_terminal(LONG, columns=columns)

    assert shown in seen and "700/1,400 rows, " in seen
    assert all(len(line) <= columns for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen)))
    assert " left" in seen


def test_a_terminal_without_the_library_gets_lines() -> None:
    """The promote job's small lock has no bars: the step is told in a line all the same."""
    assert in_a_terminal(COUNTED, without="tqdm").startswith("scoring candidate ...")


def test_elsewhere_it_is_one_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets one line when the step begins, and what the step says."""
    with progress("scoring candidate", 2, "days") as step:
        step.advance()
        step.say("halfway")
        step.advance()

    assert capsys.readouterr() == ("scoring candidate ...\nhalfway\n", "")


def test_elsewhere_a_long_step_says_now_and_then_how_far_it_is(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, rows a second and the time left, of each pass; also where somebody else counts."""
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    with progress("judging", unit="rows") as step:
        for done in (1000, 2000, 500, 2000):
            step.reached(done, 2000)

    begun, first, second = capsys.readouterr().out.splitlines()
    assert begun == "judging ..."
    assert re.fullmatch(r"judging: 1,000 of 2,000 rows, [\d,]+ rows/s, 0:00 left", first)
    assert re.fullmatch(r"judging, pass 2: 500 of 2,000 rows, [\d,]+ rows/s, 0:00 left", second)

    looked, numbers = Event(), iter(range(10_000))

    def counted() -> int:
        found = next(numbers)
        if found == 2:
            looked.set()
        return found

    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    with progress("answering", 10_000, "rows", done=counted):
        assert looked.wait(60)
    assert "answering: 1 of 10,000 rows, " in capsys.readouterr().out
