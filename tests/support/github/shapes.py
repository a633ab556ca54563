"""How GitHub shows users, pull requests, comments and so on: the fields that matter, named and typed as described."""

import hashlib
from typing import Any

WHEN = "2026-01-02T03:04:05Z"
WEB = "https://github.com"


def user(login: str) -> dict[str, Any]:
    """A user or a bot."""
    number = int(hashlib.sha256(login.encode()).hexdigest()[:6], 16) + 1
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "id": number, "type": kind, "html_url": f"{WEB}/{login}", "site_admin": False}


def label(name: str) -> dict[str, Any]:
    """A label."""
    return {"id": 1, "name": name, "color": "ededed", "default": False, "description": None}


def owner_of(side: dict[str, Any]) -> str:
    """The owner of a pull request's head or base."""
    return side["label"].split(":")[0]


def pull(entry: dict[str, Any], repo: str) -> dict[str, Any]:
    """A pull request."""
    closed = entry["state"] == "closed"
    return {
        "id": 5_000_000 + entry["number"],
        "number": entry["number"],
        "state": entry["state"],
        "locked": False,
        "title": entry["title"],
        "user": user(entry["user"]),
        "body": entry["body"],
        "labels": [{"id": 1, "name": name, "color": "ededed"} for name in entry["labels"]],
        "draft": entry["draft"],
        "created_at": WHEN,
        "updated_at": WHEN,
        "closed_at": WHEN if closed else None,
        "merged_at": WHEN if entry["merged"] else None,
        "merge_commit_sha": entry.get("merge_commit_sha"),
        "html_url": f"{WEB}/{repo}/pull/{entry['number']}",
        "head": _side(entry["head_ref"], entry["head_sha"], entry["head_repo"]),
        "base": _side(entry["base_ref"], entry["base_sha"], repo),
        "author_association": "CONTRIBUTOR",
    }


def review(entry: dict[str, Any]) -> dict[str, Any]:
    """A review of a pull request."""
    return {
        "id": entry["id"],
        "user": user(entry["user"]),
        "body": "",
        "state": entry["state"],
        "submitted_at": WHEN,
        "commit_id": entry["commit"],
    }


def _side(ref: str, sha: str, repo: str | None) -> dict[str, Any]:
    shown = None
    if repo is not None:
        shown = {"id": 7, "name": repo.split("/")[1], "full_name": repo, "default_branch": "main", "private": True}
    owner = "unknown" if repo is None else repo.split("/")[0]
    return {"label": f"{owner}:{ref}", "ref": ref, "sha": sha, "user": user(owner), "repo": shown}


def comment(entry: dict[str, Any], repo: str) -> dict[str, Any]:
    """A comment of an issue or a pull request."""
    return {
        "id": entry["id"],
        "body": entry["body"],
        "user": None if entry["user"] is None else user(entry["user"]),
        "created_at": WHEN,
        "updated_at": WHEN,
        "html_url": f"{WEB}/{repo}/pull/{entry['issue']}#issuecomment-{entry['id']}",
        "issue_url": f"https://api.github.com/repos/{repo}/issues/{entry['issue']}",
        "author_association": "NONE",
    }


def status(entry: dict[str, Any]) -> dict[str, Any]:
    """A commit status."""
    shown = {key: entry[key] for key in ("id", "state", "context", "description", "target_url")}
    return shown | {"created_at": WHEN, "updated_at": WHEN, "creator": user(entry["user"])}


def run(entry: dict[str, Any], repo: str) -> dict[str, Any]:
    """A workflow run."""
    return {
        "id": entry["id"],
        "name": entry["workflow"],
        "head_branch": entry.get("head_branch", "main"),
        "head_sha": entry.get("head_sha", "a" * 40),
        "event": entry.get("event", "workflow_dispatch"),
        "status": entry.get("status", "completed"),
        "conclusion": entry.get("conclusion"),
        "html_url": f"{WEB}/{repo}/actions/runs/{entry['id']}",
        "created_at": WHEN,
        "updated_at": WHEN,
    }


def issue(entry: dict[str, Any], repo: str) -> dict[str, Any]:
    """An issue."""
    return {
        "id": 6_000_000 + entry["number"],
        "number": entry["number"],
        "title": entry["title"],
        "body": entry["body"],
        "state": entry["state"],
        "state_reason": entry.get("state_reason"),
        "user": user(entry["user"]),
        "labels": [label(name) for name in entry["labels"]],
        "html_url": f"{WEB}/{repo}/issues/{entry['number']}",
        "created_at": WHEN,
        "updated_at": WHEN,
    }


def pull_as_issue(entry: dict[str, Any], repo: str) -> dict[str, Any]:
    """A pull request as the list of issues shows it."""
    address = f"https://api.github.com/repos/{repo}/pulls/{entry['number']}"
    links = {"url": address, "html_url": address, "diff_url": address + ".diff", "patch_url": address + ".patch"}
    return issue(entry, repo) | {"pull_request": links}


def rules(
    *,
    checks: tuple[str, ...] = ("promotion",),
    strict: bool = True,
    queue: bool = False,
    app: int | None = 15368,
) -> list[dict[str, Any]]:
    """The rules of a ruleset on main; app: who must post the checks (None: anybody)."""
    source = {} if app is None else {"integration_id": app}
    found = [
        {
            "type": "required_status_checks",
            "parameters": {
                "required_status_checks": [{"context": context} | source for context in checks],
                "strict_required_status_checks_policy": strict,
            },
        },
        {
            "type": "pull_request",
            "parameters": {
                "allowed_merge_methods": ["squash", "merge"],
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": True,
                "require_last_push_approval": False,
                "required_approving_review_count": 1,
                "required_review_thread_resolution": False,
            },
        },
        {"type": "non_fast_forward"},
        {"type": "deletion"},
    ]
    if queue:
        parameters = {
            "check_response_timeout_minutes": 60,
            "grouping_strategy": "ALLGREEN",
            "max_entries_to_build": 5,
            "max_entries_to_merge": 5,
            "merge_method": "SQUASH",
            "min_entries_to_merge": 1,
            "min_entries_to_merge_wait_minutes": 5,
        }
        found.append({"type": "merge_queue", "parameters": parameters})
    return [rule | {"ruleset_source_type": "Repository", "ruleset_id": 42} for rule in found]


def good_settings() -> dict[str, Any]:
    """The settings of a repository that is set up as the README says."""
    return {
        "repo": {
            "private": True,
            "default_branch": "main",
            "archived": False,
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": False,
            "has_issues": True,
        },
        "actions": {"enabled": True, "allowed_actions": "all"},
        "workflow": {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True},
        "rules": rules(),
        "protection": None,
        "environments": {
            "production": {
                "branches": ["main"],
                "protected": False,
                "reviewers": True,
                "secrets": ["MLFLOW_TRACKING_TOKEN"],
                "variables": [],
            }
        },
        "secrets": ["MLFLOW_TRACKING_TOKEN"],
        "variables": ["MLFLOW_TRACKING_URI"],
        "organization_secrets": [],
        "organization_variables": [],
        "codeowners_errors": [],
        "workflows": None,
        "workflow_states": {
            f".github/workflows/{name}.yml": "active"
            for name in ("retrain", "promote", "drift", "watch", "schedule", "ci")
        },
    }
