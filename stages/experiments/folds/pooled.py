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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import draw_both
from stages.metrics.contract import Decision, Metric, System, Tabulated
from stages.metrics.evidence import Share
from stages.metrics.resampling import merge_cells

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FoldScores:
    """One system on the test rows of one fold; ``rows`` by unit, in the order of ``units``.

    Where a threshold was chosen on ``n_valid`` units, ``redecide`` gives a table that chooses it anew in each resample.
    """

    decision: Decision
    cells: pl.DataFrame
    units: list[str]
    rows: Float
    labels: NDArray[Any]
    scores: NDArray[np.float32]
    n_valid: int = 0
    redecide: Callable[[Tabulated], Tabulated] = lambda table: table

    @classmethod
    def of(
        cls,
        decision: Decision,
        cells: pl.DataFrame,
        units: list[str],
        labels: NDArray[Any],
        scores: NDArray[np.float32],
        n_valid: int = 0,
        redecide: Callable[[Tabulated], Tabulated] = lambda table: table,
    ) -> FoldScores:
        """Rows by unit are those of any one view; all views hold every row once."""
        first = cells.filter(pl.col("view").cast(pl.String) == str(cells["view"][0]))
        by_unit = first.group_by(pl.col("unit").cast(pl.String)).agg(pl.col("n").sum())
        found = dict(by_unit.iter_rows())
        return cls(
            decision, cells, units, np.array([float(found[unit]) for unit in units]), labels, scores, n_valid, redecide
        )

    def system(self) -> System:
        """The fold by itself."""
        table = self.redecide(self.decision.table(self.cells, self.units))
        return System(table, self.decision.exact(self.labels, self.scores))


@dataclass(frozen=True)
class FoldedTable:
    """The tests of all folds, their units one after another; of the metrics ``within``, the mean over folds.

    Every fold decides at its own threshold, which ``n_valid`` units of its own have chosen where there is one.
    """

    pooled: Tabulated
    folds: Sequence[Tabulated]
    rows: Sequence[Float]
    n_valid: Sequence[int]
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
        """Every metric (R,) under weights (R, units of all folds), or as `draw_within` has them."""
        own = split_folds(weights, [len(rows) for rows in self.rows], self.n_valid)
        result = self.pooled.measure(weights[:, : sum(map(len, self.rows))]) | self.decided(own)
        found = [table.measure(drawn) for table, drawn in zip(self.folds, own, strict=True)]
        shares = np.stack([drawn[:, : len(rows)] @ rows for drawn, rows in zip(own, self.rows, strict=True)])
        return result | average([{name: fold[name] for name in self.within} for fold in found], shares)

    def decided(self, own: Sequence[Float]) -> dict[str, Float]:
        """Metrics of decisions under the weights of each fold; none where no threshold decides."""
        outcomes = [self.decision.outcomes(table, drawn) for table, drawn in zip(self.folds, own, strict=True)]
        known = [found for found in outcomes if found is not None]
        return self.decision.outcome_metrics(np.sum(known, axis=0)) if known else {}


def pool(folds: Sequence[FoldScores], metrics: Mapping[str, Metric]) -> System:
    """The tests of all folds as one system, by the ``metrics`` of its task; no unit may lie in two of them."""
    units = [unit for fold in folds for unit in fold.units]
    decision, systems = folds[0].decision, [fold.system() for fold in folds]
    names = [name for name, metric in metrics.items() if metric.over_folds == "mean"]
    cells = merge_cells([fold.cells for fold in folds])
    table = FoldedTable(
        decision.table(cells, units),
        [system.table for system in systems],
        [fold.rows for fold in folds],
        [fold.n_valid for fold in folds],
        decision,
        names,
    )
    exact = decision.exact(*(np.concatenate([getattr(fold, name) for fold in folds]) for name in ("labels", "scores")))
    decided = table.decided([np.ones((1, len(fold.units))) for fold in folds])
    exact |= {name: float(value[0]) for name, value in decided.items()}
    within = [{name: np.array([system.exact[name]]) for name in names} for system in systems]
    shares = np.array([[fold.rows.sum()] for fold in folds])
    return System(table, exact | {name: float(value[0]) for name, value in average(within, shares).items()})


def draw_within(
    n_units: Sequence[int], replicates: int, seeds: Sequence[int], block: int, n_valid: Sequence[int] = ()
) -> Float:
    """Weights (replicates, units of all folds): as many units of each fold as it has; then valid units, likewise."""
    valid = n_valid or [0] * len(n_units)
    drawn = [draw_both(n, v, replicates, seed, block) for n, v, seed in zip(n_units, valid, seeds, strict=True)]
    tests = [weights[:, :n] for n, weights in zip(n_units, drawn, strict=True)]
    return np.hstack([*tests, *(weights[:, n:] for n, weights in zip(n_units, drawn, strict=True))])


def split_folds(weights: Float, n_units: Sequence[int], n_valid: Sequence[int]) -> list[Float]:
    """The weights of each fold: of its units, and of its valid units where those were drawn as well."""
    own = np.split(weights[:, : sum(n_units)], np.cumsum(n_units)[:-1], axis=1)
    beside = weights[:, sum(n_units) :]
    if not beside.shape[1]:
        return own
    return [np.hstack(pair) for pair in zip(own, np.split(beside, np.cumsum(n_valid)[:-1], axis=1), strict=True)]


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
