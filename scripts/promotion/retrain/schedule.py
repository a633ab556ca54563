"""The scheduled opener: for each model one retrain pull request when a whole new test window is labelled.

It opens nothing after a rollback, during a freeze, or where a person closed the last one, so that it never
argues with people.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from promotion.champion.pins import PinHistory
from promotion.champion.rollback import last_change_is_rollback
from promotion.config.model_yaml import as_date, newest_as_of, read_as_of
from promotion.config.promotion_yaml import Entry
from promotion.errors import PromotionError
from promotion.git.commits import fetch_branch, remote_branches
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.github.actions import beside
from promotion.github.client import BOT, GitHub
from promotion.github.pulls import Host, own_pull
from promotion.retrain.open import Opened, moves_only_as_of, open_retrain, plan_retrain


@dataclass(frozen=True)
class Due:
    """Whether a model is due, and why or why not in one sentence."""

    model: str
    due: bool
    why: str


def is_due(repo: Repo, history: PinHistory, model: str, entry: Entry, today: date) -> Due:
    """Decide from main alone whether a model is due for a retrain pull request."""
    path = f"models/{model}/model.yaml"
    text = repo.file_at(history.tip, path)
    if text is None:
        return Due(model, False, f"there is no models/{model}/ (adopted?), so nothing can be trained")
    if entry.freeze is not None:
        return Due(model, False, f"frozen: {entry.freeze}")
    back = last_change_is_rollback(history, model)
    if back is not None:
        when = back.commit.when[:10]
        return Due(
            model, False, f"its champion was rolled back on {when}; quiet until a person opens a retrain pull request"
        )
    current, newest = read_as_of(text, repo.at(path)), newest_as_of(today, entry.policy.measure)
    return _spaced(model, current, newest, entry, "main is")


def _spaced(model: str, current: date, newest: date, entry: Entry, what: str) -> Due:
    """A new test window must not overlap the last one: overlapping days wear out (`looks`)."""
    measure = entry.policy.measure
    following = current + timedelta(days=measure.test_days)
    if newest >= following:
        return Due(model, True, f"{what} at as_of {current}, labels are known for {newest}")
    day = following + timedelta(days=measure.test_days + measure.delay_days)
    return Due(model, False, f"{what} at as_of {current}; the next whole test window is labelled on {day}")


def run_schedule(
    repo: Repo,
    host: Host,
    *,
    base: str,
    into: str,
    today: date,
    only: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> bool:
    """Open or move on the retrain pull request of every model that is due; return whether none failed.

    A pull request that was opened with the workflow's own token starts no run by itself, so its run is
    dispatched. One model's failure does not stop the others.
    """
    promotion = promotion_at(repo, base)
    entries = {name: promotion.entry(name) for name in sorted(only or promotion.models)}
    if host.github is None:
        raise PromotionError("GITHUB_TOKEN is not set; schedule opens pull requests, so it needs one")
    good, opener = True, _Opener(repo, host, host.github, PinHistory(repo, base), into, today)
    for name, entry in entries.items():
        try:
            say(f"{name}: {_one(opener, name, entry)}")
        except PromotionError as error:
            good = False
            say(f"{name}: FAILED: {error.brief}")
    return good


@dataclass(frozen=True)
class _Opener:
    """What is the same for every model of one schedule. history: of the production branch."""

    repo: Repo
    host: Host
    github: GitHub
    history: PinHistory
    into: str
    today: date


def _one(opener: _Opener, model: str, entry: Entry) -> str:
    """Open or move on one model's pull request if it is due; return what was done, or why nothing was."""
    repo, github, into, today = opener.repo, opener.github, opener.into, opener.today
    base = opener.history.tip
    due = is_due(repo, opener.history, model, entry, today)
    if not due.due:
        return due.why
    newest = newest_as_of(today, entry.policy.measure)
    own = own_pull(github, model, into)
    if own is None:
        closed = _closed_by_hand(repo, github, model, newest, entry)
        if closed is not None:
            return closed
    else:
        tip = fetch_branch(repo, own.head_ref)
        if tip is None or not moves_only_as_of(repo, tip, base, model):
            return f"#{own.number} is open and contains more than new data; leaving it to its author: {own.url}"
        path = f"models/{model}/model.yaml"
        there = read_as_of(repo.file_at(tip, path) or "", repo.at(path))
        if not _spaced(model, there, newest, entry, "it is").due:
            newest = there
    said: list[str] = []
    found = plan_retrain(repo, base, model, as_of=newest, today=today, take_edit=False)
    opened = open_retrain(repo, opener.host, found, into=into, branch=None, say=said.append)
    assert opened is not None
    return "; ".join([*said, *start(github, opened)])


def _closed_by_hand(repo: Repo, github: GitHub, model: str, newest: date, entry: Entry) -> str | None:
    """Say so where a person closed the last retrain pull request and left its branch; it counts as a no."""
    dated = re.compile(rf"retrain/{re.escape(model)}-(\d{{4}}-\d{{2}}-\d{{2}})")
    found = []
    for branch, tip in remote_branches(repo, f"retrain/{model}-*").items():
        match = dated.fullmatch(branch)
        if match is not None:
            found.append((as_date(match[1]), branch, tip))
    for day, branch, tip in sorted(found, reverse=True)[:1]:
        due = _spaced(model, day, newest, entry, f"{branch} is")
        closed = [pull for pull in github.pulls_of_commit(tip) if pull.head_ref == branch and pull.state == "closed"]
        if closed and not due.due:
            return f"#{closed[-1].number} was closed without a merge; {due.why}"
    return None


def start(github: GitHub, opened: Opened) -> list[str]:
    """Dispatch the retrain run where the pull request cannot start it itself."""
    pull = opened.pull
    if pull.author.lower() not in (BOT, github.login.lower()):
        return []
    workflow = beside("retrain.yml")
    if not opened.pushed and github.runs(workflow, most=1, event="workflow_dispatch", head_sha=pull.head_sha):
        return []
    github.dispatch(workflow, pull.head_ref, {"pull_request": str(pull.number)})
    return [f"started {workflow} on {pull.head_ref}"]
