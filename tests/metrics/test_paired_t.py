"""Student's t, against the distribution itself."""

import math

import pytest
import scipy.stats

from stages.metrics.variance import t_quantile, two_sided_p

DEGREES = [1, 1.4, 2, 5, 11.2, 60, 364, 1023, 1e5]


@pytest.mark.parametrize("df", DEGREES)
def test_p_values_are_those_of_scipy_out_to_the_far_tails(df: float) -> None:
    for t in (1e-3, 0.1, 0.7, 1.5, 1.96, 2.6, 4, 9, 30):
        expected = 2 * scipy.stats.t.sf(t, df)
        assert two_sided_p(t, df) == pytest.approx(expected, rel=1e-8)
        assert two_sided_p(-t, df) == two_sided_p(t, df)


@pytest.mark.parametrize("df", DEGREES)
def test_quantiles_are_those_of_scipy(df: float) -> None:
    for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999):
        assert t_quantile(level, df) == pytest.approx(scipy.stats.t.ppf((1 + level) / 2, df), rel=1e-8)


def test_a_quantile_is_where_the_p_value_says() -> None:
    for df in DEGREES:
        assert two_sided_p(t_quantile(0.95, df), df) == pytest.approx(0.05, rel=1e-10)


def test_the_ends_of_the_line() -> None:
    assert two_sided_p(0.0, 7.0) == 1.0
    assert two_sided_p(math.inf, 7.0) == 0.0
