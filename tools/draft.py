"""What are the columns of these rows, and what may stand in them?  Guesses from the texts, for a person to go over.

A text is a number, a category, something that was written, or a name that tells one row from the others, which no
model learns from.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from stages.records.contract import UNIT_SUFFIXES
from stages.records.plain import Column
from stages.workspace.errors import UserError

NUMBERS_FROM = 0.99  # share of the texts that are numbers, from which a column is one: the others go to quarantine
MOST_CATEGORIES, MOST_CLASSES = 100, 50  # beyond, a text is a name, and a target no class
LISTED, LISTED_LETTERS = 12, 60  # categories that are written down
NOTHING = ("", "NA")
WRITTEN = 6  # words of a text, on average, from which on it is no name
KEYS = ("record", "record_number", "record_of_file")  # the first that no column is called


@dataclass(frozen=True)
class Draft:
    """What was guessed, and the rows it was guessed from."""

    name: str
    task: str
    rows: pl.DataFrame
    columns: tuple[Column, ...]
    target: Column
    classes: tuple[str, ...]
    left_out: tuple[str, ...]


def guess(name: str, task: str, rows: pl.DataFrame, target: str) -> Draft:
    """What the columns are, by their texts."""
    if target not in rows.columns:
        raise UserError(f"the target {target} among the columns", ", ".join(rows.columns), "TARGET=<one of them>")
    tidy = _tidy_names(rows.columns)
    found = {column: _guess_column(rows[column], tidy[column]) for column in rows.columns if column != target}
    columns = tuple(column for column in found.values() if column is not None)
    if not columns:
        raise UserError("a column of numbers or categories beside the target", "none", "add one to the CSV")
    left_out = tuple(column for column, guessed in found.items() if guessed is None)
    if task == "regression":
        label = _guess_column(rows[target], tidy[target])
        if label is None or label.kind != "numeric":
            some = ", ".join(rows[target].unique(maintain_order=True).head(5))
            raise UserError(f"numbers to predict in {target}", some, "another TARGET=, or another TASK=")
        return Draft(name, task, rows, columns, label, (), left_out)
    label = replace(_column(rows[target], tidy[target]), kind="categorical")
    return Draft(name, task, rows, columns, label, _classes(rows[target], task), left_out)


def _column(texts: pl.Series, name: str) -> Column:
    """What holds for any column: its names, and whether a text is missing."""
    published = "" if texts.name == name else texts.name
    nullable = bool(texts.is_in(list(NOTHING)).any())
    return Column(name, "numeric", name.replace("_", " "), nullable=nullable, published=published)


def _guess_column(texts: pl.Series, name: str) -> Column | None:
    """A number, a category, a text, or None for what tells one row from the others."""
    given, column = texts.filter(~texts.is_in(list(NOTHING))), _column(texts, name)
    numbers = given.cast(pl.Float64, strict=False)
    numbers = numbers.filter(numbers.is_finite())
    if len(given) and len(numbers) >= NUMBERS_FROM * len(given):
        if len(numbers) > 2 and (numbers.diff().drop_nulls() == 1).all():
            return None  # the rows are numbered
        suffix = name.rpartition("_")[2]
        low, high = _range(numbers.to_numpy().min(), numbers.to_numpy().max())
        return replace(column, unit=suffix if suffix in UNIT_SUFFIXES else "", low=low, high=high)
    seen = given.unique().sort().to_list()
    is_day = given.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_not_null().all()
    if seen and len(seen) > LISTED and float(given.str.count_matches(r"\w+").mean() or 0) >= WRITTEN:  # type: ignore[arg-type]
        return replace(column, kind="text", nullable=False)
    if not seen or is_day or len(seen) > MOST_CATEGORIES or len(seen) == len(given) > 1:
        return None
    is_short = len(seen) <= LISTED and sum(map(len, seen)) <= LISTED_LETTERS
    return replace(column, kind="categorical", among=tuple(seen) if is_short else ())


def _classes(texts: pl.Series, task: str) -> tuple[str, ...]:
    seen = texts.filter(~texts.is_in(list(NOTHING))).unique().sort().to_list()
    wanted = "two" if task == "binary" else f"3 to {MOST_CLASSES}"
    if len(seen) != 2 if task == "binary" else not 3 <= len(seen) <= MOST_CLASSES:
        found = f"{len(seen)}: {', '.join(seen[:5])}" + (", …" if len(seen) > 5 else "")
        raise UserError(f"{wanted} classes in the target {texts.name}", found, "another TARGET=, or another TASK=")
    return tuple(seen)


def _tidy_names(names: Sequence[str]) -> dict[str, str]:
    """Snake case, each once; no key, and no `part`, which later stages know."""
    tidy: dict[str, str] = {}
    for place, name in enumerate(names):
        plain = re.sub(r"\W+|_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name), flags=re.ASCII).strip("_").lower()
        plain = f"column_{plain}".rstrip("_") if not plain[:1].isalpha() else plain
        taken = {*tidy.values(), *KEYS, "part"}
        tidy[name] = plain if plain not in taken else f"{plain}_{place + 1}"
    return tidy


def _range(low: float, high: float) -> tuple[float, float]:
    """What was seen and as much again on either side, in round numbers; never below zero where nothing was."""
    span = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    steps = round((low - span) / step, 9), round((high + span) / step, 9)  # no -12.000000000000002
    ends = [math.floor(steps[0]) * step, math.ceil(steps[1]) * step]
    ends = [max(0.0, ends[0]) if low >= 0 else ends[0], ends[1]]
    return tuple(int(end) if step >= 1 else float(f"{end:.6g}") for end in ends)  # type: ignore[return-value]
