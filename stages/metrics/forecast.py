"""How far off are forecasts, do their intervals hold what they promise, and do they beat the best naive forecast?

Every metric is a ratio of sums over rows, so sums by unit are all that a replicate needs.  They are kept in fixed
point, in steps of 2⁻²⁰, so that they add up to the same whole numbers wherever the rows are cut into partitions.

MAE, RMSE, pinball loss and width are in the unit of the target.  MASE is the mean of errors over the scale of their
series (`models.forecasts`); sMAPE the mean of 200 |f - y| / (|f| + |y|) in percent, of levels, not of changes; pinball
the mean over the three quantiles of max(α e, (α - 1) e); coverage the share of outcomes within the 80 % interval; skill
one less the MAE's ratio to that of the best naive forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.codes import Grid, row_blocks
from stages.metrics.contract import Metric, Tabulated, Task
from stages.metrics.curves import mean_band, means
from stages.metrics.evidence import Share
from stages.metrics.resampling import count_cells, sum_cells, unit_counts
from stages.models.forecasts import HIGH, LEVEL, LEVEL_NOW, LOW, MADE_AT, MEDIAN, NAIVE, POINT, QUANTILES, SCALE, TASK

Float = NDArray[np.float64]
Int = NDArray[np.int64]

METRICS = {
    "mae": Metric("lower", in_target_unit=True),
    "rmse": Metric("lower", in_target_unit=True),
    "mase": Metric("lower"),
    "smape": Metric("lower", ceiling=200.0),
    "pinball": Metric("lower", in_target_unit=True),
    "coverage": Metric("higher", ceiling=1.0, descriptive=True),
    "width": Metric("lower", in_target_unit=True, descriptive=True),
    "skill": Metric("higher", floor=float("-inf"), ceiling=1.0, over_folds="mean"),
}
ONE = float(1 << 20)
ROWS, ABSOLUTE, SQUARED, SCALED, SYMMETRIC, PINBALL, COVERED, WIDTH, NAIVE_ABSOLUTE, BELOW = range(9 + 1)
N_SUMS = BELOW + len(QUANTILES)  # the last: outcomes at or below each quantile


def sums_of_rows(targets: Float, scores: NDArray[np.float32]) -> Float:
    """What is added up, of each row: (rows, N_SUMS)."""
    found = scores.astype(np.float64)
    error, level = found[:, POINT] - targets, found[:, LEVEL]
    bands = found[:, [LOW, MEDIAN, HIGH]]
    lacking = targets[:, None] - bands
    quantiles = np.array(QUANTILES)
    pinball = np.maximum(quantiles * lacking, (quantiles - 1) * lacking).mean(axis=1)
    sizes = np.abs(level + found[:, POINT]) + np.abs(level + targets)
    symmetric = np.divide(200 * np.abs(error), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    scaled = np.divide(np.abs(error), found[:, SCALE], out=np.zeros_like(sizes), where=found[:, SCALE] > 0)
    columns = [
        np.ones(len(targets)), np.abs(error), error**2, scaled, symmetric, pinball,
        (lacking[:, 0] >= 0) & (lacking[:, -1] <= 0), bands[:, -1] - bands[:, 0], np.abs(found[:, NAIVE] - targets),
        *(lacking <= 0).T,
    ]  # fmt: skip
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def metrics_of_sums(sums: Float) -> dict[str, Float]:
    """Every metric (R,) of sums (R, N_SUMS); skill is NaN where the naive forecast is never off."""
    rows, naive = sums[:, ROWS], sums[:, NAIVE_ABSOLUTE]
    ratio = np.divide(sums[:, ABSOLUTE], naive, out=np.full_like(naive, np.nan), where=naive > 0)
    return {
        "mae": sums[:, ABSOLUTE] / rows,
        "rmse": np.sqrt(sums[:, SQUARED] / rows),
        "mase": sums[:, SCALED] / rows,
        "smape": sums[:, SYMMETRIC] / rows,
        "pinball": sums[:, PINBALL] / rows,
        "coverage": sums[:, COVERED] / rows,
        "width": sums[:, WIDTH] / rows,
        "skill": 1 - ratio,
    }


@dataclass(frozen=True)
class ForecastTable:
    """Per-unit sums of one system, (units, N_SUMS)."""

    sums: Float

    @property
    def counts(self) -> Float:
        """Rows by unit, (units, 1)."""
        return self.sums[:, :1]

    @property
    def shares(self) -> dict[str, Share]:
        """The share of outcomes that lie within their interval."""
        return {"coverage": Share(self.sums[:, COVERED], self.sums[:, ROWS])}

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units)."""
        return metrics_of_sums(weights @ self.sums)


@dataclass(frozen=True)
class ForecastDecision:
    """Forecasting a change; outcomes are known again by their codes on ``grid``."""

    grid: Grid
    threshold = None

    def tabulate(self, units: Int, names: list[str], targets: Float, scores: NDArray[np.float32]) -> pl.DataFrame:
        """The cells of one partition."""
        sums = np.zeros((len(names), N_SUMS))
        np.add.at(sums, units, sums_of_rows(targets, scores))
        codes = self.grid.codes(targets)
        outcomes = count_cells("target", units, names, np.zeros_like(codes), codes)
        return pl.concat([outcomes, sum_cells("sums", names, np.rint(sums * ONE).astype(np.int64))])

    def coarsened(self, cells: pl.DataFrame) -> pl.DataFrame:
        """The sums alone: which rows there are, the whole tells."""
        return cells.filter(pl.col("view") == "sums")

    def table(self, cells: pl.DataFrame, units: list[str]) -> ForecastTable:
        """Merged cells as sums."""
        codes, counts = unit_counts(cells, "sums", units, n_labels=1)
        sums = np.zeros((len(units), N_SUMS))
        sums[:, codes] = counts[:, 0] / ONE
        return ForecastTable(sums)

    def exact(self, targets: Float, scores: NDArray[np.float32]) -> dict[str, float]:
        """Every metric on the rows themselves."""
        sums = sum(sums_of_rows(targets[rows], scores[rows]).sum(axis=0) for rows in row_blocks(len(targets)))
        return {name: float(value[0]) for name, value in metrics_of_sums(np.atleast_2d(sums)).items()}

    def outcomes(self, _table: Tabulated, _weights: Float) -> Float | None:
        """No threshold decides."""
        return None

    def outcome_metrics(self, _outcomes: Float) -> dict[str, Float]:
        """Of nothing."""
        return {}


def draw_plots(
    model: ForecastTable, _baseline: ForecastTable, _classes: Sequence[str], weights: Float, level: float, _block: int
) -> dict[str, pl.DataFrame]:
    """Calibration: the share of outcomes at or below each quantile, by the share that is said."""
    rows, below = model.sums[:, [ROWS]], model.sums[:, BELOW:]
    drawn = means(weights @ below, weights @ rows)
    low, high = mean_band(np.repeat(rows, len(QUANTILES), axis=1), drawn, level)
    observed = below.sum(axis=0) / rows.sum()
    count = np.full(len(QUANTILES), round(rows.sum()), np.int64)
    columns = {"predicted": QUANTILES, "observed": observed, "low": low, "high": high, "perfect": QUANTILES}
    return {"calibration": pl.DataFrame({**columns, "rows": count}).fill_nan(None)}


NAMES = ("forecast", "low", "median", "high", "naive")
FORECAST = Task(
    name=TASK,
    metrics=METRICS,
    loss="mae",
    shown=("mae", "skill", "pinball", "coverage"),
    classes=(0, 0),
    known_by=("target", "code"),
    decide=lambda _counts, terms: ForecastDecision(Grid.around(terms.target_mean, terms.target_spread)),
    unpack=lambda decides: ForecastDecision(Grid(**decides["grid"])),
    of_signature=lambda _signature, terms: ForecastDecision(Grid.around(terms.target_mean, terms.target_spread)),
    name_scores=lambda scores, _signature: pl.DataFrame({name: scores[:, k] for k, name in enumerate(NAMES)}),
    name_row=lambda scores, _signature: dict(zip(NAMES, scores[0].tolist(), strict=False)),
    draw=draw_plots,
    scored="forecast",
    along=(MADE_AT, LEVEL_NOW),
)
