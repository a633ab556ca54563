"""Score tables: what is refused, in one sentence with the place; digests that no partition or order changes."""

import itertools
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import promotion.judgement.digest as digest
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from promotion.errors import PromotionError
from promotion.judgement.judge import judge_table
from promotion.judgement.table import open_scores, predictions_digest, rows_digest, scores_from_table

from tests.support.score_tables import frame, opened, policy, regression


def spoiled(column: str, row: int, value) -> pd.DataFrame:
    """The usual table with one value changed."""
    table = frame(200)
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return table


def written(folder: Path, table: pd.DataFrame, cuts: list[int] | None = None) -> Path:
    """The table as part files, cut before the rows given."""
    folder.mkdir()
    bounds = [0, *(cuts or []), len(table)]
    for i, (a, b) in enumerate(itertools.pairwise(bounds)):
        table.iloc[a:b].to_parquet(folder / f"part-{i}.parquet", index=False)
    return folder


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("candidate.score", float("nan"), "candidate.score is missing, NaN or infinite in row 8"),
        ("champion.score", float("inf"), "champion.score is missing, NaN or infinite in row 8"),
        ("candidate.score", None, "candidate.score is missing, NaN or infinite in row 8"),
        ("label", 2, "label is neither 0 nor 1 in row 8"),
        ("label", None, "label is missing, NaN or infinite in row 8"),
        ("candidate.decision", 3, "candidate.decision is neither 0 nor 1 in row 8"),
        ("column.amount", -1.0, "column.amount is negative in row 8"),
        ("column.amount", float("nan"), "column.amount is missing, NaN or infinite in row 8"),
        ("column.amount", 1e300, "column.amount is larger than 1e\\+30, which no sum here can hold, in row 8"),
        ("column.customer_id", float("nan"), "column.customer_id is missing in row 8"),
        ("column.terminal_id", None, "column.terminal_id is missing in row 8"),
        ("column.day", None, "column.day is missing in row 8"),
        ("key.id", 3, "duplicate key id=3"),
        ("key.id", None, "key.id is missing in row 8"),
    ],
)
def test_a_bad_value_is_named_with_its_column_and_row(tmp_path: Path, column: str, value, sentence: str) -> None:
    """Every kind of bad value is one sentence with the file, the column and the row, counted from 1."""
    folder = written(tmp_path / "scores", spoiled(column, 7, value), [100])

    with pytest.raises(PromotionError, match=sentence) as caught:
        open_scores(folder, policy())
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("candidate.score", "many", "candidate.score must be numbers, not"),
        ("label", "yes", "label must be numbers, not"),
        ("column.day", "tomorrow", "column.day is not a day"),
        ("column.day", 17.5, "column.day is not a day"),
    ],
)
def test_a_wrong_type_is_named(column: str, values, sentence: str) -> None:
    """A column of the wrong type is named with what it is."""
    with pytest.raises(PromotionError, match=sentence):
        opened(frame(50).assign(**{column: values}))


@pytest.mark.parametrize(
    ("drop", "sentence"),
    [
        ("label", "the column label is missing"),
        ("column.day", "the column column.day is missing"),
        ("champion.decision", "the column champion.decision is missing"),
        ("champion.score", "the column champion.score is missing"),
        ("candidate.decision", "the champion has decisions and the candidate has none"),
        ("key.id", "no key"),
        ("column.amount", "measure.dollars names the column `amount`, which the score table lacks"),
        ("column.terminal_id", "measure.cluster names the column `terminal_id`"),
        ("column.weekend", "measure.slices names the column `weekend`"),
    ],
)
def test_a_missing_column_is_named(drop: str, sentence: str) -> None:
    """Each column that the policy or the format needs is asked for by name."""
    with pytest.raises(PromotionError, match=sentence):
        opened(frame(50).drop(columns=drop))


def test_zero_rows_and_files_that_are_not_scores(tmp_path: Path) -> None:
    """No rows, no files, bytes that are not Parquet, and parts of different columns are refused."""
    with pytest.raises(PromotionError, match="zero rows"):
        opened(frame(50).iloc[:0])
    with pytest.raises(PromotionError, match="no scores here"):
        open_scores(tmp_path, policy())
    (tmp_path / "part-0.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(PromotionError, match=r"part-0.parquet: not a readable Parquet file"):
        open_scores(tmp_path, policy())
    frame(50).to_parquet(tmp_path / "part-0.parquet")
    frame(50, 1).assign(extra=1).to_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(PromotionError, match=r"part-1.parquet: its columns differ from part-0.parquet's: extra"):
        open_scores(tmp_path, policy())


TEXT = "text here and whole numbers in part-0.parquet; write one type"
BOOL = "true or false here and whole numbers in part-0.parquet"


@pytest.mark.parametrize(
    ("column", "other", "whole", "by_files"),
    [
        ("key.id", pa.string(), f"key.id is {TEXT}", f"key.id is {TEXT}"),
        ("key.id", pa.float64(), None, "key.id is floats here and whole numbers in part-0.parquet; write one type"),
        ("key.id", pa.int32(), None, None),
        ("column.customer_id", pa.string(), f"column.customer_id is {TEXT}", f"column.customer_id is {TEXT}"),
        ("column.weekend", pa.string(), f"column.weekend is {TEXT}", None),
        ("column.weekend", pa.bool_(), f"column.weekend is {BOOL}", None),
        ("column.day", pa.string(), "column.day is text here and times in part-0.parquet", None),
        ("column.amount", pa.float32(), None, None),
        ("column.extra", pa.string(), None, None),
        ("label", pa.bool_(), f"label is {BOOL}", None),
        ("candidate.decision", pa.bool_(), f"candidate.decision is {BOOL}", None),
        ("label", pa.float64(), None, None),
    ],
)
@pytest.mark.parametrize("in_memory", [1000, 100], ids=["whole", "by files"])
def test_files_that_hold_a_column_in_another_type(
    tmp_path: Path, monkeypatch, in_memory: int, column: str, other: pa.DataType, whole, by_files
) -> None:
    """What one table in memory can hold, and above that what each file says alike, is judged, and alike: nobody can
    change a champion's data.py. A column by which rows are found has one type in all files of a larger table.
    """
    monkeypatch.setattr(digest, "IN_MEMORY", in_memory)
    table = frame(300)
    table["column.extra"] = 1
    table["column.weekend"] = table["column.weekend"].astype(int)
    folder = written(tmp_path / "scores", table, [100, 200, 200])
    nothing = pa.table({name: pa.nulls(0) for name in table.columns})
    pq.write_table(nothing, folder / "part-2.parquet")
    alike = open_scores(folder, policy())
    path = folder / "part-3.parquet"
    part = pq.read_table(path)
    index = part.column_names.index(column)
    pq.write_table(part.set_column(index, column, part[column].cast(other)), path)

    sentence = whole if in_memory == 1000 else by_files
    if sentence is not None:
        with pytest.raises(PromotionError, match=f"part-3.parquet: {sentence}"):
            open_scores(folder, policy())
        return
    found = open_scores(folder, policy())

    assert (found.rows, found.days, found.mean) == (alike.rows, alike.days, alike.mean)
    if (column, other) not in {("key.id", pa.float64()), ("column.amount", pa.float32())}:  # other values
        assert found.digests == alike.digests
    if (column, other) != ("column.weekend", pa.bool_()):  # its values are true and false
        assert found.slices == alike.slices


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    """Nobody knows which one is meant."""
    table = pa.Table.from_pandas(frame(50), preserve_index=False)
    pq.write_table(table.append_column("label", table["label"]), tmp_path / "part-0.parquet")

    with pytest.raises(PromotionError, match=r"part-0.parquet: it has the column label twice"):
        open_scores(tmp_path, policy())


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file that lost its end, as an interrupted upload leaves it, is not read in part."""
    path = tmp_path / "scores.parquet"
    frame(500).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(PromotionError, match="not a readable Parquet file"):
        open_scores(path, policy())


def digests(scores) -> tuple[str, str, str]:
    """The three digests of a table."""
    return rows_digest(scores), predictions_digest(scores, "candidate"), predictions_digest(scores, "champion")


def test_digests_do_not_depend_on_order_partitions_or_widths(tmp_path: Path) -> None:
    """Shuffled, cut into parts, read from a file, with wider integers and categories: the same digests."""
    table = frame(700)
    shuffled = table.sample(frac=1, random_state=1)
    wider = shuffled.astype({"label": "int64", "key.id": "int32", "column.terminal_id": "category"})
    folder = written(tmp_path / "scores", shuffled, [1, 300, 301])
    found = {digests(opened(t)) for t in (table, shuffled, wider)} | {digests(open_scores(folder, policy()))}

    assert len(found) == 1


def test_digests_do_not_depend_on_how_a_writer_types_numbers() -> None:
    """Decisions as 0.0 and 1.0, true and false, labels and scores as smaller floats or decimals: the same digests."""
    table = frame(300).round({"candidate.score": 2, "champion.score": 2})
    table["column.amount"] = table["column.amount"].round()
    floats = table.astype({"candidate.decision": "float64", "champion.decision": "float32", "label": "float32"})
    bools = table.astype({"candidate.decision": bool, "label": bool, "column.amount": "int64"})
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for name in ("column.amount", "candidate.score"):
        column = arrow[name].cast(pa.decimal128(12, 2))
        arrow = arrow.set_column(arrow.column_names.index(name), name, column)
    found = [digests(opened(one)) for one in (table, floats, bools)] + [digests(scores_from_table(arrow, policy()))]

    assert len(set(found)) == 1


def test_decimals_are_money() -> None:
    """Dollars as a database exports them add up as floats do."""
    table = frame(500)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    index = arrow.column_names.index("column.amount")
    exact = scores_from_table(
        arrow.set_column(index, "column.amount", arrow["column.amount"].cast(pa.decimal128(18, 2))), policy()
    )
    parts = [next(iter(scores.parts())).number("column.amount").sum() for scores in (exact, opened(table))]

    assert parts[0] == pytest.approx(parts[1])


def test_a_table_without_a_key_is_keyed_by_its_rows(tmp_path: Path) -> None:
    """Shuffled, or with decisions as floats, it gives the same evidence; equal rows are told apart by their number."""
    rows = frame(3000, finds=(0.5, 0.9)).drop(columns=["key.id", "candidate.score", "champion.score"])
    rows = pd.concat([rows, rows.iloc[:50]]).rename(columns=lambda name: name.removeprefix("column."))
    rows = rows.rename(columns={"candidate.decision": "candidate", "champion.decision": "champion"})
    rules = policy({"cluster": None})
    found = set()
    for number, table in enumerate(
        (rows, rows.sample(frac=1, random_state=3), rows.astype({"candidate": float, "label": float}))
    ):
        table.to_parquet(tmp_path / f"{number}.parquet", index=False)
        found.add(judge_table(tmp_path / f"{number}.parquet", rules, replicates=300).sha256)

    assert len(found) == 1


def test_a_large_file_that_changes_while_it_is_judged_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read again must be what was checked; a table that fits into memory is not read again."""
    path = tmp_path / "scores.parquet"
    frame(500).to_parquet(path)
    small = open_scores(path, policy())
    monkeypatch.setattr(digest, "IN_MEMORY", 100)
    large = open_scores(path, policy())
    frame(600).to_parquet(path)

    assert sum(part.rows for part in small.parts()) == 500
    with pytest.raises(PromotionError, match="it changed while it was judged"):
        list(large.parts())


def test_large_tables_in_buckets_have_the_same_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting in temporary buckets gives the digests of sorting in memory, and still finds a doubled key."""
    table = frame(3000)
    table["key.word"] = "w" + (table["key.id"] % 7).astype(str)
    table["key.word"] += table["key.id"].map(lambda i: "é" * (i % 3))
    whole = digests(opened(table))
    monkeypatch.setattr(digest, "IN_MEMORY", 500)

    assert digests(opened(table)) == whole
    with pytest.raises(PromotionError, match="duplicate key"):
        opened(pd.concat([table, table.iloc[[77]]]))


def test_a_table_of_many_buckets_takes_the_open_files_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket is an open file: a billion rows have as many as most systems give at first, and more if asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2000:
        pytest.skip(f"only {hard} open files are allowed here")
    whole = digests(opened(frame(3000)))
    monkeypatch.setattr(digest, "IN_MEMORY", 6)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        assert digests(opened(frame(3000))) == whole
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("column", "which"),
    [
        ("label", {0}),
        ("column.amount", {0}),
        ("column.customer_id", {0}),
        ("column.terminal_id", {0}),
        ("candidate.score", {1}),
        ("candidate.decision", {1}),
        ("champion.score", {2}),
        ("key.id", {0, 1, 2}),
        ("column.note", set()),
    ],
)
def test_one_changed_value_changes_the_digests_that_are_about_it(column: str, which: set[int]) -> None:
    """Labels, money and clusters are the test set's; scores and decisions are a side's; keys are everybody's."""
    table = frame(300).assign(**{"column.note": 0.5})
    other = table.copy()
    flipped = 1 - table[column][5] if column in ("label", "candidate.decision") else 0.125
    other.loc[5, column] = {"column.terminal_id": "t9999", "key.id": 9999, "column.customer_id": 9999}.get(
        column, flipped
    )
    before, after = digests(opened(table)), digests(opened(other))

    assert {i for i in range(3) if before[i] != after[i]} == which


def test_swapped_predictions_of_two_rows_change_the_digest() -> None:
    """The digest is over rows, not over columns that were sorted one by one."""
    table = frame(300)
    other = table.copy()
    other.loc[[1, 2], "candidate.score"] = table.loc[[2, 1], "candidate.score"].to_numpy()

    assert table["candidate.score"][1] != table["candidate.score"][2]
    assert predictions_digest(opened(table), "candidate") != predictions_digest(opened(other), "candidate")


def test_text_that_runs_together_differs() -> None:
    """`ab`, `c` is not `a`, `bc`: the lengths of texts enter."""
    table = frame(20).iloc[:2]
    one, two = table.copy(), table.copy()
    one["column.terminal_id"], two["column.terminal_id"] = ["ab", "c"], ["a", "bc"]

    assert rows_digest(opened(one)) != rows_digest(opened(two))


def test_what_a_table_says_about_itself() -> None:
    """Rows, days, positives, the task and the sides come from the rows."""
    scores = opened(frame(700))
    assert (scores.rows, scores.task, scores.sides) == (700, "classification", ("candidate", "champion"))
    assert scores.last - scores.first == 6
    assert scores.positives == int(frame(700)["label"].sum())
    assert scores.keys == ("id",)
    rules = policy({"dollars": None, "cluster": ["clinic"], "slices": None}, {"rmse": "< 1"})
    other = opened(regression(), rules)
    assert (other.task, other.positives) == ("regression", None)
    assert other.custom_sums() == {"cost.cost", "cost.n"}
    assert np.datetime64("1970-01-01") + other.first == np.datetime64("2024-02-19")
