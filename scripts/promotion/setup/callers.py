"""The workflows of a repository that calls ours: which commit they call, and their text."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from promotion import __version__
from promotion.errors import PromotionError
from promotion.git.repo import Repo
from promotion.git.whose import ADDRESS, PROJECT

VERBS = ("retrain", "promote", "drift", "watch", "schedule", "pages")
PREFIX = "promotion-"  # `retrain.yml` or `schedule.yml` may well be the repository's own
USES = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
# uses: OWNER/NAME/.github/workflows/retrain.yml@COMMIT # vX.Y.Z
CALLED = re.compile(rf"uses: +([\w.-]+/[\w.-]+)/\.github/workflows/({'|'.join(VERBS)})\.yml@(\S+)(?: +# *(\S+))?")


@dataclass(frozen=True)
class Ours:
    """What callers call. says_itself: the server does not tell a called workflow where it comes from."""

    repository: str
    commit: str
    version: str
    says_itself: bool = False


@dataclass(frozen=True)
class Caller:
    """A workflow that calls one of ours. file: its name; root: the folder that it promotes, "" for the top."""

    file: str
    verb: str
    repository: str
    commit: str
    version: str
    root: str
    scripts_ref: str | None


def ours(uses: str | None, *, says_itself: bool, project: Path = PROJECT) -> Ours:
    """Return what to call: `uses` (OWNER/NAME@COMMIT), else what this clone says of itself.

    Raise PromotionError where it cannot say, or where its commit is on no branch or tag of its origin: GitHub
    would not find it.
    """
    if uses is not None:
        found = USES.fullmatch(uses)
        if found is None:
            raise PromotionError(f"--uses takes OWNER/NAME@COMMIT with all 40 digits of the commit, not `{uses[:100]}`")
        return Ours(found[1], found[2], f"v{__version__}", says_itself)
    here = Repo(project, "")
    head, commit, _ = here.attempt("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    address = None if here.origin is None else ADDRESS.search(here.origin)
    inside, prefix, _ = here.attempt("rev-parse", "--show-prefix")
    if head != 0 or address is None or inside != 0 or prefix.strip():
        raise PromotionError(
            "these scripts lie in no clone with an origin, so they cannot say what the workflows are to call; "
            "add --uses OWNER/NAME@COMMIT, the repository and the commit of this release: `git ls-remote "
            f"https://github.com/OWNER/NAME 'v{__version__}*'` prints it (in its last line, where there are two)"
        )
    known = here.git("for-each-ref", "--contains", commit.strip(), "--count=1", "refs/remotes/origin", "refs/tags")
    if not known:
        raise PromotionError(
            f"commit {commit[:12]} of these scripts is on no branch of {address[1]} and no tag, so GitHub could not "
            "call it; check out a release (`git checkout vX.Y.Z`), or push it"
        )
    tag, name, _ = here.attempt("describe", "--tags", "--exact-match", "--match", "v*", "HEAD")
    return Ours(address[1], commit.strip(), name.strip() if tag == 0 else f"after v{__version__}", says_itself)


def texts(what: Ours, root: str, branch: str) -> dict[str, str]:
    """Return path -> text of every caller; what each passes on is what the called workflow declares."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates" / "callers"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["scalar"] = scalar
    found = {}
    for verb in VERBS:
        on = _on(PROJECT / ".github" / "workflows" / f"{verb}.yml")
        values = {
            **{"verb": verb, "ours": what, "root": root, "branch": branch},
            "passed": list((on["workflow_dispatch"] or {}).get("inputs") or {}),
            "secrets": list(on["workflow_call"]["secrets"]),
        }
        text = environment.get_template(f"{verb}.yml.j2").render(values)
        found[f".github/workflows/{PREFIX}{verb}.yml"] = text
    return found


def scalar(text: str) -> str:
    """A name as YAML of any version reads it back: in quotes where it could be a number, a date or a yes (`1.0`)."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9._/-]*", text) is not None and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _on(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    triggers: dict[str, Any] = found[True]  # YAML 1.1 reads the key `on` so
    return triggers


def callers(top: Path) -> list[Caller]:
    """Return the workflows of a repository that call one of ours, by file name."""
    found = []
    for path in sorted((top / ".github" / "workflows").glob("*.y*ml")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for repository, verb, commit, version in CALLED.findall(text):
            inputs = dict(re.findall(r"^ +(root|scripts_ref): *[\"']?([\w./-]+)", text, re.M))
            found.append(
                Caller(
                    file=path.name,
                    verb=verb,
                    repository=repository,
                    commit=commit,
                    version=version,
                    root=inputs.get("root", "").removeprefix("./").rstrip("/").removeprefix("."),
                    scripts_ref=inputs.get("scripts_ref"),
                )
            )
    return found
