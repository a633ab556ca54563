"""Crashes and a failing registry: after the next plain run the state is right, without gap or double entry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.faults.cases import FAULTS, Lab, as_json, fits, lab
from tests.proofs.faults.proxy import Seen

KILLS = [name for name in FAULTS if name.startswith("SIGKILL")]
QUICK = ("connection reset after the request", "500 from here on")
OTHERS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS if name not in KILLS]


def writes(made: Lab) -> list[Seen]:
    """The ledger's entry, the alias, the mark that it was reached."""
    found = [point for point in made.points if point.is_write]
    assert len(found) == 3
    return found


@pytest.fixture(scope="module")
def rollback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An apply that moves @champion back by a revert, repeatable, behind a proxy."""
    with lab(tmp_path_factory.mktemp("lab"), story="rollback") as made:
        yield made


@pytest.mark.parametrize("fault", KILLS)
def test_killed(rollback: Lab, fault: str) -> None:
    """SIGKILL around each of the writes; the slow test and the table take every request."""
    outcomes = [rollback.try_fault(fault, point) for point in writes(rollback)]

    assert {outcome.first.code for outcome in outcomes} <= {-9, 0}
    assert any(outcome.first.code == -9 for outcome in outcomes)
    assert as_json(outcomes) == "[]"


@pytest.mark.parametrize("fault", OTHERS)
def test_registry_fails(rollback: Lab, fault: str) -> None:
    """Each failure of the registry at a write: got over, or one sentence and finished by the next run."""
    points = writes(rollback) if fault == "connection reset after the request" else writes(rollback)[1:2]
    outcomes = [rollback.try_fault(fault, point) for point in points if fits(fault, point)]

    assert {outcome.first.code for outcome in outcomes} <= {0, 2}
    for outcome in outcomes:
        assert outcome.survived or "error: " in outcome.first.output
    assert as_json(outcomes) == "[]"


@pytest.mark.slow
def test_every_fault_at_every_request(tmp_path: Path) -> None:
    """The whole table: each fault at each request of an apply that promotes a new version."""
    with lab(tmp_path) as made:
        outcomes = [made.try_fault(fault, point) for fault in FAULTS for point in made.points if fits(fault, point)]

    assert len(made.points) > 10
    assert len(outcomes) > 10 * len(made.points)
    assert as_json(outcomes) == "[]"
