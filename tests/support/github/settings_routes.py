"""Routes of a repository's settings, which doctor.py reads."""

import zlib
from typing import Any

from tests.support.github import shapes
from tests.support.github.hub import Answer, Hub, Refusal, route


@route("GET", "", "metadata: read")
def get_repo(hub: Hub, **_: Any) -> Answer:
    owner, name = hub.repo.split("/")
    return (
        200,
        {"id": 7, "name": name, "full_name": hub.repo, "owner": shapes.user(owner)} | hub.state["settings"]["repo"],
        {},
    )


@route("GET", "/actions/permissions", "administration: read")
def actions_permissions(hub: Hub, **_: Any) -> Answer:
    return 200, hub.state["settings"]["actions"], {}


@route("GET", "/actions/permissions/workflow", "administration: read")
def workflow_permissions(hub: Hub, **_: Any) -> Answer:
    return 200, hub.state["settings"]["workflow"], {}


@route("GET", "/rules/branches/{branch}", "metadata: read")
def branch_rules(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(hub.state["settings"]["rules"], query, path)


@route("GET", "/branches/{branch}/protection", "administration: read")
def branch_protection(hub: Hub, **_: Any) -> Answer:
    if hub.state["settings"]["protection"] is None:
        raise Refusal(404, "Branch not protected")
    return 200, hub.state["settings"]["protection"], {}


@route("GET", "/environments", "actions: read")
def environments(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    shown = [_environment(name, entry) for name, entry in hub.state["settings"]["environments"].items()]
    return hub.page(shown, query, path, "environments")


@route("GET", "/environments/{name}", "actions: read")
def environment(hub: Hub, *, name: str, **_: Any) -> Answer:
    return 200, _environment(name, _entry(hub, name)), {}


@route("GET", "/environments/{name}/deployment-branch-policies", "actions: read")
def branch_policies(hub: Hub, *, name: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    branches = _entry(hub, name)["branches"] or []
    shown = [{"id": _id(branch), "name": branch, "type": "branch"} for branch in branches]
    return hub.page(shown, query, path, "branch_policies")


@route("GET", "/environments/{name}/secrets", "environments: read")
def environment_secrets(hub: Hub, *, name: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_named(_entry(hub, name)["secrets"]), query, path, "secrets")


@route("GET", "/environments/{name}/variables", "environments: read")
def environment_variables(hub: Hub, *, name: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_variables(_entry(hub, name)["variables"]), query, path, "variables")


@route("GET", "/actions/secrets", "secrets: read")
def repository_secrets(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_named(hub.state["settings"]["secrets"]), query, path, "secrets")


@route("GET", "/actions/variables", "variables: read")
def repository_variables(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_variables(hub.state["settings"]["variables"]), query, path, "variables")


@route("GET", "/actions/organization-secrets", "secrets: read")
def organization_secrets(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_named(hub.state["settings"]["organization_secrets"]), query, path, "secrets")


@route("GET", "/actions/organization-variables", "variables: read")
def organization_variables(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page(_variables(hub.state["settings"]["organization_variables"]), query, path, "variables")


@route("GET", "/actions/workflows", "actions: read")
def workflows(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    states = hub.state["settings"]["workflow_states"]
    shown = [{"id": n, "name": name, "path": name, "state": state} for n, (name, state) in enumerate(states.items(), 1)]
    return hub.page(shown, query, path, "workflows")


@route("GET", "/codeowners/errors", "contents: read")
def codeowners_errors(hub: Hub, **_: Any) -> Answer:
    errors = hub.state["settings"]["codeowners_errors"]
    if errors is None:
        raise Refusal(404, "Not Found")
    return 200, {"errors": errors}, {}


@route("PATCH", "", "administration: write")
def update_repo(hub: Hub, *, body: Any, **_: Any) -> Answer:
    hub.state["settings"]["repo"] |= body
    return get_repo(hub)


@route("PUT", "/actions/permissions", "administration: write")
def set_actions(hub: Hub, *, body: Any, **_: Any) -> Answer:
    hub.state["settings"]["actions"] |= body
    return 204, None, {}


@route("PUT", "/actions/permissions/workflow", "administration: write")
def set_workflow(hub: Hub, *, body: Any, **_: Any) -> Answer:
    hub.state["settings"]["workflow"] |= body
    return 204, None, {}


@route("GET", "/rulesets", "metadata: read")
def rulesets(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    shown = [{**one, "rules": []} for one in hub.state["settings"].get("rulesets", [])]
    return hub.page([{key: one[key] for key in ("id", "name", "target", "enforcement")} for one in shown], query, path)


@route("POST", "/rulesets", "administration: write")
def create_ruleset(hub: Hub, *, body: Any, **_: Any) -> Answer:
    made = hub.state["settings"].setdefault("rulesets", [])
    if any(one["name"] == body["name"] for one in made):
        raise Refusal(422, "Validation Failed", [{"message": "Name must be unique"}])
    made.append({"id": 100 + len(made), "source": hub.repo, **body})
    _take_rules(hub, made[-1])
    return 201, made[-1], {}


@route("PUT", "/rulesets/{number}", "administration: write")
def update_ruleset(hub: Hub, *, number: str, body: Any, **_: Any) -> Answer:
    own = next((one for one in hub.state["settings"].get("rulesets", []) if one["id"] == int(number)), None)
    if own is None:
        raise Refusal(404, "Not Found")
    own |= body
    _take_rules(hub, own)
    return 200, own, {}


def _take_rules(hub: Hub, ruleset: dict[str, Any]) -> None:
    """An active ruleset's rules count for the branch, beside those of others."""
    settings = hub.state["settings"]
    others = [rule for rule in settings["rules"] if rule["ruleset_id"] != ruleset["id"]]
    own = {"ruleset_source_type": "Repository", "ruleset_id": ruleset["id"]}
    settings["rules"] = [*others, *(rule | own for rule in ruleset["rules"] if ruleset["enforcement"] == "active")]


@route("PUT", "/environments/{name}", "administration: write")
def set_environment(hub: Hub, *, name: str, body: Any, **_: Any) -> Answer:
    empty = {"branches": None, "protected": False, "reviewers": False, "secrets": [], "variables": []}
    entry = hub.state["settings"]["environments"].setdefault(name, empty)
    policy = body.get("deployment_branch_policy") or {}
    entry["protected"] = bool(policy.get("protected_branches"))
    entry["branches"] = (entry["branches"] or []) if policy.get("custom_branch_policies") else None
    entry["reviewers"] = bool(body.get("reviewers"))
    return 200, _environment(name, entry), {}


@route("POST", "/environments/{name}/deployment-branch-policies", "administration: write")
def add_branch_policy(hub: Hub, *, name: str, body: Any, **_: Any) -> Answer:
    branches = _entry(hub, name)["branches"]
    if branches is None:
        raise Refusal(404, "Not Found")
    branches.append(body["name"])
    return 200, {"id": _id(body["name"]), "name": body["name"], "type": "branch"}, {}


@route("DELETE", "/environments/{name}/deployment-branch-policies/{number}", "administration: write")
def drop_branch_policy(hub: Hub, *, name: str, number: str, **_: Any) -> Answer:
    entry = _entry(hub, name)
    if int(number) not in [_id(branch) for branch in entry["branches"] or []]:
        raise Refusal(404, "Not Found")
    entry["branches"] = [branch for branch in entry["branches"] if _id(branch) != int(number)]
    return 204, None, {}


def _id(branch: str) -> int:
    return zlib.crc32(branch.encode())


def _entry(hub: Hub, name: str) -> dict[str, Any]:
    try:
        return hub.state["settings"]["environments"][name]
    except KeyError:
        raise Refusal(404, "Not Found") from None


def _environment(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    if entry["reviewers"]:
        people = [{"type": "User", "reviewer": shapes.user("oncall")}]
        rules.append({"id": 1, "node_id": "x", "type": "required_reviewers", "reviewers": people})
    policy = None
    if entry["protected"] or entry["branches"] is not None:
        policy = {"protected_branches": entry["protected"], "custom_branch_policies": not entry["protected"]}
    return {"id": 9, "name": name, "protection_rules": rules, "deployment_branch_policy": policy}


def _named(names: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "created_at": shapes.WHEN, "updated_at": shapes.WHEN} for name in names]


def _variables(names: list[str]) -> list[dict[str, Any]]:
    return [entry | {"value": "a value"} for entry in _named(names)]
