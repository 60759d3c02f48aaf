"""How is a row asked for as its publisher would write it?  Fields of published columns, and what was wrong with them.

A published column is told of by what is parsed from it: the meaning, the categories and the range of an input of the
model, wherever the two have the same values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from stages.records.contract import Dataset
from stages.serving.form import WHOLE, Field, Form, field_of, label_of, make_form
from stages.serving.problems import LONGEST
from stages.serving.raw import MOMENT_EXAMPLE
from stages.state.facts import sources_of

MOMENT = Field(
    "asked_at", "Asked at", "what was known then counts; empty: at its own moment", hint=f"in UTC: {MOMENT_EXAMPLE}"
)
"""The field that is no column: a row can be asked about ahead of its own moment."""


def published_form(
    dataset: Dataset, columns: Sequence[str], signature: Mapping[str, Any], example: pl.DataFrame
) -> Form:
    """A form of the columns that a row cannot do without, in the publisher's order."""
    inputs = {str(entry["name"]): entry for entry in signature["inputs"]}
    features = {feature.name: feature for feature in dataset.features}
    types = dataset.records.parse(pl.DataFrame(schema=dict.fromkeys(dataset.records.columns, pl.String))).schema
    fields = []
    for column in columns:
        tidy = tidy_of(dataset, column)
        field = Field(column, label_of(column))
        if tidy is None:
            pass
        elif inputs.get(tidy, {}).get("kind") == "text":
            field = replace(field_of(inputs[tidy]), name=column, label=label_of(column))
        elif expected := dataset.records.parses_as.get(tidy):
            whole = features[tidy].kind if tidy in features else ""
            field = replace(field, hint=expected, whole=whole if whole in WHOLE else "")
        elif tidy in inputs:
            field = replace(field_of(inputs[tidy], example[column]), name=column, label=label_of(column))
        elif tidy in features and features[tidy].kind == "numeric":
            field = replace(field, about=features[tidy].about, is_number=types[tidy].is_numeric())
        fields.append(field)
    return make_form([*fields, MOMENT] if dataset.moment and MOMENT.name not in columns else fields)


def tidy_of(dataset: Dataset, column: str) -> str | None:
    """The only tidy column that is parsed from a published one alone; None where there is no such."""
    found = [tidy for tidy in dataset.records.parsed_from if sources_of(dataset.records, tidy) == (column,)]
    return found[0] if len(found) == 1 else None if found else column


def errors_at(dataset: Dataset, refused: pl.DataFrame, asked: Collection[str]) -> tuple[dict[str, str], str]:
    """What to say at each field of a row that was refused, or else of the row as a whole."""
    at: dict[str, str] = {}
    whole = []
    for _, names, check, value in causes(dataset, refused, asked):
        short = value if value is None or len(value) <= LONGEST else f"{value[:LONGEST]}…"  # a file may stand there
        found = "" if value in (None, "null") else f", found “{short}”"
        told = f"Wanted {in_words(check)}{found}."
        for name in names:
            at.setdefault(name, told)
        if not names:
            whole.append(told)
    return at, " ".join(whole)


def reasons_of(dataset: Dataset, refused: pl.DataFrame, given: Collection[str]) -> dict[str, pl.Series]:
    """The places of rows that were refused, by reason."""
    places: dict[str, list[int]] = {}
    for row, names, check, _ in causes(dataset, refused, given):
        reason = f"{' '.join(names) or 'the row'}: wanted {in_words(check)}"
        if places.setdefault(reason, [-1])[-1] != row:
            places[reason].append(row)
    return {reason: pl.Series(rows[1:], dtype=pl.Int64) for reason, rows in places.items()}


def causes(
    dataset: Dataset, refused: pl.DataFrame, given: Collection[str]
) -> Iterator[tuple[int, list[str], str, str | None]]:
    """Row, columns, check and value of what was wrong; what follows from other columns, only where nothing else is."""
    for (row,), failures in refused.group_by("row", maintain_order=True):
        named = [
            (_given_of(dataset, column, check, given), check, value)
            for column, check, value in failures.select("column", "check", "value").iter_rows()
        ]
        told = [each for each in named if each[0]] or named
        yield from ((int(str(row)), names, check, value) for names, check, value in told)


def _given_of(dataset: Dataset, column: str | None, check: str, given: Collection[str]) -> list[str]:
    """The columns that were given and that a failure is about; none where it is about the row, or what follows."""
    empty = check.removesuffix(" not empty")  # of several columns, the one that is
    sources = (empty,) if empty in given else sources_of(dataset.records, column or "") or (column or "",)
    return [name for name in sources if name in given]


def in_words(check: str) -> str:
    """A check that a row failed, as what was wanted."""
    for pattern, words in WORDS:
        if found := re.fullmatch(pattern, check):
            return words.format(*(group.replace("'", "") for group in found.groups()))
    return check.replace("_", " ")


WORDS = (
    (r"not_nullable|.* not empty", "a value"),
    (r"parses as U?Int\d+", "a whole number"),
    (r"parses as Float\d+", "a number"),
    (r"parses as Date", "a day that exists"),
    (r"parses as (.*)", "{}"),
    (r"decimal point", "a decimal point"),
    (r"in_range\((.*), (.*)\)", "{} to {}"),
    (r"isin\([(\[](.*?),?[)\]]\)", "one of {}"),
    (r"str_matches\('(.*)'\)", "a text that matches {}"),
)
"""Names of checks, as the line's quarantine has them, and what they want."""
