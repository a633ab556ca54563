"""The files that init.py puts into a repository: what is there already is merged where that is safe, else left."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from promotion.config import FILE
from promotion.config.edit import add_entries
from promotion.config.promotion_yaml import parse
from promotion.config.strict import read_text
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.setup.callers import Ours, callers, texts
from promotion.setup.table import COPIED_BYTES, MOST_GAPS, Spans, Table, Task

TEMPLATES = Path(__file__).parent / "templates"
IGNORED = (".work/", ".work-try/", ".demo/", ".data/", "mlflow.db", "mlartifacts/")  # made wherever a command is run
OWNED = (FILE, "models/", ".github/")
DEPENDABOT = ".github/dependabot.yml"
RENOVATE = tuple(
    folder + name for folder in ("", ".github/") for name in ("renovate.json", "renovate.json5", ".renovaterc")
)
CODEOWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")  # the first that is there counts (GitHub)


@dataclass(frozen=True)
class Newcomer:
    """A repository that takes the project in. top: its work tree; root: the folder in it, "" for the top itself.

    owner, server: as its origin says, None where there is none.
    """

    top: Path
    root: str
    branch: str
    owner: str | None
    server: str | None
    name: str
    task: Task

    def path(self, relative: str) -> str:
        """A path below the folder, as seen from the top."""
        return f"{self.root}/{relative}" if self.root else relative


@dataclass(frozen=True)
class Change:
    """One file. state: `new`, `merged`, `same` (has it all) or `left` (there, and not ours to change)."""

    path: str
    state: Literal["new", "merged", "same", "left"]
    content: bytes | None = None


def plan_files(to: Newcomer, table: Table | None, windows: Spans, what: Ours) -> list[Change]:
    """Return what would be written; nothing is written. what: the callers' workflows.

    Raise PromotionError for a promotion.yaml of something else, and where another folder is promoted already.
    """
    values = _values(to, table, windows)
    folder = to.path(f"models/{to.name}")
    changes = [_promotion(to, _render("entry.yaml.j2", values))]
    if (to.top / folder).is_dir():
        changes.append(Change(folder, "left"))
    else:
        for name in ("model.yaml", "data.py", "train.py"):
            changes.append(_new(to, f"{folder}/{name}", _render(f"{name}.j2", values)))
        if table is not None and values["copied"]:
            changes.append(Change(f"{folder}/{table.path.name}", "new", table.path.read_bytes()))
    changes += _callers(to, what)
    changes.append(_dependabot(to, _render("dependabot.yml.j2", values)))
    changes.append(_lines(to, ".gitignore", IGNORED))
    if to.owner is not None:
        file = next((name for name in CODEOWNERS if (to.top / name).is_file()), CODEOWNERS[0])
        owned = [f"/{line if line == '.github/' else to.path(line)} @{to.owner}" for line in OWNED]
        changes.append(_lines(to, file, owned))
    _clean(to, changes)
    return changes


def write_files(to: Newcomer, changes: Sequence[Change]) -> None:
    """Write what was planned."""
    for change in changes:
        if change.content is not None:
            path = to.top / change.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(change.content)


def _values(to: Newcomer, table: Table | None, windows: Spans) -> dict[str, Any]:
    copied = table is not None and table.path.stat().st_size <= COPIED_BYTES
    if table is None:
        floor = 0.2 if to.task == "classification" else 1.0
    elif to.task == "classification":
        floor = round(2 * table.base / (1 + table.base), 3)  # F1 of flagging every row: precision is the base rate
    else:
        floor = float(f"{table.spread:.3g}")
    return {
        **{"name": to.name, "task": to.task, "root": to.root, "branch": to.branch},
        **{"table": table, "spans": windows, "copied": copied, "floor": floor},
        "off": table.off if table else (),
        "gaps": table.gaps if table and len(table.gaps) <= MOST_GAPS else (),
        "where": None if table is None else table.path.resolve().as_posix(),
    }


def _render(template: str, values: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def _new(to: Newcomer, path: str, text: str) -> Change:
    there = to.top / path
    if not there.exists():  # what a link that leads nowhere stands in the way of is refused below
        return Change(path, "new", text.encode())
    same = there.is_file() and there.read_bytes() == text.encode()
    return Change(path, "same" if same else "left")


def _promotion(to: Newcomer, entry: str) -> Change:
    """promotion.yaml with the model's entry: a new file, or the entry below the others of one that is valid."""
    path, there = to.path(FILE), to.top / to.path(FILE)
    if not there.exists():
        text = f"# Policy and state: what is measured, the gate, the challenge, who is champion.\nmodels:\n{entry}"
        parse(text, file=path)
        return Change(path, "new", text.encode())
    try:
        text = read_text(there, missing="make it a plain file")
        known = parse(text, file=path)
    except PromotionError as error:
        raise PromotionError(
            f"there is a promotion.yaml already, and it is not one of this project ({error.brief}); nothing was written"
        ) from None
    if to.name in known.models:
        return Change(path, "same")
    merged = add_entries(text, {to.name: textwrap.dedent(entry).splitlines()}, {to.name: None}, file=path)
    return Change(path, "merged", merged.encode())


def _callers(to: Newcomer, what: Ours) -> list[Change]:
    """The workflows that call ours; those that are there stay, whatever commit they call by now."""
    there = callers(to.top)
    other = next((one for one in there if one.root != to.root), None)
    if other is not None:
        raise PromotionError(
            f"this repository promotes the models of {other.root or 'its top'} already, and one folder is all it can: "
            f"put the model there (--into {to.top / other.root}); nothing was written",
            file=f".github/workflows/{other.file}",
        )
    found = {one.verb: one.file for one in there}
    changes = []
    for path, text in texts(what, to.root, to.branch).items():
        verb = Path(path).stem.rpartition("-")[2]
        if verb in found:
            changes.append(Change(f".github/workflows/{found[verb]}", "same"))
        else:
            changes.append(_new(to, path, text))
    return changes


def _dependabot(to: Newcomer, text: str) -> Change:
    """Dependabot's file, with one entry more where it has others; left where that is not certain, or Renovate is."""
    if any((to.top / name).is_file() for name in RENOVATE):
        return Change(DEPENDABOT, "left")
    made = _new(to, DEPENDABOT, text)
    if made.state != "left":
        return made
    try:
        there = (to.top / DEPENDABOT).read_bytes().decode()
        old, entry = yaml.safe_load(there), yaml.safe_load(text)["updates"][0]
        known = old["updates"]
        if any(one["package-ecosystem"] == entry["package-ecosystem"] and _at_top(one) for one in known):
            return Change(DEPENDABOT, "same")
        merged = _with_entry(there, text)
        sure = yaml.safe_load(merged) == {**old, "updates": [entry, *known]}
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        sure = False
    return Change(DEPENDABOT, "merged", merged.encode()) if sure else made


def _at_top(update: dict[str, Any]) -> bool:
    return "/" in (update.get("directory"), *(update.get("directories") or ()))


def _with_entry(there: str, text: str) -> str:
    """Put the entry of `text` before the first one, at its column; whoever calls it looks whether that was right."""
    first = re.search(r"^( *)- ", there.partition("\nupdates:")[2] or there, re.MULTILINE)
    at = there.index(first[0], there.index("updates:")) if first is not None else len(there)
    lines = textwrap.dedent(text.partition("updates:\n")[2]).replace("\n", "\r\n" if "\r\n" in there else "\n")
    return there[:at] + textwrap.indent(lines, first[1] if first is not None else "  ") + there[at:]


def _lines(to: Newcomer, path: str, wanted: Sequence[str]) -> Change:
    """A file of lines with those that it lacks at its end; what it has keeps its bytes."""
    there = to.top / path
    old = there.read_bytes() if there.is_file() else b""
    have = {line.strip() for line in old.splitlines()}
    lacking = [line.encode() for line in wanted if line.encode() not in have]
    if not lacking:
        return Change(path, "same")
    end = b"\r\n" if b"\r\n" in old else b"\n"
    before = old if not old or old.endswith(b"\n") else old + end
    return Change(path, "merged" if old else "new", before + b"".join(line + end for line in lacking))


def _clean(to: Newcomer, changes: Sequence[Change]) -> None:
    """Refuse what could not be written whole, lies behind a link, or adds lines to a file with uncommitted changes."""
    Repo(to.top, "").refuse_ignored([change.path for change in changes if change.state == "new"])
    for change in changes:
        if change.content is None:
            continue
        path = Path(change.path)
        for folder in reversed(path.parents[:-1]):
            there = to.top / folder
            if there.is_symlink() or (there.exists() and not there.is_dir()):
                raise PromotionError(f"it is no folder, and {path} would lie in it; nothing was written", file=folder)
        if (to.top / path).is_symlink() or (to.top / path).is_dir():
            what = "a link" if (to.top / path).is_symlink() else "a folder"
            raise PromotionError(f"it is {what}; make it a plain file, or move it; nothing was written", file=path)
        if change.state == "merged" and Repo(to.top, "").git("status", "--porcelain", "--", change.path).strip():
            raise PromotionError(
                "it has uncommitted changes, and git could not give them back if lines were added; commit or stash "
                "them; nothing was written",
                file=path,
            )
