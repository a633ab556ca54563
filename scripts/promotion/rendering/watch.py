"""The watch report: what a promotion promised, what it has brought since, and whether its predecessor is better."""

from functools import cache

from jinja2 import Environment

from promotion.records.watched import Realized, Watched
from promotion.rendering import media
from promotion.text import escape
from promotion.text import figures as text
from promotion.timeline import Claim, Look

SIGNS = {"worse": "⚠️", "floor missed": "⚠️", "fine": "✅", "too little": "➖"}


def watch_markdown(found: Watched, look: Look, promised: Claim | None = None) -> str:
    """Return the report of one look as GitHub's Markdown; promised: what the promotion's own judgement said."""
    rows = [("these days", found.new), ("since the promotion", found.whole)] if look.number > 1 else []
    rows = rows or [("since the promotion", found.whole)]
    return (
        _environment()
        .get_template("watch.md.j2")
        .render(
            found=found,
            look=look,
            sign=SIGNS[found.verdict],
            rows=[(f"{name}: {row.first} to {row.last}", *_figures(found, row)) for name, row in rows],
            promised=None if promised is None else _promised(promised),
            floors=[
                (rule.rule, text.figure(rule.value, found.unit if rule.metric == found.metric else None), rule)
                for rule in found.floors
            ],
            confidence=text.confidence(found.confidence),
            alarm=text.share(found.false_alarm),
        )
    )


def watch_line(found: Watched, promised: Claim | None) -> str:
    """The line of the history: what was promised, what was realized, as plain text."""
    gain = found.whole.difference
    realized = text.figure(gain.value, found.unit, signed=True)
    realized += "" if gain.interval is None else f" ({text.interval(gain.interval, found.unit)})"
    told = "" if promised is None else f"promised {_promised(promised)}, "
    return f"look {found.look} of {found.looks}: {found.verdict}: {found.metric}: {told}realized {realized}"


@cache
def _environment() -> Environment:
    return media.markdown()


def _promised(claim: Claim) -> str:
    if claim.difference is None:
        return text.figure(claim.level, claim.unit)
    ends = "" if claim.interval is None else f" ({text.interval(claim.interval, claim.unit)})"
    return f"{text.figure(claim.difference, claim.unit, signed=True)}{ends}"


def _figures(found: Watched, row: Realized) -> tuple[escape.Markdown | str, ...]:
    return (
        text.figure(row.champion.value, found.unit),
        text.figure(row.predecessor.value, found.unit),
        text.figure(row.difference.value, found.unit, signed=True),
        text.interval(row.difference.interval, found.unit),
    )
