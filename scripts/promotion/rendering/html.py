"""The report as one HTML page: no script, nothing from outside, readable on a phone, in the dark and on paper."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as html_escape

from promotion.records import Plan
from promotion.rendering import charts
from promotion.rendering.reported import Reported
from promotion.rendering.rows import MetricRow, RuleRow
from promotion.rendering.view import ModelView, build
from promotion.text import escape

TEMPLATES = Path(__file__).parent / "templates"


def report_html(
    models: Sequence[Reported],
    *,
    plan: Plan | None = None,
    refusals: Sequence[str] = (),
    run_url: str | None = None,
    pull_url: str | None = None,
) -> str:
    """Return report.html: every model's judgement in full, with charts, as one self-contained page."""
    view = build(models, plan=plan, refusals=refusals)
    links = [(label, url) for label, url in (("pull request", pull_url), ("workflow run", run_url)) if escape.link(url)]
    return _environment().get_template("report.html.j2").render(view=view, links=links)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters["inline"] = inline
    environment.filters["log"] = log
    environment.globals.update(
        rule_strip=rule_strip,
        metric_strip=metric_strip,
        slice_groups=slice_groups,
        day_bars=day_bars,
        chance=charts.chance,
    )
    environment.globals["css"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment


def _finalize(value: object) -> object:
    """Clean every text that a template prints of control, invisible and direction characters; escaping follows."""
    if isinstance(value, Markup):
        return value
    return escape.clean(value) if isinstance(value, str) else value


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


def inline(text: object, limit: int = escape.INLINE_LIMIT) -> Markup:
    """`text` as safe HTML; what stands between backticks becomes `<code>`."""
    out = Markup()
    for kind, part in escape.pieces(text, limit):
        out += Markup("<code>{}</code>").format(part) if kind == "code" else html_escape(part)
    return out


def log(text: str) -> Markup:
    """The end of a log as escaped text for inside `<pre>`."""
    return html_escape(escape.log(text, lines=4 * escape.LOG_LINES))
