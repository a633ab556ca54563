"""judge.py: a table from elsewhere gets the same records and report, and bad input is one sentence."""

from pathlib import Path

import judge
import pytest
from promotion.records.evaluation import Evaluation

from tests.support.score_tables import frame

POLICY = """
models:
  fraud-detector:
    measure:
      test_days: 7
      delay_days: 7
      dollars: {caught: amount, review: 15}
      cluster: [customer_id, terminal_id]
    gate: {net_benefit: "> 1000", f1: "> 0.20"}
    challenge: {confidence: 0.95, looks: 5, net_benefit: superior, f1: {not_worse_than: 0.05}}
    champion: null
"""


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A promotion.yaml with one model."""
    path = tmp_path / "promotion.yaml"
    path.write_text(POLICY)
    return path


def run(tmp_path: Path, policy_file: Path, finds: tuple[float, float], *more: str) -> int:
    """Judge a table through the command."""
    frame(6000, finds=finds).to_parquet(tmp_path / "scores.parquet")
    command = [
        str(tmp_path / "scores.parquet"),
        "--policy",
        str(policy_file),
        "--work",
        str(tmp_path / "out"),
    ]
    return judge.main([*command, *more])


def test_a_winner_exits_0_and_leaves_the_records(tmp_path: Path, policy_file: Path, capsys) -> None:
    """The evaluation, the comment and the page are those of a pull request, without a word about merging."""
    assert run(tmp_path, policy_file, (0.5, 0.95), "--model", "fraud-detector") == 0
    out = tmp_path / "out" / "fraud-detector"
    found = Evaluation.read(out / "evaluation.json")

    assert found.verdict == "PROMOTE"
    assert "against the champion in 7 test days" in (out / "report.html").read_text()
    assert "no champion moves" in (out / "comment.md").read_text()
    assert "pin commit" not in (out / "comment.md").read_text()
    assert "PROMOTE  fraud-detector" in capsys.readouterr().out


def test_days_that_rightly_have_no_rows_are_named(tmp_path: Path, policy_file: Path, capsys) -> None:
    """A week with a closed day is judged once the day is named, and not before."""
    table = frame(6000, finds=(0.5, 0.95))
    table[table["column.day"] != "2018-08-18"].to_parquet(tmp_path / "scores.parquet")
    command = [str(tmp_path / "scores.parquet"), "--policy", str(policy_file), "--work", str(tmp_path / "out")]

    assert judge.main(command) == 1
    assert "no rows on 2018-08-18" in capsys.readouterr().out
    assert judge.main([*command, "--empty-days", "2018-08-18"]) == 0
    assert judge.main([*command, "--empty-days", "yesterday"]) == 2
    assert "`yesterday` is not a day such as" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, policy_file: Path, capsys) -> None:
    """Where a file stands in the folder's place, nothing is judged in silence and nothing is a traceback."""
    (tmp_path / "taken").write_text("a file")
    found = run(tmp_path, policy_file, (0.5, 0.95), "--work", str(tmp_path / "taken" / "below"))
    error = capsys.readouterr().err

    assert found == 2
    assert error.count("\n") == 1
    assert "taken" in error
    assert "Traceback" not in error


def test_a_loser_exits_1(tmp_path: Path, policy_file: Path) -> None:
    """A verdict of no is exit code 1; the only model need not be named."""
    assert run(tmp_path, policy_file, (0.95, 0.5)) == 1


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--model", "fraud-detektor"], "no entry for the model `fraud-detektor`; did you mean `fraud-detector`?"),
        (["--policy", "nowhere.yaml"], "nowhere.yaml: missing"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, policy_file: Path, capsys, more: list[str], sentence: str) -> None:
    """What cannot be judged exits 2 with the place and what to do."""
    assert run(tmp_path, policy_file, (0.5, 0.6), *more) == 2
    error = capsys.readouterr().err

    assert sentence in error
    assert error.count("\n") == 1


def test_places_that_cannot_be_read_are_one_sentence(tmp_path: Path, policy_file: Path, capsys) -> None:
    """No such file, a URL of an unknown kind, a URL with a login, no scheduler, a scratch folder that nobody shares."""
    more = ["--policy", str(policy_file), "--work", str(tmp_path / "out")]
    for table, said in (
        (str(tmp_path / "absent.parquet"), "no such file; give a Parquet file or a folder"),
        ("gopher://host/scores", "this URL cannot be opened"),
        ("s3://KEY:SECRET@bucket/scores", "a URL with a login in it would be shown and sent on"),
        ("s3://bucket/scores?region=x&Session_Token=SECRET", "a URL with a login in it would be shown and sent on"),
        ("abfs://bucket/scores?sv=1&sig=SECRET", "a URL with a login in it would be shown and sent on"),
    ):
        assert judge.main([table, *more]) == 2
        error = capsys.readouterr().err
        assert said in error and "SECRET" not in error
    assert judge.main(["scores.parquet", *more, "--cluster", "tcp://me:SECRET@127.0.0.1:9"]) == 2
    assert "SECRET" not in (error := capsys.readouterr().err) and "an address with a login" in error
    assert judge.main(["scores.parquet", *more, "--cluster", "tcp://127.0.0.1:9"]) == 2
    assert "Dask" in capsys.readouterr().err
    assert judge.main(["scores.parquet", *more, "--scratch", str(tmp_path)]) == 2
    assert "error: --scratch is where workers put rows in order" in capsys.readouterr().err
