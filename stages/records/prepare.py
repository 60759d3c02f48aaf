"""How do published rows become features?  One path, for a partition of the line and for the rows of one request.

    published rows ─ `judge_rows` → tidy rows ─ `compute_features` → features
                     summaries, joined tables ─ `build_context` ↗   ↖ `recent_rows` ─ tidy rows seen before

Pure functions of frames: who calls them reads and writes, and turns a ValueError into words of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Table
from stages.records.failures import find_failures, source_names, split_rows
from stages.records.lines import lacking_words


class WrongColumns(ValueError):
    """Rows that lack a column or hold one of another type, which no quarantine of rows can mend."""


# ── published rows → tidy rows ───────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Judgement:
    """What became of published rows: each has passed or is in quarantine."""

    passed: pl.DataFrame
    """Tidy rows, in the order in which they were published."""
    quarantined: pl.DataFrame
    """``row`` (index among the published ones), ``failures`` (column, check, value), then the row as published."""
    failures: dict[str, int]
    """How often each check failed, by ``table: column check``; a row may fail several."""


def judge_rows(table: Table, published: pl.DataFrame, partition: str, *, unknown: Collection[str] = ()) -> Judgement:
    """Parse published rows and let those pass that satisfy every check of their partition.

    Parameters
    ----------
    published
        Every declared column as text; further columns are carried into quarantine, and ignored.  May be empty.
    unknown
        Tidy columns that are not known yet (`Dataset.forbidden`, of rows that are asked about): they are null whatever
        was published and are not checked, and what they alone are parsed from may be missing.

    Raises
    ------
    WrongColumns
        When a column is missing or no text.
    ValueError
        When rows parse to other columns than the schema knows.
    """
    published = _with_columns(published, table, unknown) if unknown else published
    _refuse_columns(published.schema, dict.fromkeys(table.columns, pl.String()))
    tidy = table.parse(published)
    tidy = tidy.with_columns(pl.lit(None, tidy.schema[name]).alias(name) for name in unknown)
    parsed_from = {name: source for name, source in table.parsed_from.items() if name not in unknown}
    failures = find_failures(
        published, tidy, table.schema(partition), parsed_from, table.null_texts,
        parses_as=table.parses_as, unchecked=unknown,
    )  # fmt: skip
    failures = failures.filter(pl.col("column").is_null() | ~pl.col("column").is_in(list(unknown)))
    passed, quarantined = split_rows(published, tidy, failures)
    if len(published) != len(passed) + len(quarantined):
        raise AssertionError(f"{table.name} {partition}: a row was lost between {len(published)} in and those out")
    told = (f"{table.name}: {column or 'row'} {check}" for _, column, check, _ in failures.iter_rows())
    return Judgement(passed, quarantined, dict(Counter(told)))


def _with_columns(published: pl.DataFrame, table: Table, unknown: Collection[str]) -> pl.DataFrame:
    """``published`` with nulls in the columns that only ``unknown`` ones are parsed from, should they be missing."""
    known = {name for tidy, source in table.parsed_from.items() if tidy not in unknown for name in source_names(source)}
    alone = {name for tidy in unknown for name in source_names(table.parsed_from.get(tidy, ()))} - known
    missing = [name for name in table.columns if name in alone and name not in published.columns]
    return published.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)


def _refuse_columns(found: Mapping[str, pl.DataType], wanted: Mapping[str, pl.DataType]) -> None:
    if lacking := lacking_words(list(found), list(wanted)):
        raise WrongColumns(lacking)
    if others := [f"{name} is {found[name]}, not {kind}" for name, kind in wanted.items() if found[name] != kind]:
        raise WrongColumns(f"columns of another type: {'; '.join(others)}")


# ── tidy rows → features ─────────────────────────────────────────────────────────────────────────────────────────────
def build_context(
    dataset: Dataset,
    summaries: Sequence[pl.DataFrame],
    references: Mapping[str, pl.DataFrame],
    *,
    complete: bool = True,
) -> Any:
    """What the rows of a partition may know beyond it, in the dataset's own form.

    Parameters
    ----------
    summaries
        Those of the partitions in `Dataset.reach`; what they hold of later days is never asked.
    references
        The clean joined tables, by name.
    complete
        Whether the partitions hold every record.
    """
    if lacking := [table.name for table in dataset.references if table.name not in references]:
        raise ValueError(f"no joined table {', '.join(lacking)} among {', '.join(references) or 'none'}")
    if any(feature.needs_complete for feature in dataset.features):
        return dataset.context(summaries, references, complete=complete)
    return dataset.context(summaries, references)


def compute_features(
    dataset: Dataset,
    rows: pl.DataFrame,
    context: Any,
    *,
    recent: pl.DataFrame | None = None,
    at: datetime | None = None,
) -> pl.DataFrame:
    """The columns of `Dataset.featurize` for tidy ``rows``, `Dataset.lines_per_row` lines each, in their order.

    Parameters
    ----------
    rows
        Tidy rows of one partition; outcomes that are not known yet are null.  May be empty.
    recent
        Further tidy rows of the same partition that ``rows`` may look at, see `recent_rows`; they get no line.
    at
        The moment of the question, where it comes before that of ``rows``; what is known later is not among the rest.

    Raises
    ------
    WrongColumns
        When a tidy column is missing or of another type.
    """
    wanted = dataset.records.parse(pl.DataFrame(schema=dict.fromkeys(dataset.records.columns, pl.String))).schema
    _refuse_columns(rows.schema, wanted)
    alone = recent is None or dataset.looks_back is None
    seen = rows if alone else pl.concat([recent.select(rows.columns), rows])  # type: ignore[union-attr]
    asked: dict[str, Any] = {"last": len(rows)} if len(seen) > len(rows) else {}
    asked |= {"at": at} if at is not None else {}
    frame = dataset.featurize(seen, context, **asked)
    told, lines = [name for name in dataset.identity if name in rows.columns], dataset.lines_per_row
    wanted_rows = rows.select(told)[np.repeat(np.arange(len(rows)), lines)] if lines > 1 else rows.select(told)
    if len(frame) != len(rows) * lines or not frame.select(told).equals(wanted_rows):
        raise AssertionError(f"{dataset.name}: wanted {len(rows)} rows in their order; found {len(frame)}, or another")
    return frame


def recent_rows(dataset: Dataset, seen: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Of the tidy rows ``seen``, those that ``rows`` of the same partition may look at, ``rows`` themselves left out.

    Later ones are kept: no feature knows them, and by the clocks of two places what is earlier may seem later.
    """
    if dataset.looks_back is None or dataset.moment is None or rows.is_empty():
        return seen.clear()
    first: Any = dataset.moment(rows).min()
    others = seen.filter(dataset.moment(seen) >= first - dataset.looks_back)
    return others.join(rows, on=list(dataset.records.key), how="anti", nulls_equal=True, maintain_order="left")
