"""The settings that the API can make: each as a step that says what it sets, for the checks that found it missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from promotion.errors import PromotionError
from promotion.github.client import CONTEXT, GitHub
from promotion.github.settings import MISSING, PRODUCTION, Diagnosis

RULESET = "promotion"
RULES = (
    "required check",
    "required check's source",
    "pull requests only",
    "up to date",
    "review by code owners",
    "no force pushes",
)
ADMIN = "administration: write"


@dataclass(frozen=True)
class Step:
    """One change of a setting. says: what it sets; run: makes it."""

    says: str
    run: Callable[[], Any]


def steps(github: GitHub, checks: Sequence[Diagnosis]) -> list[Step]:
    """Return what would make the missing settings; nothing is changed yet. () where none of them can be made so."""
    missing = {check.name for check in checks if check.state == MISSING}
    repo = github.settings("", doing=f"read the repository {github.repo}", needs="metadata: read")
    branch = str(repo.get("default_branch") or "main")
    found = []
    if "issues" in missing:
        found.append(Step("issues: on", lambda: _send(github, "PATCH", "", {"has_issues": True}, "switch issues on")))
    if "actions" in missing:
        on = {"enabled": True, "allowed_actions": "all"}
        found.append(Step("actions: on", lambda: _send(github, "PUT", "/actions/permissions", on, "switch Actions on")))
    if missing & {"workflow token", "workflow token's default"}:
        token = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True}
        text = "the workflows' own token: reads by default, and may open pull requests"
        path = "/actions/permissions/workflow"
        found.append(Step(text, lambda: _send(github, "PUT", path, token, "set the workflow permissions")))
    if "merge methods" in missing:
        methods = {"allow_rebase_merge": False}
        if not (repo.get("allow_squash_merge") or repo.get("allow_merge_commit")):
            methods["allow_squash_merge"] = True
        text = "merge methods: squash or merge commits, no rebase merge"
        found.append(Step(text, lambda: _send(github, "PATCH", "", methods, "set the merge methods")))
    if missing & {*RULES, "merge methods"}:
        text = (
            f"a ruleset `{RULESET}` on {branch}: a pull request with review by code owners, up to date; the check "
            f"`{CONTEXT}` from GitHub Actions; squash or merge commits; no force pushes"
        )
        found.append(Step(text, lambda: _ruleset(github)))
    if f"environment {PRODUCTION}" in missing:
        text = f"the environment `{PRODUCTION}`: only {branch} may use it"
        found.append(Step(text, lambda: _environment(github, branch)))
    return found


def _send(github: GitHub, method: str, path: str, body: dict[str, Any] | None, doing: str) -> Any:
    content: dict[str, Any] = {} if body is None else {"json": body}
    return github.request(method, f"/repos/{github.repo}{path}", doing=doing, needs=ADMIN, **content)


def _ruleset(github: GitHub) -> None:
    """Make the ruleset, or bring the one of its name up to date; other rulesets stay, and count beside it."""
    actions = github.request("GET", "/apps/github-actions", doing="look the app of GitHub Actions up")
    if not isinstance(actions, dict) or not isinstance(actions.get("id"), int):
        raise PromotionError("this server does not say which app GitHub Actions is; make the ruleset by hand")
    rules: list[dict[str, Any]] = [
        {
            "type": "pull_request",
            "parameters": {
                "allowed_merge_methods": ["squash", "merge"],
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": True,
                "require_last_push_approval": False,
                "required_approving_review_count": 0,
                "required_review_thread_resolution": False,
            },
        },
        {
            "type": "required_status_checks",
            "parameters": {
                "required_status_checks": [{"context": CONTEXT, "integration_id": actions["id"]}],
                "strict_required_status_checks_policy": True,
            },
        },
        {"type": "non_fast_forward"},
    ]
    body = {
        "name": RULESET,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": rules,
    }
    doing = f"make the ruleset {RULESET}"
    known = github.settings_list("/rulesets", key=None, doing="list the rulesets", needs="metadata: read")
    own = next((one["id"] for one in known if one.get("name") == RULESET and one.get("target") == "branch"), None)
    if own is None:
        _send(github, "POST", "/rulesets", body, doing)
    else:
        _send(github, "PUT", f"/rulesets/{own}", body, doing)


def _environment(github: GitHub, branch: str) -> None:
    """Make the environment, or restrict the one that is there to the branch; who reviews it stays as it was."""
    path, doing = f"/environments/{PRODUCTION}", f"make the environment {PRODUCTION}"
    known = github.settings_list("/environments", key="environments", doing=doing, needs="actions: read")
    there: dict[str, Any] = next((one for one in known if one.get("name") == PRODUCTION), {})
    body: dict[str, Any] = {
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
        **_kept(there.get("protection_rules") or []),
    }
    _send(github, "PUT", path, body, doing)
    policies = github.settings_list(
        f"{path}/deployment-branch-policies", key="branch_policies", doing=doing, needs="actions: read"
    )
    for one in policies:
        if one.get("name") != branch:
            _send(github, "DELETE", f"{path}/deployment-branch-policies/{one['id']}", None, doing)
    if branch not in [one.get("name") for one in policies]:
        _send(github, "POST", f"{path}/deployment-branch-policies", {"name": branch, "type": "branch"}, doing)


def _kept(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """What an update of an environment has to repeat so that it stays: reviewers and the wait."""
    kept: dict[str, Any] = {}
    for rule in rules:
        if rule.get("type") == "wait_timer":
            kept["wait_timer"] = rule.get("wait_timer")
        if rule.get("type") == "required_reviewers":
            people = [(one.get("type"), (one.get("reviewer") or {}).get("id")) for one in rule.get("reviewers") or []]
            kept["reviewers"] = [{"type": kind, "id": number} for kind, number in people]
            kept["prevent_self_review"] = bool(rule.get("prevent_self_review"))
    return kept
