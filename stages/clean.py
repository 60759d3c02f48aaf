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
from dataclasses import asdict
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from stages.records.cleaned import CleanedPartition, add_up, as_json_value, missing_days, of_table, summarize
from stages.records.contract import Dataset, Table, load_dataset
from stages.records.lines import LINE
from stages.records.prepare import judge_rows
from stages.runtime.jobs import Job, run_jobs
from stages.runtime.log import log, start_log
from stages.workspace import layout
from stages.workspace.errors import UserError, run_stage
from stages.workspace.files import MANIFEST, read_manifest, start_folder, write_json, write_manifest, write_parquet
from stages.workspace.seeds import child_seed
from stages.workspace.settings import Settings, read_scale, read_seed, read_settings, read_workers

# what damaged bytes end in, found by flipping single bits; RuntimeError: an unknown compression, an encrypted member
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, pl.exceptions.PolarsError)
MEMORY_PER_BYTE = {".parquet": 60, ".zip": 16, ".gz": 16}  # of a published file; measured on half a million flights
MEMORY_PER_BYTE_OF_TEXT = 10
# what `benchmarks.simulate` marks its files with; no committed result may come of them
SIMULATED_MEMBER = "SIMULATED.txt"  # in a zip, beside what the publisher puts there
SIMULATED_METADATA = {"plumbline.simulated": "true"}  # of a parquet file


class CleanSettings(Settings):
    """``datasets.<dataset>.clean``."""

    sample: float = Field(gt=0, le=1, description="share of the published records that are read")
    max_quarantined_share: float = Field(ge=0, le=1, description="the run stops when more rows fail")
    max_missing_days: int = Field(ge=0, description="the run stops when the calendar has more gaps")
    since: str | None = Field(None, min_length=1, description="the first partition that is read; null takes all")


def main(name: str) -> None:
    """Clean every partition of the dataset ``name``."""
    settings = read_settings(CleanSettings, name, "clean")
    dataset, workers, seed = load_dataset(name), read_workers(), read_seed()
    raw = layout.raw(name)
    read_manifest(raw)
    for folder in (layout.clean(name), layout.quarantine(name)):
        start_folder(folder)

    work = [
        describe_job(dataset, table, partition, sample=settings.sample, seed=seed)
        for table, since in ((dataset.records, settings.since), *((other, None) for other in dataset.references))
        for partition in _partitions(table, raw, since)
    ]
    with run_jobs(
        clean_partition,
        work,
        uses=functions_of(dataset),
        workers=workers,
        label=f"{name}: clean",
        memory_bytes=memory_of,
        limit_bytes=read_scale().memory_limit_bytes,
    ) as done:
        cleaned = [CleanedPartition(**facts) for facts in done]

    records = of_table(cleaned, dataset.records.name)
    days = sorted({date.fromisoformat(day) for part in records for day in part.days})
    missing = missing_days(days, dataset.records.calendar)
    write_manifest(layout.quarantine(name), _quarantine_manifest(name, cleaned))
    references = [table.name for table in dataset.references]
    write_json(layout.metrics(name) / "clean.json", summarize(cleaned, dataset.records.name, references, missing))
    refuse(name, settings, cleaned, missing)
    refuse_shared_keys(dataset, records)
    write_manifest(layout.clean(name), _clean_manifest(dataset, cleaned, settings.sample))
    if any(part.simulated for part in cleaned):
        log.warning("%s: SIMULATED rows: they measure cost and tell nothing about the world", name)
    total, bad = sum(part.rows_in for part in cleaned), sum(part.quarantined for part in cleaned)
    log.info("%s: %s rows in, %s clean, %s quarantined", name, f"{total:,}", f"{total - bad:,}", f"{bad:,}")


def functions_of(dataset: Dataset) -> list[Any]:
    """What cleaning calls of the dataset: an edit of anything else of it leaves cached partitions valid."""
    tables = (dataset.records, *dataset.references)
    return [*(part for table in tables for part in (table.read, table.parse, table.schema)), dataset.unlabelled]


def describe_job(dataset: Dataset, table: Table, partition: str, *, sample: float, seed: int) -> Job:
    """The cleaning of one partition as a value."""
    raw = layout.raw(dataset.name)
    if table.files is None:
        files = sorted(path.name for path in raw.iterdir() if path.is_file() and path.name != MANIFEST)
    else:
        files = list(table.files(raw, partition))
    quarantined = layout.quarantine(dataset.name) / table.name / f"{partition}.parquet"
    return Job(
        name=partition if table is dataset.records else table.name,
        inputs=tuple(raw / file for file in files),
        outputs=(_clean_path(dataset, table, partition), quarantined),
        arguments={
            "dataset": dataset.name,
            "table": table.name,
            "partition": partition,
            "sample": sample if table is dataset.records else 1.0,
            "seed": seed if table is dataset.records and sample < 1 else 0,
        },
    )


def memory_of(job: Job) -> int:
    """An upper estimate of what cleaning one partition takes."""
    sizes = {path: path.stat().st_size for path in job.inputs if path.exists()}
    return sum(size * MEMORY_PER_BYTE.get(path.suffix, MEMORY_PER_BYTE_OF_TEXT) for path, size in sizes.items())


def clean_partition(job: Job, root: Path) -> dict[str, Any]:
    """Read, parse, judge and write one partition of one table; returns its facts, see `CleanedPartition`."""
    dataset = load_dataset(job.arguments["dataset"])
    table = next(t for t in (dataset.records, *dataset.references) if t.name == job.arguments["table"])
    partition, sample, is_record = job.arguments["partition"], job.arguments["sample"], table is dataset.records
    rows = read_partition(table, root / layout.raw(dataset.name), partition)
    published = len(rows)
    if sample < 1:
        draw = np.random.default_rng(child_seed(job.arguments["seed"], "sample", dataset.name, partition))
        rows = rows.filter(pl.Series(draw.random(published) < sample))
    try:
        judgement = judge_rows(table, rows, partition)
    except ValueError as error:
        raise _not_as_declared(table, partition, str(error)) from error
    passed, quarantined = judgement.passed, judgement.quarantined
    for path, frame in zip(job.outputs, (passed, quarantined), strict=True):
        write_parquet(root / path, frame)
    first = passed[table.key[0]]
    cleaned = CleanedPartition(
        table=table.name,
        partition=partition,
        published=published,
        clean=len(passed),
        quarantined=len(quarantined),
        failures=judgement.failures,
        key_range=[as_json_value(first.min()), as_json_value(first.max())] if len(first) else None,
        days=passed[table.day].unique().sort().cast(pl.String).to_list() if is_record and table.day else [],
        unlabelled=dict(Counter(dataset.unlabelled(passed).drop_nulls().to_list())) if is_record else {},
        simulated=any(is_simulated(root / path) for path in job.inputs),
    )
    return asdict(cleaned)


def read_partition(table: Table, raw: Path, partition: str) -> pl.DataFrame:
    """The published rows; unreadable bytes are refused, further columns told of and ignored."""
    with reading(table, partition):
        rows = table.read(raw, partition)
    extra = [column for column in rows.columns if column not in (*table.columns, LINE)]
    if extra:
        log.info("%s %s: unknown columns ignored: %s", table.name, partition, ", ".join(extra))
    return rows


def is_simulated(file: Path) -> bool:
    """Whether a zip or a parquet file carries the mark of simulated rows; what cannot be read carries none."""
    try:
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                return SIMULATED_MEMBER in archive.namelist()
        if file.suffix == ".parquet":
            return pl.read_parquet_metadata(file).items() >= SIMULATED_METADATA.items()
    except (zipfile.BadZipFile, OSError, pl.exceptions.PolarsError):
        pass  # its reader says what is wrong with it
    return False


def _partitions(table: Table, raw: Path, since: str | None) -> list[str]:
    with reading(table, "any partition"):
        partitions = table.partitions(raw)
    if not partitions:
        raise _not_as_declared(table, "any partition", "not one row that names its partition")
    if not (read := [name for name in partitions if since is None or name >= since]):
        earlier = "set `clean.since` to one of these, or to null for all"
        raise UserError(f"partitions of {table.name} from {since} on", f"{partitions[0]} … {partitions[-1]}", earlier)
    return read


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


def refuse(name: str, settings: CleanSettings, cleaned: list[CleanedPartition], missing: list[date]) -> None:
    """Stop the run when nothing is left, too many rows failed, or the calendar has gaps."""
    for table in dict.fromkeys(part.table for part in cleaned):
        parts = of_table(cleaned, table)
        rows, bad = sum(part.rows_in for part in parts), sum(part.quarantined for part in parts)
        if rows == bad:
            raise UserError(f"rows of {table} to work with", f"{rows} rows in, {bad} quarantined", _look(name))
        if bad / rows > settings.max_quarantined_share:
            worst = add_up([part.failures for part in parts]).most_common(3)
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


def refuse_shared_keys(dataset: Dataset, records: list[CleanedPartition]) -> None:
    """Stop when two partitions hold the same key; only those whose ranges of the first key column overlap can."""
    table = dataset.records
    for one, other in combinations([part for part in records if part.key_range is not None], 2):
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


def _clean_path(dataset: Dataset, table: Table, partition: str) -> Path:
    folder = layout.clean(dataset.name)
    if table is dataset.records:
        return folder / f"{partition}.parquet"
    return folder / "references" / f"{table.name}.parquet"


def _clean_manifest(dataset: Dataset, cleaned: list[CleanedPartition], sample: float) -> dict[str, Any]:
    others = [part for part in cleaned if part.table != dataset.records.name]
    return {
        "dataset": dataset.name,
        **({"sample": sample} if sample < 1 else {}),
        "records": {
            "table": dataset.records.name,
            "partitions": [
                {"name": part.partition, "rows": part.clean} for part in of_table(cleaned, dataset.records.name)
            ],
        },
        "references": [{"table": part.table, "rows": part.clean} for part in others],
    }


def _quarantine_manifest(name: str, cleaned: list[CleanedPartition]) -> dict[str, Any]:
    return {
        "dataset": name,
        "partitions": [
            {
                "table": part.table,
                "partition": part.partition,
                "rows": part.quarantined,
                "failures": part.failures,
            }
            for part in cleaned
        ],
    }


def _look(name: str) -> str:
    return f"look at data/quarantine/{name} and metrics/{name}/clean.json"


if __name__ == "__main__":
    start_log()
    run_stage(main)
