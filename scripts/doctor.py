"""Is everything set up? This checkout, the registry, and the repository on GitHub; changes nothing."""

import argparse
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from promotion.cli import handled
from promotion.config import promotion_yaml as config
from promotion.config.model_yaml import read_spec
from promotion.errors import OK as GOOD
from promotion.errors import VERDICT_NO, PromotionError
from promotion.git.repo import Repo
from promotion.github.client import GitHub
from promotion.github.secrets import WORKFLOWS, Names, read_names
from promotion.github.settings import MISSING, OK, UNKNOWN, Check, repository_checks
from promotion.registry.client import CHAMPION, Registry, tracking_uri
from promotion.text.escape import clean, log_text, without_secrets

OLDEST_GIT = (2, 30)
ORIGIN = re.compile(r"(?:https://|ssh://git@|git@)[^/:]+[/:](?P<repo>[A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?")


def local_checks(root: Path) -> list[Check]:
    """Check this checkout: git, its history, promotion.yaml, the models' folders, the workflows."""
    checks = [_git_version()]
    repo = Repo(root)
    try:
        repo.check()
    except PromotionError as error:
        return [*checks, Check("checkout", MISSING, str(error))]
    if repo.is_shallow():
        checks.append(Check("history", MISSING, "this clone is shallow", "git fetch --unshallow"))
    else:
        checks.append(Check("history", OK, "complete"))
    checks += _promotion_checks(root)
    folder = root / ".github" / "workflows"
    absent = [name for name in WORKFLOWS if not (folder / name).is_file()]
    if absent:
        todo = "copy them from this project's .github/workflows"
        checks.append(Check("workflows", MISSING, f"not there: {', '.join(absent)}", todo))
    else:
        checks.append(Check("workflows", OK, ", ".join(WORKFLOWS)))
    if not any((root / place / "CODEOWNERS").is_file() for place in (".github", ".", "docs")):
        todo = "say in .github/CODEOWNERS who guards promotion.yaml, .github and data.py"
        checks.append(Check("CODEOWNERS", MISSING, "not there", todo))
    return checks


def _git_version() -> Check:
    try:
        text = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return Check("git", MISSING, "not installed", "install git")
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        return Check("git", MISSING, clean(text, 60) or "no version", "install git 2.30 or newer")
    return Check("git", OK, clean(text.removeprefix("git version "), 40))


def _promotion_checks(root: Path) -> Iterable[Check]:
    try:
        promotion = config.load(root / config.FILE)
    except PromotionError as error:
        yield Check(config.FILE, MISSING, str(error))
        return
    pinned = sum(entry.champion is not None for entry in promotion.models.values())
    yield Check(config.FILE, OK, f"{len(promotion.models)} models, {pinned} with a champion")
    for name in promotion.models:
        try:
            read_spec(root / "models" / name)
            yield Check(f"models/{name}", OK, "model.yaml, data.py, train.py")
        except PromotionError as error:
            yield Check(f"models/{name}", MISSING, str(error))


def registry_checks(uri: str) -> list[Check]:
    """Check that the registry answers and accepts the credentials; a SQLite file is looked at, never made."""
    name, shown = "registry", without_secrets(uri)
    if uri.startswith("sqlite:"):
        path = uri.removeprefix("sqlite:///")
        if Path(path).is_file():
            return [Check(name, OK, f"{shown} (a file of this machine: workflows need a server)")]
        return [Check(name, MISSING, f"no file {path}", "set MLFLOW_TRACKING_URI to your MLflow server")]
    try:
        models = Registry(uri).models()
    except PromotionError as error:
        return [Check(name, MISSING, clean(without_secrets(error.message), 300))]
    except ImportError:
        return [Check(name, UNKNOWN, "MLflow is not installed here", "pip install -r requirements/promote.txt")]
    champions = sum(CHAMPION in model.aliases for model in models.values())
    return [Check(name, OK, f"{shown}: {len(models)} models, {champions} with @{CHAMPION}")]


def github_checks(root: Path, repo: str | None, env: Mapping[str, str]) -> list[Check]:
    """Check the repository's settings on GitHub; without a token or a name there is one `unknown` that says so."""
    name = repo or env.get("GITHUB_REPOSITORY") or _origin(root)
    if not name:
        return [Check("GitHub", UNKNOWN, "no repository named", "run again with --repo OWNER/NAME")]
    github = GitHub.from_environment(env, repo=name)
    if not (env.get("GITHUB_TOKEN") or env.get("GH_TOKEN")):
        todo = (
            "set GITHUB_TOKEN to a token of an administrator with read access to actions, administration, "
            "contents, environments, secrets and variables"
        )
        return [Check("GitHub", UNKNOWN, f"no token, so {name} was not looked at", todo)]
    folder = root / ".github" / "workflows"
    names: dict[str | None, Names] = read_names(folder) if folder.is_dir() else {}
    return repository_checks(github, names)


def _origin(root: Path) -> str | None:
    """OWNER/NAME of the checkout's `origin`, or None."""
    try:
        url = Repo(root).git("remote", "get-url", "origin").strip()
    except PromotionError:
        return None
    found = ORIGIN.fullmatch(url)
    return found["repo"] if found else None


def table(checks: list[Check]) -> str:
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
    parser = argparse.ArgumentParser(
        description="Check this checkout, the registry and the repository's settings on GitHub; change nothing.",
        epilog="Reads promotion.yaml, .github, MLFLOW_TRACKING_URI and, with GITHUB_TOKEN, GitHub's API. "
        "Exit 0: nothing missing (`unknown` could not be seen); 1: something is missing; 2: bad input.",
    )
    parser.add_argument(
        "--repo", metavar="OWNER/NAME", help="default: GITHUB_REPOSITORY, else the origin of the checkout"
    )
    parser.add_argument("--root", type=Path, default=Path("."), help="the checkout (default: the current folder)")
    args = parser.parse_args(argv)
    checks = local_checks(args.root)
    checks += registry_checks(tracking_uri())
    checks += github_checks(args.root, args.repo, os.environ)
    print(table(checks))
    return VERDICT_NO if any(check.state == MISSING for check in checks) else GOOD


if __name__ == "__main__":
    raise SystemExit(main())
