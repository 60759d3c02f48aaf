"""Folds of a feature table for cross-validation: by time where its rows come in days, else dealt at random.

The parts of the original split (``train``, ``valid``, ``test``) only say which rows take part at all: folds over train
and valid leave the test part unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import polars as pl

from stages.experiments.folds.deal import PARTS, Places, deal_folds, refuse_few_folds, refuse_one_class, roll_origin
from stages.experiments.folds.rows import CountedRows, FoldTable, PieceRows, UnitRows
from stages.features.table import FeatureTable
from stages.metrics.stored import task_named
from stages.models.rows import Share
from stages.workspace.errors import UserError, plain_words


@dataclass(frozen=True)
class Stretch:
    """The rows of one part of a fold; where they come in units, how many and from which to which."""

    rows: int
    units: int = 0
    first: str = ""
    last: str = ""

    def __str__(self) -> str:
        return f"{self.first} … {self.last} ({self.rows:,} rows)" if self.units else f"{self.rows:,} rows"


@dataclass(frozen=True, kw_only=True)
class Fold(Share):
    """One model's rows: to learn from, to stop on, to be tested on.

    ``table`` looks like any feature table, with the fold's parts in place of the original ones.
    """

    number: int
    """From 1, in the order of the tests."""
    stretches: Mapping[str, Stretch]

    @property
    def table(self) -> FeatureTable:
        """The rows by part."""
        return self.train

    @property
    def told(self) -> str:
        """Which rows the parts hold, in words."""
        return ", ".join(f"{part} {self.stretches[part]}" for part in PARTS)

    def test_frames(self, extra: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
        """A pass over the rows to be tested on, a partition at a time."""
        return self.table.frames("test", extra)


def time_folds(table: FeatureTable, parts: Sequence[str], n_folds: int, gap: int = 0) -> list[Fold]:
    """Folds over the labelled rows of ``parts``: rolling origin over the units of the table's cluster column.

    ``gap`` units are left out before every valid and every test part.  Without a cluster column rows are independent:
    ordinary k-fold, stratified by class, and there can be no gap.

    Raises
    ------
    UserError
        Fewer than two folds, more than the units allow, no rows, or a part of a fold with a single class.
    """
    refuse_forecasts(table)
    refuse_parts(table, parts)
    with plain_words():
        refuse_few_folds(n_folds)
        if table.cluster is None:
            refuse_gap(gap)
            rows: CountedRows = PieceRows.count(table, parts, n_folds)
            places = deal_folds(n_folds)
        else:
            rows = UnitRows.count(table, parts)
            places = roll_origin(rows.counts.sum(axis=1), n_folds, gap)
        return [make_fold(table, parts, rows, fold, number) for number, fold in enumerate(places, start=1)]


def make_fold(table: FeatureTable, parts: Sequence[str], rows: CountedRows, places: Places, number: int) -> Fold:
    """One fold of counted rows, none of its parts empty."""
    stretches = {}
    for part in PARTS:
        by_class = rows.counts[list(places.part(part))].sum(axis=0)
        if table.classes:
            refuse_one_class(table.classes, by_class, number, part)
        stretches[part] = stretch_of(int(by_class.sum()), rows.name_places(places.part(part)))
        refuse_empty(stretches[part], number, part)
    narrowed = narrow(table, parts, rows, places)
    return Fold(narrowed, narrowed, number=number, stretches=stretches)


def narrow(table: FeatureTable, parts: Sequence[str], rows: CountedRows, places: Places) -> FoldTable:
    """The table with the fold's parts; rows of each by partition are known from the count."""
    held = {part: rows.in_partitions(places.part(part)) for part in PARTS}
    partitions = tuple(
        {**known, "parts": {part: held[part].get(known["name"], 0) for part in PARTS}} for known in table.partitions
    )
    given = {field.name: getattr(table, field.name) for field in fields(FeatureTable)}
    choices = {part: rows.choice(places.part(part)) for part in PARTS}
    return FoldTable(**{**given, "partitions": partitions}, taking=tuple(parts), choices=choices)


def stretch_of(rows: int, units: Sequence[str]) -> Stretch:
    """So many rows, of these units."""
    return Stretch(rows, len(units), units[0], units[-1]) if units else Stretch(rows)


def refuse_parts(table: FeatureTable, parts: Sequence[str]) -> None:
    """Stop when the parts are not those of a split, or hold no labelled row."""
    if not parts or len(set(parts)) < len(parts) or not set(parts) <= set(PARTS):
        raise UserError(
            f"one or more of the parts {', '.join(PARTS)}, each once",
            ", ".join(parts) or "none",
            "name the parts whose rows take part in the folds",
        )
    if not sum(table.rows(part) for part in parts):
        raise UserError(
            f"labelled rows in the parts {', '.join(parts)} of {table.dataset}",
            "none",
            f"name other parts, or look at datasets.{table.dataset}.featurize.split",
        )


def refuse_forecasts(table: FeatureTable) -> None:
    """Stop where the outcomes of a fold's last days are not known yet when the next part begins."""
    if task_named(table.task).scored == "forecast":
        raise UserError(
            "rows whose outcomes are known on their own day, for folds of days",
            f"forecasts: {table.dataset}",
            "read its evaluation: that rolls its origin already, and fits again as time goes on (model.refit)",
        )


def refuse_empty(stretch: Stretch, number: int, part: str) -> None:
    """Stop when a fold has no rows in one of its parts."""
    if not stretch.rows:
        raise ValueError(
            f"rows in the {part} part of fold {number}", "none", "ask for fewer folds, or take more records in"
        )


def refuse_gap(gap: int) -> None:
    """Stop at a gap where there is no order in which it could lie."""
    if gap:
        raise ValueError("no gap, because the rows are independent of one another", f"{gap}", "leave the gap out")
