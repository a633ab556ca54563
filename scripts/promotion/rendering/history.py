"""What was promoted, and what it paid: the history of all models as one self-contained page.

Figures are those of the records; what a record does not say is a dash, with the reason where one is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from jinja2 import Environment

from promotion.rendering import html
from promotion.rendering.reported import STATUSES, Status
from promotion.text import escape
from promotion.text import figures as text
from promotion.timeline import Claim, History, Look, Move, Tried, median, moment

UNFINISHED = Status("NOT FINISHED", "", "…", "none", False)
REASONS = {"merge": "promoted", "adopt": "adopted", "retire": "retired", "repair": "repaired"}
NARROW = 0.1  # of a strip: a champion that was there for less goes without its number


def history_html(models: Sequence[History], *, commit: str, when: str, web: str | None = None) -> str:
    """Return history.html for what was read at a commit of main. web: the repository's address, None: no links."""
    view = [_model(model, when, web) for model in models]
    return (
        _environment()
        .get_template("history.html.j2")
        .render(models=view, sums=_sums(models), commit=commit, when=_day(when))
    )


@cache
def _environment() -> Environment:
    environment = html.page_environment().overlay()
    environment.globals = {**environment.globals, "own": html.style("history.css")}
    return environment


@dataclass(frozen=True)
class Worth:
    """A difference in the leading metric, or a level where there was nothing to compare with, and its interval."""

    figure: str = text.MISSING
    note: str = ""
    tone: str = ""
    value: float | None = None


@dataclass(frozen=True)
class MoveRow:
    """One move of @champion. url: of its pull request."""

    when: str
    champion: str
    what: str
    number: str
    url: str | None
    who: str
    verdict: Status | None
    promised: Worth
    realized: Worth
    took: str
    note: str


@dataclass(frozen=True)
class TriedRow:
    """One judged candidate."""

    when: str
    verdict: Status
    version: str
    number: str
    url: str | None
    worth: Worth
    reason: str


@dataclass(frozen=True)
class LookRow:
    """One look after a merge."""

    promotion: str
    days: str
    number: str
    worth: Worth
    level: str
    found: str
    tone: str
    reason: str


@dataclass(frozen=True)
class Span:
    """How long a version was champion, as a share of the strip."""

    version: str
    share: float

    @property
    def label(self) -> str:
        """Its number, where it has room."""
        return self.version if self.share >= NARROW else ""


@dataclass(frozen=True)
class ModelHistory:
    """One model's part of the page."""

    name: str
    champion: str
    since: str
    metric: str
    promised: Worth
    realized: Worth
    rejected: str
    rejected_share: float | None
    took: str
    left: str
    spans: tuple[Span, ...]
    moves: tuple[MoveRow, ...]
    tried: tuple[TriedRow, ...]
    looks: tuple[LookRow, ...]
    trouble: str | None


def _model(history: History, when: str, web: str | None) -> ModelHistory:
    now = history.promotion
    tried = None if now is None else history.judged_as(now.version)
    seen = () if now is None else history.seen(now)
    judged = len(history.tried)
    looks = [look for move in reversed(history.moves) for look in reversed(_seen(history, move))]
    return ModelHistory(
        name=history.model,
        champion="none" if history.champion is None else f"version {history.champion}",
        since="" if now is None or now.at is None or history.champion is None else f"since {_day(now.at)}",
        metric="" if tried is None or tried.promised is None else tried.promised.metric,
        promised=_worth(None if tried is None else tried.promised),
        realized=_realized(seen, history.watch_looks),
        rejected=f"{history.rejected} of {judged}" if judged else text.MISSING,
        rejected_share=history.rejected / judged if judged else None,
        took=_span(median(history.took(move) for move in history.moves)),
        left=_left(history, len(seen)),
        spans=_spans(history, when),
        moves=tuple(_move(history, move, web) for move in reversed(history.moves)),
        tried=tuple(_tried(one, web) for one in reversed(history.tried)),
        looks=tuple(_look(look, history.watch_looks) for look in looks),
        trouble=history.trouble,
    )


def _seen(history: History, move: Move) -> tuple[Look, ...]:
    return () if move.reason == "repair" else history.seen(move)


def _sums(models: Sequence[History]) -> list[tuple[str, str, str]]:
    """(label, figure, note) of all models together."""
    judged, rejected = sum(len(one.tried) for one in models), sum(one.rejected for one in models)
    counts = {reason: sum(one.count(reason) for one in models) for reason in ("merge", "rollback", "override")}
    took = [one.took(move) for one in models for move in one.moves]
    known = sum(time is not None for time in took)
    share = text.share(rejected / judged) if judged else text.MISSING
    return [
        ("rejected at the gate", share, f"{rejected} of {text.plural(judged, 'candidate')}"),
        ("promotions", text.count(counts["merge"]), f"of {text.plural(len(models), 'model')}"),
        ("rollbacks", text.count(counts["rollback"]), f"and {text.plural(counts['override'], 'override')}"),
        ("from pull request to production", _span(median(took)), f"median of {known}" if known else "not known yet"),
    ]


def _move(history: History, move: Move, web: str | None) -> MoveRow:
    seen = _seen(history, move)
    own = move.reason in ("merge", "override", "not applied") or bool(seen)
    tried = history.judged_as(move.version) if own else None
    names = ["none" if version is None else str(version) for version in (move.before, move.version)]
    return MoveRow(
        when=text.MISSING if move.at is None else _minute(move.at),
        champion=f"{names[0]} → {names[1]}",
        what=REASONS.get(move.reason, move.reason),
        number="" if move.pr is None else f"#{move.pr}",
        url=None if move.pr is None or web is None else escape.link(f"{web}/pull/{move.pr}"),
        who=move.author or move.by or "unknown",
        verdict=None if tried is None else _status(tried),
        promised=_worth(None if tried is None else tried.promised),
        realized=_realized(seen, history.watch_looks) if own and move.at is not None else Worth(),
        took=_span(history.took(move)),
        note=move.note or "",
    )


def _tried(one: Tried, web: str | None) -> TriedRow:
    number = (one.pull or "").rsplit("/", 1)[-1]
    return TriedRow(
        when=_minute(one.begun or one.at),
        verdict=_status(one),
        version="not registered" if one.version is None else f"version {one.version}",
        number=f"#{number}" if number.isdigit() else "",
        url=escape.link(one.pull),
        worth=_worth(one.promised),
        reason=one.reason if one.rejected else "",
    )


def _look(look: Look, looks: int | None) -> LookRow:
    claim = look.realized
    return LookRow(
        promotion=f"version {look.version}" + (f" against {look.against}" if look.against else ", its floors alone"),
        days=f"{look.first} to {look.last}",
        number=f"{look.number} of {looks}" if looks else str(look.number),
        worth=_worth(claim),
        level=text.MISSING if claim is None else text.figure(claim.level, claim.unit),
        found=look.verdict,
        tone={"fine": "pass", "too little": "open"}.get(look.verdict, "fail"),
        reason=look.reason,
    )


def _status(one: Tried) -> Status:
    if one.rejected:
        return STATUSES["REJECTED"]
    return STATUSES.get(one.verdict or "", UNFINISHED)


def _worth(claim: Claim | None) -> Worth:
    if claim is None:
        return Worth()
    if claim.difference is None:
        return Worth(text.figure(claim.level, claim.unit), "alone", value=claim.level)
    low, high = claim.interval or (-1.0, 1.0)
    clear = claim.interval is not None and not low <= 0 <= high
    gain = (claim.difference > 0) == (claim.better == "higher")
    return Worth(
        text.figure(claim.difference, claim.unit, signed=True),
        text.interval(claim.interval, claim.unit),
        ("pass" if gain else "fail") if clear else "open",
        claim.difference,
    )


def _realized(seen: Sequence[Look], looks: int | None) -> Worth:
    """The newest look."""
    if not seen:
        return Worth(note="" if looks is None else "no look yet")
    worth = _worth(seen[-1].realized)
    number = f"look {seen[-1].number}" + ("" if looks is None else f" of {looks}")
    return Worth(worth.figure, f"{worth.note}, {number}" if worth.note else number, worth.tone, worth.value)


def _left(history: History, seen: int) -> str:
    """How many looks the newest test days and the promotion have left."""
    parts = []
    if history.left is not None:
        parts.append(f"{max(0, history.left.allowed - history.left.number)} of {history.left.allowed} candidates")
    if history.watch_looks is not None and history.champion is not None:
        parts.append(f"{max(0, history.watch_looks - seen)} of {history.watch_looks} after the merge")
    return ", ".join(parts) or text.MISSING


def _spans(history: History, until: str) -> tuple[Span, ...]:
    """Who was champion how long, from the first move to the commit that was read, or the last move."""
    known = [(move, at) for move in history.moves if (at := moment(move.at)) is not None and move.reason != "repair"]
    moves, begun = [move for move, _ in known], [at for _, at in known]
    ends = [*begun[1:], *(max(datetime.fromisoformat(until), last) for last in begun[-1:])]
    seconds = [max(0.0, (end - begin).total_seconds()) for begin, end in zip(begun, ends, strict=True)]
    total = sum(seconds)
    names = ["none" if move.version is None else str(move.version) for move in moves]
    return tuple(Span(name, some / total) for name, some in zip(names, seconds, strict=True)) if total > 0 else ()


def _span(time: timedelta | None) -> str:
    """`12 min`, `3.5 h`, `4 days`."""
    if time is None:
        return text.MISSING
    minutes = time.total_seconds() / 60
    if minutes < 90:
        return f"{max(0, minutes):.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _day(time: str) -> str:
    return time[:10]
