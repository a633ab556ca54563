"""GitHub's answers as frozen values; an answer that lacks what we need is an error with a sentence."""

from dataclasses import dataclass
from typing import Any

from promotion.github.errors import GitHubError


@dataclass(frozen=True)
class PullRequest:
    """A pull request; head_repo is None where the fork was deleted, merged_by where lists do not say it."""

    number: int
    title: str
    body: str
    state: str
    draft: bool
    author: str
    head_ref: str
    head_sha: str
    head_repo: str | None
    base_ref: str
    url: str
    labels: tuple[str, ...] = ()
    merged: bool = False
    merged_by: str | None = None


@dataclass(frozen=True)
class Review:
    """A review of a pull request; state: APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED, PENDING."""

    author: str
    state: str
    at: str
    commit: str | None


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request or an issue."""

    id: int
    author: str
    body: str
    url: str


@dataclass(frozen=True)
class Issue:
    """An issue that is not a pull request."""

    number: int
    author: str
    title: str
    body: str
    state: str
    url: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkflowRun:
    """A workflow run; conclusion is None while it goes on."""

    id: int
    status: str
    conclusion: str | None
    head_sha: str
    branch: str | None
    event: str
    url: str


def get(item: Any, doing: str, path: str, kind: type = str) -> Any:
    """The value of a kind at a dotted path; GitHubError where GitHub (or something in between) answers otherwise."""
    value = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise GitHubError(f"cannot {doing}: GitHub's answer lacks `{path}`; is GITHUB_API_URL the API's address?")
    return value


def text(item: dict[str, Any], path: str) -> str:
    """The text at a dotted path, empty where there is none."""
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _author(item: dict[str, Any]) -> str:
    return text(item, "user.login") or "ghost"


def _labels(item: dict[str, Any]) -> tuple[str, ...]:
    labels = item.get("labels")
    known = labels if isinstance(labels, list) else []
    names = [text(label, "name") if isinstance(label, dict) else label for label in known]
    return tuple(name for name in names if isinstance(name, str) and name)


def pull(item: Any, doing: str) -> PullRequest:
    """Read a pull request."""
    names = ("title", "state", "head.ref", "head.sha", "base.ref", "html_url")
    title, state, head_ref, head_sha, base_ref, url = (get(item, doing, name) for name in names)
    return PullRequest(
        number=get(item, doing, "number", int),
        title=title,
        body=text(item, "body"),
        state=state,
        draft=item.get("draft") is True,
        author=_author(item),
        head_ref=head_ref,
        head_sha=head_sha,
        head_repo=text(item, "head.repo.full_name") or None,
        base_ref=base_ref,
        url=url,
        labels=_labels(item),
        merged=bool(text(item, "merged_at")),
        merged_by=text(item, "merged_by.login") or None,
    )


def review(item: Any, doing: str) -> Review:
    """Read a review."""
    return Review(_author(item), get(item, doing, "state"), text(item, "submitted_at"), text(item, "commit_id") or None)


def comment(item: Any, doing: str) -> Comment:
    """Read a comment; a deleted author is `ghost`, as GitHub shows it."""
    return Comment(get(item, doing, "id", int), _author(item), text(item, "body"), text(item, "html_url"))


def issue(item: Any, doing: str) -> Issue:
    """Read an issue."""
    number, title, state = get(item, doing, "number", int), get(item, doing, "title"), get(item, doing, "state")
    return Issue(number, _author(item), title, text(item, "body"), state, text(item, "html_url"), _labels(item))


def run(item: Any, doing: str) -> WorkflowRun:
    """Read a workflow run."""
    status, sha, event, url = (get(item, doing, name) for name in ("status", "head_sha", "event", "html_url"))
    branch, conclusion = text(item, "head_branch") or None, text(item, "conclusion") or None
    return WorkflowRun(get(item, doing, "id", int), status, conclusion, sha, branch, event, url)
