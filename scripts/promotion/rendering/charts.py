"""Charts of the report: strips, bars and shares, as SVG for the page and as characters for Markdown.

The SVG uses percentages for x and pixels for y, so that it follows the width of a phone without
shrinking its text; colours come from the page's style sheet.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from promotion.text import escape
from promotion.text import figures as text


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to 0..1 of the width."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float | None], *, margin: float = 0.12) -> "Scale | None":
        """A scale that shows all finite `values` with some air; None if there is nothing to show."""
        known = [v for v in values if v is not None and math.isfinite(v)]
        if not known or abs(max(known)) > 1e300 or abs(min(known)) > 1e300:
            return None
        low, high = min(known), max(known)
        air = (high - low) * margin or max(abs(high), 1.0) * margin
        return cls(low - air, high + air)

    def at(self, value: float) -> float:
        """Where `value` lies, 0 at the left and 1 at the right, clipped to the ends."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def ticks(self, most: int = 5) -> list[float]:
        """Round values inside the scale, at most `most` of them."""
        rough = (self.high - self.low) / max(1, most)
        power = 10 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def strip_text(
    value: float | None, interval: tuple[float, float] | None, bound: float | None, better: str, width: int = 41
) -> str:
    """An interval against its bound in `width` characters, the better side on the right; empty if nothing is known."""
    if value is None or bound is None or interval is None:
        return ""
    sign = 1 if better == "higher" else -1
    low, high = sorted((sign * interval[0], sign * interval[1]))
    middle, limit = sign * value, sign * bound
    scale = Scale.around((low, high, middle, limit))
    if scale is None:
        return ""
    place = {
        name: round(scale.at(v) * (width - 1)) for name, v in (("l", low), ("h", high), ("m", middle), ("b", limit))
    }
    cells = ["░" if i < place["b"] else "·" for i in range(width)]
    for i in range(place["l"], place["h"] + 1):
        cells[i] = "─"
    cells[place["b"]] = "┃" if not place["l"] < place["b"] < place["h"] else "╂"
    cells[place["l"]], cells[place["h"]] = "├", "┤"
    cells[place["m"]] = "●"
    return f"worse {''.join(cells)} better"


def bar_text(size: float, largest: float, width: int = 12) -> str:
    """A bar of up to `width` full blocks (parts of blocks look ragged when aligned right); one for any gain or loss."""
    if largest <= 0 or size <= 0:
        return ""
    return "█" * max(1, round(width * min(1.0, size / largest)))


def strip(
    value: float | None,
    interval: tuple[float, float] | None,
    bound: float | None,
    *,
    better: str = "higher",
    ok: bool | None = None,
    scale: Scale | None = None,
    unit: str | None = None,
    axis: bool = False,
    signed: bool = True,
    mark: float | None = None,
) -> Markup:
    """An interval with its point against a bound; the side that is not allowed is shaded. `axis` adds ticks.

    mark: a value beside, of which no side is shaded.
    """
    scale = scale or Scale.around((value, bound, *(interval or ())))
    if value is None or scale is None:
        return Markup("")
    middle, height = (26, 70) if axis else (11, 22)
    parts = []
    if bound is not None:
        edge = scale.at(bound)
        left, wide = (0.0, edge) if better == "higher" else (edge, 1 - edge)
        parts.append(_rect("forbidden", left, wide, middle - 11 if not axis else middle - 18, 22 if not axis else 36))
    if axis:
        parts += _axis(scale, unit, middle + 18, signed)
    else:
        parts.append(_line("axis", 0, 1, middle, middle))
    if bound is not None:
        parts.append(_line("bound", edge, edge, middle - (18 if axis else 11), middle + (18 if axis else 11)))
    tone = {True: "pass", False: "fail", None: "open"}[ok]
    if mark is not None:
        parts.append(_line("bound", scale.at(mark), scale.at(mark), middle - 11, middle + 11))
    if interval is not None:
        low, high = (scale.at(end) for end in interval)
        thick = 14 if axis else 8
        parts.append(_rect(f"interval {tone}", low, max(high - low, 0.004), middle - thick / 2, thick, round_by=3))
    parts.append(f'<circle class="point {tone}" cx="{_pct(scale.at(value))}" cy="{middle}" r="{6 if axis else 4}"/>')
    return _svg(parts, height, "interval against its bound" if bound is not None else "interval")


def diverging(size: float | None, largest: float, *, gain: bool) -> Markup:
    """A bar from the middle: to the right where the candidate gains, to the left where it loses."""
    if size is None or largest <= 0:
        return Markup("")
    half = 0.5 * min(1.0, abs(size) / largest)
    bar = _rect("gain" if gain else "loss", 0.5 if gain else 0.5 - half, half, 3, 16, round_by=2)
    return _svg([bar, _line("bound", 0.5, 0.5, 0, 22)], 22, "better" if gain else "worse")


def chance(probability: float | None) -> Markup:
    """A probability as a filled share of a bar."""
    if probability is None or not math.isfinite(probability):
        return Markup("")
    filled = min(1.0, max(0.0, probability))
    bars = [_rect("track", 0, 1, 7, 8, round_by=4), _rect("share", 0, filled, 7, 8, round_by=4)]
    return _svg(bars, 22, text.share(probability))


def _axis(scale: Scale, unit: str | None, y: float, signed: bool) -> list[str]:
    parts = [_line("axis", 0, 1, y, y)]
    ticks = scale.ticks()
    money = unit if text.symbol(unit) is not None else None  # other units stand beside the chart
    digits = text.decimals([b - a for a, b in itertools.pairwise(ticks)], unit)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 0
    if step and text.symbol(unit) is None:
        digits = max(0, -math.floor(math.log10(step)))
    for tick in ticks:
        at = scale.at(tick)
        anchor = "start" if at < 0.06 else "end" if at > 0.94 else "middle"
        label = Markup.escape(escape.clean(text.figure(tick, money, signed=signed, digits=digits), 24))
        parts.append(_line("axis", at, at, y, y + 4))
        parts.append(f'<text class="tick" x="{_pct(at)}" y="{y + 18}" text-anchor="{anchor}">{label}</text>')
    return parts


def _pct(share: float) -> str:
    return f"{100 * share:.2f}%"


def _rect(kind: str, x: float, width: float, y: float, height: float, *, round_by: int = 0) -> str:
    corner = f' rx="{round_by}"' if round_by else ""
    return f'<rect class="{kind}" x="{_pct(x)}" width="{_pct(width)}" y="{y:g}" height="{height:g}"{corner}/>'


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{_pct(x1)}" x2="{_pct(x2)}" y1="{y1:g}" y2="{y2:g}"/>'


def _svg(parts: Sequence[str], height: int, label: str) -> Markup:
    body = "".join(parts)
    return Markup(  # every part is made above, of numbers and escaped labels
        f'<svg width="100%" height="{height}" role="img" aria-label="{Markup.escape(label)}">{body}</svg>'
    )
