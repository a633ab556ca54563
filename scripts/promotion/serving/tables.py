"""The common request, a table of plain numbers in JSON, read without building a data frame for each.

MLflow turns every request into a data frame and casts column by column, which costs more than the
prediction of a small model. Where each value is a number that its column's type holds exactly, the
result is known beforehand, so the values of many requests go into one frame. All else is None here.
"""

from typing import Any

EXACT = 2**53  # whole numbers up to here are the same as a double
LONG = 2**63


def number_columns(schema: Any) -> dict[str, type] | None:
    """Return the schema's columns as float (double) or int (long), or None where it has any other."""
    from mlflow.types import DataType

    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    kinds = {DataType.double: float, DataType.long: int}
    found = {column.name: kinds.get(column.type) if isinstance(column.type, DataType) else None for column in schema}
    usable = len(found) == len(schema.inputs) and all(kind is not None for kind in found.values())
    return found if usable and not schema.optional_input_names() else None


def plain_rows(content: dict[str, Any], columns: dict[str, type]) -> list[list[Any]] | None:
    """Return the values of a decoded request, column by column in the schema's order, or None.

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
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    if len(names) != len(columns) or set(names) != columns.keys() or not isinstance(rows, list) or not rows:
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    by_name = dict(zip(names, zip(*rows, strict=True), strict=True))
    if not all(_holds(kind, by_name[name]) for name, kind in columns.items()):
        return None
    return [list(by_name[name]) for name in columns]


def _labels(index: Any, rows: Any) -> bool:
    """Whether `index` labels each of `rows`; answers leave the labels out, so they are not kept."""
    if not isinstance(index, list) or not isinstance(rows, list) or len(index) != len(rows):
        return False
    return all(type(label) is int and -LONG <= label < LONG for label in index)


def _holds(kind: type, values: tuple[Any, ...]) -> bool:
    """Whether every value is a number (a bool is none) that a double or a long holds exactly."""
    if kind is float:
        return all(type(v) is float or (type(v) is int and -EXACT <= v <= EXACT) for v in values)
    return all(type(v) is int and -LONG <= v < LONG for v in values)


def frame_of(parts: list[list[list[Any]]], columns: dict[str, type]) -> Any:
    """Return one data frame of the rows of all `parts`, as `plain_rows` gave them."""
    import numpy as np
    import pandas as pd

    dtypes = {float: np.float64, int: np.int64}
    return pd.DataFrame(
        {
            name: np.array([value for part in parts for value in part[place]], dtype=dtypes[kind])
            for place, (name, kind) in enumerate(columns.items())
        }
    )
