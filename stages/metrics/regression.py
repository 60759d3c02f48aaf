"""How far off are predicted numbers?

MAE, RMSE and R² are sums over rows of the target, its square, the error's size and its square: per-unit sums of coded
targets and errors are all that a replicate needs.  Codes are steps of 1/64 of the training target's spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import Grid, row_blocks
from stages.metrics.contract import Metric, Tabulated, Task
from stages.metrics.curves import MIN_GROUP_ROWS, calibrated_groups, mean_band, means
from stages.metrics.evidence import Share
from stages.metrics.resampling import count_cells, unit_counts

Float = NDArray[np.float64]
Int = NDArray[np.int64]

METRICS = {
    "mae": Metric("lower", in_target_unit=True),
    "rmse": Metric("lower", in_target_unit=True),
    "r2": Metric("higher", floor=float("-inf"), ceiling=1.0, over_folds="mean"),
}
STEPS_PER_GROUP = Grid.STEPS_PER_SPREAD // 2  # predictions are grouped by half spreads for the curves
LAST_GROUP = 6


@dataclass(frozen=True)
class RegressionTable:
    """Per-unit sums of one system, shape (units, 5): rows, y, y², |error|, error², with y counted from the origin.

    ``groups`` (units, 3, groups) holds rows and the sums of predictions and targets by group of the prediction;
    ``residuals`` (residuals,) ascend, and ``residual_rows`` (groups, residuals) are the rows with each of them.
    """

    sums: Float
    groups: Float
    residuals: Float
    residual_rows: Float

    @property
    def counts(self) -> Float:
        """Rows by unit, (units, 1)."""
        return self.sums[:, :1]

    @property
    def shares(self) -> dict[str, Share]:
        """None: its metrics are sums of numbers."""
        return {}

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units); R² is NaN where the target does not vary."""
        rows, target, squares, sizes, errors = (weights @ self.sums).T
        spread = squares - target**2 / rows
        unexplained = np.divide(errors, spread, out=np.full_like(errors, np.nan), where=spread > 1e-12 * squares)
        return {"mae": sizes / rows, "rmse": np.sqrt(errors / rows), "r2": 1 - unexplained}


@dataclass(frozen=True)
class RegressionDecision:
    """Predicting a number that is coded on ``grid``."""

    grid: Grid
    threshold = None

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

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The cells as they are: errors would be no exact sums any more."""
        return cells

    def table(self, cells: pl.DataFrame, units: list[str]) -> RegressionTable:
        """Merged cells as sums."""
        n_groups, step = 2 * LAST_GROUP + 1, self.grid.step
        target_codes, targets = unit_counts(cells, "target", units, n_labels=1)
        error_codes, errors = unit_counts(cells, "error", units, n_labels=n_groups)
        prediction_codes, predictions = unit_counts(cells, "prediction", units, n_labels=n_groups)
        y, counts = target_codes * step, errors.sum(axis=1)
        gaps = np.asarray(error_codes * step, np.float64)
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
        by_group = errors.sum(axis=0)[:, ::-1]  # what is left of the target is minus the error
        return RegressionTable(np.stack(sums, axis=1), groups, -gaps[::-1], by_group)

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

    def outcomes(self, _table: Tabulated) -> Float | None:
        """No threshold decides."""
        return None

    def outcome_metrics(self, _outcomes: Float) -> dict[str, Float]:
        """Of nothing."""
        return {}


def calibration_curve(table: RegressionTable, weights: Float, level: float) -> pl.DataFrame:
    """Mean target by mean prediction in groups half a spread wide; see `MIN_GROUP_ROWS`."""
    whole = table.groups.sum(axis=0)
    drawn = np.einsum("ru,ukg->rkg", weights, table.groups)
    low, high = mean_band(table.groups[:, 0], means(drawn[:, 2], drawn[:, 0]), level)
    return calibrated_groups(whole[:1], whole[1:2], whole[2:], low, high)


def residual_curve(table: RegressionTable, weights: Float, level: float) -> pl.DataFrame:
    """Target less prediction in the same groups: the mean with its interval, and where the middle 80 % of rows lie.

    ``tenth`` and ``ninetieth`` are quantiles of single rows (the smallest residual that so many rows do not exceed), to
    a step of the grid: they do not narrow as rows grow.
    """
    rows, predicted, target = table.groups.sum(axis=0)
    filled = np.flatnonzero(rows >= MIN_GROUP_ROWS)
    drawn = np.einsum("ru,ukg->rkg", weights, table.groups)  # (R, 3, groups)
    drawn_means = means(drawn[:, 2] - drawn[:, 1], drawn[:, 0])
    low, high = mean_band(table.groups[:, 0, filled], drawn_means[:, filled], level)
    below = np.cumsum(table.residual_rows[filled], axis=1) / rows[filled, None]
    tenth, ninetieth = (table.residuals[(below >= share - 1e-12).argmax(axis=1)] for share in (0.1, 0.9))
    return pl.DataFrame(
        {
            "predicted": predicted[filled] / rows[filled],
            "residual": (target - predicted)[filled] / rows[filled],
            "low": low,
            "high": high,
            "tenth": tenth,
            "ninetieth": ninetieth,
            "rows": rows[filled].astype(np.int64),
        }
    ).fill_nan(None)


def draw_plots(
    model: RegressionTable,
    _baseline: RegressionTable,
    _classes: Sequence[str],
    weights: Float,
    level: float,
    _block: int,
) -> dict[str, pl.DataFrame]:
    """Actual and what is left of it, by predicted."""
    return {
        "calibration": calibration_curve(model, weights, level),
        "residuals": residual_curve(model, weights, level),
    }


REGRESSION = Task(
    name="regression",
    metrics=METRICS,
    loss="rmse",
    shown=("mae", "rmse"),
    classes=(0, 0),
    known_by=("target", "code"),
    decide=lambda _counts, terms: RegressionDecision(Grid.around(terms.target_mean, terms.target_spread)),
    unpack=lambda decides: RegressionDecision(Grid(**decides["grid"])),
    of_signature=lambda _signature, terms: RegressionDecision(Grid.around(terms.target_mean, terms.target_spread)),
    name_scores=lambda scores, _signature: pl.DataFrame({"prediction": scores}),
    name_row=lambda scores, _signature: {"prediction": scores[0]},
    draw=draw_plots,
    scored="number",
)
