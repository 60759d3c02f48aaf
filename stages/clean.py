"""Parse the published tables of one dataset, let the valid rows pass and keep the others with their reasons.

Reads   data/raw/<dataset>            the files as published
Writes  data/clean/<dataset>          tidy partitions, references/, manifest.json
        data/quarantine/<dataset>     rows that failed, as published, with column, check and value
        metrics/<dataset>/clean.json  rows in = rows clean + rows quarantined, failures by check
Params  datasets.<dataset>.clean, seed
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from stages.datasets.contract import Dataset, Table, load_dataset
from stages.edges import layout
from stages.edges.cluster import map_partitions
from stages.edges.errors import UserError, run_stage
from stages.edges.files import read_manifest, start_folder, write_json, write_manifest, write_parquet
from stages.edges.log import log, start_log
from stages.edges.settings import Settings, read_cluster, read_seed, read_settings
from stages.methods.seeds import child_seed
from stages.methods.validation import find_failures, split_rows

# what damaged bytes end in, found by flipping single bits; RuntimeError: an unknown compression, an encrypted member
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, pl.exceptions.PolarsError)


class CleanSettings(Settings):
    """``datasets.<dataset>.clean``."""

    sample: float = Field(gt=0, le=1, description="share of the published records that are read")
    max_quarantined_share: float = Field(ge=0, le=1, description="the run stops when more rows fail")
    max_missing_days: int = Field(ge=0, description="the run stops when the calendar has more gaps")


@dataclass(frozen=True)
class Judged:
    """Mergeable facts about one cleaned partition."""

    table: str
    partition: str
    published: int
    clean: int
    quarantined: int
    failures: Counter[str]
    key_range: tuple[Any, Any] | None
    days: frozenset[date] = frozenset()
    unlabelled: Counter[str] = field(default_factory=Counter)

    @property
    def rows_in(self) -> int:
        """Rows that were read: every one is either clean or quarantined."""
        return self.clean + self.quarantined


def main(name: str) -> None:
    """Clean every partition of the dataset ``name``."""
    settings = read_settings(CleanSettings, name, "clean")
    dataset, cluster, seed = load_dataset(name), read_cluster(), read_seed()
    raw = layout.raw(name)
    read_manifest(raw)
    for folder in (layout.clean(name), layout.quarantine(name)):
        start_folder(folder)

    work = [
        (table, partition) for table in (dataset.records, *dataset.references) for partition in _partitions(table, raw)
    ]
    judge = partial(clean_partition, dataset=dataset, raw=raw, sample=settings.sample, seed=seed)
    judged = map_partitions(judge, work, cluster=cluster, label=f"{name}: clean")

    records = [part for part in judged if part.table == dataset.records.name]
    days = sorted(frozenset().union(*(part.days for part in records)))
    missing = missing_days(days)
    write_manifest(layout.quarantine(name), _quarantine_manifest(name, judged))
    write_json(layout.metrics(name) / "clean.json", summarize(dataset, judged, days, missing))
    refuse(name, settings, judged, missing)
    refuse_shared_keys(dataset, judged)
    write_manifest(layout.clean(name), _clean_manifest(dataset, judged))
    total, bad = sum(part.rows_in for part in judged), sum(part.quarantined for part in judged)
    log.info("%s: %s rows in, %s clean, %s quarantined", name, f"{total:,}", f"{total - bad:,}", f"{bad:,}")


def clean_partition(
    item: tuple[Table, str], *, dataset: Dataset, raw: Path, sample: float = 1.0, seed: int = 0
) -> Judged:
    """Read, parse, judge and write one partition of one table; returns its facts."""
    table, partition = item
    is_record = table is dataset.records
    rows = read_partition(table, raw, partition)
    published = len(rows)
    if is_record and sample < 1:
        draw = np.random.default_rng(child_seed(seed, "sample", dataset.name, partition))
        rows = rows.filter(pl.Series(draw.random(published) < sample))
    try:
        tidy = table.parse(rows)
        failures = find_failures(rows, tidy, table.schema(partition), table.parsed_from, table.null_texts)
    except ValueError as error:
        raise _not_as_declared(table, partition, str(error)) from error
    passed, quarantined = split_rows(rows, tidy, failures)
    if len(rows) != len(passed) + len(quarantined):
        raise AssertionError(f"{table.name} {partition}: a row was lost between {len(rows)} in and those out")
    write_parquet(_clean_path(dataset, table, partition), passed)
    write_parquet(layout.quarantine(dataset.name) / table.name / f"{partition}.parquet", quarantined)
    first = passed[table.key[0]]
    return Judged(
        table=table.name,
        partition=partition,
        published=published,
        clean=len(passed),
        quarantined=len(quarantined),
        failures=Counter(f"{table.name}: {column or 'row'} {check}" for _, column, check, _ in failures.iter_rows()),
        key_range=(first.min(), first.max()) if len(first) else None,
        days=frozenset(passed[table.day].unique().to_list()) if is_record and table.day else frozenset(),
        unlabelled=Counter(dataset.unlabelled(passed).drop_nulls().to_list()) if is_record else Counter(),
    )


def read_partition(table: Table, raw: Path, partition: str) -> pl.DataFrame:
    """The published rows; unreadable bytes and missing columns are refused, further columns are ignored."""
    with reading(table, partition):
        rows = table.read(raw, partition)
    lacking = [column for column in table.columns if column not in rows.columns]
    if lacking:
        raise _not_as_declared(table, partition, f"no column {', '.join(lacking)} among {', '.join(rows.columns[:30])}")
    extra = [column for column in rows.columns if column not in table.columns]
    if extra:
        log.info("%s %s: unknown columns ignored: %s", table.name, partition, ", ".join(extra))
    return rows


def _partitions(table: Table, raw: Path) -> list[str]:
    with reading(table, "any partition"):
        partitions = table.partitions(raw)
    if not partitions:
        raise _not_as_declared(table, "any partition", "not one row that names its partition")
    return partitions


@contextmanager
def reading(table: Table, partition: str) -> Iterator[None]:
    """Turn what a missing or damaged file ends in into a `UserError` about ``table``."""
    try:
        yield
    except FileNotFoundError as error:
        found = f"no such file: {error.filename or error}"
        again = "run `dvc repro` from the download stage on; if it stays away, compare the sources under params/"
        raise UserError(f"the published file of {table.name}", found, again) from error
    except UNREADABLE as error:
        found = str(error).strip().splitlines()[0] if str(error).strip() else "nothing more"
        raise _not_as_declared(table, partition, f"{type(error).__name__}: {found}") from error


def _not_as_declared(table: Table, partition: str, found: str) -> UserError:
    return UserError(
        f"{table.name} ({partition}) as published, with the columns {', '.join(table.columns[:6])}, …",
        found,
        "look at the file under data/raw; if the publisher changed its format, adapt the dataset's module",
    )


def missing_days(days: list[date]) -> list[date]:
    """Days without a row between the first and the last."""
    if not days:
        return []
    present = set(days)
    return [day for n in range((days[-1] - days[0]).days) if (day := days[0] + timedelta(days=n)) not in present]


def refuse(name: str, settings: CleanSettings, judged: list[Judged], missing: list[date]) -> None:
    """Stop the run when nothing is left, too many rows failed, or the calendar has gaps."""
    for table in dict.fromkeys(part.table for part in judged):
        parts = [part for part in judged if part.table == table]
        rows, bad = sum(part.rows_in for part in parts), sum(part.quarantined for part in parts)
        if rows == bad:
            raise UserError(f"rows of {table} to work with", f"{rows} rows in, {bad} quarantined", _look(name))
        if bad / rows > settings.max_quarantined_share:
            worst = sum((part.failures for part in parts), Counter()).most_common(3)
            raise UserError(
                f"at most {settings.max_quarantined_share:.2%} of {table} in quarantine",
                f"{bad:,} of {rows:,} rows ({bad / rows:.2%}), most by " + "; ".join(f"{c} ({n:,})" for c, n in worst),
                f"{_look(name)}; raise datasets.{name}.clean.max_quarantined_share only when they are rightly there",
            )
    if len(missing) > settings.max_missing_days:
        told = ", ".join(str(day) for day in missing[:5]) + (" …" if len(missing) > 5 else "")
        raise UserError(
            f"at most {settings.max_missing_days} days without a record of {name}",
            f"{len(missing)} days missing: {told}",
            f"fetch what is missing, or raise datasets.{name}.clean.max_missing_days",
        )


def refuse_shared_keys(dataset: Dataset, judged: list[Judged]) -> None:
    """Stop when two partitions hold the same key; only those whose ranges of the first key column overlap can."""
    table = dataset.records
    parts = [part for part in judged if part.table == table.name and part.key_range is not None]
    for one, other in combinations(parts, 2):
        (low, high), (other_low, other_high) = one.key_range, other.key_range  # type: ignore[misc]
        if high < other_low or other_high < low:
            continue
        keys = [pl.scan_parquet(_clean_path(dataset, table, part.partition)).select(table.key) for part in (one, other)]
        shared = keys[0].join(keys[1], on=list(table.key), how="semi", nulls_equal=True).collect()
        if len(shared):
            raise UserError(
                f"each key ({', '.join(table.key)}) of {table.name} in one partition only",
                f"{len(shared):,} keys in both {one.partition} and {other.partition}, such as {shared.row(0)}",
                "two files probably hold the same records: remove one under the dataset's sources and run again",
            )


def summarize(dataset: Dataset, judged: list[Judged], days: list[date], missing: list[date]) -> dict[str, Any]:
    """The contents of ``metrics/<dataset>/clean.json``."""
    tables = {}
    for table in (dataset.records, *dataset.references):
        parts = [part for part in judged if part.table == table.name]
        tables[table.name] = {
            "rows_published": sum(part.published for part in parts),
            "rows_in": sum(part.rows_in for part in parts),
            "rows_clean": sum(part.clean for part in parts),
            "rows_quarantined": sum(part.quarantined for part in parts),
        }
    records = [part for part in judged if part.table == dataset.records.name]
    unlabelled = sum((part.unlabelled for part in records), Counter[str]())
    clean = sum(part.clean for part in records)
    return {
        "records": {**tables[dataset.records.name], "labelled": clean - sum(unlabelled.values())},
        "unlabelled": dict(sorted(unlabelled.items())),
        "calendar": {"days": len(days), "missing_days": len(missing)} if days else {},
        "references": {table.name: tables[table.name] for table in dataset.references},
        "failures": dict(sorted(sum((part.failures for part in judged), Counter[str]()).items())),
    }


def _clean_path(dataset: Dataset, table: Table, partition: str) -> Path:
    folder = layout.clean(dataset.name)
    if table is dataset.records:
        return folder / f"{partition}.parquet"
    return folder / "references" / f"{table.name}.parquet"


def _clean_manifest(dataset: Dataset, judged: list[Judged]) -> dict[str, Any]:
    records = [part for part in judged if part.table == dataset.records.name]
    others = [part for part in judged if part.table != dataset.records.name]
    return {
        "dataset": dataset.name,
        "records": {
            "table": dataset.records.name,
            "partitions": [{"name": part.partition, "rows": part.clean} for part in records],
        },
        "references": [{"table": part.table, "rows": part.clean} for part in others],
    }


def _quarantine_manifest(name: str, judged: list[Judged]) -> dict[str, Any]:
    return {
        "dataset": name,
        "partitions": [
            {
                "table": part.table,
                "partition": part.partition,
                "rows": part.quarantined,
                "failures": dict(part.failures),
            }
            for part in judged
        ],
    }


def _look(name: str) -> str:
    return f"look at data/quarantine/{name} and metrics/{name}/clean.json"


if __name__ == "__main__":
    start_log()
    run_stage(main)
