"""Words of ours name commands that their readers can type, wherever these scripts are."""

import subprocess
from pathlib import Path

import pytest
from promotion.git import whose
from promotion.git.whose import PROJECT, told

SENTENCE = "run `python scripts/retrain.py update tiny` on this branch"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (PROJECT / "scripts" / "retrain.py", f"{PROJECT}/scripts"),
        (Path("scripts/retrain.py"), "scripts"),
        (Path("elsewhere/pytest"), "scripts"),
    ],
)
def test_a_person_reads_the_folder_that_was_typed(typed: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, relative to the folder one stands in; and no folder of another program."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("sys.argv", [str(typed)])

    assert told(SENTENCE, alone=True) == SENTENCE.replace("scripts/", f"{said}/")
    assert told("scripts/retrain.py is no command") == "scripts/retrain.py is no command"


@pytest.mark.parametrize(("judged", "called"), [("Acme/Promotion", False), ("clinic/models", True)])
def test_a_comment_reads_where_the_repository_has_no_scripts(
    judged: str, called: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Actions: as they are in the repository itself; elsewhere a clone, which the last line names once."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://github.example.com/acme/promotion.git"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "release"], check=True)
    monkeypatch.setattr(whose, "PROJECT", tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", judged)
    found = told(SENTENCE, alone=True)

    if not called:
        assert found == SENTENCE
        return
    assert found.startswith("run `python ../promotion/scripts/retrain.py update tiny` on this branch\n\n../promotion: ")
    assert "a clone of acme/promotion at " in found and told(found, alone=True) == found
    assert told(SENTENCE) == SENTENCE.replace("scripts/", "../promotion/scripts/")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert told(SENTENCE, alone=True) == SENTENCE  # nothing is remembered of where another was told
