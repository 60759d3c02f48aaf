"""What moves the model's answer?  SHAP values of a sample of rows, averaged, with intervals.

A SHAP value is the share of one feature in one row's raw score, in log-odds for classes and in the target's unit for
numbers; those of all features and the bias add up to the score (Lundberg et al., "From local explanations to global
understanding with explainable AI for trees", Nature Machine Intelligence 2, 2020).  A family that has
exact ones computes them itself (`Model.contributions`).
A feature's *effect* is the mean size of its values: it says what the fitted model uses, not what causes the outcome.

How the answer moves with one feature is told by groups of its values: a number with many values is cut at its quantiles
in the sample, one with few has a group for each, a category has the commonest by name; what is missing stands apart.

Intervals resample the same units as the metrics do, so days of one weather system stay together; there are none where
units are too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.bootstrap import Float, in_chunks
from stages.metrics.curves import band, mean_band
from stages.metrics.evidence import why_too_few
from stages.pages.numbers import tick_text

Int = NDArray[np.int64]
Float32 = NDArray[np.float32]

MOST_ROWS = 10_000
MOST_VALUES = 1 << 24  # 64 MiB of SHAP values
MOST_GROUPS = 12
MISSING, UNKNOWN, REST = "missing", "missing or new", "others"
SPREAD = (0.1, 0.9)


@dataclass(frozen=True)
class Effect:
    """Mean size of one feature's SHAP values over rows (and classes), with its share of all features' together.

    ``ahead`` says whether it is shown to be larger than the next one's: the interval of their difference is above 0.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    share: float
    ahead: bool


@dataclass(frozen=True)
class Group:
    """Rows with like values of a feature: ``at`` is their mean value, None where values have no place on an axis.

    The mean SHAP value has an interval; the middle 80 % of the rows show how much other features matter beside it.
    """

    label: str
    at: float | None
    rows: int
    mean: float
    low: float | None
    high: float | None
    tenth: float
    ninetieth: float


@dataclass(frozen=True)
class Dependence:
    """One feature's groups, by value or, for a category, by mean; ``output`` is the class whose score is told of."""

    feature: str
    output: int
    numeric: bool
    groups: tuple[Group, ...]


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
    if why_too_few(rows[:, None], block=1, every_class=False):
        low, high, gaps = (np.full_like(ends, np.nan) for ends in (low, high, gaps))
    ahead = [*(gap > 0 for gap in gaps.tolist()), False]
    return [
        Effect(sample.names[f], float(whole[f]), _end(low[f]), _end(high[f]), float(whole[f]) / total, ahead[k])
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


def depend_on(sample: Sample, feature: str, output: int, weights: Float, level: float) -> Dependence:
    """How ``output`` depends on ``feature``, with percentile intervals under weights (R, units)."""
    column = sample.inputs[feature]
    values = sample.values[:, output, sample.names.index(feature)].astype(np.float64)
    numeric = column.dtype.is_numeric()
    codes, labels, at = number_groups(column) if numeric else category_groups(column)
    low, high = _intervals(values, codes, len(labels), sample, weights, level)
    groups = [_group(label, place, values[codes == g], low[g], high[g])
              for g, (label, place) in enumerate(zip(labels, at, strict=True))]  # fmt: skip
    if not numeric:
        groups.sort(key=lambda group: (group.label in (UNKNOWN, REST), -group.mean, group.label))
    return Dependence(feature, output, numeric, tuple(groups))


def number_groups(column: pl.Series) -> tuple[Int, list[str], list[float | None]]:
    """Each row's group, and the groups' labels and mean values; missing values come last."""
    numbers = column.cast(pl.Float64).fill_nan(None)
    given = numbers.drop_nulls().to_numpy()
    distinct = np.unique(given)
    if len(distinct) <= MOST_GROUPS:
        starts = distinct
    else:
        starts = np.unique(np.quantile(given, np.arange(MOST_GROUPS) / MOST_GROUPS, method="lower"))
    codes = np.full(len(column), len(starts), dtype=np.int64)
    filled = numbers.is_not_null().to_numpy()
    codes[filled] = np.searchsorted(starts, given, side="right") - 1
    counts = np.bincount(codes, minlength=len(starts) + 1)
    sums = np.bincount(codes[filled], weights=given, minlength=len(starts))
    means = [float(total / n) for total, n in zip(sums, counts[: len(starts)], strict=True)]
    labels = [tick_text(value) for value in starts]
    if counts[-1]:
        return codes, [*labels, MISSING], [*means, None]
    return codes, labels, list(means)


def category_groups(column: pl.Series) -> tuple[Int, list[str], list[float | None]]:
    """Each row's group: the commonest values by name, the rest together, and what is missing or new."""
    texts = column.cast(pl.String)
    counts = texts.drop_nulls().value_counts(name="rows").sort(["rows", column.name], descending=[True, False])
    named = counts[column.name].to_list()
    if len(named) > MOST_GROUPS:
        named = named[: MOST_GROUPS - 1]
    groups = {name: g for g, name in enumerate(named)}
    rest, missing = len(named), len(named) + 1
    places = [missing if text is None else groups.get(text, rest) for text in texts.to_list()]
    present, codes = np.unique(np.asarray(places, dtype=np.int64), return_inverse=True)
    labels = [*named, REST, UNKNOWN]
    return codes.astype(np.int64), [labels[g] for g in present.tolist()], [None] * len(present)


def _intervals(
    values: Float, codes: Int, n_groups: int, sample: Sample, weights: Float, level: float
) -> tuple[Float, Float]:
    member = (codes[:, None] == np.arange(n_groups)).astype(np.float64)
    sums = sum_units(member * values[:, None], sample.units, sample.n_units)
    rows = sum_units(member, sample.units, sample.n_units)
    return mean_band(rows, np.concatenate([weighted_means(chunk, sums, rows) for chunk in in_chunks(weights)]), level)


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _group(label: str, at: float | None, values: Float, low: float, high: float) -> Group:
    tenth, ninetieth = np.quantile(values, SPREAD)
    return Group(label, at, len(values), float(values.mean()), _end(low), _end(high), float(tenth), float(ninetieth))
