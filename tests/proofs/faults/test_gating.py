"""A gate that is cut off leaves nothing that the next run does not finish."""

from pathlib import Path

import pytest

from tests.proofs.faults.gating import gate_lab


def test_killed_at_the_requests_that_make_something(tmp_path: Path) -> None:
    """Around the run's creation, the version's and the alias; the slow test takes every request."""
    with gate_lab(tmp_path) as lab:
        names = ("runs/create", "model-versions/create", "registered-models/alias")
        made = [point for point in lab.points if point.path.endswith(names)]
        assert len(made) == 3

        assert [line for point in made for line in lab.kill(point, before=False)] == []


@pytest.mark.slow
def test_killed_at_every_request(tmp_path: Path) -> None:
    """Before and after each request of a gate that registers a version."""
    with gate_lab(tmp_path) as lab:
        assert len(lab.points) > 20

        assert [line for p in lab.points for before in (True, False) for line in lab.kill(p, before=before)] == []
