"""Labels joined to a log of serve.py: from live traffic to the table that judge.py reads."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promotion.errors import PromotionError


@dataclass(frozen=True)
class Joined:
    """How many rows of a log have a label and all answers, and how many were left out, by reason.

    versions: (champion, candidate) whose answers they are; None for one that is not there, or of which the name of the
    log's folder does not tell.
    """

    rows: int
    unlabelled: int
    unanswered: int
    repeated: int
    versions: tuple[int | None, int | None] = (None, None)

    def __str__(self) -> str:
        """One line for a person."""
        out = [
            f"{count:,} {why}"
            for count, why in (
                (self.unlabelled, "without a label"),
                (self.unanswered, "that the candidate did not answer"),
                (self.repeated, "asked again"),
            )
            if count
        ]
        return f"{self.rows:,} rows with a label" + (f"; left out: {', '.join(out)}" if out else "")


def join_labels(log: Path, labels: Path, out: Path) -> Joined:
    """Write the rows of `log` that `labels` knows to `out`, a score table; PromotionError where they do not fit.

    log: a folder that serve.py --log made for one pair of versions. labels: Parquet with `key.*` columns,
    `label`, and `column.*` for what the log lacks. A key may also be one of the columns that were sent.
    A log without a second version is judged by itself.
    """
    table, known = _log(log), _labels(labels)
    keys = [name for name in known.column_names if name.startswith("key.")]
    for key in keys:
        sent = f"column.{key[4:]}"
        if key not in table.column_names and sent in table.column_names:
            table = table.rename_columns([key if name == sent else name for name in table.column_names])
        if key not in table.column_names:
            raise PromotionError(f"the labels are keyed by {key}, which the log {log} does not have", file=labels)
    table = table.drop_columns([name for name in table.column_names if name.startswith("key.") and name not in keys])
    table, repeated = _first(table, keys)
    if not any(name.startswith("candidate.") for name in table.column_names):
        table = table.rename_columns([name.replace("champion.", "candidate.") for name in table.column_names])
    unanswered = 0
    for name in [name for name in table.column_names if name.startswith("candidate.")]:
        answered = pc.is_valid(table[name])
        unanswered += table.num_rows - pc.sum(answered).as_py()
        table = table.filter(answered)
    if table.num_rows == 0:
        raise PromotionError("the candidate answered none of its rows, so there is nothing to judge", file=log)
    known = _like(known, table, keys, labels)
    table = table.drop_columns([n for n in known.column_names if n in table.column_names and n not in keys])
    joined = table.join(known, keys=keys, join_type="inner")
    if joined.num_rows == 0:
        raise PromotionError(f"none of the {table.num_rows:,} rows of {log} has a label here", file=labels)
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(joined, out)
    return Joined(joined.num_rows, table.num_rows - joined.num_rows, unanswered, repeated, _versions(log))


def _versions(folder: Path) -> tuple[int | None, int | None]:
    """(champion, candidate) as the server names a log's folder: `v3-v5`, or `v3` for a version that is judged alone."""
    found = re.fullmatch(r"v([0-9]+)(?:-v([0-9]+))?", folder.resolve().name)
    if found is None:
        return None, None
    first = int(found[1])
    return (None, first) if found[2] is None else (first, int(found[2]))


def _log(folder: Path) -> pa.Table:
    """All parts of a log as one table."""
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        inside = sorted(str(path.parent) for path in folder.glob("**/part-*.parquet"))
        hint = f"; it keeps one folder a pair of versions: {', '.join(dict.fromkeys(inside))}" if inside else ""
        raise PromotionError(f"no part-*.parquet here{hint}", file=folder)
    parts = [_read(file) for file in files]
    for file, part in zip(files, parts, strict=True):
        missing = {"key.request", "key.row", "column.day"} - set(part.column_names)
        if missing:
            raise PromotionError(f"not a part of a log of serve.py: {sorted(missing)[0]} is missing", file=file)
    try:
        table = _typed(pa.concat_tables(_alike(parts), promote_options="permissive"))
    except pa.ArrowException as error:
        raise PromotionError(f"its parts do not fit together ({str(error)[:200]})", file=folder) from None
    for side in ("champion", "candidate"):
        score, decision = f"{side}.score", f"{side}.decision"
        if {score, decision} <= set(table.column_names):  # a regression's answers to some requests were all 0 or 1
            both = pc.coalesce(table[score], table[decision].cast(pa.float64()))
            table = table.drop_columns([score, decision]).append_column(score, both)
    return table


def _alike(parts: list[pa.Table]) -> list[pa.Table]:
    """The parts with each column of the kind that most rows have; a client that sent another has none in it."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for part in parts:
        for field in part.schema:
            rows[field.name][_kind(field.type)] += part.num_rows
    usual = {name: max(found, key=lambda kind: (kind != "null", found[kind])) for name, found in rows.items()}
    alike = []
    for part in parts:
        for place, field in enumerate(part.schema):
            if _kind(field.type) != usual[field.name]:
                part = part.set_column(place, field.name, pa.nulls(part.num_rows))
        alike.append(part)
    return alike


def _kind(kind: pa.DataType) -> str:
    return "number" if pa.types.is_integer(kind) or pa.types.is_floating(kind) else str(kind)


def _labels(file: Path) -> pa.Table:
    """The labels, checked: keys, a label, one row a key."""
    table = _typed(_read(file))
    table = table.select([name for name in table.column_names if not name.startswith("__index_level_")])  # pandas'
    keys = [name for name in table.column_names if name.startswith("key.")]
    if not keys or "label" not in table.column_names:
        raise PromotionError("labels need key.* columns and the column label", file=file)
    odd = [n for n in table.column_names if n != "label" and not n.startswith(("key.", "column."))]
    if odd:
        raise PromotionError(f"the column {odd[0]} is neither key.*, label nor column.*", file=file)
    kind = table.schema.field("label").type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise PromotionError(f"label is {kind}; it must be 0 and 1, or numbers where it is a regression", file=file)
    table = table.filter(pc.invert(pc.is_null(table["label"], nan_is_null=True)))  # not known yet
    table = table.group_by(table.column_names).aggregate([])  # a label that came twice alike is one label
    counts = table.group_by(keys).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        first = ", ".join(f"{key[4:]} {twice[key][0].as_py()}" for key in keys)
        raise PromotionError(
            f"{twice.num_rows} keys have two different labels or columns; the first is {first}", file=file
        )
    return table


def _like(known: pa.Table, table: pa.Table, keys: list[str], file: Path) -> pa.Table:
    """The labels with keys of the log's types."""
    for key in keys:
        try:
            cast = known[key].cast(table.schema.field(key).type)
        except pa.ArrowException as error:
            raise PromotionError(f"{key} is of another type than the log's ({str(error)[:200]})", file=file) from None
        known = known.set_column(known.column_names.index(key), key, cast)
    return known


def _first(table: pa.Table, keys: list[str]) -> tuple[pa.Table, int]:
    """The first row of each key, and how many there were beside them: a client that asked again."""
    numbered = table.append_column("place", pa.array(range(table.num_rows), pa.int64()))
    kept = numbered.group_by(keys, use_threads=False).aggregate([("place", "min")])["place_min"]
    return table.take(kept.sort()), table.num_rows - len(kept)


def _typed(table: pa.Table) -> pa.Table:
    """The table with a type for columns in which nothing is but nulls: a join takes no other."""
    kinds = [field.with_type(pa.float64()) if pa.types.is_null(field.type) else field for field in table.schema]
    return table.cast(pa.schema(kinds))


def _read(file: Path) -> pa.Table:
    try:
        return pq.ParquetFile(file).read()
    except (OSError, pa.ArrowException) as error:
        raise PromotionError(f"not a readable Parquet file ({str(error).splitlines()[0][:100]})", file=file) from None
