"""Put the winners' pins on a pull request's branch: one commit, a plain fast-forward, or nothing and why."""

from collections.abc import Mapping

from promotion.config.edit import splice
from promotion.config.pin import PinRecord
from promotion.config.policy import FILE
from promotion.config.promotion_yaml import parse
from promotion.errors import PromotionError
from promotion.git.commits import Change, commit_on, fetch_branch, push
from promotion.git.repo import Repo
from promotion.git.tree import folder_at
from promotion.records import Plan, Record

UPDATE = "update the branch (the button on the pull request, or `python scripts/retrain.py update`): it is judged again"


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
    base = _tip(repo, base_ref)
    blocked = base_moved(repo.file_at(plan.base, FILE), repo.file_at(base, FILE), tuple(pins))
    if blocked is not None:
        return Pushed(blocked=blocked)
    commit = pin_commit(repo, plan.head, pins, f"Pin {_named(pins)} (#{number})")
    blocked = unmergeable(repo, base, commit, pins)
    if blocked is not None:
        return Pushed(blocked=blocked)
    tip = _tip(repo, head_ref)
    if tip == plan.head:
        try:
            push(repo, commit, head_ref)
            return Pushed(commit=commit)
        except PromotionError:
            tip = _tip(repo, head_ref)
            if tip == plan.head:
                raise
    # A second run of the same judgement finds the first one's commit: the same tree on the same parent.
    if repo.parents(tip) == (plan.head,) and repo.object_at(tip, "") == repo.object_at(commit, ""):
        return Pushed(commit=tip)
    return Pushed(
        blocked=f"the branch moved from {plan.head[:12]} to {tip[:12]} while it was judged, so nothing was pushed; "
        "the run of the newer commit decides"
    )


def _tip(repo: Repo, branch: str) -> str:
    tip = fetch_branch(repo, branch)
    if tip is None:
        raise PromotionError("the branch of this pull request, or its base, is gone from origin; nothing was pushed")
    return tip


def _named(pins: Mapping[str, PinRecord]) -> str:
    return ", ".join(f"{model} {pin.version}" for model, pin in sorted(pins.items()))


def base_moved(before: str | None, now: str | None, models: tuple[str, ...]) -> str | None:
    """Say why a judgement against promotion.yaml `before` no longer holds against `now`; None where it does."""
    if before == now:
        return None
    old, new = (({} if text is None else parse(text).models) for text in (before, now))
    for model in models:
        was, entry = old.get(model), new.get(model)
        if (was is None) != (entry is None):
            return f"the base's entry of {model} appeared or went while this was judged; {UPDATE}"
        if was is None or entry is None:
            continue
        if was.champion != entry.champion:
            champion = "none" if entry.champion is None else f"version {entry.champion.version}"
            return f"the base's champion of {model} is now {champion}, which was not challenged; {UPDATE}"
        if (was.policy.digest, was.freeze) != (entry.policy.digest, entry.freeze):
            return f"the base's policy of {model} changed while this was judged; {UPDATE}"
    return None


def pin_commit(repo: Repo, head: str, pins: Mapping[str, PinRecord], message: str) -> str:
    """Return a new commit on `head`, on no branch, whose promotion.yaml has the pins; nothing is checked out."""
    text = splice(repo.file_at(head, FILE) or "", dict(pins))
    return commit_on(repo, head, Change(files={FILE: text}), message)


def unmergeable(repo: Repo, base: str, commit: str, pins: Mapping[str, PinRecord]) -> str | None:
    """Merge the pinned head with the base's tip, in memory: say why the result would not be green, or None."""
    tree = repo.merged(base, commit)
    if tree is None:
        return f"with its pin the branch would conflict with the base; {UPDATE}"
    merged = parse(repo.file_at(tree, FILE) or "").models
    for model, pin in pins.items():
        entry = merged.get(model)
        if entry is None or entry.champion != pin:
            return f"merged with the base, {FILE} would not pin {model} version {pin.version}; {UPDATE}"
        if folder_at(repo, tree, f"models/{model}") != pin.source_tree:
            return f"the base's models/{model}/ changed while this was judged; {UPDATE}"
    return None
