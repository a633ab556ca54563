"""What the two artifact stand-ins do: a folder per artifact below STANDIN_ARTIFACTS, with the real ones' rules.

An upload's root is the deepest folder that all its search paths share; hidden files are left out unless
asked for; links are followed, as the real one does.
"""

import fnmatch
import json
import os
import shutil
import sys
from pathlib import Path

FORBIDDEN = set('":<>|*?\r\n\\/')


def ids(store: Path) -> dict[str, str]:
    """Artifact id -> name. An id belongs to one upload: what replaces it under its name gets another."""
    file = store.parent / "artifact-ids.json"
    return json.loads(file.read_text()) if file.exists() else {}


def upload() -> int:
    """Copy what PATHS names into the artifact NAME."""
    name, store = os.environ["NAME"], Path(os.environ["STANDIN_ARTIFACTS"])
    if not name or set(name) & FORBIDDEN:
        raise SystemExit(f"the artifact name {name!r} is not allowed")
    known = ids(store)
    if (store / name).exists():
        if os.environ["OVERWRITE"] != "true":
            raise SystemExit(f"an artifact {name} exists already in this run")
        shutil.rmtree(store / name)
        known = {number: kept if kept != name else "" for number, kept in known.items()}
    number = str(4000 + len(known))
    store.mkdir(parents=True, exist_ok=True)
    (store.parent / "artifact-ids.json").write_text(json.dumps({**known, number: name}))
    lines = [line.strip() for line in os.environ["PATHS"].splitlines() if line.strip()]
    roots = [Path(line) for line in lines if not line.startswith("!")]
    out = [line[1:] for line in lines if line.startswith("!")]
    found = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file()]
    hidden = os.environ["HIDDEN"] == "true"
    found = [path for path in found if not any(fnmatch.fnmatch(str(path), pattern) for pattern in out)]
    found = [path for path in found if hidden or not any(part.startswith(".") for part in path.parts)]
    if not found and os.environ["MISSING"] == "error":
        raise SystemExit("no files were found")
    single = len(roots) == 1
    shared = (
        (roots[0].parent if roots[0].is_file() else roots[0]) if single else Path(os.path.commonpath(roots or [""]))
    )
    (store / name).mkdir(parents=True)
    for path in found:
        target = store / name / path.relative_to(shared)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as output:
        output.write(f"artifact-id={number}\n")
        output.write(f"artifact-url=https://github.com/octo-org/fraud/actions/runs/1/artifacts/{len(found)}\n")
    return 0


def download() -> int:
    """Copy one artifact into WHERE, or each that matches PATTERN into a folder of its name below."""
    store, where = Path(os.environ["STANDIN_ARTIFACTS"]), Path(os.environ["WHERE"])
    if number := os.environ["IDS"]:
        if not ids(store).get(number):
            raise SystemExit(f"there is no artifact with the id {number}")
        shutil.copytree(store / ids(store)[number], where, dirs_exist_ok=True)
        return 0
    if os.environ["NAME"]:
        shutil.copytree(store / os.environ["NAME"], where, dirs_exist_ok=True)
        return 0
    for path in sorted(store.glob(os.environ["PATTERN"])):
        shutil.copytree(path, where / path.name)
    return 0


if __name__ == "__main__":
    raise SystemExit({"upload": upload, "download": download}[sys.argv[1]]())
