"""The beta distribution's quantiles, against SciPy's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promotion.judgement.beta import beta_cdf, beta_quantile
from scipy.stats import beta

SIZES = st.floats(0.4, 3000)


@given(st.floats(1e-4, 0.9999), SIZES, SIZES)
@settings(max_examples=200, deadline=None)
def test_quantiles_are_scipys(share: float, a: float, b: float) -> None:
    """From small to large parameters, and into the tails, to nine digits."""
    assert beta_quantile(share, a, b) == pytest.approx(float(beta.ppf(share, a, b)), rel=1e-9, abs=1e-300)


@given(st.floats(0, 1), SIZES, SIZES)
@settings(max_examples=200, deadline=None)
def test_probabilities_are_scipys(x: float, a: float, b: float) -> None:
    """The distribution function itself, at the ends too."""
    assert beta_cdf(x, a, b) == pytest.approx(float(beta.cdf(x, a, b)), rel=1e-9, abs=1e-12)
