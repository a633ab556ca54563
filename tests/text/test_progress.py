"""Long steps show how far they are in a terminal, and one line elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
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
LEARNED = """
from threading import Event
from promotion.text.progress import progress
with progress("judging", unit="rows") as step:
    step.reached(1_500_000, 3_000_000)
    Event().wait(0.5)
with progress("downloading", unit="B") as step:
    step.reached(1_500_000, 3_000_000)
    Event().wait(0.5)
"""


def in_a_terminal(code: str, *, without: str | None = None) -> str:
    """Run code whose output is a terminal; return what the terminal was sent. without: a module that is missing."""
    ours, theirs = pty.openpty()
    hide = f"import sys; sys.modules[{without!r}] = None\n" if without else ""
    process = subprocess.Popen(
        [sys.executable, "-c", hide + code],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "COLUMNS": "120"},
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

    assert "1,500,000/3,000,000 rows" in seen and "1.50MB/3.00MB" in seen and " left" in seen


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
