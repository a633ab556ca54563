"""What a pull request changes in a model's folder, on real trees."""

from pathlib import Path

import pytest
from promotion.git.repo import Repo
from promotion.pullrequest.changed import LONGEST, MOST, changed
from promotion.records.plan import Changed, FileChange

SPEC = """\
as_of: 2018-08-01
train_days: 7
parameters:
  empty: {}
  estimator: tree # a comment changes nothing
  settings: {max_depth: 2, criterion: gini}
  features: [amount, night]
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """An empty repository, for its objects."""
    found = Repo(tmp_path)
    found.git("init", "--quiet")
    return found


def tree_of(repo: Repo, files: dict[str, str | bytes]) -> str:
    """Write files as a tree of the repository."""
    env = {"GIT_INDEX_FILE": str(repo.path / "scratch-index")}
    repo.git("read-tree", "--empty", env=env)
    for path, content in files.items():
        text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
        blob = repo.git("hash-object", "-w", "--stdin", stdin=text).strip()
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
    return repo.git("write-tree", env=env).strip()


def difference(
    repo: Repo, before: dict[str, str | bytes] | None, after: dict[str, str | bytes] | None
) -> Changed | None:
    """What differs between two folders, given by their files."""
    trees = [None if files is None else tree_of(repo, files) for files in (before, after)]
    return changed(repo, *trees)


def test_settings_are_told_by_their_dotted_keys(repo: Repo) -> None:
    """Changed, new and removed ones, in the order of the new file; comments and layout are nothing."""
    after = """\
as_of: 2018-08-08
train_days: 7
parameters:
  estimator: tree
  settings:
    max_depth: 4
    min_samples_leaf: 5
  features: [amount, night, weekend]
"""
    found = difference(repo, {"model.yaml": SPEC}, {"model.yaml": after})

    assert found is not None
    assert found.settings == (
        ("as_of", "2018-08-01", "2018-08-08"),
        ("parameters.settings.max_depth", "2", "4"),
        ("parameters.settings.min_samples_leaf", None, "5"),
        ("parameters.features", "[amount, night]", "[amount, night, weekend]"),
        ("parameters.settings.criterion", "gini", None),
    )


def test_files_are_told_by_their_lines(repo: Repo) -> None:
    """Changed, new, removed and binary ones, by path."""
    before = {"data.py": "one\ntwo\n", "train.py": "a\n", "weights.bin": b"\0\1"}
    after = {"data.py": "one\nthree\nfour\n", "sub/new.py": "x\n", "weights.bin": b"\0\2"}
    found = difference(repo, before, after)

    assert found is not None
    assert found.files == (
        FileChange(path="data.py", added=2, removed=1),
        FileChange(path="sub/new.py", added=1, removed=0),
        FileChange(path="train.py", added=0, removed=1),
        FileChange(path="weights.bin", added=None, removed=None),
    )


def test_a_new_model_has_all_its_files(repo: Repo) -> None:
    """There is nothing to compare with, and the record says so."""
    found = difference(repo, None, {"model.yaml": SPEC, "train.py": "a\n"})

    assert found is not None and found.new
    assert [file.added for file in found.files] == [7, 1]


def test_a_folder_that_is_gone_changes_nothing_to_report(repo: Repo) -> None:
    """A retired model has no tree to compare."""
    assert difference(repo, {"train.py": "a\n"}, None) is None


@pytest.mark.parametrize(
    "text",
    [
        "not: [closed",
        "\tx: 1",
        "parameters: 3\n",
        "- a list\n",
        "? [a, b]\n: 1\n",
        "x: &x [*x]\n",
        "x: &x {y: *x}\n",
        'x: "\\ud800"\n',
        "x: " + "y" * 10_000 + "\n",
        "a0: &a0 [" + "z, " * 50 + "]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 50}]\n" for i in range(1, 9)),
        "m0: &m0 {k: v}\n"
        + "".join(f"m{i}: &m{i} {{{', '.join(f'k{j}: *m{i - 1}' for j in range(20))}}}\n" for i in range(1, 9)),
        "".join(f"k{i}: {i}\n" for i in range(2_000)),
    ],
)
def test_whatever_a_model_yaml_says_the_record_is_small_and_can_be_written(repo: Repo, text: str) -> None:
    """Broken, endless or exponential YAML costs neither time nor memory, and the record is text that UTF-8 carries."""
    found = difference(repo, {"model.yaml": SPEC}, {"model.yaml": text, "ä\udcff.py": "x\n"})

    assert found is not None
    assert len(found.settings) <= MOST and len(found.files) <= MOST
    assert len(found.model_dump_json().encode()) < 4 * (MOST + 2) * 3 * (LONGEST + 40)
