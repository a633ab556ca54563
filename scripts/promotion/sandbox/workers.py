"""Who computes the partitions of a large table: processes of this machine, or a Dask cluster.

A worker is given a function of this package and its arguments (places, the policy, sums so far), and nothing of this
process's environment. A partition whose worker died is given to another one, so nothing depends on who computed what.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import platform
import signal
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from promotion.errors import PromotionError
from promotion.judgement import places
from promotion.judgement.table import Workers as Workers
from promotion.sandbox.run import clean_environment

R = TypeVar("R")
PACKAGE = Path(__file__).resolve().parents[1]
DECIDE = ("numpy", "pyarrow")  # whose versions could change a bit
MOST_DEATHS = 3
CONNECT_SECONDS = "10s"
ASK_SECONDS = 1.0
FORGET = """
import sys
if getattr(sys.modules.get("promotion.packed"), "DIGEST", None) != wanted:
    forge = getattr(sys.modules.get("promotion.sandbox.run"), "FORGE", None)
    if forge is not None and not forge._one.locked():
        forge.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "promotion"]:
        del sys.modules[name]
    sys.path[:] = [place for place in sys.path if not place.rpartition("/")[2].startswith("promotion-")]
"""  # what an earlier judgement by other scripts has left in a worker
ALONE_SECONDS = 300.0  # for which a cluster may have no worker: some start them when there is work


def versions() -> dict[str, str]:
    """The versions of what computes; on a cluster's worker also which scripts it was sent."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    found |= {name: importlib.metadata.version(name) for name in DECIDE}
    with contextlib.suppress(ImportError):
        found["scripts"] = importlib.import_module("promotion.packed").DIGEST
    return found


def _same(wanted: dict[str, str], work: Callable[..., R], item: tuple[Any, ...]) -> R:
    """Do one item's work where Python, libraries and scripts are those of whoever asked."""
    here = versions()
    odd = [
        f"{name} {here.get(name, 'of its own')[:12]} instead of {said[:12]}"
        for name, said in wanted.items()
        if here.get(name) != said
    ]
    if odd:
        raise PromotionError(
            f"a worker has {', '.join(odd)}; start it again with the same Python and requirements/cluster.txt, and "
            "with no copy of these scripts on its path"
        )
    return work(*item)


@dataclass(frozen=True)
class Place:
    """Where workers are, as messages name it; what their executor raises when it has lost them; if it still has them.

    Dask's client can forget an item that it is handed in the moment in which it loses its scheduler: that future waits
    for ever, so `here` is asked from time to time.
    """

    name: str
    lost: tuple[type[BaseException], ...] = ()
    here: Callable[[], bool] = lambda: True


def _result(future: Future[R], place: Place) -> R:
    """What a future comes to; raise CancelledError where the place of its work is gone without a word."""
    while True:
        here = place.here()  # before the wait: what was answered before it went is an answer
        try:
            return future.result(ASK_SECONDS)
        except TimeoutError:
            if future.done():
                raise  # the work's own
            if not here:
                raise CancelledError from None


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


class Pool:
    """Items given to an executor, a few ahead of those that are asked for."""

    def __init__(
        self,
        start: Callable[[], Executor],
        size: int,
        wanted: dict[str, str],
        place: Place,
        *,
        scratch: Path | None = None,
        share: Path | str | None = None,
    ) -> None:
        """start: makes the executor, again where it broke. wanted: see versions.

        scratch: see judgement's Workers. share: where workers that see no folder of ours find model and days.
        """
        self._start, self._size, self._wanted, self._place = start, size, wanted, place
        self.scratch = None if scratch is None else scratch.absolute()
        self.share = None if share is None else places.absolute(share)
        self._executor: Executor | None = None

    def map(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """Yield work(*item) of every item, in their order; raise what the first that failed raised."""
        futures: dict[int, Future[R]] = {}
        deaths = number = 0
        while number < len(items):
            try:
                for each in range(number, min(len(items), number + 2 * self._size)):
                    if each not in futures:
                        futures[each] = self._executor_now().submit(_same, self._wanted, work, items[each])
                found = _result(futures[number], self._place)
            except BrokenProcessPool:
                deaths += 1
                if deaths >= MOST_DEATHS:
                    raise PromotionError(
                        f"workers died {deaths} times; where memory was short, use fewer --workers or smaller parts"
                    ) from None
                self.close()
                futures = {each: future for each, future in futures.items() if _has_result(future)}
                continue
            except ImportError as error:
                raise PromotionError(
                    f"a worker of {self._place.name} lacks a library ({error}); start it again with the same Python "
                    "and requirements/cluster.txt"
                ) from None
            except self._place.lost as error:
                raise PromotionError(
                    f"{self._place.name} is gone, or lost its workers too often ({type(error).__name__}"
                    f"{': ' if str(error) else ''}{str(error)[:200]}); look at it, then run this again"
                ) from None
            del futures[number]
            number += 1
            yield found

    def _executor_now(self) -> Executor:
        if self._executor is None:
            self._executor = self._start()
        return self._executor

    def close(self) -> None:
        """Let the workers go."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


@contextlib.contextmanager
def workers(
    count: int | None, cluster: str | None = None, scratch: Path | None = None, share: Path | str | None = None
) -> Iterator[Pool | None]:
    """The workers that a command line asks for: `count` processes here, or a Dask scheduler's; None for neither.

    scratch, share: as Pool has them. Raise PromotionError for a scheduler that cannot be reached, and for one of these
    without workers.
    """
    if cluster is not None:
        with _dask(cluster, scratch, share) as pool:
            yield pool
        return
    if count is None or count < 2:
        if share is not None:
            raise PromotionError("--share is where workers find what they need; name them: --cluster, or --workers 2")
        if scratch is not None:
            raise PromotionError("--scratch is where workers put rows in order; one process does so where TMPDIR says")
        yield None
        return
    pool = Pool(lambda: _processes(count), count, versions(), Place("this machine"), scratch=scratch, share=share)
    try:
        yield pool
    finally:
        pool.close()


def _processes(count: int) -> Executor:
    """Processes forked from one that was started without this process's environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["promotion.judgement.judge"])
    with _without_secrets():
        multiprocessing.forkserver.ensure_running()
    return ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_others)


def _end_with_others() -> None:
    """Let this process end at Ctrl-C without a word, and where the one that it works for was killed."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


@contextlib.contextmanager
def _without_secrets() -> Iterator[None]:
    """This process's environment as model code's, for as long as another process is started."""
    before = dict(os.environ)
    clean = {**clean_environment(before.get("HOME", "")), "PYTHONPATH": str(PACKAGE.parent)}
    os.environ.clear()
    os.environ.update(clean)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _dask(address: str, scratch: Path | None, share: Path | str | None) -> Iterator[Pool]:
    try:
        from distributed import Client, KilledWorker, Security
        from distributed.diagnostics.plugin import SchedulerUploadFile, UploadFile
    except ImportError:
        raise PromotionError(
            "--cluster needs Dask's `distributed`, which is not installed: pip install -r requirements/cluster.txt"
        ) from None
    if address.startswith("tls:") and Security().get_connection_args("client").get("ssl_context") is None:
        raise PromotionError(
            f"{address} needs certificates; Dask's own configuration names them (distributed.comm.tls)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other versions there: those that matter are asked of each worker
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise PromotionError(
            f"no Dask scheduler answers at {address} ({str(error)[:100]}); start it with `dask scheduler`"
        ) from None
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)  # what it would say in tracebacks is one sentence of ours
    with client, tempfile.TemporaryDirectory() as folder:
        path, digest = _packed(Path(folder))
        client.run(exec, FORGET, {"wanted": digest})
        for send in (SchedulerUploadFile, UploadFile):  # to the workers of now, and to those that come later, who would
            client.register_plugin(send(str(path)), name="promotion")  # else get those of all who ever asked, at once
        yield Pool(
            lambda: client.get_executor(pure=False),
            max(2, sum(client.ncores().values())),
            {**versions(), "scripts": digest},
            Place(
                f"the cluster {address}",
                (CancelledError, OSError, KilledWorker),
                _presence(client, address),
            ),
            scratch=scratch,
            share=share,
        )


def _presence(client: Any, address: str) -> Callable[[], bool]:
    """Whether the client still has the scheduler that it has now; PromotionError where that has long had no worker."""
    connection = client.scheduler_comm  # another one after this knows nothing of what was asked
    since: float | None = None

    def here() -> bool:
        nonlocal since
        if client.scheduler_comm is not connection:
            return False
        if client.ncores():
            since = None
            return True
        if since is None:
            since = time.monotonic()
            print(f"the cluster {address} has no worker now; waiting for one ...", flush=True)
        if time.monotonic() - since >= ALONE_SECONDS:
            raise PromotionError(
                f"the cluster {address} has had no worker for {ALONE_SECONDS:.0f} s; start some with `dask worker "
                f"{address}`, then run this again"
            )
        return True

    return here


def _packed(folder: Path) -> tuple[Path, str]:
    """A zip file of this package's modules with the digest of its content, and that digest."""
    files = sorted(PACKAGE.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(PACKAGE)}\0".encode() + file.read_bytes())
    path = folder / f"promotion-{digest.hexdigest()[:12]}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            packed.write(file, f"promotion/{file.relative_to(PACKAGE)}")
        packed.writestr("promotion/packed.py", f'DIGEST = "{digest.hexdigest()}"\n')
    return path, digest.hexdigest()
