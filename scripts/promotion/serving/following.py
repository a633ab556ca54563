"""Follow an alias of the registry: poll, load beside what serves, swap; and say what is the matter."""

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promotion.errors import PromotionError
from promotion.registry.client import Registry
from promotion.serving.loading import Served, load, now

log = logging.getLogger("serve")

LONGEST_WAIT = 60.0


def backoff(
    failures: int, base: float, *, cap: float = LONGEST_WAIT, draw: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after `failures` failures in a row: base doubled each time, at most `cap`, half of it random."""
    longest = min(max(cap, base), base * 2.0 ** min(failures, 30))
    return longest * (0.5 + 0.5 * draw())


class Follower(threading.Thread):
    """Keeps `current` at the version that `name`@`alias` names; requests never wait for it.

    retire: called with a function that removes the files of a version which no longer serves.
    polled_once: called after the first poll, whatever it found.
    """

    def __init__(self, registry: Registry, name: str, alias: str, poll_seconds: float, root: Path) -> None:
        super().__init__(name="follow", daemon=True)
        self.registry = registry
        self.model = name
        self.alias = alias
        self.poll_seconds = poll_seconds
        self.root = root
        self.current: Served | None = None
        self.since: str | None = None
        self.loading: int | None = None
        self.last_poll: str | None = None
        self.last_error: str | None = None
        self.retire: Callable[[Callable[[], None]], None] = lambda action: action()
        self.polled_once: Callable[[], None] = lambda: None
        self._problems: dict[str, str] = {}
        self._failures = 0
        self._broken: tuple[int, int, float] | None = None  # version, failures, when to try again
        self._stopping = threading.Event()

    def run(self) -> None:
        """Poll until stopped."""
        first = True
        while not self._stopping.is_set():
            delay = self.step()
            if first:
                self.polled_once()
                first = False
            self._stopping.wait(delay)

    def stop(self) -> None:
        """Ask the thread to end after what it is doing."""
        self._stopping.set()

    def problems(self) -> list[str]:
        """What keeps the newest champion from serving, in sentences."""
        return list(self._problems.values())

    def waiting_for(self) -> str:
        """One sentence for a client while nothing serves."""
        reason = "; ".join(self.problems())
        if not reason:
            reason = f"version {self.loading} is being loaded" if self.loading else "the registry has not answered yet"
        return f"No version of {self.model} is being served: {reason}"

    def step(self) -> float:
        """Poll once and act on it; return the seconds until the next poll."""
        try:
            number = self._named()
        except Exception as error:
            self._failures += 1
            self._problem("registry", _sentence(error))
            return backoff(self._failures, self.poll_seconds)
        self._failures = 0
        self.last_poll = now()
        self._well("registry")
        if number is None or (self.current is not None and self.current.version == number):
            self._broken = None
            self._well("version")
        elif self._broken is None or self._broken[0] != number or time.monotonic() >= self._broken[2]:
            self._take(number)
        return self.poll_seconds

    def _named(self) -> int | None:
        """Return the version number that the alias names now, or None and a problem."""
        if self.registry.uri.startswith("sqlite:///"):
            file = Path(self.registry.uri.removeprefix("sqlite:///"))
            if not file.exists():  # opening it would make an empty registry
                raise PromotionError(f"there is no MLflow database {file}; set MLFLOW_TRACKING_URI or change folder")
        found = self.registry.model(self.model)
        number = None if found is None else found.aliases.get(self.alias)
        if number is not None:
            self._well("alias")
            return number
        what = f"no registered model {self.model}" if found is None else f"no alias @{self.alias} on {self.model}"
        stays = "" if self.current is None else f"; version {self.current.version} stays in service"
        self._problem("alias", f"the registry has {what}{stays}")
        return None

    def _take(self, number: int) -> None:
        """Load version `number` and put it in service, or keep what serves and say why."""
        self.loading = number
        began = time.monotonic()
        try:
            version = self.registry.version(self.model, number)
            if version is None:
                raise PromotionError(f"@{self.alias} names version {number}, which the registry does not have")
            served = load(self.registry, version, self.root)
        except Exception as error:
            failures = self._broken[1] + 1 if self._broken is not None and self._broken[0] == number else 1
            self._broken = (number, failures, time.monotonic() + backoff(failures, self.poll_seconds))
            stays = "" if self.current is None else f"; version {self.current.version} stays in service"
            self._problem("version", f"version {number} cannot be served: {_sentence(error)}{stays}")
            return
        finally:
            self.loading = None
        if self._moved_on(number):
            served.close()
            return
        before, self.current, self.since = self.current, served, now()
        self._broken = None
        self._well("version")
        _event("swap", model=self.model, old=before.version if before else None, new=number, ms=_ms(began))
        for note in served.notes:
            _event("note", model=self.model, version=number, text=note)
        if before is not None:
            self.retire(before.close)

    def _moved_on(self, number: int) -> bool:
        """Whether the alias has left `number` while it was loading; the next poll then takes the newer one."""
        try:
            return self._named() != number
        except Exception:
            return False  # what the registry said last still stands

    def _problem(self, topic: str, text: str) -> None:
        self.last_error = f"{now()} {text}"
        if self._problems.get(topic) != text:
            self._problems = {**self._problems, topic: text}
            _event("problem", model=self.model, topic=topic, text=text)

    def _well(self, topic: str) -> None:
        if topic in self._problems:
            self._problems = {key: value for key, value in self._problems.items() if key != topic}
            _event("well", model=self.model, topic=topic)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, PromotionError) else f"{type(error).__name__}: {text}"


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _event(event: str, **fields: Any) -> None:
    """One line of key=value pairs, quoted where they hold spaces."""
    pairs = [f"{key}={_value(value)}" for key, value in {"event": event, **fields}.items() if value is not None]
    log.info(" ".join(pairs))


def _value(value: Any) -> str:
    text = str(value)
    if text and not any(char in text for char in ' "=') and text.isprintable():
        return text
    import json

    return json.dumps(text, ensure_ascii=False)
