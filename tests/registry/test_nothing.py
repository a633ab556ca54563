"""A SQLite path at which nothing is: who reads learns that, and no file comes to be; who keeps something makes it."""

from pathlib import Path

import drift
import promote
import pytest
from promotion.errors import PromotionError
from promotion.registry.client import Registry

from tests.support.worlds import World


@pytest.fixture
def mistyped(second_champion: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where MLFLOW_TRACKING_URI points, one letter beside the registry."""
    path = second_champion.path.parent / "mlfow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return path


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        (promote, ["plan"], 1),
        (promote, ["apply"], 1),
        (promote, ["history", "tiny"], 2),
        (promote, ["audit", "tiny"], 2),
        (drift, [], 1),
    ],
)
def test_reading_makes_no_file(
    second_champion: World, mistyped: Path, verb, args: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line says that there is none."""
    assert verb.main([*args, "--repo", str(second_champion.path)]) == code
    said = capsys.readouterr()
    assert f"{mistyped} (there is no such file)" in (said.out + said.err).splitlines()[0]
    assert not mistyped.exists()


def test_it_holds_nothing(mistyped: Path, tmp_path: Path) -> None:
    """Every question has an answer, and what changes something that is not there is one sentence."""
    registry = Registry()

    assert registry.models() == {} and registry.model("tiny") is None and registry.version("tiny", 1) is None
    assert registry.runs("tiny") == [] and registry.runs_of({"tiny"}) == {"tiny": []}
    assert registry.version_of_run("tiny", "r") is None and registry.fetch("r", "a/b", tmp_path) is None
    assert registry.fetch_logged("r", "model", tmp_path) is None
    with pytest.raises(PromotionError, match="could not set tiny@champion: there is no such file; check MLFLOW_TRACK"):
        registry.set_alias("tiny", "champion", 1)
    assert not mistyped.exists()


def test_what_is_kept_first_makes_the_file(mistyped: Path) -> None:
    """As gate.py does with the first candidate of all, and it is read from then on."""
    registry = Registry()
    assert registry.runs("tiny") == []
    registry.create_run("tiny", "first", {})

    assert len(registry.runs("tiny")) == 1 and len(Registry().runs("tiny")) == 1
    assert mistyped.is_file() and "no such file" not in registry.where
