"""What do the figures look like drawn, with the bands that resampling gives them?

Curves are read off at fixed places (a false positive rate, a recall), so that replicates can be compared point by
point and a plot is a hundred lines however many rows were scored.  Bands are pointwise percentile intervals over the
same weights as the metrics': runs of days make them as wide.  Where resampling sees too little there is none, or an
exact one of a share: see `evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import in_chunks
from stages.metrics.codes import sum_groups
from stages.metrics.evidence import MIN_UNITS, Share, why_too_few, without_flat

if TYPE_CHECKING:
    from stages.metrics.probabilities import ScoreTable

Float = NDArray[np.float64]
FALSE_POSITIVE_RATES = np.arange(101) / 100
RECALLS = np.arange(1, 101) / 100
COLUMNS = {
    "roc": ("false_positive_rate", "true_positive_rate", "low", "high", "baseline"),
    "precision_recall": ("recall", "precision", "low", "high", "baseline"),
    "calibration": ("predicted", "observed", "low", "high", "perfect", "rows"),
    "residuals": ("predicted", "residual", "low", "high", "tenth", "ninetieth", "rows"),
    "confusion": ("actual", "predicted", "rows", "share_of_actual", "low", "high"),
    "intervals": (
        "metric", "direction", "value", "low", "high", "baseline", "baseline_low", "baseline_high",
        "difference", "difference_low", "difference_high",
    ),
    "per_class": (
        "class", "rows", "precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high",
        "f1", "f1_low", "f1_high",
    ),
}  # fmt: skip
"""The small tables that a person looks at after an evaluation: the same for every task, so that the pipeline can list
them; one that has no meaning for a task (a ROC curve of a regression) has its columns and no rows."""
MIN_GROUP_ROWS = 10
"""A group of a calibration curve with fewer rows is left out."""
ReadOff = Callable[[Float, Float], Float]
"""Counts of negatives and positives by code, each (codes,), in; the curve at its fixed places out."""


def roc_curve(
    model: Sequence[ScoreTable], baseline: Sequence[ScoreTable], weights: Float, level: float, block: int
) -> pl.DataFrame:
    """True by false positive rate; several tables (classes against the rest) are averaged."""
    curves = _curves("true_positive_rate", roc_points, model, baseline, weights, level, block)
    if np.isfinite(curves["low"][-2]):
        curves["low"][-1] = curves["high"][-1] = 1.0  # whoever flags every row finds every positive
    return pl.DataFrame({"false_positive_rate": FALSE_POSITIVE_RATES, **curves}).fill_nan(None)


def precision_recall_curve(
    model: Sequence[ScoreTable], baseline: Sequence[ScoreTable], weights: Float, level: float, block: int
) -> pl.DataFrame:
    """Precision by recall; several tables (classes against the rest) are averaged."""
    curves = _curves("precision", precision_points, model, baseline, weights, level, block)
    return pl.DataFrame({"recall": RECALLS, **curves}).fill_nan(None)


def roc_points(negatives: Float, positives: Float) -> Float:
    """True positive rates at the fixed false positive rates, straight lines in between; NaN without both classes."""
    if negatives.sum() == 0 or positives.sum() == 0:
        return np.full(len(FALSE_POSITIVE_RATES), np.nan)
    false_alarms = np.concatenate([[0.0], np.cumsum(negatives[::-1])])
    hits = np.concatenate([[0.0], np.cumsum(positives[::-1])])
    points: Float = np.interp(FALSE_POSITIVE_RATES, false_alarms / false_alarms[-1], hits / hits[-1])
    return points


def precision_points(negatives: Float, positives: Float) -> Float:
    """Precision at the first threshold, from above, that reaches each fixed recall; NaN without positives."""
    hits = np.cumsum(positives[::-1])
    if hits[-1] == 0:
        return np.full(len(RECALLS), np.nan)
    reached = np.searchsorted(hits, RECALLS * hits[-1] * (1 - 1e-12), side="left")
    flagged = hits + np.cumsum(negatives[::-1])
    precision: Float = hits[reached] / flagged[reached]
    return precision


def _curves(
    name: str,
    read_off: ReadOff,
    model: Sequence[ScoreTable],
    baseline: Sequence[ScoreTable],
    weights: Float,
    level: float,
    block: int,
) -> dict[str, Float]:
    ones = np.ones((1, weights.shape[1]))
    low, high = without_flat(*band(_replicated_curve(read_off, model, weights), level))
    if any(why_too_few(table.rows, block, every_class=True) for table in model):
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    return {
        name: _replicated_curve(read_off, model, ones)[0],
        "low": low,
        "high": high,
        "baseline": _replicated_curve(read_off, baseline, ones)[0],
    }


def _replicated_curve(read_off: ReadOff, tables: Sequence[ScoreTable], weights: Float) -> Float:
    curves = [np.concatenate([_read_chunk(read_off, table, chunk) for chunk in in_chunks(weights)]) for table in tables]
    mean: Float = np.mean(curves, axis=0)
    return mean


def _read_chunk(read_off: ReadOff, table: ScoreTable, weights: Float) -> Float:
    counts = zip(*table.resample(weights), strict=True)
    return np.array([read_off(negatives, positives) for negatives, positives in counts])


def calibration_curve(table: ScoreTable, weights: Float, level: float, block: int) -> pl.DataFrame:
    """Observed share by mean probability in ten groups of equal width; see `MIN_GROUP_ROWS`."""

    def observed(chosen: Float) -> tuple[Float, Float, Float]:
        negatives, positives = table.resample(chosen)
        rows = sum_groups(negatives + positives, table.probabilities)
        predicted = sum_groups((negatives + positives) * table.probabilities, table.probabilities)
        return rows, predicted, sum_groups(positives, table.probabilities)

    rows, predicted, positives = observed(np.ones((1, weights.shape[1])))
    drawn = [observed(chunk) for chunk in in_chunks(weights)]
    drawn_rows, drawn_positives = (np.concatenate([chunk[k] for chunk in drawn]) for k in (0, 2))
    counts = [sum_groups(table.counts[:, label], table.probabilities) for label in (0, 1)]
    share = Share(counts[1], counts[0] + counts[1])
    low, high = share_band(share, means(drawn_positives, drawn_rows), level, block)
    return calibrated_groups(rows, predicted, positives, low, high)


def calibrated_groups(rows: Float, predicted: Float, observed: Float, low: Float, high: Float) -> pl.DataFrame:
    """Means by group from sums ``rows``, ``predicted``, ``observed`` (1, groups), with their intervals (groups,)."""
    filled = np.flatnonzero(rows[0] >= MIN_GROUP_ROWS)
    low, high = low[filled], high[filled]
    mean = predicted[0, filled] / rows[0, filled]
    return pl.DataFrame(
        {
            "predicted": mean,
            "observed": observed[0, filled] / rows[0, filled],
            "low": low,
            "high": high,
            "perfect": mean,
            "rows": rows[0, filled].astype(np.int64),
        }
    ).fill_nan(None)


def means(sums: Float, rows: Float) -> Float:
    """Sums by rows; NaN where there are none."""
    found: Float = np.divide(sums, rows, out=np.full_like(sums, np.nan), where=rows > 0)
    return found


def band(replicates: Float, level: float) -> tuple[Float, Float]:
    """Percentile interval of every column over the replicates in which it is defined; NaN where it never is."""
    ends = np.full((2, replicates.shape[1]), np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for place, column in enumerate(replicates.T):
        defined = column[np.isfinite(column)]
        if len(defined):
            ends[:, place] = np.quantile(defined, tails)
    return ends[0], ends[1]


def share_band(share: Share, replicates: Float, level: float, block: int) -> tuple[Float, Float]:
    """The interval of every column of a share: over its replicates (R, columns), or the exact one where they fail."""
    low, high = band(replicates, level)
    exact_low, exact_high = share.exact_ends(level)
    rare = share.is_rare(block)
    return np.where(rare, exact_low, low), np.where(rare, exact_high, high)


def mean_band(rows: Float, replicates: Float, level: float) -> tuple[Float, Float]:
    """The interval of every column of means of ``rows`` (units, columns); NaN where it would rest on too few units."""
    low, high = without_flat(*band(replicates, level))
    few = np.count_nonzero(rows, axis=0) < MIN_UNITS
    return np.where(few, np.nan, low), np.where(few, np.nan, high)


def draw_plots(own: Mapping[str, pl.DataFrame], results: Mapping[str, Mapping[str, Any]]) -> dict[str, pl.DataFrame]:
    """Every table by the name of its file: those of a task, the intervals, and without rows what the task lacks."""
    drawn = {name: pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64)) for name, columns in COLUMNS.items()}
    return drawn | {"intervals": interval_table(results)} | dict(own)


def interval_table(results: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """One row a metric."""
    columns = COLUMNS["intervals"][1:]
    return pl.DataFrame(
        [{"metric": name} | {column: result[column] for column in columns} for name, result in results.items()]
    )
