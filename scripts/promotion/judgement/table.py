"""Score tables: labels, money, clusters and both models' predictions, read from Parquet in bounded parts.

A table is one file or a folder of part-*.parquet with the same columns: `key.*`, `label`, `column.day`,
`column.*`, `candidate.score`, `candidate.decision` (0/1; absent for a regression), the same for
`champion.` (absent where there is none), and `candidate.sum.METRIC.SUM` for a model folder's own metrics.
It is read and checked once; what was checked is what is judged: up to IN_MEMORY rows stay in memory, and a
file of a larger table that changes while it is judged is refused.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promotion.config.policy import Policy
from promotion.errors import PromotionError
from promotion.judgement import digest, places
from promotion.judgement.hashing import as_float, combine, hash_column
from promotion.judgement.metrics import Task
from promotion.judgement.places import Place

BATCH_ROWS = 1 << 18
Progress = Callable[[int, int], None]
SIDES = ("candidate", "champion")
PARTS = "part-*.parquet"
R = TypeVar("R")


class Workers(Protocol):
    """Who computes a partition's share. scratch: a folder that all of them see, None for this machine's temporary one.

    What they are given is a function of ours and its arguments: places of files, the policy, and no credential.
    """

    @property
    def scratch(self) -> Path | None: ...

    def map(self, work: Callable[..., R], items: Sequence[tuple[Any, ...]]) -> Iterator[R]:
        """Yield work(*item) of every item, in their order; an item whose worker died is given to another."""
        ...


@dataclass(frozen=True)
class Reading:
    """How a table's rows are read.

    progress: called with (rows done, all rows) after every part of each pass over the rows. workers: who reads the
    files of a table that does not fit in memory; the same sums come out, however many they are.
    """

    progress: Progress | None = None
    workers: Workers | None = None

    def done(self, rows: int, total: int) -> None:
        """So many rows of this pass are read."""
        if self.progress is not None:
            self.progress(rows, total)


READING = Reading()  # by this process, and nobody watches


@dataclass(frozen=True)
class Part:
    """A bounded run of rows. All arrays are (n,)."""

    table: pa.Table

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.table.num_rows)

    def number(self, name: str) -> np.ndarray:
        """A column of the table as float64."""
        return np.asarray(as_float(self.table[name]).to_numpy())

    def optional(self, name: str) -> np.ndarray | None:
        """A column of the table as float64; None where the table has none."""
        return self.number(name) if name in self.table.column_names else None

    @property
    def y(self) -> np.ndarray:
        """Labels."""
        return self.number("label")

    def hashes(self, column: str) -> np.ndarray:
        """uint64 hashes of a cluster column's values."""
        return hash_column(self.table[f"column.{column}"], column)

    def key_hashes(self) -> np.ndarray:
        """uint64 hashes of the row's key."""
        return combine([hash_column(self.table[c], c) for c in self.table.column_names if c.startswith("key.")])

    @property
    def days(self) -> np.ndarray:
        """Days since 1970-01-01, int64."""
        return day_numbers(self.table["column.day"])

    def texts(self, column: str) -> tuple[np.ndarray, list[str]]:
        """(codes, values) of a slice column, its values as text; missing ones are `missing`."""
        coded = as_text(self.table[f"column.{column}"]).dictionary_encode()
        return coded.indices.to_numpy(zero_copy_only=False), coded.dictionary.to_pylist()


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as text, as a policy writes its values: `1` for 1.0, `true` for True, `missing` for null."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.floor(column)
        if pc.all(pc.equal(whole, column)).as_py() is not False:
            column = column.cast(pa.int64())
    return pc.fill_null(column.cast(pa.string()), "missing")


def day_numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return days since 1970-01-01 of a date, timestamp or ISO text column; raise ValueError for anything else."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.utf8_slice_codeunits(column, 0, 10).cast(pa.date32())
    elif not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        raise ValueError(f"the type {kind} is not a day")
    return np.asarray(column.to_numpy().astype("datetime64[D]").astype(np.int64))


@dataclass(frozen=True)
class Scores:
    """A checked score table.

    names: the columns. days: the days that have rows, as days since 1970-01-01, ascending; empty: days of the
    window that are declared to have none. probabilities: every score lies in 0..1. positives: rows with label 1
    (None for a regression). limits: the largest size of each number column's values. slices: the values of each
    slice column, sorted. centre, mean: a constant near the labels, and their mean. since: only days from this one
    on are read. digests: of the test set (`test`) and of each side's predictions. stamps: size and time of each
    file that is read again. counts: the rows of each file.
    """

    where: Place
    files: tuple[Place, ...]
    memory: pa.Table | None
    names: tuple[str, ...]
    task: Task
    has_champion: bool
    rows: int = 0
    days: tuple[int, ...] = ()
    empty: frozenset[int] = frozenset()
    positives: int | None = None
    probabilities: bool = True
    limits: dict[str, float] = field(default_factory=dict)
    slices: dict[str, list[str]] = field(default_factory=dict)
    centre: float = 0.0
    mean: float = 0.0
    since: int | None = None
    digests: dict[str, str] = field(default_factory=dict)
    stamps: dict[Place, tuple[int, int]] = field(default_factory=dict)
    counts: dict[Place, int] = field(default_factory=dict)
    reading: Reading = READING

    @property
    def first(self) -> int:
        """The first day that has rows."""
        return self.days[0]

    @property
    def last(self) -> int:
        """The last day that has rows."""
        return self.days[-1]

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns, without their prefix."""
        return tuple(n[4:] for n in self.names if n.startswith("key."))

    @property
    def columns(self) -> tuple[str, ...]:
        """The other columns, without their prefix."""
        return tuple(n[7:] for n in self.names if n.startswith("column."))

    @property
    def sides(self) -> tuple[str, ...]:
        """Whose predictions are here."""
        return SIDES if self.has_champion else SIDES[:1]

    def custom_sums(self) -> set[str]:
        """`METRIC.SUM` of the model folder's own metrics."""
        return {n[len("candidate.sum.") :] for n in self.names if n.startswith("candidate.sum.")}

    def counted(self) -> tuple[int, ...]:
        """The days that count: those with rows, and those that are declared to have none, from `since` on."""
        return tuple(sorted(day for day in {*self.days, *self.empty} if self.since is None or day >= self.since))

    def gaps(self) -> tuple[int, ...]:
        """Days between the first and the last that have no rows and are not declared to have none."""
        return tuple(sorted(set(range(self.first, self.last + 1)) - {*self.days, *self.empty}))

    def shares(self, work: Callable[..., R], *more: Any) -> Iterator[R]:
        """Yield work(scores, *more) of these rows at once, or where there are workers of one file after another."""
        workers = self.reading.workers
        if workers is None or not self.stamps:
            yield work(self, *more)
            return
        alone = [
            replace(self, files=(there,), stamps={there: self.stamps[file]}, counts={}, reading=READING)
            for file, there in zip(self.files, map(places.absolute, self.files), strict=True)
        ]
        done, total = 0, sum(self.counts.values())
        for file, found in zip(self.files, workers.map(work, [(one, *more) for one in alone]), strict=True):
            yield found
            done += self.counts[file]
            self.reading.done(done, total)

    def parts(self, names: list[str] | None = None) -> Iterator[Part]:
        """Yield the rows in parts of at most BATCH_ROWS, with only the columns `names`."""
        done = 0
        for _, _, part in self.located(names):
            yield part if self.since is None else Part(part.table.filter(part.days >= self.since))
            done += part.rows
            self.reading.done(done, self.rows)

    def located(self, names: list[str] | None = None) -> Iterator[tuple[Place, int, Part]]:
        """Yield (file, number of rows before the part in its file, part)."""
        if self.memory is not None:
            table = self.memory if names is None else self.memory.select(names)
            for offset in range(0, max(1, table.num_rows), BATCH_ROWS):
                yield self.where, offset, Part(table.slice(offset, BATCH_ROWS))
            return
        for path in self.files:
            if path in self.stamps and self.stamps[path] != stamp(path):
                raise PromotionError("it changed while it was judged; leave it alone and run this again", file=path)
            offset = 0
            for part in read_parts(path, names):
                yield path, offset, part
                offset += part.rows


def part_files(path: Place) -> tuple[Place, ...]:
    """The files of a score table; raise PromotionError where there is none."""
    found = places.below(path, PARTS)
    if not found:
        raise PromotionError("no scores here (a Parquet file, or a folder of part-*.parquet); run score.py", file=path)
    return found


def read_parts(path: Place, names: list[str] | None = None) -> Iterator[Part]:
    """Yield the rows of one Parquet file; raise PromotionError where it is none."""
    try:
        with places.opened(path) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                yield Part(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        raise PromotionError(f"not a readable Parquet file ({short(error)}); score again", file=path) from None


def stamp(path: Place) -> tuple[int, int]:
    """Size and time of a file."""
    try:
        return places.stamp(path)
    except OSError as error:
        why = "" if isinstance(path, Path) else "; workers have the login of their machine, not of who asks them"
        raise PromotionError(f"it cannot be read any more, or not by all ({short(error)}){why}", file=path) from None


def short(error: Exception) -> str:
    """The first line of another library's error."""
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


def open_scores(path: Place, policy: Policy, *, empty: Iterable[str] = (), reading: Reading = READING) -> Scores:
    """Open a Parquet file or a folder of part-*.parquet and check every row against the policy.

    empty: days (ISO) that are declared to have no rows.

    Raise PromotionError, one sentence with file, column and row, for the first thing that is wrong.
    """
    return open_together((path,), policy, empty=empty, reading=reading)


def open_together(
    paths: Sequence[Place], policy: Policy, *, empty: Iterable[str] = (), reading: Reading = READING
) -> Scores:
    """Open several tables of one kind as one; the last is where an error points. The rest is as in open_scores."""
    from promotion.judgement.checks import checked, declared_days, shape

    files, path = tuple(file for one in paths for file in part_files(one)), paths[-1]
    names: list[str] | None = None
    counts, types = {}, {}
    for file in files:
        try:
            with places.opened(file) as source:
                about = pq.read_metadata(source)
        except (pa.ArrowException, OSError) as error:
            raise PromotionError(f"not a readable Parquet file ({short(error)}); score again", file=file) from None
        counts[file], types[file] = about.num_rows, about.schema.to_arrow_schema()
        found = types[file].names
        if len(set(found)) < len(found):
            twice = next(name for name in found if found.count(name) > 1)
            raise PromotionError(f"it has the column {twice} twice", file=file)
        if names is not None and set(found) != set(names):
            odd, other = sorted(set(found) ^ set(names)), places.name(files[0])
            raise PromotionError(f"its columns differ from {other}'s: {', '.join(odd[:3])}", file=file)
        names = names or found
    stamps = {} if sum(counts.values()) <= digest.IN_MEMORY else {file: stamp(file) for file in files}
    scores = Scores(path, files, None, *shape(names or [], path, policy), stamps=stamps, counts=counts)
    types = {file: types[file] for file in files if counts[file]}
    return checked(replace(scores, reading=reading, empty=declared_days(empty)), policy, types)


def scores_from_table(
    table: pa.Table,
    policy: Policy,
    *,
    where: Path | str = "scores",
    empty: Iterable[str] = (),
    reading: Reading = READING,
) -> Scores:
    """Check rows that are in memory already; as open_scores."""
    from promotion.judgement.checks import checked, declared_days, shape

    where = Path(where)
    scores = Scores(where, (), table, *shape(table.column_names, where, policy), reading=reading)
    return checked(replace(scores, empty=declared_days(empty)), policy)


def rows_digest(scores: Scores) -> str:
    """`sha256:<hex>` over keys, labels, money and clusters, sorted by key; independent of partitions and row order."""
    return scores.digests["test"]


def predictions_digest(scores: Scores, side: str) -> str:
    """`sha256:<hex>` over keys, scores and decisions of `candidate` or `champion`, sorted by key."""
    return scores.digests[side]
