"""How are the values of a column spread?  Histograms, fences and top categories, all from sketches."""

from __future__ import annotations

import math
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
