"""requirements/promote.txt alone runs the job with production credentials: no pandas, no NumPy, no model library."""

import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.artifacts import tiny_files
from tests.support.mlflow_server import mlflow_server
from tests.support.worlds import World

pytestmark = pytest.mark.servers
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with nothing but requirements/promote.txt."""
    folder = tmp_path_factory.mktemp("promote-env")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    found = folder / "bin" / "python"
    install = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
    done = subprocess.run(
        [*install, str(ROOT / "requirements/promote.txt")], check=False, capture_output=True, text=True
    )
    if done.returncode != 0 and "No matching distribution" not in done.stderr and "onnection" in done.stderr:
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow on SQLite, artifacts through the server."""
    folder = tmp_path_factory.mktemp("plain")
    with mlflow_server(folder, f"sqlite:///{folder / 'mlflow.db'}") as url:
        yield url


def run(python: Path, world: World, *args: str) -> subprocess.CompletedProcess[str]:
    """Run promote.py in the small environment."""
    command = [str(python), str(ROOT / "scripts/promote.py"), *args, "--repo", str(world.path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    return subprocess.run(
        command, env={**env, "MLFLOW_TRACKING_URI": world.uri}, capture_output=True, text=True, check=False, timeout=120
    )


def test_plan_apply_history(python: Path, server: str, folder: Path) -> None:
    """plan, apply and history work over HTTP where no data library is installed."""
    probe = "import importlib.util as u; print([n for n in ('numpy', 'pandas', 'sklearn', 'scipy') if u.find_spec(n)])"
    assert subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
    world = World(folder, server, ("small",))
    world.merge("one")

    done = [run(python, world, *args) for args in (["plan"], ["apply"], ["apply"], ["history", "small"])]

    assert [one.returncode for one in done] == [0, 0, 0, 0], [one.stderr for one in done]
    assert done[0].stdout.endswith("\nsmall: would move @champion nothing -> 1\n")
    assert done[1].stdout.endswith("\nsmall: moved @champion nothing -> 1\n")
    assert done[2].stdout.endswith("\nsmall: @champion is 1, as main pins\n")
    assert "\nsmall: @champion is version 1\n" in done[3].stdout
    assert world.champion() == 1


def test_fifty_megabytes(python: Path, server: str, folder: Path) -> None:
    """A rollback to a 50 MB model, files downloaded and hashed again, takes seconds (20 leave room for load)."""
    world = World(folder, server, ("large",))
    files = tiny_files("one")
    large = io.BytesIO(files["model.skops"])
    with zipfile.ZipFile(large, "a") as archive:
        archive.writestr("1.bin", os.urandom(50_000_000))
    world.merge("one", files={**files, "model.skops": large.getvalue()})
    assert run(python, world, "apply").returncode == 0
    world.merge("two")
    assert run(python, world, "apply").returncode == 0
    world.revert(world.tip)
    began = time.monotonic()
    done = run(python, world, "apply")
    seconds = time.monotonic() - began

    assert done.stdout.endswith("\nlarge: moved @champion 2 -> 1\n"), done.stderr
    assert world.champion() == 1
    print(f"apply of a 50 MB model, whole process: {seconds:.1f} s")
    assert seconds < 20
