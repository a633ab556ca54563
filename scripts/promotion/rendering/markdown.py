"""The report as GitHub's Markdown: the pull request comment, the job summary, and the line of a commit status."""

import re
from collections.abc import Sequence

from promotion.records import Plan
from promotion.rendering import charts
from promotion.rendering.cut import Block, fit
from promotion.rendering.reported import Reported, names
from promotion.rendering.rows import DayRow, MetricRow, PowerRow, RuleRow
from promotion.rendering.view import ModelView, View, build
from promotion.text import escape
from promotion.text import figures as text

MARKER = "<!-- promotion-report -->"
COMMENT_LIMIT = 65_000
SUMMARY_LIMIT = 250_000  # a step summary may have 1 MiB, a character at most 4 bytes
STATUS_LIMIT = 140
MOST_MODELS = 40
MOST_ROWS = 60
MOST_SAID = 8
NBSP = "\u00a0"
JOINER = "\u2060"  # else a line may break between the minus and the figure


def comment_markdown(
    models: Sequence[Reported],
    *,
    plan: Plan | None,
    report_url: str | None = None,
    run_url: str | None = None,
    refusals: Sequence[str] = (),
    marker: str = MARKER,
    limit: int = COMMENT_LIMIT,
) -> str:
    """Return the pull request's comment, at most `limit` characters; it begins with `marker`.

    refusals: sentences that make the whole pull request red, beside those of `plan`. report_url: the
    full report, which the comment links when it had to leave something out.
    """
    view = build(models, plan=plan, refusals=refusals)
    first, *rest = [*_first(view), *_overview(view)]
    blocks = [Block(f"{marker}\n{first.text}" if marker else first.text), *rest]
    several = len(view.models) > 1
    for rank, model in enumerate(view.models):
        blocks += _model(model, rank=rank if several else 0, several=several)
    where = f" [the full report](<{report_url}>)" if escape.link(report_url) else " `report.html` of this run"
    shortened = f"*Shortened to fit GitHub's limit: the rest is in{where}.*"
    return fit(blocks, limit, footer=_footer(view, report_url, run_url), shortened=shortened)


def job_summary(
    models: Sequence[Reported],
    *,
    plan: Plan | None,
    report_url: str | None = None,
    run_url: str | None = None,
    refusals: Sequence[str] = (),
) -> str:
    """Return the same report for `$GITHUB_STEP_SUMMARY`, which has no marker and a larger limit."""
    return comment_markdown(
        models,
        plan=plan,
        report_url=report_url,
        run_url=run_url,
        refusals=refusals,
        marker="",
        limit=SUMMARY_LIMIT,
    )


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
    return f"{start}: {model.error or (model.merge if word == 'RETIRE' else model.headline)}"


def _first(view: View) -> list[Block]:
    """What must be read before anything else, then one title if several models follow."""
    blocks = [
        Block(_alert("CAUTION", [f"**REFUSED** {escape.markdown(r)}" for r in view.refusals[:MOST_SAID]]))
        for _ in view.refusals[:1]
    ]
    several = len(view.models) > 1
    said = [
        (f"{escape.code(m.name)}: " if several else "") + f"**{escape.markdown(w)}**"
        for m in view.models
        for w in m.warnings[:MOST_SAID]
    ]
    if said:
        blocks.append(Block(_alert("WARNING", said[: 2 * MOST_SAID])))
    if not view.models and not view.refusals:
        return [
            Block("✅ **Nothing to judge:** no model and no pin differs from the base. Merging changes no champion.")
        ]
    if not view.models:
        return blocks
    if several:
        blocks.append(Block(f"## {_title(view)}"))
    else:
        blocks.append(Block(_heading(view.models[0])))
    return blocks


def _title(view: View) -> str:
    if view.green:
        return f"✅ All {len(view.models)} models may be merged"
    if view.losers and any(m.status.green for m in view.models):
        return f"❌ Nothing is pinned: {len(view.losers)} of {len(view.models)} models did not win"
    return f"❌ {len(view.losers) or 'Some'} of {len(view.models)} models may not be merged"


def _heading(model: ModelView) -> str:
    return f"## {model.status.icon} {model.status.word} · {escape.code(model.name)}"


def _overview(view: View) -> list[Block]:
    if len(view.models) < 2:
        return []
    rows = [
        [
            f"{m.status.icon} **{m.status.word}**",
            escape.code(m.name, 60),
            escape.code(m.hero.metric, 40) if m.hero else text.MISSING,
            _strong((m.hero.difference or m.hero.candidate) if m.hero else None),
            _cell(m.hero.interval or text.MISSING) if m.hero else text.MISSING,
        ]
        for m in view.models[:MOST_MODELS]
    ]
    more = len(view.models) - len(rows)
    lines = table(["verdict", "model", "metric", "difference", "interval"], "lllrr", rows)
    lines += f"\n\nand {more} more" if more > 0 else ""
    winners = [m for m in view.models if m.status.word in ("PROMOTE", "FIRST", "SAME")]
    if view.losers and winners:
        who = escape.markdown(names(view.losers))
        lines += f"\n\n**Nothing is pinned because {who} lost.** Take it out of this pull request, or fix it."
    return [Block(lines)]


def _model(model: ModelView, *, rank: int, several: bool) -> list[Block]:
    """One model's blocks; `rank` makes later models give way first when the comment is too long."""
    lower = 10 * min(rank, 1)
    blocks = [Block(_heading(model), lower)] if several else []
    blocks.append(Block(_verdict(model), lower))
    if model.error:
        blocks.append(Block(_alert("CAUTION", [escape.markdown(model.error)]), lower))
    if model.log_tail:
        blocks.append(Block(_fold("End of the log", escape.fence(model.log_tail), shown=True), lower + 2))
    blocks += [Block(part, lower + 1) for part in (_pictures(model), _rules(model)) if part]
    if model.next:
        blocks.append(Block("**Next:**" + _steps(model.next), lower))
    blocks += [Block(part, lower + 2) for part in (_metrics(model), _days(model)) if part]
    folds = ((_notes(model), 1), (_slices(model), 4), (_power(model), 3), (_details(model), 3))
    blocks += [Block(part, lower + importance) for part, importance in folds if part]
    return blocks


def _verdict(model: ModelView) -> str:
    lines = [f"**{escape.markdown(model.headline)}**"] if model.headline else []
    hero = model.hero
    if hero is not None:
        lines.append(_figures(model))
    lines.append(f"**{escape.markdown(model.merge)}**")
    return "\n\n".join(lines)


def _figures(model: ModelView) -> str:
    hero = model.hero
    metric, window = escape.code(hero.metric, 40), escape.markdown(hero.window, 100)
    candidate = escape.markdown(hero.candidate, 60)
    if not model.challenged:
        level = escape.markdown(hero.candidate_interval, 100)
        return f"{metric} **{candidate}** ({hero.level} interval {level}), {window}"
    champion, interval = escape.markdown(hero.champion or "", 60), escape.markdown(hero.interval or "", 100)
    if hero.difference in model.headline and (hero.interval or "") in model.headline:
        return f"{metric} {champion} → {candidate}, {window}"
    difference = f"**{escape.markdown(hero.difference, 60)}**, {hero.level} interval **{interval}**"
    return f"{metric} {champion} → {candidate}: {difference}, {window}"


def _strong(words: str | None) -> str:
    return text.MISSING if words is None else f"**{escape.markdown(words, 60)}**"


def _steps(steps: Sequence[str]) -> str:
    if len(steps) == 1:
        return " " + escape.markdown(steps[0])
    return "\n\n" + "\n".join(f"- {escape.markdown(step)}" for step in steps)


def _rules(model: ModelView) -> str:
    if not model.rules:
        return ""
    rows = [_rule_cells(row) for row in model.rules[:MOST_ROWS]]
    head = ["", "rule", "value", "must be", f"{model.level} interval".strip(), "why"]
    return table(head, "llrrrl", rows) + _more(model.rules)


def _rule_cells(row: RuleRow) -> list[str]:
    return [
        f"{row.mark}{NBSP}{row.word}",
        escape.code(row.name),
        f"**{_cell(row.value)}**",
        _cell(row.bound),
        _cell(row.interval),
        escape.markdown(row.reason, 300),
    ]


def _pictures(model: ModelView) -> str:
    """The challenge's intervals against their bounds, drawn with characters."""
    drawn = [
        (
            escape.clean(row.name, 28),
            charts.strip_text(row.result.value, row.result.interval, row.result.bound, row.better),
        )
        for row in model.pictured
    ]
    drawn = [(name, line) for name, line in drawn if line][:12]
    if not drawn:
        return ""
    width = max(len(name) for name, _ in drawn)
    lines = [f"{name.ljust(width)}  {line}" for name, line in drawn]
    lines.append(f"{''.ljust(width)}  ┃ bound   ├─●─┤ value with its interval   ░ not allowed")
    return escape.picture("\n".join(lines))


def _metrics(model: ModelView) -> str:
    if not model.metrics:
        return ""
    rows = [[_metric_name(row), *_values(row, model.challenged)] for row in model.metrics[:MOST_ROWS]]
    head = ["metric", *_value_head(model)]
    return table(head, "l" + "r" * (len(head) - 1), rows) + _more(model.metrics)


def _value_head(model: ModelView) -> list[str]:
    return [
        *(["champion", "candidate", "difference"] if model.challenged else ["candidate"]),
        f"{model.level} interval",
    ]


def _metric_name(row: MetricRow) -> str:
    return escape.code(row.name) + (" (lower is better)" if row.better == "lower" else "")


def _values(row: MetricRow, challenged: bool) -> list[str]:
    if not challenged:
        return [f"**{_cell(row.candidate)}**", _cell(row.candidate_interval)]
    return [
        _cell(row.champion),
        _cell(row.candidate),
        f"**{_cell(row.difference)}**",
        _cell(row.interval),
    ]


def _cell(words: str, limit: int = 120) -> str:
    """A figure for a table's cell, which short ones do not wrap in."""
    safe = escape.markdown(words, limit)
    if len(words) > 30 or "<" in safe:
        return safe
    return safe.replace(" ", NBSP).replace(text.MINUS, text.MINUS + JOINER)


def _days(model: ModelView) -> str:
    known = [row for row in model.days if row.delta is not None]
    if not known:
        return ""
    largest = max(abs(row.delta) for row in known)
    rows = [_day_cells(row, largest, model.day_better) for row in model.days[:MOST_ROWS]]
    head = ["day", "champion", "candidate", "difference", "worse", "better"]
    return f"{escape.code(model.day_metric, 40)} day by day\n\n" + table(head, "lrrrrl", rows) + _more(model.days)


def _day_cells(row: DayRow, largest: float, better: str) -> list[str]:
    gain = 0.0 if row.delta is None else row.delta if better == "higher" else -row.delta
    bar = charts.bar_text(abs(gain), largest)
    return [
        escape.markdown(row.day, 40),
        _cell(row.champion),
        _cell(row.candidate),
        _cell(row.difference),
        bar if gain < 0 else "",
        bar if gain > 0 else "",
    ]


def _slices(model: ModelView) -> str:
    if not model.slices:
        return ""
    rows = [
        [escape.code(row.slice, 60), row.rows, escape.code(row.name, 40), *_values(row, model.challenged)]
        for row in model.slices[:MOST_ROWS]
    ]
    head = ["slice", "rows", "metric", *_value_head(model)]
    align = "lrl" + "r" * (len(head) - 3)
    return _fold(f"Slices ({len(model.slices)})", table(head, align, rows) + _more(model.slices))


def _power(model: ModelView) -> str:
    if not model.power:
        return ""
    rows = [_power_cells(row) for row in model.power[:MOST_ROWS]]
    head = ["rule", "smallest difference shown", "passes if equal", "passes if worthwhile", "test days needed"]
    warnings = [f"- ⚠️ {escape.markdown(row.warning)}" for row in model.power[:MOST_ROWS] if row.warning]
    body = table(head, "lrrrr", rows) + ("\n\n" + "\n".join(warnings) if warnings else "")
    lead = model.power[0].smallest
    return _fold(f"What this test set can show: differences from {escape.summary(lead, 60)} on (80% power)", body)


def _power_cells(row: PowerRow) -> list[str]:
    figures = (row.smallest, row.pass_zero, row.pass_worthwhile, row.days_needed)
    return [escape.code(row.name), *map(_cell, figures)]


def _notes(model: ModelView) -> str:
    said = [note for note in (model.caveat, model.looks, *model.notes[:20]) if note]
    return "**How far this reaches:**\n\n" + "\n".join(f"- {escape.markdown(note)}" for note in said) if said else ""


def _details(model: ModelView) -> str:
    rows = [[escape.markdown(label, 60), escape.code(value)] for label, value in model.details]
    parts = [table(["", ""], "ll", rows)] if rows else []
    if model.repeat:
        parts.append(f"Repeat it on a laptop: {escape.code(model.repeat, 160)}")
    return _fold("Versions, digests, windows", "\n\n".join(parts)) if parts else ""


def _footer(view: View, report_url: str | None, run_url: str | None) -> str:
    links = []
    if escape.link(report_url):
        links.append(f"[Full report](<{report_url}>)")
    if escape.link(run_url):
        links.append(f"[workflow run](<{run_url}>)")
    trees = [f"{label} {escape.code(value[:12])}" for label, value in view.details if value]
    line = " · ".join([*links, *trees])
    return f"<sub>{line}</sub>" if line else ""


def table(head: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are already Markdown; `align` is one of l, r a column."""
    rule = ["--:" if a == "r" else ":--" for a in align]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def _more(rows: Sequence[object]) -> str:
    hidden = len(rows) - MOST_ROWS
    return f"\n\nand {hidden} more, in the full report" if hidden > 0 else ""


def _fold(title: str, body: str, *, shown: bool = False) -> str:
    return f"<details{' open' if shown else ''}><summary>{title}</summary>\n\n{body}\n\n</details>"


def _alert(kind: str, lines: Sequence[str]) -> str:
    return f"> [!{kind}]\n" + "\n>\n".join(f"> {line}" for line in lines)
