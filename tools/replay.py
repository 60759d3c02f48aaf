"""Is what is served what was evaluated?  The last months again, fact by fact, each flight asked at its moment.

A bundle is made of what the line knew before these months; then every fact is told in the order in which it became
known, through `ingest`'s own path: schedules a day ahead, departures and arrivals at their minute, reports when they
had been made.  At each scheduled minute the rows of that minute are asked about as published, without outcome, and
their features are compared with those of ``data/features``, bit for bit.

    python -m tools.replay nycflights --first 2013-11
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from tqdm import tqdm

from stages.features.table import SUMMARIES
from stages.records.contract import Dataset, load_dataset
from stages.state.facts import Fact, sources_of, take_in, to_facts
from stages.state.locations import open_store
from stages.state.memory import remember
from stages.state.requests import Known
from stages.state.seed import Seed, partitions_kept
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import read_manifest

AHEAD = timedelta(days=1)
"""So long before its moment a row is scheduled."""


@dataclass(frozen=True)
class Line:
    """What the line made of a dataset: published and clean rows, features, summaries, by partition; joined tables."""

    dataset: Dataset
    published: Mapping[str, pl.DataFrame]
    clean: Mapping[str, pl.DataFrame]
    features: Mapping[str, pl.DataFrame]
    summaries: Mapping[str, pl.DataFrame]
    references: Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Replayed:
    """What came of it: rows asked about, moments, facts told, and the features that differ."""

    rows: int
    moments: int
    facts: int
    different: list[tuple[Any, ...]]


Told = tuple[datetime, str, Fact]
"""When a fact becomes known, of which table."""


def main(*arguments: str) -> None:
    """Replay the last partitions of a dataset; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m tools.replay", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--first", required=True, metavar="PARTITION", help="the first that is told anew")
    parser.add_argument("--early-min", type=int, default=0, help="minutes by which outcomes are told before they count")
    parser.add_argument("--days", type=int, help="stop after so many")
    parser.add_argument("--every", type=int, default=1, help="ask at one moment in so many; every fact is told")
    options = parser.parse_args(arguments)
    line, start = read_line(options.dataset), time.perf_counter()
    days = None if options.days is None else timedelta(days=options.days)
    with tempfile.TemporaryDirectory() as folder:
        early = timedelta(minutes=options.early_min)
        found = replay(line, options.first, f"{folder}/state.sqlite", early=early, days=days, every=options.every)
    seconds = time.perf_counter() - start
    for each in found.different[:20]:
        print(*each)
    print(
        f"{options.dataset} from {options.first}: {found.rows:,} rows at {found.moments:,} moments, "
        f"{found.facts:,} facts told, {len(found.different):,} features differ; {seconds:.0f} s"
    )
    if found.different:
        sys.exit(1)


def read_line(name: str) -> Line:
    """What the line left in the workspace."""
    dataset, clean = load_dataset(name), layout.clean(name)
    partitions = [part["name"] for part in read_manifest(clean)["records"]["partitions"]]
    features = layout.features(name)
    return Line(
        dataset=dataset,
        published={part: dataset.records.read(layout.raw(name), part) for part in partitions},
        clean={part: pl.read_parquet(clean / f"{part}.parquet") for part in partitions},
        features={part: pl.read_parquet(features / f"{part}.parquet") for part in partitions},
        summaries={part: pl.read_parquet(features / SUMMARIES / f"{part}.parquet") for part in partitions},
        references={t.name: pl.read_parquet(clean / "references" / f"{t.name}.parquet") for t in dataset.references},
    )


def replay(
    line: Line,
    first: str,
    location: str,
    *,
    early: timedelta = timedelta(),
    days: timedelta | None = None,
    every: int = 1,
) -> Replayed:
    """Tell and ask, moment by moment, from the partition ``first`` on.

    Parameters
    ----------
    early
        How long before the line would count it the last outcome of a row is told.
    days
        Stop so long after the first moment.
    every
        Ask at one moment in so many.
    """
    dataset, partitions = line.dataset, [name for name in line.clean if name >= first]
    moments = list(each_moment(line, partitions))
    start, end = moments[0][0], moments[0][0] + days if days else datetime.max
    news = sorted([*outcomes_told(line, partitions, early), *references_told(line, start)], key=lambda told: told[0])
    store = open_store(location, dataset.name)
    known = Known(remember(seed_before(line, first, start)), store)
    told, asked, different = 0, 0, list[tuple[Any, ...]]()
    done = 0
    for at, rows, made in tqdm(moments[::every], unit=" moments", disable=None):
        if at > end:
            break
        facts: dict[str, list[Fact]] = {}
        while told < len(news) and news[told][0] <= at:
            facts.setdefault(news[told][1], []).append(news[told][2])
            told += 1
        if facts:
            store.update(facts)
        known.refresh()
        prepared = known.prepare(rows)
        different += differences(dataset, prepared.features, made.select(prepared.features.columns))
        asked, done = asked + len(prepared.rows), done + 1
    store.close()
    return Replayed(asked, done, told, different)


def seed_before(line: Line, first: str, start: datetime | None) -> Seed:
    """What the line knew before a partition, and of joined tables all that it knows, or what was known at ``start``."""
    before = [name for name in line.clean if name < first]
    if not before:
        raise UserError("a partition before the first that is replayed", f"none before {first}", "start later")
    references = {
        table.name: line.references[table.name]
        if table.known is None or start is None
        else line.references[table.name].filter(table.known(line.references[table.name]) <= start)
        for table in line.dataset.references
    }
    kept = {name: line.summaries[name] for name in partitions_kept(line.dataset, before)}
    return Seed(line.dataset, before[-1], line.clean[before[-1]], kept, references)


def references_told(line: Line, start: datetime) -> Iterator[Told]:
    """Rows of joined tables, each when it becomes known."""
    for table in line.dataset.references:
        if table.known is not None:
            rows = line.references[table.name].filter(table.known(line.references[table.name]) > start)
            facts = to_facts(table, rows.with_columns(_partition=pl.lit(""), _level=pl.lit(0)))
            yield from zip(table.known(rows), [table.name] * len(rows), facts, strict=True)


def outcomes_told(line: Line, partitions: list[str], early: timedelta) -> Iterator[Told]:
    """Rows as published, each without what is not known yet: a day ahead, and again when each outcome is known."""
    dataset, table = line.dataset, line.dataset.records
    for name in partitions:
        clean, published = line.clean[name], line.published[name]
        known = [moments_of(dataset, clean) - AHEAD, *(outcome.known(clean) for outcome in dataset.outcomes)]
        known[-1] = known[-1] - early
        for level, at in enumerate(known):
            later = [s for o in dataset.outcomes[level:] for column in o.columns for s in sources_of(table, column)]
            when = clean.select(*table.key, at.alias("_at")).drop_nulls("_at")
            for rows in take_in(dataset, table, published.drop(later))[0]:
                rows = rows.filter(pl.col("_level") == level)
                timed = rows.join(when, on=list(table.key), how="inner", nulls_equal=True, maintain_order="left")
                yield from zip(timed["_at"], [table.name] * len(timed), to_facts(table, timed.drop("_at")), strict=True)


def each_moment(line: Line, partitions: list[str]) -> Iterator[tuple[datetime, pl.DataFrame, pl.DataFrame]]:
    """Of each moment in order: the rows as published, without outcome, and the features that the line made of them."""
    dataset, table = line.dataset, line.dataset.records
    hidden = {s for outcome in dataset.outcomes for column in outcome.columns for s in sources_of(table, column)}
    key = list(table.key)
    for name in partitions:
        asked = line.published[name].drop(hidden)
        places = pl.concat(take_in(dataset, table, line.published[name])[0]).select(*key, "_row")
        clean = (
            line.clean[name].with_row_index("_made").with_columns(moments_of(dataset, line.clean[name]).alias("_at"))
        )
        rows = clean.join(places, on=key, nulls_equal=True, maintain_order="left").sort("_at", maintain_order=True)
        for group in rows.partition_by("_at", maintain_order=True):
            yield group["_at"][0], asked[group["_row"]], line.features[name][group["_made"]]


def moments_of(dataset: Dataset, rows: pl.DataFrame) -> pl.Series:
    """When each row is asked about; rows without an order in time cannot be replayed."""
    if dataset.moment is None:
        raise UserError("rows with an order in time, to tell them again", f"none in {dataset.name}", "name another")
    return dataset.moment(rows)


def differences(dataset: Dataset, served: pl.DataFrame, made: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Identity, feature, what was served, what the line made; nothing where all bits are equal."""
    if served.equals(made) and served.schema == made.schema:
        return
    if len(served) != len(made):
        yield ("rows", len(served), len(made))
        return
    for name in served.columns:
        for place in (served[name].ne_missing(made[name])).arg_true():
            yield (*(served[n][place] for n in dataset.identity), name, served[name][place], made[name][place])


if __name__ == "__main__":
    run_stage(main)
