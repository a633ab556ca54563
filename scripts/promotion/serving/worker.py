"""The process that holds one model and answers for it: it loads, warms, proves, then answers batch after batch.

Forked by zygote.py, it has neither credentials nor the model's source nor scripts/ on its path. It ends when
the server is gone, and whatever the model does to it, the server notices and starts another.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd

from promotion.errors import PromotionError
from promotion.sandbox.proof import Proof, Steps, finish, prove
from promotion.serving.events import failure
from promotion.serving.frames import receive, send
from promotion.serving.scoring import BUG, JSON, Request, Scorer
from promotion.serving.siblings import ended, go_on_with_parent_gone, multiplied, opened
from promotion.serving.trees import walk_trees_at_once

PRELOADED = ("mlflow.pyfunc.scoring_server", "mlflow.sklearn", "sklearn.ensemble", "sklearn.linear_model", "skops.io")
PROOF_SECONDS = 20.0
NICE = 10

T = TypeVar("T")


def preload() -> None:
    """Do before the fork what every model needs: imports, and MLflow's list of what is installed, which it keeps."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
    from sklearn.dummy import DummyClassifier  # type: ignore[import-untyped]

    for name in PRELOADED:
        importlib.import_module(name)
    DummyClassifier().fit(pd.DataFrame({"x": [0.0]}), [0])  # with what is imported for the first data frame
    warn_dependency_requirement_mismatches(["mlflow"])


def run(connection: socket.socket, siblings: Sequence[socket.socket]) -> None:
    """Answer the server's messages until it is gone; in a worker that is forked for a sibling's end, those there."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")  # arrays, where that was proven
    walk_trees_at_once()
    sys.dont_write_bytecode = True  # a model's folder stays what its digest says
    with joblib.parallel_config("sequential"):  # n_jobs=2 makes one row three times slower
        message = receive(connection)
        if message is None:
            return
        if message[0]["background"]:
            give_way(message[0]["background"])
        order, before = message[0], opened()
        try:
            scorer, notes = giving_way(functools.partial(load, order))
            connection = multiplied(connection, siblings, before)
        except BaseException as error:  # a Rust panic and sys.exit are no Exception
            kind = "" if isinstance(error, PromotionError) else f"{type(error).__name__}: "
            send(connection, {"failed": kind + " ".join(str(error).split())[:500]})
            return
        proof = {"batching": scorer.batching, "array": scorer.proof.array, "note": scorer.proof.note}
        send(connection, {"loaded": proof, "notes": notes, "pid": os.getpid()})
        Worker(connection, scorer).run()


def give_way(memory: int) -> None:
    """Let everything else on the machine go first, and take at most `memory` more bytes than now."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # the first to go when memory runs out


def giving_way(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises, from a thread that gives way to whatever serves."""
    done: Future[T] = Future()

    def run() -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            with joblib.parallel_config("sequential"):
                done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, name="load")
    thread.start()
    ended(thread)
    return done.result()


def load(order: dict[str, Any]) -> tuple[Scorer, list[str]]:
    """Load, warm and, unless the order brings a proof, prove; return the scorer and notes for /health."""
    import mlflow.pyfunc

    try:
        model = mlflow.pyfunc.load_model(order["folder"])
    except Exception as error:
        if wanted := lacking(Path(order["folder"])):
            raise PromotionError(
                f"{order['label']} needs {', '.join(wanted)}, which this server lacks; install it into the server's "
                f"environment, `uv pip install {' '.join(wanted)}`, and restart it"
            ) from error
        raise
    notes = warm(model, order["label"])
    scorer = Scorer(model, Proof(**order["proof"]) if order.get("proof") else None)
    if not order.get("proof"):
        if scorer.tables:
            scorer.proof = finish(prove(model, model.input_example, [], scorer.as_array), PROOF_SECONDS)
        else:
            scorer.proof = Proof(note="requests are answered one by one: they are not tables")
    rehearse(scorer, Path(order["folder"]))
    return scorer, notes


def rehearse(scorer: Scorer, folder: Path) -> None:
    """Answer the saved example as requests come: a first request costs twice a later one, just when others swap too."""
    example = folder / "serving_input_example.json"
    if example.is_file():
        request = Request(example.read_bytes(), JSON)
        rehearsal = Scorer(scorer.model, scorer.proof)
        rehearsal.answers([request, request] if scorer.batching else [request])
        scorer.kind = rehearsal.kind


def lacking(folder: Path) -> list[str]:
    """The packages, as NAME==VERSION, that a model's own list names and that are not installed here in any version."""
    listed = folder / "requirements.txt"
    lines = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    names = {line: line.partition("==")[0].partition("[")[0] for line in lines}
    return [line for line, name in names.items() if name != "mlflow" and not _installed(name)]  # of it a part is enough


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return True


def warm(model: Any, label: str) -> list[str]:
    """Ask `model` for its own input example, and check length and finiteness; return notes for /health.

    Raises PromotionError when an answer is not one finite value a row.
    """
    example = model.input_example
    if example is None:
        return ["the model has no input example, so it was not warmed before it took over"]
    answer = model.predict(example)
    if isinstance(example, pd.DataFrame) and (not hasattr(answer, "__len__") or len(answer) != len(example)):
        found = len(answer) if hasattr(answer, "__len__") else "no"
        raise PromotionError(f"{label} gave {found} answers to the {len(example)} rows of its input example")
    if isinstance(answer, pd.DataFrame | pd.Series | np.ndarray | list):
        numbers = pd.DataFrame(answer).select_dtypes("number").to_numpy()
        if not np.isfinite(numbers.astype(float)).all():
            raise PromotionError(f"{label} gave an answer that is not a finite number to its own input example")
    return []


class Worker:
    """The loop: a message in, answers out; between messages, one step at a time, a proof by recorded rows."""

    def __init__(self, connection: socket.socket, scorer: Scorer) -> None:
        self.connection = connection
        self.scorer = scorer
        self.steps: Steps | None = None

    def run(self) -> None:
        """Answer until the server is gone."""
        while True:
            if self.steps is not None and not select.select([self.connection], [], [], 0)[0]:
                self._step(self.steps)
                continue
            message = receive(self.connection)
            if message is None:
                return
            self._answer(*message)

    def _answer(self, meta: dict[str, Any], bodies: list[bytes]) -> None:
        began = time.perf_counter()
        requests = [Request(body, kind) for body, kind in zip(bodies, meta["types"], strict=True)]
        try:
            answers = self.scorer.answers(requests)
        except BaseException:
            failure("batch")
            answers = [BUG] * len(requests)
        reply = {
            "number": meta["number"],
            "answers": [(answer.status, answer.media_type) for answer in answers],
            "batching": self.scorer.batching,
            "seconds": time.perf_counter() - began,
        }
        send(self.connection, reply, [_encoded(answer.text) for answer in answers])
        recorded = self.scorer.recorded
        if self.scorer.tables and not self.scorer.batching and self.steps is None and recorded.enough():
            model = self.scorer.model
            self.steps = prove(model, model.input_example, recorded.take(), self.scorer.as_array)

    def _step(self, steps: Steps) -> None:
        try:
            next(steps)
        except StopIteration as stop:
            self.steps = None
            self.scorer.proof = stop.value
            proof = {"batching": self.scorer.batching, "array": stop.value.array, "note": stop.value.note}
            send(self.connection, {"proved": proof})


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass" if not text.isascii() else "strict")


def begin(descriptor: int, further: Sequence[int] = ()) -> None:
    """In the forked child: serve on a socket, then end without what the parent has registered.

    further: descriptors of the sockets of those that it may fork.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server ends us, by closing the socket, when it has drained
    go_on_with_parent_gone()
    code = 0
    try:
        run(socket.socket(fileno=descriptor), [socket.socket(fileno=one) for one in further])
    except (BrokenPipeError, ConnectionResetError):
        pass
    except BaseException:
        failure("worker")
        code = 1
    finally:
        with contextlib.suppress(Exception):  # the model may have closed it
            os.nice(19)  # to give back what it held takes as long as a request, and whatever serves goes first
            sys.stderr.flush()
        os._exit(code)


def forget(scripts: Path) -> None:
    """Take this project's modules out of the reach of model code; what is loaded goes on working."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != scripts]
    for name in [name for name in sys.modules if name.split(".")[0] == "promotion"]:
        del sys.modules[name]
