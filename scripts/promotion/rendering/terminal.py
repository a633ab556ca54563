"""The report as a terminal's plain text, for `retrain.py try` and for logs."""

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment

from promotion.records.plan import Plan
from promotion.rendering import charts, media
from promotion.rendering.reported import Reported
from promotion.rendering.view import ModelView, build
from promotion.text import escape

MOST_SLICES = 30
CELL = 60  # columns


def terminal_text(
    models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = (), trial: bool = True
) -> str:
    """Return the judgement as plain text of about 100 columns, in which no line is a workflow command.

    trial: it was made on a laptop, so that what merging does is left out.
    """
    view = build(models, plan=plan, refusals=refusals)
    return str(_environment().get_template("terminal.txt.j2").render(view=view, trial=trial))


@cache
def _environment() -> Environment:
    environment = media.terminal().overlay()
    environment.globals = {
        **environment.globals,
        "standings": _standings,
        "pictures": _pictures,
        "metrics": _metrics,
        "slices": _slices,
        "log": _log,
    }
    return environment


def _standings(model: ModelView) -> escape.Terminal:
    rows = []
    for row in model.standings:
        compared = [row.champion] if model.challenged else []
        difference = [row.difference] if model.challenged else []
        figures = [row.candidate.value, *difference, row.interval.value, row.must_be]
        rows.append([row.outcome.word, row.metric, *compared, *figures])
    head = ["", "metric", "candidate", "interval", "must be"]
    if model.challenged:
        head = ["", "metric", model.champion, model.candidate, "difference", "interval", "must be"]
    return _table(head, "ll" + "r" * (len(head) - 3) + "l", rows)


def _pictures(model: ModelView) -> escape.Terminal | None:
    drawn = [
        (row.name, charts.strip_text(row.result.value, row.result.interval, row.result.bound, row.better))
        for row in model.pictured
    ]
    drawn = [(name, line) for name, line in drawn if line]
    return _table([], "ll", drawn) if drawn else None


def _metrics(model: ModelView) -> escape.Terminal:
    rows = [[row.name, row.champion, row.candidate, row.difference, row.interval] for row in model.metrics]
    return _table(["metric", "champion", "candidate", "difference", "interval"], "lrrrr", rows)


def _slices(model: ModelView) -> escape.Terminal:
    rows = [
        [row.slice, row.name, row.champion, row.candidate, row.difference, row.interval]
        for row in model.slices[:MOST_SLICES]
    ]
    return _table(["slice", "metric", "champion", "candidate", "difference", "interval"], "llrrrr", rows)


def _table(head: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> escape.Terminal:
    """Columns of cells, each escaped and cut; `align` is one of l, r a column."""
    lines = [[escape.terminal(cell, CELL) for cell in line] for line in ([head, *rows] if head else rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(align))]
    pads = [str.rjust if a == "r" else str.ljust for a in align]
    return escape.Terminal(
        "\n".join(
            "  " + "  ".join(p(c, w) for p, c, w in zip(pads, line, widths, strict=True)).rstrip() for line in lines
        )
    )


def _log(text: str) -> list[escape.Terminal]:
    """The end of a log, its indents kept: behind `| ` no line can be a command but for the older form."""
    return [escape.Terminal(line.replace("##[", "## [")) for line in escape.log(text).splitlines()]
