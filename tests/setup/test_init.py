"""init.py in somebody's repository: nothing that is there is lost, and a second time changes nothing."""

import re
import subprocess
from pathlib import Path
from typing import Any

import init
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from promotion.config.promotion_yaml import load
from promotion.errors import PromotionError
from promotion.setup.callers import Ours, ours
from promotion.setup.table import read_table

USES = f"acme/promotion@{'0123456789' * 4}"


def git(where: Path, *args: str) -> str:
    """Run git as a person in a repository."""
    who = ("-c", "user.name=p", "-c", "user.email=p@example.com")
    return subprocess.run(["git", "-C", str(where), *who, *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a README, a CI, an owner's file and an ignore file without a last line end."""
    where = tmp_path / "shop"
    (where / ".github" / "workflows").mkdir(parents=True)
    (where / "README.md").write_text("# Shop\n")
    (where / ".github" / "workflows" / "ci.yml").write_text("on: push\n")
    (where / "CODEOWNERS").write_text("* @acme/everybody\n")
    (where / ".gitignore").write_text("*.log")
    git(where.parent, "init", "-q", "-b", "trunk", str(where))
    git(where, "remote", "add", "origin", "git@github.com:acme/shop.git")
    git(where, "add", "-A")
    git(where, "commit", "-qm", "one")
    return where


def table(path: Path, **columns: object) -> Path:
    """A table of 1,200 labelled rows over 60 days, with other columns where given."""
    n = 1200
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "order_id": np.arange(n),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(n) % 60, unit="D"),
            "amount": rng.normal(50, 10, n),
            "plan": rng.choice(["small", "large"], n),
            "note": [f"free text {i}" for i in range(n)],
            "left": np.where(rng.random(n) < 0.2, "yes", "no"),
        }
    ).assign(**columns)
    frame.to_parquet(path)
    return path


def run(where: Path, *more: str) -> int:
    """init.py with what is always given."""
    return init.main(["--into", str(where), "--name", "churn", "--uses", USES, *more])


def contents(where: Path) -> dict[str, bytes]:
    """Every file of the work tree."""
    return {str(p): p.read_bytes() for p in where.rglob("*") if p.is_file() and ".git/" not in str(p)}


def test_a_repository_of_ones_own_keeps_what_it_has(repository: Path, tmp_path: Path, capsys) -> None:
    """Files that are there get lines at most; the policy is valid."""
    before = contents(repository)
    assert (
        run(repository, "--task", "classification", "--from", str(table(tmp_path / "t.parquet")), "--label", "left")
        == 0
    )
    after = contents(repository)

    changed = {Path(name).name for name, text in before.items() if after[name] != text}
    assert changed == {"CODEOWNERS", ".gitignore"}
    assert all(after[name].startswith(text) for name, text in before.items())
    assert list(load(repository / "promotion.yaml").models) == ["churn"]
    assert "/models/ @acme" in after[str(repository / "CODEOWNERS")].decode()
    assert "What remains:" in capsys.readouterr().out


def test_the_second_time_changes_nothing(repository: Path, tmp_path: Path, capsys) -> None:
    """What is there already is said, not written again."""
    command = ("--task", "classification", "--from", str(table(tmp_path / "t.parquet")), "--label", "left")
    run(repository, *command)
    before = contents(repository)
    capsys.readouterr()

    assert run(repository, *command) == 0
    assert contents(repository) == before
    assert re.search(r"models/churn +there already, not touched", capsys.readouterr().out)


def test_a_second_model_joins_the_first(repository: Path, tmp_path: Path) -> None:
    """Its entry goes to the end of promotion.yaml, which keeps its bytes."""
    run(repository, "--task", "classification")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "adopted")
    first = (repository / "promotion.yaml").read_text()
    more = ("--task", "regression", "--uses", USES)
    assert init.main(["--into", str(repository), "--name", "price", *more]) == 0

    assert (repository / "promotion.yaml").read_text().startswith(first)
    assert list(load(repository / "promotion.yaml").models) == ["churn", "price"]


def test_a_folder_of_a_monorepo(repository: Path) -> None:
    """Policy and models go below the folder, owners to the top, and they say the folder."""
    (repository / "services" / "churn").mkdir(parents=True)
    assert run(repository / "services" / "churn", "--task", "regression") == 0

    assert (repository / "services/churn/promotion.yaml").is_file()
    assert (repository / "services/churn/models/churn/train.py").is_file()
    assert "/services/churn/models/ @acme" in (repository / "CODEOWNERS").read_text()


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda where: (where / "promotion.yaml").write_text("stages: [a, b]\n"), "is not one of this project"),
        (lambda where: (where / ".gitignore").write_text("*.log\n*.tmp\n"), ".gitignore: it has uncommitted changes"),
        (lambda where: (where / "models").write_text(""), "models: it is no folder, and models/churn/model.yaml would"),
        (lambda where: (where / "models").symlink_to(where.parent), "models: it is no folder"),
        (lambda where: ((where / ".gitignore").unlink(), (where / ".gitignore").mkdir()), ".gitignore: it is a folder"),
        (
            lambda where: (where / ".github/dependabot.yml").symlink_to("nowhere"),
            ".github/dependabot.yml: it is a link",
        ),
    ],
)
def test_what_cannot_be_merged_stops_before_anything_is_written(
    repository: Path, prepare, sentence: str, capsys
) -> None:
    """A foreign promotion.yaml, a file that git could not give back, and what stands where a file would lie."""
    prepare(repository)
    before = contents(repository)

    assert run(repository, "--task", "regression") == 2
    assert sentence in capsys.readouterr().err
    assert contents(repository) == before


def test_no_repository(tmp_path: Path, capsys) -> None:
    """A folder that is no checkout is one sentence."""
    assert run(tmp_path, "--task", "regression") == 2
    assert "is not a git checkout" in capsys.readouterr().err
    git(tmp_path.parent, "init", "-q", "--bare", str(tmp_path))
    assert run(tmp_path, "--task", "regression") == 2
    assert "it is in no work tree of git" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"target": 1.0, "y": 2.0}, "say which column is the label with --label: one of `target`, `y`"),
        ({"label": "a"}, "has 1 values"),
        ({"label": [0.5, *range(1199)]}, "a classification here has two (another column: --label;"),
        ({"left": "no", "plan": "small"}, "no column with two values and none missing"),
        ({"left": [None, "no"] * 600, "plan": ["a", None] * 600}, "no column with two values and none missing"),
        ({"when": "x"}, "has no column of dates"),
        ({"label": [0, 1] * 600, "other": pd.Timestamp("2026-01-01")}, "several columns of dates"),
        ({"label": [None, 1] * 600}, "is missing in 600 rows"),
        ({"label": [0, 1] * 600, "a b": 1, "é": 2}, "`a b`, `é`: no name for a column here"),
        ({"label": [[0], [1]] * 600}, "the label `label` is a list or a structure"),
        ({"label": [0, 1] * 600, "when": pd.Timestamp("2026-01-01")}, "spans 1 days"),
    ],
)
def test_what_a_table_cannot_say_is_asked(repository: Path, tmp_path: Path, columns, sentence: str, capsys) -> None:
    """One sentence with the option that answers."""
    path = table(tmp_path / "t.parquet", **columns)

    assert run(repository, "--task", "classification", "--from", str(path)) == 2
    assert sentence in capsys.readouterr().err
    assert not (repository / "models").exists()


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ([1.0, np.inf] * 600, "has infinite values; there is nothing to learn"),
        ([5] * 1200, "has one value in every row"),
        (["1.5"] * 1200, "holds no numbers (str); convert it with astype(float), or use --task classification"),
    ],
)
def test_a_number_to_predict_is_one(tmp_path: Path, label: list[object], sentence: str) -> None:
    """What a regression cannot learn is said before a floor of `< nan` is written."""
    with pytest.raises(PromotionError, match=re.escape(sentence)):
        read_table(table(tmp_path / "t.parquet", label=label), "regression", label=None, day=None, delay_days=7)


def test_a_file_that_is_no_such_table_is_told_by_what_it_is(repository: Path, tmp_path: Path, capsys) -> None:
    """CSV, a folder, a column of a name twice, a column that --day names and is none of dates."""
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    arrays = pa.table([[1], [2]], names=["a", "a"])
    pq.write_table(arrays, tmp_path / "twice.parquet")
    plain = table(tmp_path / "t.parquet")
    for path, more, sentence in (
        (tmp_path / "t.csv", (), "it is another format); write it with pandas, as by read_csv("),
        (tmp_path, (), "it is a folder; --from takes one Parquet file"),
        (tmp_path / "twice.parquet", (), "has `a` more than once"),
        (plain, ("--day", "note"), "`note` is no column of dates such as 2026-03-01"),
    ):
        assert run(repository, "--task", "classification", "--from", str(path), *more) == 2
        assert sentence in capsys.readouterr().err


def test_days_without_a_row_are_in_the_data_py(repository: Path, tmp_path: Path) -> None:
    """Working days less a holiday: the data.py says which days are rightly empty, so that it runs at once."""
    days = [day for day in pd.bdate_range("2026-01-01", "2026-03-31") if str(day.date()) != "2026-03-18"]
    path = table(tmp_path / "t.parquet", when=[days[i % len(days)] for i in range(1200)])

    assert run(repository, "--task", "classification", "--label", "left", "--from", str(path)) == 0

    code = (repository / "models" / "churn" / "data.py").read_text()
    said: dict[str, Any] = {}
    exec(code.replace("__file__", repr(str(path))), said)
    empty = [day.date() for day in pd.date_range("2026-03-12", "2026-03-23") if said["empty"](day.date())]
    assert [str(day) for day in empty] == ["2026-03-14", "2026-03-15", "2026-03-18", "2026-03-21", "2026-03-22"]


def test_what_git_ignores_is_refused_by_its_line(repository: Path, capsys) -> None:
    """`models/` is ignored in many repositories: what init writes would never reach a pull request."""
    (repository / ".gitignore").write_text("*.log\nmodels/\n")
    git(repository, "commit", "-qam", "ignore")

    assert run(repository, "--task", "regression") == 2
    assert ".gitignore:2: `models/` keeps models/churn/model.yaml out of git" in capsys.readouterr().err
    assert not (repository / "promotion.yaml").exists()


def test_a_table_is_read_as_a_person_would(tmp_path: Path) -> None:
    """Day, label, key, features and windows are found; free text is no feature."""
    found, windows = read_table(table(tmp_path / "t.parquet"), "classification", label="left", day=None, delay_days=7)

    assert (found.day, found.label, found.key, found.positive) == ("when", "left", "order_id", "'yes'")
    assert (found.numbers, found.words, found.left) == (("amount",), ("plan",), ("note",))
    assert windows.train + windows.validation + windows.delay + windows.test == found.days
    assert str(windows.as_of) == "2026-02-22"


def test_a_column_that_no_model_can_use_is_left(tmp_path: Path) -> None:
    """Nothing in it, an infinite number, lists and structures; a number that is missing here and there is a feature."""
    odd = {
        "gap": [None, 1.5] * 600,
        "empty": None,
        "nan": np.nan,
        "endless": [1.0, np.inf] * 600,
        "tags": [["a", "b"]] * 1200,
        "place": [{"x": 1}] * 1200,
    }
    found, _ = read_table(table(tmp_path / "t.parquet", **odd), "classification", label="left", day=None, delay_days=7)

    assert (found.label, found.numbers, found.words) == ("left", ("amount", "gap"), ("plan",))
    assert found.left == ("note", "empty", "nan", "endless", "tags", "place")


def test_an_index_is_no_column(repository: Path, tmp_path: Path, capsys) -> None:
    """A table that was written with its day as the index says so."""
    path = table(tmp_path / "t.parquet")
    pd.read_parquet(path).set_index("when").to_parquet(path)

    assert run(repository, "--task", "classification", "--from", str(path)) == 2
    assert "has `when` as its index; write it with reset_index().to_parquet" in capsys.readouterr().err


def test_a_caller_that_dependabot_moved_stays(repository: Path, capsys) -> None:
    """A second model, from a newer or older clone, changes no commit that is called."""
    run(repository, "--task", "regression")
    caller = repository / ".github/workflows/promotion-retrain.yml"
    caller.write_text(caller.read_text().replace("0123456789" * 4, "f" * 40))
    (caller.parent / "promotion-drift.yml").rename(caller.parent / "nightly.yml")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "moved")
    before = contents(caller.parent)
    capsys.readouterr()

    assert init.main(["--into", str(repository), "--name", "b", "--task", "regression", "--uses", USES]) == 0
    assert contents(caller.parent) == before
    told = capsys.readouterr().out
    assert ".github/workflows/nightly.yml             nothing to add" in told
    assert "\npromotion-retrain.yml calls acme/promotion at ffffffffffff (v" in told
    assert "let all of them call one commit" in told


def test_what_the_workflows_call_is_said_as_it_is(repository: Path, capsys) -> None:
    """Not what this clone is at, where all of them were moved to another commit."""
    run(repository, "--task", "regression")
    assert "\nthe workflows call acme/promotion at 012345678901 (v" in capsys.readouterr().out
    for caller in (repository / ".github/workflows").glob("promotion-*"):
        caller.write_text(caller.read_text().replace("0123456789" * 4, "f" * 40))

    assert run(repository, "--task", "regression") == 0
    assert "\nthe workflows call acme/promotion at ffffffffffff (v" in capsys.readouterr().out


def test_lines_are_added_to_what_windows_or_another_encoding_wrote(repository: Path) -> None:
    """The lines that are there keep their bytes, and the new ones end as they do."""
    before = {"CODEOWNERS": b"* @acme/everybody\r\n", ".gitignore": b"# caf\xe9\r\n*.log"}
    for name, text in before.items():
        (repository / name).write_bytes(text)
    git(repository, "commit", "-qam", "bytes")

    assert run(repository, "--task", "regression") == 0
    for name, text in before.items():
        after = (repository / name).read_bytes()
        assert after.startswith(text)
        assert after.count(b"\n") == after.count(b"\r\n") > text.count(b"\n")


def test_a_workflow_of_that_name_that_calls_nothing_is_left(repository: Path, capsys) -> None:
    """It is somebody's, and init says so."""
    (repository / ".github/workflows/promotion-drift.yml").write_text("on: push\n")

    assert run(repository, "--task", "regression") == 0
    assert (repository / ".github/workflows/promotion-drift.yml").read_text() == "on: push\n"
    assert "promotion-drift.yml     there already, not touched" in capsys.readouterr().out


def test_a_second_folder_of_a_repository_is_refused(repository: Path, capsys) -> None:
    """One required check and one comment speak for one promotion.yaml."""
    for folder in ("a", "b"):
        (repository / folder).mkdir()
    run(repository / "a", "--task", "regression")
    before = contents(repository)

    assert run(repository / "b", "--task", "regression") == 2
    assert (
        f"promotes the models of a already, and one folder is all it can: put the model there (--into {repository}/a)"
        in (capsys.readouterr().err)
    )
    assert contents(repository) == before


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a project, pushed and tagged."""
    where = tmp_path / "ours"
    where.mkdir()
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "acme" / "promotion.git"))
    git(where, "init", "-q", "-b", "main")
    git(where, "remote", "add", "origin", str(tmp_path / "acme" / "promotion.git"))
    git(where, "commit", "-qm", "one", "--allow-empty")
    git(where, "push", "-q", "-u", "origin", "main")
    git(where, "tag", "v9.9.9")
    return where


def test_what_is_called_is_what_the_clone_says(clone: Path) -> None:
    """Its origin, its commit, and the release where the commit is one."""
    head = git(clone, "rev-parse", "HEAD").strip()
    assert ours(None, says_itself=True, project=clone) == Ours("acme/promotion", head, "v9.9.9", True)

    git(clone, "commit", "-qm", "two", "--allow-empty")
    git(clone, "push", "-q")
    assert ours(None, says_itself=False, project=clone).version.startswith("after v")


def test_a_commit_that_github_would_not_find_is_refused(clone: Path, tmp_path: Path) -> None:
    """Not pushed, unpacked without git, a mistaken --uses: a sentence with what to do."""
    git(clone, "commit", "-qm", "mine", "--allow-empty")
    with pytest.raises(
        PromotionError, match="is on no branch of acme/promotion and no tag, so GitHub could not call it"
    ):
        ours(None, says_itself=False, project=clone)
    with pytest.raises(PromotionError, match="add --uses OWNER/NAME@COMMIT"):
        ours(None, says_itself=False, project=tmp_path)
    with pytest.raises(PromotionError, match="with all 40 digits of the commit, not `acme/promotion@v1`"):
        ours("acme/promotion@v1", says_itself=False)


@pytest.mark.parametrize(
    ("there", "state"),
    [
        (
            "version: 2\nupdates:\n  - package-ecosystem: pip # ours\n    directory: /\n",
            "added",
        ),
        ("version: 2\r\nupdates:\r\n- package-ecosystem: npm\r\n  directory: /\r\nregistries: {}\r\n", "added"),
        (
            "registries: {a: {type: git}}\nupdates:\n\n  # pip\n  - {package-ecosystem: pip, directory: /}\nversion: 2",
            "added",
        ),
        ("version: 2\nupdates:\n  - package-ecosystem: github-actions\n    directories: [/, /lib]\n", "nothing to add"),
        ("version: 2\nupdates: [{package-ecosystem: pip, directory: /}]\n", "not touched"),
        ("version: 2\nupdates: []\n", "not touched"),
        ("version: 2\nupdates:\n  - {a: [\n", "not touched"),
        ("- 1\n", "not touched"),
    ],
)
def test_dependabot_gets_one_entry_where_the_edit_is_certain(repository: Path, there: str, state: str, capsys) -> None:
    """Every other byte stays, and the file says what it said and the one thing more; else it is left, and said."""
    path = repository / ".github" / "dependabot.yml"
    path.write_bytes(there.encode())
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "dependabot")
    assert run(repository, "--task", "regression") == 0
    said, found = capsys.readouterr().out, path.read_bytes().decode()

    assert re.search(rf"dependabot\.yml +[^\n]*{state}", said), said
    assert (found != there) == (state == "added")
    if state == "added":
        old, new = yaml.safe_load(there), yaml.safe_load(found)
        assert new.pop("updates")[0]["package-ecosystem"] == "github-actions"
        assert new == {key: value for key, value in old.items() if key != "updates"}
        assert re.sub(r"(?s)^ *- package-ecosystem: github-actions\r?\n.*?morning\r?\n", "", found, flags=re.M) == there


def test_where_renovate_updates_dependabot_is_not_started(repository: Path, capsys) -> None:
    """Two tools would open every pull request twice; who reads is told what it has to update."""
    (repository / "renovate.json").write_text("{}")
    assert run(repository, "--task", "regression") == 0

    assert not (repository / ".github" / "dependabot.yml").exists()
    assert "see that it updates `github-actions` in `/`" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["1.0", "on", "null", "0x10", "12e3", "2026-01-01", "release/2.x", "größer"])
def test_a_branch_and_a_folder_are_what_they_are_called(repository: Path, name: str) -> None:
    """Also where YAML would read a number, a date or a yes."""
    folder = repository / ("services" if name == "größer" else name)
    folder.mkdir(parents=True, exist_ok=True)
    git(repository, "checkout", "-q", "-b", name)

    assert run(folder, "--task", "regression") == 0
    for verb in ("retrain", "promote", "drift"):
        found = yaml.safe_load((repository / ".github" / "workflows" / f"promotion-{verb}.yml").read_text())
        given = found["jobs"][verb]["with"]
        assert (given["branch"], given["root"]) == (name, folder.relative_to(repository).as_posix())
        for event in ("push", "pull_request", "merge_group"):
            assert found[True].get(event, {}).get("branches", [name]) == [name]
    assert run(folder, "--task", "regression") == 0


@pytest.mark.parametrize("name", ["a,b", "a]b", "!x", "c++", "${{x}}", "main#1", '"q', "it's"])
def test_a_branch_that_no_workflow_can_name_is_refused(repository: Path, name: str, capsys) -> None:
    """Nothing is written, and the sentence says which characters are fine."""
    git(repository, "checkout", "-q", "-b", name)
    before = contents(repository)

    assert run(repository, "--task", "regression") == 2
    assert "cannot be named in a workflow" in capsys.readouterr().err
    assert contents(repository) == before
