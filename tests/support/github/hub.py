"""The state of the stand-in and the routes that read and change it, as GitHub's API answers."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from tests.support.github import shapes

MAX_CHARACTERS = 65_536
MAX_DESCRIPTION = 140
ACTIONS = "github-actions[bot]"

Answer = tuple[int, Any, dict[str, str]]
ROUTES: list[tuple[str, re.Pattern[str], str, Callable[..., Answer]]] = []


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.answer = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
        if errors is not None:
            self.answer["errors"] = errors
        self.headers = headers


def route(method: str, template: str, needs: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Register a handler for a path below the repository; needs: `pull-requests: write` and so on, any of several."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    def register(handler: Callable[..., Answer]) -> Callable[..., Answer]:
        ROUTES.append((method, pattern, needs, handler))
        return handler

    return register


def new_state(repo: str = "octo-org/fraud") -> dict[str, Any]:
    """A repository that is set up as the README says, with no pull request yet."""
    return {
        "repo": repo,
        "tokens": {"t-actions": {"login": ACTIONS, "permissions": None}},
        "pulls": [],
        "issues": [],
        "comments": [],
        "statuses": [],
        "dispatches": [],
        "runs": [],
        "next_number": 1,
        "next_id": 1001,
        "settings": shapes.good_settings(),
    }


class Hub:
    """The state, and `git`: a bare repository whose branches say what heads and bases are."""

    def __init__(self, state: dict[str, Any] | None = None, *, git: Path | None = None) -> None:
        self.state = new_state() | (state or {})
        self.git = git
        self.url = "https://api.github.com"

    # What a test does to the world

    @property
    def repo(self) -> str:
        return self.state["repo"]

    def token(self, login: str = ACTIONS, permissions: dict[str, str] | None = None) -> str:
        """Make a token of `login`; permissions as in a workflow (`{"pull-requests": "write"}`), None: all."""
        token = f"t-{len(self.state['tokens'])}-{re.sub(r'[^a-z]', '', login)}"
        self.state["tokens"][token] = {"login": login, "permissions": permissions}
        return token

    def login_of(self, token: str) -> str | None:
        return (self.state["tokens"].get(token) or {}).get("login")

    def add_pull(self, head_ref: str, *, base_ref: str = "main", author: str = "alice", **more: Any) -> int:
        """Open a pull request; more: title, body, draft, labels, head_sha, head_repo (a fork; None: it is gone)."""
        pull = {
            "number": self._next("next_number"),
            "title": "A pull request",
            "body": "",
            "state": "open",
            "draft": False,
            "merged": False,
            "labels": [],
            "user": author,
            "head_ref": head_ref,
            "head_repo": self.repo,
            "head_sha": "a" * 40,
            "base_ref": base_ref,
            "base_sha": "b" * 40,
        } | more
        self.state["pulls"].append(pull)
        self._resolve(pull)
        return pull["number"]

    def add_comment(self, number: int, author: str, body: str) -> int:
        """Write a comment as somebody; return its id."""
        comment = {"id": self._next("next_id"), "issue": number, "user": author, "body": body}
        self.state["comments"].append(comment)
        return comment["id"]

    def comments(self, number: int) -> list[dict[str, Any]]:
        """The comments of a pull request or issue, oldest first."""
        return [comment for comment in self.state["comments"] if comment["issue"] == number]

    def statuses(self, sha: str) -> list[dict[str, Any]]:
        """A commit's statuses, newest first."""
        return [status for status in reversed(self.state["statuses"]) if status["sha"] == sha]

    def close_pull(self, number: int, *, merged: bool = False) -> None:
        """Close a pull request, as merged or not; tests merge with git."""
        pull = self.find("pulls", number)
        self._resolve(pull)
        pull["state"], pull["merged"] = "closed", merged

    # What a request does

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any, token: str
    ) -> Answer:
        """Answer one request or raise Refusal."""
        if not headers.get("user-agent"):
            raise Refusal(
                403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent"
            )
        if token and self.login_of(token) is None:
            raise Refusal(401, "Bad credentials")
        login = self.login_of(token)
        if (method, path) == ("GET", "/user"):
            if login is None:
                raise Refusal(401, "Requires authentication")
            if login.endswith("[bot]"):
                raise Refusal(403, "Resource not accessible by integration")
            return 200, shapes.user(login), {}
        if (method, path) == ("GET", "/apps/github-actions"):
            return 200, {"id": 15368, "slug": "github-actions", "name": "GitHub Actions"}, {}
        prefix = f"/repos/{self.repo}"
        if not path.lower().startswith(prefix.lower()) or (login is None and self.state["settings"]["repo"]["private"]):
            raise Refusal(404, "Not Found")
        known = False
        for its_method, pattern, needs, handler in ROUTES:
            match = pattern.fullmatch(path[len(prefix) :])
            if match is None:
                continue
            known = True
            if its_method == method:
                self._allow(login, token, method, needs)
                values = {key: unquote(value) for key, value in match.groupdict().items()}
                return handler(self, query=query, body=body, login=login, path=path, **values)
        raise Refusal(404, "Not Found" if not known else f"Not Found ({method})")

    def _allow(self, login: str | None, token: str, method: str, needs: str) -> None:
        if login is None:
            if method != "GET" or not ("metadata" in needs or "public" in needs):
                raise Refusal(401, "Requires authentication")
            return
        permissions = self.state["tokens"][token]["permissions"]
        if permissions is None:
            return
        for need in needs.split(" or "):
            name, level = need.split(": ")
            open_to_all = name == "metadata" or (name == "public" and not self.state["settings"]["repo"]["private"])
            if open_to_all or permissions.get(name) == "write" or permissions.get(name) == level:
                return
        accepted = needs.replace(": ", "=").replace(" or ", "; ").replace("-", "_")
        raise Refusal(403, "Resource not accessible by integration", **{"X-Accepted-GitHub-Permissions": accepted})

    def find(self, kind: str, number: int, key: str = "number") -> dict[str, Any]:
        """The entry of a list in the state, or 404."""
        for entry in self.state[kind]:
            if entry[key] == number:
                return entry
        raise Refusal(404, "Not Found")

    def page(
        self,
        items: list[Any],
        query: dict[str, str],
        path: str,
        key: str | None = None,
        *,
        shape: Callable[[Any], Any] = lambda item: item,
    ) -> Answer:
        """One page of a list, at most 100 long, with its `Link` header."""
        size = min(100, max(1, int(query.get("per_page") or 30)))
        number = max(1, int(query.get("page") or 1))
        last = max(1, -(-len(items) // size))
        part = [shape(item) for item in items[(number - 1) * size : number * size]]
        links = []
        for name, target in (("prev", number - 1), ("next", number + 1), ("last", last), ("first", 1)):
            if (
                1 <= target <= last
                and not (name == "last" and number >= last)
                and not (name == "first" and number == 1)
            ):
                links.append(f'<{self.url}{path}?{urlencode({**query, "page": target})}>; rel="{name}"')
        headers = {"Link": ", ".join(links)} if links else {}
        return 200, part if key is None else {"total_count": len(items), key: part}, headers

    def _resolve(self, pull: dict[str, Any]) -> None:
        """Take an open pull request's commits from the bare repository, where there is one."""
        if self.git is None or pull["state"] != "open":
            return
        for side in ("head", "base"):
            if side == "base" or pull["head_repo"] == self.repo:
                pull[f"{side}_sha"] = self.tip(pull[f"{side}_ref"]) or pull[f"{side}_sha"]

    def tip(self, branch: str) -> str | None:
        """The commit of a branch of the bare repository, or None."""
        command = ["git", "-C", str(self.git), "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None

    def pull_shape(self, pull: dict[str, Any]) -> dict[str, Any]:
        """A pull request as GitHub shows it."""
        self._resolve(pull)
        return shapes.pull(pull, self.repo)

    def _next(self, counter: str) -> int:
        self.state[counter] += 1
        return self.state[counter] - 1

    def has_commit(self, sha: str) -> bool:
        """Whether the bare repository has a commit."""
        command = ["git", "-C", str(self.git), "cat-file", "-e", f"{sha}^{{commit}}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def next_number(self) -> int:
        """The next number of an issue or a pull request."""
        return self._next("next_number")

    def next_id(self) -> int:
        """A new id."""
        return self._next("next_id")


def text_of(body: Any, key: str, most: int = MAX_CHARACTERS, *, blank: bool = True) -> str:
    """A text of a request's body, within GitHub's limits."""
    value = (body or {}).get(key) if isinstance(body, dict) else None
    if value is None and blank:
        return ""
    if not isinstance(value, str) or (not blank and not value.strip()):
        raise Refusal(422, "Validation Failed", [{"resource": "X", "code": "missing_field", "field": key}])
    if len(value) > most:
        raise Refusal(422, "Validation Failed", [f"{key} is too long (maximum is {most} characters)"])
    return value


from tests.support.github import routes, settings_routes  # noqa: E402, F401  (they register themselves)
