"""The report as GitHub's Markdown: the pull request comment, the job summary, and the line of a commit status.

templates/comment.md.j2 says what stands where; every value that it prints is escaped by media.markdown.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from promotion.records.plan import Plan
from promotion.rendering import charts, media
from promotion.rendering.advice import Commands
from promotion.rendering.cut import Block, fit
from promotion.rendering.reported import NOWHERE, Links, Reported, names
from promotion.rendering.view import ModelView, build
from promotion.text import escape

MARKER = "<!-- promotion-report -->"
COMMENT_LIMIT = 65_000
SUMMARY_LIMIT = 250_000  # a step summary may have 1 MiB, a character at most 4 bytes
STATUS_LIMIT = 140
MOST_MODELS = 40
MOST_ROWS = 60
MOST_SAID = 8
MOST_PICTURES = 6
NBSP = "\u00a0"
NO_BAR = escape.Markdown("")
CUT = re.compile("\x1e([0-9]+)\x1e")  # control characters never come out of the escaper


def comment_markdown(
    models: Sequence[Reported],
    *,
    plan: Plan | None,
    links: Links = NOWHERE,
    refusals: Sequence[str] = (),
    marker: str = MARKER,
    limit: int = COMMENT_LIMIT,
) -> str:
    """Return the pull request's comment, at most `limit` characters; it begins with `marker`.

    refusals: sentences that make the whole pull request red, beside those of `plan`. Where something had to be
    left out for GitHub's limit, the comment says so and links the full report.
    """
    view = build(models, plan=plan, refusals=refusals, links=links)
    blocks = _blocks(_environment().get_template("comment.md.j2").render(view=view))
    if marker:
        blocks[0] = Block(f"{marker}\n{blocks[0].text}", blocks[0].importance)
    where = f" [the full report](<{links.report}>)" if links.known("report") else " `report.html` of this run"
    shortened = f"*Shortened to fit GitHub's limit: the rest is in{where}.*"
    foot = _environment().get_template("foot.md.j2").render(view=view).strip().replace(" · </sub>", "</sub>")
    return fit(blocks, limit, footer=foot, shortened=shortened)


def job_summary(
    models: Sequence[Reported], *, plan: Plan | None, links: Links = NOWHERE, refusals: Sequence[str] = ()
) -> str:
    """Return the same report for `$GITHUB_STEP_SUMMARY`, which has no marker and a larger limit."""
    return comment_markdown(models, plan=plan, links=links, refusals=refusals, marker="", limit=SUMMARY_LIMIT)


def summary_line(models: Sequence[Reported], *, refusals: Sequence[str] = ()) -> str:
    """Return the verdict in at most 140 characters of plain text, for a commit status."""
    view = build(models, refusals=refusals)
    if view.refusals:
        line = f"REFUSED: {view.refusals[0]}"
    elif not view.models:
        line = "No model changes in this pull request"
    elif len(view.models) == 1:
        line = _short(view.models[0])
    else:
        words = [f"{m.name} {m.status.word}" for m in sorted(view.models, key=lambda m: m.status.green)]
        line = ("All may merge: " if view.green else "Not to be merged: ") + ", ".join(words)
    return escape.terminal(line, STATUS_LIMIT)[:STATUS_LIMIT]


def _short(model: ModelView) -> str:
    start, word = f"{model.status.word}: {model.name}", model.status.word
    move = re.search(r"`(@champion [^`]*→[^`]*)`", model.merge)
    effect = f", {move[1]}" if move is not None else ""
    if model.status.green and not model.mergeable:
        effect = ", not pinned"
    if word == "SAME":
        return f"{start} predicts the same on every row{effect}"
    if model.hero is not None:
        hero = model.hero
        shown = f"{hero.difference} ({hero.interval})" if model.challenged else hero.candidate
        return f"{start} {hero.metric} {shown}{effect}"
    if effect:
        return start + effect
    return f"{start}: {model.error or (model.merge if word == 'RETIRE' else model.verdict)}"


@cache
def _environment() -> Environment:
    environment = media.markdown().overlay()
    environment.filters = {**environment.filters, "cell": _cell}
    environment.globals = {
        **environment.globals,
        "cut": _cut,
        "link": _link,
        "names": names,
        "pictures": _pictures,
        "pulls": _pulls,
        "shell": _shell,
        "bars": _bars,
        "most": MOST_ROWS,
        "listed": MOST_MODELS,
        "said": MOST_SAID,
    }
    return environment


def _blocks(rendered: str) -> list[Block]:
    """The blocks between the cuts, without empty ones."""
    parts = CUT.split(rendered)  # text, importance, text, importance, text ...
    found = zip(parts[1::2], parts[2::2], strict=True)
    blocks = [Block(re.sub(r"\n{3,}", "\n\n", body.strip()), int(importance)) for importance, body in found]
    return [block for block in blocks if block.text]


def _cut(importance: int) -> escape.Markdown:
    return escape.Markdown(f"\x1e{importance}\x1e")


def _link(label: str, url: str | None) -> escape.Markdown:
    """A link with escaped text; the text alone where the address is unknown or not a plain one."""
    shown = escape.markdown(label)
    return shown if escape.link(url) is None else escape.Markdown(f"[{shown}](<{url}>)")


def _pulls(words: str, links: Links) -> escape.Markdown:
    """A sentence whose `merged in #12` is a link, where the repository's address is known."""
    pull, safe = links.known("pull"), escape.markdown(words)
    if pull is None:
        return safe
    numbered = rf"merged in [#\1](<{pull.rpartition('/')[0]}/\1>)"
    return escape.Markdown(re.sub(r"merged in #\u200b?([0-9]+)", numbered, safe))


def _cell(words: str, limit: int = 120) -> escape.Markdown:
    """A figure for a table's cell, which short ones do not wrap in."""
    safe = escape.markdown(words, limit)
    if len(words) > 30 or "<" in safe:
        return safe
    return escape.Markdown(safe.replace(" ", NBSP))


def _pictures(model: ModelView) -> escape.Markdown | None:
    """The challenge's intervals against their bounds, drawn with characters."""
    drawn = [
        (
            escape.clean(" ".join(filter(None, (row.result.metric, row.result.slice))), 28),
            charts.strip_text(row.result.value, row.result.interval, row.result.bound, row.better),
        )
        for row in model.pictured
    ]
    drawn = [(name, line) for name, line in drawn if line][:MOST_PICTURES]
    if not drawn:
        return None
    width = max(len(name) for name, _ in drawn)
    lines = [f"{name.ljust(width)}  {line}" for name, line in drawn]
    lines.append(f"{''.ljust(width)}  ┃ bound   ├─●─┤ value with its interval   ░ not allowed")
    return escape.picture("\n".join(lines))


def _shell(commands: Commands) -> escape.Markdown:
    """Commands as a block to copy, those to undo it behind a comment."""
    told = ["# undo it after the merge"] if commands.look else []
    undo = [] if commands.undo is None else [*told, commands.undo]
    return escape.fence("\n".join([*commands.look, *undo]), language="sh")


@dataclass(frozen=True)
class Bar:
    """A day's difference as a bar of characters, on the side that it belongs to."""

    worse: escape.Markdown = NO_BAR
    better: escape.Markdown = NO_BAR


def _bars(model: ModelView) -> list[Bar]:
    """One bar a day; none where no day has both models."""
    gains = [
        None if row.delta is None else row.delta * (1 if model.day_better == "higher" else -1) for row in model.days
    ]
    largest = max((abs(gain) for gain in gains if gain is not None), default=None)
    if largest is None:
        return []
    drawn = [escape.Markdown(charts.bar_text(abs(gain or 0.0), largest)) for gain in gains]
    return [Bar(worse=bar) if (gain or 0) < 0 else Bar(better=bar) for gain, bar in zip(gains, drawn, strict=True)]
