"""Judging on a Dask cluster, from S3: the same bytes, whatever happens to the workers."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import promotion.judgement.digest as digest
import pytest
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.places import below
from promotion.judgement.table import Reading
from promotion.sandbox import workers as module
from promotion.sandbox.answering import answer
from promotion.sandbox.workers import workers

from tests.proofs.benchmarks.bench_size import rules, write_parts
from tests.support import working
from tests.support.artifacts import X, features
from tests.support.backends import s3
from tests.support.mlflow_server import free_port
from tests.support.tiny import challenger_of_a_champion

pytestmark = pytest.mark.servers
pytest.importorskip("distributed", reason="Dask is not installed; `make test-servers` installs it")
ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """A scheduler and workers that know the tests' helpers, and our package only by what they are sent."""

    def __init__(self, login: Mapping[str, str]) -> None:
        """login: what the workers' environment has beside the usual."""
        self.login = login
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("dask_scheduler", "--host", self.address)

    def add(self) -> "subprocess.Popen[bytes]":
        """One more worker, without a nanny that would start it again."""
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny")

    def _start(self, program: str, *args: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.{program}", *args, "--no-dashboard"]
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT), **self.login}
        env |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}  # as sandbox/run.py
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def clustered(login: Mapping[str, str]) -> Iterator[Cluster]:
    """A scheduler with two workers."""
    made = Cluster(login)
    made.add()
    made.add()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A scheduler with two workers."""
    with clustered({}) as made:
        yield made


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A score table of twelve files."""
    folder = tmp_path_factory.mktemp("parts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.proofs.benchmarks.bench_size.PART_ROWS", 5_000)
        write_parts(folder, 60_000)
    return folder


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of more than 20,000 rows does not fit in memory."""
    monkeypatch.setattr(digest, "IN_MEMORY", 20_000)


@pytest.fixture(scope="module")
def alone(parts: Path) -> str:
    """The evaluation that one process makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "IN_MEMORY", 20_000)
        return judge_table(parts, rules(), replicates=200).text()


def test_a_worker_killed_and_one_added_in_the_middle_change_nothing(
    cluster: Cluster, parts: Path, alone: str, tmp_path: Path
) -> None:
    """After the first file of the first pass one worker dies and another comes."""
    victim, happened = cluster.processes[1], []

    def meanwhile(done: int, total: int) -> None:
        if not happened:
            victim.send_signal(signal.SIGKILL)
            happened.append(cluster.add())

    with workers(None, cluster.address, tmp_path) as pool:
        found = judge_table(parts, rules(), replicates=200, reading=Reading(meanwhile, pool))

    assert happened and victim.wait() == -signal.SIGKILL
    assert found.text() == alone


def test_paths_are_those_of_whoever_asks(
    cluster: Cluster, parts: Path, alone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers started in another folder find a table and a scratch folder that are named from ours."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "table").symlink_to(parts)
    monkeypatch.chdir(tmp_path)
    with workers(None, cluster.address, Path("scratch")) as pool:
        assert judge_table(Path("table"), rules(), replicates=200, reading=Reading(workers=pool)).text() == alone


def url_of(env: dict[str, str], name: str) -> str:
    """A folder of the bucket, as pyarrow is told of it."""
    host = env["MLFLOW_S3_ENDPOINT_URL"].removeprefix("http://")
    return f"s3://models/{name}?endpoint_override={host}&scheme=http&region=us-east-1"


def test_a_table_in_s3_is_read_by_its_url(
    parts: Path, alone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here and on workers that have a login of their own; none is sent."""
    import boto3

    with s3(tmp_path) as env, clustered(env) as cluster, workers(None, cluster.address, tmp_path) as pool:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=env["MLFLOW_S3_ENDPOINT_URL"])
        for path in parts.iterdir():
            client.upload_file(str(path), "models", f"scores/{path.name}")
        url = url_of(env, "scores")

        assert judge_table(url, rules(), replicates=200).text() == alone
        assert judge_table(url, rules(), replicates=200, reading=Reading(workers=pool)).text() == alone


def test_workers_take_the_scripts_of_whoever_asks(cluster: Cluster, tmp_path: Path, monkeypatch) -> None:
    """A worker that was sent other scripts before needs no new start, nor keeps theirs; and goes back to them."""
    import psutil

    ours, theirs = module.PACKAGE, tmp_path / "promotion"
    shutil.copytree(ours, theirs, ignore=shutil.ignore_patterns("__pycache__"))
    (theirs / "frozen.py").write_text((theirs / "frozen.py").read_text() + "\n# of another release\n")
    for package in (ours, theirs, ours):
        monkeypatch.setattr(module, "PACKAGE", package)
        with workers(None, cluster.address) as pool:
            assert pool is not None
            assert list(pool.map(working.doubled, [(number,) for number in range(8)])) == list(range(0, 16, 2))
            forges = list(pool.map(working.forged, [(tmp_path / f"{number}",) for number in range(8)]))
            assert {one for worker in cluster.processes[1:] for one in psutil.Process(worker.pid).children()} == {
                psutil.Process(forge) for forge in forges
            }


def test_a_worker_that_comes_late_has_the_scripts_of_whoever_asks_now(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many have asked before, and with other scripts."""
    ours, theirs = module.PACKAGE, tmp_path / "promotion"
    shutil.copytree(ours, theirs, ignore=shutil.ignore_patterns("__pycache__"))
    (theirs / "frozen.py").write_text((theirs / "frozen.py").read_text() + "\n# of another release\n")
    for package in (theirs, *[ours] * 8):
        monkeypatch.setattr(module, "PACKAGE", package)
        with workers(None, cluster.address) as pool:
            assert pool is not None
            assert list(pool.map(working.doubled, [(1,)])) == [2]
    with workers(None, cluster.address) as pool:
        assert pool is not None
        for worker in cluster.processes[1:]:
            worker.send_signal(signal.SIGKILL)
        late = cluster.add()
        assert list(pool.map(working.doubled, [(number,) for number in range(8)])) == list(range(0, 16, 2))
        assert late.poll() is None


def test_no_secret_of_ours_reaches_a_worker(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's environment is its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "sekret")
    with workers(None, cluster.address, tmp_path) as pool:
        assert pool is not None
        (seen,) = pool.map(working.environment, [()])

    assert "sekret" not in str(seen)


def test_a_judgement_on_a_cluster_has_the_same_bytes_from_the_command_line(tmp_path: Path, monkeypatch) -> None:
    """score.py, gate.py and challenge.py: days by a folder that workers see and by S3, of which nothing is left."""
    monkeypatch.setattr(digest, "IN_MEMORY", 300)
    project = challenger_of_a_champion(tmp_path)
    alone = project.judge_again(tmp_path / "alone")
    with s3(tmp_path) as env, clustered(env) as cluster:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        how, share = ("--cluster", cluster.address), url_of(env, "shared")

        assert project.judge_again(tmp_path / "seen", *how) == alone
        assert project.judge_again(tmp_path / "fetched", *how, share=share) == alone
        assert below(share, "*") == ()


HELD = """
import os, signal
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Held(PythonModel):
    def predict(self, context, model_input, params=None):
        if len(model_input) == {rows}:
            try:
                os.close(os.open({once!r}, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                with open({begun!r}, "w") as begun:
                    begun.write(f"{{os.getpid()}}\\n")
                    begun.flush()
                    signal.pause()
        return np.asarray(model_input["a"] > 0, int)

set_model(Held())
"""


def held_model(folder: Path, once: Path, begun: Path) -> Path:
    """A model that, asked for a day while there is no file `once`, makes it, says who it is by the FIFO, and waits."""
    import mlflow.pyfunc

    code = folder.with_suffix(".py")
    code.write_text(HELD.format(rows=DAY_ROWS, once=str(once), begun=str(begun)), encoding="utf-8")
    mlflow.pyfunc.save_model(folder, python_model=str(code), input_example=X.head(5), pip_requirements=[])
    return folder


DAY_ROWS = len(X) // 2


def test_a_worker_killed_while_a_model_answers_and_one_added_change_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Its day is answered by another one, and the model that it waited for ends with it."""
    import psutil
    from distributed import Client

    once, begun = tmp_path / "once", tmp_path / "begun"
    once.touch()
    os.mkfifo(begun)
    model, made = held_model(tmp_path / "model", once, begun), features(tmp_path / "features")
    job = {"model": str(model), "features": str(made), "rounds": 0}
    alone = answer({**job, "out": str(tmp_path / "alone")}, log=tmp_path / "alone.log", blame=model)
    once.unlink()

    with workers(None, cluster.address) as pool, ThreadPoolExecutor(1) as asker:
        shared = {**job, "out": str(tmp_path / "shared")}
        found = asker.submit(answer, shared, log=tmp_path / "shared.log", blame=model, pool=pool)
        with begun.open() as said:
            asked = psutil.Process(int(said.readline()))
            (victim,) = (one for one in cluster.processes if one.pid in {parent.pid for parent in asked.parents()})
            cluster.add()
            with Client(cluster.address, set_as_default=False) as client:
                client.wait_for_workers(3, timeout=60)
            victim.send_signal(signal.SIGKILL)
            assert said.read() == ""  # nobody holds it open any more

        assert found.result(60) == alone
    for day in (tmp_path / "alone").iterdir():
        assert day.read_bytes() == (tmp_path / "shared" / day.name).read_bytes()


def test_a_scheduler_that_is_gone_is_one_sentence(cluster: Cluster, parts: Path, tmp_path: Path) -> None:
    """Never there, or killed while it was asked."""
    with (
        pytest.raises(PromotionError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:\d+"),
        workers(None, f"tcp://127.0.0.1:{free_port()}"),
    ):
        pass

    def kill(done: int, total: int) -> None:
        cluster.scheduler.send_signal(signal.SIGKILL)

    with (
        pytest.raises(PromotionError, match=r"the cluster tcp://.* is gone"),
        workers(None, cluster.address, tmp_path) as pool,
    ):
        judge_table(parts, rules(), replicates=200, reading=Reading(kill, pool))


def test_a_cluster_without_workers_is_not_waited_for_for_ever(
    cluster: Cluster, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """There were none, or the last one died; until some have been away for long, those that come go on."""

    def kill(done: int, total: int) -> None:
        for worker in cluster.processes[1:]:
            worker.send_signal(signal.SIGKILL)

    with (
        pytest.raises(PromotionError, match=r"the cluster tcp://\S+ has had no worker for 0 s; start some with `dask"),
        workers(None, cluster.address, tmp_path) as pool,
    ):
        judge_table(parts, rules(), replicates=200, reading=Reading(workers=pool))
        monkeypatch.setattr(module, "ALONE_SECONDS", 0.0)
        judge_table(parts, rules(), replicates=200, reading=Reading(kill, pool))
    assert "has no worker now; waiting for one ..." in capfd.readouterr().out


def test_a_scratch_folder_that_is_not_there_is_one_sentence(cluster: Cluster, parts: Path, tmp_path: Path) -> None:
    """Before any row is dealt."""
    with (
        pytest.raises(PromotionError, match="there is no such folder; --scratch"),
        workers(None, cluster.address, tmp_path / "absent") as pool,
    ):
        judge_table(parts, rules(), replicates=200, reading=Reading(workers=pool))
