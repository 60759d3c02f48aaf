"""How often do the intervals of the other stages hold the truth?  ``python -m benchmarks.study_other_intervals``.

Simulated as in `benchmarks.study_intervals`: a group's share on the page on the data, a feature's mean effect, the
verdict on a change that is none, a figure over folds, a feature's relevance in 243 days of training.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import foldnorm

from benchmarks.alike_systems import Float, correlated
from benchmarks.study_intervals import (
    BLOCK,
    CORRELATION,
    DAYS,
    LEVEL,
    REPLICATES,
    ROWS,
    SEED,
    Ends,
    Flights,
    ends_of,
    names,
    note,
    tell,
)
from stages.experiments.folds.pooled import FoldScores, draw_within, pool
from stages.exploration.columns import group_means
from stages.features.contingency import Tally, clustered_bias, entropy, mutual_information
from stages.features.selection import measure_resamples
from stages.metrics.binary import BINARY, BinaryDecision
from stages.metrics.bootstrap import draw_weights, replicate
from stages.metrics.contract import Metric, System
from stages.metrics.paired import Difference, compare_trained
from stages.metrics.systems import interval_around
from stages.results.effects import Sample, mean_effects

TRAINING_DAYS = 243


def elsewhere(trials: int) -> dict[str, list[bool]]:
    """Intervals that other stages make: page on the data, selection, effects, folds, trainings."""
    rng, held = np.random.default_rng(SEED), defaultdict[str, list[bool]](list)
    many, shares = Flights.draw(rng, 10_000), bins_and_target(rng, 10_000).sum(axis=0)[None]
    log_loss = BinaryDecision(900, 3.0, 1.0).exact(many.labels, many.scores["model"])["log_loss"]
    relevance = float(mutual_information(shares)[0] / entropy(shares.sum(axis=1))[0])
    size = float(foldnorm.mean(1 / np.sqrt(1.25), scale=np.sqrt(1.25)))  # the mean of |x|
    luck = correlated(rng, 3 * trials, DAYS, CORRELATION).reshape(3, trials, DAYS)
    for trial in range(trials):
        weights = draw_weights(DAYS, REPLICATES, trial, BLOCK)
        shared = np.sqrt(0.3) * luck[0, trial][:, None]
        late = shared + np.sqrt(0.7) * rng.normal(size=(DAYS, ROWS)) > NormalDist().inv_cdf(0.8)
        table = np.stack([(~late).sum(axis=1), late.sum(axis=1)], axis=1)[:, None, :].astype(np.float64)
        _, _, low, high = group_means(table, is_regression=False, class_code=1, level=LEVEL, run=BLOCK)
        note(held, "page on the data: share of a group, Wilson over runs", (low[0], high[0]), 0.2)
        values = (1 + 0.5 * luck[1, trial][:, None] + rng.normal(size=(DAYS, ROWS))).ravel()
        sample = Sample(values[:, None, None].astype(np.float32), pl.DataFrame({"x": values}),
                        np.repeat(np.arange(DAYS), ROWS), DAYS)  # fmt: skip
        (effect,) = mean_effects(sample, weights, LEVEL)
        note(held, "effect of a feature: mean size, percentile", (effect.low, effect.high), size)
        for k in (3, 5):
            gap = trained(rng, luck[2, trial], k, weights)
            note(held, f"change, {k} and {k} trainings: t over days and trainings", ends_of(gap), 0.0)
        note(held, "folds: log_loss, 5 of 52 days, percentile", folds_ends(rng, trial), log_loss)
        ends = relevance_ends(rng, trial)
        note(held, f"relevance of a feature, {TRAINING_DAYS} days: percentile, days one by one", ends, relevance)
    return held


@dataclass(frozen=True)
class Mean:
    """A metric that is the mean of a number a day."""

    values: Float
    shares = MappingProxyType({})

    @property
    def counts(self) -> Float:
        return np.full((len(self.values), 1), float(ROWS))

    def measure(self, weights: Float) -> dict[str, Float]:
        return {"score": weights @ self.values / weights.sum(axis=1)}


def trained(rng: np.random.Generator, days: Float, k: int, weights: Float) -> Difference:
    """A change that is none: trainings move all days, and a system has its good and bad days."""
    sides = []
    for sign in (0.5, -0.5):
        moved = [sign * days + 0.3 * rng.normal() + 0.1 * rng.normal(size=DAYS) for _ in range(k)]
        sides.append([System(Mean(each), {"score": float(each.mean())}) for each in moved])
    return compare_trained(*sides, {"score": Metric("higher", floor=-9.0)}, weights, level=LEVEL, block=BLOCK)["score"]


def folds_ends(rng: np.random.Generator, trial: int) -> Ends:
    """Log-loss over five folds of 52 days."""
    days, folds = 52, []
    for number in range(5):
        rows = Flights.draw(rng, days)
        unit = [f"{number}:{name}" for name in names(days)]
        decision = BinaryDecision(900, 3.0, 1.0)
        cells = decision.tabulate(rows.days, unit, rows.labels, rows.scores["model"])
        folds.append(FoldScores.of(decision, cells, unit, rows.labels, rows.scores["model"]))
    system = pool(folds, BINARY.metrics)
    weights = draw_within([days] * 5, REPLICATES, [5 * trial + number for number in range(5)], BLOCK)
    drawn, value = replicate(system.table.measure, weights)["log_loss"], system.exact["log_loss"]
    around = interval_around(
        system.table, "log_loss", BINARY.metrics["log_loss"], drawn, value, value, method="percentile", level=LEVEL,
        block=BLOCK,
    )  # fmt: skip
    return around.low, around.high


def bins_and_target(rng: np.random.Generator, days: int) -> NDArray[np.int64]:
    """Rows by day, bin of a feature (the last one holds what is missing) and target."""
    luck = correlated(rng, 1, days, CORRELATION)[0]
    signal = rng.normal(size=(days, ROWS))
    late = 0.8 * signal - 1 + 0.7 * luck[:, None] > rng.logistic(size=signal.shape)
    code = np.clip(np.digitize(signal, np.linspace(-1.5, 1.5, 9)), 0, 9)
    cell = (np.arange(days)[:, None] * 11 + code) * 2 + late
    return np.bincount(cell.ravel(), minlength=days * 22).reshape(days, 11, 2)


def relevance_ends(rng: np.random.Generator, trial: int) -> Ends:
    """The interval of a feature's relevance, days drawn one by one as `select_features` draws them."""
    table = bins_and_target(rng, TRAINING_DAYS)
    tally = Tally(np.arange(TRAINING_DAYS), (table,), np.zeros((0, 1, 1), np.int64))
    bias = np.array([clustered_bias(table)])
    drawn = measure_resamples(tally, bias, REPLICATES, np.random.default_rng(trial))
    low, high = np.quantile([float(each.relevance[0]) for each in drawn], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


if __name__ == "__main__":
    tell([lambda: elsewhere(int(sys.argv[1]) if len(sys.argv) > 1 else 300)])
