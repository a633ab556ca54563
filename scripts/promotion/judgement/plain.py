"""Score tables that were made elsewhere: plain column names, brought into the form of scores.py.

`label`, `day`, `candidate` and `champion` (0/1 decisions, or predictions of a regression), optionally
`candidate_score` and `champion_score` (probabilities) and `key`; every other column keeps its name for
the policy's dollars, clusters and slices. A table that has `key.*` and `column.*` is taken as it is.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement.hashing import as_float, combine, hash_column, mix
from promotion.judgement.places import Place, below, opened
from promotion.judgement.table import (
    PARTS,
    READING,
    SIDES,
    Reading,
    Scores,
    open_scores,
    part_files,
    scores_from_table,
)

EXACT = 2.0**53  # whole numbers up to here are the same as floats


def open_plain(path: Place, policy: Policy, *, empty: Iterable[str] = (), reading: Reading = READING) -> Scores:
    """Open a score table in either form; raise PromotionError, one sentence with file and column, for a bad one."""
    found = part_files(path) if isinstance(path, Path) and path.is_dir() else below(path, PARTS)
    if not found:
        raise PromotionError("no such file; give a Parquet file or a folder of part-*.parquet", file=path)
    if found != (path,):
        return open_scores(path, policy, empty=empty, reading=reading)
    try:
        with opened(path) as source:
            names = pq.read_schema(source).names
        if any(name.startswith(("key.", "column.")) for name in names):
            return open_scores(path, policy, empty=empty, reading=reading)
        with opened(path) as source:
            table = pq.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise PromotionError(f"not a readable Parquet file ({str(error)[:80]})", file=path) from None
    return scores_from_table(renamed(table, path), policy, where=path, empty=empty, reading=reading)


def renamed(table: pa.Table, where: Place) -> pa.Table:
    """Return a plain table under the names of scores.py; raise PromotionError for a column that is missing."""
    for name in ("label", "day", "candidate"):
        if name not in table.column_names:
            raise PromotionError(
                f"the column `{name}` is missing; a plain table has label, day, candidate and champion", file=where
            )
    classes = _values(table, "label") <= {0, 1, None}
    names = []
    for name in table.column_names:
        if name == "label":
            names.append("label")
        elif name in SIDES:
            if classes and not _values(table, name) <= {0, 1, None}:
                raise PromotionError(
                    f"the labels are 0 and 1 but `{name}` is not a 0/1 decision; put probabilities into `{name}_score` "
                    f"and decisions into `{name}`",
                    file=where,
                )
            names.append(f"{name}.decision" if classes else f"{name}.score")
        elif name in ("candidate_score", "champion_score") and classes:
            names.append(name.replace("_score", ".score"))
        else:
            names.append("key.key" if name == "key" else f"column.{name}")
    table = table.rename_columns(names)
    return table if "key.key" in names else _with_keys(table)


def _values(table: pa.Table, name: str) -> set[object]:
    """The first few distinct values of a column."""
    return set(table[name].unique().slice(0, 4).to_pylist())


def _with_keys(table: pa.Table) -> pa.Table:
    """The rows keyed by what is in them, equal rows numbered, so that their order changes nothing."""
    names = sorted(table.column_names)
    content = combine([found for name in names if (found := _hashed(table[name], name)) is not None])
    order = np.argsort(content, kind="stable")
    starts = np.flatnonzero(np.diff(content[order], prepend=content[order][:1] ^ np.uint64(1)))
    copies = np.empty(len(order), np.int64)
    copies[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    table = table.append_column("key.content", pa.array(content.view(np.int64)))
    return table.append_column("key.copy", pa.array(copies))


def _small(column: pa.ChunkedArray) -> bool:
    """Whether a column has whole numbers that floats hold exactly."""
    if not pa.types.is_integer(column.type):
        return False
    return (pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() or 0) < EXACT


def _hashed(column: pa.ChunkedArray, name: str) -> np.ndarray | None:
    """(n,) hashes of a column, the same for 1 and 1.0; None for a type that has none."""
    if pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type) or _small(column):
        column = as_float(column)
    missing = column.is_null().to_numpy()
    try:
        filled = column.fill_null(pa.scalar("" if pa.types.is_string(column.type) else 0).cast(column.type))
        found = hash_column(filled, name)
    except (PromotionError, pa.ArrowException):
        return None
    return mix(found ^ missing.astype(np.uint64))
