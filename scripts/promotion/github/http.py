"""HTTP to GitHub's REST API: headers, timeouts, bounded retries, rate limits, pages, and errors as sentences."""

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from promotion.errors import PromotionError
from promotion.github.errors import (
    GitHubError,
    Unconfirmed,
    advice,
    never_sent,
    plain,
    retry_after,
)
from promotion.text.escape import clean

API_VERSION = "2022-11-28"  # GitHub Enterprise Server serves it too
PER_PAGE = 100
MAX_PAGES = 300
MAX_BYTES = 64 * 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Patience:
    """How long to try: seconds per connect and read, attempts, seconds for one call with all its waits."""

    connect: float = 10.0
    read: float = 30.0
    attempts: int = 6
    deadline: float = 600.0


@dataclass(frozen=True)
class _Call:
    """One logical request: what stays the same over its attempts and pages."""

    method: str
    doing: str
    needs: str
    repeat: bool
    deadline: float


class Bearer(requests.auth.AuthBase):
    """The token as a header; an auth object so that no ~/.netrc replaces it, and nothing prints it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the Authorization header, or none at all without a token."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        """Say whether there is a token, never which."""
        return "Bearer(***)" if self._token else "Bearer()"


class Transport:
    """Requests to one API server. `clock`: monotonic seconds; `now`: seconds since 1970; all three can be injected."""

    def __init__(
        self,
        api_url: str,
        token: str = "",
        *,
        session: requests.Session | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.api_url = checked_url(api_url, with_token=bool(token))
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            raise PromotionError("the GitHub token contains blanks or control characters; set GITHUB_TOKEN again")
        host = urlsplit(self.api_url).hostname
        self._proxies = {"no_proxy": host} if host in LOOPBACK else None  # a proxy cannot reach this machine's loopback
        self._auth = Bearer(token)
        self._token = token
        self._session = session or requests.Session()
        self._patience = patience or Patience()
        self._clock, self._now, self._sleep = clock, now, sleep
        self._jitter = random.Random()

    def __repr__(self) -> str:
        """The server and whether a token is held."""
        return f"{type(self).__name__}({self.api_url!r}, {self._auth!r})"

    def request(
        self, method: str, path: str, *, doing: str, needs: str = "", repeat: bool | None = None, **content: Any
    ) -> Any:
        """Return the decoded JSON answer (None for an empty one) of one request, tried again as far as is safe.

        doing: what the request is for, as errors say it ("update the comment on pull request #7");
        needs: the permission it takes ("pull-requests: write"); repeat: whether an answer that was lost
        may be asked for again (default: every method but POST). content: `json` and `params` of requests.
        Raises GitHubError, or Unconfirmed where the request may or may not have taken effect.
        """
        repeat = method != "POST" if repeat is None else repeat
        call = _Call(method, doing, needs, repeat, self._clock() + self._patience.deadline)
        return self._attempts(call, self.api_url + path, content)[0]

    def pages(self, path: str, *, doing: str, needs: str = "", key: str | None = None, **params: Any) -> Iterator[Any]:
        """Yield the items of a list over all its pages, following `Link` on this server only; key: where they are."""
        call = _Call("GET", doing, needs, True, self._clock() + self._patience.deadline)
        url: str | None = self.api_url + path
        content: dict[str, Any] = {"params": {**params, "per_page": PER_PAGE}}
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= MAX_PAGES:
                raise GitHubError(f"cannot {doing}: the list does not end within {MAX_PAGES} pages of {PER_PAGE}")
            seen.add(url)
            answer, links = self._attempts(call, url, content)
            items = answer.get(key) if key is not None and isinstance(answer, dict) else answer
            if not isinstance(items, list):
                raise GitHubError(
                    f"cannot {doing}: GitHub's answer is not a list; is {self.api_url} the API's address?"
                )
            yield from items
            url, content = links.get("next", {}).get("url"), {}
            if url is not None and origin(url) != origin(self.api_url):
                raise GitHubError(f"cannot {doing}: the next page is on another server, so the token is not sent there")

    def _attempts(self, call: _Call, url: str, content: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The decoded answer and its links."""
        lost = ""
        for attempt in range(self._patience.attempts):
            wait, sent = None, True
            try:
                response, body = self._send(call, url, content)
                if response.status_code in (301, 302, 307, 308):
                    url = self._moved(response, call)
                    continue
                wait = self._rate_limit(response, body, attempt)
                if wait is None and response.status_code < 500:
                    if call.method == "DELETE" and lost and response.status_code in (404, 410):
                        return None, {}  # the attempt whose answer was lost did delete it
                    return self._decode(response, body, call), response.links
                lost = f"GitHub answers {response.status_code}"
                sent = wait is None  # a request over the limit was refused, so it took no effect
            except requests.exceptions.RequestException as error:
                lost, sent = plain(error), not never_sent(error)
            except (_Truncated, ValueError):  # of the latter kind is a redirect to what is no address
                lost = "GitHub's answer was cut short, or makes no sense"
            if sent and not call.repeat:
                raise Unconfirmed(
                    f"GitHub may or may not have received the request to {call.doing} ({lost}); "
                    "check there before running this again"
                )
            self._pause(wait, attempt, call, lost)
        times = self._patience.attempts
        raise GitHubError(f"cannot {call.doing}: {lost or 'too many redirects'}, {times} times; run again later")

    def _send(self, call: _Call, url: str, content: dict[str, Any]) -> tuple[requests.Response, bytes]:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "promote-by-pull-request",
        }
        timeout = (self._patience.connect, self._patience.read)
        with self._session.request(
            call.method,
            url,
            headers=headers,
            auth=self._auth,
            timeout=timeout,
            allow_redirects=False,
            proxies=self._proxies,
            stream=True,
            **content,
        ) as response:
            parts, size = [], 0
            for part in response.iter_content(65536):
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES or self._clock() > call.deadline:
                    raise _Truncated  # a body that is endless or very slow must not block the job
        return response, b"".join(parts)

    def _decode(self, response: requests.Response, body: bytes, call: _Call) -> Any:
        try:
            answer = json.loads(body) if body.strip() else None
        except (ValueError, RecursionError):
            if response.status_code < 300:
                raise _Truncated from None
            answer = None
        if response.status_code < 300:
            return answer
        reason = self._reason(answer)
        raise GitHubError(
            f"cannot {call.doing}: {advice(response, reason, call.needs)}", status=response.status_code, reason=reason
        )

    def _reason(self, answer: Any) -> str:
        """GitHub's own words as one short line, without the token."""
        if not isinstance(answer, dict):
            return ""
        parts = [str(answer.get("message") or "")]
        errors = answer.get("errors")
        for error in (errors if isinstance(errors, list) else [])[:3]:
            parts.append(
                str(error.get("message") or error.get("code") or "") if isinstance(error, dict) else str(error)
            )
        text = clean("; ".join(part for part in parts if part), 300)
        return text.replace(self._token, "***") if self._token else text

    def _rate_limit(self, response: requests.Response, body: bytes, attempt: int) -> float | None:
        """Seconds to wait where the answer is a rate limit, else None.

        https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
        """
        status, headers = response.status_code, response.headers
        after = retry_after(headers.get("retry-after"), self._now())
        if status == 503 and after is not None:
            return after
        spent = headers.get("x-ratelimit-remaining") == "0"
        said = re.search(rb'"message":\s*"[^"]*(rate limit|abuse detection)', body[:2000], re.IGNORECASE) is not None
        if status not in (403, 429) or not (status == 429 or after is not None or spent or said):
            return None
        if after is not None:
            return after
        reset = headers.get("x-ratelimit-reset", "")
        if spent and reset.isascii() and reset.isdigit():
            return max(1.0, float(reset) - self._now() + 1.0)
        return 60.0 * 2**attempt

    def wait(self, attempt: int) -> None:
        """Sleep a little, longer with each attempt and never the same twice, so that two runs drift apart."""
        self._sleep(self._jitter.uniform(0.1, min(10.0, 0.5 * 2**attempt)))

    def _pause(self, wait: float | None, attempt: int, call: _Call, why: str) -> None:
        if attempt + 1 >= self._patience.attempts:
            return
        seconds = self._jitter.uniform(0.1, min(10.0, 0.5 * 2**attempt)) if wait is None else wait
        seconds += 0.0 if wait is None else self._jitter.uniform(0, 1)
        if self._clock() + seconds > call.deadline:
            again = datetime.fromtimestamp(min(self._now() + seconds, 253370764800), UTC).strftime("%Y-%m-%d %H:%M UTC")
            raise GitHubError(f"cannot {call.doing}: {why}; out of time, run again after {again}")
        self._sleep(seconds)

    def _moved(self, response: requests.Response, call: _Call) -> str:
        target = requests.compat.urljoin(response.url, response.headers.get("location", ""))
        if origin(target) != origin(self.api_url) or (call.method != "GET" and response.status_code in (301, 302)):
            raise GitHubError(
                f"cannot {call.doing}: GitHub says that the repository has moved; "
                "use its new name (git remote set-url, GITHUB_REPOSITORY)",
                status=response.status_code,
            )
        return target


class _Truncated(Exception):
    """The body ended early, was too long, or was not JSON."""


def checked_url(url: str, *, with_token: bool) -> str:
    """Return an API address without a final slash; refuse one that would carry the token in clear text."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None or parts.query:
        raise PromotionError(
            f"`{clean(url, 100)}` is not an API address; set GITHUB_API_URL, say https://api.github.com"
        )
    if with_token and parts.scheme == "http" and host not in LOOPBACK:
        raise PromotionError(f"{url} is not https, so the token is not sent; set GITHUB_API_URL to the https address")
    return url.rstrip("/")


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address, the default port filled in; of what is none, that of nowhere."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None
