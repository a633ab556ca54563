"""pytest fixtures: a GitHub whose every request is checked against GitHub's own description of its API."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from promotion.github.client import GitHub

from tests.support.github.clients import FakeTime, client_of
from tests.support.github.openapi import Description, Unavailable, github_description
from tests.support.github.standin import Recorded, StandIn


@functools.cache  # also of the failure: where npm hangs, it does so once
def description_or_reason() -> Description | str:
    """GitHub's description, or why it cannot be had."""
    try:
        return github_description()
    except Unavailable as reason:
        return str(reason)


def problems(requests: Iterable[Any]) -> list[str]:
    """What is wrong with recorded requests (Recorded, or their JSON form); skips where they cannot be checked."""
    description = description_or_reason()
    if isinstance(description, str):
        pytest.skip(description)
    recorded = [request if isinstance(request, Recorded) else Recorded(**request) for request in requests]
    return [problem for request in recorded for problem in description.problems(request)]


@pytest.fixture
def github() -> Iterator[StandIn]:
    """A running stand-in for GitHub; at the end every request that it received is checked."""
    standin = StandIn().start()
    yield standin
    standin.stop()
    if standin.validate:
        found = problems(standin.requests)
        assert found == [], "\n".join(dict.fromkeys(found))


@pytest.fixture
def fake_time() -> FakeTime:
    """A clock that stands still until somebody sleeps."""
    return FakeTime()


@pytest.fixture
def github_client(github: StandIn, fake_time: FakeTime) -> GitHub:
    """A client with a workflow's token; its waits are only counted."""
    return client_of(github, fake_time)
