"""What does a column look like?  A small summary per partition that adds up to the summary of the whole.

Numbers are counted by the upper 16 bits of their float32 form (sign, exponent and seven bits of mantissa), so a
bucket is at most 1/128 of its value wide: the histogram is exact to add, independent of order, and at most 65,536
buckets long however many rows there are.  The idea of value-relative buckets is that of DDSketch (Masson, Rim & Lee,
"DDSketch", VLDB 2019).  Categories are counted by name, pictures by their brightness, texts by their
length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
_SIGN = np.uint32(0x8000_0000)


@dataclass(frozen=True)
class NumberSketch:
    """Counts of a numeric column: ``buckets`` (sorted keys, int64) and ``counts`` of the rows in each."""

    rows: int
    nulls: int
    low: float
    high: float
    total: float
    buckets: Int
    counts: Int

    @property
    def mean(self) -> float:
        """Mean of the values present; NaN when there are none."""
        return self.total / self.n if self.n else float("nan")

    @property
    def n(self) -> int:
        """Values present."""
        return self.rows - self.nulls

    def quantiles(self, levels: Sequence[float]) -> Float:
        """Values at the given levels (0–1), to the width of a bucket; NaN when the column is empty."""
        if self.n == 0:
            return np.full(len(levels), np.nan)
        reached = np.searchsorted(np.cumsum(self.counts), np.asarray(levels) * self.n, side="left")
        values = bucket_value(self.buckets[np.minimum(reached, len(self.buckets) - 1)])
        return np.clip(values, self.low, self.high)

    def edges(self, bins: int) -> Float:
        """Strictly increasing inner edges that cut the column in at most ``bins`` groups of about equal size.

        A value x belongs to group ``np.searchsorted(edges, x, side="right")``.  Few distinct values get a group each,
        and a value that fills most of the column takes one group, leaving the others to the rest.
        """
        if len(self.buckets) <= bins:
            return bucket_floor(self.buckets[1:])
        reached, start, starts = np.cumsum(self.counts), 0, []
        for left in range(bins, 1, -1):
            done = reached[start - 1] if start else 0
            goal = done + (self.n - done) / left
            stop = int(np.searchsorted(reached, goal)) + 1  # first bucket of the next group
            if stop - 2 >= start and goal - reached[stop - 2] < reached[stop - 1] - goal:
                stop -= 1  # a heavy bucket would overshoot by more than the group falls short without it
            if stop >= len(self.buckets):
                break
            start = stop
            starts.append(stop)
        return bucket_floor(self.buckets[starts])


@dataclass(frozen=True)
class CategorySketch:
    """Counts of a categorical column by value, nulls apart."""

    rows: int
    nulls: int
    counts: dict[str, int]


Sketch = NumberSketch | CategorySketch


def sum_up(column: pl.Series) -> pl.Series:
    """The number that stands for a picture (its mean brightness) or a text (its length); any other column as it is."""
    if isinstance(column.dtype, pl.Array):
        return column.arr.mean()
    return column.str.len_chars() if column.dtype == pl.String else column


def sketch_column(column: pl.Series) -> Sketch:
    """Summarise one column; strings, enums and categoricals by name, everything else as numbers."""
    if column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum):
        counted = column.drop_nulls().value_counts()
        counted = counted.with_columns(pl.first().cast(pl.String)).sort(by=pl.all())
        return CategorySketch(len(column), column.null_count(), dict(counted.iter_rows()))
    present = sum_up(column).drop_nulls().to_numpy().astype(np.float64)
    present = present[~np.isnan(present)]
    nulls = len(column) - len(present)
    if len(present) == 0:
        return NumberSketch(
            len(column), nulls, float("nan"), float("nan"), 0.0, np.empty(0, np.int64), np.empty(0, np.int64)
        )
    counts = np.bincount(bucket_key(present))
    buckets = np.flatnonzero(counts)
    return NumberSketch(
        len(column),
        nulls,
        float(present.min()),
        float(present.max()),
        float(present.sum()),
        buckets,
        counts[buckets],
    )


def sketch_frame(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, Sketch]:
    """One sketch per named column."""
    return {name: sketch_column(frame[name]) for name in columns}


def merge_sketches(parts: Sequence[dict[str, Sketch]]) -> dict[str, Sketch]:
    """Add up the sketches of partitions given in canonical order."""
    if not parts:
        return {}
    return {name: _merge([part[name] for part in parts]) for name in parts[0]}


def _merge(parts: Sequence[Sketch]) -> Sketch:
    rows, nulls = sum(part.rows for part in parts), sum(part.nulls for part in parts)
    if isinstance(parts[0], CategorySketch):
        counts: dict[str, int] = {}
        for part in parts:
            assert isinstance(part, CategorySketch)
            for value, count in part.counts.items():
                counts[value] = counts.get(value, 0) + count
        return CategorySketch(rows, nulls, dict(sorted(counts.items())))
    numbers = [part for part in parts if isinstance(part, NumberSketch)]
    filled = [part for part in numbers if part.n]
    if not filled:
        return NumberSketch(rows, nulls, float("nan"), float("nan"), 0.0, np.empty(0, np.int64), np.empty(0, np.int64))
    counted = np.zeros(1 + max(int(part.buckets[-1]) for part in filled), np.int64)
    for part in filled:
        counted[part.buckets] += part.counts
    buckets = np.flatnonzero(counted)
    low, high = min(part.low for part in filled), max(part.high for part in filled)
    return NumberSketch(rows, nulls, low, high, float(sum(part.total for part in filled)), buckets, counted[buckets])


def bucket_key(values: Float) -> Int:
    """The bucket of each value; keys sort as the values do."""
    bits = values.astype(np.float32).view(np.uint32)
    bits = np.where(values == 0, np.uint32(0), bits)  # -0.0 and 0.0 are one value
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (ordered >> np.uint32(16)).astype(np.int64)


def bucket_value(keys: Int) -> Float:
    """The value that stands for a bucket: its edge nearest to zero, exact for small whole numbers."""
    floor = keys.astype(np.uint32) << np.uint32(16)
    return _float32(np.where(floor & _SIGN, floor, floor | np.uint32(0xFFFF)))


def bucket_floor(keys: Int) -> Float:
    """The smallest value of a bucket: where a group that begins with it is cut off from the values below."""
    return _float32(keys.astype(np.uint32) << np.uint32(16))


def _float32(ordered: NDArray[np.uint32]) -> Float:
    bits = np.where(ordered & _SIGN, ordered & ~_SIGN, ~ordered)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def sketch_to_json(sketch: Sketch) -> dict[str, Any]:
    """A JSON-ready form; see `sketch_from_json`."""
    if isinstance(sketch, CategorySketch):
        return {"kind": "categorical", "rows": sketch.rows, "nulls": sketch.nulls, "counts": sketch.counts}
    empty = sketch.n == 0
    return {
        "kind": "numeric",
        "rows": sketch.rows,
        "nulls": sketch.nulls,
        "low": None if empty else sketch.low,
        "high": None if empty else sketch.high,
        "total": sketch.total,
        "buckets": sketch.buckets.tolist(),
        "counts": sketch.counts.tolist(),
    }


def sketch_from_json(content: dict[str, Any]) -> Sketch:
    """The inverse of `sketch_to_json`."""
    if content["kind"] == "categorical":
        return CategorySketch(content["rows"], content["nulls"], content["counts"])
    low, high = (float("nan") if content[end] is None else content[end] for end in ("low", "high"))
    buckets, counts = (np.asarray(content[name], np.int64) for name in ("buckets", "counts"))
    return NumberSketch(content["rows"], content["nulls"], low, high, content["total"], buckets, counts)
