"""Why does a row not pass?  Every failed check of parsed rows, causes without what merely follows from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from stages.records.lines import LINE

if TYPE_CHECKING:  # takes most of a second to import, and only judging needs it
    import pandera.polars as pa

FEW = 4096  # rows
DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"
FAILURES: dict[str, type[pl.DataType]] = {"row": pl.UInt32, "column": pl.String, "check": pl.String, "value": pl.String}


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
        names = list(source_names(source))
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


def source_names(source: str | tuple[str, ...]) -> tuple[str, ...]:
    """The published columns that a tidy one is parsed from."""
    return (source,) if isinstance(source, str) else source
