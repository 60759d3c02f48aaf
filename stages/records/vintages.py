"""What does a new vintage of a published table change?  Rows that are added, rows that are gone, values that differ.

A vintage is the whole table as it was published at some time.  Rows are told by their key, values are compared as
parsed, so that `1.0840` and `1.084` are one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Difference:
    """Keys of the rows ``added`` and ``vanished``; ``revised``: a row for each value, its key, column, old and new."""

    added: pl.DataFrame
    vanished: pl.DataFrame
    revised: pl.DataFrame


def compare_vintages(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str]) -> Difference:
    """Compare two vintages of tidy rows, in any order; what is in no row of a vintage is null, and null is a value.

    Raises
    ------
    ValueError
        When a key stands twice in a vintage: nobody could tell which row was revised.
    """
    for vintage in (old, new):
        if not (twice := vintage.filter(vintage.select(key).is_duplicated())).is_empty():
            raise ValueError(f"wanted each {', '.join(key)} once; found {twice.row(0)[: len(key)]} twice")
    both = old.join(new, on=list(key), how="inner", suffix=" new", nulls_equal=True, maintain_order="left")
    return Difference(
        added=new.join(old, on=list(key), how="anti", nulls_equal=True).select(key),
        vanished=old.join(new, on=list(key), how="anti", nulls_equal=True).select(key),
        revised=pl.concat(
            [_revised(both, key, name) for name in old.columns if name not in key and name in new.columns]
        ).sort(key, maintain_order=True),
    )


def _revised(both: pl.DataFrame, key: Sequence[str], name: str) -> pl.DataFrame:
    """The values of one column that differ, as text."""
    changed = both.filter(pl.col(name).ne_missing(pl.col(f"{name} new")))
    old, new = pl.col(name).cast(pl.String), pl.col(f"{name} new").cast(pl.String)
    return changed.select(*key, pl.lit(name).alias("column"), old.alias("old"), new.alias("new"))
