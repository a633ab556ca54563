"""The process that writes the log: what was asked and answered, as Parquet that judge.py joins with labels.

Run as a file by logbook.py: `python -I scribe.py DESCRIPTOR FOLDER BYTES`. Below FOLDER/MODEL/ each pair of
versions has a folder of its own (`v3` without a shadow, `v3-v5` with one), so that a folder holds one
comparison. A row is a row of a request: `key.request` (X-Request-Id, else made up) and `key.row`, `column.day`,
`column.time`, `column.INPUT` for every column that was sent, and `champion.` and `candidate.decision` (or
`.score`, where answers are not 0 and 1). Parts are closed after MOST_ROWS rows or MOST_SECONDS, or once another
pair of versions answers; over BYTES in all nothing more is written.
"""

import contextlib
import io
import json
import math
import os
import select
import socket
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

MOST_ROWS = 50_000
MOST_SECONDS = 60.0
MOST_BUFFER = 200_000  # rows that may be held, in all folders

Row = dict[str, Any]


@dataclass
class Part:
    """Rows of one folder that are not written yet."""

    since: float
    rows: list[Row] = field(default_factory=list)


class Scribe:
    """Gathers rows, and writes them below `root`, `most` bytes in all."""

    def __init__(self, root: Path, most: int) -> None:
        self.root = root
        self.most = most
        self.parts: dict[tuple[str, tuple[str, ...]], Part] = {}
        self.bytes = sum(path.stat().st_size for path in root.rglob("*.parquet"))

    def take(self, meta: dict[str, Any], bodies: list[bytes]) -> dict[str, Any]:
        """Gather a message's rows; return what there is to tell."""
        dropped = 0
        for place, entry in enumerate(meta["entries"]):
            try:
                rows, folder = rows_of(meta["model"], entry, *bodies[3 * place : 3 * place + 3])
            except (ValueError, KeyError, TypeError, RecursionError):
                dropped += 1  # not a table of rows with one number for each
                continue
            if sum(len(part.rows) for part in self.parts.values()) + len(rows) > MOST_BUFFER:
                dropped += 1
                continue
            kind = tuple(sorted(rows[0]))
            part = self.parts.setdefault((folder, kind), Part(time.monotonic()))
            part.rows += rows
            self._over(folder)
        return {"dropped": dropped, **self.close(all_of_them=False)}

    def _over(self, folder: str) -> None:
        """Let the parts of the model's other pairs of versions be written at once: they are whole."""
        model = folder.partition("/")[0]
        for (other, _), part in self.parts.items():
            if other != folder and other.partition("/")[0] == model:
                part.since = -math.inf

    def close(self, *, all_of_them: bool) -> dict[str, Any]:
        """Write the parts that are full or old; return what there is to tell."""
        told: dict[str, Any] = {"written": 0, "problem": None}
        for key, part in list(self.parts.items()):
            if all_of_them or len(part.rows) >= MOST_ROWS or time.monotonic() - part.since > MOST_SECONDS:
                del self.parts[key]
                for rows in tables_of(part.rows):
                    problem = self._write(self.root / key[0], rows)
                    if problem is None:
                        told["written"] += len(rows)
                    else:
                        told["problem"] = problem
                        told["dropped"] = told.get("dropped", 0) + len(rows)
        return told

    def wait(self) -> float:
        """Seconds until a part gets old."""
        ages = [time.monotonic() - part.since for part in self.parts.values()]
        return max(0.1, MOST_SECONDS - max(ages)) if ages else 3600.0

    def _write(self, folder: Path, rows: list[Row]) -> str | None:
        """Write a part; return what is the matter, or None."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.bytes >= self.most:
            return f"the log has {self.bytes / 1e6:.0f} MB, as much as --log-mb allows; move parts away and start again"
        # several servers may have one log, and in containers one process id
        path = folder / f"part-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:16]}.parquet"
        unfinished = path.with_suffix(".unfinished")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), unfinished)
            unfinished.rename(path)
            self.bytes += path.stat().st_size
        except (OSError, pa.ArrowException) as error:
            with contextlib.suppress(OSError):  # where the folder is none, there is no file in it
                unfinished.unlink()
            return f"the log cannot be written: {' '.join(str(error).split())[:200]}"
        return None


def rows_of(model: str, entry: list[Any], body: bytes, answer: bytes, other: bytes) -> tuple[list[Row], str]:
    """Return a request's rows and the folder they belong to, below the root; ValueError where there are none."""
    at, key, kind, version, candidate, answered = entry
    inputs = table_of(body, kind)
    when = datetime.fromtimestamp(at, UTC)
    request = key or uuid.uuid4().hex
    champion = predictions(answer, len(inputs))
    column = "decision" if all(type(value) in (int, bool) and value in (0, 1) for value in champion) else "score"
    second = predictions(other, len(inputs)) if answered else [None] * len(inputs)
    found = []
    for place, (values, one, two) in enumerate(zip(inputs, champion, second, strict=True)):
        row: Row = {"key.request": request, "key.row": place, "column.day": when.date(), "column.time": when}
        row |= {f"column.{name}": value for name, value in values.items() if name not in ("day", "time")}
        row[f"champion.{column}"] = number(one, column)
        if candidate is not None:
            row[f"candidate.{column}"] = None if two is None else number(two, column)
        found.append(row)
    if not found:
        raise ValueError("no rows")
    name = quote(model, safe=" ").replace(".", "%2E")
    return found, f"{name}/v{version}" if candidate is None else f"{name}/v{version}-v{candidate}"


def number(value: Any, column: str) -> float | int:
    """A prediction as it is kept: 0 or 1, or a double; ValueError for anything else."""
    if column == "decision" and value in (0, 1):
        return int(value)
    if type(value) in (int, float, bool):
        return float(value)
    raise ValueError("not a number")


def predictions(text: bytes, rows: int) -> list[Any]:
    """The predictions of an answer, one a row; ValueError for another form."""
    found = json.loads(text)["predictions"]
    if not isinstance(found, list) or len(found) != rows:
        raise ValueError("not one prediction a row")
    found = [next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else value for value in found]
    if not all(type(value) in (int, float, bool) for value in found):
        raise ValueError("not a number a row")
    return found


def table_of(body: bytes, kind: str) -> list[dict[str, Any]]:
    """A request's rows as column -> value; ValueError where it is not a table of plain values."""
    if kind.lower().lstrip().startswith("text/csv"):
        import pandas as pd

        return _plain(pd.read_csv(io.BytesIO(body)).to_dict(orient="records"))
    content = json.loads(body)
    split = content.get("dataframe_split")
    if split is not None:
        names = split["columns"]
        return _plain([dict(zip(names, row, strict=True)) for row in split["data"]])
    return _plain(content["dataframe_records"])


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        for name, value in row.items():
            if not isinstance(name, str) or not (value is None or type(value) in (int, float, str, bool)):
                raise ValueError("not a plain value")
            if not (name.isascii() and (type(value) is not str or value.isascii())):
                f"{name}{value}".encode()  # half of a surrogate pair is no text; ValueError
            if type(value) is int and not -(2**63) <= value < 2**63:
                row[name] = str(value)
    return rows


def tables_of(rows: list[Row]) -> list[list[Row]]:
    """Rows as tables, each column of one type: one table, unless a client sent text where another sent a number.

    Whole numbers stay what they are, for they may be keys, unless the column has others beside them.
    """
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(type(value))
    for name in [name for name, found in kinds.items() if {int, float} <= found]:
        kinds[name].remove(int)
        for row in rows:
            if type(row.get(name)) is int:
                row[name] = float(row[name])
    odd = [name for name, found in kinds.items() if len(found - {type(None)}) > 1]
    tables: dict[tuple[type, ...], list[Row]] = {}
    for row in rows:
        tables.setdefault(tuple(type(row.get(name)) for name in odd), []).append(row)
    return list(tables.values())


def main(descriptor: int, root: Path, most: int) -> None:
    """Write until the server is gone."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from promotion.serving.frames import receive, send

    os.nice(10)
    scribe = Scribe(root, most)
    with socket.socket(fileno=descriptor) as connection:
        while True:
            if select.select([connection], [], [], scribe.wait())[0]:
                message = receive(connection)
                if message is None:
                    break
                told = scribe.take(*message)
            else:
                told = scribe.close(all_of_them=False)
            if told.get("written") or told.get("dropped") or told.get("problem"):
                with contextlib.suppress(OSError):  # the server was killed: what it handed over is written all the same
                    send(connection, told)
        told = scribe.close(all_of_them=True)
        with contextlib.suppress(OSError):
            send(connection, told)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
