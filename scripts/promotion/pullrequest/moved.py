"""Whether a judgement still is about the pull request: its commits, its branch and its base as they are now."""

from collections.abc import Mapping

from promotion.config import FILE
from promotion.config.pin import PinRecord
from promotion.errors import PromotionError
from promotion.git.commits import fetch_branch
from promotion.git.promotion_at import promotion_at
from promotion.git.repo import Repo
from promotion.git.tree import folder_at
from promotion.pullrequest.situation import Situation
from promotion.records.plan import Plan

UPDATE = "update the branch (the button on the pull request, or `python scripts/retrain.py update`): it is judged again"


def need_commits(repo: Repo, where: Situation, *, base: str, head: str) -> None:
    """Raise PromotionError unless a merge result is the pull request's: of its head, into the production branch.

    The check of a run is shown on the head that its event names, and a merge result may be older or newer.
    """
    if where.number is None:
        return
    if head != where.head_sha:
        raise PromotionError(
            f"the merge result is of commit {head[:12]}, but #{where.number} is at {str(where.head_sha)[:12]}; "
            "nothing was judged: the run of the newer commit decides"
        )
    if not repo.on_first_parent(base, tip(repo, where.base_ref)):
        raise PromotionError(
            f"the base {base[:12]} of this merge result is no commit of {where.base_ref}; nothing was judged: "
            "update the branch"
        )


def moved(repo: Repo, plan: Plan, *, head_ref: str, base_ref: str) -> str | None:
    """Say why a plan no longer holds for the branch and its base as they are now; None where it does.

    Only what it says about models counts: a pull request that touches none may be merged into any base.
    """
    touched = {item.model: item for item in plan.models if item.action != "none"}
    if not touched:
        return None
    now = tip(repo, head_ref)
    judged = any(item.action in ("train", "judge") for item in touched.values())
    if now != plan.head and not (judged and _pins_alone(repo, plan.head, now)):
        return (
            f"the branch moved from {plan.head[:12]} to {now[:12]} while it was judged; the run of the newer commit "
            "decides"
        )
    base = tip(repo, base_ref)
    blocked = base_moved(repo, plan.base, base, tuple(touched))
    if blocked is not None or base == plan.base:
        return blocked
    expected = {name: item.pin for name, item in touched.items()}
    trees = {name: item.source_tree for name, item in touched.items()}
    return unmergeable(repo, base, plan.head, expected, trees)


def _pins_alone(repo: Repo, head: str, now: str) -> bool:
    """Whether a branch may have moved by an earlier run's pins: push_pins finds that they are its own, or refuses."""
    return repo.parents(now) == (head,) and repo.changed_paths(head, now) == (repo.at(FILE),)


def tip(repo: Repo, branch: str) -> str:
    """Return a branch's tip as hosted; raise PromotionError where it is gone."""
    found = fetch_branch(repo, branch)
    if found is None:
        raise PromotionError("the branch of this pull request, or its base, is gone from origin; nothing was pushed")
    return found


def base_moved(repo: Repo, before: str, now: str, models: tuple[str, ...]) -> str | None:
    """Say why a judgement against the base `before` no longer holds against `now`; None where it does."""
    if before == now:
        return None
    old, new = (promotion_at(repo, commit, base=True).models for commit in (before, now))
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


def unmergeable(
    repo: Repo,
    base: str,
    commit: str,
    pins: Mapping[str, PinRecord | None],
    trees: Mapping[str, str | None],
) -> str | None:
    """Merge a commit with the base's tip, in memory: say why the result is not these pins and trees, or None."""
    tree = repo.merged(base, commit)
    if tree is None:
        return f"the branch would conflict with the base; {UPDATE}"
    merged = promotion_at(repo, tree).models
    for model, pin in pins.items():
        entry = merged.get(model)
        if (None if entry is None else entry.champion) != pin:
            version = "no version" if pin is None else f"version {pin.version}"
            return f"merged with the base, {FILE} would not pin {version} of {model}; {UPDATE}"
        if folder_at(repo, tree, f"models/{model}") != trees[model]:
            return f"the base's models/{model}/ changed while this was judged; {UPDATE}"
    return None
