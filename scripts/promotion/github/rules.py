"""What GitHub asks of a branch: rulesets and the older branch protection, read as one."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from promotion.github.client import CONTEXT, GitHub
from promotion.github.errors import GitHubError
from promotion.text.escape import clean


@dataclass
class Branch:
    """What rulesets and branch protection together ask of the default branch; methods None: all three.

    apps: who must post the required check `promotion`, by the id of a GitHub App; empty: anybody may.
    """

    checks: set[str] = field(default_factory=set)
    apps: set[int] = field(default_factory=set)
    strict: bool = False
    queue: str | None = None
    pull_request: bool = False
    owners: bool = False
    force_pushes: bool = True
    methods: set[str] | None = None


def read_branch(github: GitHub, branch: str) -> Branch:
    """Return what rulesets, and the older branch protection where it can be seen, ask of a branch."""
    state = Branch()
    doing = f"read the rules of {clean(branch, 60)}"
    path = quote(branch, safe="")
    for rule in github.settings_list(f"/rules/branches/{path}", key=None, doing=doing, needs="metadata: read"):
        _take_rule(state, rule.get("type"), rule.get("parameters") or {})
    tested = state.strict or state.queue is not None
    reviewed = state.pull_request and state.owners
    complete = CONTEXT in state.checks and bool(state.apps) and tested and reviewed and not state.force_pushes
    try:
        protection = github.settings(f"/branches/{path}/protection", doing=doing, needs="administration: read")
    except GitHubError as error:
        # without that permission rulesets alone may well be enough; if they are not, the rest is unknown
        if error.status != 404 and not complete:
            raise
        return state
    _take_protection(state, protection)
    return state


def _take_rule(state: Branch, kind: str | None, parameters: dict[str, Any]) -> None:
    if kind == "required_status_checks":
        _take_checks(state, parameters.get("required_status_checks") or [], "integration_id")
        state.strict |= bool(parameters.get("strict_required_status_checks_policy"))
    elif kind == "pull_request":
        state.pull_request = True
        state.owners |= bool(parameters.get("require_code_owner_review"))
        methods = parameters.get("allowed_merge_methods")
        if methods:
            state.methods = set(methods) if state.methods is None else state.methods & set(methods)
    elif kind == "merge_queue":
        state.queue = str(parameters.get("merge_method") or "MERGE")
    elif kind == "non_fast_forward":
        state.force_pushes = False


def _take_checks(state: Branch, checks: list[dict[str, Any]], source: str) -> None:
    """Take required checks; `source`: the key that says which app must post one (absent, null or -1: any)."""
    state.checks |= {str(check.get("context")) for check in checks}
    ids = [check.get(source) for check in checks if check.get("context") == CONTEXT]
    state.apps |= {one for one in ids if isinstance(one, int) and one > 0}


def _take_protection(state: Branch, protection: dict[str, Any]) -> None:
    required = protection.get("required_status_checks") or {}
    state.checks |= set(required.get("contexts") or [])
    _take_checks(state, required.get("checks") or [], "app_id")
    state.strict |= bool(required.get("strict"))
    reviews = protection.get("required_pull_request_reviews")
    if reviews is not None:
        state.pull_request = True
        state.owners |= bool(reviews.get("require_code_owner_reviews"))
    if not (protection.get("allow_force_pushes") or {}).get("enabled"):
        state.force_pushes = False
