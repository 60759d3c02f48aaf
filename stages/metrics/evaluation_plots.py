"""Which small tables does a person look at after an evaluation?

The same six for every task, so that the pipeline can list them; a table that has no meaning for a task (a ROC curve of
a regression) has its columns and no rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from stages.metrics.binary import BinaryTable
from stages.metrics.bootstrap import Float
from stages.metrics.contract import Tabulated
from stages.metrics.curves import (
    calibration_curve,
    class_table,
    confusion_table,
    precision_recall_curve,
    regression_calibration_curve,
    roc_curve,
)
from stages.metrics.multiclass import MulticlassTable
from stages.metrics.regression import RegressionTable

COLUMNS = {
    "roc": ("false_positive_rate", "true_positive_rate", "low", "high", "baseline"),
    "precision_recall": ("recall", "precision", "low", "high", "baseline"),
    "calibration": ("predicted", "observed", "low", "high", "perfect", "rows"),
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


def draw_plots(
    model: Tabulated, baseline: Tabulated, results: Mapping[str, Mapping[str, Any]], classes: Sequence[str],
    weights: Float, level: float,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Every table by the name of its file."""
    drawn = {name: pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64)) for name, columns in COLUMNS.items()}
    drawn["intervals"] = interval_table(results)
    if isinstance(model, BinaryTable | MulticlassTable) and isinstance(baseline, BinaryTable | MulticlassTable):
        drawn["roc"] = roc_curve(model.ranked, baseline.ranked, weights, level)
        drawn["precision_recall"] = precision_recall_curve(model.ranked, baseline.ranked, weights, level)
        drawn["calibration"] = calibration_curve(model.calibrated, weights, level)
        drawn["confusion"] = confusion_table(model.confusion, classes, weights, level)
        drawn["per_class"] = class_table(model.confusion, classes, weights, level)
    if isinstance(model, RegressionTable):
        drawn["calibration"] = regression_calibration_curve(model, weights, level)
    return drawn


def interval_table(results: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """One row a metric."""
    columns = COLUMNS["intervals"][1:]
    return pl.DataFrame(
        [{"metric": name} | {column: result[column] for column in columns} for name, result in results.items()]
    )
