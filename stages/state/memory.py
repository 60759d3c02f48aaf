"""What is known now?  The seed of a bundle, and over it the facts that have been heard since, by the same rule.

Summaries and contexts are made when first asked for, and kept until something changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Table
from stages.records.prepare import build_context
from stages.state.facts import Fact, from_facts, levels_of, tidy_schema
from stages.state.seed import Seed

CLOCKS_APART = timedelta(hours=26)
"""By the clocks of two places, a row that comes first may seem so much later."""


@dataclass(frozen=True)
class Memory:
    """What is known of open partitions (rows, in order of their moment), closed ones (summaries) and joined tables."""

    seed: Seed
    rows: Mapping[str, pl.DataFrame]
    references: Mapping[str, pl.DataFrame]
    _summaries: dict[str, pl.DataFrame] = field(default_factory=dict)
    _contexts: dict[str, tuple[Any, datetime]] = field(default_factory=dict)
    """With the first moment that may ask for a count which is not in it yet."""
    _turn: Lock = field(default_factory=Lock)

    def after(self, facts: Mapping[str, Sequence[Fact]]) -> Memory:
        """What is known when these facts have been heard as well; those of closed partitions are counted already."""
        dataset = self.seed.dataset
        told = {t.name: from_facts(facts[t.name], tidy_schema(t)) for t in dataset.references if facts.get(t.name)}
        heard: dict[str, list[Fact]] = {}
        for fact in facts.get(dataset.records.name, ()):
            if fact.partition >= self.seed.open:
                heard.setdefault(fact.partition, []).append(fact)
        schema = tidy_schema(dataset.records)
        return self.with_rows({name: from_facts(rows, schema) for name, rows in heard.items()}, told)

    def with_rows(self, heard: Mapping[str, pl.DataFrame], told: Mapping[str, pl.DataFrame]) -> Memory:
        """What is known with further rows, by partition, and further rows of joined tables, by table."""
        dataset, rows = self.seed.dataset, dict(self.rows)
        references = dict(self.references)
        for table in dataset.references:
            if table.name in told:
                references[table.name] = replaced(table, references[table.name], told[table.name])
        with self._turn:
            summaries, contexts = dict(self._summaries), {} if told else dict(self._contexts)
        for name, news in heard.items():
            old = self.rows_of(name)
            newer = newer_rows(dataset, old, news)
            rows[name] = in_order(dataset, replaced(dataset.records, old, newer))
            contexts = self._count(name, old, newer, summaries, contexts)
        return Memory(self.seed, rows, references, summaries, contexts)

    def _count(
        self,
        partition: str,
        old: pl.DataFrame,
        news: pl.DataFrame,
        summaries: dict[str, pl.DataFrame],
        contexts: dict[str, tuple[Any, datetime]],
    ) -> dict[str, tuple[Any, datetime]]:
        """Add what ``news`` count to a summary; returns the contexts that still hold, and until when.

        Where a row was counted before, as when it is corrected, the partition is counted again.
        """
        dataset = self.seed.dataset
        before = old.join(news, on=list(dataset.records.key), how="semi", nulls_equal=True)
        if partition not in summaries or dataset.asked_from is None or len(dataset.summarize(before)):
            summaries.pop(partition, None)
            return {}
        fresh = dataset.summarize(news)
        if fresh.is_empty():
            return contexts
        summaries[partition] = pl.concat([summaries[partition], fresh])
        first: Any = dataset.asked_from(fresh).min()
        return {name: (context, min(first, until)) for name, (context, until) in contexts.items()}

    def context_of(self, partition: str, last: datetime = datetime.min) -> Any:
        """What the rows of a partition may know beyond it, up to the moment ``last``."""
        dataset = self.seed.dataset
        with self._turn:
            context, until = self._contexts.get(partition, (None, datetime.min))
            if partition not in self._contexts or last >= until:
                partitions = sorted({*self.seed.summaries, *self.rows, partition})
                reached = [self._summary(name) for name in dataset.reach(partition, partitions)]
                context = build_context(dataset, reached, self.references, complete=self.seed.complete)
                self._contexts[partition] = context, datetime.max
            return context

    def _summary(self, partition: str) -> pl.DataFrame:
        if partition in self.seed.summaries:
            return self.seed.summaries[partition]
        if partition not in self._summaries:
            self._summaries[partition] = self.seed.dataset.summarize(self.rows_of(partition))
        return self._summaries[partition]

    def rows_of(self, partition: str) -> pl.DataFrame:
        """All rows that are known of an open partition."""
        known = self.rows.get(partition)
        return pl.DataFrame(schema=tidy_schema(self.seed.dataset.records)) if known is None else known

    def around(self, partition: str, first: datetime, last: datetime) -> pl.DataFrame:
        """The rows of a partition that rows of these moments may look at, and later ones that no feature knows."""
        dataset, known = self.seed.dataset, self.rows_of(partition)
        if dataset.looks_back is None or dataset.moment is None:
            return known.clear()
        at = dataset.moment(known).to_numpy()
        ends = np.array([first - dataset.looks_back, last + CLOCKS_APART], "datetime64[us]")
        return known[int(np.searchsorted(at, ends[0])) : int(np.searchsorted(at, ends[1], side="right"))]


def remember(seed: Seed) -> Memory:
    """What a bundle alone knows."""
    rows = {seed.open: in_order(seed.dataset, seed.rows)} if len(seed.rows) else {}
    return Memory(seed, rows, seed.references)


def replaced(table: Table, old: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
    """``old`` with the rows of ``news`` in the place of those with the same key."""
    return pl.concat([old.join(news, on=list(table.key), how="anti", nulls_equal=True, maintain_order="left"), news])


def newer_rows(dataset: Dataset, old: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
    """Of ``news``, those that know most of each key, of several the last; if they know at least as much as the old."""
    key = list(dataset.records.key)
    before = old.select(*key, levels_of(dataset, old).alias("_before"))
    found = news.with_columns(levels_of(dataset, news).alias("_level")).sort("_level", maintain_order=True)
    found = found.unique(key, keep="last", maintain_order=True)
    found = found.join(before, on=key, how="left", nulls_equal=True, maintain_order="left")
    return found.filter(pl.col("_before").is_null() | (pl.col("_level") >= pl.col("_before"))).select(news.columns)


def in_order(dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the order of their moments."""
    if dataset.moment is None or (at := dataset.moment(rows)).is_sorted():
        return rows
    return rows[at.arg_sort()]
