"""requirements.txt of a model folder: what the model needs beyond the base's lock, pinned and hashed, and no more.

The base's lock is the one beside these scripts. Where both name a package, the base's version is the one that runs.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from promotion.config.strict import read_text
from promotion.errors import PromotionError
from promotion.text.escape import clean

FILE = "requirements.txt"
BASE = Path(__file__).resolve().parents[3] / "requirements" / "train.txt"
FORMER = BASE.with_name("former.txt")
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
MARKER = r"(?: ?;(?:(?!--)[A-Za-z0-9_.,'\"<>=!~() -])*?)?"
HASHES = r"(?: --hash=sha256:[0-9a-f]{64})*"
LINE = re.compile(rf"({NAME})(?:\[[A-Za-z0-9,._ -]+\])? ?== ?([A-Za-z0-9.+!_]+){MARKER}({HASHES})")
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Pinned:
    """One line of a lock. name: as package indexes compare them. text: the whole line, joined."""

    name: str
    version: str
    text: str
    line: int


def read_requirements(folder: Path, shown: Path) -> tuple[Pinned, ...]:
    """Read `folder`/requirements.txt, () where there is none; raise PromotionError for every line that is no pin."""
    path, file = folder / FILE, shown / FILE
    if not path.is_file():
        return ()
    if path.stat().st_size > MOST_BYTES:
        raise PromotionError(f"larger than {MOST_BYTES} bytes, so it is no lock", file=file)
    return parse_requirements(read_text(path, missing=""), str(file))


def why_no_lock(folder: Path, shown: Path) -> str | None:
    """What is wrong with `folder`/requirements.txt, first mistake first; None where it is a lock, or not there."""
    try:
        read_requirements(folder, shown)
    except PromotionError as error:
        return error.each[0].message
    return None


def parse_requirements(text: str, file: str) -> tuple[Pinned, ...]:
    """Read a lock from its text; raise PromotionError with file:line for whatever is not NAME==VERSION with hashes."""
    pins, wrong = [], []
    for number, line in _joined(text):
        found = LINE.fullmatch(line)
        if found is None:
            wrong.append((f"`{clean(line, 80)}` is not a package pinned as NAME==VERSION; {_how(file)}", number))
        elif not found[3]:
            wrong.append((f"{found[1]}=={found[2]} has no --hash=sha256:…; {_how(file)}", number))
        else:
            pins.append(Pinned(normal(found[1]), found[2], line, number))
    if wrong:
        raise PromotionError.several(wrong, file=file)
    return tuple(pins)


def _how(file: str) -> str:
    return f"`python scripts/retrain.py lock {Path(file).parent.name} PACKAGE...` writes the file"


def _joined(text: str) -> Iterable[tuple[int, str]]:
    """Lines without comments, those that end in a backslash joined with what follows; each with its first number."""
    number, parts = 0, []
    for at, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        number = number or at
        more = line.endswith("\\")
        parts.append(line.removesuffix("\\").strip())
        if more:
            continue
        if whole := " ".join(part for part in parts if part):
            yield number, re.sub(r"\s+", " ", whole)
        number, parts = 0, []
    if whole := " ".join(part for part in parts if part):
        yield number, whole


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def base_lock() -> dict[str, frozenset[str]]:
    """The versions that the base's lock has of each package: one, or one for each Python or platform."""
    found: dict[str, frozenset[str]] = {}
    for match in re.finditer(rf"^({NAME})==([^\s;\\]+)", BASE.read_text(encoding="utf-8"), re.M):
        name = normal(match[1])
        found[name] = found.get(name, frozenset()) | {match[2]}
    for name in ("mlflow", "mlflow-tracing"):  # the same modules by other names
        found.setdefault(name, found.get("mlflow-skinny", frozenset()))
    return {name: versions for name, versions in found.items() if versions}


def former_lock() -> tuple[Pinned, ...]:
    """What the base's lock once had and no longer has."""
    return parse_requirements(read_text(FORMER, missing=""), str(FORMER))


def beyond(pins: Iterable[Pinned]) -> tuple[Pinned, ...]:
    """Those that the base's lock does not have."""
    return tuple(pin for pin in pins if pin.name not in base_lock())


def conflicts(pins: Iterable[Pinned]) -> list[tuple[str, int | None]]:
    """One sentence, with its line, for each package that the base's lock has in another version."""
    versions: dict[str, list[Pinned]] = {}
    for pin in pins:
        versions.setdefault(pin.name, []).append(pin)
    return [
        (
            f"{name} {found[0].version} is asked for, but the base's lock has {', '.join(sorted(base_lock()[name]))} "
            "and wins, because the promotion scripts need it: leave the line out, or move the base's lock first",
            found[0].line,
        )
        for name, found in versions.items()
        if name in base_lock() and not base_lock()[name] & {pin.version for pin in found}
    ]
