"""Bad input: one clear sentence that says what to do, exit 2, and nothing changed."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import gate
import pin
import prepare
import promote
import pytest
import report
import retrain
import score
import train
from promotion.errors import BAD_INPUT
from promotion.pullrequest.workdir import Work
from promotion.records.steps import ScoresInfo

from tests.support.mlflow_server import empty_database
from tests.support.tiny import MODEL, TinyProject

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """A hosted repository with a tiny model and no champion."""
    return TinyProject(tmp_path)


@pytest.fixture
def run(project: TinyProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a verb's main in the clone, against the project's registry; return exit code and stderr."""
    for name, value in project.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.clone)

    def call(verb: Callable[[list[str]], int], *args: str) -> tuple[int, str]:
        capsys.readouterr()
        code = verb(list(args))
        return code, capsys.readouterr().err

    return call


def one_sentence(result: tuple[int, str], *says: str) -> None:
    """Assert exit 2 and a last line on stderr that says all of `says`."""
    code, err = result
    assert code == BAD_INPUT
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    for part in says:
        assert part in last, last


def a_change(project: TinyProject) -> None:
    """Commit a change of the model folder on a branch."""
    project.edit("model.yaml", "seed: 0", "seed: 1")
    project.open("change")


def test_no_promotion_yaml(project: TinyProject, run: Run) -> None:
    """A checkout without promotion.yaml says so, in prepare and in promote."""
    (project.clone / "promotion.yaml").unlink()
    project.merge(project.open("gone"))

    one_sentence(run(prepare.main), "promotion.yaml", "missing")
    one_sentence(run(promote.main, "apply"), "promotion.yaml", "missing")


def test_a_broken_promotion_yaml(project: TinyProject, run: Run) -> None:
    """A mistake in promotion.yaml is named with its line."""
    project.edit("promotion.yaml", "looks: 5", "loks: 5")
    project.open("broken")

    one_sentence(run(prepare.main), "promotion.yaml:14:", "did you mean `looks`?")


def test_a_rule_on_an_unknown_metric(project: TinyProject, run: Run) -> None:
    """A rule on a metric that nobody computes is named with its line and what was meant, before anything runs."""
    project.edit("promotion.yaml", 'f1: "> 0.20"', 'recal: "> 0.20"')
    project.merge(project.open("policy"))
    project.edit("model.yaml", "seed: 0", "seed: 1")
    project.open("change")

    one_sentence(run(prepare.main), "promotion.yaml:11:", "`recal`", "`recall`")


def test_an_unknown_model(project: TinyProject, run: Run) -> None:
    """A model that is not there is named together with those that are."""
    a_change(project)
    assert run(prepare.main)[0] == 0

    one_sentence(run(train.main, "--model", "ghost"), "no model `ghost`", MODEL)
    one_sentence(run(retrain.main, "try", "ghost"), "no model `ghost`", MODEL)


def test_a_model_folder_without_train_py(project: TinyProject, run: Run) -> None:
    """The missing file is named, with where to read on."""
    (project.clone / "models" / MODEL / "train.py").unlink()
    project.open("half")
    assert run(prepare.main)[0] == 0

    one_sentence(run(train.main), "train.py", "a model folder needs train.py")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("threshold: 0.5", "threshold: 0.5\nfoo: 1", "model.yaml:8: unknown key `foo`"),
        ("as_of: 2026-03-01", "as_of: yesterday", "model.yaml:1: `as_of` must be a date"),
        ("train_days: 20", "train_days: 0", "model.yaml:2: `train_days` must be a whole number between 1 and 36600"),
        (
            "train_days: 20\nvalidation_days: 10\nseed: 0\n",
            "",
            "lacks the keys `train_days`, `validation_days`, `seed`",
        ),
    ],
)
def test_a_broken_model_yaml(project: TinyProject, run: Run, old: str, new: str, says: str) -> None:
    """A mistake in model.yaml is named with its line."""
    project.edit("model.yaml", old, new)
    project.open("broken")
    assert run(prepare.main)[0] == 0

    one_sentence(run(train.main), says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('table["y"].to_numpy()', 'table["y"].where(table["row_id"] % 2 == 0).to_numpy()', "missing targets"),
        ('keys=table[["row_id"]]', 'keys=table[["row_id"]] // 2', "duplicate keys"),
        ('table["y"].to_numpy()', '0 * table["y"].to_numpy() + 1', "one class"),
        ("    table = pd.concat(tables, ignore_index=True)", "    table = tables[0].head(0)", "zero rows"),
        ('table["y"].to_numpy()', 'table["y"].to_numpy()[1:]', "different lengths"),
        ('"day", "amount"', '"amount"', "lacks the column `day`"),
        ('keys=table[["row_id"]]', "keys=None", "data.py: Rows.keys must be a data frame"),
        ('table["y"].to_numpy()', 'table[["y"]]', "data.py: Rows.y has the shape"),
    ],
)
def test_data_that_cannot_be_learned_from(project: TinyProject, run: Run, old: str, new: str, says: str) -> None:
    """NaN targets, duplicate keys, one class, zero rows: one sentence, and nothing reaches the tracker."""
    project.edit("data.py", old, new)
    project.open("bad-data")
    assert run(prepare.main)[0] == 0

    one_sentence(run(train.main), "models/tiny/", says)
    assert project.registry.runs(MODEL) == []


def test_a_share_without_workers(capsys) -> None:
    """An option that nobody would read is refused before anything is."""
    assert score.main(["--share", "s3://models/share"]) == 2
    assert "error: --share is where workers find what they need; name them: --cluster" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "values", "says"),
    [
        ("--workers", ("0", "-1", "1000", "two"), "is not a number of processes from 1 to 256"),
        (
            "--cluster",
            ("http://host:8786", "host", "tcp://host", "tcp://host:99999", "tcp://host:8786/x", "tcp://[host:1"),
            "is not the address of a Dask scheduler, such as tcp://HOST:8786",
        ),
    ],
)
def test_workers_that_there_cannot_be(option: str, values: tuple[str, ...], says: str, capsys) -> None:
    """Numbers and addresses are read before anything is done."""
    for value in values:
        assert score.main([option, value]) == 2
        assert capsys.readouterr().err == f"error: {option}: `{value}` {says}\n"


CLOSED = 'tables = [one_day(day)[: 0 if str(day)[:10] == "2026-03-03" else None] for day in days]'


def test_a_test_day_without_rows(project: TinyProject, run: Run) -> None:
    """A hole in the test window is named with what to do, before anything is scored."""
    project.edit("data.py", "tables = [one_day(day) for day in days]", CLOSED)
    project.open("hole")
    assert run(prepare.main)[0] == 0

    one_sentence(run(train.main), "models/tiny", "the test day 2026-03-03 has no rows", "`def empty(day)`")


def test_a_test_day_that_rightly_has_no_rows(project: TinyProject, run: Run) -> None:
    """Where data.py declares the day, the window is whole without it, and the records say so."""
    project.edit("data.py", "tables = [one_day(day) for day in days]", CLOSED)
    project.edit("data.py", "ROWS_A_DAY = 200\n", "ROWS_A_DAY = 200\n\n\ndef empty(day):\n    return day.day == 3\n")
    project.open("closed")
    for verb in (prepare.main, train.main, score.main, gate.main):
        assert run(verb)[0] == 0

    assert ScoresInfo.read(Work(project.clone / ".work").model(MODEL).scores_record).empty_days == ("2026-03-03",)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise KeyError('no such column')", "the train step raised KeyError: 'no such column'; "),
        ("raise ValueError('one\\nand another')", "the train step raised ValueError: one and another; "),
        ("raise SystemExit('enough')", "the train step raised SystemExit: enough; "),
        ("__import__('os')._exit(0)", "the train step ended without an answer, as after os._exit(0); "),
    ],
)
def test_a_train_py_that_raises(project: TinyProject, run: Run, line: str, says: str) -> None:
    """Its own traceback comes first, then one sentence with what it raised, the line, and where the log is."""
    project.edit("train.py", "    return Fixed", f"    {line}\n    return Fixed")
    project.open("raises")
    assert run(prepare.main)[0] == 0

    code, err = run(train.main)

    assert ("Traceback" in err) == ("raise" in line)
    one_sentence((code, err), "models/tiny/train.py:" if "raise" in line else "models/tiny: ", says, "train.log")


def test_a_registry_that_is_down(project: TinyProject, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is named, without its password, in prepare and promote."""
    a_change(project)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://dana:hunter2@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    for result in (run(prepare.main), run(promote.main, "plan")):
        one_sentence(result, f"127.0.0.1:{port}", "cannot be reached")
        assert "hunter2" not in result[1]


def test_an_empty_local_registry(project: TinyProject, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where main pins a champion and the registry that is read knows no such model, the variable is named."""
    champion = f"{{version: 3, source_tree: {'a' * 40}, digest: 'sha256:{'b' * 64}', evidence: 'sha256:{'c' * 64}'}}"
    project.edit("promotion.yaml", "champion: null", f"champion: {champion}")
    project.merge(project.open("pinned"))
    a_change(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_database(project.root, "empty.db"))

    one_sentence(run(prepare.main), "empty.db has no model tiny", "set MLFLOW_TRACKING_URI to the server that holds it")


def test_a_dirty_checkout(project: TinyProject, run: Run) -> None:
    """Uncommitted changes below models/ are named, because a model is named by its tree."""
    project.edit("model.yaml", "seed: 0", "seed: 1")

    one_sentence(run(prepare.main), "uncommitted changes below models", "model.yaml")


def test_a_shallow_checkout(project: TinyProject, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone without history says how to fetch it."""
    a_change(project)
    shallow = tmp_path / "shallow"
    url = project.hosting.bare.as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, str(shallow)], check=True, env=os.environ)
    monkeypatch.chdir(shallow)

    one_sentence(run(prepare.main), "shallow", "git fetch --unshallow")
    one_sentence(run(promote.main, "apply"), "shallow", "git fetch --unshallow")


def test_not_a_checkout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of git there is one sentence, not git's usage."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    one_sentence(run(prepare.main), "not a git checkout")


def test_a_verb_before_its_time(project: TinyProject, run: Run) -> None:
    """Each verb names the record that it misses."""
    for verb in (train, score, gate, pin):
        one_sentence(run(verb.main), "plan.json: missing; run `python scripts/prepare.py` first")


def test_a_work_folder_that_is_something_else(project: TinyProject, run: Run, tmp_path: Path) -> None:
    """prepare empties only a folder that an earlier judgement made."""
    a_change(project)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work", encoding="utf-8")

    told = run(prepare.main, "--work", str(precious))
    one_sentence(told, "holds files that these scripts did not make")
    assert "remove" not in told[1]
    assert (precious / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_work_folder_of_another_command(project: TinyProject, run: Run, tmp_path: Path) -> None:
    """Whose records a folder holds is said, and they stay."""
    a_change(project)
    mine = tmp_path / "mine"
    Work(mine).claim("judge.py")
    (mine / "kept.txt").write_text("a report", encoding="utf-8")

    one_sentence(run(prepare.main, "--work", str(mine)), "holds the records of `judge.py`", "--work")
    one_sentence(run(train.main, "--work", str(mine)), "holds the records of `judge.py`", "--work")
    assert (mine / "kept.txt").read_text(encoding="utf-8") == "a report"
    assert not (mine / "error.txt").exists()


def test_a_work_folder_without_its_plan(run: Run, tmp_path: Path) -> None:
    """Where prepare.py was stopped before it wrote one, the next step says to run it, and not that it is another's."""
    mine = tmp_path / "mine"
    Work(mine).claim(prepare.owner(None))

    for main in (train.main, report.main):
        one_sentence(run(main, "--work", str(mine)), "plan.json: missing; run", "prepare.py")
