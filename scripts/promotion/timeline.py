"""What happened to a model, as records: moves of @champion, candidates that were judged, looks after the merge.

The history page shows them, an auditor gets them as JSON. What is not known is None here, never a guess.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Self

from pydantic import Field, field_validator

from promotion.frozen import Frozen
from promotion.records.evaluation import Evaluation
from promotion.records.figures import Looks
from promotion.text.figures import figure, interval


def moment(text: str | None) -> datetime | None:
    """A time of a record, in UTC where it has no offset; None where there is none, or somebody wrote something else."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class _Tagged(Frozen):
    """A record that is the value of a tag; what a later release adds is passed over."""

    def tag(self) -> str:
        """The tag's value: compact JSON."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_tag(cls, text: str | None) -> Self | None:
        """Read a tag's value; None where there is none, or it is not what this project writes."""
        try:
            raw = json.loads(text or "null")
            known = {key: value for key, value in raw.items() if key in cls.model_fields}
            return cls.model_validate_json(json.dumps(known))
        except (ValueError, AttributeError):  # pydantic's ValidationError is a ValueError
            return None


class Claim(_Tagged):
    """The first challenge metric of one model, and what it is above another, on some days.

    level: the model's own value. difference, interval: the model minus the other, None where there was no other.
    confidence: of the interval. first, last: ISO days.
    """

    metric: str
    unit: str | None = None
    better: str = "higher"
    first: str
    last: str
    level: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    confidence: float | None = None

    @property
    def worth(self) -> str:
        """`+$3,261 (+$1,534 to +$5,012)` above the other model; its own level where there is none."""
        if self.difference is None:
            return figure(self.level, self.unit)
        ends = "" if self.interval is None else f" ({interval(self.interval, self.unit)})"
        return f"{figure(self.difference, self.unit, signed=True)}{ends}"


def promised(evaluation: Evaluation) -> Claim | None:
    """What a judgement says its candidate is worth; None where nothing was compared."""
    row = evaluation.lead
    if row is None:
        return None
    return Claim(
        metric=row.metric,
        unit=row.unit,
        better=row.better,
        first=evaluation.test.first,
        last=evaluation.test.last,
        level=row.candidate.value,
        difference=None if row.difference is None else row.difference.value,
        interval=None if row.difference is None else row.difference.interval,
        confidence=evaluation.confidence_used,
    )


class Look(_Tagged):
    """One look after a merge: champion and predecessor on days that no earlier look of this promotion used.

    number: which look of its promotion. version, against: champion and predecessor (None: its floors alone). first,
    last: its own days. verdict: worse (the predecessor won), floor missed, fine, too little; reason: in a sentence.
    realized: the champion minus its predecessor, or the champion by itself, on all days since the promotion. evidence:
    digest of the judgement, kept with the champion's run. empty: days that rightly have no rows.
    """

    number: int
    version: int
    against: int | None = None
    first: str
    last: str
    verdict: str
    reason: str
    realized: Claim | None = None
    evidence: str | None = None
    at: str
    by: str
    empty: tuple[str, ...] = ()

    @field_validator("first", "last")
    @classmethod
    def _day(cls, text: str) -> str:
        date.fromisoformat(text)  # ValueError, by which a tag is none of ours
        return text


class Tried(Frozen):
    """One candidate that was judged.

    at: ISO 8601 UTC, when its run was logged. verdict: the latest one; None where its judgement was cut off.
    rejected: whether the gate did. reason: of the gate. pull: the address of its pull request. begun: when the first
    commit of that was made.
    """

    run: str
    at: str
    version: int | None = None
    verdict: str | None = None
    rejected: bool
    reason: str = ""
    pull: str | None = None
    begun: str | None = None
    promised: Claim | None = None
    source_tree: str | None = None
    digest: str | None = None
    evidence: str | None = None


class Move(Frozen):
    """One row of a model's history.

    at: ISO 8601 UTC when @champion was seen on `version`; None where that never happened (`reason` is
    then `not applied`). before, version: champion before and after (None: none). reason: merge,
    rollback, override, adopt, retire, repair, not applied. by: who applied it. author: who wrote the
    commit on main. note: the reason that was given, or what had moved the alias. place: in the ledger.
    """

    at: str | None
    before: int | None
    version: int | None
    reason: str
    commit: str
    pr: int | None
    author: str | None
    subject: str | None
    by: str | None
    note: str | None
    digest: str | None = None
    place: str | None = None


class History(Frozen):
    """One model: where @champion is, how it came there, and what was judged. All oldest first.

    looks: by the place of their promotion. left: which look the newest test days are at, of how many candidates.
    watch_looks: how many looks a promotion has, None where main does not name the model. trouble: why the
    ledger cannot be read.
    """

    model: str
    champion: int | None
    moves: tuple[Move, ...] = ()
    tried: tuple[Tried, ...] = ()
    looks: dict[str, tuple[Look, ...]] = Field(default_factory=dict)
    left: Looks | None = None
    watch_looks: int | None = None
    trouble: str | None = None

    def judged_as(self, version: int | None) -> Tried | None:
        """What was judged as this version."""
        return next((one for one in reversed(self.tried) if version is not None and one.version == version), None)

    def seen(self, move: Move) -> tuple[Look, ...]:
        """The looks at the promotion that a move is."""
        return self.looks.get(move.place or "", ())

    @property
    def promotion(self) -> Move | None:
        """The move that put the champion of now there."""
        made = [move for move in self.moves if move.at is not None and move.reason != "repair"]
        return made[-1] if made else None

    @property
    def rejected(self) -> int:
        """How many candidates the gate rejected."""
        return sum(one.rejected for one in self.tried)

    def count(self, reason: str) -> int:
        """How many moves had this reason."""
        return sum(move.reason == reason for move in self.moves)

    def took(self, move: Move) -> timedelta | None:
        """How long a promotion took from the first commit of its pull request to @champion; None: not known."""
        tried = self.judged_as(move.version)
        begun, at = moment(None if tried is None else tried.begun), moment(move.at)
        return None if move.reason != "merge" or at is None or begun is None else at - begun


def median(times: Iterable[timedelta | None]) -> timedelta | None:
    """The median of those that are known; None where none is."""
    known = sorted(time for time in times if time is not None)
    middle = len(known) // 2
    if not known:
        return None
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2
