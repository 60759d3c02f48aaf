"""How far off are predicted numbers?

MAE, RMSE and R² are sums over rows of the target, its square, the error's size and its square: per-unit sums of coded
targets and errors are all that a replicate needs.  Codes are steps of 1/64 of the training target's spread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import Grid
from stages.metrics.contract import Metric
from stages.metrics.resampling import count_cells, unit_counts
from stages.metrics.row_blocks import row_blocks

Float = NDArray[np.float64]
Int = NDArray[np.int64]

METRICS = {
    "mae": Metric("lower"),
    "rmse": Metric("lower"),
    "r2": Metric("higher", floor=float("-inf"), ceiling=1.0),
}
STEPS_PER_GROUP = Grid.STEPS_PER_SPREAD // 2  # predictions are grouped by half spreads for the calibration curve
LAST_GROUP = 6


@dataclass(frozen=True)
class RegressionTable:
    """Per-unit sums of one system, shape (units, 5): rows, y, y², |error|, error², with y counted from the origin.

    ``groups`` (units, 3, groups) holds rows and the sums of predictions and targets by group of the prediction.
    """

    sums: Float
    groups: Float

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units); R² is NaN where the target does not vary."""
        rows, target, squares, sizes, errors = (weights @ self.sums).T
        spread = squares - target**2 / rows
        unexplained = np.divide(errors, spread, out=np.full_like(errors, np.nan), where=spread > 1e-12 * squares)
        return {"mae": sizes / rows, "rmse": np.sqrt(errors / rows), "r2": 1 - unexplained}


@dataclass(frozen=True)
class RegressionTask:
    """Predicting a number that is coded on ``grid``."""

    grid: Grid

    def tabulate(self, units: Int, names: list[str], targets: Float, predictions: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition: targets, and errors by group of the prediction."""
        codes, predicted = self.grid.codes(targets), self.grid.codes(predictions)
        groups = np.clip(predicted // STEPS_PER_GROUP, -LAST_GROUP, LAST_GROUP) + LAST_GROUP
        views = [
            count_cells("target", units, names, np.zeros_like(codes), codes),
            count_cells("error", units, names, groups, predicted - codes),
            count_cells("prediction", units, names, groups, predicted),
        ]
        return pl.concat(views)

    def table(self, cells: pl.DataFrame, units: list[str]) -> RegressionTable:
        """Merged cells as sums."""
        n_groups, step = 2 * LAST_GROUP + 1, self.grid.step
        target_codes, targets = unit_counts(cells, "target", units, n_labels=1)
        error_codes, errors = unit_counts(cells, "error", units, n_labels=n_groups)
        prediction_codes, predictions = unit_counts(cells, "prediction", units, n_labels=n_groups)
        y, gaps, counts = target_codes * step, error_codes * step, errors.sum(axis=1)
        sums = [
            targets.sum(axis=(1, 2)),
            targets[:, 0] @ y,
            targets[:, 0] @ y**2,
            counts @ np.abs(gaps),
            counts @ gaps**2,
        ]
        rows = errors.sum(axis=2)
        predicted = predictions @ self.grid.values(prediction_codes)
        groups = np.stack([rows, predicted, predicted - errors @ gaps], axis=1)
        return RegressionTable(np.stack(sums, axis=1), groups)

    def exact(self, targets: Float, predictions: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves; R² is NaN where the target does not vary."""
        mean, sizes, squares, spread = float(targets.mean()), 0.0, 0.0, 0.0
        for rows in row_blocks(len(targets)):
            errors = predictions[rows].astype(np.float64) - targets[rows]
            sizes += float(np.abs(errors).sum())
            squares += float((errors**2).sum())
            spread += float(((targets[rows] - mean) ** 2).sum())
        return {
            "mae": sizes / len(targets),
            "rmse": float(np.sqrt(squares / len(targets))),
            "r2": 1 - squares / spread if spread > 0 else float("nan"),
        }
