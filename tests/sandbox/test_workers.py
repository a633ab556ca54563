"""Workers: a judgement has the same bytes whoever computed which part of it, and they are given no secret."""

import functools
import itertools
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path
from typing import Any

import promotion.judgement.digest as digest
import pytest
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.table import Reading
from promotion.sandbox import answering as module_of_answering
from promotion.sandbox import workers as module
from promotion.sandbox.answering import answer
from promotion.sandbox.workers import Place, Pool, workers

from tests.proofs.benchmarks.bench_size import rules, write_parts
from tests.support import working
from tests.support.artifacts import X, features, logistic, save
from tests.support.tiny import challenger_of_a_champion

ROOT = Path(__file__).resolve().parents[2]
ROWS, PART = 60_000, 12_000


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A score table of five files."""
    folder = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.proofs.benchmarks.bench_size.PART_ROWS", PART)
        write_parts(folder, ROWS)
    return folder


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    """Two processes, started where this one holds a secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_PASSWORD", "sekret-password")
        with workers(2) as pool:
            assert pool is not None
            assert list(pool.map(working.doubled, [(1,)])) == [2]
            yield pool


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of more than 20,000 rows does not fit in memory."""
    monkeypatch.setattr(digest, "IN_MEMORY", 20_000)


def judged(parts: Path, pool: Pool | None) -> str:
    """The text of evaluation.json."""
    return judge_table(parts, rules(), replicates=200, reading=Reading(workers=pool)).text()


def test_an_evaluation_has_the_same_bytes_with_and_without_workers(parts: Path, two: Pool) -> None:
    """Checks, digests, sums and curves of five files by two processes, in two orders of arrival."""
    assert judged(parts, two) == judged(parts, None)


def test_a_worker_that_dies_changes_nothing(tmp_path: Path, two: Pool) -> None:
    """Its item, and those that died with it, are given to others; results stay in order."""
    items = [(tmp_path / "marker", n) for n in range(20)]

    assert list(two.map(working.dies_first, items)) == [2 * n for n in range(20)]


def test_workers_that_always_die_are_one_sentence(two: Pool) -> None:
    """A part that kills whoever reads it is not tried for ever."""
    with pytest.raises(PromotionError, match="workers died 3 times; where memory was short"):
        list(two.map(working.always_dies, [(1,), (2,)]))


KILLED = """
import sys
from pathlib import Path
from promotion.sandbox.workers import workers
from tests.support import working

if __name__ == "__main__":
    with workers(2) as pool:
        list(pool.map(working.waits_in_model_code, [(Path(sys.argv[1]),)]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_whoever_is_killed_or_interrupted_leaves_nobody_at_work(tmp_path: Path, how: signal.Signals) -> None:
    """Workers, and the model code that one of them waits for, end with the process that asked, and say nothing."""
    begun, script = tmp_path / "begun", tmp_path / "killed.py"
    os.mkfifo(begun)
    script.write_text(KILLED, encoding="utf-8")
    reader = os.open(begun, os.O_RDONLY | os.O_NONBLOCK)
    watched = select.poll()
    watched.register(reader, select.POLLIN)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    with (tmp_path / "said").open("w") as said:
        command = [sys.executable, script, str(begun)]
        asker = subprocess.Popen(command, env=env, stderr=said, start_new_session=True)
    try:
        assert watched.poll(60_000) == [(reader, select.POLLIN)]
        assert os.read(reader, 10) == b"begun"
        if how == signal.SIGINT:  # as Ctrl-C does it in a terminal
            os.killpg(asker.pid, how)
            asker.wait(60)
    finally:
        asker.kill()
        asker.wait()

    watched.modify(reader, 0)  # the end of all who hold it open
    assert watched.poll(60_000) == [(reader, select.POLLHUP)]
    os.close(reader)
    text = (tmp_path / "said").read_text()
    assert "Traceback" not in text and text.count("interrupted\n") == (how == signal.SIGINT)


def test_no_secret_reaches_a_worker(two: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of when the first one was started, nor later ones of a worker that replaces another."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sekret-key")
    two.close()

    (seen,) = two.map(working.environment, [()])
    assert "sekret" not in str(seen) and "PATH" in seen


SECRETS = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)


def test_what_a_worker_is_given_holds_no_secret(parts: Path, two: Pool, tmp_path: Path, monkeypatch) -> None:
    """The bytes that judging and answering send, by folders and by a share, wherever they go."""
    for name in SECRETS:
        monkeypatch.setenv(name, f"sekret://{name}")
    sent: list[bytes] = []

    class Written(Executor):
        def submit(self, work: Any, *args: Any, **named: Any) -> Future[Any]:
            sent.append(pickle.dumps((work, args)))
            return two._executor_now().submit(work, *args)

    class Refused(Executor):
        def submit(self, work: Any, *args: Any, **named: Any) -> Future[Any]:
            sent.append(pickle.dumps((work, args)))
            refused: Future[Any] = Future()
            refused.set_exception(PromotionError("no model is asked here"))
            return refused

    judged(parts, Pool(Written, 2, module.versions(), Place("this machine")))
    model, made = tmp_path / "model", features(tmp_path / "features")
    model.mkdir()
    job = {"model": str(model), "features": str(made), "out": str(tmp_path / "out")}
    for share in (None, tmp_path / "share"):
        with pytest.raises(PromotionError, match="no model is asked"):
            answer(job, log=tmp_path / "log", blame=model, pool=Pool(Refused, 2, {}, Place("there"), share=share))

    for work in (b"_share", b"_deal", b"_put_in_order", b"_part", b"_sent_part"):
        assert any(work in one for one in sent)
    assert not any(b"sekret" in one for one in sent)


def test_progress_says_how_many_rows_are_done(parts: Path, two: Pool) -> None:
    """After each file, in order, of each pass."""
    told: list[tuple[int, int]] = []
    judge_table(parts, rules(), replicates=200, reading=Reading(lambda done, total: told.append((done, total)), two))

    assert {total for _, total in told} == {ROWS}
    assert [done for done, _ in itertools.islice(told, 5)] == [PART * n for n in range(1, 6)]


def test_a_worker_with_other_libraries_is_refused(two: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another NumPy could change a bit; the sentence names both versions."""
    monkeypatch.setattr(two, "_wanted", {**module.versions(), "numpy": "1.0"})

    with pytest.raises(PromotionError, match=r"a worker has numpy \d.* instead of 1.0; start it again with the"):
        list(two.map(working.doubled, [(1,)]))


def test_a_worker_that_lacks_a_library_is_told(two: Pool) -> None:
    """Which one, and what to install."""
    with pytest.raises(PromotionError, match=r"lacks a library .*a_library_that_nobody_has.*cluster\.txt"):
        list(two.map(working.lacking, [(1,)]))


def test_an_item_that_its_place_forgot_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lost place had answered is taken; then comes one sentence. The work's own timeout is the work's."""
    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)

    class Forgetful(Executor):
        def submit(self, work: Any, *args: Any, **named: Any) -> Future[Any]:
            future: Future[Any] = Future()
            _, _, (item,) = args
            if isinstance(item, Exception):
                future.set_exception(item)
            elif item == "answered":
                future.set_result(item)
            return future

    gone = Place("the cluster tcp://there", (CancelledError,), here=lambda: False)
    answers = Pool(Forgetful, 2, {}, gone).map(print, [("answered",), ("forgotten",)])
    assert next(answers) == "answered"
    with pytest.raises(PromotionError, match="the cluster tcp://there is gone"):
        next(answers)
    with pytest.raises(TimeoutError, match="of the work"):
        next(Pool(Forgetful, 2, {}, gone).map(print, [(TimeoutError("of the work"),)]))


def test_a_bad_row_is_told_as_without_workers(parts: Path, two: Pool, tmp_path: Path) -> None:
    """File, column and row of the first file that is wrong, though others were read at the same time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in parts.iterdir():
        table = pq.read_table(path)
        if path.name >= "part-00002":
            labels = table["label"].to_numpy().copy()
            labels[7] = 2
            table = table.set_column(table.column_names.index("label"), "label", pa.array(labels))
        pq.write_table(table, tmp_path / path.name)

    said = []
    for pool in (None, two):
        with pytest.raises(PromotionError) as error:
            judged(tmp_path, pool)
        said.append(str(error.value))
    assert said[0] == said[1] and "part-00002.parquet: label is neither 0 nor 1 in row 8" in said[0]


# a model that answers


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], dict[str, bytes]]:
    """What to answer, and the bytes of what one process answers."""
    folder = tmp_path_factory.mktemp("asked")
    model, made = save(logistic(), folder / "model"), features(folder / "features")
    job = {"model": str(model), "features": str(made), "rounds": 0}
    found = answer({**job, "out": str(folder / "alone")}, log=folder / "alone.log", blame=model)
    assert found["rows"] == len(X)
    return {**job, "found": found}, bytes_of(folder / "alone")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """The bytes of a folder's files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def answered(asked: tuple[dict[str, object], dict[str, bytes]], out: Path, pool: Pool) -> None:
    """Let workers answer, and compare with what one process said."""
    job, alone = dict(asked[0]), asked[1]
    said = job.pop("found")

    assert (
        answer({**job, "out": str(out)}, log=out.with_suffix(".log"), blame=Path(str(job["model"])), pool=pool) == said
    )
    assert bytes_of(out) == alone and len(alone) == 2


@pytest.mark.slow
def test_a_worker_that_dies_while_a_model_answers_changes_nothing(
    asked, tmp_path: Path, two: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its day is answered by another one; where every worker dies, that is one sentence."""
    monkeypatch.setattr(module_of_answering, "_part", functools.partial(working.answers_or_dies, tmp_path / "marker"))
    answered(asked, tmp_path / "out", two)
    assert (tmp_path / "marker").exists()

    monkeypatch.setattr(module_of_answering, "_part", working.always_dies_on_a_day)
    with pytest.raises(PromotionError, match="workers died 3 times"):
        answered(asked, tmp_path / "again", two)


def test_a_worker_of_another_environment_answers_nothing(tmp_path: Path, two: Pool) -> None:
    """Another library, one that is not there, a folder that it does not see: what to do is said."""
    job = {"model": str(tmp_path), "features": str(tmp_path), "packages": str(tmp_path / "absent"), "part": "x"}
    for wanted, said in (
        ({"mlflow-skinny": "0.1"}, r"a worker has mlflow-skinny 3\S* instead of 0\.1; install"),
        ({"nobody-has-it": "1"}, "a worker has no nobody-has-it; install the same requirements/train.txt there"),
        ({}, r"absent: a worker does not see this folder; give a --work that all of them share, or --share s3://"),
    ):
        with pytest.raises(PromotionError, match=said):
            list(two.map(module_of_answering._part, [(job, wanted, tmp_path / "x.log", tmp_path)]))


@pytest.mark.slow
def test_a_judgement_by_workers_has_the_same_bytes_from_the_command_line(tmp_path: Path, monkeypatch) -> None:
    """All that score.py, gate.py and challenge.py write of both models, whose days go by folders or by a share."""
    monkeypatch.setattr(digest, "IN_MEMORY", 300)
    project = challenger_of_a_champion(tmp_path)
    alone = project.judge_again(tmp_path / "alone")

    assert len(alone) == 3 + 7 + 2 * 7
    assert project.judge_again(tmp_path / "folders", "--workers", "2") == alone
    assert project.judge_again(tmp_path / "shared", "--workers", "2", share=str(tmp_path / "share")) == alone
    assert not list((tmp_path / "share").iterdir())
