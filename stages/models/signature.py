"""Do these rows fit the model?  Inputs by name, kind, unit, categories and range, and rows checked against them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import polars as pl

from stages.pages.numbers import share_text
from stages.records.pictures import NoPicture, from_text, to_text

NULL_TEXTS = ("", "NA", "null", "None", "NaN", "nan")
MORE_MISSING = 0.05  # of the rows; months of the same source differ by 0.03
BY_CHANCE = 0.001  # that any input of a file is warned of whose values are missing as often as in training
RAREST = 0.001  # share of missing values below which training is not believed: it rests on so many rows only


@dataclass(frozen=True)
class Misfit:
    """Something about the rows that the signature does not know: told, and counted where it concerns rows."""

    kind: str
    """One of `REFUSED`, or unknown category, missing more often, out of range."""
    column: str
    rows: int
    told: str


@dataclass
class Tally:
    """Rows that come a piece at a time, and what was found in them: misfits and missing values, added up."""

    inputs: Sequence[Mapping[str, Any]]
    rows: int = 0
    found: dict[tuple[str, str], Misfit] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)

    def fit(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The inputs of the next piece as the model wants them; see `fit_rows`."""
        fitted, misfits = fit_rows(rows, self.inputs, before=self.rows)
        self.missing.update({column.name: column.null_count() for column in fitted})
        self.missing.subtract({each.column: each.rows for each in misfits if each.kind in NULLED})
        for each in [*misfits, *_unfilled(rows, fitted, before=self.rows)]:
            first = self.found.get((each.kind, each.column))
            self.found[each.kind, each.column] = replace(first, rows=first.rows + each.rows) if first else each
        self.rows += len(rows)
        return fitted

    def misfits(self) -> list[Misfit]:
        """All misfits of the pieces so far, and the inputs that are missing more often than in training.

        Those are missing in a share of the rows that is larger by `MORE_MISSING`, and that would come about by chance
        less often than `BY_CHANCE`, by Chernoff's bound on a binomial tail.  Rows that share their luck, as flights of
        an hour share its weather, come in runs, so chance alone decides nothing; a dozen rows are never enough unless
        training has hardly ever missed the value.
        """
        more = []
        for entry in self.inputs:
            name, usual = str(entry["name"]), float(entry["null_share"])
            share = self.missing[name] / self.rows if self.rows else 0.0
            chance = math.exp(-self.rows * _divergence(share, max(usual, RAREST))) if share > usual else 1.0
            if share >= usual + MORE_MISSING and chance * len(self.inputs) < BY_CHANCE:
                told = f"{name} in {share_text(share)}, in training in {share_text(usual)}"
                more.append(Misfit("missing more often", name, self.missing[name], told))
        return [*self.found.values(), *more]


UNREADABLE = ("not a number", "not a category", "not a picture", "no text")
REFUSED = ("missing column", *UNREADABLE, "no input")  # misfits with which nothing is scored
NULLED = (*UNREADABLE, "unknown category")  # given, but null to the model


def _divergence(share: float, usual: float) -> float:
    """Kullback-Leibler divergence of two shares, in nats; infinite where what never was missing is."""
    pairs = ((share, usual), (1 - share, 1 - usual))
    return sum(p * math.log(p / q) if q else math.inf for p, q in pairs if p)


def _unfilled(rows: pl.DataFrame, fitted: pl.DataFrame, before: int) -> list[Misfit]:
    """The rows in which no input was given, whether known to training or not."""
    places = _unfilled_places(rows, fitted)
    told = f"the first is row {before + places[0] + 1}" if len(places) else ""
    return [Misfit("no input", "", len(places), told)] if len(places) else []


def _unfilled_places(rows: pl.DataFrame, fitted: pl.DataFrame) -> pl.Series:
    if not fitted.width or not all(column.null_count() for column in fitted):
        return pl.Series(dtype=pl.UInt32)
    nothing = fitted.select(pl.all_horizontal(pl.all().is_null()).arg_true()).to_series()
    given = [_without_null_texts(_texts(rows[name][nothing])).is_null() for name in fitted.columns]
    return nothing.filter(pl.DataFrame(given).select(pl.all_horizontal(pl.all())).to_series())


def unfit_rows(rows: pl.DataFrame, fitted: pl.DataFrame) -> dict[str, pl.Series]:
    """Places of the rows that cannot be scored, by reason; ``fitted`` are the inputs by `fit_rows`, all of them."""
    found = {"no input is filled": _unfilled_places(rows, fitted)}
    for column in fitted:
        if isinstance(column.dtype, pl.Array) or column.dtype == pl.String:  # without them there is nothing to score
            what = "picture" if isinstance(column.dtype, pl.Array) else "text"
            found[f"{column.name} is no {what}"] = column.is_null().arg_true()
            continue
        if not column.null_count() or rows[column.name].null_count() == column.null_count():
            continue  # whatever was given is understood
        given, is_number = _without_null_texts(_texts(rows[column.name])), column.dtype == pl.Float32
        if is_number or given.dtype.is_nested() or given.dtype in (pl.Binary, pl.Object):
            lost = (given.is_not_null() & column.is_null()).arg_true()
            found[f"{column.name} is {'no number' if is_number else 'no category'}"] = lost
    return {reason: places for reason, places in found.items() if len(places)}


def fit_rows(
    rows: pl.DataFrame, inputs: Sequence[Mapping[str, Any]], before: int = 0
) -> tuple[pl.DataFrame, list[Misfit]]:
    """The inputs as the model wants them, in its order, and every misfit; rows count from ``before`` + 1.

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
        fitted, found = FITTED[entry["kind"]](rows[name], entry, before)
        columns.append(fitted)
        misfits.extend(found)
    return pl.DataFrame(columns), misfits


def _number(column: pl.Series, entry: Mapping[str, Any], before: int) -> tuple[pl.Series, list[Misfit]]:
    given = _without_null_texts(_texts(column))
    numbers = given if _all_finite(given) else _finite(given)
    misfits = []
    if numbers.null_count() > given.null_count():
        misfits = _told("not a number", given, given.is_not_null() & numbers.is_null(), before)
    low, high = entry.get("low"), entry.get("high")
    if low is not None and high is not None:
        # ranges were computed in float64 from float32 values: equality at the ends is exact
        least, most = numbers.min(), numbers.max()
        if least is not None and most is not None and not low <= least <= most <= high:  # type: ignore[operator]
            outside = ((numbers < low) | (numbers > high)).fill_null(False)
            misfits += _told("out of range", given, outside, before, f" (training: {low:g} to {high:g})")
    return numbers.alias(str(entry["name"])), misfits


def _all_finite(column: pl.Series) -> bool:
    """Whether these are the numbers that the model wants, as most are: the rest is looked at one by one."""
    return column.dtype == pl.Float32 and bool(column.is_finite().all())


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


def _category(column: pl.Series, entry: Mapping[str, Any], before: int) -> tuple[pl.Series, list[Misfit]]:
    texts = _texts(column)
    if texts.dtype.is_nested() or texts.dtype in (pl.Binary, pl.Object):
        unreadable = pl.Series(column.name, [None] * len(column), dtype=pl.Enum(entry["categories"]))
        misfits = _told("not a category", column, column.is_not_null(), before)
        return unreadable.alias(str(entry["name"])), misfits
    known, texts, misfits = pl.Enum(entry["categories"]), texts.cast(pl.String), []
    fitted = texts.cast(known, strict=False)  # as it stands first: a category may well be called NA
    if fitted.null_count() > texts.null_count():
        given = _without_null_texts(texts)
        fitted = fitted.fill_null(texts.str.strip_chars().cast(known, strict=False))
        misfits = _told("unknown category", given, given.is_not_null() & fitted.is_null(), before)
    return fitted.alias(str(entry["name"])), misfits


def _picture(column: pl.Series, entry: Mapping[str, Any], before: int) -> tuple[pl.Series, list[Misfit]]:
    """Pixels as they are, or read from base64; null where there are none."""
    wanted = pl.Array(pl.UInt8, prod(entry["shape"]))
    if column.dtype == wanted and not column.null_count():
        return column.alias(str(entry["name"])), []
    pixels, wrong = np.zeros((len(column), wanted.shape[0]), np.uint8), dict[int, str]()
    for place, given in enumerate(column):
        try:
            if not isinstance(given, str):
                raise NoPicture("nothing" if given is None else "no base64")
            pixels[place] = from_text(given, entry["shape"])
        except NoPicture as error:
            wrong[place] = str(error)
    found = []
    if wrong:
        first = next(iter(wrong))
        told = f"{column.name} in row {before + first + 1}: {wrong[first]}"
        found = [Misfit("not a picture", column.name, len(wrong), told)]
    known = pl.Series([place not in wrong for place in range(len(column))], dtype=pl.Boolean)
    fitted = pl.Series(str(entry["name"]), pixels, wanted)
    return fitted.to_frame().select(pl.when(known).then(pl.first())).to_series(), found


def _text(column: pl.Series, entry: Mapping[str, Any], before: int) -> tuple[pl.Series, list[Misfit]]:
    """Texts without the spaces around them; null where nothing is left."""
    given = _texts(column)
    texts = given.str.strip_chars() if given.dtype == pl.String else pl.Series([None] * len(given), dtype=pl.String)
    fitted = texts.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()
    told = f"{column.name} in row {before + int(fitted.is_null().arg_max() or 0) + 1}"
    found = [Misfit("no text", column.name, fitted.null_count(), told)] if fitted.null_count() else []
    return fitted.alias(str(entry["name"])), found


FITTED: Mapping[str, Callable[[pl.Series, Mapping[str, Any], int], tuple[pl.Series, list[Misfit]]]] = {
    "numeric": _number, "categorical": _category, "picture": _picture, "text": _text,
}  # fmt: skip


def as_texts(rows: pl.DataFrame, inputs: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a CSV file holds them: pictures as base64, everything else as it is."""
    pictures = {str(entry["name"]): entry["shape"] for entry in inputs if entry["kind"] == "picture"}
    return rows.with_columns(
        pl.Series(name, [to_text(pixels, shape) for pixels in rows[name].to_numpy()], pl.String)
        for name, shape in pictures.items()
    )


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


def _told(kind: str, given: pl.Series, where: pl.Series, before: int, more: str = "") -> list[Misfit]:
    rows = int(where.sum())
    if not rows:
        return []
    first = given.filter(where)[0]
    place = before + where.arg_true()[0] + 1
    value = f"{first:.7g}" if isinstance(first, float) else repr(first)
    return [Misfit(kind, given.name, rows, f"{given.name} = {value} in row {place}{more}")]
