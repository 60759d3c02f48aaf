"""What does one column tell?  How its values are spread, and whether the target depends on it.

Spread comes from sketches.  Dependence comes from outcome tables, those of `summary.outcome_columns` without the last
column: counts by class, or 1, y and y² for groups of rows.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.features.sketch import CategorySketch, NumberSketch, bucket_value

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BINS = 36
CENTRAL = (0.005, 0.995)  # a histogram shows the central 99 %; what lies beyond is counted, not drawn
FEW_VALUES = 24  # a whole-numbered column with at most this many values is shown value by value
FENCE_IQR = 3.0  # Tukey's outer fences (1977)


def is_discrete(sketch: NumberSketch, whole: bool) -> bool:
    """Few different whole numbers, each in a bucket of its own."""
    exact = abs(sketch.low) < 256 and abs(sketch.high) < 256
    return whole and sketch.n > 0 and exact and len(sketch.buckets) <= FEW_VALUES


def bucket_spans(sketch: NumberSketch, whole: bool) -> tuple[Float, Float]:
    """Low and high end of every bucket; a whole number v stands for v - ½ to v + ½."""
    at = bucket_value(sketch.buckets)
    following = np.where(at >= 0, bucket_value(sketch.buckets + 1), bucket_value(sketch.buckets - 1))
    near, far = np.minimum(at, following), np.maximum(at, following)
    if whole:
        far = np.where(at >= 0, np.maximum(far, near + 1), far)
        near = np.where(at < 0, np.minimum(near, far - 1), near)
        shift = np.where(at >= 0, -0.5, 0.5)
        return np.maximum(near + shift, sketch.low - 0.5), np.minimum(far + shift, sketch.high + 0.5)
    return np.clip(near, sketch.low, sketch.high), np.clip(far, sketch.low, sketch.high)


def histogram(sketch: NumberSketch, whole: bool) -> dict[str, Any]:
    """Equal bins over the central values; the rows of a bucket that straddles an edge are divided in proportion."""
    near, far = bucket_spans(sketch, whole)
    low, high = (float(value) for value in sketch.quantiles(CENTRAL))
    if whole:
        step = max(1, math.ceil((high - low + 1) / BINS))
        n_bins = math.ceil((high - low + 1) / step)
        edges = math.floor(low) - 0.5 + step * np.arange(n_bins + 1, dtype=np.float64)
    else:
        high = high if high > low else low + 1.0
        edges = np.linspace(low, high, BINS + 1, dtype=np.float64)
    counts = np.diff(_rows_below(edges, near, far, sketch.counts))
    below, above = _rows_below(edges[[0, -1]], near, far, sketch.counts)
    return {"edges": edges, "rows": counts, "below": float(below), "above": float(sketch.n - above)}


def _rows_below(edges: Float, near: Float, far: Float, counts: Int) -> Float:
    """Cumulated rows at each edge; the last edge takes a point mass that lies on it."""
    at = edges.copy()
    at[-1] = np.nextafter(at[-1], np.inf)
    width = far - near
    inside = (at[:, None] - near) / np.where(width > 0, width, 1.0)
    share = np.where(width > 0, np.clip(inside, 0.0, 1.0), (at[:, None] > near).astype(np.float64))
    return np.asarray(share @ counts)


def outlying(sketch: NumberSketch) -> dict[str, Any] | None:
    """Rows beyond three interquartile ranges from the quartiles; None where the middle half is one single value."""
    first, third = (float(value) for value in sketch.quantiles([0.25, 0.75]))
    if not third > first:
        return None
    low, high = first - FENCE_IQR * (third - first), third + FENCE_IQR * (third - first)
    values = np.clip(bucket_value(sketch.buckets), sketch.low, sketch.high)
    return {
        "low": low,
        "high": high,
        "below": int(sketch.counts[values < low].sum()),
        "above": int(sketch.counts[values > high].sum()),
    }


def top_values(sketch: CategorySketch, limit: int) -> dict[str, Any]:
    """The most frequent values, ties by name; the rest is counted as one."""
    ranked = sorted(sketch.counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[limit:]
    return {
        "values": [value for value, _ in ranked[:limit]],
        "rows": [count for _, count in ranked[:limit]],
        "other_values": len(rest),
        "other_rows": sum(count for _, count in rest),
    }


def normal_width(level: float) -> float:
    """Standard errors on either side of an estimate at a confidence level."""
    return NormalDist().inv_cdf((1 + level) / 2)


def share_interval(hits: Float, rows: Float, level: float) -> tuple[Float, Float]:
    """Wilson's score interval (1927) of a share; 0 to 1 where there are no rows."""
    z = normal_width(level)
    empty = rows == 0
    n = np.where(empty, 1.0, rows)
    share = hits / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.where(empty, 0.0, np.maximum(centre - half, 0.0)), np.where(empty, 1.0, np.minimum(centre + half, 1.0))


def cluster_interval(totals: Float, rows: Float, level: float) -> tuple[float, float]:
    """Interval of a mean whose rows share their luck in clusters: the linearised ratio estimator, by cluster totals."""
    d, n = len(rows), rows.sum()
    if d < 2 or n == 0:
        return float("nan"), float("nan")
    mean = totals.sum() / n
    error = np.sqrt(d / (d - 1) * np.sum((totals - mean * rows) ** 2)) / n
    half = normal_width(level) * error
    return float(mean - half), float(mean + half)


def group_means(
    table: Float, *, is_regression: bool, class_code: int, level: float
) -> tuple[Float, Float, Float, Float]:
    """Labelled rows, mean (or share of one class), low and high of every group of a table of outcomes."""
    if not is_regression:
        rows, hits = table.sum(axis=1), table[:, class_code]
        low, high = share_interval(hits, rows, level)
        return rows, np.divide(hits, rows, out=np.full(len(rows), np.nan), where=rows > 0), low, high
    rows, total, square = table[:, 0], table[:, 1], table[:, 2]
    mean = np.divide(total, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    spread = np.maximum(square - rows * np.nan_to_num(mean) ** 2, 0.0)
    variance = np.divide(spread, rows * (rows - 1), out=np.full(len(rows), np.nan), where=rows > 1)
    half = normal_width(level) * np.sqrt(variance)
    return rows, mean, mean - half, mean + half


def association(table: Float, *, is_regression: bool) -> float:
    """Strength from 0 (none) to 1 (determined) between groups (rows of the table) and the target, bias-corrected.

    Classes: Cramér's V with the correction of Bergsma (2013).  Regression: the square root of epsilon² (Kelley 1935),
    the correlation ratio without what chance alone explains.  NaN when there is nothing to compare.
    """
    rows = table[:, 0] if is_regression else table.sum(axis=1)
    table = table[rows > 0]
    n, groups = float(rows.sum()), len(table)
    if groups < 2 or n <= groups:
        return float("nan")
    if is_regression:
        return _correlation_ratio(table, n, groups)
    table = table[:, table.sum(axis=0) > 0]
    classes = table.shape[1]
    if classes < 2:
        return float("nan")
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(np.sum((table - expected) ** 2 / expected)) / n
    phi2 = max(0.0, phi2 - (groups - 1) * (classes - 1) / (n - 1))
    smaller = min(_corrected(groups, n), _corrected(classes, n))
    return float(min(1.0, np.sqrt(phi2 / (smaller - 1)))) if smaller > 1 else float("nan")


def _corrected(size: int, n: float) -> float:
    return size - (size - 1) ** 2 / (n - 1)


def _correlation_ratio(table: Float, n: float, groups: int) -> float:
    mean = table[:, 1].sum() / n
    total = table[:, 2].sum() - n * mean**2
    within = float(np.sum(table[:, 2] - table[:, 1] ** 2 / table[:, 0]))
    if total <= 0:
        return float("nan")
    return float(np.sqrt(max(0.0, 1 - (within / (n - groups)) / (total / (n - 1)))))
