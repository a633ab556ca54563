"""A library that the base's lock does not have: one pull request with requirements.txt and the code, for real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny import MODEL, TinyProject

pytestmark = pytest.mark.formats

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "formats.txt"
TRAIN = """\
from lightgbm import LGBMClassifier
from promotion.model import Rows, Spec


def fit(train: Rows, validation: Rows, spec: Spec) -> LGBMClassifier:
    return LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1).fit(train.X, train.y)
"""


def test_lightgbm_is_one_pull_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion of scikit-learn alone is beaten by LightGBM, which is installed where the candidate runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RUNNER_TEMP", raising=False)
    version = re.search(r"^lightgbm==(\S+)", LOCK.read_text(encoding="utf-8"), re.M)
    assert version is not None
    project = TinyProject(tmp_path)
    project.edit("model.yaml", "seed: 0", "seed: 1")
    project.merge(project.judge(project.open("first")).request)
    assert project.promote()
    project.hosting.pull()
    folder = project.clone / "models" / MODEL
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "retrain.py"), "lock", MODEL, f"lightgbm=={version[1]}"]
    done = subprocess.run(command, cwd=project.clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"lightgbm=={version[1]}" in done.stdout and "numpy" not in done.stdout

    better = project.judge(project.open("lightgbm"))

    assert better.evaluation is not None
    assert better.evaluation.verdict == "PROMOTE", better.evaluation.headline
    model = better.work.model(MODEL).side("candidate").model
    assert f"lightgbm=={version[1]}" in (model / "requirements.txt").read_text(encoding="utf-8").split()
    project.merge(better.request)
    assert project.promote() and project.champion() == 2
