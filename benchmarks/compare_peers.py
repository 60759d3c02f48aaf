"""Did a peer do the same work?  Its clean rows and features beside ours, month by month, row by row, column by column.

Rows may come in any order and in any number of files a month; whole numbers, days and texts have to be equal, floats
to 1e-5.  Columns are compared by name.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

CLOSE = 1e-5


class UnequalOutput(RuntimeError):
    """A peer's output differs from ours, so its costs are not those of the same work."""


def compare_outputs(ours: Path, theirs: Path, months: Sequence[str], key: Sequence[str]) -> int:
    """Rows that were compared; the first month, column and row that differ are an `UnequalOutput`.

    ``ours`` holds YYYY-MM.parquet, ``theirs`` folders period=YYYY-MM of parquet files.
    """
    return sum(compare_month(ours, theirs, month, key) for month in months)


def compare_month(ours: Path, theirs: Path, month: str, key: Sequence[str]) -> int:
    """Rows of one month, all equal."""
    wanted = pl.read_parquet(ours / f"{month}.parquet").sort(key)
    found = pl.concat([pl.read_parquet(file) for file in sorted((theirs / f"period={month}").glob("*.parquet"))])
    found = found.drop("period", strict=False)  # some write what the folder's name says already
    if lacking := set(wanted.columns) ^ set(found.columns):
        raise UnequalOutput(f"{theirs} {month}: columns {', '.join(sorted(lacking))} are on one side only")
    if len(wanted) != len(found):
        raise UnequalOutput(f"{theirs} {month}: wanted {len(wanted):,} rows, found {len(found):,}")
    found = found.select(_like(found[name], wanted[name]) for name in wanted.columns).sort(key)
    for name in wanted.columns:
        if len(rows := (~_equal(wanted[name], found[name])).arg_true()):
            first = int(rows[0])
            pair = f"wanted {wanted[name][first]!r}, found {found[name][first]!r} at {wanted.select(key).row(first)}"
            raise UnequalOutput(f"{theirs} {month}: {name} differs in {len(rows):,} rows; {pair}")
    return len(wanted)


def _like(found: pl.Series, wanted: pl.Series) -> pl.Series:
    """Widths of numbers, kinds of days, dictionaries of texts are each library's own; what does not fit is an error."""
    return found.cast(wanted.dtype, strict=True)


def _equal(wanted: pl.Series, found: pl.Series) -> pl.Series:
    if not wanted.dtype.is_float():
        return wanted.eq_missing(found)
    return ((wanted - found).abs() <= CLOSE).fill_null(wanted.is_null() & found.is_null())
