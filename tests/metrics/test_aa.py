"""A/A studies: two systems without a difference, and how often the comparison finds one all the same.

The quick ones run always; the large ones, with power, on `make test-slow`.  docs/comparison.md has the whole study.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest

from benchmarks.alike_systems import World, correlated
from benchmarks.study_aa import CHOSEN, MEAN, Scored, Valued
from stages.metrics.bootstrap import draw_weights, interval, replicate
from stages.metrics.contract import Metric, System
from stages.metrics.paired import compare

ALARM = 0.05


def system_of(table: Scored | Valued) -> System:
    return System(table, {name: float(value[0]) for name, value in table.measure(np.ones((1, table.units))).items()})


def p_values(
    pairs: Sequence[tuple[Scored | Valued, Scored | Valued]], metrics: dict[str, Metric], block: int
) -> dict[str, np.ndarray]:
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for seed, (a, b) in enumerate(pairs):
        weights = draw_weights(a.units, 199, seed, block)
        result = compare(system_of(a), system_of(b), metrics, weights, level=1 - ALARM, block=block)
        for name in metrics:
            found[name].append(result[name].p_value or 0.0)
    return {name: np.array(values) for name, values in found.items()}


def days_of(trials: int, days: int, correlation: float, effect: float = 0.0) -> list[tuple[Valued, Valued]]:
    """B minus A is a number a day, correlated between neighbours."""
    gaps = correlated(np.random.default_rng(21), trials, days, correlation) + effect
    return [(Valued(np.zeros(days)), Valued(gap)) for gap in gaps]


def systems_of(world: World, trials: int, seed: int = 22) -> list[tuple[Scored, Scored]]:
    rng, pairs = np.random.default_rng(seed), []
    for start in range(0, trials, 100):
        counts = world.counts(rng, min(100, trials - start))
        pairs += [(Scored(a), Scored(b)) for a, b in zip(*counts, strict=True)]
    return pairs


def is_the_stated_rate(p: np.ndarray, errors: float = 3.0) -> bool:
    """Within so many standard errors of a binomial share."""
    return bool(abs((p < ALARM).mean() - ALARM) <= errors * np.sqrt(ALARM * (1 - ALARM) / len(p)))


def test_alarms_are_as_rare_as_stated_on_few_correlated_days_where_percentile_intervals_raise_twice_as_many() -> None:
    pairs = days_of(1200, 61, 0.4)
    assert is_the_stated_rate(p_values(pairs, MEAN, block=5)["mean"])
    by_percentile = 0
    for seed, (_, b) in enumerate(pairs):
        drawn = replicate(b.measure, draw_weights(61, 199, seed, 5))["mean"]
        around = interval(drawn, float(b.values.mean()), method="percentile", level=1 - ALARM)
        by_percentile += not around.low <= 0 <= around.high
    assert by_percentile / len(pairs) > 2 * ALARM


def test_two_equal_models_with_good_and_bad_days_are_told_apart_as_rarely_as_stated() -> None:
    found = p_values(systems_of(World(61, 60, 0.4, 0.6), 400), CHOSEN, block=5)
    assert all(is_the_stated_rate(p) for p in found.values())


def test_p_values_without_a_difference_are_spread_evenly() -> None:
    p = p_values(days_of(800, 40, 0.0), MEAN, block=1)["mean"]
    shares = np.histogram(p, bins=5, range=(0, 1))[0] / len(p)
    assert shares == pytest.approx(np.full(5, 0.2), abs=3 * np.sqrt(0.2 * 0.8 / len(p)))


SETTINGS = {
    "independent rows": (World(300, 1, luck=0.0), 1),
    "independent days": (World(61, 100, luck=0.6), 1),
    "correlated days": (World(61, 100, 0.4, 0.6), 5),
    "a month of correlated days": (World(30, 100, 0.4, 0.6), 5),
    "a year of correlated days": (World(365, 30, 0.4, 0.6), 5),
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_alarms_are_as_rare_as_stated_in_every_metric_and_setting(setting: str) -> None:
    world, block = SETTINGS[setting]
    found = p_values(systems_of(world, 1200), CHOSEN, block)
    assert {name: (p < ALARM).mean() for name, p in found.items() if not is_the_stated_rate(p, errors=3.5)} == {}


@pytest.mark.slow
def test_days_taken_one_by_one_raise_too_many_alarms_where_neighbours_are_alike() -> None:
    p = p_values(systems_of(World(61, 100, 0.4, 0.6), 800), CHOSEN, block=1)["accuracy"]
    assert (p < ALARM).mean() > 1.5 * ALARM


@pytest.mark.slow
def test_power_grows_with_the_gain_and_with_the_days() -> None:
    def found(days: int, gain: float) -> float:
        p = p_values(systems_of(World(days, 60, 0.4, 0.3, gain), 150, seed=23), CHOSEN, 5)["log_loss"]
        return float((p < ALARM).mean())

    by_gain = [found(61, gain) for gain in (0.1, 0.4, 0.7)]
    assert by_gain == sorted(by_gain)
    assert by_gain[-1] > 0.9
    assert found(180, 0.4) > by_gain[1] + 0.1


@pytest.mark.slow
def test_power_is_close_to_that_of_a_test_that_knows_the_true_variance() -> None:
    days, correlation, effect = 61, 0.4, 0.5
    variance = (1 + correlation) / (1 - correlation) / days
    best = 1 - NormalDist(effect / np.sqrt(variance)).cdf(1.96)
    reached = (p_values(days_of(1500, days, correlation, effect), MEAN, 5)["mean"] < ALARM).mean()
    assert best - 0.2 < reached < best
