"""What GitHub's refusals and a broken connection mean, as one sentence that says what to do."""

from email.utils import parsedate_to_datetime

from requests import Response, exceptions

from promotion.errors import PromotionError
from promotion.text.escape import clean


class GitHubError(PromotionError):
    """An answer of GitHub that the caller may want to tell apart; status: the HTTP status, None without an answer."""

    def __init__(self, message: str, *, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unconfirmed(GitHubError):
    """A request that must not be repeated blindly was sent, and its answer was lost: look before trying again."""


def never_sent(error: exceptions.RequestException) -> bool:
    """Whether no byte of the request can have reached GitHub."""
    if isinstance(error, exceptions.ConnectTimeout | exceptions.SSLError):
        return True
    return "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)


def plain(error: exceptions.RequestException) -> str:
    """A connection error in a few words, without addresses."""
    if isinstance(error, exceptions.Timeout):
        return "GitHub does not answer in time"
    if isinstance(error, exceptions.SSLError):
        return "GitHub's certificate is not accepted"
    return "no connection to GitHub" if never_sent(error) else "the connection to GitHub broke"


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a `retry-after` header (a number or an HTTP date), None without a usable one."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return None


def advice(response: Response, reason: str, needs: str) -> str:
    """What an error answer means and what to do about it, with GitHub's own words where they add something."""
    status = response.status_code
    accepted = clean(response.headers.get("x-accepted-github-permissions", ""), 100).replace("=", ": ")
    permission = needs or accepted
    grant = f"the token lacks the permission `{permission}`" if permission else "the token lacks a permission"
    if status == 401:
        return "GitHub does not accept the token (401): GITHUB_TOKEN is wrong or has expired; set it again"
    if status == 403 and "not permitted to create or approve pull requests" in reason:
        return (
            "this repository forbids Actions to open pull requests (403): tick `Allow GitHub Actions to create and "
            "approve pull requests` in Settings > Actions > General, or use a GitHub App's token"
        )
    if status == 403:
        return (
            f"{grant} (403: {reason}); grant it in the job's `permissions:` "
            "(the run of a fork or of Dependabot never has it)"
        )
    if status in (404, 410):
        more = f", and that the token has `{permission}`" if permission else ""
        return f"GitHub does not find it ({status}: {reason}); check the name and number{more}"
    if status == 409:
        return f"something else changed it at the same time (409: {reason}); run again"
    if status == 422:
        return f"GitHub refuses the content (422: {reason})"
    return f"GitHub answers {status} ({reason})"
