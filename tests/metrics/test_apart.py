"""One system on two sets of rows: as Welch's t-test has it where days are independent, and honest where not."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import ttest_ind

from stages.metrics.apart import Side, compare_apart
from stages.metrics.bootstrap import Float
from stages.metrics.contract import Metric

ROWS = 40  # of a day
MAE = Metric("lower", every_class=False)


@dataclass(frozen=True)
class Errors:
    """A mean error by day, of as many rows each."""

    days: Float

    @property
    def counts(self) -> Float:
        return np.full((len(self.days), 1), float(ROWS))

    shares: dict = None  # type: ignore[assignment]

    def measure(self, weights: Float) -> dict[str, Float]:
        return {"mae": (weights @ self.days) / weights.sum(axis=1)}


def side(days: Float, block: int = 1, seed: int = 1) -> Side:
    return Side.of(Errors(days), replicates=400, seed=seed, block=block)


def correlated(rng: np.random.Generator, n: int, likeness: float) -> Float:
    days, last = [], rng.normal()
    for _ in range(n):
        last = likeness * last + np.sqrt(1 - likeness**2) * rng.normal()
        days.append(last)
    return 10 + np.array(days)


def test_independent_days_give_the_interval_of_welch() -> None:
    rng = np.random.default_rng(1)
    before, now = 10 + rng.normal(size=200), 10.2 + 2 * rng.normal(size=90)
    found = compare_apart(side(before), side(now, seed=2), "mae", MAE, 0.95)
    welch = ttest_ind(now, before, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert found.difference == pytest.approx(now.mean() - before.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1)
    assert found.p_value == pytest.approx(welch.pvalue, abs=0.1)


@pytest.mark.parametrize("likeness", [0.0, 0.4, 0.7])
def test_a_month_like_the_test_is_seldom_called_worse(likeness: float) -> None:
    rng = np.random.default_rng(2)
    found = [
        compare_apart(
            side(correlated(rng, 61, likeness), 5), side(correlated(rng, 30, likeness), 5, seed=2), "mae", MAE, 0.95
        ).verdict
        for _ in range(250)
    ]
    assert np.mean([verdict in ("better", "worse") for verdict in found]) < 0.1, "of 0.05 at a single look"


def test_the_direction_decides_what_is_worse() -> None:
    rng = np.random.default_rng(3)
    low, high = side(rng.normal(size=60)), side(5 + rng.normal(size=60), seed=2)
    assert compare_apart(low, high, "mae", MAE, 0.95).verdict == "worse"
    assert compare_apart(high, low, "mae", MAE, 0.95).verdict == "better"
    assert compare_apart(low, high, "mae", Metric("higher", every_class=False), 0.95).verdict == "better"


@pytest.mark.parametrize("days", [1, 2, 7])
def test_a_few_days_are_too_few(days: int) -> None:
    rng = np.random.default_rng(4)
    now = side(rng.normal(size=days), 5)
    found = compare_apart(side(rng.normal(size=60), 5), now, "mae", MAE, 0.95)
    assert found.verdict == "too few" and found.p_value is None and found.low is None
    assert found.difference is not None
    assert now.interval("mae", MAE, 0.95) == (None, None)


def test_ends_of_an_interval_stay_where_values_can_be() -> None:
    errors = np.random.default_rng(5).normal(size=40)
    low, high = side(errors - errors.mean() + 0.01).interval("mae", MAE, 0.95)
    assert low == 0.0 and high is not None and high > 0
