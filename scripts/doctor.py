"""Is everything set up? This checkout, the registry, and the repository on GitHub; changes nothing."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from promotion import __version__
from promotion.cli import command_line, handled
from promotion.config import promotion_yaml as config
from promotion.config.model_yaml import read_spec
from promotion.errors import OK as GOOD
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.repo import Repo
from promotion.github.pulls import host_of
from promotion.github.secrets import WORKFLOWS, Names, read_names
from promotion.github.settings import MISSING, OK, UNKNOWN, Diagnosis, repository_checks
from promotion.registry.client import CHAMPION, Registry, tracking_uri
from promotion.text.escape import clean, log_text, without_secrets

OLDEST_GIT = (2, 30)
# uses: OWNER/NAME/.github/workflows/retrain.yml@COMMIT # vX.Y.Z
CALLED = re.compile(
    r"uses: +([\w.-]+/[\w.-]+)/\.github/workflows/(?:retrain|promote|drift|schedule|watch)\.yml@(\S+)(?: +# *(\S+))?"
)


def local_checks(root: Path) -> list[Diagnosis]:
    """Check this checkout: git, its history, promotion.yaml, the models' folders, the workflows."""
    checks = [_git_version()]
    repo = Repo(root)
    try:
        repo.check()
    except PromotionError as error:
        return [*checks, Diagnosis("checkout", MISSING, str(error))]
    if repo.is_shallow():
        checks.append(Diagnosis("history", MISSING, "this clone is shallow", "git fetch --unshallow"))
    else:
        checks.append(Diagnosis("history", OK, "complete"))
    checks.append(release_check(root))
    checks += _promotion_checks(root)
    folder = root / ".github" / "workflows"
    absent = [name for name in WORKFLOWS if not (folder / name).is_file()]
    if absent:
        todo = "copy them from this project's .github/workflows"
        checks.append(Diagnosis("workflows", MISSING, f"not there: {', '.join(absent)}", todo))
    else:
        checks.append(Diagnosis("workflows", OK, ", ".join(WORKFLOWS)))
    if not any((root / place / "CODEOWNERS").is_file() for place in (".github", ".", "docs")):
        todo = "say in .github/CODEOWNERS who guards promotion.yaml, .github and models"
        checks.append(Diagnosis("CODEOWNERS", MISSING, "not there", todo))
    return checks


def release_check(root: Path) -> Diagnosis:
    """Say which release of this project a repository runs: its own scripts', or the one that its workflows call."""
    own = root / "scripts" / "promotion" / "__init__.py"
    if own.is_file():
        found = re.search(r'^__version__ = "([^"]+)"', own.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        release = "before 0.1.0" if found is None else clean(found[1], 40)
        other = "" if release == __version__ else f"; this doctor.py is of {__version__}"
        return Diagnosis("release", OK, f"{release}, the scripts of this checkout{other}")
    called = set()
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        called |= set(CALLED.findall(path.read_text(encoding="utf-8", errors="replace")))
    if not called:
        todo = "copy scripts/, or call this project's workflows (.github/SETUP.md)"
        return Diagnosis("release", MISSING, "neither scripts/promotion here nor a workflow that calls them", todo)
    names = sorted(f"{version or commit[:12]} of {repo}" for repo, commit, version in called)
    if len(called) > 1:
        return Diagnosis(
            "release", MISSING, f"its workflows call {', '.join(names)}", "let all of them call one commit"
        )
    return Diagnosis("release", OK, f"{names[0]}, which its workflows call")


def _git_version() -> Diagnosis:
    try:
        text = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return Diagnosis("git", MISSING, "not installed", "install git")
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        return Diagnosis("git", MISSING, clean(text, 60) or "no version", "install git 2.30 or newer")
    return Diagnosis("git", OK, clean(text.removeprefix("git version "), 40))


def _promotion_checks(root: Path) -> Iterable[Diagnosis]:
    try:
        promotion = config.load(root / config.FILE)
    except PromotionError as error:
        yield from (Diagnosis(config.FILE, MISSING, one.line_text) for one in error.each)
        return
    pinned = sum(entry.champion is not None for entry in promotion.models.values())
    yield Diagnosis(config.FILE, OK, f"{len(promotion.models)} models, {pinned} with a champion")
    for name in promotion.models:
        try:
            read_spec(root / "models" / name)
            yield Diagnosis(f"models/{name}", OK, "model.yaml, data.py, train.py")
        except PromotionError as error:
            yield from (Diagnosis(f"models/{name}", MISSING, one.line_text) for one in error.each)


def registry_checks(uri: str) -> list[Diagnosis]:
    """Check that the registry answers and accepts the credentials; a SQLite file is looked at, never made."""
    name, shown = "registry", without_secrets(uri)
    if uri.startswith("sqlite:"):
        path = uri.removeprefix("sqlite:///")
        if Path(path).is_file():
            return [Diagnosis(name, OK, f"{shown} (a file of this machine: workflows need a server)")]
        return [Diagnosis(name, MISSING, f"no file {path}", "set MLFLOW_TRACKING_URI to your MLflow server")]
    try:
        models = Registry(uri).models()
    except PromotionError as error:
        return [Diagnosis(name, MISSING, clean(without_secrets(error.message), 300))]
    except ImportError:
        return [Diagnosis(name, UNKNOWN, "MLflow is not installed here", "pip install -r requirements/promote.txt")]
    champions = sum(CHAMPION in model.aliases for model in models.values())
    return [Diagnosis(name, OK, f"{shown}: {len(models)} models, {champions} with @{CHAMPION}")]


def github_checks(root: Path, name: str | None, env: Mapping[str, str]) -> list[Diagnosis]:
    """Check the repository's settings on GitHub; without a token or a name there is one `unknown` that says so."""
    host = host_of(Repo(root), env, name=name)
    if host.repo is None:
        return [Diagnosis("GitHub", UNKNOWN, "no repository named", "run again with --hosted OWNER/NAME")]
    if not (env.get("GITHUB_TOKEN") or env.get("GH_TOKEN")):
        todo = (
            "set GITHUB_TOKEN to a token of an administrator with read access to actions, administration, "
            "contents, environments, secrets and variables"
        )
        return [Diagnosis("GitHub", UNKNOWN, f"no token, so {host.repo} was not looked at", todo)]
    if host.github is None:
        todo = "set GITHUB_API_URL (https://api.github.com, or https://HOST/api/v3)"
        return [Diagnosis("GitHub", UNKNOWN, f"no server known for {host.repo}, so the token went nowhere", todo)]
    folder = root / ".github" / "workflows"
    names: dict[str | None, Names] = read_names(folder) if folder.is_dir() else {}
    return repository_checks(host.github, names)


def as_text(checks: list[Diagnosis]) -> str:
    """One line a check, what to do below the ones that are not ok, and a last line that counts."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.state:<8} {check.name:<{width}}  {check.found}")
        if check.todo and check.state != OK:
            lines.append(f"{'':8} {'':{width}}  -> {check.todo}")
    counts = [f"{sum(check.state == state for check in checks)} {state}" for state in (OK, MISSING, UNKNOWN)]
    return log_text("\n".join([*lines, ", ".join(counts)]))


@handled
def main(argv: list[str] | None = None) -> int:
    """Print one line a check; exit 0 where nothing is missing, 1 where something is, 2 for bad input."""
    parser = command_line(
        "Check this checkout, the registry and the repository's settings on GitHub; change nothing.",
        "repo",
        "json",
        epilog="Reads promotion.yaml, .github, MLFLOW_TRACKING_URI and, with GITHUB_TOKEN, GitHub's API. "
        "Exit 0: nothing missing (`unknown` could not be seen); 1: something is missing; 2: bad input.",
    )
    parser.add_argument(
        "--hosted", metavar="OWNER/NAME", help="the repository on GitHub (default: GITHUB_REPOSITORY, else origin's)"
    )
    args = parser.parse_args(argv)
    if not args.repo.is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(args.repo)):
        raise PromotionError(f"--repo is the checkout's folder; say --hosted {args.repo} for the repository on GitHub")
    checks = local_checks(args.repo)
    checks += registry_checks(tracking_uri())
    checks += github_checks(args.repo, args.hosted, os.environ)
    print(json.dumps([asdict(check) for check in checks], indent=2) if args.json else as_text(checks))
    return VERDICT_NO if any(check.state == MISSING for check in checks) else GOOD


if __name__ == "__main__":
    raise SystemExit(main())
