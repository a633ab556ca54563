"""A model's own packages: installed by hash where it runs, last on the path, each side its own."""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from promotion.config.requirements import parse_requirements
from promotion.errors import PromotionError
from promotion.sandbox import packages as module
from promotion.sandbox.packages import packages_of
from promotion.sandbox.run import run_model_code

from tests.support.tiny import MODEL, TinyProject
from tests.support.wheels import make_wheel

SHOWN = Path("models/churn")
DATA = """\
import numpy as np, pandas as pd, seasons
from promotion.model import Rows
def load(window):
    t = pd.DataFrame({'a': [seasons.SCALE, 2.0], 'day': pd.Timestamp(window.first), 'id': [1, 2]})
    return Rows(t[['a']], np.array([0, 1]), t[['id']], t[['day']])
"""


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that uv takes for the whole world, and a cache of the test's own."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(folder), "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.delenv("RUNNER_TEMP", raising=False)
    return folder


def folder_with(path: Path, lock: str, data: str = DATA) -> Path:
    """A model folder that asks for `lock`."""
    path.mkdir()
    (path / "data.py").write_text(data, encoding="utf-8")
    (path / "requirements.txt").write_text(lock, encoding="utf-8")
    return path


def features(source: Path, out: Path) -> float:
    """What a model folder's code makes in its process: seasons.SCALE."""
    job = {"source": str(source), "first": "2026-03-01", "days": 1, "packages": packages_of(source, SHOWN)}
    job |= {"features": str(out / "features"), "table": str(out / "table")}
    run_model_code("features", job, log=out / "features.log", blame=SHOWN)
    return float(pd.read_parquet(out / "features" / "part-2026-03-01.parquet").a[0])


def test_each_tree_runs_with_what_it_asks_for(wheels: Path, tmp_path: Path) -> None:
    """Two trees, two versions of one package, in one job after the other; a third has none and is told what to do."""
    one = folder_with(tmp_path / "one", make_wheel(wheels, "seasons", "1.0", "SCALE = 1.0\n"))
    two = folder_with(tmp_path / "two", make_wheel(wheels, "seasons", "2.0", "SCALE = 2.5\n"))
    none = folder_with(tmp_path / "none", "")

    assert (features(one, tmp_path / "a"), features(two, tmp_path / "b")) == (1.0, 2.5)
    with pytest.raises(PromotionError) as caught:
        features(none, tmp_path / "c")

    assert str(caught.value).startswith("models/churn/data.py:1: there is no module `seasons` here")
    assert "`python scripts/retrain.py lock churn seasons` writes that library" in str(caught.value)
    assert "models/churn/requirements.txt" in str(caught.value)


def test_installed_once(wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is named by what is in the lock, and there is none for a lock that the base covers."""
    source = folder_with(tmp_path / "one", make_wheel(wheels, "seasons", "1.0", "SCALE = 1.0\n"))
    first = packages_of(source, SHOWN)
    shutil.rmtree(wheels)

    assert packages_of(source, SHOWN) == first
    assert capsys.readouterr().out.count("installing models/churn/requirements.txt") == 1
    assert packages_of(folder_with(tmp_path / "none", ""), SHOWN) is None


def test_a_package_takes_no_place_of_the_bases(wheels: Path, tmp_path: Path) -> None:
    """A wheel that brings a module named pandas: the base's is what the path finds first."""
    found = "seasons.SCALE, 0 * len(PathFinder.find_spec('pandas').submodule_search_locations)"
    data = "from importlib.machinery import PathFinder\n" + DATA.replace("seasons.SCALE, 2.0", found)
    lock = make_wheel(wheels, "seasons", "1.0", "SCALE = 1.0\n")
    source = folder_with(tmp_path / "one", lock, data)
    (Path(packages_of(source, SHOWN) or "") / "pandas.py").write_text("")  # a module, which has no such locations

    assert features(source, tmp_path / "a") == 1.0


def test_another_file_than_the_hash_says(wheels: Path, tmp_path: Path) -> None:
    """One sentence, and nothing is left behind that a later run would take."""
    lock = make_wheel(wheels, "seasons", "1.0", "SCALE = 1.0\n")
    make_wheel(wheels, "seasons", "1.0", "SCALE = 3.0\n")
    source = folder_with(tmp_path / "one", lock)

    with pytest.raises(PromotionError, match=r"^models/churn/requirements.txt: it cannot be installed \(.*ash"):
        packages_of(source, SHOWN)
    assert list((tmp_path / "promotion" / "model-packages").iterdir()) == []


def test_another_version_than_the_bases(wheels: Path, tmp_path: Path) -> None:
    """A candidate is refused; an old champion runs with the base's, as it always did."""
    source = folder_with(tmp_path / "one", f"numpy==0.1 --hash=sha256:{'a' * 64}\n")

    with pytest.raises(PromotionError, match=r"^models/churn/requirements.txt:1: numpy 0.1 is asked for"):
        packages_of(source, SHOWN)
    assert packages_of(source, SHOWN, base_wins=True) is None


def test_what_the_base_had_then(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old champion gets what its packages ask for and the base no longer has, and no more; a candidate names it."""
    seasons = make_wheel(wheels, "seasons", "1.0", "from plots import SCALE\n", requires="Plots (>=1)")
    plots = make_wheel(wheels, "plots", "1.0", "from fonts import SCALE\n", requires="fonts; python_version > '3'")
    rest = make_wheel(wheels, "fonts", "1.0", "SCALE = 4.0\n") + make_wheel(wheels, "flask", "1.0", "")
    monkeypatch.setattr(module, "former_lock", lambda: parse_requirements(rest + plots, "former.txt"))
    source = folder_with(tmp_path / "one", seasons)

    champion, candidate = (Path(packages_of(source, SHOWN, base_wins=past) or "") for past in (True, False))

    assert {path.name for path in champion.glob("*.py")} == {"seasons.py", "plots.py", "fonts.py"}
    assert {path.name for path in candidate.glob("*.py")} == {"seasons.py"}


def test_a_version_that_this_python_has_itself(wheels: Path, tmp_path: Path) -> None:
    """It would hide the one that is asked for, so nothing is judged with it."""
    source = folder_with(tmp_path / "one", make_wheel(wheels, "pytest", "0.1", ""))

    with pytest.raises(PromotionError, match=r"this Python has pytest .* itself, which would hide 0.1"):
        packages_of(source, SHOWN)


def test_no_uv(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what brings it."""
    source = folder_with(tmp_path / "one", make_wheel(wheels, "seasons", "1.0", ""))
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PromotionError, match=r"uv is not installed here; .*requirements/uv.txt"):
        packages_of(source, SHOWN)


@pytest.mark.slow
def test_a_new_library_is_one_pull_request_and_each_side_answers_in_its_own(wheels: Path, tmp_path: Path) -> None:
    """Champion with version 1, candidate with version 2, both beside each other in one judgement; then the rollback."""
    project = TinyProject(tmp_path / "project")
    lock = project.clone / "models" / MODEL / "requirements.txt"
    lock.write_text(make_wheel(wheels, "seasons", "1.0", "SCALE = 1.0\n"))
    project.edit("data.py", "import numpy as np\n", "import numpy as np\nimport seasons\n")
    project.edit("data.py", '"hint": y + rng.normal(0, 1.0', '"hint": seasons.SCALE * y + rng.normal(0, 1.0')
    first = project.judge(project.open("first"))
    project.merge(first.request)
    assert project.promote()
    project.hosting.pull()
    model = first.work.model(MODEL).side("candidate").model
    assert "seasons==1.0" in (model / "requirements.txt").read_text().splitlines()
    lock.write_text(make_wheel(wheels, "seasons", "2.0", "SCALE = 3.0\n"))

    better = project.judge(project.open("better"))

    assert better.evaluation is not None and better.evaluation.verdict == "PROMOTE", better.evaluation
    project.merge(better.request)
    assert project.promote()
    assert sys.modules.get("seasons") is None
