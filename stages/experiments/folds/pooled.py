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

from stages.metrics.bootstrap import draw_weights
from stages.metrics.confusion import resample_confusion
from stages.metrics.contract import Decision, Metric, System, Tabulated
from stages.metrics.evidence import Share
from stages.metrics.resampling import merge_cells

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FoldScores:
    """One system on the test rows of one fold; ``rows`` by unit, in the order of ``units``."""

    decision: Decision
    cells: pl.DataFrame
    units: list[str]
    rows: Float
    labels: NDArray[Any]
    scores: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        decision: Decision,
        cells: pl.DataFrame,
        units: list[str],
        labels: NDArray[Any],
        scores: NDArray[np.float32],
    ) -> FoldScores:
        """Rows by unit are those of any one view; all views hold every row once."""
        first = cells.filter(pl.col("view").cast(pl.String) == str(cells["view"][0]))
        by_unit = first.group_by(pl.col("unit").cast(pl.String)).agg(pl.col("n").sum())
        found = dict(by_unit.iter_rows())
        return cls(decision, cells, units, np.array([float(found[unit]) for unit in units]), labels, scores)

    def system(self) -> System:
        """The fold by itself."""
        return System(self.decision.table(self.cells, self.units), self.decision.exact(self.labels, self.scores))


@dataclass(frozen=True)
class FoldedTable:
    """The tests of all folds, their units one after another; of the metrics ``within``, the mean over folds.

    ``decided`` are rows by unit, actual and decided class where every fold has a threshold of its own.
    """

    pooled: Tabulated
    folds: Sequence[Tabulated]
    rows: Sequence[Float]
    decided: Float | None
    decision: Decision
    within: Sequence[str]

    @property
    def counts(self) -> Float:
        """Rows by unit and class."""
        return self.pooled.counts

    @property
    def shares(self) -> dict[str, Share]:
        """The shares of all folds, each row decided at its own fold's threshold."""
        own = [table.shares for table in self.folds]
        return {
            name: Share(
                np.concatenate([shares[name].hits for shares in own]),
                np.concatenate([shares[name].rows for shares in own]), first.is_f1,
            )
            for name, first in own[0].items()
        }  # fmt: skip

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, units of all folds)."""
        result = self.pooled.measure(weights)
        if self.decided is not None:
            result |= self.decision.outcome_metrics(resample_confusion(self.decided, weights))
        own = np.split(weights, np.cumsum([len(rows) for rows in self.rows])[:-1], axis=1)
        found = [table.measure(drawn) for table, drawn in zip(self.folds, own, strict=True)]
        shares = np.stack([drawn @ rows for drawn, rows in zip(own, self.rows, strict=True)])
        return result | average([{name: fold[name] for name in self.within} for fold in found], shares)


def pool(folds: Sequence[FoldScores], metrics: Mapping[str, Metric]) -> System:
    """The tests of all folds as one system, by the ``metrics`` of its task; no unit may lie in two of them."""
    units = [unit for fold in folds for unit in fold.units]
    decision, systems = folds[0].decision, [fold.system() for fold in folds]
    names = [name for name, metric in metrics.items() if metric.over_folds == "mean"]
    own = [fold.decision.outcomes(system.table) for fold, system in zip(folds, systems, strict=True)]
    outcomes = [found for found in own if found is not None]
    decided = np.concatenate(outcomes) if outcomes else None
    cells = merge_cells([fold.cells for fold in folds])
    table = FoldedTable(
        decision.table(cells, units),
        [system.table for system in systems],
        [fold.rows for fold in folds],
        decided,
        decision,
        names,
    )
    exact = decision.exact(*(np.concatenate([getattr(fold, name) for fold in folds]) for name in ("labels", "scores")))
    if decided is not None:
        exact |= {name: float(value[0]) for name, value in decision.outcome_metrics(decided.sum(axis=0)[None]).items()}
    within = [{name: np.array([system.exact[name]]) for name in names} for system in systems]
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


def refuse_few_units(folds: Sequence[int], block: int, resampled: str) -> None:
    """Stop when a fold's test has too few units to draw from, ``folds`` being their numbers."""
    fewest = min(folds)
    if fewest < max(2, 2 * block):
        raise ValueError(
            f"{max(2, 2 * block)} or more units of {resampled} in the test of every fold, to draw runs of {block}",
            f"{fewest} in fold {folds.index(fewest) + 1}",
            "ask for fewer folds, or lower evaluate.block" if block > 1 else "ask for fewer folds",
        )
