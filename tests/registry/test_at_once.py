"""Several models at a time: results in order, what is raised is raised, and a stop begins nothing more."""

import threading

import pytest
from promotion.registry.at_once import at_once


@pytest.mark.parametrize("most", [1, 2, 8])
def test_results_come_in_the_order_of_the_items(most: int) -> None:
    """Whichever thread was done first."""
    assert list(at_once(lambda n: n * n, range(50), most)) == [n * n for n in range(50)]
    assert list(at_once(str, [], most)) == []


def test_no_more_than_so_many_are_under_way_and_they_are_at_the_same_time() -> None:
    """Three threads meet; a fourth never begins beside them."""
    meet, lock, under_way, seen = threading.Barrier(3, timeout=30), threading.Lock(), [0], [0]

    def work(item: int) -> int:
        with lock:
            under_way[0] += 1
            seen[0] = max(seen[0], under_way[0])
        meet.wait()
        with lock:
            under_way[0] -= 1
        return item

    assert list(at_once(work, range(9), 3)) == list(range(9))
    assert seen == [3]


def test_what_an_item_raises_is_raised_and_nothing_else_is_begun() -> None:
    """The other items under way finish; those that wait do not start."""
    started: list[int] = []
    go = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item == 0:
            raise ValueError("first")
        assert go.wait(30)
        return item

    with pytest.raises(ValueError, match="first"):
        list(at_once(work, range(100), 2))
    go.set()
    assert len(started) <= 3
