"""What an auditor asks of every move: who, when, why, by which evidence and policy, approved by whom.

A field that applies and is not known says "unknown"; one that does not apply is null. Nothing is guessed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from promotion.champion.desired import Main
from promotion.champion.history import parse_time, rows_of
from promotion.champion.pins import PinChange
from promotion.config.pin import Override, PinRecord
from promotion.errors import PromotionError
from promotion.frozen import Frozen
from promotion.github.client import GitHub
from promotion.github.errors import GitHubError
from promotion.records.evaluation import Evaluation, JudgedRows
from promotion.records.figures import Looks
from promotion.registry.client import Registry, Version
from promotion.registry.evidence import read_evidence
from promotion.registry.watched import read_looks
from promotion.timeline import Claim, Look, Move, moment, promised

Unknown = Literal["unknown"]
UNKNOWN: Unknown = "unknown"


class Approval(Frozen):
    """Somebody's newest review of a pull request, where it approves. commit: what was looked at."""

    by: str
    at: str
    commit: str | None


class Evidence(Frozen):
    """What the judgement says that a pin names. won_against: version; None: it was the first champion."""

    digest: str
    verdict: str
    headline: str
    policy_digest: str
    won_against: int | None
    test: JudgedRows
    confidence: float
    looks: Looks | None
    claim: Claim | None
    release: str


class Record(Frozen):
    """One move of @champion, or a pin that was never applied.

    at: when @champion was seen there (null: never). pull: number. author: of the commit on main; merged_by and
    approvals: of its pull request. policy: digest of what was in force at the base. files: digest of the version's
    files as the pin has them. looks: what was seen after the merge.
    """

    model: str
    at: str | None
    before: int | None
    version: int | None
    reason: str
    note: str | None
    commit: str | Unknown
    committed_at: str | Unknown
    author: str | Unknown
    applied_by: str | Unknown
    pull: int | Unknown | None
    merged_by: str | Unknown | None
    approvals: tuple[Approval, ...] | Unknown | None
    override: Override | None
    adopted: bool
    policy: str | Unknown | None
    source_tree: str | Unknown | None
    files: str | Unknown | None
    run: str | Unknown | None
    evidence: Evidence | Unknown | None
    looks: tuple[Look, ...]


def audit(
    main: Main, registry: Registry, github: GitHub | None, model: str, *, since: str | None, until: str | None
) -> list[Record]:
    """Return a record of every move of a model's champion between two times (ISO 8601; a day counts whole)."""
    first, end = _bounds(since, until)
    registered = registry.registered(model)
    changes = {change.commit.sha: change for change in main.history.changes(model)}
    looks = read_looks(registered.tags)
    found = []
    for move in rows_of(registered, list(changes.values()), main.history):
        change = changes.get(move.commit)
        when = moment(move.at or (None if change is None else change.commit.when))
        if when is None or first <= when < end:
            seen = () if move.reason == "repair" else looks.get(move.place or "", ())
            found.append(_record(main, registry, github, model, move, change, seen))
    return found


def _bounds(since: str | None, until: str | None) -> tuple[datetime, datetime]:
    first = parse_time(since or "0001-01-01T00:00Z")
    end = parse_time(until or "9999-12-30T00:00Z")
    if until is not None and len(until) == len("2026-08-03"):
        end = min(end, parse_time("9999-12-30")) + timedelta(days=1)
    if first >= end:
        raise PromotionError(f"--from {since} is not before --to {until}")
    return first, end


def _record(
    main: Main,
    registry: Registry,
    github: GitHub | None,
    model: str,
    move: Move,
    change: PinChange | None,
    looks: Sequence[Look],
) -> Record:
    pin = None if change is None else change.after
    moved = move.version is not None and move.reason != "repair"
    version = registry.version(model, move.version) if moved and move.version is not None else None
    pulled = _pull(github, move.pr, asked=move.reason != "repair")
    own = move.reason == "merge" or (move.reason == "not applied" and pin is not None)
    return Record(
        model=model,
        at=move.at,
        before=move.before,
        version=move.version,
        reason=move.reason,
        note=move.note,
        commit=move.commit or UNKNOWN,
        committed_at=UNKNOWN if change is None else change.commit.when,
        author=move.author or (UNKNOWN if change is None else change.commit.author),
        applied_by=move.by or UNKNOWN,
        pull=pulled[0],
        merged_by=pulled[1],
        approvals=pulled[2],
        override=None if pin is None else _override(pin),
        adopted=pin is not None and pin.adopted,
        policy=_policy(main, model, change) if own else None,
        source_tree=_known(pin, "source_tree", moved),
        files=(move.digest or _known(pin, "digest", moved)) if moved else None,
        run=(UNKNOWN if version is None or version.run_id is None else version.run_id) if moved else None,
        evidence=_evidence(registry, pin, version) if moved else None,
        looks=tuple(looks),
    )


def _known(pin: PinRecord | None, name: str, moved: bool) -> str | Unknown | None:
    return ((None if pin is None else getattr(pin, name)) or UNKNOWN) if moved else None


def _override(pin: PinRecord) -> Override | None:
    why = pin.override
    return None if why is None else Override(by=why.by, reason=why.reason or UNKNOWN)


def _pull(
    github: GitHub | None, number: int | None, *, asked: bool
) -> tuple[int | Unknown | None, str | Unknown | None, tuple[Approval, ...] | Unknown | None]:
    """The pull request, who merged it, and whose newest review approves it."""
    if not asked:
        return None, None, None
    if number is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    if github is None:
        return number, UNKNOWN, UNKNOWN
    try:
        pull, reviews = github.pull(number), github.reviews(number)
    except GitHubError as error:
        if error.status != 404:
            raise
        return number, UNKNOWN, UNKNOWN
    newest = {review.author: review for review in reviews if review.state not in ("COMMENTED", "PENDING")}
    approved = [one for one in newest.values() if one.state == "APPROVED"]
    approvals = tuple(Approval(by=one.author, at=one.at, commit=one.commit) for one in approved)
    return number, pull.merged_by or UNKNOWN, approvals


def _policy(main: Main, model: str, change: PinChange | None) -> str | Unknown:
    """The digest of the policy in force at the base; unknown where an old promotion.yaml cannot be read today."""
    try:
        return UNKNOWN if change is None else main.base_policy(model, change)
    except PromotionError:
        return UNKNOWN


def _evidence(registry: Registry, pin: PinRecord | None, version: Version | None) -> Evidence | Unknown | None:
    """What the pin's evidence says; None where the pin names none (an override, an adopted champion)."""
    if pin is not None and pin.evidence is None:
        return None
    if pin is None or pin.evidence is None or version is None or version.run_id is None:
        return UNKNOWN
    try:
        found = read_evidence(registry, version.run_id, pin.evidence)
    except PromotionError:
        return UNKNOWN  # its bytes are not those that the pin names
    return UNKNOWN if found is None else _said(pin.evidence, found)


def _said(digest: str, found: Evaluation) -> Evidence:
    return Evidence(
        digest=digest,
        verdict=found.verdict,
        headline=found.headline,
        policy_digest=found.policy_digest,
        won_against=None if found.champion is None else found.champion.version,
        test=found.test,
        confidence=found.confidence_used,
        looks=found.looks,
        claim=promised(found),
        release=found.release or UNKNOWN,
    )
