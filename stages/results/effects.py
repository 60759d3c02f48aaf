"""What moves the model's answer?  SHAP values of a sample of rows, averaged, with intervals.

A SHAP value is the share of one feature in one row's raw score, in log-odds for classes and in the target's unit for
numbers; those of all features and the bias add up to the score (Lundberg et al., "From local explanations to global
understanding with explainable AI for trees", Nature Machine Intelligence 2, 2020).  A family that has
exact ones computes them itself (`Model.contributions`).
A feature's *effect* is the mean size of its values: it says what the fitted model uses, not what causes the outcome.

Intervals resample the same units as the metrics do, so days of one weather system stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import Float, in_chunks
from stages.metrics.curves import band

Int = NDArray[np.int64]
Float32 = NDArray[np.float32]

MOST_ROWS = 10_000
MOST_VALUES = 1 << 24  # 64 MiB of SHAP values


@dataclass(frozen=True)
class Effect:
    """Mean size of one feature's SHAP values over rows (and classes), with its share of all features' together.

    ``ahead`` says whether it is shown to be larger than the next one's: the interval of their difference is above 0.
    """

    name: str
    value: float
    low: float
    high: float
    share: float
    ahead: bool


@dataclass(frozen=True)
class Sample:
    """Sampled rows: SHAP ``values`` (rows, outputs, features), the ``inputs`` they belong to, and each row's unit."""

    values: Float32
    inputs: pl.DataFrame
    units: Int
    n_units: int

    @property
    def names(self) -> list[str]:
        """The features."""
        return self.inputs.columns


def sample_size(n_outputs: int, n_features: int) -> int:
    """How many rows may be sampled so that their SHAP values stay small."""
    return max(min(MOST_ROWS, MOST_VALUES // (n_outputs * (n_features + 1))), 1)


def sampled_places(first: int, count: int, total: int, size: int) -> Int:
    """Places, among ``count`` rows from position ``first`` of ``total``, of those in a sample of about ``size`` rows.

    A hash of the position (the finaliser of MurmurHash3) decides, so the sample is the same wherever rows are cut into
    partitions.
    """
    if total <= size:
        return np.arange(count, dtype=np.int64)
    mixed = np.arange(first, first + count, dtype=np.uint64) + np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51_AFD7_ED55_8CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CE_B9FE_1A85_EC53)
    mixed ^= mixed >> np.uint64(33)
    return np.flatnonzero(mixed < np.uint64(int(size / total * 2**64))).astype(np.int64)


def mean_effects(sample: Sample, weights: Float, level: float) -> list[Effect]:
    """Every feature's effect, largest first, with percentile intervals under weights (R, units)."""
    sizes = np.abs(sample.values).mean(axis=1, dtype=np.float64)
    sums, rows = sum_units(sizes, sample.units, sample.n_units), _rows(sample)
    whole = sums.sum(axis=0) / len(sizes)
    drawn = np.concatenate([weighted_means(chunk, sums, rows[:, None]) for chunk in in_chunks(weights)])
    low, high = band(drawn, level)
    total, order = float(whole.sum()) or 1.0, np.argsort(-whole, kind="stable")
    gaps, _ = band(drawn[:, order[:-1]] - drawn[:, order[1:]], level)
    ahead = [*(gap > 0 for gap in gaps.tolist()), False]
    return [
        Effect(sample.names[f], float(whole[f]), float(low[f]), float(high[f]), float(whole[f]) / total, ahead[k])
        for k, f in enumerate(order.tolist())
    ]


def sum_units(values: Float, units: Int, n_units: int) -> Float:
    """Sums of (rows, columns) by unit, shape (units, columns), always added up in the order of the rows."""
    return np.stack([np.bincount(units, weights=column, minlength=n_units) for column in values.T], axis=1)


def _rows(sample: Sample) -> Float:
    return np.bincount(sample.units, minlength=sample.n_units).astype(np.float64)


def weighted_means(weights: Float, sums: Float, rows: Float) -> Float:
    """Means (R, columns) from sums and rows (units, columns) under weights (R, units); NaN where nothing was drawn."""
    # einsum without BLAS: sums of fractions must not depend on the number of threads
    totals, counts = (np.einsum("ru,uk->rk", weights, table) for table in (sums, rows))
    means: Float = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return means


def outputs_of(sample: Sample, features: Sequence[str]) -> list[int]:
    """For each feature, the output (class) whose score it moves most."""
    places = [sample.names.index(name) for name in features]
    sizes = np.abs(sample.values[:, :, places]).mean(axis=0, dtype=np.float64)
    return [int(output) for output in sizes.argmax(axis=0)]
