"""What a newcomer gets wrong first: one sentence each, with the file, the line, and what to write."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from promotion.sandbox import child

TINY = Path(__file__).parents[1] / "support" / "tiny_model"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model folder on the path, as the child process has it; its modules are forgotten afterwards."""
    for name in ("data.py", "train.py"):
        (tmp_path / name).write_text((TINY / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """Let the next import read the files again."""
    for name in ("data", "train"):
        sys.modules.pop(name, None)


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Replace text in a file."""
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def job(folder: Path) -> dict[str, Any]:
    """What train.py asks for."""
    spec = {"as_of": "2026-03-01", "train_days": 1, "validation_days": 1, "seed": 0}
    windows = {"train": ["2026-02-20", 1], "validation": ["2026-02-21", 1]}
    parameters = {"features": ["hint"], "threshold": 0.5}
    return {"source": str(folder), "out": str(folder / "model"), "spec": {**spec, "parameters": parameters}, **windows}


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("data.py", "def load", "def lode", r"it has no function load\(window\)"),
        ("data.py", "return Rows(", "return dict(", r"load\(\) returned a dict; it must return promotion.model.Rows"),
        ("data.py", 'table[["row_id"]]', 'table["row_id"]', r'Rows.keys is a Series.*: table\[\["row_id"\]\]'),
        (
            "data.py",
            'table["y"].to_numpy()',
            'table["y"].map({0: "stays", 1: "leaves"})',
            r"Rows.y holds text, such as 'leaves'; .* \(table\[COLUMN\] == 'leaves'\).astype\(int\)",
        ),
        (
            "data.py",
            'table[["row_id"]],',
            'table[["row_id"]].assign(n=1)[["n"]],',
            "has duplicate keys, the first is n=1",
        ),
        (
            "data.py",
            "window.days)",
            "window.days + 3)",
            r"train window \(.*\) and gave rows of other days, such as 2026-02-21",
        ),
        (
            "data.py",
            'columns=table[["day"',
            'columns=table.assign(day=table["day"].dt.tz_localize("Europe/Berlin"))[["day"',
            r"has the time zone Europe/Berlin, .*dt\.tz_localize\(None\)",
        ),
        ("data.py", 'table["y"].to_numpy()', 'table["y"].to_numpy() + 1', r"classes are 1, 2; .*\(y == VALUE\)"),
        (
            "train.py",
            "train.y)",
            "train.y.astype(str))",
            "the classifier's classes are '0', '1'; its labels must be 0 and 1",
        ),
        ("train.py", "def fit", "def fitt", r"it has no function fit\(train, validation, spec\)"),
        (
            "train.py",
            "validation: Rows, ",
            "",
            r"fit\(\) cannot be called as fit\(train, validation, spec\): too many pos",
        ),
    ],
)
def test_what_the_hooks_give_back(folder: Path, name: str, old: str, new: str, says: str) -> None:
    """A missing hook, something else than Rows, a Series for keys, labels as text."""
    edit(folder, name, old, new)

    with pytest.raises(child.Complaint, match=says) as found:
        child.train(job(folder))

    assert found.value.file == name


def test_a_day_in_utc_stays_a_day(folder: Path) -> None:
    """As data.py of champions have it: a zone is a mistake only where it makes another day of it."""
    edit(
        folder, "data.py", 'columns=table[["day"', 'columns=table.assign(day=table["day"].dt.tz_localize("UTC"))[["day"'
    )

    assert child.train(job(folder))["train_seconds"] >= 0


def test_a_column_that_the_policy_names_is_asked_of_data_py(folder: Path, tmp_path: Path) -> None:
    """Dollars, clusters and slices are columns of Rows.columns; the sentence has the key and what is there."""
    rows = {"features": str(tmp_path / "features"), "table": str(tmp_path / "table"), "declares": True}
    job = {**rows, "first": "2026-03-01", "days": 1, "needs": {"amount": "measure.dollars", "value": "measure.cluster"}}

    with pytest.raises(
        child.Complaint, match=r"lacks `value`, which measure\.cluster in promotion\.yaml names; it has: day"
    ):
        child.features(job)


@pytest.mark.parametrize(
    ("line", "code"),
    [(13, "    raise KeyError('no such column')\n"), (13, "    one_day((None)\n"), (13, "    one_day(None)\n")],
    ids=["raised", "no Python", "called"],
)
def test_an_exception_in_data_py_is_data_pys(folder: Path, line: int, code: str) -> None:
    """The innermost line that is the folder's own, of a file that cannot even be parsed as well."""
    edit(folder, "data.py", "    days = [", f"{code}    days = [")

    with pytest.raises((KeyError, SyntaxError, AttributeError)) as found:
        child.train(job(folder))

    file, at = child.raised_in(found.value, folder) or ("", None)
    assert file == "data.py"
    assert at is not None and at >= line - 1


def test_an_exception_in_a_package_of_the_folder_is_named_by_its_path(folder: Path) -> None:
    """parts/inner.py, not train.py that imports it."""
    (folder / "parts").mkdir()
    (folder / "parts" / "inner.py").write_text("\nraise RuntimeError('no')\n", encoding="utf-8")
    edit(folder, "train.py", "from promotion.model", "import parts.inner\nfrom promotion.model")

    with pytest.raises(RuntimeError) as found:
        child.train(job(folder))

    assert child.raised_in(found.value, folder) == ("parts/inner.py", 2)
    assert child.raised_in(RuntimeError("nowhere"), folder) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("from .helper import f", "`from .helper import f` is `from helper import f` here"),
        ("import models.churn.helper", "imported by its own name alone"),
        ("open('models/churn/table.csv')", 'Path(__file__).with_name("table.csv")'),
        ("open(__file__ + '.csv')", "there is no file models/churn/data.py.csv; is it ignored by git"),
    ],
)
def test_what_works_in_the_repository_and_not_where_it_is_judged(tmp_path: Path, line: str, says: str) -> None:
    """A package of the folder, a path from the repository's top, a file that git does not have."""
    file = str(tmp_path / "data.py")
    with pytest.raises(OSError if "open" in line else ImportError) as found:
        exec(compile(f"\n{line}", file, "exec"), {"__file__": file, "__name__": "data", "__package__": ""})

    complaint = child.missing(found.value, tmp_path, "churn")

    assert complaint is not None and says in str(complaint)
    assert (complaint.file, complaint.line) == ("data.py", 2)
