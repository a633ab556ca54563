"""Figures read as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promotion.text import figures as text


@pytest.mark.parametrize(
    ("value", "unit", "signed", "expected"),
    [
        (47124, "$", False, "$47,124"),
        (-1054.4, "$", True, "−$1,054"),
        (2545, "dollars", True, "+$2,545"),
        (15, "$", False, "$15.00"),
        (0, "$", True, "$0"),
        (-0.2, "€", True, "−€0.20"),
        (0.6349, None, False, "0.635"),
        (-0.0022, None, True, "−0.00220"),
        (12.5, "min", False, "12.50 min"),
        (123456.7, None, False, "123,457"),
        (None, "$", False, "—"),
        (math.nan, "$", False, "—"),
        (math.inf, None, False, "—"),
    ],
)
def test_a_figure(value: float | None, unit: str | None, signed: bool, expected: str) -> None:
    """Separators, a proper minus, the sign before the currency, three digits for a share."""
    assert text.figure(value, unit, signed=signed) == expected


def test_a_rounded_nothing_has_no_sign() -> None:
    """−0.3 dollars to whole dollars is nothing, neither plus nor minus."""
    assert text.figure(-0.3, "$", signed=True, digits=0) == "$0"


def test_an_interval_has_one_precision() -> None:
    """Both ends carry the decimals of the larger."""
    assert text.interval((-3.2, 4262.1), "$") == "−$3 to +$4,262"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_value_never_reads_like_a_bound_that_it_misses(value: float, bound: float) -> None:
    """0.1999 against 0.20 is not printed as 0.200, down to ten decimals."""
    digits = text.digits_apart(value, bound)
    if abs(value - bound) > 1e-9:
        assert f"{value:.{digits}f}" != f"{bound:.{digits}f}"


@given(st.floats(0, 1))
def test_a_share_claims_no_certainty(value: float) -> None:
    """Only 0 and 1 themselves read as 0% and 100%."""
    shown = text.share(value)

    assert (shown == "0.0%") == (value == 0)
    assert (shown == "100.0%") == (value == 1)


@pytest.mark.parametrize(("value", "expected"), [(0.95, "95%"), (0.99, "99%"), (0.9975, "99.75%")])
def test_a_confidence_level(value: float, expected: str) -> None:
    """No digits beyond those that matter."""
    assert text.confidence(value) == expected
