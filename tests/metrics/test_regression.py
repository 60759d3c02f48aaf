"""Metrics of predicted numbers beside scikit-learn's, on rows and on codes."""

import numpy as np
import pytest
from sklearn import metrics as reference

from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.codes import Grid
from stages.metrics.regression import LAST_GROUP, STEPS_PER_GROUP, RegressionDecision, RegressionTable, residual_curve
from stages.metrics.resampling import merge_cells, unit_names

TASK = RegressionDecision(Grid.around(mean=100.0, spread=20.0))


def draw_numbers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.normal(100, 20, n)
    return targets, (100 + 0.7 * (targets - 100) + rng.normal(0, 8, n)).astype(np.float32)


def table_of(targets: np.ndarray, predictions: np.ndarray) -> RegressionTable:
    names = [f"{u:04d}" for u in range(len(targets))]
    cells = merge_cells([TASK.tabulate(np.arange(len(targets)), names, targets, predictions)])
    return TASK.table(cells, unit_names(cells))


def sklearn_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    return {
        "mae": reference.mean_absolute_error(targets, predictions),
        "rmse": reference.root_mean_squared_error(targets, predictions),
        "r2": reference.r2_score(targets, predictions),
    }


def test_exact_values_are_those_of_scikit_learn_and_coded_ones_are_near() -> None:
    targets, predictions = draw_numbers(800, seed=1)
    exact, coded = TASK.exact(targets, predictions), table_of(targets, predictions).measure(np.ones((1, 800)))
    for name, value in sklearn_scores(targets, predictions).items():
        assert exact[name] == pytest.approx(value, rel=1e-9)
        assert coded[name][0] == pytest.approx(value, rel=1e-3)


def test_replicates_are_spread_like_those_of_a_plain_bootstrap_of_the_rows() -> None:
    targets, predictions = draw_numbers(300, seed=2)
    drawn = replicate(table_of(targets, predictions).measure, draw_weights(300, 1000, seed=3))
    rng = np.random.default_rng(4)
    plain = [sklearn_scores(targets[rows], predictions[rows]) for rows in rng.integers(0, 300, (300, 300))]
    for name in plain[0]:
        assert drawn[name].std() == pytest.approx(np.std([one[name] for one in plain]), rel=0.15), name


def test_r2_of_a_target_that_does_not_vary_is_undefined() -> None:
    table = table_of(np.full(10, 120.0), np.linspace(90, 110, 10, dtype=np.float32))
    assert np.isnan(table.measure(np.ones((1, 10)))["r2"][0])
    assert np.isnan(TASK.exact(np.full(10, 120.0), np.zeros(10, np.float32))["r2"])


def test_groups_of_predictions_keep_their_means() -> None:
    targets, predictions = draw_numbers(2000, seed=5)
    rows, predicted, observed = table_of(targets, predictions).groups.sum(axis=0)
    assert rows.sum() == 2000
    assert predicted.sum() == pytest.approx(predictions.sum(), rel=1e-4)
    assert observed.sum() == pytest.approx(targets.sum(), rel=1e-4)


def residuals_by_hand(targets: np.ndarray, predictions: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Mean prediction and residuals of every group of predictions, half a spread of the target wide."""
    steps = np.rint((predictions - 100.0) / TASK.grid.step)
    group = np.clip(np.floor(steps / STEPS_PER_GROUP), -LAST_GROUP, LAST_GROUP)
    chosen = [group == g for g in np.unique(group) if (group == g).sum() >= 10]
    return [(float(predictions[rows].mean()), (targets - predictions)[rows]) for rows in chosen]


def test_residuals_are_those_of_the_rows_group_by_group() -> None:
    targets, predictions = draw_numbers(1500, seed=6)
    targets = targets + np.where(predictions > 110, 5.0, 0.0)  # so that one end is off, and not by symmetry
    found = residual_curve(table_of(targets, predictions), draw_weights(1500, 400, seed=7), 0.9)
    by_hand, step = residuals_by_hand(targets, predictions), TASK.grid.step
    assert len(found) == len(by_hand) > 4
    for row, (predicted, residuals) in zip(found.iter_rows(named=True), by_hand, strict=True):
        assert row["rows"] == len(residuals)
        assert row["predicted"] == pytest.approx(predicted, abs=step)
        assert row["residual"] == pytest.approx(residuals.mean(), abs=step)
        inverted = np.quantile(residuals, [0.1, 0.9], method="inverted_cdf")
        assert [row["tenth"], row["ninetieth"]] == pytest.approx(inverted, abs=2 * step)
        half = 1.645 * residuals.std(ddof=1) / np.sqrt(len(residuals))
        assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.3)
        assert row["low"] < row["residual"] < row["high"]


def test_the_interval_of_a_mean_residual_narrows_as_rows_grow_and_the_middle_of_the_rows_does_not() -> None:
    few, many = (residual_curve(table_of(*draw_numbers(n, seed=8)), draw_weights(n, 300, seed=9), 0.95)
                 for n in (300, 4800))  # fmt: skip
    middle = [frame.sort("rows")[-1].row(0, named=True) for frame in (few, many)]
    widths = [row["high"] - row["low"] for row in middle]
    spreads = [row["ninetieth"] - row["tenth"] for row in middle]
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)
    assert spreads[1] == pytest.approx(spreads[0], rel=0.25)


def test_a_group_with_a_handful_of_rows_is_left_out_and_no_group_leaves_no_row() -> None:
    targets = np.linspace(90, 110, 9)
    assert residual_curve(table_of(targets, targets.astype(np.float32)), np.ones((20, 9)), 0.9).is_empty()
