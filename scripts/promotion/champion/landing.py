"""Land a checked commit on main at once and apply it: git first, then the registry, so that main never lags."""

from dataclasses import dataclass

from promotion.champion.apply import apply, plan_move
from promotion.champion.checks import Permissions
from promotion.errors import PromotionError
from promotion.git.commits import push
from promotion.git.repo import Repo
from promotion.github.actions import beside
from promotion.registry.client import Registry
from promotion.text.escape import clean


@dataclass(frozen=True)
class Mandate:
    """Who wants a champion moved, and why (None: no reason was given).

    by: whom the commit is by, as git or GitHub knows it, never free text. proposed: it goes by a pull request,
    whose author, and not this name, is who moves it.
    """

    by: str
    reason: str | None
    proposed: bool = False

    @property
    def named(self) -> str | None:
        """The name for the pin: none where the pull request's author is not known yet."""
        return None if self.proposed else clean(self.by, 100)


def land(
    repo: Repo,
    registry: Registry,
    model: str,
    commit: str,
    *,
    branch: str,
    mandate: Mandate,
) -> bool:
    """Push a commit to `branch` as a plain fast-forward, then move @champion of one model; return whether it moved.

    Raise PromotionError, with nothing moved, when the branch moved meanwhile or does not take the push.
    Where the push is taken and the registry is not, main is right and promote.yml does the rest: that
    is said, and False returned.
    """
    push(repo, commit, branch)
    print(f"{branch} is now {commit[:12]}")
    return follow(repo, registry, model, commit, branch=branch, mandate=mandate)


def follow(repo: Repo, registry: Registry, model: str, commit: str, *, branch: str, mandate: Mandate) -> bool:
    """Move @champion of one model to what `commit`, which `branch` has, pins; return whether it is there."""
    try:
        planned = plan_move(repo, commit, registry, model, Permissions(thaw=mandate.reason), branch=branch)
        return apply([planned], registry, by=mandate.by, reason=mandate.reason)
    except PromotionError as error:
        print(f"not applied from here: {error}")
        file = beside("promote.yml", top=repo.top.path)
        print(f"{branch} has it, so the next run of {file} applies it: `gh workflow run {file}`")
        return False
