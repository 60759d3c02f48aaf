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

from stages.metrics.contract import Terms
from stages.metrics.stored import task_named

LOSS = "loss"
"""What boosting stops on, under the name that the evaluation has for it."""


@dataclass(frozen=True)
class ScoredRows:
    """Labels and scores of the same rows."""

    labels: NDArray[Any]
    scores: NDArray[np.float32]


def metrics_to_search(task: str) -> list[str]:
    """What a search can improve; descriptive metrics are too biased for that."""
    return [LOSS, *(name for name, metric in task_named(task).metrics.items() if not metric.descriptive)]


def direction_of(metric: str, task: str) -> Literal["minimize", "maximize"]:
    """Which way is better."""
    return "maximize" if metric != LOSS and task_named(task).metrics[metric].direction == "higher" else "minimize"


def score_trial(
    metric: str, task: str, n_classes: int, stopped: ScoredRows, judged: ScoredRows, costs: Mapping[str, float]
) -> float:
    """The metric on the rows ``judged``; NaN where they leave it undefined."""
    asked = task_named(task)
    counts = asked.count(stopped.labels.astype(asked.label_type), stopped.scores)
    decision = asked.decide(counts, Terms(n_classes, **costs))
    name = asked.loss if metric == LOSS else metric
    return decision.exact(judged.labels.astype(asked.label_type), judged.scores)[name]
