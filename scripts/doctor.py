"""Is everything set up? This checkout, the registry, and the repository on GitHub; changes only what --fix shows."""

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
from promotion.git.whose import PROJECT
from promotion.github.mend import steps
from promotion.github.pulls import Host, host_of
from promotion.github.secrets import WORKFLOWS, Names, read_names
from promotion.github.settings import MISSING, OK, UNKNOWN, Diagnosis, repository_checks
from promotion.registry.client import CHAMPION, Registry, tracking_uri
from promotion.setup.callers import VERBS, callers
from promotion.text.escape import clean, log_text, without_secrets

OLDEST_GIT = (2, 30)
PLACEHOLDER = re.compile(r"@your-org/[\w-]+")


def local_checks(repo: Repo) -> list[Diagnosis]:
    """Check this checkout: git, its history, promotion.yaml, the models' folders, the workflows."""
    checks = [_git_version()]
    try:
        repo.check()
    except PromotionError as error:
        return [*checks, Diagnosis("checkout", MISSING, str(error))]
    if repo.is_shallow():
        checks.append(Diagnosis("history", MISSING, "this clone is shallow", "git fetch --unshallow"))
    else:
        checks.append(Diagnosis("history", OK, "complete"))
    top = repo.top.path
    checks.append(release_check(top))
    checks += _promotion_checks(repo)
    checks += _workflows(repo)
    checks += _owners(top)
    return checks


def _workflows(repo: Repo) -> Iterable[Diagnosis]:
    """The workflows, or their callers, and what of them would be red on the first push."""
    name, folder, called = "workflows", repo.top.path / ".github" / "workflows", callers(repo.top.path)
    if called:
        folder_here = repo.prefix.rstrip("/")
        wrong = [f"{one.file} promotes `{one.root or '.'}`" for one in called if one.root != folder_here]
        wrong += [
            f"{one.file} calls {one.commit[:12]} with scripts_ref {one.scripts_ref[:12]}"
            for one in called
            if one.scripts_ref not in (None, one.commit)
        ]
        absent = [verb for verb in VERBS if verb not in {one.verb for one in called}]
        if wrong:
            todo = "let `root` name the folder of promotion.yaml, and `scripts_ref` the commit of `uses`"
            yield Diagnosis(name, MISSING, "; ".join(wrong), todo)
        elif absent:
            todo = "run init.py again: it writes those that are not there"
            yield Diagnosis(name, MISSING, f"nothing calls {', '.join(absent)}", todo)
        else:
            yield Diagnosis(name, OK, ", ".join(one.file for one in called))
        return
    absent = [one for one in WORKFLOWS if not (folder / one).is_file()]
    if absent:
        todo = "run init.py, which writes workflows that call this project's, or copy these"
        yield Diagnosis(name, MISSING, f"not there: {', '.join(absent)}", todo)
        return
    yield Diagnosis(name, OK, ", ".join(WORKFLOWS))
    makefile = repo.top.path / "Makefile"
    if "make " in (folder / "ci.yml").read_text(encoding="utf-8", errors="replace") and not makefile.is_file():
        todo = "copy the Makefile and tests/ too, or write a ci.yml of your own"
        yield Diagnosis("ci.yml", MISSING, "it runs `make`, and there is no Makefile: red on the first push", todo)


def _owners(top: Path) -> Iterable[Diagnosis]:
    name = "CODEOWNERS"
    places = [place for place in (".github", ".", "docs") if (top / place / name).is_file()]
    if not places:
        todo = "say in .github/CODEOWNERS who guards promotion.yaml, .github and models"
        yield Diagnosis(name, MISSING, "not there", todo)
        return
    text = (top / places[0] / name).read_text(encoding="utf-8", errors="replace")
    nobody = PLACEHOLDER.search("\n".join(line.partition("#")[0] for line in text.splitlines()))
    if nobody is not None:
        yield Diagnosis(name, MISSING, f"it names {nobody[0]}, which is nobody", "put your own teams or people there")


def release_check(root: Path) -> Diagnosis:
    """Say which release of this project a repository runs: its own scripts', or the one that its workflows call."""
    own = root / "scripts" / "promotion" / "__init__.py"
    if own.is_file():
        found = re.search(r'^__version__ = "([^"]+)"', own.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        release = "before 0.1.0" if found is None else clean(found[1], 40)
        other = "" if release == __version__ else f"; this doctor.py is of {__version__}"
        return Diagnosis("release", OK, f"{release}, the scripts of this checkout{other}")
    called = {(one.repository, one.commit, one.version) for one in callers(root)}
    if not called:
        todo = "run init.py, which writes workflows that call this project's (.github/SETUP.md)"
        return Diagnosis("release", MISSING, "neither scripts/promotion here nor a workflow that calls them", todo)
    if len(called) > 1:
        names = sorted(f"{version or 'no release'} of {repo} at {commit[:12]}" for repo, commit, version in called)
        return Diagnosis(
            "release", MISSING, f"its workflows call {', '.join(names)}", "let all of them call one commit"
        )
    repo, commit, version = called.pop()
    return Diagnosis("release", OK, f"{version or commit[:12]} of {repo}, which its workflows call")


def _git_version() -> Diagnosis:
    try:
        text = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return Diagnosis("git", MISSING, "not installed", "install git")
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        return Diagnosis("git", MISSING, clean(text, 60) or "no version", "install git 2.30 or newer")
    return Diagnosis("git", OK, clean(text.removeprefix("git version "), 40))


def _promotion_checks(repo: Repo) -> Iterable[Diagnosis]:
    root = repo.here
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


def github_checks(repo: Repo, host: Host, env: Mapping[str, str]) -> list[Diagnosis]:
    """Check the repository's settings on GitHub; without a token or a name there is one `unknown` that says so."""
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
    folder, called = repo.top.path / ".github" / "workflows", callers(repo.top.path)
    names: dict[str | None, Names] = {}
    if called or folder.is_dir():  # a caller hands on what the called workflow reads
        names = read_names(PROJECT / ".github" / "workflows" if called else folder)
    return repository_checks(host.github, names, tuple(one.file for one in called) or WORKFLOWS)


def mend(host: Host, checks: list[Diagnosis]) -> bool:
    """Make what the API allows of what is missing, each thing said first; return whether there was anything."""
    if host.github is None:
        raise PromotionError("--fix needs GITHUB_TOKEN: a token that may administer the repository")
    todo = steps(host.github, checks)
    for step in todo:
        print(log_text(f"setting {step.says}"), flush=True)
        step.run()
    print("nothing that the API can make is missing" if not todo else "", flush=True)
    return bool(todo)


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
        "Check this checkout, the registry and the repository's settings on GitHub.",
        "repo",
        "json",
        epilog="Reads promotion.yaml, .github, MLFLOW_TRACKING_URI and, with GITHUB_TOKEN, GitHub's API. "
        "Exit 0: nothing missing (`unknown` could not be seen); 1: something is missing; 2: bad input.",
    )
    parser.add_argument(
        "--hosted", metavar="OWNER/NAME", help="the repository on GitHub (default: GITHUB_REPOSITORY, else origin's)"
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="make the settings that are missing and that the API can make; each is said before it is made",
    )
    args = parser.parse_args(argv)
    if not args.repo.is_dir() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(args.repo)):
        raise PromotionError(f"--repo is the checkout's folder; say --hosted {args.repo} for the repository on GitHub")
    repo = Repo(args.repo, args.root)
    here = [*local_checks(repo), *registry_checks(tracking_uri())]
    host = host_of(repo, os.environ, name=args.hosted)
    checks = [*here, *github_checks(repo, host, os.environ)]
    if args.fix and mend(host, checks):
        checks = [*here, *github_checks(repo, host, os.environ)]
    print(json.dumps([asdict(check) for check in checks], indent=2) if args.json else as_text(checks))
    return VERDICT_NO if any(check.state == MISSING for check in checks) else GOOD


if __name__ == "__main__":
    raise SystemExit(main())
