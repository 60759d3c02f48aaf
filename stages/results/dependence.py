"""How does the model's answer move with one feature?  Mean SHAP value by group of the feature's values.

A number with many values is cut at its quantiles in the sample, one with few has a group for each, a category has the
commonest by name; what is missing stands apart.  Each group has the mean with its interval and the middle 80 % of its
rows, whose width shows how much the answer depends on the other features too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stages.metrics.bootstrap import Float, in_chunks
from stages.metrics.curves import band
from stages.results.effects import Int, Sample, sum_units, weighted_means

MOST_GROUPS = 12
MISSING, UNKNOWN, REST = "missing", "missing or new", "others"
SPREAD = (0.1, 0.9)


@dataclass(frozen=True)
class Group:
    """Rows with like values of a feature: ``at`` is their mean value, None where values have no place on an axis."""

    label: str
    at: float | None
    rows: int
    mean: float
    low: float
    high: float
    tenth: float
    ninetieth: float


@dataclass(frozen=True)
class Dependence:
    """One feature's groups, by value or, for a category, by mean; ``output`` is the class whose score is told of."""

    feature: str
    output: int
    numeric: bool
    groups: tuple[Group, ...]


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
    labels = [f"{value:g}" for value in starts]
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
    return band(np.concatenate([weighted_means(chunk, sums, rows) for chunk in in_chunks(weights)]), level)


def _group(label: str, at: float | None, values: Float, low: float, high: float) -> Group:
    tenth, ninetieth = np.quantile(values, SPREAD)
    return Group(label, at, len(values), float(values.mean()), float(low), float(high), float(tenth), float(ninetieth))
