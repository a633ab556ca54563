"""Score tables: labels, money, clusters and both models' predictions, read from Parquet in bounded parts.

A table is one file or a folder of part-*.parquet with the same columns: `key.*`, `label`, `column.day`,
`column.*`, `candidate.score`, `candidate.decision` (0/1; absent for a regression), the same for
`champion.` (absent where there is none), and `candidate.sum.METRIC.SUM` for a model folder's own metrics.
Everything is checked once, when it is opened; what is refused is one sentence with file, column and row.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from promotion.config.policy import Policy
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.judgement.digest import digest_rows
from promotion.judgement.hashing import combine, hash_column
from promotion.judgement.metrics import Task

BATCH_ROWS = 1 << 18
Progress = Callable[[int, int], None]
SIDES = ("candidate", "champion")
MOST_SLICE_VALUES = 50


@dataclass(frozen=True)
class Part:
    """A bounded run of rows. All arrays are (n,)."""

    table: pa.Table

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.table.num_rows

    def number(self, name: str) -> np.ndarray:
        """A column of the table as float64."""
        return self.table[name].cast(pa.float64(), safe=False).to_numpy()

    @property
    def y(self) -> np.ndarray:
        """Labels."""
        return self.number("label")

    def score(self, side: str) -> np.ndarray | None:
        """Probabilities or predictions of a side, None where the table has none."""
        return self.number(f"{side}.score") if f"{side}.score" in self.table.column_names else None

    def decision(self, side: str) -> np.ndarray | None:
        """0/1 decisions of a side, None for a regression."""
        return self.number(f"{side}.decision") if f"{side}.decision" in self.table.column_names else None

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
    return column.to_numpy().astype("datetime64[D]").astype(np.int64)


@dataclass(frozen=True)
class Scores:
    """A checked score table. keys, columns: names without their prefix. first, last: days since 1970-01-01.

    probabilities: every score lies in 0..1. positives: rows with label 1 (None for a regression).
    centre: a constant near the labels, for sums of squares. since: only days from this one on are read.
    digests: of the test set (`test`) and of each side's predictions. progress: see open_scores.
    """

    where: Path
    files: tuple[Path, ...]
    memory: pa.Table | None
    names: tuple[str, ...]
    task: Task
    has_champion: bool
    rows: int = 0
    first: int = 0
    last: int = 0
    positives: int | None = None
    probabilities: bool = True
    centre: float = 0.0
    since: int | None = None
    digests: dict[str, str] = field(default_factory=dict)
    progress: Progress | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns."""
        return tuple(n[4:] for n in self.names if n.startswith("key."))

    @property
    def columns(self) -> tuple[str, ...]:
        """The other columns."""
        return tuple(n[7:] for n in self.names if n.startswith("column."))

    @property
    def sides(self) -> tuple[str, ...]:
        """Whose predictions are here."""
        return SIDES if self.has_champion else SIDES[:1]

    def custom_sums(self) -> set[str]:
        """`METRIC.SUM` of the model folder's own metrics."""
        return {n[len("candidate.sum.") :] for n in self.names if n.startswith("candidate.sum.")}

    def parts(self, names: list[str] | None = None) -> Iterator[Part]:
        """Yield the rows in parts of at most BATCH_ROWS, with only the columns `names`."""
        done = 0
        for _, _, part in self.located(names):
            yield part if self.since is None else Part(part.table.filter(part.days >= self.since))
            done += part.rows
            if self.progress is not None:
                self.progress(done, self.rows)

    def located(self, names: list[str] | None = None) -> Iterator[tuple[Path, int, Part]]:
        """Yield (file, number of rows before the part in its file, part)."""
        if self.memory is not None:
            table = self.memory if names is None else self.memory.select(names)
            for offset in range(0, max(1, table.num_rows), BATCH_ROWS):
                yield self.where, offset, Part(table.slice(offset, BATCH_ROWS))
            return
        for path in self.files:
            offset = 0
            try:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
                        yield path, offset, Part(pa.Table.from_batches([batch]))
                        offset += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise PromotionError(f"not a readable Parquet file ({_short(error)}); score again", file=path) from None


def open_scores(path: Path, policy: Policy, *, progress: Progress | None = None) -> Scores:
    """Open a Parquet file or a folder of part-*.parquet and check every row against the policy.

    progress: called with (rows done, all rows) after every part of each later pass over the rows.

    Raise PromotionError, one sentence with file, column and row, for the first thing that is wrong.
    """
    files = tuple(sorted(path.glob("part-*.parquet"))) if path.is_dir() else (path,)
    if not files or not files[0].is_file():
        raise PromotionError("no scores here (a Parquet file, or a folder of part-*.parquet); run score.py", file=path)
    names: list[str] | None = None
    for file in files:
        try:
            found = pq.read_schema(file).names
        except (pa.ArrowException, OSError) as error:
            raise PromotionError(f"not a readable Parquet file ({_short(error)}); score again", file=file) from None
        if names is not None and sorted(found) != sorted(names):
            odd = sorted(set(found) ^ set(names))
            raise PromotionError(f"its columns differ from {files[0].name}'s: {', '.join(odd[:3])}", file=file)
        names = names or found
    return _checked(Scores(path, files, None, *_shape(names or [], path, policy), progress=progress), policy)


def scores_from_table(table: pa.Table, policy: Policy, *, where: Path | str = "scores") -> Scores:
    """Check rows that are in memory already; as open_scores."""
    where = Path(where)
    return _checked(Scores(where, (), table, *_shape(table.column_names, where, policy)), policy)


def test_digest(scores: Scores) -> str:
    """`sha256:<hex>` over keys, labels, money and clusters, sorted by key; independent of partitions and row order."""
    return scores.digests["test"]


test_digest.__test__ = False  # type: ignore[attr-defined]  # not a test, though it is called so


def predictions_digest(scores: Scores, side: str) -> str:
    """`sha256:<hex>` over keys, scores and decisions of `candidate` or `champion`, sorted by key."""
    return scores.digests[side]


def _digests(scores: Scores, policy: Policy) -> dict[str, str]:
    """The digests of the test set and of each side's predictions, in one traversal that also checks the keys."""
    money = sorted({spec for spec in policy.measure.dollars.values() if isinstance(spec, str)})
    measured = ["label", *(f"column.{c}" for c in dict.fromkeys([*money, *policy.measure.cluster]))]
    sets = {"test": {name: name for name in measured}}
    for side in scores.sides:
        parts = [name for name in ("score", "decision") if f"{side}.{name}" in scores.names]
        sets[side] = {f"{side}.{name}": name for name in parts}
    return digest_rows(_key_names(scores), sets, scores, scores.rows, scores.where)


def _key_names(scores: Scores) -> list[str]:
    return sorted(n for n in scores.names if n.startswith("key."))


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:100] if str(error) else type(error).__name__


def _shape(names: list[str], where: Path, policy: Policy) -> tuple[tuple[str, ...], Task, bool]:
    """Return (names, task, has_champion) after checking which columns are there."""
    task: Task = "classification" if "candidate.decision" in names else "regression"
    champion = any(n in names for n in ("champion.score", "champion.decision"))
    if not any(n.startswith("key.") for n in names):
        raise PromotionError("no key.* column, so rows cannot be told apart", file=where)
    wanted = ["label", "column.day"]
    for side in SIDES if champion else SIDES[:1]:
        wanted += [f"{side}.decision"] if task == "classification" else [f"{side}.score"]
    if "candidate.score" in names and champion:
        wanted.append("champion.score")
    for name in wanted:
        if name not in names:
            raise PromotionError(f"the column {name} is missing", file=where)
    if task == "regression" and "champion.decision" in names:
        raise PromotionError("the champion has decisions and the candidate has none; score both alike", file=where)
    have = tuple(n[7:] for n in names if n.startswith("column."))
    measure = policy.measure
    for use, columns in (
        ("dollars", [c for c in measure.dollars.values() if isinstance(c, str)]),
        ("cluster", measure.cluster),
        ("slices", measure.slices),
    ):
        for column in columns:
            if column not in have:
                text = f"measure.{use} names the column `{column}`, which the score table lacks"
                raise PromotionError(text + suggestion(column, have), file=where)
    return tuple(names), task, champion


def _checked(scores: Scores, policy: Policy) -> Scores:
    """Check every row; return the scores with what the pass has counted."""
    checks = _Checks(scores, policy)
    for file, offset, part in scores.located():
        checks.part(file, offset, part)
    if checks.rows == 0:
        raise PromotionError("zero rows: nothing to judge; is the test window right?", file=scores.where)
    counted = replace(
        scores,
        rows=checks.rows,
        first=checks.first,
        last=checks.last,
        positives=checks.positives if scores.task == "classification" else None,
        probabilities=checks.probabilities,
        centre=float(f"{(checks.low + checks.high) / 2:.3g}") if scores.task == "regression" else 0.0,
    )
    return replace(counted, digests=_digests(counted, policy))


class _Checks:
    """The checks of one part after another, and what they count."""

    def __init__(self, scores: Scores, policy: Policy) -> None:
        self.scores = scores
        measure = policy.measure
        self.money = [f"column.{c}" for c in dict.fromkeys(measure.dollars.values()) if isinstance(c, str)]
        self.clusters = [f"column.{c}" for c in measure.cluster]
        self.rows = self.positives = 0
        self.first, self.last = 10**9, -(10**9)
        self.probabilities = True
        self.low, self.high = np.inf, -np.inf

    def part(self, file: Path, offset: int, part: Part) -> None:
        """Check one part; raise PromotionError for the first thing that is wrong."""
        if part.rows == 0:
            return

        def refuse(name: str, bad: np.ndarray, what: str) -> None:
            if bad.any():
                row = offset + int(np.flatnonzero(bad)[0]) + 1
                raise PromotionError(f"{name} {what} in row {row} ({int(bad.sum())} such rows)", file=file)

        table, names = part.table, part.table.column_names
        for name in names:
            numeric = name == "label" or name in self.money or ".sum." in name or name.endswith((".score", ".decision"))
            if numeric and not name.startswith("key.") and (not name.startswith("column.") or name in self.money):
                refuse(name, ~np.isfinite(self._numbers(file, part, name)), "is missing, NaN or infinite")
            elif name.startswith("key.") or name in self.clusters or name == "column.day":
                refuse(name, self._missing(table[name]), "is missing")
        labels = part.y
        if self.scores.task == "classification":
            refuse("label", (labels != 0) & (labels != 1), "is neither 0 nor 1")
            self.positives += int(labels.sum())
        for name in self.money:
            refuse(name, part.number(name) < 0, "is negative")
        for side in self.scores.sides:
            decision, score = part.decision(side), part.score(side)
            if decision is not None:
                refuse(f"{side}.decision", (decision != 0) & (decision != 1), "is neither 0 nor 1")
                if score is not None:
                    self.probabilities &= bool(((score >= 0) & (score <= 1)).all())
        try:
            days = part.days
        except (ValueError, pa.ArrowException) as error:
            raise PromotionError(f"column.day is not a day ({_short(error)})", file=file) from None
        self.first, self.last = min(self.first, int(days.min())), max(self.last, int(days.max()))
        self.low, self.high = min(self.low, float(labels.min())), max(self.high, float(labels.max()))
        self.rows += part.rows

    @staticmethod
    def _numbers(file: Path, part: Part, name: str) -> np.ndarray:
        kind = part.table[name].type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise PromotionError(f"{name} must be numbers, not {kind}", file=file)
        return part.number(name)

    @staticmethod
    def _missing(column: pa.ChunkedArray) -> np.ndarray:
        return pc.is_null(column, nan_is_null=True).to_numpy()
