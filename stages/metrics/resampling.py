"""What must be kept of a scored test part so that every bootstrap replicate of its metrics can be drawn later?

Counts.  A *cell* is (unit, view, label, code) with the number of rows n in it.  The *unit* is what a bootstrap draws:
a cluster of rows that share their luck (a day), or, where rows are independent, the row itself.  Above `MAX_BLOCKS`
independent rows are dealt at random into that many blocks: a block of independent rows is as good a unit as a row
(the interval gains about 1/sqrt(2·1024) = 2 % of noise in its width, as much as 1000 replicates already have), and the
table stays small.  Because units are the same for every model that scored the same rows, one draw of units resamples
all of them at once: differences are paired.

A *view* is one table of a task: the score of a binary task; each class, the confidence and the confusion of a
multiclass task; the target and the error of a regression.  A cell may hold a sum of whole numbers in the place of a
number of rows, as those of forecasts do; the first view by name counts rows.  Cells of partitions add up, in any order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_BLOCKS = 1024
KEYS = ("unit", "view", "label", "code")
MANY_CELLS = 1 << 20  # 50 MB
_DENSE = 1 << 25  # keys that are still counted in one array


def deal_rows(first: int, count: int, total: int) -> Int:
    """Units of ``count`` independent rows from position ``first`` of ``total`` in canonical order.

    Up to `MAX_BLOCKS` rows each is its own unit.  Above, a hash of the position (the finaliser of splitmix64) picks the
    block; dealing in turn would spread any order in the rows evenly over the blocks and make them look too alike.
    """
    positions = np.arange(first, first + count, dtype=np.uint64)
    if total <= MAX_BLOCKS:
        return positions.astype(np.int64)
    mixed = positions + np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(MAX_BLOCKS)).astype(np.int64)


def number_units(units: pl.Series) -> tuple[list[str], Int]:
    """Sorted names of the units in one partition, and the place of each row's unit among them."""
    if units.null_count():
        raise ValueError(
            f"a cluster for every row, in column {units.name!r}",
            f"{units.null_count()} rows without one",
            "let the dataset's featurize fill the column",
        )
    distinct = units.unique().sort()
    names = distinct.cast(pl.String)
    if units.dtype.is_numeric() or units.dtype.is_temporal():
        place = np.searchsorted(distinct.to_physical().to_numpy(), units.to_physical().to_numpy())
    else:
        place = units.cast(pl.String).cast(pl.Enum(names)).to_physical().to_numpy()
    return names.to_list(), place.astype(np.int64)


def count_cells(view: str, units: Int, names: Sequence[str], labels: NDArray[Any], codes: NDArray[Any]) -> pl.DataFrame:
    """The cells of one view in one partition; ``names[units[i]]`` is the unit of row i."""
    if len(units) == 0:
        return _cells([], view, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    low_label, low_code = int(labels.min()), int(codes.min())
    n_labels, n_codes = int(labels.max()) - low_label + 1, int(codes.max()) - low_code + 1
    keys = (units * n_labels + (labels.astype(np.int64) - low_label)) * n_codes + (codes.astype(np.int64) - low_code)
    if len(names) * n_labels * n_codes <= _DENSE:
        counts = np.bincount(keys)
        filled = np.flatnonzero(counts)
        counts = counts[filled]
    else:
        filled, counts = np.unique(keys, return_counts=True)
    rest, code = np.divmod(filled, n_codes)
    unit, label = np.divmod(rest, n_labels)
    return _cells(np.asarray(names, dtype=object)[unit].tolist(), view, label + low_label, code + low_code, counts)


def sum_cells(view: str, names: Sequence[str], sums: Int) -> pl.DataFrame:
    """Sums (units, codes) as cells of one view: whole numbers that add up as counts do."""
    n_units, n_codes = sums.shape
    unit, code = np.divmod(np.arange(n_units * n_codes), n_codes)
    return _cells(np.asarray(names, dtype=object)[unit].tolist(), view, np.zeros_like(code), code, sums.reshape(-1))


def _cells(units: list[str], view: str, labels: Int, codes: Int, counts: Int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "unit": pl.Series(units, dtype=pl.String),
            "view": pl.Series([view], dtype=pl.String).new_from_index(0, len(units)),
            "label": labels.astype(np.int32),
            "code": codes.astype(np.int32),
            "n": counts.astype(np.int64),
        }
    )


def merge_cells(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up cells; sorted, so that neither the cut into partitions nor their order can be seen in the result.

    Every cell becomes one whole number that sorts as its view, unit, label and code do: a tenth of the time and a third
    of the memory of a group-by, where there are millions.  Units and views come back as enums.
    """
    parts = [part for part in parts if len(part)] or list(parts[:1])
    packing = _Packing.of(parts)
    keys = np.concatenate([packing.keys(part) for part in parts])
    counts = np.concatenate([part["n"].to_numpy() for part in parts])
    if not np.all(keys[1:] > keys[:-1]):
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        keys, counts = keys[firsts], np.add.reduceat(counts, firsts)
    return packing.cells(keys, counts)


@dataclass(frozen=True)
class _Packing:
    """The ranges of the four keys over some cells."""

    views: pl.Enum
    units: pl.Enum
    labels: range
    codes: range

    @classmethod
    def of(cls, parts: Sequence[pl.DataFrame]) -> _Packing:
        names = [pl.concat([part[key].unique().cast(pl.String) for part in parts]) for key in ("view", "unit")]
        views, units = (pl.Enum(values.unique().sort()) for values in names)
        return cls(views, units, *(_spanned([part[key] for part in parts]) for key in ("label", "code")))

    def keys(self, cells: pl.DataFrame) -> Int:
        """One number a cell."""
        key = cells["view"].cast(self.views).to_physical().to_numpy().astype(np.int64)
        key = key * len(self.units.categories) + cells["unit"].cast(self.units).to_physical().to_numpy()
        # patterns of floats of both signs are further apart than 32 bits tell
        label, code = (cells[name].to_numpy().astype(np.int64) for name in ("label", "code"))
        key = key * len(self.labels) + (label - self.labels.start)
        packed: Int = key * len(self.codes) + (code - self.codes.start)
        return packed

    def cells(self, keys: Int, counts: Int) -> pl.DataFrame:
        """The inverse of `keys`."""
        rest, code = np.divmod(keys, max(len(self.codes), 1))
        code = (code + self.codes.start).astype(np.int32)
        rest, label = np.divmod(rest, max(len(self.labels), 1))
        label = (label + self.labels.start).astype(np.int32)
        view, unit = (column.astype(np.uint32) for column in np.divmod(rest, max(len(self.units.categories), 1)))
        return pl.DataFrame(
            {
                "unit": self.units.categories.cast(self.units).gather(unit),
                "view": self.views.categories.cast(self.views).gather(view),
                "label": label,
                "code": code,
                "n": counts,
            }
        )


def _spanned(columns: Sequence[pl.Series]) -> range:
    ends = [(int(column.min()), int(column.max())) for column in columns if len(column)]  # type: ignore[arg-type]
    return range(min(low for low, _ in ends), max(high for _, high in ends) + 1) if ends else range(0)


def gather_cells(gathered: Sequence[pl.DataFrame], part: pl.DataFrame) -> list[pl.DataFrame]:
    """``part`` beside the cells of other partitions; all are added up whenever they have doubled."""
    gathered = [*gathered, part]
    if sum(map(len, gathered[1:])) > max(len(gathered[0]), MANY_CELLS):
        return [merge_cells(gathered)]
    return gathered


def unit_names(cells: pl.DataFrame) -> list[str]:
    """All units in order: see `in_order`."""
    return in_order(cells["unit"].unique().cast(pl.String))


def in_order(units: Iterable[str]) -> list[str]:
    """Days (ISO dates) and numbers beside their neighbours; others by name."""
    names = pl.Series(units, dtype=pl.String).sort()
    numbers = names.cast(pl.Float64, strict=False)
    return (names if numbers.has_nulls() else names[numbers.arg_sort()]).to_list()


def unit_counts(cells: pl.DataFrame, view: str, units: Sequence[str], n_labels: int) -> tuple[Int, Float]:
    """Codes that occur in a view (ascending) and its counts, shape (units, n_labels, codes)."""
    chosen = cells.filter(pl.col("view") == view)
    code = chosen["code"].to_numpy()
    lowest = int(code.min()) if len(code) else 0
    held = np.bincount(code - lowest) > 0
    codes, place = np.flatnonzero(held) + lowest, np.cumsum(held) - 1
    keys = chosen["unit"].cast(pl.Enum(units)).to_physical().to_numpy().astype(np.int64)
    keys = (keys * n_labels + chosen["label"].to_numpy()) * len(codes) + place[code - lowest]
    counts = np.bincount(keys, weights=chosen["n"].to_numpy(), minlength=len(units) * n_labels * len(codes))
    return codes, counts.astype(np.float64, copy=False).reshape(len(units), n_labels, len(codes))


def fingerprint(cells: pl.DataFrame, view: str, what: dict[str, Any], label: str = "label") -> str:
    """A hash of which rows were scored and what they were asked: rows by unit and label, and the question itself.

    Two evaluations may be compared when their fingerprints are equal.
    """
    rows = cells.filter(pl.col("view") == view).group_by("unit", label).agg(pl.col("n").sum()).sort("unit", label)
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for name, value, n in rows.iter_rows():
        digest.update(f"{name}\t{value}\t{n}\n".encode())
    return digest.hexdigest()
