"""Does a change help?  Trainings move a figure as days do, and the test knows of both."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
from scipy import stats

from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import Metric, System
from stages.metrics.paired import NOT_KNOWN, compare, compare_trained
from stages.metrics.variance import Variance, satterthwaite

METRICS = {"score": Metric("higher", floor=-np.inf)}
RULES = {"level": 0.95, "block": 1}
DAYS = 40


@dataclass(frozen=True)
class Mean:
    """A metric that is the mean of one number a day."""

    days: np.ndarray
    shares = MappingProxyType({})

    @property
    def counts(self) -> np.ndarray:
        return np.full((DAYS, 1), 100)

    def measure(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"score": weights @ self.days / weights.sum(axis=1)}


def system(days: np.ndarray) -> System:
    return System(Mean(days), {"score": float(days.mean())})


def trainings(rng: np.random.Generator, k: int, days: np.ndarray, spread: float, shift: float = 0.0) -> list[System]:
    """Each training moves all days alike, by chance, and every day a little by itself."""
    return [system(shift + days + spread * rng.normal() + 0.5 * rng.normal(size=DAYS)) for _ in range(k)]


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return draw_weights(DAYS, 400, seed=3)


def test_where_days_do_not_matter_the_test_is_welchs(weights: np.ndarray) -> None:
    values = np.array([0.1, 0.4, 0.2, 0.9]), np.array([0.7, 1.5, 1.1])
    a, b = ([system(np.full(DAYS, value)) for value in side] for side in values)
    found = compare_trained(a, b, METRICS, weights, **RULES)["score"]
    welch = stats.ttest_ind(values[1], values[0], equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-9)
    interval = welch.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert (found.a, found.b) == pytest.approx((values[0].mean(), values[1].mean()))


@pytest.mark.parametrize("sizes", [(3, 3), (5, 5), (5, 1), (2, 8), (3, 8)])
def test_trainings_of_one_setting_are_told_apart_no_more_often_than_stated(sizes: tuple[int, int], weights) -> None:
    rng, alarms, n = np.random.default_rng(8), 0, 300
    for _ in range(n):
        days = rng.normal(size=DAYS)
        a, b = (trainings(rng, k, days, spread=0.3) for k in sizes)
        alarms += compare_trained(a, b, METRICS, weights, **RULES)["score"].verdict in ("better", "worse")
    assert alarms <= stats.binom.ppf(0.999, n, 0.05)


def test_two_given_models_of_one_setting_are_told_apart_most_of_the_time(weights: np.ndarray) -> None:
    """What the other question does with the same trainings: no fault of its, but not what an experiment asks."""
    rng, alarms, n = np.random.default_rng(8), 0, 100
    for _ in range(n):
        (a,), (b,) = (trainings(rng, 1, np.zeros(DAYS), spread=0.5) for _ in "ab")
        alarms += compare(a, b, METRICS, weights, **RULES)["score"].verdict in ("better", "worse")
    assert alarms > n / 2


def test_a_change_that_is_larger_than_chance_is_found(weights: np.ndarray) -> None:
    rng, found, n = np.random.default_rng(9), 0, 100
    for _ in range(n):
        days = rng.normal(size=DAYS)
        a, b = trainings(rng, 5, days, spread=0.3), trainings(rng, 5, days, spread=0.3, shift=0.8)
        found += compare_trained(a, b, METRICS, weights, **RULES)["score"].verdict == "better"
    assert found >= 0.8 * n


def test_a_side_with_few_trainings_borrows_the_spread_and_two_such_sides_know_nothing(weights: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    a = trainings(rng, 5, np.zeros(DAYS), spread=0.3)
    b = trainings(rng, 1, np.zeros(DAYS), spread=0.3, shift=5.0)
    borrowed = compare_trained(a, b, METRICS, weights, **RULES)["score"]
    assert borrowed.verdict == "better" and borrowed.high - borrowed.low > 2 * stats.t.ppf(0.975, 4) * 0.1
    unknown = compare_trained(a[:2], b, METRICS, weights, **RULES)["score"]
    assert (unknown.verdict, unknown.p_value, unknown.low, unknown.reason) == ("not known", None, None, NOT_KNOWN)
    assert unknown.difference == pytest.approx(b[0].exact["score"] - np.mean([each.exact["score"] for each in a[:2]]))


def test_where_chance_has_no_part_the_two_questions_have_one_answer(weights: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    (a,), (b,) = (trainings(rng, 1, np.zeros(DAYS), spread=0.3) for _ in "ab")
    given = compare(a, b, METRICS, weights, **RULES)
    assert compare_trained([a], [b], METRICS, weights, **RULES, by_chance=(False, False)) == given
    one_sided = compare_trained([a], trainings(rng, 4, np.zeros(DAYS), 0.3), METRICS, weights, **RULES,
                                by_chance=(False, True))  # fmt: skip
    assert one_sided["score"].verdict != "not known"


def test_degrees_of_freedom_of_a_sum_lie_between_the_least_and_the_sum() -> None:
    assert satterthwaite([Variance(2.0, 7)]) == pytest.approx(7)
    assert satterthwaite([Variance(1.0, 4), Variance(1.0, 4)]) == pytest.approx(8)
    assert 4 < satterthwaite([Variance(5.0, 4), Variance(1.0, 60)]) < 64
