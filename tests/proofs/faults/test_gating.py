"""A gate that is cut off leaves nothing that the next run does not finish."""

from pathlib import Path

import pytest

from tests.proofs.faults.gating import gate_lab


@pytest.mark.slow
def test_killed_at_every_request(tmp_path: Path) -> None:
    """Before and after each request of a gate that registers a version."""
    with gate_lab(tmp_path) as lab:
        assert len(lab.points) > 20

        assert [line for p in lab.points for before in (True, False) for line in lab.kill(p, before=before)] == []
