"""What is cut off is finished by running it again: one commit, one branch, one pull request, one entry."""

from pathlib import Path

import pytest

from tests.proofs.faults.verbs import FAILURES, KILLS, LABS, tried

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("verb", LABS)
def test_every_fault_at_every_step(tmp_path: Path, verb: str) -> None:
    """The whole table: kills at every step that leaves the machine, a failing service at every request."""
    with LABS[verb](tmp_path) as lab:
        assert any(step.is_write for step in lab.points)
        faults = (*KILLS, *(FAILURES if lab.front is not None else ()))

        assert [line for fault in faults for step in tried(lab, fault) for line in lab.try_fault(fault, step)] == []
