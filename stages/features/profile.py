"""How are the values of a column spread, day by day?  Counts over bins that were fixed once, so that they add up.

The bins are those of the training rows: numbers in groups of about equal size, categories by name, the rarer ones
together; what is missing is a bin apart, and so is a category that training never saw.  A unit is what shares its luck
(a day).  Ten bins of twenty columns over a year of days are 60,000 numbers, whatever the number of rows, and rows are
read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import CategorySketch, Sketch, bucket_key, sum_up

Int = NDArray[np.int64]
Float = NDArray[np.float64]
BINS = 10
MOST_CATEGORIES = 20
_PATTERNS = 1 << 16  # of the upper half of a float32, which is what a sketch's bucket goes by


@dataclass(frozen=True)
class Cut:
    """The bins of one column: ``edges`` of a number, or the ``frequent`` ones among the ``known`` categories.

    Codes of a number: a group each, then *missing*.  Of a category: one each for the frequent, then *others*,
    *missing* and *new*.
    """

    name: str
    edges: tuple[float, ...] | None = None
    frequent: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def levels(self) -> int:
        """How many bins there are."""
        return len(self.frequent) + 3 if self.edges is None else len(self.edges) + 2

    @property
    def missing(self) -> int:
        """The bin of what is null or NaN."""
        return self.levels - (2 if self.edges is None else 1)

    def codes(self, column: pl.Series) -> NDArray[np.uint8]:
        """The bin of each value."""
        if self.edges is not None:
            bits = np.ascontiguousarray(sum_up(column).to_numpy(), dtype=np.float32).view(np.uint16)[_UPPER_HALF]
            coded: NDArray[np.uint8] = self._code_of_bits[bits]
            return coded
        known = pl.Enum(self.known)
        named = column if column.dtype == known else column.cast(pl.String).cast(known, strict=False)
        place = named.to_physical().fill_null(len(self.known)).to_numpy()
        codes: NDArray[np.uint8] = self._code_of_category[place]
        codes[column.is_null().to_numpy()] = self.missing
        return codes

    @cached_property
    def _code_of_bits(self) -> NDArray[np.uint8]:
        """The code of every value that the upper half of a float32 can tell: where sketches put their edges."""
        with np.errstate(invalid="ignore"):  # some of the patterns are NaN
            values = (np.arange(_PATTERNS, dtype=np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
            keys = bucket_key(values)
        codes = np.searchsorted(bucket_key(np.asarray(self.edges)), keys, side="right")
        return np.where(np.isnan(values), self.missing, codes).astype(np.uint8)

    @cached_property
    def _code_of_category(self) -> NDArray[np.uint8]:
        place = {name: k for k, name in enumerate(self.frequent)}
        others, new = len(self.frequent), self.levels - 1
        return np.array([*(place.get(name, others) for name in self.known), new], np.uint8)


_UPPER_HALF = slice(int(np.little_endian), None, 2)


def cut_column(name: str, sketch: Sketch, bins: int = BINS) -> Cut:
    """The bins of a column with this sketch."""
    if isinstance(sketch, CategorySketch):
        ranked = sorted(sketch.counts, key=lambda value: (-sketch.counts[value], value))
        return Cut(name, None, tuple(ranked[:MOST_CATEGORIES]), tuple(sorted(sketch.counts)))
    return Cut(name, tuple(sketch.edges(bins).tolist()) if sketch.n else ())


@dataclass(frozen=True)
class Profile:
    """Rows by unit and bin: ``counts[column]`` is (units, bins), its rows in the order of ``units``."""

    units: tuple[str, ...]
    counts: Mapping[str, Int]

    def of(self, units: Sequence[str]) -> Profile:
        """Some of the units."""
        place = {unit: k for k, unit in enumerate(self.units)}
        chosen = [place[unit] for unit in units]
        return Profile(tuple(units), {name: counts[chosen] for name, counts in self.counts.items()})


def profile_rows(rows: pl.DataFrame, cuts: Iterable[Cut], units: Int, names: Sequence[str]) -> Profile:
    """Count rows; ``names[units[i]]`` is the unit of row i."""
    counts = {}
    for cut in cuts:
        keys = units * cut.levels + cut.codes(rows[cut.name])
        counts[cut.name] = np.bincount(keys, minlength=len(names) * cut.levels).reshape(len(names), cut.levels)
    return Profile(tuple(names), counts)


def profile_units(rows: pl.DataFrame, cuts: Iterable[Cut], unit: str | None) -> Profile:
    """Count the rows of one partition by the values of the column ``unit``; together where there is none."""
    if unit is None:
        return profile_rows(rows, cuts, np.zeros(len(rows), np.int64), [""])
    names = rows[unit].unique().sort()
    place = rows[unit].replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64)
    return profile_rows(rows, cuts, place.to_numpy(), names.cast(pl.String).to_list())


def merge_profiles(parts: Sequence[Profile]) -> Profile:
    """Add up, in any order; the units sorted."""
    units = sorted({unit for part in parts for unit in part.units})
    place = {unit: k for k, unit in enumerate(units)}
    merged: dict[str, Int] = {}
    for part in parts:
        at = [place[unit] for unit in part.units]
        for name, counts in part.counts.items():
            merged.setdefault(name, np.zeros((len(units), counts.shape[1]), np.int64))[at] += counts
    return Profile(tuple(units), merged)
