"""promote.py as a process of its own, with everything that it shows to others."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.worlds import World

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@dataclass(frozen=True)
class Ran:
    """A finished promote.py. everything: its output and the arguments of every program that it started."""

    code: int
    out: str
    err: str
    everything: str


def run(world: World, tmp_path: Path, *args: str, uri: str | None = None, **credentials: str) -> Ran:
    """Run promote.py as a process of its own, with every git call's arguments written down."""
    tools, log = tmp_path / "tools", tmp_path / "arguments.txt"
    tools.mkdir(exist_ok=True)
    git = tools / "git"
    git.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {shutil.which("git")} "$@"\n', encoding="utf-8")
    git.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env |= {"MLFLOW_TRACKING_URI": uri or world.uri, "PATH": f"{tools}:{env['PATH']}", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, str(SCRIPTS / "promote.py"), *args, "--repo", str(world.path)]
    done = subprocess.run(command, env={**env, **credentials}, capture_output=True, text=True, check=False, timeout=120)
    everything = "\n".join([done.stdout, done.stderr, log.read_text(encoding="utf-8"), *command])
    return Ran(done.returncode, done.stdout, done.stderr, everything)
