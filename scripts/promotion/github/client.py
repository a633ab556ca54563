"""GitHub's REST API as this project uses it: pull requests, comments, statuses, issues, workflow runs."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from promotion import OBJECT_ID
from promotion.errors import PromotionError
from promotion.git.whose import told
from promotion.github import answers
from promotion.github.answers import Comment, Issue, PullRequest, Review, WorkflowRun
from promotion.github.errors import GitHubError
from promotion.github.http import Transport
from promotion.text.escape import clean

BOT = "github-actions[bot]"  # the author of whatever a workflow's own token writes
CONTEXT = "promotion"  # the required check's name
MAX_BODY = 65_536  # characters of a comment, an issue or a pull request's text
MAX_DESCRIPTION = 140  # characters of a commit status
STATES = ("error", "failure", "pending", "success")
REPO_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")


class GitHub(Transport):
    """One repository. `login`: whose comments and issues are ours; learned from the first one that is written."""

    def __init__(self, api_url: str, repo: str, token: str = "", *, login: str = BOT, **transport: Any) -> None:
        super().__init__(api_url, token, **transport)
        if not REPO_NAME.fullmatch(repo):
            raise PromotionError(f"`{clean(repo, 100)}` is not a repository; give it as OWNER/NAME")
        self.repo = repo
        self.login = login
        self._base = f"/repos/{repo}"

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ, *, repo: str | None = None, **more: Any) -> "GitHub":
        """Make a client from GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN (or GH_TOKEN) and PROMOTION_LOGIN."""
        name = repo or env.get("GITHUB_REPOSITORY", "")
        if not name:
            raise PromotionError("which repository? set GITHUB_REPOSITORY=OWNER/NAME")
        url = env.get("GITHUB_API_URL") or "https://api.github.com"
        token = (env.get("GITHUB_TOKEN") or env.get("GH_TOKEN") or "").strip()
        return cls(url, name, token, login=env.get("PROMOTION_LOGIN") or BOT, **more)

    # Pull requests

    def pull(self, number: int) -> PullRequest:
        """Return a pull request by its number."""
        doing = f"read pull request #{number}"
        return answers.pull(
            self.request("GET", f"{self._base}/pulls/{number}", doing=doing, needs="pull-requests: read"), doing
        )

    def open_pulls(
        self, *, head: str | None = None, base: str | None = None, label: str | None = None
    ) -> list[PullRequest]:
        """Return the open pull requests, oldest first; head: a branch of this repository (forks do not match)."""
        return self.pulls(state="open", head=head, base=base, label=label)

    def pulls(
        self, *, state: str, head: str | None = None, base: str | None = None, label: str | None = None
    ) -> list[PullRequest]:
        """Return the pull requests that are open, closed or either (all), the rest as in open_pulls."""
        doing = f"list {state} pull requests"
        params = {"state": state, "sort": "created", "direction": "asc"}
        if head is not None:
            params["head"] = f"{self.repo.split('/')[0]}:{head}"
        if base is not None:
            params["base"] = base
        found = self.pages(f"{self._base}/pulls", doing=doing, needs="pull-requests: read", **params)
        pulls = [answers.pull(item, doing) for item in found]
        return [
            pull
            for pull in pulls
            if (head is None or (pull.head_ref == head and same_repo(pull.head_repo, self.repo)))
            and (label is None or label in pull.labels)
        ]

    def pulls_of_commit(self, sha: str) -> list[PullRequest]:
        """Return the pull requests that contain a commit, or that were merged as it."""
        doing = f"find the pull request of commit {_sha(sha)[:12]}"
        found = self.pages(f"{self._base}/commits/{sha}/pulls", doing=doing, needs="pull-requests: read")
        return [answers.pull(item, doing) for item in found]

    def reviews(self, number: int) -> list[Review]:
        """Return the reviews of a pull request, oldest first."""
        doing = f"read the reviews of #{number}"
        found = self.pages(f"{self._base}/pulls/{number}/reviews", doing=doing, needs="pull-requests: read")
        return [answers.review(item, doing) for item in found]

    def create_pull(self, *, title: str, head: str, base: str, body: str, draft: bool = False) -> PullRequest:
        """Open a pull request, or return the one that is open already for the same branches."""
        doing = f"open a pull request from {clean(head, 100)}"
        json = {"title": utf8(title)[:256], "head": head, "base": base, "body": fitting(body), "draft": draft}
        path, needs = f"{self._base}/pulls", "pull-requests: write"
        try:  # repeated where the answer was lost: GitHub itself refuses a second one for the same branches
            return answers.pull(self.request("POST", path, doing=doing, needs=needs, repeat=True, json=json), doing)
        except GitHubError as error:
            if error.status != 422 or "already exists" not in error.reason:
                raise
            found = self.open_pulls(head=head, base=base)
            if not found:
                raise
            return found[0]

    def update_pull(self, number: int, **changes: str) -> PullRequest:
        """Change `title`, `body`, `base` or `state` (open, closed) of a pull request."""
        doing = f"update pull request #{number}"
        json = {key: fitting(value) if key == "body" else utf8(value) for key, value in changes.items()}
        path = f"{self._base}/pulls/{number}"
        return answers.pull(self.request("PATCH", path, doing=doing, needs="pull-requests: write", json=json), doing)

    # Comments (of issues and pull requests alike)

    def comments(self, number: int) -> Iterator[Comment]:
        """Yield all comments, oldest first, over all pages."""
        doing = f"read the comments of #{number}"
        path = f"{self._base}/issues/{number}/comments"
        for item in self.pages(path, doing=doing, needs="pull-requests: read"):
            yield answers.comment(item, doing)

    def create_comment(self, number: int, body: str) -> Comment:
        """Write a comment; raise Unconfirmed, without a second try, where the answer was lost."""
        doing = f"comment on #{number}"
        path = f"{self._base}/issues/{number}/comments"
        json = {"body": fitting(body)}
        return answers.comment(self.request("POST", path, doing=doing, needs="pull-requests: write", json=json), doing)

    def update_comment(self, comment_id: int, body: str) -> Comment:
        """Replace a comment's text."""
        doing = f"update comment {comment_id}"
        path = f"{self._base}/issues/comments/{comment_id}"
        json = {"body": fitting(body)}
        return answers.comment(self.request("PATCH", path, doing=doing, needs="pull-requests: write", json=json), doing)

    def delete_comment(self, comment_id: int) -> None:
        """Delete a comment; one that is gone already is fine."""
        path = f"{self._base}/issues/comments/{comment_id}"
        try:
            self.request("DELETE", path, doing=f"delete comment {comment_id}", needs="pull-requests: write")
        except GitHubError as error:
            if error.status not in (404, 410):
                raise

    # Commit statuses

    def set_status(
        self, sha: str, state: str, description: str, *, target_url: str | None = None, context: str = CONTEXT
    ) -> None:
        """Post a commit status; the description is made one line of at most 140 characters."""
        if state not in STATES:
            raise ValueError(f"{state!r} is not one of {STATES}")
        json = {"state": state, "context": context, "description": clean(utf8(description), MAX_DESCRIPTION)}
        if target_url is not None and re.match(r"https?://", target_url):
            json["target_url"] = target_url
        # Posting the same status twice says the same, so a lost answer is simply asked for again.
        doing = f"set the status `{context}` on {_sha(sha)[:12]}"
        path = f"{self._base}/statuses/{sha}"
        self.request("POST", path, doing=doing, needs="statuses: write", repeat=True, json=json)

    # Workflows

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str] | None = None) -> None:
        """Start a workflow (`promote.yml`) on a branch; our workflows bear being started twice, so this is repeated."""
        json: dict[str, Any] = {"ref": ref, "inputs": {key: utf8(value) for key, value in (inputs or {}).items()}}
        path = f"{self._base}/actions/workflows/{quote(workflow, safe='')}/dispatches"
        doing = f"start {workflow} on {clean(ref, 100)}"
        self.request("POST", path, doing=doing, needs="actions: write", repeat=True, json=json)

    def runs(self, workflow: str, *, most: int = 20, **only: str) -> list[WorkflowRun]:
        """Return a workflow's newest runs; only: `branch`, `event`, `status`, `head_sha`, `created`."""
        doing = f"list the runs of {workflow}"
        path = f"{self._base}/actions/workflows/{quote(workflow, safe='')}/runs"
        found: list[WorkflowRun] = []
        for item in self.pages(path, doing=doing, needs="actions: read", key="workflow_runs", **only):
            found.append(answers.run(item, doing))
            if len(found) == most:
                break
        return found

    # Issues

    def issues(self, *, label: str | None = None, state: str = "open") -> list[Issue]:
        """Return the issues (`open`, `closed` or `all`), oldest first, without pull requests."""
        params = {"state": state, "sort": "created", "direction": "asc"} | ({"labels": label} if label else {})
        doing = "list issues"
        found = self.pages(f"{self._base}/issues", doing=doing, needs="issues: read", **params)
        return [answers.issue(item, doing) for item in found if isinstance(item, dict) and "pull_request" not in item]

    def create_issue(self, title: str, body: str, labels: tuple[str, ...] = ()) -> Issue:
        """Open an issue; a label that does not exist is made by GitHub."""
        json = {"title": utf8(title)[:256], "body": fitting(body), "labels": list(labels)}
        doing = "open an issue"
        return answers.issue(
            self.request("POST", f"{self._base}/issues", doing=doing, needs="issues: write", json=json), doing
        )

    def update_issue(self, number: int, **changes: str) -> Issue:
        """Change `title`, `body`, `state` (open, closed) or `state_reason` (completed, not_planned) of an issue."""
        json = {key: fitting(value) if key == "body" else utf8(value) for key, value in changes.items()}
        doing = f"update issue #{number}"
        path = f"{self._base}/issues/{number}"
        return answers.issue(self.request("PATCH", path, doing=doing, needs="issues: write", json=json), doing)

    def add_labels(self, number: int, labels: tuple[str, ...]) -> None:
        """Add labels to an issue or a pull request."""
        json = {"labels": list(labels)}
        doing = f"label #{number}"
        path = f"{self._base}/issues/{number}/labels"
        self.request("POST", path, doing=doing, needs="issues: write", repeat=True, json=json)

    def remove_label(self, number: int, label: str) -> None:
        """Take a label off an issue or a pull request; one that is not on it is fine."""
        path = f"{self._base}/issues/{number}/labels/{quote(label, safe='')}"
        try:
            self.request("DELETE", path, doing=f"take a label off #{number}", needs="pull-requests: write")
        except GitHubError as error:
            if error.status != 404:
                raise

    def settings(self, path: str, *, doing: str, needs: str) -> dict[str, Any]:
        """Return one settings document below the repository's address (doctor.py knows which)."""
        answer = self.request("GET", self._base + path, doing=doing, needs=needs)
        if not isinstance(answer, dict):
            raise GitHubError(f"cannot {doing}: GitHub's answer is not an object; is GITHUB_API_URL the API's address?")
        return answer

    def settings_list(self, path: str, *, key: str | None, doing: str, needs: str) -> list[dict[str, Any]]:
        """Return one settings list below the repository's address, over all pages."""
        found = self.pages(self._base + path, key=key, doing=doing, needs=needs)
        return [item for item in found if isinstance(item, dict)]


def utf8(text: str) -> str:
    """Return `text` as UTF-8 can carry it: lone surrogates and NUL become U+FFFD."""
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def fitting(body: str) -> str:
    """Return the text to send; raise PromotionError where it is over GitHub's 65,536 characters."""
    said = told(body, alone=True)
    body = said if len(said) <= MAX_BODY else body
    if len(body) > MAX_BODY:
        raise PromotionError(
            f"a text of {len(body)} characters is over GitHub's {MAX_BODY}; cut it between blocks first"
        )
    return utf8(body)


def same_repo(one: str | None, other: str | None) -> bool:
    """Whether two OWNER/NAME mean one repository: GitHub compares them without case."""
    return one is not None and other is not None and one.lower() == other.lower()


def _sha(sha: str) -> str:
    if not re.fullmatch(OBJECT_ID, sha):
        raise PromotionError(f"`{clean(sha, 80)}` is not a full commit id")
    return sha
