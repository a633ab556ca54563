"""Follow an alias of the registry: poll, fetch, let the new version load beside what serves; say what is the matter."""

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promotion.cli import now
from promotion.errors import PromotionError
from promotion.registry.client import Registry
from promotion.serving.backoff import backoff
from promotion.serving.events import event
from promotion.serving.loading import fetch
from promotion.serving.pool import Pool
from promotion.serving.store import Local, Store
from promotion.text.escape import without_secrets

FRESH_SECONDS = 1.0
SILENT_SECONDS = 300.0  # a registry that lets one wait for so long is a problem although it did not fail yet


@dataclass(frozen=True)
class Served:
    """A version that is loaded, warm and known to answer."""

    local: Local
    pool: Pool
    loaded_at: str
    since: float = field(default_factory=time.monotonic)

    @property
    def version(self) -> int:
        """Its number."""
        return self.local.version

    @property
    def notes(self) -> list[str]:
        """What is worth knowing, for /health."""
        return [*([] if self.local.note is None else [self.local.note]), *self.pool.notes]


class Follower(threading.Thread):
    """Keeps `current` at the version that `name`@`alias` names; requests never wait for it.

    install: loads a version beside what serves and lets it take over; blocks meanwhile, asks now and then whether it
    is unwanted by now, PromotionError when it cannot. polled_once: called after the first poll, whatever it found.
    spare: a version beside `current` that could take over at once, if there is one. failed_loads, swaps: counts.
    """

    def __init__(
        self,
        registry: Registry,
        name: str,
        alias: str,
        poll_seconds: float,
        store: Store,
        install: Callable[[Local, Callable[[], bool]], Served],
    ) -> None:
        super().__init__(name=f"follow-{name}", daemon=True)
        self.registry = registry
        self.model = name
        self.alias = alias
        self.poll_seconds = poll_seconds
        self.store = store
        self.install = install
        self.current: Served | None = None
        self.since: str | None = None
        self.loading: int | None = None
        self.last_poll: str | None = None
        self.last_error: str | None = None
        self.failed_loads = 0
        self.swaps = 0
        self.polled_once: Callable[[], None] = lambda: None
        self.spare: Callable[[], Served | None] = lambda: None
        self._problems: dict[str, str] = {}
        self._sizes: dict[str, dict[str, int]] = {}  # of files, by the digest of what serves and what served before
        self._failures = 0
        self._broken: tuple[int, int, float] | None = None  # version, failures, when to try again
        self._asked = time.monotonic()  # when the registry answered the last poll
        self._stopping = threading.Event()

    def run(self) -> None:
        """Poll until stopped; whatever happens in one poll, the next one comes."""
        first = True
        while not self._stopping.is_set():
            try:
                delay = self.step()
            except BaseException as error:
                self._failures += 1
                self._problem("registry", _sentence(error))
                delay = backoff(self._failures, self.poll_seconds)
            if first:
                self.polled_once()
                first = False
            self._stopping.wait(delay)

    def stop(self) -> None:
        """Ask the thread to end after what it is doing."""
        self._stopping.set()

    def problems(self) -> list[str]:
        """What keeps the newest champion from serving, in sentences."""
        found = list(self._problems.values())
        silent = time.monotonic() - self._asked - self.poll_seconds
        if silent > SILENT_SECONDS and not found:
            what = "the registry has not answered" if self.loading is None else f"version {self.loading} has not loaded"
            found.append(f"{what} for more than {SILENT_SECONDS:.0f} s")
        return found

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
            if self.current is None:
                self._from_store()
            return backoff(self._failures, self.poll_seconds)
        self._failures = 0
        self._asked = time.monotonic()
        self.last_poll = now()
        self._well("registry")
        if number is None or (self.current is not None and self.current.version == number):
            self._broken = None
            self._well("version")
            if self.current is not None:
                self._look_after(self.current)
        elif self._broken is None or self._broken[0] != number or time.monotonic() >= self._broken[2]:
            self._take(number)
            return self.poll_seconds if self._just_asked() else 0.0  # else: what does the alias name now?
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
        try:
            local = self._fetched(number)
            if self._moved_on(number):
                return
            self._install(local)
        except BaseException as error:  # whatever a model raises while it is loaded, following goes on
            if self._stopping.is_set():
                return  # the server ended it
            failures = self._broken[1] + 1 if self._broken is not None and self._broken[0] == number else 1
            self._broken = (number, failures, time.monotonic() + backoff(failures, self.poll_seconds))
            self.failed_loads += 1
            stays = "" if self.current is None else f"; version {self.current.version} stays in service"
            self._problem("version", f"version {number} cannot be served: {_sentence(error)}{stays}")
        finally:
            self.loading = None

    def _fetched(self, number: int) -> Local:
        version = self.registry.version(self.model, number)
        if version is None:
            raise PromotionError(f"@{self.alias} names version {number}, which the registry does not have")
        spare = self.spare()
        known = None if spare is None or spare.version != number else spare.local
        return fetch(self.registry, version, self.store, self.alias, known)

    def _install(self, local: Local) -> None:
        began = time.monotonic()
        before, sizes = self.current, self._sizes.get(local.digest) or local.sizes()
        was = None if before is None else before.local.digest
        self.current = self.install(local, functools.partial(self._moved_on, local.version))
        self.since = now()
        self.swaps += before is not None
        self._broken = None
        self._well("version")
        self._well("files")
        milliseconds = round((time.monotonic() - began) * 1000)
        old = before.version if before else None
        self._tell("swap", old=old, new=local.version, ms=milliseconds)
        for note in self.current.notes:
            self._tell("note", version=local.version, text=note)
        self._sizes = {digest: files for digest, files in self._sizes.items() if digest == was} | {local.digest: sizes}
        self._remember(local)

    def _remember(self, local: Local) -> None:
        """Note what serves, for a start without the registry."""
        try:
            self.store.remember(self._registry_name(), self.alias, local)
        except OSError as error:
            self._problem(
                "store",
                f"version {local.version} serves, but {self.store.root} cannot say so ({error.strerror or error}), and "
                "a start without the registry goes by what stands there",
            )
        else:
            self._well("store")

    def _look_after(self, served: Served) -> None:
        """See to it that the next start and the next worker find what serves."""
        if "store" in self._problems:
            self._remember(served.local)
        sizes = served.local.sizes()
        if served.pool.damaged or any(sizes.get(n) != size for n, size in self._sizes[served.local.digest].items()):
            self._fetch_again(served)

    def _from_store(self) -> None:
        """While the registry does not answer, serve what served last here, if its files are whole."""
        local = self.store.recall(self._registry_name(), self.model, self.alias)
        if local is None:
            return
        try:
            self._install(local)
        except Exception as error:
            self._problem("version", f"version {local.version}, the local copy, cannot be served: {_sentence(error)}")
            return
        self._tell("local-copy", version=local.version, digest=local.digest)

    def _fetch_again(self, served: Served) -> None:
        """The files of what serves are gone or damaged: the model is in memory, but a restart would need them."""
        local = served.local
        what = f"the files of version {local.version} in {local.folder} have vanished or changed"
        self._problem("files", what)
        try:
            self._fetched(local.version)
        except Exception as error:
            self._problem("files", f"{what} and could not be fetched again: {_sentence(error)}")
            return
        served.pool.damaged = False
        self._well("files")
        self._remember(local)

    def _registry_name(self) -> str:
        return without_secrets(self.registry.uri)

    def _moved_on(self, number: int) -> bool:
        """Whether the alias has left `number` since the poll; the next one then takes the newer one."""
        if self._just_asked():
            return False
        try:
            return self._named() != number
        except Exception:
            return False  # what the registry said last still stands

    def _just_asked(self) -> bool:
        return time.monotonic() - self._asked < FRESH_SECONDS

    def _tell(self, what: str, **fields: Any) -> None:
        event(what, model=self.model, alias=self.alias, **fields)

    def _problem(self, topic: str, text: str) -> None:
        self.last_error = f"{now()} {text}"
        if self._problems.get(topic) != text:
            self._problems = {**self._problems, topic: text}
            self._tell("problem", topic=topic, text=text)

    def _well(self, topic: str) -> None:
        if topic in self._problems:
            self._problems = {key: value for key, value in self._problems.items() if key != topic}
            self._tell("well", topic=topic)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, PromotionError) else f"{type(error).__name__}: {text}"
