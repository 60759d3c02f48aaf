"""What is in a clean table?  One mergeable summary per partition: sketches, moments, means by class.

`summarize_rows` looks at each row once, column after column; `merge_summaries` adds partitions up in canonical order.
How the target goes with each column is counted in a second pass (`outcomes`), once the sketches have told the groups.
Everything that the exploration report shows is derived from these two (see `findings`), so no more than one partition
per worker is ever in memory and the number of workers changes nothing.

The target is looked at in training rows alone; of all other rows it is only known whether they have a label.

Moments tell how numeric columns vary together.  For every pair (i, j), over the rows in which both are present: the
count, the mean and the summed squared deviation of i, and the summed cross-product of the deviations.  Deviations are
taken from the partition's own mean and merged by the update of Chan, Golub & LeVeque (1983), so a column of large
values with a small spread loses no digits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import Sketch, merge_sketches, sketch_column

Float = NDArray[np.float64]
SLICE = 65_536  # rows multiplied at a time: what lies between takes 20 MB for 40 columns
DECIMALS = 6  # a matrix product may differ in its last bits between thread counts; what is reported does not


@dataclass(frozen=True)
class Moments:
    """Square matrices over ``names``; entry (i, j) speaks of column i where column j is present too."""

    names: tuple[str, ...]
    counts: Float
    means: Float
    squares: Float
    products: Float

    def deviations(self) -> Float:
        """Standard deviation of each column over its own present values; NaN for an empty column."""
        n = np.diag(self.counts)
        variance = np.divide(np.diag(self.squares), n, out=np.full(len(n), np.nan), where=n > 0)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def correlations(self, min_rows: int = 30) -> Float:
        """Pearson's r of every pair; NaN where a column is constant or fewer than ``min_rows`` rows hold both."""
        spread = self.squares * self.squares.T
        scale = np.abs(self.means) + 1.0
        moves = self.squares > self.counts * (1e-12 * scale) ** 2
        known = (self.counts >= min_rows) & moves & moves.T
        r = np.divide(self.products, np.sqrt(spread), out=np.full(spread.shape, np.nan), where=known)
        return np.asarray(np.round(np.clip(r, -1.0, 1.0), DECIMALS))


@dataclass(frozen=True)
class Summary:
    """All that is kept of some rows: ``labelled`` of them have a label, ``trained`` of those are training rows.

    ``class_sums`` has, for each number, the rows that hold it and their sum, by class: shape (2, classes).
    """

    rows: int
    labelled: int
    trained: int
    dtypes: dict[str, str]
    kinds: dict[str, str]
    sketches: dict[str, Sketch]
    moments: Moments
    class_sums: dict[str, Float]
    unlabelled: dict[str, int]


def kind_of(dtype: pl.DataType, is_name: bool = False) -> str:
    """number, flag, category, date, time or other; a whole number that only names something is a category."""
    if dtype.is_numeric() or dtype == pl.Null:
        return "category" if is_name and dtype.is_integer() else "number"
    if dtype == pl.Boolean:
        return "flag"
    if dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        return "category"
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return "date"
    return "time" if dtype == pl.Time or isinstance(dtype, pl.Duration) else "other"


def summarize_rows(
    frame: pl.DataFrame,
    *,
    target: str,
    n_classes: int,
    trains: pl.Series | None = None,
    names: Collection[str] = (),
    reasons: pl.Series | None = None,
) -> Summary:
    """Summarise one partition.

    ``trains`` says which rows are training rows (all, where it is None); ``names`` are the columns whose numbers are
    names; ``reasons`` says why a row has no label; ``n_classes`` is 0 for a regression.
    """
    kinds = {name: kind_of(dtype, name in names) for name, dtype in frame.schema.items()}
    missing = frame[target].is_null()
    why = reasons.filter(missing).fill_null("no label") if reasons is not None else ["no label"] * int(missing.sum())
    nulls = int(missing.sum())
    if trains is not None:
        frame = frame.with_columns(pl.when(trains).then(pl.col(target)).alias(target))
    sketches = {name: sketch_column(as_plain(frame[name], kind)) for name, kind in kinds.items() if kind != "other"}
    if target in sketches:
        known = sketches[target]
        sketches[target] = replace(known, rows=known.rows - known.nulls + nulls, nulls=nulls)
    numeric = [name for name, kind in kinds.items() if kind in ("number", "flag")]
    return Summary(
        rows=len(frame),
        labelled=len(frame) - nulls,
        trained=len(frame) - frame[target].null_count(),
        dtypes={name: _dtype_text(dtype) for name, dtype in frame.schema.items()},
        kinds=kinds,
        sketches=sketches,
        moments=measure_moments(frame, numeric),
        class_sums=_class_sums(frame, [n for n in numeric if kinds[n] == "number" and n != target], target, n_classes),
        unlabelled=dict(sorted(pl.Series(why, dtype=pl.String).value_counts().iter_rows())),
    )


def _class_sums(frame: pl.DataFrame, names: Sequence[str], target: str, n_classes: int) -> dict[str, Float]:
    """Rows and sums by class of every named column over the labelled rows; nothing for a regression."""
    if not n_classes:
        return {}
    rows = frame.filter(pl.col(target).is_not_null())
    codes, sums = rows[target].cast(pl.Int64).to_numpy(), {}
    for name in names:
        values = rows[name].cast(pl.Float64).to_numpy()
        held = np.isfinite(values)
        weights = (None, values[held])
        sums[name] = np.stack([np.bincount(codes[held], weights=w, minlength=n_classes) for w in weights]).astype(float)
    return sums


def merge_summaries(parts: Sequence[Summary]) -> Summary:
    """Add up the summaries of partitions given in canonical order; the first one names the columns."""
    first = parts[0]
    return Summary(
        rows=sum(part.rows for part in parts),
        labelled=sum(part.labelled for part in parts),
        trained=sum(part.trained for part in parts),
        dtypes=first.dtypes,
        kinds=first.kinds,
        sketches=merge_sketches([part.sketches for part in parts]),
        moments=merge_moments([part.moments for part in parts]),
        class_sums={name: np.asarray(sum(part.class_sums[name] for part in parts)) for name in first.class_sums},
        unlabelled=_merge_counts([part.unlabelled for part in parts]),
    )


def _merge_counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def as_plain(column: pl.Series, kind: str) -> pl.Series:
    """Enums over the sorted values met for categories and days, floats for the rest (hours for a time of day)."""
    if kind == "date":
        return _as_enum(column.cast(pl.Date))
    if kind in ("category", "flag"):
        return _as_enum(column.cast(pl.String))
    if kind == "time":
        return (
            column.cast(pl.Int64).cast(pl.Float64) / 3.6e12
            if column.dtype == pl.Time
            else column.dt.total_seconds(fractional=True)
        )
    return column.cast(pl.Float64)


def _as_enum(column: pl.Series) -> pl.Series:
    """The values as text, each text stored once: days in order are texts in order."""
    distinct = column.drop_nulls().unique().sort()
    names = distinct.cast(pl.String)
    known = pl.Enum(names)
    if column.dtype == pl.String:
        return column.cast(known)
    return column.replace_strict(distinct, names.cast(known), default=None, return_dtype=known)


def _dtype_text(dtype: pl.DataType) -> str:
    name = str(dtype.base_type())
    return {"Enum": f"Enum ({len(dtype.categories)})"}.get(name, name) if isinstance(dtype, pl.Enum) else name


def measure_moments(frame: pl.DataFrame, names: Sequence[str]) -> Moments:
    """Moments of the named columns of one partition; nulls and NaN are absent, never zero."""
    centre = np.array([_finite_mean(frame[name]) for name in names])
    counts, sums, squares, products = np.zeros((4, len(names), len(names)))
    for start in range(0, len(frame), SLICE):
        rows = frame.slice(start, SLICE).select(pl.col(name).cast(pl.Float64) for name in names)
        values = rows.to_numpy().reshape(len(rows), len(names))
        present = np.isfinite(values)
        held, shifted = present.astype(np.float64), np.where(present, values - centre, 0.0)
        counts += held.T @ held
        sums += shifted.T @ held
        squares += (shifted**2).T @ held
        products += shifted.T @ shifted

    offset = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    means = np.where(counts > 0, centre[:, None] + offset, 0.0)
    squares = np.maximum(squares - sums * offset, 0.0)
    return Moments(tuple(names), counts, means, squares, products - counts * offset * offset.T)


def _finite_mean(column: pl.Series) -> float:
    """The mean of the finite values; 0 where there are none."""
    values = column.cast(pl.Float64).to_numpy()
    held = values[np.isfinite(values)]
    return float(held.mean()) if len(held) else 0.0


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Add up partitions given in canonical order."""
    whole = parts[0]
    for part in parts[1:]:
        whole = _add_moments(whole, part)
    return whole


def _add_moments(a: Moments, b: Moments) -> Moments:
    counts = a.counts + b.counts
    share = np.divide(b.counts, counts, out=np.zeros_like(counts), where=counts > 0)
    shift = np.where((a.counts > 0) & (b.counts > 0), b.means - a.means, 0.0)
    weight = a.counts * share
    means = np.where(a.counts > 0, a.means + shift * share, b.means)
    squares = a.squares + b.squares + shift**2 * weight
    products = a.products + b.products + shift * shift.T * weight
    return Moments(a.names, counts, means, squares, products)
