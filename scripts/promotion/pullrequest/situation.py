"""What an event allows: which pull request it is about, whether there are credentials, whether a pin may be pushed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from promotion.errors import PromotionError
from promotion.github.client import GitHub, same_repo
from promotion.github.event import Event
from promotion.pullrequest.runners import not_asked
from promotion.records.plan import ModelPlan, Plan
from promotion.text.escape import clean

THROWAWAY = "sqlite:///throwaway.db"
GATE_ALONE = (
    "This pull request comes from a fork or from Dependabot, so GitHub gives its run no credentials: the candidate was "
    "checked against the gate alone, in a throwaway tracker; nothing was registered, challenged or pinned. To promote "
    "it, a maintainer pushes this branch to the repository itself and opens a pull request from there."
)
NO_TRACKER = (
    "This repository does not set MLFLOW_TRACKING_URI yet, so this is a trial: the candidate was trained and checked "
    "against the gate alone, in a throwaway tracker; nothing was registered, challenged or pinned. To promote, give "
    "the repository the variable MLFLOW_TRACKING_URI and its secrets (.github/SETUP.md, 2), and run this again."
)
DRAFT = "this is a draft, so nothing is trained; mark it ready for review and it is judged"
QUEUE = "a merge queue trains nothing; take it out of the queue, update the branch, and queue it when it is pinned"


@dataclass(frozen=True)
class Situation:
    """number: the pull request that hears about it (None in a merge queue). head_ref, base_ref: its branches, raw.

    credentials: False for a fork and Dependabot. verify_only: why nothing may be trained or pinned, or None.
    dispatched: started by hand or by schedule.yml, so the check is posted as a commit status. head_sha: the commit
    that the event, or a dispatch's pull request, is at; what is judged must be this one. author: of the pull request.
    """

    number: int | None
    head_ref: str
    base_ref: str
    credentials: bool = True
    verify_only: str | None = None
    dispatched: bool = False
    head_sha: str | None = None
    author: str | None = None

    @property
    def speaks(self) -> bool:
        """Whether this run may comment, set statuses and push."""
        return self.credentials and self.number is not None

    @property
    def adapt(self) -> Callable[[Plan], Plan]:
        """What this situation makes of a plan."""
        if not self.credentials:
            return lambda plan: not_asked(gate_alone(plan))
        why = self.verify_only
        return (lambda plan: plan) if why is None else (lambda plan: only_verified(plan, why))


def situation(event: Event, github: Callable[[], GitHub], *, production: str = "main") -> Situation:
    """Return what an event allows; `github` is only called where the event does not say it (a dispatch).

    Raise PromotionError for a pull request into another branch than `production`: a check belongs to a commit,
    whatever it is merged into, so a success for another base would count for this one too.
    """
    found = _situation(event, github)
    if found.base_ref != production:
        raise PromotionError(
            f"this pull request goes into `{clean(found.base_ref, 100)}`, and only those into {production} are judged; "
            "change its base, and it is"
        )
    return found


def _situation(event: Event, github: Callable[[], GitHub]) -> Situation:
    if event.name == "pull_request":
        return Situation(
            number=event.number,
            head_ref=event.head_ref,
            base_ref=event.base_ref,
            credentials=not event.without_credentials,
            verify_only=DRAFT if event.draft else None,
            head_sha=event.head_sha,
            author=event.author or None,
        )
    if event.merge_group:
        return Situation(number=None, head_ref=event.head_ref, base_ref=event.base_ref, verify_only=QUEUE)
    return _dispatched(event, github)


def _dispatched(event: Event, github: Callable[[], GitHub]) -> Situation:
    number = event.inputs.get("pull_request", "")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", number):
        raise PromotionError("the dispatch names no pull request; give the input `pull_request` its number")
    pull = github().pull(int(number))
    if pull.state != "open":
        raise PromotionError(f"pull request #{number} is {pull.state}; only an open one can be judged")
    if not same_repo(pull.head_repo, event.repo):
        raise PromotionError(f"pull request #{number} comes from a fork; its own run judges it, without credentials")
    return Situation(
        number=pull.number,
        head_ref=pull.head_ref,
        base_ref=pull.base_ref,
        verify_only=DRAFT if pull.draft else None,
        dispatched=True,
        head_sha=pull.head_sha,
        author=pull.author,
    )


def gate_alone(plan: Plan, why: str = GATE_ALONE) -> Plan:
    """Drop the champions, which a run without credentials cannot fetch, and refuse pins, which it cannot verify."""
    return _changed(plan, lambda item: _alone(item, why))


def _alone(item: ModelPlan, why: str) -> ModelPlan:
    if item.elsewhere is not None:
        reason = "its model is in the tracker, which a run without credentials cannot read"
        return item.model_copy(update={"action": "refuse", "reason": reason})
    if item.action in ("train", "judge"):
        first = (why, *item.says_first)
        return item.model_copy(update={"champion": None, "gate_alone": True, "says_first": first})
    if item.pin != item.champion:
        reason = "its pin moves, which a run without credentials cannot verify; a maintainer pushes this branch instead"
        return item.model_copy(update={"action": "refuse", "reason": reason})
    return item.model_copy(update={"action": "none"}) if item.action == "verify" else item


def only_verified(plan: Plan, why: str) -> Plan:
    """Refuse what would have to be trained."""

    def stop(item: ModelPlan) -> ModelPlan:
        if item.action not in ("train", "judge"):
            return item
        return item.model_copy(update={"action": "refuse", "reason": f"{item.reason}; {why}"})

    return _changed(plan, stop)


def _changed(plan: Plan, change: Callable[[ModelPlan], ModelPlan]) -> Plan:
    """Change each model's plan, and with them the refusals that name models."""
    models = tuple(change(item) for item in plan.models)
    old = {f"{item.model}: {item.reason}" for item in plan.models}
    new = [f"{item.model}: {item.reason}" for item in models if item.action == "refuse"]
    refusals = (*new, *(line for line in plan.refusals if line not in old))
    return plan.model_copy(update={"models": models, "refusals": refusals})
