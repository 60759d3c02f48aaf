"""Do these rows fit the model?  Inputs by name, kind, unit, categories and range, and rows checked against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

NULL_TEXTS = ("", "NA", "null", "None", "NaN", "nan")


@dataclass(frozen=True)
class Misfit:
    """Something about the rows that the signature does not know: told, and counted where it concerns rows."""

    kind: str  # missing column | not a number | unknown category | out of range
    column: str
    rows: int
    told: str


def fit_rows(rows: pl.DataFrame, inputs: Sequence[Mapping[str, Any]]) -> tuple[pl.DataFrame, list[Misfit]]:
    """The inputs as the model wants them, in its order, and every misfit.

    A value that is no number, or a category that training never saw, becomes null: missing.  Columns that are no
    input are left out.
    """
    columns: list[pl.Series] = []
    misfits: list[Misfit] = []
    for entry in inputs:
        name = str(entry["name"])
        if name not in rows.columns:
            misfits.append(Misfit("missing column", name, len(rows), name))
            continue
        fitted, found = (_category if entry["kind"] == "categorical" else _number)(rows[name], entry)
        columns.append(fitted)
        misfits.extend(found)
    return pl.DataFrame(columns), misfits


def _number(column: pl.Series, entry: Mapping[str, Any]) -> tuple[pl.Series, list[Misfit]]:
    given = _without_null_texts(_texts(column))
    numbers = _finite(given)
    misfits = _told("not a number", given, given.is_not_null() & numbers.is_null())
    low, high = entry.get("low"), entry.get("high")
    if low is not None and high is not None:
        # ranges were computed in float64 from float32 values: equality at the ends is exact
        outside = ((numbers < low) | (numbers > high)).fill_null(False)
        misfits += _told("out of range", given, outside, f" (training: {low:g} to {high:g})")
    return numbers.alias(str(entry["name"])), misfits


def _finite(given: pl.Series) -> pl.Series:
    """As float32; null for what is no number, or too large for one."""
    if given.dtype == pl.String:
        words = given.str.to_lowercase().replace_strict(
            {"true": 1.0, "false": 0.0}, default=None, return_dtype=pl.Float32
        )
        numbers = given.cast(pl.Float32, strict=False).fill_null(words)
    elif given.dtype.is_numeric() or given.dtype == pl.Boolean:
        numbers = given.cast(pl.Float32, strict=False)
    else:
        return pl.Series(given.name, [None] * len(given), dtype=pl.Float32)
    return pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series().alias(given.name)


def _category(column: pl.Series, entry: Mapping[str, Any]) -> tuple[pl.Series, list[Misfit]]:
    texts = _texts(column)
    if texts.dtype.is_nested() or texts.dtype in (pl.Binary, pl.Object):
        unreadable = pl.Series(column.name, [None] * len(column), dtype=pl.Enum(entry["categories"]))
        return unreadable.alias(str(entry["name"])), _told("unknown category", column, column.is_not_null())
    known, texts = pl.Enum(entry["categories"]), texts.cast(pl.String)
    given = _without_null_texts(texts)
    fitted = texts.cast(known, strict=False)  # as it stands first: a category may well be called NA
    fitted = fitted.fill_null(texts.str.strip_chars().cast(known, strict=False))
    return fitted.alias(str(entry["name"])), _told("unknown category", given, given.is_not_null() & fitted.is_null())


def _texts(column: pl.Series) -> pl.Series:
    """Categories of any encoding as text, a float NaN as null; anything else as it is."""
    if column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    return column.fill_nan(None) if column.dtype.is_float() else column


def _without_null_texts(column: pl.Series) -> pl.Series:
    """Texts without the spaces around them; null where they say that the value is missing."""
    if column.dtype != pl.String:
        return column
    stripped = column.str.strip_chars()
    return pl.select(pl.when(~stripped.is_in(NULL_TEXTS)).then(stripped)).to_series().alias(column.name)


def _told(kind: str, given: pl.Series, where: pl.Series, more: str = "") -> list[Misfit]:
    rows = int(where.sum())
    if not rows:
        return []
    first = given.filter(where)[0]
    place = where.arg_true()[0] + 1
    return [Misfit(kind, given.name, rows, f"{given.name} = {first!r} in row {place}{more}")]
