"""The one comment a pull request has, and the one issue a subject has: found by own author and hidden marker."""

from contextlib import suppress

from promotion.errors import PromotionError
from promotion.github.client import Comment, GitHub, Issue, fitting
from promotion.github.errors import GitHubError, Unconfirmed

REPORT_MARKER = "<!-- promotion-report -->"
ROUNDS = 6


def upsert_comment(github: GitHub, number: int, marker: str, body: str) -> Comment:
    """Leave exactly one comment of ours that begins with `marker` on a pull request, with `body` below it.

    All pages are read. The oldest survives: it is updated, later ones of ours are deleted, so runs at
    the same time agree on it. A comment of another author with our marker is left alone. One that
    disappears meanwhile is written again; a creation whose answer was lost is looked for, not repeated.
    Raises GitHubError (a permission, for example), PromotionError where the text is over the limit.
    """
    text = fitting(marked(marker, body))
    lost: GitHubError | None = None
    for attempt in range(ROUNDS):
        mine = own_comments(github, number, marker)
        if not mine:
            try:
                created = github.create_comment(number, text)
            except Unconfirmed as error:
                lost = error
                github.wait(attempt)
                continue
            github.login = created.author  # a wrong PROMOTION_LOGIN must not leave one comment a run
            listed = {comment.id: comment for comment in own_comments(github, number, marker)}
            mine = sorted((listed | {created.id: created}).values(), key=lambda comment: comment.id)
        survivor, *others = mine
        if survivor.body != text:
            try:
                survivor = github.update_comment(survivor.id, text)
            except GitHubError as error:
                if error.status not in (404, 410):
                    raise
                lost = error  # deleted since it was listed
                github.wait(attempt)
                continue
        for other in others:
            github.delete_comment(other.id)
        return survivor
    raise PromotionError(f"cannot keep one comment on #{number} after {ROUNDS} tries ({lost}); run again")


def own_comments(github: GitHub, number: int, marker: str) -> list[Comment]:
    """Return our comments that begin with the marker, the oldest first."""
    found = [comment for comment in github.comments(number) if _ours(github, comment.author, comment.body, marker)]
    return sorted(found, key=lambda comment: comment.id)


def upsert_issue(github: GitHub, marker: str, *, title: str, body: str, label: str) -> Issue:
    """Leave exactly one open issue of ours with this marker, with this title and body; later ones are closed.

    GitHub lists a new issue only after some seconds, so a second one can appear for that long; the
    next call closes it.
    """
    text = fitting(marked(marker, body))
    mine = _own_issues(github, marker, label, "open")
    if not mine:
        try:
            issue = github.create_issue(title, text, (label,))
        except Unconfirmed:
            github.wait(3)
            mine = _own_issues(github, marker, label, "open")
            if not mine:
                raise
        else:
            github.login = issue.author
            if label not in issue.labels:
                github.add_labels(issue.number, (label,))  # else the next run would not find it
            listed = {item.number: item for item in _own_issues(github, marker, label, "open")}
            mine = sorted((listed | {issue.number: issue}).values(), key=lambda item: item.number)
    survivor, *others = mine
    if (survivor.title, survivor.body) != (title, text):
        survivor = github.update_issue(survivor.number, title=title, body=text)
    for other in others:
        github.update_issue(other.number, state="closed", state_reason="not_planned")
    return survivor


def close_issue(github: GitHub, marker: str, label: str, *, comment: str) -> list[int]:
    """Close our open issues with this marker, each with a last comment; return their numbers."""
    mine = _own_issues(github, marker, label, "open")
    for issue in mine:
        github.update_issue(issue.number, state="closed", state_reason="completed")
        with suppress(Unconfirmed):  # the issue is closed, which matters; a second last word would not help
            github.create_comment(issue.number, comment)
    return [issue.number for issue in mine]


def marked(marker: str, body: str) -> str:
    """Return `body` with the hidden marker as its first line."""
    if not (marker.startswith("<!--") and marker.endswith("-->")) or "\n" in marker:
        raise ValueError(f"{marker!r} is not an HTML comment on one line")
    return body if body.startswith(marker) else f"{marker}\n{body}"


def _own_issues(github: GitHub, marker: str, label: str, state: str) -> list[Issue]:
    found = [item for item in github.issues(label=label, state=state) if _ours(github, item.author, item.body, marker)]
    return sorted(found, key=lambda item: item.number)


def _ours(github: GitHub, author: str, body: str, marker: str) -> bool:
    """Own author and marker on the first line: a marker that somebody quotes further down does not count."""
    return author.lower() == github.login.lower() and body.lstrip().startswith(marker)
