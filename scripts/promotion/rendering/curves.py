"""The picture of both models at every threshold: the record's points on a logarithmic scale of flagged rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from promotion.records.charts import Curve, SideCurve
from promotion.rendering.charts import Scale
from promotion.text import figures as text

WIDE, TALL, AIR = 1000.0, 220.0, 12.0  # the drawing's own units; x is stretched to the page, y is pixels


@dataclass(frozen=True)
class Tick:
    """A round number, and where it stands: percent of the width, or pixels from the top."""

    label: str
    at: float


@dataclass(frozen=True)
class Line:
    """One model. path: of its curve; area: of its band, empty without; x, y: where its own decisions lie.

    y is None where that is not known.

    chosen: what they are, in words; steps: the curve's value at each step of the slider, as text.
    """

    name: str
    kind: str
    path: str
    area: str
    x: float
    y: float | None
    chosen: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class CurveView:
    """Both curves in one picture. steps: how many rows may be flagged at each step of the slider; start: its first."""

    metric: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    steps: tuple[str, ...]
    places: tuple[float, ...]
    start: int


@dataclass(frozen=True)
class Decided:
    """One model as it decides: its name in the report, and the metric of its own decisions."""

    name: str
    kind: str
    side: SideCurve
    value: float | None


def curve_view(curve: Curve, unit: str | None, models: Sequence[Decided]) -> CurveView | None:
    """Place both models' points; None where there is no line to draw."""
    seen = [value for model in models for value in (*_near_best(curve, model.side), model.value)]
    scale = Scale.around(seen, margin=0.06)
    if scale is None or len(curve.flagged) < 2:
        return None
    digits = text.decimals(seen, unit)
    chosen = models[0].side.chosen
    return CurveView(
        metric=curve.metric,
        lines=tuple(_line(curve, model, scale, unit) for model in models),
        x_ticks=tuple(Tick(text.count(n), 100 * _x(curve, n)) for n in _powers(curve.flagged[0], curve.flagged[-1])),
        y_ticks=tuple(Tick(text.figure(v, unit, digits=digits), _y(scale, v)) for v in scale.ticks(4)),
        steps=tuple(text.count(flagged) for flagged in curve.flagged),
        places=tuple(round(100 * _x(curve, flagged), 2) for flagged in curve.flagged),
        start=min(range(len(curve.flagged)), key=lambda i: abs(curve.flagged[i] - chosen)),
    )


def _near_best(curve: Curve, side: SideCurve) -> list[float]:
    """The values that are worth the height of the picture: around the best one, not where everybody is flagged."""
    known = [(n, v) for n, v in zip(curve.flagged, side.values, strict=True) if v is not None]
    if not known:
        return []
    best = max(known, key=lambda point: point[1])[0]
    return [v for n, v in known if n <= 3 * best]


def _line(curve: Curve, model: Decided, scale: Scale, unit: str | None) -> Line:
    pairs = zip(curve.flagged, model.side.values, strict=True)
    points = [f"{WIDE * _x(curve, n):.1f} {_y(scale, v):.1f}" for n, v in pairs if v is not None]
    return Line(
        name=model.name,
        kind=model.kind,
        path="M" + " L".join(points) if points else "",
        area=_area(curve, model.side, scale),
        x=round(100 * _x(curve, model.side.chosen), 2),
        y=None if model.value is None else _y(scale, model.value),
        chosen=f"flags {text.count(model.side.chosen)}: {text.figure(model.value, unit)}",
        steps=tuple(text.figure(value, unit) for value in model.side.values),
    )


def _area(curve: Curve, side: SideCurve, scale: Scale) -> str:
    """The path around a curve's band: there along the high ends and back along the low ones."""
    ends = zip(curve.flagged, side.low or (), side.high or (), strict=False)
    known = [(WIDE * _x(curve, n), low, high) for n, low, high in ends if low is not None and high is not None]
    there = [f"{x:.1f} {_y(scale, high):.1f}" for x, _, high in known]
    back = [f"{x:.1f} {_y(scale, low):.1f}" for x, low, _ in reversed(known)]
    return f"M{' L'.join(there + back)} Z" if known else ""


def _powers(low: int, high: int) -> list[int]:
    return [10**k for k in range(16) if low <= 10**k <= high]


def _x(curve: Curve, flagged: int) -> float:
    """Where a number of rows lies, 0 at the fewest and 1 at all."""
    first, last = curve.flagged[0], curve.flagged[-1]
    share = (math.log(max(flagged, 1)) - math.log(first)) / (math.log(last) - math.log(first))
    return min(1.0, max(0.0, share))


def _y(scale: Scale, value: float) -> float:
    """Pixels from the top; what is far outside the scale is drawn outside the picture, which clips it."""
    share = (value - scale.low) / (scale.high - scale.low)
    return round(max(-TALL, min(3 * TALL, AIR + (1 - share) * (TALL - 2 * AIR))), 1)


def drawn(line: Line) -> Markup:
    """A curve, of numbers that were made here."""
    area = f'<path class="band {line.kind}" d="{line.area}"/>' if line.area else ""
    return Markup(f'{area}<path class="{line.kind}" d="{line.path}" vector-effect="non-scaling-stroke"/>')
