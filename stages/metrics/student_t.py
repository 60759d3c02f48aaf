"""How improbable is a value of Student's t, and which value is exceeded with a given probability?

SciPy has both, but nothing in `stages` depends on it and neither NumPy, Polars nor the standard library offers the
incomplete beta function, so here is its continued fraction (Press et al., "Numerical Recipes", 3rd ed., §6.4, by the
method of Lentz).  Degrees of freedom need not be whole.
"""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p

_TERMS = 10_000  # it takes about sqrt(df) of them
_PRECISION = 1e-15
_TINY = 1e-300


def two_sided_p(t: float, df: float) -> float:
    """The chance that |T| is ``abs(t)`` or more."""
    if t == 0:
        return 1.0
    return 0.0 if abs(t) == inf else incomplete_beta(df / 2, 0.5, df / (df + t * t))


def t_quantile(level: float, df: float) -> float:
    """The t that |T| stays below with the chance ``level``: 1.96 for 0.95 and many degrees of freedom."""
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > 1 - level:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):  # to the last bit: at most some sixty halvings
        low, high = (middle, high) if two_sided_p(middle, df) > 1 - level else (low, middle)
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for 0 ≤ x ≤ 1."""
    if x in (0.0, 1.0):
        return x
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; beyond, by symmetry
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
