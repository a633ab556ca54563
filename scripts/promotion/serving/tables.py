"""The common request, a table of plain numbers in JSON, read without building a data frame for each.

MLflow turns every request into a data frame and casts column by column, which costs more than the
prediction of a small model. Where each value is a number that its column's type holds exactly, the
result is known beforehand, so the values of many requests go into one array. All else is None here.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

EXACT = 2**53  # whole numbers up to here are the same as a double
LONG = 2**63

Rows = list[list[Any]]


def number_columns(schema: Any) -> dict[str, type] | None:
    """Return the schema's columns as float (double) or int (long), or None where it has any other."""
    from mlflow.types import DataType

    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    kinds = {DataType.double: float, DataType.long: int}
    plain = [column for column in schema if isinstance(column.type, DataType) and column.type in kinds]
    found = {column.name: kinds[column.type] for column in plain}
    usable = len(found) == len(schema.inputs)
    return found if usable and not schema.optional_input_names() else None


def read_rows(body: bytes, columns: dict[str, type]) -> Rows | None:
    """Return the rows of a body in the schema's order of columns, or None where it is not a table of plain numbers.

    orjson refuses what Python's reader takes beyond JSON (NaN, Infinity, other encodings, great depth) and reads
    whole numbers from 2**64 on as doubles: all of these are left to MLflow.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return plain_rows(content, columns) if isinstance(content, dict) and len(content) == 1 else None


def plain_rows(content: dict[str, Any], columns: dict[str, type]) -> Rows | None:
    """Return the rows of a decoded request in the schema's order, or None.

    content: `{"dataframe_split": ...}` or `{"dataframe_records": ...}`, with exactly the schema's columns.
    """
    table = content.get("dataframe_split")
    if isinstance(table, dict) and table.keys() - {"index"} == {"columns", "data"}:
        names, rows = table["columns"], table["data"]
        if "index" in table and not _labels(table["index"], rows):
            return None
    elif isinstance(records := content.get("dataframe_records"), list) and records:
        names = list(columns)
        if not all(isinstance(record, dict) and record.keys() == columns.keys() for record in records):
            return None
        rows = [[record[name] for name in names] for record in records]
    else:
        return None
    if not isinstance(names, list) or not isinstance(rows, list) or not rows:
        return None
    width = len(columns)
    if not all(type(row) is list and len(row) == width for row in rows):
        return None
    wanted = list(columns)
    if names != wanted:
        if len(names) != width or not all(type(name) is str for name in names) or set(names) != columns.keys():
            return None
        places = [names.index(name) for name in wanted]
        rows = [[row[place] for place in places] for row in rows]
    return rows if _fit(rows, list(columns.values())) else None


def _labels(index: Any, rows: Any) -> bool:
    """Whether `index` labels each of `rows`; answers leave the labels out, so they are not kept."""
    if not isinstance(index, list) or not isinstance(rows, list) or len(index) != len(rows):
        return False
    return all(type(label) is int and -LONG <= label < LONG for label in index)


def _fit(rows: Rows, kinds: list[type]) -> bool:
    """Whether every value is a number (a bool is none) that its column's double or long holds exactly."""
    types = set(map(type, chain.from_iterable(rows)))
    if not types <= {float, int}:
        return False
    if types == {float} and int not in kinds:
        return all(-LONG < v < LONG for v in chain.from_iterable(rows))
    return all(_holds(kind, values) for kind, values in zip(kinds, zip(*rows, strict=True), strict=True))


def _holds(kind: type, values: tuple[Any, ...]) -> bool:
    if kind is float:
        return all(-LONG < v < LONG if type(v) is float else -EXACT <= v <= EXACT for v in values)
    return all(type(v) is int and -LONG <= v < LONG for v in values)


def array_of(rows: Rows, columns: dict[str, type]) -> np.ndarray:
    """Return the rows as one array, (rows, columns): of longs where all columns are, else of doubles."""
    # by columns, as a data frame keeps them: a matrix product's last bits depend on it
    return np.array(rows, dtype=np.int64 if float not in columns.values() else np.float64, order="F")


def frame_of(rows: Rows, columns: dict[str, type]) -> Any:
    """Return the rows as one data frame with the types of the schema."""
    import pandas as pd

    dtypes = {float: np.float64, int: np.int64}
    values: Sequence[Any] = list(zip(*rows, strict=True))
    return pd.DataFrame(
        {name: np.array(values[place], dtype=dtypes[kind]) for place, (name, kind) in enumerate(columns.items())}
    )


def exact_as_doubles(rows: Rows, columns: dict[str, type]) -> bool:
    """Whether `array_of` keeps every value: longs beside doubles must fit into a double."""
    if float not in columns.values() or int not in columns.values():
        return True
    return all(-EXACT <= v <= EXACT for v in chain.from_iterable(rows) if type(v) is int)
