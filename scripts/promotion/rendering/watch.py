"""The watch report: what a promotion promised, what it has brought since, and whether its predecessor is better."""

from functools import cache

from jinja2 import Environment

from promotion.records.figures import RuleResult
from promotion.records.watched import Realized, Watched
from promotion.rendering import about, media
from promotion.rendering.sentences import capital, spoken
from promotion.rendering.terms import operator_of
from promotion.text import figures as text
from promotion.timeline import Claim, Look

SIGNS = {"worse": "⚠️", "floor missed": "⚠️", "fine": "✅", "too little": "➖"}


def watch_markdown(found: Watched, look: Look, promised: Claim | None = None) -> str:
    """Return the report of one look as GitHub's Markdown; promised: what the promotion's own judgement said."""
    whole = found.whole
    rows = [("since then", whole)] if look.number == 1 else [("these days", found.new), ("since then", whole)]
    made = (
        _environment()
        .get_template("watch.md.j2")
        .render(
            found=found,
            look=look,
            sign=SIGNS[found.verdict],
            said=capital(f"{spoken(found.metric)}{_per(found)}: {_told(found, promised)}."),
            therefore=_therefore(found, look),
            head=f"{found.metric}{_per(found)}",
            rows=[(f"{name}, {row.first} to {row.last}", *_figures(found, row)) for name, row in rows],
            flips=about.flips(found.flips),
            days=text.plural(whole.days, "day"),
            floors=[(rule.ok, rule.metric or rule.rule, _floor(rule, found)) for rule in found.floors],
            alarm=text.share(found.false_alarm),
        )
    )
    return made.strip() + "\n"


def watch_line(found: Watched, promised: Claim | None) -> str:
    """The line of the history: what was promised, what was realized, as plain text."""
    told = "" if promised is None else f"promised {promised.worth}, "
    return f"look {found.look} of {found.looks}: {found.verdict}: {found.metric}: {told}realized {_realized(found)}"


@cache
def _environment() -> Environment:
    return media.markdown()


def _per(found: Watched) -> str:
    """The days that the figures are for, where they grow with them."""
    return "" if found.per_days is None else f" in {text.plural(found.per_days, 'day')}"


def _told(found: Watched, promised: Claim | None) -> str:
    """`promised +$5,210 (…), realized −$6,120 (… with 95% confidence) on the 14 days since version 3 was replaced`."""
    claimed = "" if promised is None else f"promised {promised.worth}, "
    confidence = f" with {text.confidence(found.confidence)} confidence"
    since = "since the promotion" if found.whole.difference is not None else "since it became champion"
    return f"{claimed}realized {_realized(found, confidence)} on the {text.plural(found.whole.days, 'day')} {since}"


def _therefore(found: Watched, look: Look) -> str:
    """What follows from the figures."""
    before = f"Its predecessor, version {look.against}, is"
    if found.verdict == "worse":
        return f"{before} better."
    if found.verdict == "too little":
        return f"That is too little to say more: {found.reason}."
    missed = "It misses a floor of the gate on the new days." if found.verdict == "floor missed" else ""
    if found.whole.difference is None:
        return missed or "It is above the floors of the gate."
    return f"{missed} {before} not shown to be better.".strip()


def _realized(found: Watched, confidence: str = "") -> str:
    gain = found.whole.difference
    shown = found.whole.champion if gain is None else gain
    signed = gain is not None
    ends = text.interval(shown.interval, found.unit, signed=signed)
    said = text.figure(shown.value, found.unit, signed=signed)
    return said if shown.interval is None else f"{said} ({ends}{confidence})"


def _figures(found: Watched, row: Realized) -> tuple[str, ...]:
    """Champion, predecessor, difference and interval; without a predecessor the champion and its interval."""
    champion = text.figure(row.champion.value, found.unit)
    if row.predecessor is None or row.difference is None:
        return champion, text.interval(row.champion.interval, found.unit, signed=False)
    return (
        champion,
        text.figure(row.predecessor.value, found.unit),
        text.figure(row.difference.value, found.unit, signed=True),
        text.interval(row.difference.interval, found.unit),
    )


def _floor(rule: RuleResult, found: Watched) -> str:
    """`$39,870, must be > $40,000`, or why it could not be computed."""
    if rule.value is None or rule.bound is None:
        return rule.reason
    unit = found.unit if rule.metric == found.metric else None
    digits = text.digits_apart(rule.value, rule.bound, unit)
    where = "" if rule.slice is None else f" on {rule.slice}"
    bound = text.figure(rule.bound, unit, digits=max(text.decimals((rule.bound,), unit), text.places(rule.bound)))
    return f"{text.figure(rule.value, unit, digits=digits)}{where}, must be {operator_of(rule.rule)} {bound}"
