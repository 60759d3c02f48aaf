"""What do the tests of several folds say together?

Every fold has a model of its own, and so a scale of scores and a threshold of its own.  What is a sum over rows is
pooled: log-loss, Brier score, calibration, and all that follows from the counts of right and wrong decisions, each row
decided at its own fold's threshold.  What ranks rows, or sets them against their own mean, is computed within each fold
and averaged, weighted by rows: pooled, it would compare scores of one model with those of another, which nobody ever
does (Forman & Scholz, "Apples-to-apples in cross-validation studies", SIGKDD Explorations 2010).

A replicate draws units within each fold, as many as it has.  So an interval tells how far the figures depend on which
days were met in the tests, given the fitted models; not how far they would move with other days to learn from (of which
no unbiased estimate exists: Bengio & Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation",
JMLR 2004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.binary import BinaryTable, BinaryTask, decision_scores
from stages.metrics.bootstrap import draw_weights
from stages.metrics.contract import System, Tabulated
from stages.metrics.multiclass import resample_confusion
from stages.metrics.resampling import merge_cells
from stages.metrics.stored import Task

Float = NDArray[np.float64]

WITHIN_FOLDS = ("roc_auc", "average_precision", "roc_auc_macro", "average_precision_macro", "r2")
"""Metrics that are averaged over folds; all others are pooled over rows."""


@dataclass(frozen=True)
class FoldScores:
    """One system on the test rows of one fold; ``rows`` by unit, in the order of ``units``."""

    task: Task
    cells: pl.DataFrame
    units: list[str]
    rows: Float
    labels: NDArray[Any]
    scores: NDArray[np.float32]

    @classmethod
    def of(
        cls, task: Task, cells: pl.DataFrame, units: list[str], labels: NDArray[Any], scores: NDArray[np.float32]
    ) -> FoldScores:
        """Rows by unit are those of any one view; all views hold every row once."""
        first = cells.filter(pl.col("view").cast(pl.String) == str(cells["view"][0]))
        by_unit = first.group_by(pl.col("unit").cast(pl.String)).agg(pl.col("n").sum())
        found = dict(by_unit.iter_rows())
        return cls(task, cells, units, np.array([float(found[unit]) for unit in units]), labels, scores)

    def system(self) -> System:
        """The fold by itself."""
        return System(self.task.table(self.cells, self.units), self.task.exact(self.labels, self.scores))


@dataclass(frozen=True)
class FoldedTable:
    """The tests of all folds, their units one after another; ``decided`` (units, 2, 2) where thresholds differ."""

    pooled: Tabulated
    folds: Sequence[Tabulated]
    rows: Sequence[Float]
    decided: Float | None
    costs: Mapping[str, float]

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units of all folds)."""
        result = self.pooled.measure(weights)
        if self.decided is not None:
            result |= decisions(resample_confusion(self.decided, weights), self.costs)
        own = np.split(weights, np.cumsum([len(rows) for rows in self.rows])[:-1], axis=1)
        found = [table.measure(drawn) for table, drawn in zip(self.folds, own, strict=True)]
        shares = np.stack([drawn @ rows for drawn, rows in zip(own, self.rows, strict=True)])
        return result | average([{name: fold[name] for name in WITHIN_FOLDS if name in fold} for fold in found], shares)


def pool(folds: Sequence[FoldScores]) -> System:
    """The tests of all folds as one system; no unit may lie in two of them."""
    units = [unit for fold in folds for unit in fold.units]
    task, systems = folds[0].task, [fold.system() for fold in folds]
    decided, costs = None, {}
    if isinstance(task, BinaryTask):
        decided = np.concatenate([confusion_of(system) for system in systems])
        costs = {"cost_of_miss": task.cost_of_miss, "cost_of_false_alarm": task.cost_of_false_alarm}
    cells = merge_cells([fold.cells for fold in folds])
    table = FoldedTable(
        task.table(cells, units), [system.table for system in systems], [fold.rows for fold in folds], decided, costs
    )
    exact = task.exact(*(np.concatenate([getattr(fold, name) for fold in folds]) for name in ("labels", "scores")))
    if decided is not None:
        exact |= {name: float(value[0]) for name, value in decisions(decided.sum(axis=0)[None], costs).items()}
    within = [{name: np.array([system.exact[name]]) for name in WITHIN_FOLDS if name in exact} for system in systems]
    shares = np.array([[fold.rows.sum()] for fold in folds])
    return System(table, exact | {name: float(value[0]) for name, value in average(within, shares).items()})


def draw_within(n_units: Sequence[int], replicates: int, seeds: Sequence[int], block: int) -> Float:
    """Weights (replicates, units of all folds): as many units of each fold as it has."""
    drawn = [draw_weights(n, replicates, seed, block) for n, seed in zip(n_units, seeds, strict=True)]
    return np.concatenate(drawn, axis=1)


def average(folds: Sequence[Mapping[str, Float]], rows: Float) -> dict[str, Float]:
    """The mean of every metric (R,) over folds, weighted by their ``rows`` (folds, R); NaN where one fold's is."""
    total = rows.sum(axis=0)
    return {
        name: np.sum([own * fold[name] for own, fold in zip(rows, folds, strict=True)], axis=0) / total
        for name in folds[0]
    }


def decisions(confusion: Float, costs: Mapping[str, float]) -> dict[str, Float]:
    """Metrics of yes-or-no decisions from confusion matrices (R, 2, 2)."""
    return decision_scores(
        confusion[:, 0, 0], confusion[:, 0, 1], confusion[:, 1, 0], confusion[:, 1, 1],
        cost_of_miss=costs["cost_of_miss"], cost_of_false_alarm=costs["cost_of_false_alarm"],
    )  # fmt: skip


def confusion_of(system: System) -> Float:
    """Rows by unit, actual and predicted class, at the system's own threshold."""
    table = system.table
    assert isinstance(table, BinaryTable)
    return table.confusion


def refuse_few_units(folds: Sequence[int], block: int, resampled: str) -> None:
    """Stop when a fold's test has too few units to draw from, ``folds`` being their numbers."""
    fewest = min(folds)
    if fewest < max(2, 2 * block):
        raise ValueError(
            f"{max(2, 2 * block)} or more units of {resampled} in the test of every fold, to draw runs of {block}",
            f"{fewest} in fold {folds.index(fewest) + 1}",
            "ask for fewer folds, or lower evaluate.block" if block > 1 else "ask for fewer folds",
        )
