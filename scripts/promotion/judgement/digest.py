"""Digests of score tables: SHA-256 over values in the order of their keys, whatever the partitions and row order.

Rows are put in order by 128 bits of key hash; each column's values are then one stream of bytes into
its own SHA-256 (text: its lengths and its bytes), and the digest is SHA-256 over the columns' names,
kinds and digests. So a digest is as hard to forge as SHA-256: adding up hashes of rows would need no
sorting, but such sums can be met by choosing rows (Wagner 2002). A table of more than IN_MEMORY rows is
dealt into buckets by the top bits of the hash, in temporary files, so the working set stays bounded.
"""

import hashlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from promotion.errors import PromotionError
from promotion.judgement.hashing import as_float, canonical, combine, hash_column
from promotion.judgement.places import Place
from promotion.records.files import allow_files

IN_MEMORY = 1 << 21
SPARE_FILES = 64
R = TypeVar("R")


class Workers(Protocol):
    """Who works on several buckets at a time; see table.Workers."""

    @property
    def scratch(self) -> Path | None: ...

    def map(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]: ...


class Source(Protocol):
    """What can be read part by part."""

    def parts(self, names: list[str] | None = None) -> Iterator[Any]:
        """Yield parts with a `table`."""

    def shares(self, work: Callable[..., R], *more: Any) -> Iterator[R]:
        """Yield work(source, *more) of all rows at once, or of some after others."""


def digest_rows(
    keys: list[str],
    sets: dict[str, dict[str, str]],
    source: Source,
    rows: int,
    where: Place,
    *,
    forms: Mapping[str, pa.DataType],
    workers: Workers | None = None,
) -> dict[str, str]:
    """Return `sha256:<hex>` for each of `sets`, over the columns `keys` and its own, in the order of the keys' hashes.

    sets: name of a digest -> its columns, each with the name under which it enters. forms: the type as which a
    column enters, whatever its writer chose. Raise PromotionError that shows the first key which stands on two
    rows: one traversal does both.
    """
    streams: dict[str, tuple[str, list[Any]]] = {}
    names = list(dict.fromkeys([*keys, *(column for columns in sets.values() for column in columns)]))
    for table in sorted_tables(keys, names, source, rows, forms, workers):
        _check_keys(table, keys, where)
        for name in table.column_names:
            kind, chunks = _bytes(table[name])
            known, hashes = streams.setdefault(name, (kind, [hashlib.sha256() for _ in chunks]))
            if known != kind:
                raise PromotionError(f"the column {name} is {known} in one part of the scores and {kind} in another")
            for one, chunk in zip(hashes, chunks, strict=True):
                one.update(chunk)
    found = {}
    for digest, columns in sets.items():
        entering = sorted({**{key: key for key in keys}, **columns}.items(), key=lambda item: item[1])
        parts = [[shown, streams[name][0], [h.hexdigest() for h in streams[name][1]]] for name, shown in entering]
        found[digest] = "sha256:" + hashlib.sha256(json.dumps([rows, parts]).encode()).hexdigest()
    return found


def _bytes(column: pa.ChunkedArray) -> tuple[str, list[Any]]:
    values = canonical(column)
    if isinstance(values, np.ndarray):
        kind = "float" if values.dtype == np.float64 else "integer"
        return kind, [np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).data]
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    text = b"" if values.buffers()[2] is None else memoryview(values.buffers()[2])[offsets[0] : offsets[-1]]
    return "text", [np.diff(offsets).astype("<i8").data, text]


def _check_keys(table: pa.Table, keys: list[str], where: Place) -> None:
    first, second = _hashes(table, keys)
    twice = np.flatnonzero((first[1:] == first[:-1]) & (second[1:] == second[:-1]))
    if len(twice):
        row = table.select(keys).slice(int(twice[0]), 1).to_pylist()[0]
        shown = ", ".join(f"{name[4:]}={str(value)[:40]}" for name, value in row.items())
        raise PromotionError(f"duplicate key {shown} ({len(twice)} duplicate rows here)", file=where)


def sorted_tables(
    keys: list[str],
    names: list[str],
    source: Source,
    rows: int,
    forms: Mapping[str, pa.DataType],
    workers: Workers | None = None,
) -> Iterator[pa.Table]:
    """Yield tables with the columns `names` that follow each other in the order of the keys' hashes."""
    if rows <= IN_MEMORY:
        whole = pa.concat_tables([_plain(part.table.select(names), forms) for part in source.parts(names) if part.rows])
        yield _ordered(whole, keys)
        return
    bits = max(1, int(np.ceil(np.log2(rows / (IN_MEMORY / 2)))))
    scratch = None if workers is None else workers.scratch
    if scratch is not None and not scratch.is_dir():
        raise PromotionError("there is no such folder; --scratch names one that all workers share", file=scratch)
    with tempfile.TemporaryDirectory(prefix="promotion-", dir=scratch) as name:
        folder = Path(name)
        if scratch is not None:
            folder.chmod(0o777)  # the workers may be other users
        dealt: dict[int, list[Path]] = {}
        for share in source.shares(_deal, keys, names, folder, bits, forms):
            for bucket, path in share.items():
                dealt.setdefault(bucket, []).append(path)
        buckets = [(dealt[bucket], keys) for bucket in sorted(dealt)]
        if workers is None:
            for pieces, _ in buckets:
                yield _ordered(_taken(pieces), keys)
            return
        for path in workers.map(_put_in_order, buckets):
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
                yield reader.read_all()
            path.unlink()


def _taken(pieces: list[Path]) -> pa.Table:
    """The rows of one bucket, from every share of the table; the files go."""
    tables = []
    for path in pieces:
        try:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                tables.append(reader.read_all())
        except OSError:
            raise PromotionError(
                "a worker does not see what another one wrote; give --scratch a folder that all of them share",
                file=path,
            ) from None
    return pa.concat_tables(tables)


def _put_in_order(pieces: list[Path], keys: list[str]) -> Path:
    """Write one bucket's rows in order; return where. What it reads stays: another worker may have to do it again."""
    table = _ordered(_taken(pieces), keys)
    path = pieces[0].with_name(f"{pieces[0].stem}-{uuid.uuid4().hex}.ordered")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return path


def _deal(
    source: Source, keys: list[str], names: list[str], folder: Path, bits: int, forms: Mapping[str, pa.DataType]
) -> dict[int, Path]:
    """Write each row into the bucket of the top `bits` of its hash, so that buckets in order are rows in order.

    Return the files by bucket, in a folder of their own: a worker that dies leaves half of one, which nobody reads.
    """
    own = folder / uuid.uuid4().hex
    try:
        own.mkdir()
    except OSError:
        raise PromotionError(
            "a worker cannot write here; give --scratch a folder that all of them share", file=folder
        ) from None
    allow_files((1 << bits) + SPARE_FILES)
    writers: dict[int, Any] = {}
    try:
        for part in source.parts(names):
            table = _plain(part.table.select(names), forms)
            bucket = (_hashes(table, keys)[0] >> np.uint64(64 - bits)).astype(np.int64)
            order = np.argsort(bucket, kind="stable")
            table, bounds = table.take(order), np.searchsorted(bucket[order], np.arange((1 << bits) + 1))
            for number in np.flatnonzero(np.diff(bounds)).tolist():
                if number not in writers:
                    writers[number] = pa.ipc.new_stream(str(own / f"{number}.arrow"), table.schema)
                writers[number].write_table(table.slice(bounds[number], bounds[number + 1] - bounds[number]))
    finally:
        for writer in writers.values():
            writer.close()
    return {number: own / f"{number}.arrow" for number in writers}


def _plain(table: pa.Table, forms: Mapping[str, pa.DataType]) -> pa.Table:
    """Every column in its canonical type, so that parts of different widths go together."""
    arrays = []
    for name in table.column_names:
        try:
            column = as_float(table[name]) if name in forms else table[name]
            values = canonical(column.cast(forms[name], safe=False) if name in forms else column)
        except TypeError as error:
            raise PromotionError(f"the column {name} has the type {error}; use numbers, text or days") from None
        arrays.append(pa.array(values) if isinstance(values, np.ndarray) else values)
    try:
        return pa.table(arrays, names=table.column_names)
    except pa.ArrowException as error:
        raise PromotionError(f"the score table cannot be read: {error}") from None


def _hashes(table: pa.Table, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
    first, second = (combine([hash_column(table[k], k, seed) for k in keys]) for seed in (0, 1))
    return first, second


def _ordered(table: pa.Table, keys: list[str]) -> pa.Table:
    first, second = _hashes(table, keys)
    order = np.argsort(first, kind="stable")
    ties = first[order][1:] == first[order][:-1]
    if ties.any():
        order = np.lexsort((second, first))
    return table.take(order)
