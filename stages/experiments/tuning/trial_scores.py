"""How good is one trial of a search, by the metric that the search was asked to improve?

The metrics are those of the evaluation, on other rows.  A decision's threshold is chosen on the rows on which boosting
was stopped; without folds they are the rows that are judged as well, as the present parameters are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages.metrics.binary import BinaryTask
from stages.metrics.codes import Grid, code_probabilities
from stages.metrics.multiclass import MulticlassTask
from stages.metrics.regression import RegressionTask
from stages.metrics.stored import METRICS, Task
from stages.metrics.thresholds import choose_threshold, count_codes

LOSS = "loss"
"""What boosting stops on, under the name that the evaluation has for it."""
LOSSES = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class ScoredRows:
    """Labels and scores of the same rows."""

    labels: NDArray[Any]
    scores: NDArray[np.float32]


def metrics_to_search(task: str) -> list[str]:
    """What a search can improve; descriptive metrics are too biased for that."""
    return [LOSS, *(name for name, metric in METRICS[task].items() if not metric.descriptive)]


def direction_of(metric: str, task: str) -> Literal["minimize", "maximize"]:
    """Which way is better."""
    return "maximize" if metric != LOSS and METRICS[task][metric].direction == "higher" else "minimize"


def score_trial(
    metric: str, task: str, n_classes: int, stopped: ScoredRows, judged: ScoredRows, costs: Mapping[str, float]
) -> float:
    """The metric on the rows ``judged``; NaN where they leave it undefined."""
    name = LOSSES[task] if metric == LOSS else metric
    if task == "regression":
        number = RegressionTask(Grid(0.0, 1.0))  # the exact metrics need no grid
        return number.exact(judged.labels.astype(np.float64), judged.scores)[name]
    chosen: Task = MulticlassTask(n_classes)
    if task == "binary":
        counts = count_codes(stopped.labels.astype(np.int64), code_probabilities(stopped.scores))
        chosen = BinaryTask(choose_threshold(counts, **costs), **costs)
    return chosen.exact(judged.labels.astype(np.int64), judged.scores)[name]
