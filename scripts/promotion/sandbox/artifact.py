"""The one reader of a model folder: judge, prepare, promote and the server accept what it accepts, and nothing else.

An allow-list over the whole folder: MLmodel's two flavours name the same file and their own loader, every file is
one that MLflow or train.py wrote, every type in it is known to be data or trusted by promotion.yaml, and modules are
byte for byte those of the reviewed tree. Nothing is loaded and nothing is imported; sizes are bounded before parsing.
"""

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from promotion.config.policy import Policy
from promotion.config.trusted import forbidden
from promotion.errors import PromotionError
from promotion.records.files import META, is_meta
from promotion.sandbox.mlmodel import CODE, FILE, Column, Described, bounded_yaml, read_mlmodel
from promotion.sandbox.skops_types import skops_types

FORMATS_THAT_RUN_CODE = ("pickle", "code")  # only where promotion.yaml's `formats` says so
MOST_FILES = 10_000
MOST_BYTES = 20 << 30
MOST_TEXT = 64 << 20
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
MODULE = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
PLAIN = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt")
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+", re.ASCII)
# What MLflow writes into the list of every LightGBM model, whatever its file holds.
LISTED_BY_MLFLOW = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)
TAKEN = frozenset({"promotion", "mlflow", "numpy", "pandas", "scipy", "sklearn", "skops", "pyarrow"})


class Allowed(NamedTuple):
    """What promotion.yaml lets a model be beyond what runs no code. formats: `pickle`, `code`. types: trusted_types."""

    formats: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    any_type: bool = False

    @classmethod
    def by(cls, policy: Policy | None) -> "Allowed":
        """What a model's policy allows; nothing beyond the default without one."""
        return cls() if policy is None else cls(frozenset(policy.formats), frozenset(policy.trusted_types))


DEFAULT = Allowed()
ANY_FORMAT = Allowed(frozenset(FORMATS_THAT_RUN_CODE), any_type=True)  # for who knows no policy, as the server


class Artifact(NamedTuple):
    """A model folder that was accepted. inputs: its signature. types: beyond the known ones. code: its modules."""

    format: str
    data: str
    inputs: tuple[Column, ...] | None
    types: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


def read_artifact(folder: Path, allowed: Allowed = DEFAULT, *, source: Path | None = None) -> Artifact:
    """Return what a model folder is; raise PromotionError, one sentence with the file, for anything not allowed.

    source: the reviewed tree's files, which modules must equal byte for byte; None where the digest vouches for them.
    """
    files = listed(folder)
    found = read_mlmodel(folder)
    if found.format in FORMATS_THAT_RUN_CODE and found.format not in allowed.formats:
        raise _not_allowed(folder, found)
    code = _accounted(folder, files, found)
    if code and "code" not in allowed.formats:
        raise PromotionError(
            f"it brings modules of its own ({', '.join(code[:3])}), which run when it is loaded; where its code owners "
            "want that, promotion.yaml says `formats: [code]`",
            file=folder / CODE,
        )
    if source is not None:
        _same_code(folder, code, source)
    _environment(folder, files)
    _content(folder, found)
    return Artifact(found.format, found.data, found.inputs, _types(folder, found, allowed), code)


def accept(folder: Path, label: str, allowed: Allowed, *, source: Path | None = None, vouched: bool) -> str | None:
    """Decide about the files of a registered version, of which the digest is known to be right; return a warning.

    The one place where old and new part. A pin that lands now must be what today's reader and policy accept, else
    PromotionError. Where it is vouched for, because the ledger confirmed these very files or because it was the
    champion before this project came, it is used whatever today's limits say, with the reason as a warning: no
    release and no change of policy strands a champion or closes the way back to one.
    """
    try:
        read_artifact(folder, allowed, source=source)
    except PromotionError as error:
        inside = Path(error.file or folder)
        named = f" {inside.relative_to(folder)}:" if folder in inside.parents else ""
        said = f"{label}:{named} {error.message}"
        if not vouched:
            raise PromotionError(said) from None
        return f"a new pin of these files would be refused, but this one was confirmed before: {said}"
    return None


def listed(folder: Path) -> tuple[str, ...]:
    """Return the relative paths of all files, sorted; raise PromotionError for a link, an odd name, or too much."""
    if folder.is_symlink() or not folder.is_dir():
        raise PromotionError("no folder of model files", file=folder)
    files, size = [], 0
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PromotionError(f"`{name[:80]}` is a link or special file; a model is plain files", file=folder)
        if not all(SEGMENT.fullmatch(part) for part in name.split("/")) or name.count("/") > 10:
            raise PromotionError(f"`{name[:80]!r}` is not a name that a model's file may have", file=folder)
        if path.is_file():
            files.append(name)
            size += path.stat().st_size
        elif not any(path.iterdir()):
            raise PromotionError(f"`{name[:80]}` is an empty folder; a model is files", file=folder)
        if len(files) > MOST_FILES or size > MOST_BYTES:
            raise PromotionError(f"more than {MOST_FILES} files or {MOST_BYTES} bytes", file=folder)
    if len({name.casefold() for name in files}) != len(files):
        raise PromotionError("two of its files differ by upper and lower case only", file=folder)
    return tuple(sorted(files))


def _not_allowed(folder: Path, found: Described) -> PromotionError:
    if found.format == "pickle":
        return PromotionError(
            f"{found.data} is pickled, and loading a pickle runs whatever is in it; return an estimator that skops "
            "can save, or one in a format of its own library (models/README.md). Where its code owners want a "
            "pickle, promotion.yaml says `formats: [pickle]`",
            file=folder / found.data,
        )
    return PromotionError(
        f"{found.data} is a script that runs when the model is loaded; where its code owners want that, "
        "promotion.yaml says `formats: [code]`",
        file=folder / found.data,
    )


def _accounted(folder: Path, files: tuple[str, ...], found: Described) -> tuple[str, ...]:
    """Return the modules among the files; raise PromotionError for a file that nothing accounts for."""
    expected = {*PLAIN, *found.files, found.data}
    code = [name for name in files if name.startswith(f"{CODE}/")] if found.code else []
    if found.format == "code":
        code.append(found.data)
    for name in files:
        read_by_script = any(name == path or name.startswith(path + "/") for path in found.artifacts)
        if name in expected or name in code or read_by_script or (name == META and is_meta(folder / META)):
            continue
        raise PromotionError(
            f"the file `{name}` belongs to no model that MLflow saves; nothing unlisted is kept", file=folder
        )
    for name in (FILE, found.data, *found.files):
        if name not in files:
            raise PromotionError(f"`{name}` is missing, though MLmodel names it", file=folder)
    for name in code:
        _module(folder, name)
    return tuple(code)


def _module(folder: Path, name: str) -> None:
    parts = name.removeprefix(f"{CODE}/").split("/")
    top = parts[0].removesuffix(".py")
    if not name.endswith(".py") or not all(MODULE.fullmatch(part.removesuffix(".py")) for part in parts):
        raise PromotionError("a module is a .py file", file=folder / name)
    if top in sys.stdlib_module_names or top in TAKEN:
        raise PromotionError(
            f"a module of the model may not be called `{top}`, which is another one's name", file=folder / name
        )


def _same_code(folder: Path, code: tuple[str, ...], source: Path) -> None:
    for name in code:
        reviewed = source / name.removeprefix(f"{CODE}/")
        if reviewed.is_symlink() or not reviewed.is_file():
            raise PromotionError(
                f"its module is not in the reviewed tree ({reviewed.relative_to(source)}); modules of a model are "
                "files of its folder below models/",
                file=folder / name,
            )
        if reviewed.read_bytes() != (folder / name).read_bytes():
            raise PromotionError("its module differs from the reviewed one; train again", file=folder / name)


def _environment(folder: Path, files: tuple[str, ...]) -> None:
    """The files from which other tools rebuild an environment: pinned packages by name, and no way to fetch others."""
    if "requirements.txt" in files:
        lines = _text(folder / "requirements.txt").splitlines()
        if bad := [line for line in lines if line and not REQUIREMENT.fullmatch(line)]:
            raise PromotionError(f"`{bad[0][:80]}` is not NAME==VERSION", file=folder / "requirements.txt")
    for name in ("conda.yaml", "python_env.yaml"):
        if name not in files:
            continue
        try:
            found = bounded_yaml(_text(folder / name))
            fine = _plain_conda(found) if name == "conda.yaml" else _plain_env(found)
        except Exception:
            fine = False
        if not fine:
            raise PromotionError("it asks for more than pinned packages; train again", file=folder / name)


def _plain_conda(found: Any) -> bool:
    plain: list[str] = []
    pip: list[str] = []
    for item in found["dependencies"]:
        if isinstance(item, dict):
            pip += item["pip"] if set(item) == {"pip"} else [""]
        else:
            plain.append(item)
    conda = all(re.fullmatch(r"python[=<>]{1,2}[\d.]+|pip([=<>]{1,2}[\d.]+)?", item) for item in plain)
    known = set(found) <= {"channels", "dependencies", "name"} and found["channels"] == ["conda-forge"]
    return known and conda and all(REQUIREMENT.fullmatch(item) for item in pip)


def _plain_env(found: Any) -> bool:
    build = all(re.fullmatch(r"(pip|setuptools|wheel)(==[\d.]+)?", item) for item in found["build_dependencies"])
    known = set(found) == {"python", "build_dependencies", "dependencies"}
    return known and build and found["dependencies"] == ["-r requirements.txt"]


def _text(path: Path) -> str:
    if path.stat().st_size > 1 << 20:
        raise PromotionError("larger than 1 MiB", file=path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PromotionError("not UTF-8 text", file=path) from None


def _content(folder: Path, found: Described) -> None:
    """The model's own file begins as its format does, so that no library takes it for another that runs code."""
    begins = {
        "skops": (b"PK\x03\x04",),
        "xgboost": (b"{",),
        "lightgbm": (b"tree\n",),
        "catboost": (b"CBM1",),
        "onnx": (b"\x08",),
    }.get(found.format)
    path = folder / found.data
    with path.open("rb") as handle:
        if begins is not None and not handle.read(8).startswith(begins):
            raise PromotionError(f"it is not in the format {found.format} that MLmodel says", file=path)
    for name in found.files:
        if (folder / name).stat().st_size > MOST_TEXT:
            raise PromotionError("the example is larger than 64 MiB", file=folder / name)
    if found.format == "onnx" and _holds(path, b"\x0a\x08location"):
        raise PromotionError("its weights lie in another file; save them inside the model", file=path)


def _holds(path: Path, words: bytes) -> bool:
    """Whether a file, of whatever size, has these bytes somewhere."""
    with path.open("rb") as handle:
        end = b""
        while block := handle.read(1 << 20):
            if words in end + block:
                return True
            end = block[-len(words) :]
    return False


def _types(folder: Path, found: Described, allowed: Allowed) -> tuple[str, ...]:
    """Return the types beyond the known ones; raise PromotionError for one that nobody trusts or nobody may trust."""
    if found.data != "model.skops":
        return ()
    path = folder / found.data
    held = skops_types(path)
    if unheld := sorted(set(found.trusted) - {*held.known, *held.others, *LISTED_BY_MLFLOW}):
        raise PromotionError(
            f"it tells skops to trust {unheld[0]}, which {found.data} does not hold", file=folder / FILE
        )
    if never := [name for name in held.others if forbidden(name)]:
        raise PromotionError(
            f"it names {', '.join(never[:5])}, which can run or load something else; no policy can allow that",
            file=path,
        )
    missing = [] if allowed.any_type else [name for name in held.others if name not in allowed.types]
    if missing:
        names = ", ".join(missing[:20])
        raise PromotionError(
            f"it contains types that are not known to be data only: {names}; if its code owners trust them, "
            f"promotion.yaml says so under the model, `trusted_types: [{names}]`, or they join the list at its top: in "
            "a pull request of its own, or in this one where it brings the model's entry",
            file=path,
        )
    return held.others
