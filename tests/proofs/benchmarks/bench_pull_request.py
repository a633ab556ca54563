"""How long a pull request waits for its comment, and a merge for @champion, on runners that have nothing installed.

Run from the root: `python tests/proofs/benchmarks/bench_pull_request.py [--before COMMIT]`. act plays the real
workflows: every job makes its own environment from an empty cache, one job after another, and the model trains in
no time, so what is measured is everything else. With --before the same is measured with the scripts, locks and
workflows of an older commit, in the same run. Prints Markdown.

A runner has a disk of its own; here all of them follow one another on one, which soon has gigabytes left to write. So
they are in memory where the machine has enough of it; TMPDIR, where it is set, names another place.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ROOM = 4 << 30  # bytes; a runner's environment is half a gigabyte, and one stands at a time
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from tests.workflows.stage import Played, Server, Stage, tool  # noqa: E402


def runners() -> Path:
    """Where the runners' files lie."""
    memory = Path("/dev/shm")
    room = memory.is_dir() and shutil.disk_usage(memory).free >= ROOM
    return memory if room and "TMPDIR" not in os.environ else Path(tempfile.gettempdir())


def tree_of(commit: str, folder: Path) -> Path:
    """The files of a commit."""
    folder.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def timed(played: list[Played], what: str, run: object) -> float:
    """Run a workflow; return its seconds."""
    began = time.perf_counter()
    played.append(run())  # type: ignore[operator]
    seconds = time.perf_counter() - began
    if played[-1].code != 0:
        raise SystemExit(f"{what} failed:\n{played[-1].log[-3000:]}")
    return seconds


def when_champion(stage: Stage, version: int) -> float:
    """Ask the registry until a version is @champion; return when that was, to a tenth of a second."""
    end = time.perf_counter() + 300
    while stage.champion() != version:
        if time.perf_counter() > end:
            raise SystemExit(f"version {version} did not become @champion")
        time.sleep(0.1)
    return time.perf_counter()


def measured(folder: Path, tree: Path) -> tuple[float, float]:
    """(seconds from a push that retrains to its comment, seconds from its merge to the moved alias)."""
    server = Server(folder / "mlflow")
    server.start()
    runs: list[Played] = []
    try:
        stage = Stage(folder / "stage", server, ("tiny",), tree=tree)  # the first champion's runs install nothing
        try:
            stage.main()
            stage.edit("model.yaml", "seed: 0", "seed: 1")
            request = stage.open("retrain/first")
            timed(runs, "the first pull request", lambda: stage.retrain(request))
            stage.merge(request)
            timed(runs, "the first promotion", stage.promote)
            stage.python = None
            stage.main()
            stage.edit("model.yaml", "[hint]", "[hint, clue]")
            request = stage.open("retrain/better")
            comment = timed(runs, "the pull request", lambda: stage.retrain(request))
            assert len(stage.comments(request)) == 1
            stage.merge(request)
            with ThreadPoolExecutor(1) as beside:  # the workflow goes on after the alias is moved
                began, moved = time.perf_counter(), beside.submit(when_champion, stage, 2)
                timed(runs, "the promotion", stage.promote)
                return comment, moved.result() - began
        finally:
            stage.stop()
    finally:
        server.stop()


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="COMMIT", help="measure an older commit too")
    args = parser.parse_args(argv)
    if tool("act") is None:
        print("act is not installed; `make test-workflows` installs it where Go is present")
        return 0
    trees = {"now": None} if args.before is None else {args.before[:12]: args.before, "now": None}
    found = {}
    os.environ.pop("PROMOTION_PYTHON", None)
    tempfile.tempdir = str(runners())
    print(f"runners in {tempfile.tempdir}", file=sys.stderr)
    print("| on runners with nothing installed | push to comment | merge to moved alias |\n|---|--:|--:|", flush=True)
    for name, commit in trees.items():
        with tempfile.TemporaryDirectory() as scratch:
            tree = ROOT if commit is None else tree_of(commit, Path(scratch) / "tree")
            found[name] = measured(Path(scratch), tree)
        print(f"| {name} | {found[name][0]:.0f} s | {found[name][1]:.1f} s |", flush=True)
    if args.before is not None:
        old, new = found[args.before[:12]], found["now"]
        print(f"| now, of {args.before[:12]} | {new[0] / old[0]:.2f} | {new[1] / old[1]:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
