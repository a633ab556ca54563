"""A repository's settings against what the invariant needs: read through GitHub's API; mend.py changes them."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from promotion.github.client import CONTEXT, GitHub
from promotion.github.errors import GitHubError
from promotion.github.rules import Branch, read_branch
from promotion.github.secrets import NOTHING, WORKFLOWS, Names, lacking
from promotion.text.escape import clean

PRODUCTION = "production"
ACTIONS_APP = 15368  # GitHub Actions on github.com, as rulesets and branch protection name it
OK, MISSING, UNKNOWN = "ok", "missing", "unknown"
REPO_METHODS = {"squash": "allow_squash_merge", "merge": "allow_merge_commit", "rebase": "allow_rebase_merge"}


@dataclass(frozen=True)
class Diagnosis:
    """One line of doctor.py. state: ok, missing, or unknown (it could not be seen); todo: what to do about it."""

    name: str
    state: str
    found: str
    todo: str = ""


def repository_checks(
    github: GitHub, names: dict[str | None, Names], workflows: tuple[str, ...] = WORKFLOWS
) -> list[Diagnosis]:
    """Return every check of a repository's settings; names: what the workflows read, by environment (None: no one).

    workflows: the files that must be there and active.

    Raises GitHubError only where the token or the repository's name is wrong.
    """
    repo = github.settings("", doing=f"read the repository {github.repo}", needs="metadata: read")
    branch = repo.get("default_branch") or "main"
    checks = _issues(repo)
    own = github.api_url.rstrip("/").endswith("/api/v3")  # GitHub Enterprise Server
    parts: dict[str, Callable[[GitHub], Iterable[Diagnosis]]] = {
        "actions": _actions,
        "workflow token": _opens_pulls,
        "code owners": _owners,
        "workflows on GitHub": functools.partial(_active, workflows=workflows),
    }
    for name, look in parts.items():
        checks += _seen(name, functools.partial(look, github))
    checks += _seen(
        f"rules of {branch}", lambda: _branch_checks(repo, branch, read_branch(github, branch), enterprise=own)
    )
    checks += _seen(f"environment {PRODUCTION}", lambda: _environment(github, branch))
    for environment, wanted in sorted(names.items(), key=lambda item: item[0] or ""):
        scope = f"environment {environment}" if environment else "repository"
        checks += _seen(f"secrets of the {scope}", functools.partial(_names, github, environment, wanted))
    return checks


def _seen(name: str, look: Callable[[], Iterable[Diagnosis]]) -> list[Diagnosis]:
    """The checks, or one that says why they cannot be made."""
    try:
        return list(look())
    except GitHubError as error:
        return [Diagnosis(name, UNKNOWN, clean(error.message, 250))]


def _merge_methods(repo: dict[str, Any], rules: Branch) -> Diagnosis:
    """Rebase merging takes a pin apart from its code: neither the repository nor the branch's rules may allow it."""
    name = "merge methods"
    by_rules = {rules.queue.lower()} if rules.queue else rules.methods
    by_repo = {method for method in ("squash", "merge", "rebase") if repo.get(REPO_METHODS[method])}
    if by_rules is None and any(repo.get(key) is None for key in REPO_METHODS.values()):
        return Diagnosis(name, UNKNOWN, "visible only to an account with write access")
    allowed = by_repo if by_rules is None else by_rules & by_repo or by_rules
    listed = ", ".join(sorted(clean(method, 20) for method in allowed)) or "none"
    if "rebase" in allowed or not allowed:
        todo = "Settings > General > Pull Requests: allow squash or merge commits, forbid rebase merging"
        return Diagnosis(name, MISSING, f"allowed: {listed}", todo)
    return Diagnosis(name, OK, listed)


def _issues(repo: dict[str, Any]) -> list[Diagnosis]:
    if repo.get("has_issues") is False:
        return [
            Diagnosis(
                "issues", MISSING, "switched off", "Settings > General > Features: Issues, where drift is reported"
            )
        ]
    return [Diagnosis("issues", OK, "on")]


def _actions(github: GitHub) -> Iterable[Diagnosis]:
    found = github.settings("/actions/permissions", doing="read whether Actions are on", needs="administration: read")
    if not found.get("enabled"):
        todo = "Settings > Actions > General: allow actions"
        yield Diagnosis("actions", MISSING, "switched off", todo)
    else:
        yield Diagnosis("actions", OK, f"on, {found.get('allowed_actions', 'all')} allowed")


def _opens_pulls(github: GitHub) -> Iterable[Diagnosis]:
    doing = "read the workflow token's permissions"
    found = github.settings("/actions/permissions/workflow", doing=doing, needs="administration: read")
    if found.get("can_approve_pull_request_reviews"):
        yield Diagnosis("workflow token", OK, "may open pull requests")
    else:
        todo = (
            "Settings > Actions > General: tick `Allow GitHub Actions to create and approve pull requests`, "
            "or give schedule.yml a GitHub App's token"
        )
        yield Diagnosis("workflow token", MISSING, "may not open pull requests", todo)
    if found.get("default_workflow_permissions") == "read":
        yield Diagnosis("workflow token's default", OK, "read")
    else:
        todo = "Settings > Actions > General > Workflow permissions: read; each job asks for what it needs"
        yield Diagnosis("workflow token's default", MISSING, "write", todo)


def _owners(github: GitHub) -> Iterable[Diagnosis]:
    try:
        doing = "read the errors of CODEOWNERS"
        found = github.settings("/codeowners/errors", doing=doing, needs="contents: read").get("errors") or []
    except GitHubError as error:
        if error.status != 404:
            raise
        yield Diagnosis("code owners", MISSING, "no CODEOWNERS on the default branch", "merge .github/CODEOWNERS")
        return
    if found:
        first = found[0]
        place = f"{clean(str(first.get('path')), 60)}:{first.get('line')}: {clean(str(first.get('kind')), 60)}"
        yield Diagnosis(
            "code owners", MISSING, f"{len(found)} errors, first {place}", "name people or teams that may write"
        )
    else:
        yield Diagnosis("code owners", OK, "no errors")


def _active(github: GitHub, *, workflows: tuple[str, ...]) -> Iterable[Diagnosis]:
    doing = "list the workflows"
    found = github.settings_list("/actions/workflows", key="workflows", doing=doing, needs="actions: read")
    states = {str(item.get("path")).rsplit("/", 1)[-1]: item.get("state") for item in found}
    name = "workflows on GitHub"
    absent = [workflow for workflow in workflows if workflow not in states]
    asleep = [workflow for workflow in workflows if states.get(workflow, "active") != "active"]
    if absent:
        yield Diagnosis(
            name, MISSING, f"not there: {', '.join(absent)}", "push .github/workflows to the default branch"
        )
    elif asleep:
        todo = "Actions tab: enable them (GitHub switches schedules off after 60 idle days)"
        yield Diagnosis(name, MISSING, f"not active: {', '.join(asleep)}", todo)
    else:
        yield Diagnosis(name, OK, "active")


def _branch_checks(repo: dict[str, Any], branch: str, state: Branch, *, enterprise: bool) -> Iterable[Diagnosis]:
    where = f"Settings > Rules > Rulesets, a ruleset on {branch}"

    def check(name: str, ok: bool, good: str, bad: str, todo: str) -> Diagnosis:
        return Diagnosis(name, OK, good) if ok else Diagnosis(name, MISSING, bad, f"{where}: {todo}")

    listed = ", ".join(sorted(clean(str(context), 40) for context in state.checks)) or "none"
    yield check(
        "required check",
        CONTEXT in state.checks,
        f"`{CONTEXT}`",
        f"required now: {listed}",
        f"require the check `{CONTEXT}`",
    )
    # with any source, whoever may write statuses (an app, a token) can post it; elsewhere than github.com ids differ
    actions = bool(state.apps) if enterprise else state.apps == {ACTIONS_APP}
    yield check(
        "required check's source",
        actions,
        "GitHub Actions" if not enterprise else "one app",
        f"app {', '.join(map(str, sorted(state.apps)))}" if state.apps else "anybody may post it",
        f"choose GitHub Actions as the source of the check `{CONTEXT}`",
    )
    yield check(
        "pull requests only", state.pull_request, "required", "direct pushes are possible", "require a pull request"
    )
    yield check(
        "up to date",
        state.strict or state.queue is not None,
        "branches must be up to date" if state.queue is None else "merge queue",
        "two pull requests can be merged without having been tested together",
        "require branches to be up to date, or a merge queue",
    )
    yield _merge_methods(repo, state)
    todo = "require a review from code owners (promotion.yaml, .github, models)"
    yield check("review by code owners", state.owners, "required", "not required", todo)
    yield check(
        "no force pushes", not state.force_pushes, "blocked", "allowed", "block force pushes: history is the ledger"
    )


def _environment(github: GitHub, branch: str) -> Iterable[Diagnosis]:
    name = f"environment {PRODUCTION}"
    try:
        found = github.settings(f"/environments/{PRODUCTION}", doing=f"read the {name}", needs="actions: read")
    except GitHubError as error:
        if error.status != 404:
            raise
        todo = (
            f"Settings > Environments: make `{PRODUCTION}`, restrict it to {branch}, put the production secrets there"
        )
        yield Diagnosis(name, MISSING, "there is none", todo)
        return
    policy = found.get("deployment_branch_policy")
    rules = sorted(
        {clean(str(rule.get("type")), 40) for rule in found.get("protection_rules") or []} - {"branch_policy"}
    )
    todo = f"Settings > Environments > {PRODUCTION} > Deployment branches: only {branch}"
    if policy is None:
        yield Diagnosis(name, MISSING, "any branch may use it", todo)
        return
    if policy.get("protected_branches"):
        yield Diagnosis(name, OK, f"protected branches only; {', '.join(rules) or 'no reviewers'}")
        return
    path = f"/environments/{PRODUCTION}/deployment-branch-policies"
    listed = github.settings_list(
        path, key="branch_policies", doing=f"read the branches of {name}", needs="actions: read"
    )
    branches = [clean(str(item.get("name")), 60) for item in listed]
    if branches == [branch]:
        yield Diagnosis(name, OK, f"only {branch}; {', '.join(rules) or 'no reviewers'}")
    else:
        yield Diagnosis(name, MISSING, f"open to {', '.join(branches) or 'no branch'}", todo)


def _names(github: GitHub, environment: str | None, wanted: Names) -> Iterable[Diagnosis]:
    scope = f"environment {environment}" if environment else "repository"
    own = _listed(github, f"/environments/{quote(environment, safe='')}" if environment else "/actions", scope)
    shared = NOTHING if environment is None else _listed(github, "/actions", "repository")
    shared |= _listed(github, "/actions/organization-", "organisation")
    missing, optional = lacking(wanted, own | shared)
    name = f"secrets of the {scope}"
    where = f"Settings > Environments > {environment}" if environment else "Settings > Secrets and variables > Actions"
    if missing:
        yield Diagnosis(name, MISSING, f"not set: {'; '.join(missing)}", f"{where}: add them")
    elif environment is not None and wanted.secrets and not own.secrets & wanted.secrets:
        todo = f"{where}: give it its own, so that only {PRODUCTION} can move @champion"
        yield Diagnosis(name, MISSING, "it has none of its own and uses the repository's", todo)
    else:
        more = f"; not set, optional: {', '.join(optional)}" if optional else ""
        seen = sorted((own | shared).secrets & wanted.secrets | (own | shared).variables & wanted.variables)
        yield Diagnosis(name, OK, f"{', '.join(seen) or 'none needed'}{more}")


def _listed(github: GitHub, path: str, scope: str) -> Names:
    """The names (never values) of secrets and variables."""
    joint = "" if path.endswith("-") else "/"
    kind = "environments" if path.startswith("/environments") else None
    lists = []
    for what in ("secrets", "variables"):
        doing = f"list the {what} of the {scope}"
        items = github.settings_list(f"{path}{joint}{what}", key=what, doing=doing, needs=f"{kind or what}: read")
        lists.append(frozenset(str(item.get("name")) for item in items))
    return Names(*lists)
