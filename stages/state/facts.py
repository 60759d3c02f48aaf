"""Which tidy row is a newer account of the same thing?  Rows as facts: a key, how much of the outcome is told, a text.

A row knows so many of `Dataset.outcomes` as it tells of: none while it is scheduled, one when it has departed, all when
it has landed.  One rule decides between two accounts of a key: **the one that knows more stands; of two that know the
same, the last one told**.  So a schedule that comes late never takes back an outcome, and a correction counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from stages.records.contract import Dataset, Outcome, Table
from stages.records.failures import FAILURES, is_nothing, source_names
from stages.records.prepare import judge_rows

NO_PARTITION = ""


class Fact(NamedTuple):
    """A tidy row as it is kept."""

    key: str
    partition: str
    level: int
    row: str


# ── how much a row knows ─────────────────────────────────────────────────────────────────────────────────────────────
def levels_of(dataset: Dataset, tidy: pl.DataFrame) -> pl.Series:
    """How many outcomes each tidy row tells of, counted up to the last one that it tells anything of."""
    told = [_any_of(outcome.columns, tidy.columns) for outcome in dataset.outcomes]
    return tidy.select(_last(told, len(tidy)).alias("level"))["level"]


def published_levels(dataset: Dataset, published: pl.DataFrame) -> pl.Series:
    """The same of published rows, whether or not what they tell can be parsed."""
    table = dataset.records
    told = []
    for outcome in dataset.outcomes:
        sources = [name for tidy in outcome.columns for name in sources_of(table, tidy) if name in published.columns]
        given = [~is_nothing(name, table.null_texts) for name in sources]
        told.append(pl.any_horizontal(given) if given else pl.lit(False))
    return published.select(_last(told, len(published)).alias("level"))["level"]


def _any_of(columns: Sequence[str], present: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).is_not_null() for name in columns if name in present)


def _last(told: Sequence[pl.Expr], rows: int) -> pl.Expr:
    level = pl.repeat(0, rows, dtype=pl.Int8)
    for place, each in enumerate(told, 1):
        level = pl.when(each).then(pl.lit(place, pl.Int8)).otherwise(level)
    return level


def sources_of(table: Table, tidy: str) -> tuple[str, ...]:
    """The published columns that a tidy one is parsed from; none where it follows from others."""
    return source_names(table.parsed_from.get(tidy, ()))


def unknown_at(dataset: Dataset, level: int) -> frozenset[str]:
    """The forbidden columns that a row of this level does not tell: with the last outcome, all are told."""
    if dataset.outcomes and level == len(dataset.outcomes):
        return frozenset()
    return dataset.forbidden - {name for outcome in dataset.outcomes[:level] for name in outcome.columns}


def known_by(outcomes: Iterable[Outcome], forbidden: Iterable[str], tidy: pl.DataFrame, at: object) -> pl.DataFrame:
    """``tidy`` without what became known after ``at``; what belongs to no outcome is known with the last."""
    seen = pl.repeat(True, len(tidy), eager=True)
    for outcome in outcomes:
        seen = (outcome.known(tidy) <= at).fill_null(False)
        tidy = tidy.with_columns(pl.when(seen).then(pl.col(name)).alias(name) for name in outcome.columns)
    others = [name for name in forbidden if name in tidy.columns and not any(name in o.columns for o in outcomes)]
    return tidy.with_columns(pl.when(seen).then(pl.col(name)).alias(name) for name in others)


# ── published rows → facts ───────────────────────────────────────────────────────────────────────────────────────────
def take_in(dataset: Dataset, table: Table, published: pl.DataFrame) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Judge published rows by the line's own checks, each by what it can tell already.

    Returns
    -------
    The tidy rows that pass, with their index, partition and level in the columns ``_row``, ``_partition``, ``_level``,
    those that know less first; and what failed: row, column, check, value.
    """
    published, is_record = derive(table, published), table is dataset.records
    level = (
        published_levels(dataset, published) if is_record else pl.repeat(0, len(published), dtype=pl.Int8, eager=True)
    )
    named = pl.lit(None, pl.String) if table.partition_of is None else table.partition_of
    place = published.with_row_index("_row").select(
        "_row", named.fill_null(NO_PARTITION).alias("_partition"), level.alias("_level")
    )
    passed, failures = [], [pl.DataFrame(schema=FAILURES)]
    for rows in sorted(
        place.partition_by("_level", "_partition", maintain_order=True), key=lambda rows: rows.item(0, 2)
    ):
        _, partition, known = rows.row(0)
        unknown = unknown_at(dataset, known) if is_record else frozenset[str]()
        judged = judge_rows(table, published[rows["_row"]], partition, unknown=unknown)
        kept = rows.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(judged.quarantined["row"].implode()))
        passed.append(judged.passed.hstack(kept))
        told = judged.quarantined.select("row", "failures").explode("failures").unnest("failures")
        failures.append(told.with_columns(rows["_row"].gather(told["row"]).alias("row")))
    return passed, pl.concat(failures).sort("row")


def derive(table: Table, published: pl.DataFrame) -> pl.DataFrame:
    """``published`` with the columns that follow from others, where they were left out."""
    return published.with_columns(
        expression.alias(name) for name, expression in table.derived.items() if name not in published.columns
    )


def wanted_columns(dataset: Dataset, table: Table) -> tuple[str, ...]:
    """The published columns that a row cannot do without: no outcome, nothing that follows from the others."""
    tidy_of: dict[str, set[str]] = {}
    for tidy in table.parsed_from:
        for source in sources_of(table, tidy):
            tidy_of.setdefault(source, set()).add(tidy)
    later = {source for source, tidy in tidy_of.items() if tidy <= dataset.forbidden}
    return tuple(name for name in table.columns if name not in table.derived and name not in later)


# ── tidy rows and texts ──────────────────────────────────────────────────────────────────────────────────────────────
def to_facts(table: Table, tidy: pl.DataFrame) -> list[Fact]:
    """Tidy rows with ``_partition`` and ``_level`` as facts.  Numbers keep every bit: a float as its shortest text."""
    rows = _physical(tidy.drop("_row", "_partition", "_level", strict=False))
    keys = rows.select(table.key).rows()
    texts = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows.rows()]
    told = zip(keys, tidy["_partition"], tidy["_level"], texts, strict=True)
    return [Fact(json.dumps(key, ensure_ascii=False), partition, level, text) for key, partition, level, text in told]


def from_facts(facts: Sequence[Fact], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The tidy rows of facts, in their order."""
    rows = json.loads(f"[{','.join(fact.row for fact in facts)}]")
    physical = _physical(pl.DataFrame(schema=schema)).schema
    return pl.DataFrame(rows, schema=physical, orient="row").cast(dict(schema))  # type: ignore[arg-type]


def _physical(tidy: pl.DataFrame) -> pl.DataFrame:
    return tidy.with_columns(pl.col(name).to_physical() for name, kind in tidy.schema.items() if kind.is_temporal())


def tidy_schema(table: Table) -> dict[str, pl.DataType]:
    """The columns of a tidy row and their types."""
    return dict(table.parse(pl.DataFrame(schema=dict.fromkeys(table.columns, pl.String))).schema)


def newer(old: Mapping[str, Fact], new: Iterable[Fact]) -> dict[str, Fact]:
    """The facts that change something, by key: see the rule above."""
    changed: dict[str, Fact] = {}
    for fact in new:
        before = changed.get(fact.key) or old.get(fact.key)
        if before is None or (fact.level >= before.level and fact != before):
            changed[fact.key] = fact
    return {key: fact for key, fact in changed.items() if fact != old.get(key)}
