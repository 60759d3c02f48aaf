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
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Table
from stages.records.lines import LINE, lacking_words

if TYPE_CHECKING:  # takes most of a second to import, and only judging needs it
    import pandera.polars as pa

FEW = 4096  # rows
DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"
FAILURES: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "column": pl.String, "check": pl.String, "value": pl.String}


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
    known = {name for tidy, source in table.parsed_from.items() if tidy not in unknown for name in _names(source)}
    alone = {name for tidy in unknown for name in _names(table.parsed_from.get(tidy, ()))} - known
    missing = [name for name in table.columns if name in alone and name not in published.columns]
    return published.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)


def _names(source: str | tuple[str, ...]) -> tuple[str, ...]:
    return (source,) if isinstance(source, str) else source


def _refuse_columns(found: Mapping[str, pl.DataType], wanted: Mapping[str, pl.DataType]) -> None:
    if lacking := lacking_words(list(found), list(wanted)):
        raise WrongColumns(lacking)
    if others := [f"{name} is {found[name]}, not {kind}" for name, kind in wanted.items() if found[name] != kind]:
        raise WrongColumns(f"columns of another type: {'; '.join(others)}")


def find_failures(
    raw: pl.DataFrame,
    tidy: pl.DataFrame,
    schema: pa.DataFrameSchema,
    parsed_from: Mapping[str, str | tuple[str, ...]],
    null_texts: Sequence[str],
    *,
    parses_as: Mapping[str, str] | None = None,
    unchecked: Collection[str] = (),
) -> pl.DataFrame:
    """All failures of one partition, causes without what merely follows from them.

    A line with another number of fields fails by that alone.  Where a text did not parse, checks across columns and
    columns derived from it say nothing new.

    Returns
    -------
    DataFrame with columns row (index in ``raw`` and ``tidy``), column (null for a check across columns), check and
    value (as text), sorted; one line per failed check, so a row may appear several times.

    Raises
    ------
    ValueError
        When the table itself is not as declared (a column is missing, extra or of another type), which no
        quarantine of rows can mend.
    """
    broken = _broken_lines(raw)
    unparsed = _unparsed(raw, tidy, parsed_from, null_texts, parses_as or {})
    few = len(tidy) <= FEW and _all_pass(tidy, schema, unchecked)
    judged = pl.DataFrame(schema=FAILURES) if few else _judged(tidy, schema)
    # a text that did not parse is also null: say so once, with the text
    is_null = pl.col("check") == "not_nullable"
    repeated = judged.filter(is_null).join(unparsed, on=["row", "column"], how="semi")
    derived = pl.col("column").is_null() | (is_null & ~pl.col("column").is_in([*parsed_from, *raw.columns]))
    followed = judged.filter(derived).join(unparsed, on="row", how="semi")
    judged = judged.join(pl.concat([repeated, followed]), on=["row", "column", "check"], how="anti", nulls_equal=True)
    told = pl.concat([unparsed, judged]).join(broken, on="row", how="anti")
    return pl.concat([broken, told]).sort("row", "column", "check", nulls_last=True)


def _broken_lines(raw: pl.DataFrame) -> pl.DataFrame:
    if LINE not in raw.columns:
        return pl.DataFrame(schema=FAILURES)
    return (
        raw.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), pl.col(LINE).alias("value"))
        .drop_nulls()
        .select("row", pl.lit(None, pl.String).alias("column"), pl.lit("number_of_fields").alias("check"), "value")
    )


def _unparsed(
    raw: pl.DataFrame,
    tidy: pl.DataFrame,
    parsed_from: Mapping[str, str | tuple[str, ...]],
    null_texts: Sequence[str],
    parses_as: Mapping[str, str],
) -> pl.DataFrame:
    found = [pl.DataFrame(schema=FAILURES)]
    for column, source in parsed_from.items():
        empty = tidy[column].is_null().arg_true()  # the texts are looked at only where nothing came of them
        if not len(empty):
            continue
        names = list(_names(source))
        is_present = {name: ~is_nothing(name, null_texts) for name in names}
        kind = tidy.schema[column]
        value = pl.concat_str(names, separator=" ", ignore_nulls=True)
        check = pl.lit(f"parses as {parses_as.get(column, kind)}")
        if kind.is_numeric():
            check = pl.when(value.str.contains(DECIMAL_COMMA)).then(pl.lit("decimal point")).otherwise(check)
        for name in names[::-1] if len(names) > 1 else ():  # of several texts, the first that is not there
            check = pl.when(is_present[name]).then(check).otherwise(pl.lit(f"{name} not empty"))
        lost = raw.select(names)[empty].with_columns(empty.cast(pl.UInt32).alias("row"))
        found.append(
            lost.filter(pl.any_horizontal(is_present.values())).select(
                "row", pl.lit(column).alias("column"), check.alias("check"), value.alias("value")
            )
        )
    return pl.concat(found)


def is_nothing(name: str, null_texts: Sequence[str]) -> pl.Expr:
    """Whether a published column holds no value in a row."""
    return pl.col(name).is_null() | pl.col(name).str.strip_chars().is_in(list(null_texts))


def _all_pass(tidy: pl.DataFrame, schema: pa.DataFrameSchema, unchecked: Collection[str]) -> bool:
    """Whether every check holds, each asked once: of a request's few rows, Pandera's own ceremony takes most time.

    No where anything is out of the ordinary: then Pandera judges, and tells what failed.
    """
    if schema.unique or {*tidy.columns} != {*schema.columns}:
        return False
    schema.register_default_backends(type(tidy))
    rows, asked = tidy.lazy(), [(check, "*") for check in schema.checks]
    for name, column in schema.columns.items():
        if name in unchecked:
            continue
        found = tidy[name]
        if column.dtype.type != found.dtype or column.unique or (found.null_count() and not column.nullable):
            return False
        asked += [(check, name) for check in column.checks]
    return all(bool(check(rows, name).check_passed.collect().item()) for check, name in asked)


def _judged(tidy: pl.DataFrame, schema: pa.DataFrameSchema) -> pl.DataFrame:
    import pandera.errors

    try:
        schema.validate(tidy, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases: pl.DataFrame = error.failure_cases
    else:
        return pl.DataFrame(schema=FAILURES)
    structural = cases.filter(pl.col("index").is_null())
    if len(structural):
        told = [f"{case['check']}: {case['column'] or ''} {case['failure_case']}" for case in structural.to_dicts()]
        raise ValueError("the table is not as its schema declares: " + "; ".join(told))
    return cases.select(
        pl.col("index").cast(pl.UInt32).alias("row"),
        pl.when(pl.col("schema_context") == "Column").then(pl.col("column")).alias("column"),
        pl.col("check"),
        pl.when(pl.col("schema_context") == "Column").then(pl.col("failure_case")).alias("value"),
    )


def split_rows(raw: pl.DataFrame, tidy: pl.DataFrame, failures: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tidy rows without a failure, and the published rows with one (index and reasons first): none is lost."""
    reasons = failures.group_by("row", maintain_order=True).agg(pl.struct("column", "check", "value").alias("failures"))
    rows = reasons["row"]
    own = {name: f"{name} (published)" for name in reasons.columns if name in raw.columns}
    quarantined = reasons.hstack(raw[rows].rename(own))
    passes = np.ones(len(tidy), dtype=bool)
    passes[rows.to_numpy()] = False
    return tidy.filter(pl.Series(passes)) if len(rows) else tidy, quarantined


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
    """The columns of `Dataset.featurize` for tidy ``rows``, one line each, in their order.

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
    told = [name for name in dataset.identity if name in rows.columns]
    if not frame.select(told).equals(rows.select(told)):
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
