"""What an event allows, and what it makes of a plan."""

import pytest
from promotion.errors import PromotionError
from promotion.github.client import GitHub
from promotion.github.event import Event
from promotion.pullrequest.situation import DRAFT, QUEUE, Situation, gate_alone, only_verified, situation
from promotion.records.plan import ModelPlan, Plan, Runner

from tests.support import samples
from tests.support.github.standin import StandIn

REPO = "octo-org/fraud"


def event(name: str = "pull_request", **more: object) -> Event:
    """An event of this repository."""
    fields = {"repo": REPO, "head_sha": "a" * 40, "head_ref": "retrain/x", "head_repo": REPO, "base_ref": "main"}
    return Event(name=name, **{**fields, "number": 12, **more})  # type: ignore[arg-type]


def nobody() -> GitHub:
    """No question to GitHub is needed."""
    raise AssertionError("asked GitHub for nothing")


@pytest.mark.parametrize(
    ("given", "speaks", "verify_only"),
    [
        (event(), True, None),
        (event(draft=True), True, DRAFT),
        (event(head_repo="mallory/fraud"), False, None),
        (event(head_repo=None), False, None),
        (event(author="dependabot[bot]"), False, None),
        (event("merge_group", number=12), False, QUEUE),
    ],
    ids=["own", "draft", "fork", "fork that is gone", "dependabot", "merge queue"],
)
def test_who_may_speak_and_who_only_verifies(given: Event, speaks: bool, verify_only: str | None) -> None:
    """A fork and Dependabot say nothing, a queue neither; a draft and a queue train nothing."""
    found = situation(given, nobody)

    assert (found.speaks, found.verify_only) == (speaks, verify_only)


@pytest.mark.parametrize(("author", "known"), [("alice", "alice"), ("", None)])
def test_an_override_is_by_the_author_of_its_pull_request(author: str, known: str | None) -> None:
    """Whose name it may give; a deleted account has none, and is nobody's name either."""
    assert situation(event(author=author), nobody).author == known


def test_a_dispatch_is_about_the_open_pull_request_it_names(github: StandIn) -> None:
    """schedule.yml starts retrain.yml for the pull request that it opened."""
    number = github.hub.add_pull("retrain/tiny")
    client = GitHub(github.url, REPO, "t-actions")
    found = situation(event("workflow_dispatch", number=None, inputs={"pull_request": str(number)}), lambda: client)

    assert found == Situation(number, "retrain/tiny", "main", dispatched=True, head_sha="a" * 40, author="alice")


def test_a_fork_chooses_no_runner(github: StandIn) -> None:
    """Its model.yaml may ask for a label that is allowed: who may not push gets the workflow's own, and is told."""
    asked = samples.model_plan().model_copy(update={"runner": Runner(runs_on="gpu", timeout_minutes=900)})
    plan = Plan(base="b", head="h", merge="m", lock="none", models=(asked,))
    fork, own = situation(event(head_repo="mallory/fraud"), nobody), situation(event(), nobody)

    assert fork.adapt(plan).models[0].runner is None
    assert "asks for a runner or a time of its own" in fork.adapt(plan).models[0].says_first[-1]
    assert own.adapt(plan).models[0].runner == asked.runner


@pytest.mark.parametrize("number", ["", "0", "12; rm -rf /", "-1", "1" * 30, "${{ secrets.X }}"])
def test_a_dispatch_names_a_number(number: str) -> None:
    """Anything else is one sentence, and GitHub is not asked."""
    with pytest.raises(PromotionError, match="names no pull request"):
        situation(event("workflow_dispatch", inputs={"pull_request": number}), nobody)


def test_a_dispatch_never_lends_credentials_to_a_fork(github: StandIn) -> None:
    """Also a maintainer's dispatch leaves a fork's pull request to its own run; a closed one is refused."""
    fork = github.hub.add_pull("x", head_repo="mallory/fraud")
    closed = github.hub.add_pull("y")
    github.hub.close_pull(closed)
    client = GitHub(github.url, REPO, "t-actions")

    for number, said in ((fork, "comes from a fork"), (closed, "is closed")):
        with pytest.raises(PromotionError, match=said):
            situation(event("workflow_dispatch", inputs={"pull_request": str(number)}), lambda: client)


def plan_of(*items: ModelPlan) -> Plan:
    """A plan whose refusals are the refused models, as classify makes them."""
    refusals = [f"{item.model}: {item.reason}" for item in items if item.action == "refuse"]
    return samples.PLAN.model_copy(update={"models": items, "refusals": (*refusals, "it mixes things; split it")})


def test_without_credentials_the_gate_stands_alone() -> None:
    """The champion is left out, the report says so first, and a refusal of the whole pull request stays."""
    found = gate_alone(plan_of(samples.model_plan()))
    (item,) = found.models

    assert (item.action, item.champion) == ("train", None)
    assert "no credentials" in item.says_first[0]
    assert found.refusals == ("it mixes things; split it",)


@pytest.mark.parametrize("action", ["verify", "refuse"])
def test_without_credentials_no_pin_moves(action: str) -> None:
    """A fork cannot show that its pin's version exists, so it is refused with what to do, once."""
    found = gate_alone(plan_of(samples.model_plan(action=action, pin=samples.PIN_NEW)))

    assert found.models[0].action == "refuse"
    assert [line for line in found.refusals if "a maintainer pushes this branch" in line] == [found.refusals[0]]
    assert len(found.refusals) == 2


@pytest.mark.parametrize(("action", "stays"), [("verify", "none"), ("none", "none"), ("refuse", "refuse")])
def test_without_credentials_what_moves_no_pin_stays_as_it_is(action: str, stays: str) -> None:
    """A folder that comes back to its pinned tree needs no registry; what is refused is not let through."""
    kept = samples.model_plan(action=action, pin=samples.PIN_OLD, champion=samples.PIN_OLD)
    found = gate_alone(plan_of(kept))

    assert (found.models[0].action, found.models[0].reason) == (stays, kept.reason)
    assert len(found.refusals) == (2 if action == "refuse" else 1)


@pytest.mark.parametrize("action", ["train", "judge"])
def test_verify_only_trains_nothing(action: str) -> None:
    """A draft's unpinned tree is red with the reason; what is verified or untouched stays as it is."""
    verified = samples.model_plan(model="other", action="verify")
    found = only_verified(plan_of(samples.model_plan(action=action), verified), DRAFT)

    assert [item.action for item in found.models] == ["refuse", "verify"]
    assert DRAFT in found.refusals[0] and len(found.refusals) == 2
