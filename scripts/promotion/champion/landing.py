"""Land a checked commit on main at once and apply it: git first, then the registry, so that main never lags."""

from collections.abc import Callable

from promotion.champion.apply import apply, plan_model
from promotion.champion.checks import Permissions
from promotion.errors import PromotionError
from promotion.git.commits import push
from promotion.git.repo import Repo
from promotion.registry.client import Registry


def land(
    repo: Repo,
    registry: Registry,
    model: str,
    commit: str,
    *,
    base: str,
    by: str,
    reason: str | None,
    say: Callable[[str], None] = print,
) -> bool:
    """Push a commit to `base` as a plain fast-forward, then move @champion of one model; return whether it moved.

    Raise PromotionError, with nothing moved, when the branch moved meanwhile or does not take the push.
    Where the push is taken and the registry is not, main is right and promote.yml does the rest: that
    is said, and False returned.
    """
    push(repo, commit, base)
    say(f"{base} is now {commit[:12]}")
    try:
        planned = plan_model(repo, commit, registry, model, Permissions(thaw=reason))
        return apply([planned], registry, by=by, reason=reason, say=say)
    except PromotionError as error:
        say(f"not applied from here: {error}")
        say(f"{base} has it, so the next run of promote.yml applies it: `gh workflow run promote.yml`")
        return False
