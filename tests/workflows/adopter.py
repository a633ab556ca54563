"""A repository that takes the project in: somebody's own, with its own everything, in which init.py puts its files."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pandas as pd
from promotion.story.hosting import copy_project
from sklearn.datasets import load_breast_cancer

from tests.support.worlds import GIT
from tests.workflows.stage import REPO, ROOT, RUNNER, Server, Stage

FOLDER = "services/screening"
MODEL = "tumour"
OWN = {
    "README.md": "# Clinic\n",
    "pyproject.toml": '[project]\nname = "clinic"\nversion = "1"\n',
    ".github/workflows/ci.yml": "name: ci\non: push\njobs: {t: {runs-on: ubuntu-latest, steps: [{run: make}]}}\n",
    ".github/workflows/retrain.yml": "name: theirs\non: push\njobs: {t: {runs-on: x, steps: [{run: make}]}}\n",
    "scripts/train.py": "raise SystemExit('ours, not yours')\n",
    "requirements/train.txt": "not-a-package==1\n",
    "tests/test_app.py": "def test_app():\n    pass\n",
    f"{FOLDER}/app.py": "print('screening')\n",
    ".gitignore": "*.log",
}


def git(where: Path, *args: str) -> str:
    """Run git as a person."""
    return subprocess.run(["git", "-C", str(where), *args], check=True, capture_output=True, text=True, env=GIT).stdout


def table(path: Path) -> Path:
    """scikit-learn's breast cancer data, 569 rows over 90 days: the label is a word, a key names each."""
    data = load_breast_cancer(as_frame=True)
    frame = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    order = np.random.default_rng(7).permutation(len(frame))
    frame = frame.iloc[order].reset_index(drop=True)
    found = np.where(data.target.to_numpy()[order] == 0, "yes", "no")
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(frame)) % 90, unit="D")
    frame = frame.assign(sample_id=np.arange(len(frame)), taken_on=day, malignant=found)
    frame.sort_values("taken_on").to_parquet(path, index=False)
    return path


def locked(name: str) -> str:
    """The lines of a package in the lock of libraries that models may ask for."""
    text = (ROOT / "requirements" / "formats.txt").read_text()
    found = re.search(rf"^{name}==[^\n]*\n(?:    --hash=[^\n]*\n?)+", text, re.M)
    assert found is not None, f"requirements/formats.txt does not name {name}"
    return found[0]


def python_with(folder: Path, packages: Path) -> str:
    """A Python that has this one's packages and those of a folder, as a server's image has a model's."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "both.pth").write_text(f"{sysconfig.get_path('purelib')}\n{packages}\n")
    return str(folder / "bin" / "python")


class Adopter(Stage):
    """The hosted repository of somebody who ran init.py from a clone of this project; it has none of its files."""

    def __init__(self, root: Path, server: Server) -> None:
        hub, clone, project = root / "acme" / "promotion.git", root / "promotion", root / "project"
        copy_project(ROOT, clone)
        git(root, "init", "-q", "--bare", "-b", "main", str(hub))
        git(root, "init", "-q", "-b", "main", str(clone))
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", "A release")
        git(clone, "remote", "add", "origin", str(hub))
        git(clone, "push", "-q", "-u", "origin", "main")
        git(hub, "config", "uploadpack.allowAnySHA1InWant", "true")
        for name, text in OWN.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)
        git(root, "init", "-q", "-b", "main", str(project))
        git(project, "remote", "add", "origin", f"https://github.example.com/{REPO}.git")  # an Enterprise Server
        git(project, "add", "-A")
        git(project, "commit", "-qm", "Before")
        self.scripts, self.project = clone / "scripts", project
        self.said = self.init(table(root / "samples.parquet"))
        policy = project / FOLDER / "promotion.yaml"
        text = policy.read_text().replace(f"  {MODEL}:\n", f"  {MODEL}:\n    drift: repair\n")
        policy.write_text(f"runners: [{RUNNER}]\n{text}")
        self.called = {f"acme/promotion@{git(clone, 'rev-parse', 'HEAD').strip()}": clone}
        self.theirs, self.prefix = hub, "promotion-"
        shutil.rmtree(project / ".git")  # Hosting makes the hosted repository of the files
        self.begin(root, project, server, (MODEL,))

    def init(self, data: Path) -> str:
        """Run init.py as a person does; return what it says."""
        command = [sys.executable, str(self.scripts / "init.py"), "--into", str(self.project / FOLDER)]
        command += ["--name", MODEL, "--task", "classification", "--from", str(data), "--label", "malignant"]
        env = {**os.environ, **GIT}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout

    @property
    def model(self) -> Path:
        """The model's folder in the clone."""
        return self.clone / FOLDER / "models" / MODEL

    def change(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of the model's folder."""
        path = self.model / name
        text = path.read_text()
        assert old in text, text
        path.write_text(text.replace(old, new, 1))
