"""Model code runs only where no credentials are, and nothing else imports it or loads a model."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from promotion.errors import PromotionError
from promotion.sandbox.run import run_model_code

from tests.support.tiny import MODEL, TinyProject

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SPY = """
import atexit, json, os, sys
FOLDERS = ("models", "source")
VERBS = ("prepare", "train", "score", "gate", "challenge", "pin", "report", "promote")
code = []
def hook(event, args):
    if event == "exec":
        name = getattr(args[0], "co_filename", "")
        if any(part in FOLDERS for part in name.split(os.sep)[:-1]) and name.endswith(("data.py", "train.py")):
            code.append(name)
sys.addaudithook(hook)
def done():
    modules = [name for name in ("skops", "sklearn", "mlflow.sklearn") if name in sys.modules]
    verbs = [name for name in VERBS if name in sys.modules]
    with open(os.environ["SPY_OUT"], "w") as out:
        json.dump({"verbs": verbs, "code": code, "modules": modules}, out)
atexit.register(done)
"""
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "s3cret-password",
    "MLFLOW_TRACKING_TOKEN": "s3cret-token",
    "GITHUB_TOKEN": "s3cret-github",
    "AWS_SECRET_ACCESS_KEY": "s3cret-aws",
    "ANYTHING_ELSE": "s3cret-anything",
}


STEPS = """
import importlib, sys
for verb in ("prepare", "train", "score", "gate", "challenge", "pin", "report", "promote"):
    argv = ["plan", "--commit", "origin/main"] if verb == "promote" else ["--work", sys.argv[1]]
    assert importlib.import_module(verb).main(argv) in (0, 1), verb
"""


@dataclass
class Spied:
    """A pull request judged by the verbs in one process, with secrets in its environment and a spy in it."""

    work: Path
    verbs: list[str]
    modules: list[str]
    code: list[str]


@pytest.fixture(scope="module")
def spied(tmp_path_factory: pytest.TempPathFactory) -> Spied:
    """Every step of a pull request, and a plan, as the workflows call them."""
    project = TinyProject(tmp_path_factory.mktemp("spied"))
    noisy = "import os\nprint('ENVIRONMENT', sorted(os.environ.items()))\n"
    train = project.clone / "models" / MODEL / "train.py"
    train.write_text(train.read_text(encoding="utf-8").replace('"""\n\n', f'"""\n\n{noisy}', 1), encoding="utf-8")
    request = project.open("noisy")
    spy = project.root / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(SPY, encoding="utf-8")
    report, work = project.root / "spy.json", project.root / "work"
    env = {**os.environ, **project.env, **SECRETS, "PYTHONPATH": f"{spy}:{SCRIPTS}", "SPY_OUT": str(report)}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(work)],
        cwd=project.hosting.merge_result(request),
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Spied(work, **json.loads(report.read_text(encoding="utf-8")))


def test_the_spy_sees_every_verb(spied: Spied) -> None:
    """The spy was there while each verb ran, so that its silence means something."""
    assert set(spied.verbs) == {"prepare", "train", "score", "gate", "challenge", "pin", "report", "promote"}


def test_no_verb_runs_model_code_or_loads_a_model(spied: Spied) -> None:
    """Not one of the verbs executes a file of a model folder or imports what unpickles models."""
    assert (spied.code, spied.modules) == ([], [])


def test_model_code_sees_no_secret(spied: Spied) -> None:
    """A train.py that prints its whole environment finds none of the caller's secrets."""
    work = spied.work

    log = (work / MODEL / "candidate" / "train.log").read_text(encoding="utf-8")
    assert "ENVIRONMENT" in log
    everything = "".join(path.read_text(errors="replace") for path in work.rglob("*") if path.is_file())
    assert not [value for value in SECRETS.values() if value in everything]


def test_a_train_py_that_raises_shows_its_own_traceback_and_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder's own traceback is printed, and the sentence names the file and the log."""
    (tmp_path / "train.py").write_text("raise RuntimeError('no such luck')\n", encoding="utf-8")
    (tmp_path / "data.py").write_text(
        "import numpy as np, pandas as pd\nfrom promotion.model import Rows\n"
        "def load(window):\n    t = pd.DataFrame({'a': [1.0, 2.0], 'day': [1, 1], 'id': [1, 2]})\n"
        "    return Rows(t[['a']], np.array([0, 1]), t[['id']], t[['day']])\n",
        encoding="utf-8",
    )
    job = {
        "source": str(tmp_path),
        "out": str(tmp_path / "model"),
        "spec": {"as_of": "2026-01-01", "train_days": 1, "validation_days": 1, "seed": 0},
        "train": ["2025-12-01", 1],
        "validation": ["2025-12-02", 1],
    }

    with pytest.raises(PromotionError, match=r"^models/m/train\.py:1: .*train\.log"):
        run_model_code("train", job, log=tmp_path / "train.log", blame=Path("models/m"))

    assert "no such luck" in capsys.readouterr().err
    assert "Traceback" in (tmp_path / "train.log").read_text(encoding="utf-8")


def test_verbs_are_out_of_the_reach_of_model_code(tmp_path: Path) -> None:
    """Model code imports `promotion.model`; a verb's name (score, train, gate) is nobody's, or its own module."""
    job = {
        "source": str(tmp_path),
        "out": str(tmp_path / "model"),
        "spec": {"as_of": "2026-01-01", "train_days": 1, "validation_days": 1, "seed": 0},
        "train": ["2025-12-01", 1],
        "validation": ["2025-12-02", 1],
    }
    (tmp_path / "data.py").write_text("from promotion.model import Rows\nimport score\n", encoding="utf-8")
    (tmp_path / "train.py").write_text("", encoding="utf-8")

    with pytest.raises(PromotionError, match="there is no module `score` here"):
        run_model_code("train", job, log=tmp_path / "train.log", blame=Path("models/m/data.py"))


def featured(folder: Path, code: str) -> list[str]:
    """Run `features` on a data.py that does something odd first; return what the step printed."""
    (folder / "data.py").write_text(f"import os, signal, numpy\n{code}\n", encoding="utf-8")
    job = {"source": str(folder), "first": "2026-03-01", "days": 1, "features": str(folder), "table": str(folder)}

    with pytest.raises(PromotionError) as failed:
        run_model_code("features", job, log=folder / "features.log", blame=Path("models/m"))

    return [*(folder / "features.log").read_text(encoding="utf-8").splitlines(), str(failed.value)]


@pytest.mark.parametrize("victim", ["getpid", "getppid"])
def test_step_that_is_killed_is_told_and_the_next_one_runs(tmp_path: Path, victim: str) -> None:
    """A signal to the step, or to the process it was forked from, ends this step alone."""
    killed = featured(tmp_path, f"os.kill(os.{victim}(), signal.SIGKILL)")

    assert "the features step died by signal 9" in killed[-1]
    assert "no function load(window)" in featured(tmp_path, "")[-1]


def test_steps_share_nothing_but_what_is_imported(tmp_path: Path) -> None:
    """Environment, folder, signals and random numbers of one step are not those of the one before it."""
    odd = "os.environ['LEFT'] = 'behind'; os.chdir('/'); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    show = "print(os.environ.get('LEFT'), os.getcwd(), signal.getsignal(signal.SIGTERM))\nprint(numpy.random.random())"
    first = featured(tmp_path, odd + show)
    second, third = featured(tmp_path, show), featured(tmp_path, show)

    assert first[0].startswith("behind / ")
    assert second[0] == third[0] == f"None {Path.cwd()} 0"
    assert len({first[1], second[1], third[1]}) == 3


def test_sets_of_text_have_one_order(tmp_path: Path) -> None:
    """Model code that goes through a set trains the same model every time: hashes are not salted."""
    assert featured(tmp_path, "import sys; print(sys.flags.hash_randomization)")[0] == "0"


def test_interrupted_wait_ends_the_step(tmp_path: Path) -> None:
    """Who is interrupted while a step runs leaves no process behind, and the next step runs."""
    told = tmp_path / "pid"
    os.mkfifo(told)
    pids: list[int] = []

    def interrupt() -> None:
        pids.append(int(told.read_text()))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    reader = threading.Thread(target=interrupt)
    reader.start()

    with pytest.raises(KeyboardInterrupt):
        featured(tmp_path, f"open({str(told)!r}, 'w').write(str(os.getpid()))\nsignal.pause()")
    reader.join()

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert "no function load(window)" in featured(tmp_path, "")[-1]


def test_bytecode_of_libraries_is_written_once_and_none_of_a_models_code(tmp_path: Path) -> None:
    """A fresh runner has none: the process that imports the libraries writes theirs, a step writes nothing."""
    (tmp_path / "helper.py").write_text("", encoding="utf-8")
    program = tmp_path / "step.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport helper\n", encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"),
    }
    order = {
        "step": "features",
        "program": str(program),
        "arguments": [],
        "folder": str(tmp_path),
        "log": str(tmp_path / "log"),
        "environment": environment,
    }

    with subprocess.Popen(
        [sys.executable, "-s", "-P", "-u", SCRIPTS / "promotion" / "sandbox" / "forge.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        bufsize=1,
    ) as forge:
        assert forge.stdin is not None and forge.stdout is not None
        forge.stdin.write(json.dumps(order) + "\n")
        said = forge.stdout.readline()

    assert (json.loads(said), (tmp_path / "log").read_text()) == ({"code": 0}, "")
    written = {path.name.partition(".")[0] for path in (tmp_path / "cache").rglob("*.pyc")}
    assert {"frame", "parquet", "numeric"} <= written
    assert "helper" not in written
