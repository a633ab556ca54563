"""What is checked of a score table when it is opened, and what the one pass over its rows counts."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from promotion.config.policy import Policy
from promotion.config.strict import suggestion
from promotion.errors import PromotionError
from promotion.judgement import digest, places
from promotion.judgement.metrics import Task
from promotion.judgement.places import Place
from promotion.judgement.table import SIDES, Part, Scores, short

LARGEST = 1e30  # its square, summed over a billion rows and cubed, is still a number
MOST_SLICE_VALUES = 50
DIGITS = 8  # of the labels' mean: what does not depend on the order of the rows


def declared_days(days: Iterable[str]) -> frozenset[int]:
    """ISO days as days since 1970-01-01."""
    return frozenset((date.fromisoformat(day) - date(1970, 1, 1)).days for day in days)


def shape(names: list[str], where: Place, policy: Policy) -> tuple[tuple[str, ...], Task, bool]:
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


def checked(scores: Scores, policy: Policy, types: Mapping[Place, pa.Schema] | None = None) -> Scores:
    """Check every row, once; return the scores with what the pass has counted, and their digests.

    types: of the files that have rows. Rows that stay in memory may differ in them as far as one table can hold them;
    the files of a larger table may where equal values stay equal, for there each is read by itself. It is seen to
    after the rows, for a missing value in one file can be why its column has another type.
    """
    first, *others = scores.shares(_share, policy)
    checks, kept = first
    for more, _ in others:
        checks.add(more)
    if checks.rows == 0:
        raise PromotionError("zero rows: nothing to judge; is the test window right?", file=scores.where)
    together = _together(kept)
    if together is not None:
        scores = replace(scores, memory=together)
    elif kept:
        _same_types(types or {}, _needed(scores, policy), MERGED)
        raise PromotionError("its parts have different types; write one type", file=scores.where)
    else:
        ids = {f"column.{name}" for name in policy.measure.cluster}
        _same_types(types or {}, [name for name in scores.names if name.startswith("key.") or name in ids], ALIKE)
    counted = checks.counted(scores)
    _no_rows(counted)
    return replace(counted, digests=_digests(counted, policy))


def _share(scores: Scores, policy: Policy) -> tuple["_Checks", list[pa.Table]]:
    """The checks of these rows, and the rows where they are to stay in memory."""
    checks, kept = _Checks(scores, policy), []
    for file, offset, part in scores.located(_needed(scores, policy)):
        checks.part(file, offset, part)
        if scores.memory is None and not scores.stamps:
            kept.append(part.table)
    return checks, kept


def _needed(scores: Scores, policy: Policy) -> list[str]:
    """The columns that a judgement reads; whatever else lies in the table stays there."""
    measure = policy.measure
    mine = {spec for spec in measure.dollars.values() if isinstance(spec, str)} | {
        *measure.cluster,
        *measure.slices,
        "day",
    }
    return [name for name in scores.names if not name.startswith("column.") or name[7:] in mine]


KINDS = {
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "whole numbers": (pa.types.is_integer,),
    "floats": (pa.types.is_floating,),
    "true or false": (pa.types.is_boolean,),
    "decimals": (pa.types.is_decimal,),
    "days": (pa.types.is_date,),
    "times": (pa.types.is_timestamp,),
}
MERGED = dict.fromkeys(("whole numbers", "floats", "decimals"), "numbers")  # which one table in memory holds together
ALIKE = {"true or false": "whole numbers", "decimals": "text"}  # of which equal values are one key (hashing.canonical)


def _same_types(schemas: Mapping[Place, pa.Schema], names: list[str], together: Mapping[str, str]) -> None:
    """Raise PromotionError where files hold a column of `names` in kinds that do not go together."""
    for name in names:
        known: tuple[str, Place] | None = None
        for file, schema in schemas.items():
            kind = _kind(schema.field(name).type)
            known = known if kind is None or known is not None else (kind, file)
            if kind is not None and known is not None and together.get(kind, kind) != together.get(known[0], known[0]):
                there = f"{known[0]} in {places.name(known[1])}"
                raise PromotionError(f"{name} is {kind} here and {there}; write one type", file=file)


def _kind(found: pa.DataType) -> str | None:
    """What a type holds, whatever its width or encoding; None for nulls alone, which go with everything."""
    if pa.types.is_dictionary(found):
        return _kind(found.value_type)
    if pa.types.is_null(found):
        return None
    return next((kind for kind, tests in KINDS.items() if any(fits(found) for fits in tests)), str(found))


def _together(parts: list[pa.Table]) -> pa.Table | None:
    """One table of them; None where there are none, or none can hold their types."""
    with contextlib.suppress(pa.ArrowException):
        return pa.concat_tables([part.select(parts[0].column_names) for part in parts], promote_options="permissive")
    return None


def _no_rows(scores: Scores) -> None:
    odd = sorted(scores.empty & set(scores.days))
    if odd:
        day = date.fromordinal(date(1970, 1, 1).toordinal() + odd[0])
        raise PromotionError(f"{day} is declared to have no rows, and has some", file=scores.where)


def _digests(scores: Scores, policy: Policy) -> dict[str, str]:
    """The digests of the test set and of each side's predictions, in one traversal that also checks the keys.

    Labels, money and scores enter as floats and decisions as integers, whatever type a writer gave them.
    """
    money = [f"column.{spec}" for spec in sorted({s for s in policy.measure.dollars.values() if isinstance(s, str)})]
    measured = ["label", *dict.fromkeys([*money, *(f"column.{c}" for c in policy.measure.cluster)])]
    sets = {"test": {name: name for name in measured}}
    forms: dict[str, pa.DataType] = dict.fromkeys(["label", *money], pa.float64())
    for side in scores.sides:
        parts = [name for name in ("score", "decision") if f"{side}.{name}" in scores.names]
        sets[side] = {f"{side}.{name}": name for name in parts}
        forms |= {f"{side}.score": pa.float64(), f"{side}.decision": pa.int64()}
    keys = sorted(n for n in scores.names if n.startswith("key."))
    return digest.digest_rows(
        keys, sets, scores, scores.rows, scores.where, forms=forms, workers=scores.reading.workers
    )


class _Checks:
    """The checks of one part after another, and what they count."""

    def __init__(self, scores: Scores, policy: Policy) -> None:
        self.scores = scores
        measure = policy.measure
        self.money = [f"column.{c}" for c in dict.fromkeys(measure.dollars.values()) if isinstance(c, str)]
        self.clusters = [f"column.{c}" for c in measure.cluster]
        self.slices: dict[str, set[str]] = {name: set() for name in measure.slices}
        self.numbers = [name for name in scores.names if self._is_number(name)]
        self.rows = self.positives = 0
        self.days: set[int] = set()
        self.probabilities = True
        self.limits = dict.fromkeys(self.numbers, 0.0)
        self.low, self.high, self.sums = np.inf, -np.inf, []  # type: tuple[float, float, list[float]]

    def _is_number(self, name: str) -> bool:
        if name.startswith(("key.", "column.")):
            return name in self.money
        return name == "label" or ".sum." in name or name.endswith((".score", ".decision"))

    def part(self, file: Place, offset: int, part: Part) -> None:
        """Check one part; raise PromotionError for the first thing that is wrong."""
        if part.rows == 0:
            return

        def refuse(name: str, bad: np.ndarray, what: str) -> None:
            if bad.any():
                row = offset + int(np.flatnonzero(bad)[0]) + 1
                raise PromotionError(f"{name} {what} in row {row} ({int(bad.sum())} such rows)", file=file)

        values = {}
        for name in self.numbers:
            values[name] = found = self._numbers(file, part, name)
            refuse(name, ~np.isfinite(found), "is missing, NaN or infinite")
            self.limits[name] = max(self.limits[name], float(np.abs(found).max()))
            if self.limits[name] > LARGEST:
                refuse(name, np.abs(found) > LARGEST, f"is larger than {LARGEST:g}, which no sum here can hold,")
        for name in part.table.column_names:
            if name.startswith("key.") or name in self.clusters or name == "column.day":
                refuse(name, self._missing(part.table[name]), "is missing")
        labels = values["label"]
        if self.scores.task == "classification":
            refuse("label", (labels != 0) & (labels != 1), "is neither 0 nor 1")
            self.positives += int(labels.sum())
        for name in self.money:
            refuse(name, values[name] < 0, "is negative")
        for side in self.scores.sides:
            decision, score = values.get(f"{side}.decision"), values.get(f"{side}.score")
            if decision is not None:
                refuse(f"{side}.decision", (decision != 0) & (decision != 1), "is neither 0 nor 1")
                if score is not None:
                    self.probabilities &= bool(((score >= 0) & (score <= 1)).all())
        self._count(file, part, labels)

    def _count(self, file: Place, part: Part, labels: np.ndarray) -> None:
        try:
            self.days.update(np.unique(part.days).tolist())
        except (ValueError, pa.ArrowException) as error:
            raise PromotionError(f"column.day is not a day ({short(error)})", file=file) from None
        for name, found in self.slices.items():
            found.update(part.texts(name)[1])
            self._need_few(name)
        self.low, self.high = min(self.low, float(labels.min())), max(self.high, float(labels.max()))
        self.sums.append(float(labels.sum()))
        self.rows += part.rows

    def _need_few(self, name: str) -> None:
        if len(self.slices[name]) > MOST_SLICE_VALUES:
            raise PromotionError(
                f"the slice column `{name}` has more than {MOST_SLICE_VALUES} values; give it fewer, as bands",
                file=self.scores.where,
            )

    def add(self, other: "_Checks") -> None:
        """Take in the counts of rows that follow these."""
        self.rows += other.rows
        self.positives += other.positives
        self.days |= other.days
        self.probabilities &= other.probabilities
        self.limits = {name: max(size, other.limits[name]) for name, size in self.limits.items()}
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.sums += other.sums
        for name, found in self.slices.items():
            found |= other.slices[name]
            self._need_few(name)

    def counted(self, scores: Scores) -> Scores:
        """The scores with what was counted."""
        classes = scores.task == "classification"
        mean = self.positives / self.rows if classes else sum(self.sums) / self.rows
        return replace(
            scores,
            rows=self.rows,
            days=tuple(sorted(self.days)),
            positives=self.positives if classes else None,
            probabilities=self.probabilities,
            limits=self.limits,
            slices={name: sorted(values) for name, values in self.slices.items()},
            centre=0.0 if classes else float(f"{(self.low + self.high) / 2:.3g}"),
            mean=mean if classes else float(f"{mean:.{DIGITS}g}"),
        )

    @staticmethod
    def _numbers(file: Place, part: Part, name: str) -> np.ndarray:
        kind = part.table[name].type
        kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
        if not any(fits(kind) for fits in kinds):
            raise PromotionError(f"{name} must be numbers, not {kind}", file=file)
        return part.number(name)

    @staticmethod
    def _missing(column: pa.ChunkedArray) -> np.ndarray:
        return np.asarray(pc.is_null(column, nan_is_null=True).to_numpy())
