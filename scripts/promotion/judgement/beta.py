"""The beta distribution, which the standard library lacks: enough for exact binomial bounds."""

import math
from statistics import NormalDist

STEPS = 200
TINY = 1e-300


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return x with P(Beta(a, b) <= x) = share, by Halley's method inside a bracket; a, b > 0, 0 < share < 1."""
    low, high, x = 0.0, 1.0, _near(share, a, b)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(STEPS):
        over = beta_cdf(x, a, b) - share
        low, high = (low, x) if over > 0 else (x, high)
        slope = math.exp(scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))
        step = over / slope if slope > TINY else math.inf
        bend = step * ((a - 1) / x - (b - 1) / (1 - x)) / 2
        new = x - step / (1 - bend) if abs(bend) < 0.5 else -1.0  # far off, halving is surer
        new = new if low < new < high else (low + high) / 2
        if abs(new - x) <= 1e-11 * x:
            return new
        x = new
    return x


def _near(share: float, a: float, b: float) -> float:
    """A first guess: the quotient of two gammas, each by Wilson and Hilferty (Abramowitz and Stegun 26.5.22)."""
    z = NormalDist().inv_cdf(share)
    if min(a, b) < 0.7:
        return a / (a + b)
    lam, h = (z * z - 3) / 6, 2 / (1 / (2 * a - 1) + 1 / (2 * b - 1))
    w = z * math.sqrt(max(h + lam, 0.0)) / h
    w += (1 / (2 * b - 1) - 1 / (2 * a - 1)) * (lam + 5 / 6 - 2 / (3 * h))
    return min(max(a / (a + b * math.exp(-2 * w)), 1e-12), 1 - 1e-12)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(Beta(a, b) <= x), by the continued fraction of the incomplete beta function (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log) * _fraction(x, a, b) / a
    return 1 - math.exp(log) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of the continued fraction."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, STEPS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + factor * d)
            c = _not_zero(1 + factor / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
