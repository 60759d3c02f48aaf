"""What is in a clean table?  One mergeable summary per partition: sketches, moments, and the target by column value.

`summarize_rows` looks at each row once, column after column; `merge_summaries` adds partitions up in canonical order.
Everything that the exploration report shows is derived from the result (see `findings`), so no more than one partition
per worker is ever in memory and the number of workers changes nothing.

Moments tell how numeric columns vary together.  For every pair (i, j), over the rows in which both are present: the
count, the mean and the summed squared deviation of i, and the summed cross-product of the deviations.  Deviations are
taken from the partition's own mean and merged by the update of Chan, Golub & LeVeque (1983), so a column of large
values with a small spread loses no digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import Sketch, bucket_key, merge_sketches, sketch_column

Float = NDArray[np.float64]
Int = NDArray[np.int64]
SLICE = 65_536  # rows multiplied at a time: what lies between takes 20 MB for 40 columns
DECIMALS = 6  # a matrix product may differ in its last bits between thread counts; what is reported does not


@dataclass(frozen=True)
class Tally:
    """The outcomes of the rows by value of one column: ``table[k]`` belongs to ``keys[k]``, ``missing`` to null.

    Keys are sketch buckets of a number, else text.  The columns of ``table`` are those of `outcome_columns`.
    """

    keys: NDArray[Any]
    table: Float
    missing: Float


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
    """All that is kept of some rows; ``outcomes`` adds up `outcome_columns` over all of them."""

    rows: int
    dtypes: dict[str, str]
    kinds: dict[str, str]
    sketches: dict[str, Sketch]
    tallies: dict[str, Tally]
    moments: Moments
    outcomes: Float
    unlabelled: dict[str, int]


def kind_of(dtype: pl.DataType) -> str:
    """number, flag, category, date, time or other."""
    if dtype.is_numeric() or dtype == pl.Null:
        return "number"
    if dtype == pl.Boolean:
        return "flag"
    if dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        return "category"
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return "date"
    return "time" if dtype == pl.Time or isinstance(dtype, pl.Duration) else "other"


def summarize_rows(frame: pl.DataFrame, *, target: str, n_classes: int, reasons: pl.Series | None = None) -> Summary:
    """Summarise one partition; ``reasons`` says why a row has no label, ``n_classes`` is 0 for a regression."""
    kinds = {name: kind_of(dtype) for name, dtype in frame.schema.items()}
    outcomes = outcome_columns(frame[target], n_classes)
    sketches, tallies = {}, {}
    for name, kind in kinds.items():
        if kind != "other":
            column = _as_plain(frame[name], kind)
            sketches[name] = sketch_column(column)
            if name != target:
                tallies[name] = tally_outcomes(column, outcomes)
    missing = frame[target].is_null()
    why = (
        reasons.filter(missing).fill_null("no label")
        if reasons is not None
        else pl.Series(["no label"] * int(missing.sum()))
    )
    numeric = [name for name, kind in kinds.items() if kind in ("number", "flag")]
    return Summary(
        rows=len(frame),
        dtypes={name: _dtype_text(dtype) for name, dtype in frame.schema.items()},
        kinds=kinds,
        sketches=sketches,
        tallies=tallies,
        moments=measure_moments(frame, numeric),
        outcomes=outcomes.sum(axis=0),
        unlabelled=dict(sorted(why.cast(pl.String).value_counts().iter_rows())),
    )


def outcome_columns(target: pl.Series, n_classes: int) -> Float:
    """What is added up per row: one column per class, or 1, y and y²; the last column counts rows without a label."""
    y = target.cast(pl.Float64).to_numpy()
    labelled = np.isfinite(y)
    known = np.where(labelled, y, 0.0)
    answers = [labelled & (known == code) for code in range(n_classes)] or [labelled, known, known**2]
    return np.column_stack([*answers, ~labelled]).astype(np.float64)


def tally_outcomes(column: pl.Series, outcomes: Float) -> Tally:
    """Add up the outcomes by value of one column; in row order, so the sums do not depend on threads."""
    names: NDArray[Any]
    if isinstance(column.dtype, pl.Enum):
        present = column.is_not_null().to_numpy()
        codes = column.drop_nulls().to_physical().to_numpy()
        names = np.asarray(column.dtype.categories.to_list(), dtype=np.str_)
    else:
        present = np.isfinite(column.to_numpy())
        names, codes = _number_keys(bucket_key(column.to_numpy()[present]))
    held = outcomes if present.all() else outcomes[present]
    sums = [np.bincount(codes, weights=outcome, minlength=len(names)) for outcome in held.T]
    return Tally(names, np.column_stack(sums), outcomes[~present].sum(axis=0))


def _number_keys(keys: Int) -> tuple[Int, Int]:
    """The distinct keys, ascending, and the place of each row's key among them."""
    held = np.bincount(keys) > 0
    return np.flatnonzero(held), (np.cumsum(held) - 1)[keys]


def merge_summaries(parts: Sequence[Summary]) -> Summary:
    """Add up the summaries of partitions given in canonical order; the first one names the columns."""
    first = parts[0]
    return Summary(
        rows=sum(part.rows for part in parts),
        dtypes=first.dtypes,
        kinds=first.kinds,
        sketches=merge_sketches([part.sketches for part in parts]),
        tallies={name: _merge_tallies([part.tallies[name] for part in parts]) for name in first.tallies},
        moments=merge_moments([part.moments for part in parts]),
        outcomes=np.asarray(sum(part.outcomes for part in parts)),
        unlabelled=_merge_counts([part.unlabelled for part in parts]),
    )


def _merge_tallies(parts: Sequence[Tally]) -> Tally:
    filled = [part for part in parts if len(part.keys)] or [parts[0]]
    keys, place = np.unique(np.concatenate([part.keys for part in filled]), return_inverse=True)
    table = np.zeros((len(keys), parts[0].table.shape[1]))
    np.add.at(table, place, np.concatenate([part.table for part in filled]))
    return Tally(keys, table, np.asarray(sum(part.missing for part in parts)))


def _merge_counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def _as_plain(column: pl.Series, kind: str) -> pl.Series:
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
