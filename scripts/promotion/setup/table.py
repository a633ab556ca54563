"""What the columns of a table say about a model: the day, the label, the keys, the features, the windows."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from promotion.errors import PromotionError

Task = Literal["classification", "regression"]

LABELS = ("label", "target", "y", "outcome", "class")  # names that a label usually has
YES = ("1", "true", "yes", "y", "t")
MOST_WORDS = 50  # values of a text column that is worth one column each
MOST_DAYS = 3660
MOST_GAPS = 30  # days without a row that a data.py lists
COPIED_BYTES = 5_000_000  # a larger table stays where it is


@dataclass(frozen=True)
class Table:
    """A table as a model's data. day, label: columns; key: a column that names a row, None where none does.

    positive: the label's value that counts as 1, None where it is a number already. numbers, words: columns of
    features; left: columns that are no feature. off: days of the week (Monday is 0) that never have a row; gaps: other
    days without one. base: the label's mean (a share for a classifier), spread: its
    standard deviation.
    """

    path: Path
    day: str
    label: str
    key: str | None
    positive: str | None
    numbers: tuple[str, ...]
    words: tuple[str, ...]
    left: tuple[str, ...]
    off: tuple[int, ...]
    gaps: tuple[date, ...]
    first: date
    last: date
    rows: int
    base: float
    spread: float

    @property
    def days(self) -> int:
        """Whole days from the first to the last."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Spans:
    """Lengths in days, in the order train | validation | delay | test, and the first test day."""

    train: int
    validation: int
    delay: int
    test: int
    as_of: date


def read_table(path: Path, task: Task, *, label: str | None, day: str | None, delay_days: int) -> tuple[Table, Spans]:
    """Read a Parquet file's columns and propose windows; PromotionError says how to name what cannot be found out."""
    import pandas as pd

    frame = _frame(path)
    days = _days(frame, path, day)
    name = label or _label(frame, path, task, days.name)
    if name not in frame:
        raise PromotionError(f"has no column `{name}`; it has: {_list(frame.columns)}", file=path)
    values, positive = _target(frame[name], path, task)
    key = _key(frame, {days.name, name})
    rest = [column for column in frame if column not in (days.name, name, key)]
    numbers = tuple(c for c in rest if frame[c].dtype.kind in "iufb" and _finite(frame[c]))
    words = tuple(c for c in rest if c not in numbers and _is_words(frame[c]))
    if not numbers and not words:
        raise PromotionError("has no column besides day, label and key that a model could use", file=path)
    gaps = [each.date() for each in pd.date_range(days.min(), days.max()).difference(days.unique())]
    off = tuple(sorted({gap.weekday() for gap in gaps} - {each.weekday() for each in days.unique()}))
    table = Table(
        path=path,
        day=str(days.name),
        label=name,
        key=key,
        positive=positive,
        numbers=numbers,
        words=words,
        left=tuple(c for c in rest if c not in numbers + words),
        off=off,
        gaps=tuple(gap for gap in gaps if gap.weekday() not in off),
        first=days.min().date(),
        last=days.max().date(),
        rows=len(frame),
        base=float(values.mean()),
        spread=float(values.std()),
    )
    return table, spans(table, delay_days)


def spans(table: Table, delay_days: int) -> Spans:
    """Propose windows: a sixth of the days each for test and validation, at most four weeks; the rest trains."""
    some = max(1, min(28, (table.days - delay_days) // 6))
    train = table.days - delay_days - 2 * some
    if train < 2 * some or table.days > MOST_DAYS:
        raise PromotionError(
            f"spans {table.days} days ({table.first} to {table.last}); train, validation, {delay_days} days of delay "
            "and test need at least a few days each",
            file=table.path,
        )
    return Spans(train, some, delay_days, some, table.last - timedelta(days=some - 1))


def _frame(path: Path) -> Any:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "no such file"
        raise PromotionError(f"{why}; --from takes one Parquet file with a row a row to judge", file=path)
    try:
        names = pq.read_schema(path).names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PromotionError(f"has {_list(twice)} more than once; rename or drop one of each", file=path)
        frame = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        with path.open("rb") as file:
            why = str(error).splitlines()[0][:120] if file.read(4) == b"PAR1" else "it is another format"
        raise PromotionError(
            f"cannot be read as Parquet ({why}); write it with pandas, as by read_csv(…).to_parquet(…)", file=path
        ) from None
    if frame.empty:
        raise PromotionError("has no rows", file=path)
    index = [name for name in frame.index.names if name is not None]
    if index:
        raise PromotionError(f"has {_list(index)} as its index; write it with reset_index().to_parquet", file=path)
    odd = [str(c) for c in frame if not isinstance(c, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", c)]
    if odd:
        raise PromotionError(f"{_list(odd)}: no name for a column here; rename to letters, digits and `_`", file=path)
    return frame.reset_index(drop=True)


def _days(frame: Any, path: Path, asked: str | None) -> Any:
    """The column of days, as timestamps."""
    import pandas as pd

    if asked is not None and asked not in frame:
        raise PromotionError(f"has no column `{asked}`; it has: {_list(frame.columns)}", file=path)
    found = []
    for column in [asked] if asked else list(frame):
        values = frame[column]
        if values.dtype.kind in "iufb":
            continue
        try:
            stamps = pd.to_datetime(values, utc=True, format="ISO8601", errors="raise").dt.tz_localize(None)
        except (ValueError, TypeError, AttributeError, OverflowError):
            continue
        if not stamps.isna().any():
            found.append(stamps.dt.normalize())
    if len(found) > 1 and any(str(each.name) == "day" for each in found):
        found = [each for each in found if str(each.name) == "day"]
    if not found and asked:
        raise PromotionError(
            f"`{asked}` is no column of dates such as 2026-03-01 without gaps; convert it with pandas.to_datetime",
            file=path,
        )
    if not found:
        raise PromotionError(
            "has no column of dates such as 2026-03-01 without gaps; a model is judged on whole days, so add one (say "
            "`day`), or convert one with pandas.to_datetime",
            file=path,
        )
    if len(found) > 1:
        raise PromotionError(
            f"has several columns of dates ({_list(each.name for each in found)}); say which with --day", file=path
        )
    return found[0]


def _label(frame: Any, path: Path, task: Task, day: str) -> str:
    """The label's column, by its name, else the only one with two values."""
    named = [column for column in frame if column.lower() in LABELS]
    if len(named) == 1:
        return named[0]
    two = [c for c in frame if c != day and frame[c].notna().all() and _kinds(frame[c]) == 2]
    if task == "classification" and len(two) == 1:
        return two[0]
    if task == "classification" and not named and not two:
        raise PromotionError(
            "has no column with two values and none missing, as a label has; if every row has one outcome, add the "
            "others, else name it with --label",
            file=path,
        )
    raise PromotionError(
        f"say which column is the label with --label: one of {_list(named or two or frame)}", file=path
    )


def _target(values: Any, path: Path, task: Task) -> tuple[Any, str | None]:
    """The label as numbers, and which of its values is 1 (the rarer, where no name says so)."""
    if values.isna().any():
        raise PromotionError(f"the label `{values.name}` is missing in {int(values.isna().sum())} rows", file=path)
    if task == "regression":
        if values.dtype.kind not in "iuf":
            raise PromotionError(
                f"the label `{values.name}` holds no numbers ({values.dtype}); convert it with astype(float), or use "
                "--task classification",
                file=path,
            )
        if not _finite(values) or _kinds(values) == 1:
            why = "one value in every row" if _finite(values) else "infinite values"
            raise PromotionError(f"the label `{values.name}` has {why}; there is nothing to learn", file=path)
        return values.astype(float), None
    if _kinds(values) is None:
        raise PromotionError(f"the label `{values.name}` is a list or a structure, not one value a row", file=path)
    kinds = sorted(values.unique().tolist(), key=str)
    if len(kinds) != 2:
        raise PromotionError(
            f"the label `{values.name}` has {len(kinds)} values; a classification here has two (another column: "
            "--label; or --task regression)",
            file=path,
        )
    if set(kinds) == {0, 1}:
        return values.astype(int), None
    yes = [kind for kind in kinds if str(kind).strip().lower() in YES]
    positive = yes[0] if len(yes) == 1 else min(kinds, key=lambda kind: int((values == kind).sum()))
    return (values == positive).astype(int), repr(positive)


def _key(frame: Any, taken: set[str]) -> str | None:
    """A column that names a row once and for all: whole numbers or text without a repeat, best one called so."""
    free = [c for c in frame if (c not in taken and frame[c].dtype.kind in "iuOSU") or str(frame[c].dtype) == "string"]
    unique = [c for c in free if c not in taken and frame[c].notna().all() and _kinds(frame[c]) == len(frame)]
    named = [c for c in unique if re.search(r"(^|_)(id|key|uuid)$", c.lower())]
    whole = [c for c in unique if frame[c].dtype.kind in "iu"]  # never twice the same: no measurement
    return named[0] if named else whole[0] if len(whole) == 1 else None


def _kinds(values: Any) -> int | None:
    """How many different values a column has, missing as one; None where two cannot be compared, as of lists."""
    try:
        return int(values.nunique(dropna=False))
    except TypeError:
        return None


def _finite(values: Any) -> bool:
    """Numbers that a model can learn from: one at least, and none infinite."""
    known = values.dropna().astype(float)
    return len(known) > 0 and abs(known).max() < float("inf")


def _is_words(values: Any) -> bool:
    text = str(values.dtype) in ("object", "string", "str", "category")
    return text and bool(values.notna().any()) and (_kinds(values) or MOST_WORDS + 1) <= MOST_WORDS


def _list(names: Any) -> str:
    listed = [f"`{name}`" for name in names]
    return ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")
