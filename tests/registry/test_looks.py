"""Looks: which candidate wears a test set out, and which days are fresh."""

from datetime import date

from promotion.registry.client import Run
from promotion.registry.looks import count_looks, fresh_since, look_tag

WEEK = ("2026-03-01", "2026-03-07")
NEXT = ("2026-03-08", "2026-03-14")
BETWEEN = ("2026-03-05", "2026-03-11")


def run(started: int, *looks: tuple[tuple[str, str], str]) -> Run:
    """A run that was judged on windows, with the digest of its predictions on each."""
    return Run(f"r{started}", {look_tag(*window): digest for window, digest in looks}, started, "")


def number(runs: list[Run], predictions: str, window: tuple[str, str] = WEEK) -> int:
    """Which look a candidate is."""
    return count_looks(runs, predictions=predictions, first=window[0], last=window[1], allowed=5).number


def test_each_new_candidate_on_overlapping_days_is_a_look() -> None:
    """Other predictions on days that overlap count; the same predictions and other days do not."""
    runs = [run(1, (WEEK, "a")), run(2, (WEEK, "a")), run(3, (NEXT, "b")), run(4, (BETWEEN, "c"))]

    assert number([], "x") == 1
    assert number(runs, "x") == 3
    assert number(runs, "x", NEXT) == 3
    assert number(runs, "x", ("2026-04-01", "2026-04-07")) == 1


def test_the_same_judgement_again_keeps_its_number() -> None:
    """A candidate that was judged before is the look that it was, whatever came after it."""
    runs = [run(1, (WEEK, "a")), run(2, (WEEK, "b")), run(3, (WEEK, "c"))]

    assert [number(runs, name) for name in "abc"] == [1, 2, 3]


def test_a_day_is_fresh_once() -> None:
    """Days that another candidate was judged on before are used up; later judgements take nothing away."""
    runs = [run(1, (WEEK, "a")), run(2, (NEXT, "mine")), run(3, (("2026-05-01", "2026-05-07"), "later"))]

    def since(predictions: str, committed_on: date) -> date:
        return fresh_since(runs, predictions=predictions, committed_on=committed_on, delay_days=7)

    assert since("mine", date(2026, 3, 2)) == date(2026, 3, 14)
    assert since("mine", date(2026, 4, 2)) == date(2026, 4, 2)
    assert since("new", date(2026, 3, 2)) == date(2026, 5, 14)
