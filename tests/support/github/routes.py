"""Routes of pull requests, comments, statuses, issues and workflow runs."""

from typing import Any

from tests.support.github import shapes
from tests.support.github.hub import ACTIONS, MAX_DESCRIPTION, Answer, Hub, Refusal, route, text_of


def _listed(hub: Hub, pull: dict[str, Any]) -> dict[str, Any]:
    """A pull request as lists show it: without who merged it."""
    return {name: value for name, value in hub.pull_shape(pull).items() if name != "merged_by"}


@route("GET", "/pulls", "pull-requests: read or public: read")
def list_pulls(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    state = query.get("state", "open")
    found = [_listed(hub, pull) for pull in hub.state["pulls"] if state in ("all", pull["state"])]
    if "head" in query:
        found = [pull for pull in found if f"{shapes.owner_of(pull['head'])}:{pull['head']['ref']}" == query["head"]]
    if "base" in query:
        found = [pull for pull in found if pull["base"]["ref"] == query["base"]]
    if query.get("direction", "desc") == "desc":
        found.reverse()
    return hub.page(found, query, path)


@route("POST", "/pulls", "pull-requests: write")
def create_pull(hub: Hub, *, body: Any, login: str, **_: Any) -> Answer:
    if login == ACTIONS and not hub.state["settings"]["workflow"]["can_approve_pull_request_reviews"]:
        raise Refusal(403, "GitHub Actions is not permitted to create or approve pull requests.")
    title, text = text_of(body, "title", 256, blank=False), text_of(body, "body")
    head, base = text_of(body, "head", 255, blank=False), text_of(body, "base", 255, blank=False)
    for pull in hub.state["pulls"]:
        if (pull["state"], pull["head_ref"], pull["base_ref"]) == ("open", head, base) and pull[
            "head_repo"
        ] == hub.repo:
            message = f"A pull request already exists for {hub.repo.split('/')[0]}:{head}."
            raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": message}])
    if hub.git is not None:
        for field, branch in (("head", head), ("base", base)):
            if hub.tip(branch) is None:
                error = {"resource": "PullRequest", "field": field, "code": "invalid"}
                raise Refusal(422, "Validation Failed", [error])
        if hub.tip(head) == hub.tip(base):
            message = f"No commits between {base} and {head}"
            raise Refusal(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": message}])
    draft = body.get("draft") is True
    number = hub.add_pull(head, base_ref=base, author=login, title=title, body=text, draft=draft)
    return 201, hub.pull_shape(hub.find("pulls", number)), {}


@route("GET", "/pulls/{number}", "pull-requests: read or public: read")
def get_pull(hub: Hub, *, number: str, **_: Any) -> Answer:
    pull = hub.find("pulls", int(number))
    merged_by = shapes.user(pull.get("merged_by") or "alice") if pull["merged"] else None
    return 200, hub.pull_shape(pull) | {"merged_by": merged_by}, {}


@route("GET", "/pulls/{number}/reviews", "pull-requests: read or public: read")
def list_reviews(hub: Hub, *, number: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    pull = hub.find("pulls", int(number))
    return hub.page([shapes.review(entry) for entry in pull.get("reviews", [])], query, path)


@route("PATCH", "/pulls/{number}", "pull-requests: write")
def update_pull(hub: Hub, *, number: str, body: Any, **_: Any) -> Answer:
    pull = hub.find("pulls", int(number))
    text_of(body, "title", 256)
    text_of(body, "body")
    pull.update({key: body[key] for key in ("title", "body", "state") if key in body})
    if "base" in body:
        pull["base_ref"] = body["base"]
    return 200, hub.pull_shape(pull), {}


@route("GET", "/commits/{sha}/pulls", "pull-requests: read or public: read")
def pulls_of_commit(hub: Hub, *, sha: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    shown = [_listed(hub, pull) for pull in hub.state["pulls"]]
    found = [pull for pull in shown if sha in (pull["head"]["sha"], pull["merge_commit_sha"])]
    return hub.page(found, query, path)


@route("GET", "/issues/{number}/comments", "pull-requests: read or issues: read or public: read")
def list_comments(hub: Hub, *, number: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    _issue_or_pull(hub, int(number))
    return hub.page(hub.comments(int(number)), query, path, shape=lambda entry: shapes.comment(entry, hub.repo))


@route("POST", "/issues/{number}/comments", "pull-requests: write or issues: write")
def create_comment(hub: Hub, *, number: str, body: Any, login: str, **_: Any) -> Answer:
    _issue_or_pull(hub, int(number))
    made = hub.add_comment(int(number), login, text_of(body, "body", blank=False))
    return 201, shapes.comment(hub.find("comments", made, "id"), hub.repo), {}


@route("GET", "/issues/comments/{number}", "pull-requests: read or issues: read or public: read")
def get_comment(hub: Hub, *, number: str, **_: Any) -> Answer:
    return 200, shapes.comment(hub.find("comments", int(number), "id"), hub.repo), {}


@route("PATCH", "/issues/comments/{number}", "pull-requests: write or issues: write")
def update_comment(hub: Hub, *, number: str, body: Any, **_: Any) -> Answer:
    entry = hub.find("comments", int(number), "id")
    entry["body"] = text_of(body, "body", blank=False)
    return 200, shapes.comment(entry, hub.repo), {}


@route("DELETE", "/issues/comments/{number}", "pull-requests: write or issues: write")
def delete_comment(hub: Hub, *, number: str, **_: Any) -> Answer:
    hub.state["comments"].remove(hub.find("comments", int(number), "id"))
    return 204, None, {}


@route("POST", "/statuses/{sha}", "statuses: write")
def create_status(hub: Hub, *, sha: str, body: Any, login: str, **_: Any) -> Answer:
    if hub.git is not None and not hub.has_commit(sha):
        raise Refusal(422, f"No commit found for SHA: {sha}")
    entry = {
        "id": hub.next_id(),
        "sha": sha,
        "state": text_of(body, "state", blank=False),
        "context": text_of(body, "context", 255) or "default",
        "description": text_of(body, "description", MAX_DESCRIPTION),
        "target_url": body.get("target_url"),
        "user": login,
    }
    hub.state["statuses"].append(entry)
    return 201, shapes.status(entry), {}


@route("GET", "/commits/{sha}/statuses", "statuses: read or public: read")
def list_statuses(hub: Hub, *, sha: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    return hub.page([shapes.status(entry) for entry in hub.statuses(sha)], query, path)


@route("POST", "/actions/workflows/{workflow}/dispatches", "actions: write")
def dispatch(hub: Hub, *, workflow: str, body: Any, login: str, **_: Any) -> Answer:
    if hub.state["settings"]["workflows"] is not None and workflow not in hub.state["settings"]["workflows"]:
        raise Refusal(404, "Not Found")
    ref = text_of(body, "ref", blank=False)
    if hub.git is not None and hub.tip(ref.removeprefix("refs/heads/")) is None:
        raise Refusal(422, f"No ref found for: {ref}")
    entry = {"workflow": workflow, "ref": ref, "inputs": body.get("inputs") or {}, "by": login}
    hub.state["dispatches"].append(entry)
    return 204, None, {}


@route("GET", "/actions/workflows/{workflow}/runs", "actions: read")
def list_runs(hub: Hub, *, workflow: str, query: dict[str, str], path: str, **_: Any) -> Answer:
    found = [shapes.run(run, hub.repo) for run in reversed(hub.state["runs"]) if run["workflow"] == workflow]
    for key, field in (("branch", "head_branch"), ("event", "event"), ("head_sha", "head_sha")):
        if key in query:
            found = [run for run in found if run[field] == query[key]]
    if "status" in query:
        found = [run for run in found if query["status"] in (run["status"], run["conclusion"])]
    return hub.page(found, query, path, "workflow_runs")


@route("GET", "/issues", "issues: read or public: read")
def list_issues(hub: Hub, *, query: dict[str, str], path: str, **_: Any) -> Answer:
    wanted = {label for label in query.get("labels", "").split(",") if label}
    everything = [shapes.issue(entry, hub.repo) for entry in hub.state["issues"]]
    everything += [shapes.pull_as_issue(pull, hub.repo) for pull in hub.state["pulls"]]
    everything.sort(key=lambda entry: entry["number"], reverse=query.get("direction", "desc") == "desc")
    state = query.get("state", "open")
    found = [
        entry
        for entry in everything
        if state in ("all", entry["state"]) and wanted <= {label["name"] for label in entry["labels"]}
    ]
    return hub.page(found, query, path)


@route("POST", "/issues", "issues: write")
def create_issue(hub: Hub, *, body: Any, login: str, **_: Any) -> Answer:
    entry = {
        "number": hub.next_number(),
        "title": text_of(body, "title", 256, blank=False),
        "body": text_of(body, "body"),
        "state": "open",
        "state_reason": None,
        "labels": list(body.get("labels") or []),
        "user": login,
    }
    hub.state["issues"].append(entry)
    return 201, shapes.issue(entry, hub.repo), {}


@route("GET", "/issues/{number}", "issues: read or public: read")
def get_issue(hub: Hub, *, number: str, **_: Any) -> Answer:
    return 200, shapes.issue(hub.find("issues", int(number)), hub.repo), {}


@route("PATCH", "/issues/{number}", "issues: write")
def update_issue(hub: Hub, *, number: str, body: Any, **_: Any) -> Answer:
    entry = hub.find("issues", int(number))
    text_of(body, "title", 256)
    text_of(body, "body")
    entry.update({key: body[key] for key in ("title", "body", "state", "state_reason") if key in body})
    return 200, shapes.issue(entry, hub.repo), {}


@route("POST", "/issues/{number}/labels", "issues: write or pull-requests: write")
def add_labels(hub: Hub, *, number: str, body: Any, **_: Any) -> Answer:
    entry = _issue_or_pull(hub, int(number))
    entry["labels"] = [*dict.fromkeys([*entry["labels"], *body["labels"]])]
    return 200, [shapes.label(name) for name in entry["labels"]], {}


@route("DELETE", "/issues/{number}/labels/{name}", "issues: write or pull-requests: write")
def remove_label(hub: Hub, *, number: str, name: str, **_: Any) -> Answer:
    entry = _issue_or_pull(hub, int(number))
    if name not in entry["labels"]:
        raise Refusal(404, "Label does not exist")
    entry["labels"].remove(name)
    return 200, [shapes.label(left) for left in entry["labels"]], {}


def _issue_or_pull(hub: Hub, number: int) -> dict[str, Any]:
    try:
        return hub.find("issues", number)
    except Refusal:
        return hub.find("pulls", number)
