"""Put the winners' pins on a pull request's branch: one commit, a plain fast-forward, or nothing and why."""

from collections.abc import Mapping

from promotion.config import FILE
from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.frozen import Record
from promotion.git.commits import Change, commit_on, push
from promotion.git.promotion_at import promotion_text
from promotion.git.repo import Repo
from promotion.pullrequest.moved import base_moved, tip, unmergeable
from promotion.records.plan import Plan


class Pushed(Record):
    """What pin.py did. Written as pushed.json. commit: the new head. blocked: why an earned pin is not on it."""

    commit: str | None = None
    blocked: str | None = None


def push_pins(
    repo: Repo, plan: Plan, pins: Mapping[str, PinRecord], *, head_ref: str, base_ref: str, number: int
) -> Pushed:
    """Commit the pins on top of the judged head and push it; push nothing where head or base moved meanwhile.

    What is pushed was merged with the base's tip in memory first: the merge result pins every winner
    and has its tree, so the pull request is green as soon as it is there.
    """
    base = tip(repo, base_ref)
    blocked = base_moved(repo, plan.base, base, tuple(pins))
    if blocked is not None:
        return Pushed(blocked=blocked)
    commit = pin_commit(repo, plan.head, pins, f"Pin {_named(pins)} (#{number})")
    trees = {model: pin.source_tree for model, pin in pins.items()}
    blocked = unmergeable(repo, base, commit, pins, trees)
    if blocked is not None:
        return Pushed(blocked=blocked)
    now = tip(repo, head_ref)
    if now == plan.head:
        try:
            push(repo, commit, head_ref)
            return Pushed(commit=commit)
        except PromotionError:
            now = tip(repo, head_ref)
            if now == plan.head:
                raise
    # A second run of the same judgement finds the first one's commit: the same tree on the same parent.
    if repo.parents(now) == (plan.head,) and repo.top.object_at(now, "") == repo.top.object_at(commit, ""):
        return Pushed(commit=now)
    return Pushed(
        blocked=f"the branch moved from {plan.head[:12]} to {now[:12]} while it was judged, so nothing was pushed; "
        "the run of the newer commit decides"
    )


def _named(pins: Mapping[str, PinRecord]) -> str:
    return ", ".join(f"{model} {pin.version}" for model, pin in sorted(pins.items()))


def pin_commit(repo: Repo, head: str, pins: Mapping[str, PinRecord], message: str) -> str:
    """Return a new commit on `head`, on no branch, whose promotion.yaml has the pins; nothing is checked out."""
    text = splice(promotion_text(repo, head), dict(pins))
    return commit_on(repo, head, Change(files={FILE: text}), message)
