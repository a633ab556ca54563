"""The process that reads tables which nobody vouches for, and writes them again as plain ones.

Started by tables.py as a file, without secrets, with bounded memory and time: a Parquet file of a few kilobytes can
unpack to terabytes, and its parser is C++. What comes out has plain columns, no metadata, and rows as they were.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

MOST_ADDRESS_SPACE = 8 << 30
MOST_FOOTER = 16 << 20
MOST_COLUMNS = 2000
MOST_FILES = 4000
LONGEST_TEXT = 4096
BATCH_ROWS = 1 << 16
COLUMN = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
PART = re.compile(r"part-[\w.-]{1,60}\.parquet", re.ASCII)


class Refused(Exception):
    """One sentence about a table."""


def bound(seconds: int) -> None:
    """Bound this process where the system lets it."""
    try:
        import resource
    except ImportError:  # Windows: the caller's time limit holds
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_SPACE, MOST_ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def check_footer(path: Path) -> None:
    """Look at a Parquet file's frame before its parser does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or head != b"PAR1" or tail[4:] != b"PAR1" or length > size - 12:
        raise Refused("not a whole Parquet file")
    if length > MOST_FOOTER:
        raise Refused(f"its footer is larger than {MOST_FOOTER >> 20} MiB")


def tidy(path: Path, target: Path, budget: int) -> int:
    """Write `path` again as `target`; return how many bytes its values take. budget: the most they may take."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_footer(path)
    file = pq.ParquetFile(
        path, thrift_string_size_limit=MOST_FOOTER, thrift_container_size_limit=1 << 20, pre_buffer=False
    )
    schema = plain_schema(file.schema_arrow)
    used = 0
    with pq.ParquetWriter(target, schema) as writer:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            table = pa.Table.from_arrays(
                [plain(batch.column(i), field) for i, field in enumerate(schema)], schema=schema
            )
            used += table.nbytes
            if used > budget:
                raise Refused(f"its values take more than {budget >> 20} MiB")
            writer.write_table(table)
    return used


def plain_schema(schema: Any) -> Any:
    """Return the columns as plain types without metadata; raise Refused for another type, a name twice or too many."""
    import pyarrow as pa

    if not 1 <= len(schema) <= MOST_COLUMNS or len(set(schema.names)) != len(schema.names):
        raise Refused(f"it has no column, more than {MOST_COLUMNS}, or one name twice")
    fields = []
    for field in schema:
        if not COLUMN.fullmatch(field.name):
            raise Refused(f"it has a column of the name {field.name[:40]!r}")
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        simple = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        timed = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
        if not (simple or timed or pa.types.is_string(kind) or pa.types.is_null(kind)):
            raise Refused(f"its column {field.name[:40]} has the type {str(kind)[:40]}; use numbers, text or days")
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def plain(column: Any, field: Any) -> Any:
    """Return a column's values in the plain type, each text bounded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column.validate(full=True)
    values = column.dictionary if pa.types.is_dictionary(column.type) else column
    if pa.types.is_string(field.type) and len(values):
        longest = pc.max(pc.binary_length(values)).as_py()
        if longest is not None and longest > LONGEST_TEXT:
            raise Refused(f"its column {field.name[:40]} has a text of more than {LONGEST_TEXT} bytes")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(field.type)


def main(argv: list[str]) -> int:
    """Read a job file, write every table again, write a result file."""
    job = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    bound(int(job["seconds"]))
    source, target, left = Path(job["from"]), Path(job["to"]), int(job["bytes"])
    names = sorted(path.name for path in source.iterdir())
    result: dict[str, Any] = {"files": len(names)}
    try:
        if not 1 <= len(names) <= MOST_FILES:
            raise Refused(f"no table, or more than {MOST_FILES}")
        for name in names:
            if not PART.fullmatch(name):
                raise Refused("not the name of a part of a table")
            left -= tidy(source / name, target / name, left)
    except MemoryError:
        result = {"refused": f"it takes more than {MOST_ADDRESS_SPACE >> 30} GiB to read", "file": name}
    except Refused as refused:
        result = {"refused": str(refused), "file": name if names else ""}
    except Exception as error:  # whatever Arrow calls it
        result = {"refused": f"not a readable Parquet file ({' '.join(str(error).split())[:80]})", "file": name}
    Path(argv[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
