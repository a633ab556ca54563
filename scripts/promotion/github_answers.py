"""GitHub's answers as frozen values; an answer that lacks what we need is an error with a sentence."""

from dataclasses import dataclass
from typing import Any

from promotion.github_errors import GitHubError


@dataclass(frozen=True)
class PullRequest:
    """A pull request; head_repo is None where the fork was deleted."""

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
    base_sha: str
    url: str
    labels: tuple[str, ...] = ()


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
class Status:
    """A commit status; the newest of a context counts."""

    context: str
    state: str
    description: str
    target_url: str | None


@dataclass(frozen=True)
class Run:
    """A workflow run; conclusion is None while it goes on."""

    id: int
    status: str
    conclusion: str | None
    head_sha: str
    branch: str | None
    event: str
    url: str


def get(item: Any, doing: str, path: str) -> Any:
    """The value at a dotted path of an answer; GitHubError where GitHub (or a proxy) answered something else."""
    value = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        raise GitHubError(f"cannot {doing}: GitHub's answer lacks `{path}`; is GITHUB_API_URL the API's address?")
    return value


def _author(item: dict[str, Any]) -> str:
    return (item.get("user") or {}).get("login") or "ghost"


def _labels(item: dict[str, Any]) -> tuple[str, ...]:
    labels = item.get("labels") or []
    return tuple(label["name"] if isinstance(label, dict) else str(label) for label in labels)


def pull(item: Any, doing: str) -> PullRequest:
    """Read a pull request."""
    names = ("number", "title", "state", "head.ref", "head.sha", "base.ref", "base.sha", "html_url")
    number, title, state, head_ref, head_sha, base_ref, base_sha, url = (get(item, doing, name) for name in names)
    return PullRequest(
        number=number,
        title=title,
        body=item.get("body") or "",
        state=state,
        draft=bool(item.get("draft")),
        author=_author(item),
        head_ref=head_ref,
        head_sha=head_sha,
        head_repo=(item["head"].get("repo") or {}).get("full_name"),
        base_ref=base_ref,
        base_sha=base_sha,
        url=url,
        labels=_labels(item),
    )


def comment(item: Any, doing: str) -> Comment:
    """Read a comment; a deleted author is `ghost`, as GitHub shows it."""
    return Comment(get(item, doing, "id"), _author(item), item.get("body") or "", item.get("html_url") or "")


def issue(item: Any, doing: str) -> Issue:
    """Read an issue."""
    number, title, state = (get(item, doing, name) for name in ("number", "title", "state"))
    return Issue(number, _author(item), title, item.get("body") or "", state, item.get("html_url") or "", _labels(item))
