"""The event that started this workflow run, read from GITHUB_EVENT_NAME and GITHUB_EVENT_PATH."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promotion import OBJECT_ID
from promotion.errors import PromotionError
from promotion.frozen import strict_json
from promotion.text.escape import clean

MAX_EVENT_BYTES = 32 * 1024 * 1024  # GitHub caps payloads at 25 MB
QUEUE_BRANCH = re.compile(r"gh-readonly-queue/.+/pr-(\d+)-[0-9a-f]{40}")
DEPENDABOT = "dependabot[bot]"


@dataclass(frozen=True)
class Event:
    """What started the run. Whatever a contributor chose (refs, inputs) is raw text, never to be trusted.

    number: of the pull request, also in a merge queue; head_repo: None where the fork was deleted.
    """

    name: str
    repo: str
    head_sha: str
    head_ref: str
    number: int | None = None
    head_repo: str | None = None
    base_ref: str = ""
    draft: bool = False
    author: str = ""
    sender: str = ""
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def merge_group(self) -> bool:
        """Whether a merge queue asks: verify, never push."""
        return self.name == "merge_group"

    @property
    def fork(self) -> bool:
        """Whether the pull request comes from another repository, or from one that is gone."""
        if self.name != "pull_request":
            return False
        return self.head_repo is None or self.head_repo.lower() != self.repo.lower()

    @property
    def dependabot(self) -> bool:
        """Whether Dependabot opened or pushed it, so that the run gets a read-only token and no secrets."""
        return DEPENDABOT in (self.author.lower(), self.sender.lower())

    @property
    def without_credentials(self) -> bool:
        """Whether GitHub gives this run no secrets: a fork's pull request, or Dependabot's."""
        return self.name == "pull_request" and (self.fork or self.dependabot)


def read_event(env: Mapping[str, str] = os.environ) -> Event:
    """Return the event of this run of retrain.yml; raise PromotionError that names what the payload lacks."""
    name = env.get("GITHUB_EVENT_NAME", "")
    path = env.get("GITHUB_EVENT_PATH", "")
    if not name or not path:
        raise PromotionError(
            "GITHUB_EVENT_NAME and GITHUB_EVENT_PATH are not set; this runs in a GitHub Actions job, "
            "or with both set to an example payload"
        )
    payload = _Payload(_load(Path(path)), path)
    repo = payload.text("repository.full_name", env.get("GITHUB_REPOSITORY"))
    sender = payload.text("sender.login", env.get("GITHUB_ACTOR", ""))
    common: dict[str, Any] = {"name": name, "repo": repo, "sender": sender}
    if name == "pull_request":
        return Event(**common, **_pull_request(payload))
    if name == "merge_group":
        return Event(**common, **_merge_group(payload))
    if name == "workflow_dispatch":
        ref = _branch(payload.text("ref", env.get("GITHUB_REF", "")))
        head = env.get("GITHUB_SHA", "")
        if not re.fullmatch(OBJECT_ID, head):
            raise PromotionError("GITHUB_SHA is not a commit id; a GitHub Actions job sets it")
        return Event(**common, head_sha=head, head_ref=ref, inputs=payload.texts("inputs"))
    raise PromotionError(
        f"retrain.yml does not run on `{clean(name, 40)}`; it runs on pull_request, merge_group and workflow_dispatch"
    )


def _pull_request(payload: "_Payload") -> dict[str, Any]:
    number = payload.value("pull_request.number", payload.value("number", None))
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise payload.lacks("pull_request.number")
    return {
        "number": number,
        "head_sha": payload.sha("pull_request.head.sha"),
        "head_ref": payload.text("pull_request.head.ref"),
        "head_repo": payload.text("pull_request.head.repo.full_name", "") or None,
        "base_ref": payload.text("pull_request.base.ref"),
        "draft": payload.value("pull_request.draft", False) is True,
        "author": payload.text("pull_request.user.login", ""),
    }


def _merge_group(payload: "_Payload") -> dict[str, Any]:
    head_ref = _branch(payload.text("merge_group.head_ref"))
    queued = QUEUE_BRANCH.fullmatch(head_ref)
    return {
        "number": int(queued.group(1)) if queued else None,
        "head_sha": payload.sha("merge_group.head_sha"),
        "head_ref": head_ref,
        "head_repo": payload.text("repository.full_name", "") or None,
        "base_ref": _branch(payload.text("merge_group.base_ref")),
    }


class _Payload:
    """Typed access to the event's JSON by dotted path."""

    def __init__(self, raw: dict[str, Any], file: str) -> None:
        self.raw = raw
        self.file = file

    def lacks(self, path: str, what: str = "a usable value") -> PromotionError:
        return PromotionError(f"the event payload lacks {what} at `{path}`", file=self.file)

    def value(self, path: str, default: Any) -> Any:
        found: Any = self.raw
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return default if found is None else found

    def text(self, path: str, default: str | None = None) -> str:
        found = self.value(path, default)
        if not isinstance(found, str):
            raise self.lacks(path, "a text")
        return found

    def sha(self, path: str) -> str:
        found = self.text(path)
        if not re.fullmatch(OBJECT_ID, found):
            raise self.lacks(path, "a commit id")
        return found

    def texts(self, path: str) -> dict[str, str]:
        found = self.value(path, {})
        if not isinstance(found, dict):
            raise self.lacks(path, "a mapping")
        return {str(key): _text(value) for key, value in found.items()}


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_EVENT_BYTES:
            raise PromotionError(f"larger than {MAX_EVENT_BYTES} bytes, so it is not an event payload", file=path)
        raw = strict_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PromotionError("not a readable JSON event payload; see GITHUB_EVENT_PATH", file=path) from None
    if not isinstance(raw, dict):
        raise PromotionError("not an event payload: it is not a JSON object", file=path)
    return raw


def _text(value: Any) -> str:
    """An input as the workflow's own expressions show it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _branch(ref: str) -> str:
    return ref.removeprefix("refs/heads/")
