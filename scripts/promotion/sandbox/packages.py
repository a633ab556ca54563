"""The packages that a model's tree asks for beyond the base's lock: a folder of their own, the last on the path.

They are installed by uv where that model runs and nowhere else: from wheels, each by its hash, so that nothing of them
runs when they are installed. The base's packages come first, so none of theirs can take its place.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from promotion.config.requirements import (
    FILE,
    NAME,
    Pinned,
    beyond,
    conflicts,
    former_lock,
    normal,
    read_requirements,
)
from promotion.errors import PromotionError
from promotion.text.escape import clean, without_secrets

UV_LOCK = "requirements/uv.txt"


def packages_of(source: Path, shown: Path, *, base_wins: bool = False) -> str | None:
    """Return the folder of the packages that a model's tree asks for, installed where it is missing; None for none.

    source: the tree's files; shown: the folder that errors name. base_wins: for a champion whose lock is older than the
    base's. A package that the base has in another version is no error; what the base had then and its packages ask for
    is installed with them.
    """
    pins = read_requirements(source, shown)
    if not base_wins and (wrong := conflicts(pins)):
        raise PromotionError.several(wrong, file=shown / FILE)
    own = beyond(pins)
    if not own:
        return None
    _not_hidden(own, shown)
    text, former = _lines(own), former_lock() if base_wins else ()
    parts = (text, sys.version, sysconfig.get_platform(), *([_lines(former)] if former else []))
    folder = _root() / hashlib.sha256("\0".join(parts).encode()).hexdigest()
    if not folder.is_dir():
        _install(text, former, folder, shown)
    return str(folder)


def _root() -> Path:
    """Where such folders are kept: on a runner as long as the job, else in the user's cache; safe to delete."""
    if temporary := os.environ.get("RUNNER_TEMP"):
        return Path(temporary) / "model-packages"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promotion" / "model-packages"


def _not_hidden(pins: tuple[Pinned, ...], shown: Path) -> None:
    """Refuse where this Python has one of them itself in another version, which would come first."""
    for pin in pins:
        try:
            there = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if there not in {other.version for other in pins if other.name == pin.name}:
            raise PromotionError(
                f"this Python has {pin.name} {there} itself, which would hide {pin.version}; use one that has "
                "requirements/train.txt and no more",
                file=shown / FILE,
                line=pin.line,
            )


def _lines(pins: Iterable[Pinned]) -> str:
    return "".join(f"{pin.text}\n" for pin in pins)


def _install(text: str, former: tuple[Pinned, ...], folder: Path, shown: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        lock, made = Path(scratch) / FILE, Path(scratch) / "made"
        print(f"installing {shown / FILE} ...", flush=True)
        options = ["--target", str(made), "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        while text:
            lock.write_text(text, encoding="utf-8")
            done = run_uv("pip", "install", "--quiet", "--python", sys.executable, *options, "-r", str(lock))
            if done.returncode != 0:
                raise PromotionError(f"it cannot be installed ({said(done.stderr)})", file=shown / FILE)
            asked = _asked(made)
            text, former = (
                _lines(pin for pin in former if pin.name in asked),
                tuple(pin for pin in former if pin.name not in asked),
            )
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise


def _asked(folder: Path) -> set[str]:
    """The packages that those in a folder say they require."""
    lines = (line for dist in importlib.metadata.distributions(path=[str(folder)]) for line in dist.requires or ())
    found = (re.match(NAME, line) for line in lines if "extra ==" not in line)
    return {normal(match[0]) for match in found if match}


def run_uv(*arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run uv, with the mirror of PyPI that pip is told to use; raise PromotionError where there is no uv."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise PromotionError(
            f"uv is not installed here; `python -m pip install --require-hashes -r {UV_LOCK}` brings it"
        )
    env = {"UV_SYSTEM_CERTS": "true", **os.environ}
    if os.environ.get("RUNNER_TEMP"):  # a cache outlives the job on some runners, and model code could write it
        env["UV_NO_CACHE"] = "true"
    if "UV_DEFAULT_INDEX" not in env and (mirror := _mirror()):
        env["UV_DEFAULT_INDEX"] = mirror
    return subprocess.run([uv, *arguments], input=text, env=env, capture_output=True, text=True, check=False)


def _mirror() -> str | None:
    """The index that pip's configuration names."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found = re.findall(r"^\S*\.index-url='(.*)'$", done.stdout, re.M)
    return found[-1] if found else None


def said(output: str) -> str:
    """What uv said, in one line."""
    lines = [line.strip(" ×╰─▶├│") for line in output.splitlines()]
    return clean(without_secrets(" ".join(line for line in lines if line)), 600) or "uv said nothing"
