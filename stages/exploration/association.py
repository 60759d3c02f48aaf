"""Does the target depend on a column?  Groups of rows, the target's mean in each, one strength for all.

Outcome tables are those of `exploration.outcome_columns` without the last column: counts by class, or 1, y and y².
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


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
