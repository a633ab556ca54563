"""The report as a terminal's plain text, for `retrain.py try` and for logs."""

from collections.abc import Sequence

from promotion.records import Plan
from promotion.rendering import charts
from promotion.rendering.reported import Reported
from promotion.rendering.rows import MetricRow, RuleRow
from promotion.rendering.view import ModelView, build
from promotion.text import escape

MOST_SLICES = 30


TRIAL = "A trial: nothing was registered or pinned; a pull request with this tree gets this verdict."


def terminal_text(
    models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = (), trial: bool = True
) -> str:
    """Return the judgement as plain text of about 100 columns, in which no line is a workflow command.

    trial: it was made on a laptop, so that what merging does is left out.
    """
    view = build(models, plan=plan, refusals=refusals)
    lines = [f"REFUSED: {escape.terminal(refusal)}" for refusal in view.refusals]
    if not view.models and not view.refusals:
        lines.append("Nothing to judge: no model and no pin differs from the base.")
    for model in view.models:
        lines += ["", *_model(model, trial)] if lines else _model(model, trial)
    return "\n".join(lines) + "\n"


def _model(model: ModelView, trial: bool) -> list[str]:
    lines = [f"! {escape.terminal(warning)}" for warning in model.warnings]
    lines += [f"{model.status.glyph} {model.status.word}  {escape.terminal(model.name)}"]
    lines += [f"  {escape.terminal(line)}" for line in (model.headline, TRIAL if trial else model.merge) if line]
    if model.error:
        lines.append(f"  error: {escape.terminal(model.error)}")
    if model.rules:
        lines += ["", *_table(["", "rule", "value", "must be", f"{model.level} interval"], "llrrr", _rules(model))]
        lines += _why(model.rules)
    pictures = [(row.name, charts.strip_text(*_rule_values(row))) for row in model.pictured]
    drawn = [(escape.terminal(name, 30), line) for name, line in pictures if line]
    lines += ["", *_table([], "ll", drawn)] if drawn else []
    if model.metrics:
        head = ["metric", "champion", "candidate", "difference", "interval"]
        lines += ["", *_table(head, "lrrrr", [_values(row) for row in model.metrics])]
    if model.slices:
        head = ["slice", "metric", "champion", "candidate", "difference", "interval"]
        rows = [[escape.terminal(row.slice, 40), *_values(row)] for row in model.slices[:MOST_SLICES]]
        lines += ["", *_table(head, "llrrrr", rows)]
    notes = [note for note in (model.caveat, model.looks, *model.notes) if note]
    lines += [""] + [f"  - {escape.terminal(note)}" for note in notes] if notes else []
    steps = () if trial and model.status.green else model.next
    lines += ["", "Next:"] + [f"  - {escape.terminal(step)}" for step in steps] if steps else []
    if model.log_tail:
        tail = escape.log(model.log_tail).replace("##[", "## [").splitlines()
        lines += ["", "End of the log:"] + [f"  | {line}" for line in tail]
    return lines


def _rule_values(row: RuleRow) -> tuple:
    return row.result.value, row.result.interval, row.result.bound, row.better


def _rules(model: ModelView) -> list[list[str]]:
    return [
        [
            row.word,
            escape.terminal(row.name, 60),
            *(escape.terminal(c, 60) for c in (row.value, row.bound, row.interval)),
        ]
        for row in model.rules
    ]


def _why(rules: Sequence[RuleRow]) -> list[str]:
    return [f"  {escape.terminal(r.name, 60)}: {escape.terminal(r.reason)}" for r in rules if r.result.ok is not True]


def _values(row: MetricRow) -> list[str]:
    cells = (row.name, row.champion, row.candidate, row.difference, row.interval)
    return [escape.terminal(cell, 60) for cell in cells]


def _table(head: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(head), *map(list, rows)] if head else [list(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(align))]
    pads = [str.rjust if a == "r" else str.ljust for a in align]
    return ["  " + "  ".join(p(c, w) for p, c, w in zip(pads, line, widths, strict=True)).rstrip() for line in lines]
