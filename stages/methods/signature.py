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
    given = _without_null_texts(column)
    numbers = given.cast(pl.Float32, strict=False) if given.dtype != pl.Boolean else given.cast(pl.Float32)
    misfits = _told("not a number", given, given.is_not_null() & numbers.is_null())
    low, high = entry.get("low"), entry.get("high")
    if low is not None and high is not None:
        # ranges were computed in float64 from float32 values: equality at the ends is exact
        outside = ((numbers < low) | (numbers > high)).fill_null(False)
        misfits += _told("out of range", given, outside, f" (training: {low:g} to {high:g})")
    return numbers.alias(str(entry["name"])), misfits


def _category(column: pl.Series, entry: Mapping[str, Any]) -> tuple[pl.Series, list[Misfit]]:
    given = _without_null_texts(column).cast(pl.String)
    known = given.cast(pl.Enum(entry["categories"]), strict=False)
    return known.alias(str(entry["name"])), _told("unknown category", given, given.is_not_null() & known.is_null())


def _without_null_texts(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    stripped = column.str.strip_chars()
    frame = pl.DataFrame({"text": stripped})
    return frame.select(pl.when(~pl.col("text").is_in(list(NULL_TEXTS))).then(pl.col("text")))["text"].alias(column.name)


def _told(kind: str, given: pl.Series, where: pl.Series, more: str = "") -> list[Misfit]:
    rows = int(where.sum())
    if not rows:
        return []
    first = given.filter(where)[0]
    place = where.arg_true()[0] + 1
    return [Misfit(kind, given.name, rows, f"{given.name} = {first!r} in row {place}{more}")]
