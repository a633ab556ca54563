"""The report as one HTML page: nothing from outside, readable without scripts, on a phone, in the dark and on paper.

Its one script sorts tables; the page's own policy lets no other run, whatever text a record brings.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from promotion.records.plan import Plan
from promotion.rendering import charts, curves, media
from promotion.rendering.reported import NOWHERE, Links, Reported
from promotion.rendering.risk import BinRow
from promotion.rendering.rows import MetricRow, RuleRow
from promotion.rendering.view import ModelView, build


def report_html(
    models: Sequence[Reported], *, plan: Plan | None = None, refusals: Sequence[str] = (), links: Links = NOWHERE
) -> str:
    """Return report.html: every model's judgement in full, with charts, as one self-contained page."""
    view = build(models, plan=plan, refusals=refusals, links=links)
    return _environment().get_template("report.html.j2").render(view=view)


def style(name: str) -> Markup:
    """A style sheet of the templates' folder."""
    return Markup((media.TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def page_environment() -> Environment:
    """The environment of a whole page: its style sheet, and the one script with its hash."""
    environment = media.html().overlay()
    script = (media.TEMPLATES / "report.js").read_text(encoding="utf-8")
    environment.globals = {
        **environment.globals,
        "script": Markup(script),
        "script_hash": Markup("sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        "css": style("report.css"),
    }
    return environment


@cache
def _environment() -> Environment:
    environment = page_environment().overlay()
    environment.globals = {
        **environment.globals,
        "rule_strip": rule_strip,
        "metric_strip": metric_strip,
        "slice_groups": slice_groups,
        "day_bars": day_bars,
        "chance": charts.chance,
        "flip_bars": flip_bars,
        "drawn": curves.drawn,
        "against": against,
    }
    return environment


def rule_strip(row: RuleRow, *, axis: bool = False) -> Markup:
    """The picture of one challenge rule: its interval against its bound."""
    rule = row.result
    return charts.strip(
        rule.value,
        rule.interval,
        rule.bound,
        better=row.better,
        ok=rule.ok,
        unit=row.unit,
        axis=axis,
        signed=rule.kind != "floor",
    )


def metric_strip(row: MetricRow, scale: charts.Scale | None = None) -> Markup:
    """The picture of one metric's difference against zero."""
    difference = row.comparison.difference
    if difference is None:
        return Markup("")
    clear = _clear(difference.interval, row.better)
    return charts.strip(difference.value, difference.interval, 0.0, better=row.better, ok=clear, scale=scale)


def against(row: BinRow) -> Markup:
    """The picture of one bin of scores: what happened, with its interval, against what was expected."""
    one = row.bin
    return charts.strip(one.observed, one.interval, None, mark=one.expected, scale=charts.Scale(-0.02, 1.02))


def _clear(interval: tuple[float, float] | None, better: str) -> bool | None:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return (interval[0] > 0) == (better == "higher")


def slice_groups(model: ModelView) -> list[tuple[str, list[tuple[MetricRow, Markup]]]]:
    """Slices by metric, each with its picture on the metric's common scale."""
    groups: dict[str, list[MetricRow]] = {}
    for row in model.slices:
        groups.setdefault(row.name, []).append(row)
    out = []
    for name, rows in groups.items():
        known = [r.comparison.difference for r in rows if r.comparison.difference is not None]
        scale = charts.Scale.around([v for d in known for v in (0.0, d.value, *(d.interval or ()))])
        out.append((name, [(row, metric_strip(row, scale)) for row in rows]))
    return out


def day_bars(model: ModelView) -> list[Markup]:
    """One bar a day, all to one scale."""
    largest = max((abs(row.delta) for row in model.days if row.delta is not None), default=0.0)
    better = 1 if model.day_better == "higher" else -1
    return [charts.diverging(row.delta, largest, gain=(row.delta or 0) * better > 0) for row in model.days]


def flip_bars(model: ModelView) -> list[Markup]:
    """One bar a kind of changed decision, by what it is worth, else by its rows; all to one scale."""
    sizes = [flip.flip.rows if flip.flip.dollars is None else abs(flip.flip.dollars) for flip in model.flips]
    largest = max(sizes, default=0.0)
    gains = [f.tone == "gain" if f.flip.dollars is None else f.flip.dollars > 0 for f in model.flips]
    return [charts.diverging(size, largest, gain=gain) for size, gain in zip(sizes, gains, strict=True)]
