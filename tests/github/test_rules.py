"""Rulesets and the older branch protection are read as one."""

from typing import Any

import pytest
from promotion.github.client import GitHub
from promotion.github.rules import Branch, read_branch

from tests.support.github import shapes
from tests.support.github.standin import StandIn


def read(github: StandIn, client: GitHub, *rules: dict[str, Any], protection: dict[str, Any] | None = None) -> Branch:
    """What a branch with these rules and this protection asks for."""
    github.hub.state["settings"] |= {"rules": list(rules), "protection": protection}
    github.validate = False
    return read_branch(client, "main")


def methods(*allowed: str) -> dict[str, Any]:
    """A rule that asks for a pull request, merged in one of these ways."""
    return {"type": "pull_request", "parameters": {"allowed_merge_methods": list(allowed)}}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([methods("squash", "merge")], {"squash", "merge"}),
        ([methods("squash", "rebase"), methods("merge", "rebase")], {"rebase"}),
        ([methods()], None),
        ([], None),
    ],
)
def test_what_every_ruleset_allows_is_left(
    github: StandIn, github_client: GitHub, rules: list[dict[str, Any]], left: set[str] | None
) -> None:
    """One that names no way of merging allows all three."""
    assert read(github, github_client, *rules).methods == left


@pytest.mark.parametrize(
    ("parameters", "method"), [({"merge_method": "REBASE"}, "REBASE"), ({}, "MERGE"), (None, "MERGE")]
)
def test_a_queue_merges_in_its_own_way(
    github: StandIn, github_client: GitHub, parameters: dict[str, Any] | None, method: str
) -> None:
    """By default with a merge commit."""
    assert read(github, github_client, {"type": "merge_queue", "parameters": parameters}).queue == method


def test_the_source_of_another_check_is_none_of_ours(github: StandIn, github_client: GitHub) -> None:
    """Whoever posts `lint` says nothing of who may post `promotion`."""
    checks = [{"context": "lint", "integration_id": 7}, {"context": "promotion"}]
    rule = {"type": "required_status_checks", "parameters": {"required_status_checks": checks}}
    found = read(github, github_client, rule)

    assert (found.checks, found.apps, found.strict) == ({"lint", "promotion"}, set(), False)


def test_each_part_of_a_protection_counts_and_lacks_on_its_own(github: StandIn, github_client: GitHub) -> None:
    """The older protection, in the form in which GitHub leaves out what is not asked for, or says null."""
    whole = {
        "required_status_checks": {
            "strict": True,
            "contexts": ["old"],
            "checks": [{"context": "promotion", "app_id": 9}],
        },
        "required_pull_request_reviews": {"require_code_owner_reviews": True},
        "allow_force_pushes": {"enabled": False},
    }
    bare = {"required_status_checks": None, "allow_force_pushes": {"enabled": True}}
    nothing: dict[str, Any] = {"required_status_checks": {"contexts": None, "checks": None}}

    assert read(github, github_client, protection=whole) == Branch(
        checks={"old", "promotion"}, apps={9}, strict=True, pull_request=True, owners=True, force_pushes=False
    )
    assert read(github, github_client, protection=bare) == Branch()
    assert read(github, github_client, protection=nothing) == Branch(force_pushes=False)


def test_rules_without_parameters_ask_for_what_they_are(github: StandIn, github_client: GitHub) -> None:
    """A rule's name alone, as an older server sends it."""
    kinds = ("required_status_checks", "pull_request", "non_fast_forward", "deletion")
    found = read(github, github_client, *({"type": kind} for kind in kinds))

    assert found == Branch(pull_request=True, force_pushes=False)
    assert read(github, github_client, *shapes.rules()).owners
