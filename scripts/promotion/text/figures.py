"""Figures as people read them: money, metrics, intervals, shares. Formatting only, no statistics."""

import math
from collections.abc import Iterable

MINUS = "−"
MISSING = "—"
LONGEST_UNIT = 24  # characters
LARGEST = 1e15  # from here on nobody counts the digits
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SYMBOLS = {"$": "$", "dollars": "$", "dollar": "$", "usd": "$", "€": "€", "eur": "€", "£": "£", "gbp": "£"}


def symbol(unit: str | None) -> str | None:
    """The currency sign of a money unit (`$` for `$`, `dollars`, `USD`), None for every other unit."""
    return None if unit is None else _SYMBOLS.get(unit.strip().lower())


def decimals(values: Iterable[float | None], unit: str | None = None) -> int:
    """How many decimals suit figures that stand together, chosen by the largest of them.

    Money: whole units from 100 on, else cents. Others: three digits below 10, fewer above, and more
    where all of them would round to nothing.
    """
    largest = max((abs(v) for v in values if v is not None and math.isfinite(v)), default=0.0)
    if symbol(unit) is not None:
        return 0 if largest >= 100 or largest == 0 else 2
    for limit, digits in ((1000, 0), (100, 1), (10, 2)):
        if largest >= limit:
            return digits
    if 0 < largest < 0.01:
        return min(12, 2 - math.floor(math.log10(largest)))
    return 3


def figure(value: float | None, unit: str | None = None, *, signed: bool = False, digits: int | None = None) -> str:
    """`value` with thousands separators, a proper minus and its unit: `$47,124`, `−$1,054`, `0.635`, `12.5 min`."""
    if value is None or not math.isfinite(value):
        return MISSING
    places = decimals((value,), unit) if digits is None else digits
    body = f"{abs(value):,.{places}f}" if abs(value) < LARGEST else _power_of_ten(abs(value))
    nothing = not any(c in "123456789" for c in body)
    sign = "" if nothing else MINUS if value < 0 else "+" if signed else ""
    money = symbol(unit)
    if money is not None:
        return f"{sign}{money}{'0' if nothing else body}"
    return f"{sign}{body}" + (f" {unit.strip()[:LONGEST_UNIT]}" if unit and unit.strip() else "")


def _power_of_ten(value: float) -> str:
    """`3.28·10¹⁸`."""
    mantissa, exponent = f"{value:.2e}".split("e+")
    return f"{mantissa}·10{exponent.translate(_RAISED)}"


def interval(
    ends: tuple[float, float] | None, unit: str | None = None, *, digits: int | None = None, signed: bool = True
) -> str:
    """`+$416 to +$4,674`, `−3.4 to +1.2 min`: with as many decimals as the larger end needs.

    signed: of a difference; else of a level, without plus signs.
    """
    if ends is None:
        return MISSING
    places = decimals(ends, unit) if digits is None else digits
    first_unit = unit if symbol(unit) is not None else None
    low = figure(ends[0], first_unit, signed=signed, digits=places)
    return f"{low} to {figure(ends[1], unit, signed=signed, digits=places)}"


def digits_apart(value: float | None, bound: float | None, unit: str | None = None) -> int:
    """Decimals at which `value` and `bound` do not read the same unless they are: 0.1999 is not shown as 0.200."""
    places = decimals((value, bound), unit)
    if value is None or bound is None or value == bound:
        return places
    while places < 10 and f"{value:.{places}f}" == f"{bound:.{places}f}":
        places += 1
    return places


def places(value: float) -> int:
    """Decimals that a bound was written with, at most 6."""
    return min(6, len(f"{value:.6f}".rstrip("0").partition(".")[2]))


def milliseconds(value: float) -> str:
    """A duration as `2.11 ms`, `340 ms`, `3,280 ms`."""
    return figure(value, "ms", digits=2 if abs(value) < 10 else 1 if abs(value) < 100 else 0)


def count(number: int | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if number is None else f"{number:,}"


def share(value: float | None) -> str:
    """A probability as a percentage that never claims 0% or 100%."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 < value < 0.001:
        return "under 0.1%"
    if 0.999 < value < 1:
        return "over 99.9%"
    return f"{100 * value:.1f}%" if value < 0.1 or value > 0.9 else f"{100 * value:.0f}%"


def confidence(value: float) -> str:
    """A confidence level: `95%`, `99%`, `99.5%`."""
    return f"{100 * value:.5g}%"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 day`, `7 days`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
