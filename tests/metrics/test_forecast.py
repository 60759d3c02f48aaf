"""Metrics of forecasts beside sums by hand, on rows and from a table; which rows are known as the same."""

import numpy as np
import pytest

from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.forecast import FORECAST, MOST_SPREADS, ForecastDecision, ForecastTable, quantile_curve
from stages.metrics.resampling import fingerprint, merge_cells, unit_names

DECISION = ForecastDecision(spread=5.0)


def draw_forecasts(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True changes, and scores: point, three quantiles, naive, scale, level."""
    rng = np.random.default_rng(seed)
    changes = rng.normal(0, 5, n)
    point = 0.8 * changes + rng.normal(0, 2, n)
    bands = [point + shift for shift in (-3.0, 0.2, 3.0)]
    scores = [point, *bands, rng.normal(0, 1, n), rng.choice([3.0, 4.0], n), rng.normal(50, 10, n)]
    return changes, np.stack(scores, axis=1).astype(np.float32)


def by_hand(changes: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    point, low, median, high, naive, scale, level = scores.astype(float).T
    error = np.abs(changes - point)
    actual, told = level + changes, level + point
    pinball = [
        np.where(changes >= q, share * (changes - q), (1 - share) * (q - changes))
        for share, q in ((0.1, low), (0.5, median), (0.9, high))
    ]
    return {
        "mae": error.mean(),
        "rmse": np.sqrt((error**2).mean()),
        "mase": (error / scale).mean(),
        "smape": np.mean(200 * np.abs(actual - told) / (np.abs(actual) + np.abs(told))),
        "pinball": np.mean(pinball),
        "coverage": np.mean((low <= changes) & (changes <= high)),
        "width": np.mean(high - low),
        "skill": 1 - error.mean() / np.abs(changes - naive).mean(),
    }


def tabulated(changes: np.ndarray, scores: np.ndarray, units: np.ndarray, cuts: int = 1) -> ForecastTable:
    """The table of rows that lie in ``cuts`` partitions."""
    names = [f"{u:04d}" for u in range(units.max() + 1)]
    parts = [
        DECISION.tabulate(units[rows], names, changes[rows], scores[rows])
        for rows in np.array_split(np.arange(len(units)), cuts)
    ]
    cells = merge_cells(parts)
    return DECISION.table(cells, unit_names(cells))


def test_every_metric_is_the_sum_by_hand_on_rows_and_from_the_table() -> None:
    changes, scores = draw_forecasts(900, seed=1)
    expected, exact = by_hand(changes, scores), DECISION.exact(changes, scores)
    coded = tabulated(changes, scores, np.arange(900) % 40).measure(np.ones((1, 40)))
    assert set(exact) == set(coded) == set(FORECAST.metrics)
    for name, value in expected.items():
        assert exact[name] == pytest.approx(value, rel=1e-9), name
        assert coded[name][0] == pytest.approx(value, rel=1e-4), name


def test_a_replicate_is_the_metric_of_the_rows_of_its_days_each_as_often_as_drawn() -> None:
    changes, scores = draw_forecasts(300, seed=2)
    days = np.sort(np.arange(300) % 20)
    weights = draw_weights(20, 5, seed=3, block=4)
    drawn = replicate(tabulated(changes, scores, days).measure, weights)
    for k, often in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(300), often[days])
        for name, value in by_hand(changes[rows], scores[rows]).items():
            assert drawn[name][k] == pytest.approx(value, rel=1e-3), name


def test_sums_are_the_same_to_the_last_bit_however_rows_are_cut_and_ordered() -> None:
    changes, scores = draw_forecasts(500, seed=4)
    days, order = np.arange(500) % 25, np.random.default_rng(5).permutation(500)
    whole = tabulated(changes, scores, days)
    cut = tabulated(changes[order], scores[order], days[order], cuts=7)
    assert np.array_equal(whole.sums, cut.sums) and np.array_equal(whole.rows, cut.rows)


def test_a_naive_forecast_that_never_errs_leaves_skill_undefined_and_nothing_else() -> None:
    changes, scores = draw_forecasts(50, seed=6)
    scores[:, 4] = changes = changes.astype(np.float32)
    exact = DECISION.exact(changes, scores)
    coded = tabulated(changes, scores, np.arange(50)).measure(np.ones((1, 50)))
    for found in (exact, {name: value[0] for name, value in coded.items()}):
        assert [name for name, value in found.items() if not np.isfinite(value)] == ["skill"]


def test_a_wild_forecast_is_counted_as_one_far_out_and_overflows_nothing() -> None:
    changes, scores = draw_forecasts(40_000, seed=7)
    scores[:, :4] = 1e30
    found = tabulated(changes, scores, np.zeros(40_000, int)).measure(np.ones((1, 1)))
    assert found["mae"][0] == pytest.approx(MOST_SPREADS * DECISION.spread)
    assert found["rmse"][0] == pytest.approx(MOST_SPREADS * DECISION.spread)


def test_what_is_known_of_the_rows_is_their_days_and_outcomes_and_not_how_they_were_forecast() -> None:
    changes, scores = draw_forecasts(400, seed=8)
    days, (_, others), (moved, _) = np.arange(400) % 20, draw_forecasts(400, seed=9), draw_forecasts(400, seed=8)
    moved[7] += 0.001

    def known(changes: np.ndarray, scores: np.ndarray, days: np.ndarray) -> str:
        cells = DECISION.tabulate(days, [f"{u:02d}" for u in range(20)], changes, scores)
        view, label = FORECAST.known_by
        return fingerprint(merge_cells([cells]), view, {}, label)

    same = known(changes, scores, days)
    assert known(changes, others, days) == same
    assert known(moved, scores, days) != same
    assert known(changes, scores, np.roll(days, 1)) != same


def test_quantiles_that_are_true_promise_what_they_hold_and_shifted_ones_do_not() -> None:
    rng, n = np.random.default_rng(10), 20_000
    changes, days = rng.normal(0, 5, n), np.arange(n) % 100
    scores = np.zeros((n, 7), np.float32)
    scores[:, 1:4] = 5 * np.array([-1.2816, 0, 1.2816])
    weights = draw_weights(100, 400, seed=11)
    held = quantile_curve(tabulated(changes, scores, days), weights, 0.99)
    assert held["predicted"].to_list() == [0.1, 0.5, 0.9]
    assert ((held["low"] <= held["perfect"]) & (held["perfect"] <= held["high"])).all()
    scores[:, 1:4] += 1.0
    shifted = quantile_curve(tabulated(changes, scores, days), weights, 0.99)
    assert (shifted["low"] > shifted["perfect"]).all()
