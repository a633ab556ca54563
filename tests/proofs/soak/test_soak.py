"""A short soak: the long one is `make soak`."""

import pytest

from tests.proofs.soak.soak import soak


@pytest.mark.slow
def test_half_a_minute_of_everything_at_once(tmp_path):
    """Alias moves, kills and half requests under load: no answer is wrong, and memory stays what it was."""
    world = soak(tmp_path, minutes=0.75, moves=15, registry_pause=15.0)

    assert world.wrong == []
    assert world.answers["requests"] > 200
    assert world.did["alias moves"] == 15 and world.did["workers killed"] > 3
    assert world.did["registry killed and started"] >= 1 and world.did["half requests"] > 50
