"""Several things at a time: each model's own order of requests stays, and nothing waits for another's answer."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def meanwhile(work: Callable[[], R]) -> Callable[[], R]:
    """Begin `work` beside what comes next; return what waits for its result, or raises what it raised."""
    done: Future[R] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result


def at_once(work: Callable[[T], R], items: Sequence[T], most: int) -> Iterator[R]:
    """Yield work(item) of every item, in their order, at most `most` of them under way; raise what one raised.

    The threads are daemons, because one may wait an hour where a server says so: a command that is stopped, by its
    deadline or by a person, begins no other item and does not wait for those under way.
    """
    if most < 2 or len(items) < 2:
        yield from map(work, items)
        return
    todo = iter(enumerate(items))
    lock, stopped = threading.Lock(), threading.Event()
    done: queue.SimpleQueue[tuple[int, R | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while not stopped.is_set():
            with lock:
                number, item = next(todo, (-1, None))
            if number < 0:
                return
            try:
                done.put((number, work(item), None))  # type: ignore[arg-type]
            except BaseException as error:
                done.put((number, None, error))

    for _ in range(min(most, len(items))):
        threading.Thread(target=run, daemon=True).start()
    waiting: dict[int, R] = {}
    try:
        for number in range(len(items)):
            while number not in waiting:
                which, result, error = done.get()
                if error is not None:
                    raise error
                waiting[which] = result  # type: ignore[assignment]
            yield waiting.pop(number)
    finally:
        stopped.set()
