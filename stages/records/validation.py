"""Which rows may pass?  Every failed check of every row, found in one lazy pass of Pandera over one partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandera.polars as pa
import polars as pl

FAILURES = {"row": pl.UInt32, "column": pl.String, "check": pl.String, "value": pl.String}


def find_failures(
    raw: pl.DataFrame,
    tidy: pl.DataFrame,
    schema: pa.DataFrameSchema,
    parsed_from: Mapping[str, str | tuple[str, ...]],
    null_texts: Sequence[str],
) -> pl.DataFrame:
    """All failures of one partition.

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
    unparsed = _unparsed(raw, tidy, parsed_from, null_texts)
    judged = _judged(tidy, schema)
    # a text that did not parse is also null: say so once, with the text
    repeated = judged.filter(pl.col("check") == "not_nullable").join(unparsed, on=["row", "column"], how="semi")
    judged = judged.join(repeated, on=["row", "column", "check"], how="anti")
    return pl.concat([unparsed, judged]).sort("row", "column", "check", nulls_last=True)


def _unparsed(
    raw: pl.DataFrame, tidy: pl.DataFrame, parsed_from: Mapping[str, str | tuple[str, ...]], null_texts: Sequence[str]
) -> pl.DataFrame:
    found = [pl.DataFrame(schema=FAILURES)]
    for column, source in parsed_from.items():
        empty = tidy[column].is_null().arg_true()  # the texts are looked at only where nothing came of them
        if not len(empty):
            continue
        names = [source] if isinstance(source, str) else list(source)
        is_present = pl.col(names).is_not_null() & ~pl.col(names).str.strip_chars().is_in(list(null_texts))
        lost = raw.select(names)[empty].with_columns(empty.cast(pl.UInt32).alias("row"))
        found.append(
            lost.filter(pl.any_horizontal(is_present)).select(
                "row",
                pl.lit(column).alias("column"),
                pl.lit(f"parses as {tidy.schema[column]}").alias("check"),
                pl.concat_str(names, separator=" ", ignore_nulls=True).alias("value"),
            )
        )
    return pl.concat(found)


def _judged(tidy: pl.DataFrame, schema: pa.DataFrameSchema) -> pl.DataFrame:
    try:
        schema.validate(tidy, lazy=True)
    except pa.errors.SchemaErrors as error:
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
    quarantined = reasons.hstack(raw[rows])
    passes = np.ones(len(tidy), dtype=bool)
    passes[rows.to_numpy()] = False
    return tidy.filter(pl.Series(passes)) if len(rows) else tidy, quarantined
