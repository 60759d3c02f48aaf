"""What does one column tell?  How its values are spread, and whether the target depends on it.

Spread comes from sketches.  Dependence comes from the tables of `outcomes`: counts by class, or 1, y and y², for groups
of rows by cluster.

Rows of a cluster (a day) share their luck, and neighbouring clusters resemble each other, so groups are judged as
results are: by runs of ``run`` neighbours.  Around a ratio of totals the circular block bootstrap (Politis & Romano
1992) needs no draws: to first order its variance is the mean square of the sums of residuals over every run, which is
what `mean_variance` adds up.  The interval then has as many degrees of freedom as there are runs.  That of a share is
Wilson's (1927) for the number of independent rows that would vary as much (Korn & Graubard, Survey Methodology 24,
1998): it stays within 0 and 1, and has a width where all rows came out alike.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.exploration.outcomes import FEW_VALUES
from stages.features.contingency import clustered_bias
from stages.features.sketch import CategorySketch, NumberSketch, bucket_value

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BINS = 36
CENTRAL = (0.005, 0.995)  # a histogram shows the central 99 %; what lies beyond is counted, not drawn
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


def student_width(level: float, freedom: Float) -> Float:
    """The same for Student's t, by Fisher's expansion (Abramowitz & Stegun 26.7.5): within 1 % from 3 degrees on."""
    z, f = normal_width(level), np.maximum(freedom, 1.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return np.asarray(z + sum(term / f ** (k + 1) for k, term in enumerate(terms)))


def share_interval(hits: Float, rows: Float, level: float) -> tuple[Float, Float]:
    """Wilson's score interval (1927) of a share; 0 to 1 where there are no rows."""
    return _wilson(
        np.divide(hits, rows, out=np.zeros_like(rows, dtype=float), where=rows > 0), rows, normal_width(level)
    )


def _wilson(share: Float, rows: Float, width: Float | float) -> tuple[Float, Float]:
    n, z2 = np.where(rows > 0, rows, 1.0), np.asarray(width) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return np.where(rows > 0, low, 0.0), np.where(rows > 0, high, 1.0)


def mean_variance(totals: Float, rows: Float, run: int) -> tuple[Float, Float]:
    """Variance of each group's mean and its degrees of freedom; ``totals`` and ``rows`` have shape (clusters, groups).

    A group that lies in fewer clusters than two runs is judged cluster by cluster; NaN in fewer than two clusters.
    """
    n, held = rows.sum(axis=0), (rows > 0).sum(axis=0)
    away = totals - rows * np.divide(totals.sum(axis=0), n, out=np.zeros_like(n), where=n > 0)
    long = held >= 2 * run
    squares = np.where(long, _squared_runs(away, run), _squared_runs(away, 1))
    length = np.where(long, float(run), 1.0)
    known = (held >= 2) & (n > 0)
    scale = np.divide(held, (held - length) * length * n**2, out=np.full(len(n), np.nan), where=known)
    return squares * scale, np.maximum(held / length - 1, 1.0)


def _squared_runs(away: Float, run: int) -> Float:
    """Squares of the sums over every run of neighbours, the last followed by the first, added up by group."""
    sums = sum(np.roll(away, -k, axis=0) for k in range(run))
    return np.asarray((np.asarray(sums) ** 2).sum(axis=0))


def group_means(
    table: Float, *, is_regression: bool, class_code: int, level: float, run: int | None = None
) -> tuple[Float, Float, Float, Float]:
    """Labelled rows, mean (or share of one class), low and high of every group, from (clusters, groups, outcomes).

    ``run`` neighbouring clusters are taken together; None says that every row is a cluster of its own.
    """
    whole = table.sum(axis=0)
    rows, totals = (whole[:, 0], whole[:, 1]) if is_regression else (whole.sum(axis=1), whole[:, class_code])
    mean = np.divide(totals, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    if run is None and not is_regression:
        return rows, mean, *share_interval(totals, rows, level)
    if run is None:
        variance, width = _row_variance(whole, mean), np.asarray(normal_width(level))
    else:
        by_cluster = table[:, :, 0] if is_regression else table.sum(axis=2)
        variance, freedom = mean_variance(table[:, :, 1 if is_regression else class_code], by_cluster, run)
        width = student_width(level, freedom)
        if not is_regression:
            return rows, mean, *_wilson(np.nan_to_num(mean), _independent_rows(mean, variance, by_cluster), width)
    half = width * np.sqrt(variance)
    return rows, mean, mean - half, mean + half


def _independent_rows(share: Float, variance: Float, rows: Float) -> Float:
    """How many independent rows would vary as much: never more than there are, and where all came out alike, or lie
    in one cluster, as many as there are clusters."""
    n, held = rows.sum(axis=0), (rows > 0).sum(axis=0).astype(float)
    alike = np.divide(share * (1 - share), variance, out=held.copy(), where=np.nan_to_num(variance) > 0)
    return np.asarray(np.minimum(alike, n), dtype=np.float64)


def _row_variance(whole: Float, mean: Float) -> Float:
    rows, square = whole[:, 0], whole[:, 2]
    spread = np.maximum(square - rows * np.nan_to_num(mean) ** 2, 0.0)
    return np.asarray(np.divide(spread, rows * (rows - 1), out=np.full(len(rows), np.nan), where=rows > 1))


def association(table: Float, *, is_regression: bool, clustered: bool = False) -> float:
    """Strength from 0 (none) to 1 (determined) between groups and the target, from (clusters, groups, outcomes).

    What chance alone explains is taken off.  Classes: Cramér's V with the correction of Bergsma (2013).  Regression:
    the square root of epsilon² (Kelley 1935).  Where rows come in clusters, chance explains more, and is estimated
    from how the cells vary between clusters (Rao & Scott 1981).  NaN when there is nothing to compare.
    """
    whole = table.sum(axis=0)
    rows = whole[:, 0] if is_regression else whole.sum(axis=1)
    table, whole = table[:, rows > 0], whole[rows > 0]
    n, groups = float(rows.sum()), len(whole)
    clustered = clustered and len(table) > 1
    if groups < 2 or n <= groups:
        return float("nan")
    if is_regression:
        return _correlation_ratio(table, n, groups, clustered)
    table = table[:, :, whole.sum(axis=0) > 0]
    whole = table.sum(axis=0)
    classes = whole.shape[1]
    if classes < 2:
        return float("nan")
    expected = np.outer(whole.sum(axis=1), whole.sum(axis=0)) / n
    phi2 = float(np.sum((whole - expected) ** 2 / expected)) / n
    if clustered:
        phi2, smaller = phi2 - 2 * clustered_bias(table.astype(np.int64)), float(min(groups, classes))
    else:
        phi2 -= (groups - 1) * (classes - 1) / (n - 1)
        smaller = min(_corrected(groups, n), _corrected(classes, n))
    return float(min(1.0, np.sqrt(max(phi2, 0.0) / (smaller - 1)))) if smaller > 1 else float("nan")


def _corrected(size: int, n: float) -> float:
    return size - (size - 1) ** 2 / (n - 1)


def _correlation_ratio(table: Float, n: float, groups: int, clustered: bool) -> float:
    rows, sums, squares = table.sum(axis=0).T
    mean = sums.sum() / n
    total = squares.sum() - n * mean**2
    if total <= 0:
        return float("nan")
    between = float(np.sum(sums**2 / rows)) - n * mean**2
    if clustered:
        apart, _ = mean_variance(table[:, :, 1], table[:, :, 0], 1)
        together, _ = mean_variance(table[:, :, 1].sum(axis=1)[:, None], table[:, :, 0].sum(axis=1)[:, None], 1)
        chance = float(np.nansum(rows * apart) - n * together[0])
        return float(np.sqrt(min(max(0.0, (between - chance) / total), 1.0)))
    within = max(total - between, 0.0)
    return float(np.sqrt(max(0.0, 1 - (within / (n - groups)) / (total / (n - 1)))))
