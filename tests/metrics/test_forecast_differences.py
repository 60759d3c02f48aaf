"""Forecasts that overlap: their errors are alike for as many days as the horizon is long, and the test knows it."""

from functools import cache

import numpy as np

from stages.metrics.bootstrap import draw_weights
from stages.metrics.claims import refuse_claims
from stages.metrics.contract import System
from stages.metrics.forecast import FORECAST, ForecastDecision
from stages.metrics.paired import compare
from stages.metrics.resampling import merge_cells

DAYS, HORIZON, TRIALS = 160, 10, 100
MAE = FORECAST.metrics["mae"]


def overlapping(rng: np.random.Generator) -> np.ndarray:
    """A sum of ``HORIZON`` shocks, all but one of which the next day has too: moving averages of order h - 1."""
    return np.convolve(rng.normal(size=DAYS + HORIZON - 1), np.ones(HORIZON), "valid") / np.sqrt(HORIZON)


def forecaster(changes: np.ndarray, point: np.ndarray) -> System:
    """The system of one forecast a day."""
    decision, names = ForecastDecision(1.0), [f"{day:04d}" for day in range(DAYS)]
    beside = [np.zeros(DAYS), np.ones(DAYS), np.zeros(DAYS)]
    scores = np.stack([point, point - 1, point, point + 1, *beside], axis=1).astype(np.float32)
    cells = merge_cells([decision.tabulate(np.arange(DAYS), names, changes, scores)])
    return System(decision.table(cells, names), decision.exact(changes, scores))


@cache
def pairs(gain: float = 0.0) -> list[tuple[System, System]]:
    """Two forecasters with errors of one distribution; the second knows a share ``gain`` of what comes."""
    rng, found = np.random.default_rng(3), []
    for _ in range(TRIALS):
        changes, one, other = (overlapping(rng) for _ in range(3))
        found.append((forecaster(changes, 0.5 * one), forecaster(changes, 0.5 * other + gain * changes)))
    return found


def alarms(block: int, gain: float = 0.0) -> float:
    """How often a difference is found at 5 %."""
    found = [
        compare(a, b, {"mae": MAE}, draw_weights(DAYS, 200, (4, trial), block), level=0.95, block=block)["mae"]
        for trial, (a, b) in enumerate(pairs(gain))
    ]
    return float(np.mean([gap.verdict in ("better", "worse") for gap in found]))


def test_equals_are_told_apart_in_one_of_twenty_where_runs_are_as_long_as_the_horizon() -> None:
    assert alarms(block=HORIZON) <= 0.09  # binomial: 0.05 and two standard errors


def test_days_drawn_one_by_one_would_raise_the_alarm_many_times_as_often() -> None:
    assert alarms(block=1) > 0.2


def test_a_forecaster_who_knows_more_is_found() -> None:
    assert alarms(block=HORIZON, gain=0.8) > 0.8


def test_an_honest_model_is_seldom_accused_of_having_seen_the_outcome() -> None:
    accused = 0
    for trial, (a, b) in enumerate(pairs()):
        weights = draw_weights(DAYS, 200, (5, trial), HORIZON)
        systems = {"model": b, "baseline": a}
        try:
            refuse_claims(systems, {"horizon=10 d": systems}, ("mae", MAE), weights, block=HORIZON)
        except ValueError:
            accused += 1
    assert accused <= 3  # 1 % of 100, and two standard errors
