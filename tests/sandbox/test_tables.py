"""Tables that nobody vouches for are read elsewhere, and come out plain, with the same rows, or not at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from promotion.errors import PromotionError
from promotion.sandbox import tidy
from promotion.sandbox.tables import take_tables

ROWS = pd.DataFrame(
    {
        "key.row_id": np.arange(5),
        "label": [0, 1, 0, 1, 0],
        "column.day": pd.to_datetime(["2026-03-01"] * 5),
        "column.shop": pd.Categorical(["a", "b", "a", None, "b"]),
        "score": np.linspace(0, 1, 5),
        "flag": [True, False, True, False, True],
    }
)


def taken(tmp_path: Path, write: Any) -> pa.Table:
    """Let `write` make a part of a table, and take it in."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "part-2026-03-01.parquet")
    take_tables(tmp_path / "in", tmp_path / "out")
    return pq.read_table(tmp_path / "out" / "part-2026-03-01.parquet")


def test_an_honest_table_keeps_its_values(tmp_path: Path) -> None:
    """Types become plain ones, values and order stay, metadata is gone."""
    found = taken(tmp_path, lambda path: ROWS.to_parquet(path, index=False))

    assert found.schema.metadata is None
    assert str(found.schema.field("column.shop").type) == "string"
    expected = ROWS.assign(**{"column.shop": ROWS["column.shop"].astype(object)})
    assert found.to_pylist() == pa.Table.from_pandas(expected).to_pylist()


def test_a_table_of_many_batches_comes_out_whole(tmp_path: Path) -> None:
    """More rows than are held at once."""
    rows = 3 * tidy.BATCH_ROWS + 7
    found = taken(tmp_path, lambda path: pd.DataFrame({"key.id": np.arange(rows)}).to_parquet(path, index=False))

    assert found["key.id"].to_pylist() == list(range(rows))


def nested(path: Path) -> None:
    """Lists in a column."""
    pq.write_table(pa.table({"key.id": [[1], [2]]}), path)


def long_text(path: Path) -> None:
    """One text of a megabyte, named by every row: 40 bytes a row become a terabyte in a million rows."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array(["x" * (1 << 20)]))
    pq.write_table(pa.table({"key.id": column}), path)


def odd_name(path: Path) -> None:
    """A column whose name has a line break."""
    pq.write_table(pa.table({"key.id\n::error::": [1]}), path)


def not_parquet(path: Path) -> None:
    """Text."""
    path.write_text("key.id\n1\n")


def cut_off(path: Path) -> None:
    """Half a file."""
    ROWS.to_parquet(path, index=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def large_footer(path: Path) -> None:
    """A footer that says it is 20 MiB long, and is."""
    size = 20 << 20
    path.write_bytes(b"PAR1" + bytes(size) + size.to_bytes(4, "little") + b"PAR1")


def damaged(path: Path) -> None:
    """Every byte between head and footer is another one."""
    ROWS.to_parquet(path, index=False)
    raw = bytearray(path.read_bytes())
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    raw[4:footer] = os.urandom(footer - 4)
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("write", [nested, long_text, odd_name, not_parquet, cut_off, large_footer, damaged])
def test_anything_else_is_one_sentence_with_the_file(write: Any, tmp_path: Path) -> None:
    """And nothing of it is left to be used."""
    with pytest.raises(PromotionError, match=r"part-2026-03-01\.parquet: .*not used$"):
        taken(tmp_path, write)

    assert not (tmp_path / "out").exists()


def test_what_takes_more_memory_than_it_may_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that unpacks to more than the process may hold ends that process, and is one sentence."""
    rows = 1 << 22

    def write(path: Path) -> None:
        table = pa.table({f"column.{name}": pa.array(np.zeros(rows)) for name in "abcdefgh"})
        pq.write_table(table, path, row_group_size=rows, compression="zstd", use_dictionary=False)

    monkeypatch.setattr("promotion.sandbox.tables.MOST_BYTES", 1 << 20)

    with pytest.raises(PromotionError, match="take more than 1 MiB"):
        taken(tmp_path, write)


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    """Only parts of a table are taken."""
    (tmp_path / "in").mkdir()
    ROWS.to_parquet(tmp_path / "in" / "scores.csv", index=False)

    with pytest.raises(PromotionError, match="not the name of a part"):
        take_tables(tmp_path / "in", tmp_path / "out")
