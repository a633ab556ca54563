"""rehearse.py: a model of one's own, in a folder of a repository, from its pull request to serving and back."""

import shutil
import subprocess
from pathlib import Path

import pytest
import rehearse
from promotion.config.edit import splice
from promotion.config.pin import PinRecord

from tests.support.worlds import GIT

TINY = Path(__file__).parent / "support" / "tiny_model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """services/a of a repository with files of its own: the tiny model, whose champion is in another registry."""
    where = tmp_path / "repo" / "services" / "a"
    shutil.copytree(TINY, where / "models" / "tiny", ignore=shutil.ignore_patterns("__pycache__"))
    text = (where / "models/tiny/promotion.yaml").read_text()
    pin = PinRecord(version=7, source_tree="a" * 40, digest="sha256:" + "b" * 64, evidence="sha256:" + "c" * 64)
    (where / "promotion.yaml").write_text(splice(text, {"tiny": pin}))
    (where / "models/tiny/promotion.yaml").unlink()
    recipe = where / "models/tiny/model.yaml"
    recipe.write_text(recipe.read_text().rstrip("\n"))  # as some editors leave it
    (tmp_path / "repo" / "Makefile").write_text("all:\n")
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True, env=GIT)
    return where


def contents(where: Path) -> dict[str, bytes]:
    """Every file of a work tree."""
    return {str(p): p.read_bytes() for p in where.rglob("*") if p.is_file() and ".git/" not in str(p)}


@pytest.mark.slow
def test_a_model_of_ones_own_is_played_and_nothing_of_its_repository_is_touched(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First champion, a challenge by another seed, the revert; no request fails, and no pin of elsewhere matters."""
    before = contents(tmp_path / "repo")

    assert rehearse.main(["tiny", "--repo", str(folder), "--dir", str(tmp_path / "there")]) == 0
    text = capsys.readouterr().out
    assert "first champion                 FIRST         version 1" in text
    assert "git revert of the last merge   rollback" in text
    assert "failed: 0" in text
    assert contents(tmp_path / "repo") == before
    assert (tmp_path / "there" / "clone" / "services" / "a" / "promotion.yaml").is_file()
    assert not (tmp_path / "there" / "clone" / "Makefile").exists()


@pytest.mark.parametrize(
    ("written", "next"), [("seed: 3 # x", "seed: 4 # x"), ("seed: 0x10", "seed: 17"), ("seed:  4294967295", "seed:  0")]
)
def test_another_seed_is_the_next_one_however_it_is_written(written: str, next: str) -> None:
    """YAML has more forms of a whole number than Python reads, and there is a largest seed."""
    dates = "as_of: 2026-03-01\ntrain_days: 20\nvalidation_days: 10\n"

    assert rehearse.reseeded(dates + written, "model.yaml") == dates + next


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tinny"], "services/a/promotion.yaml: no entry for the model `tinny`; did you mean `tiny`?"),
        (["tiny", "--dir", "."], "is not empty and was not made by the demo; choose another --dir"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    """A model that is none, and a folder that is somebody's: nothing is written."""
    monkeypatch.chdir(folder)
    before = contents(folder)

    assert rehearse.main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert contents(folder) == before
