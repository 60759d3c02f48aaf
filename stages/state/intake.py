"""Which table does a file hold, and what does it say?  New records as published: delimited text, JSON lines, parquet.

Every value is text, as the publisher's files have it; the line's own checks then judge it.  A file that cannot be read
to its end is refused whole.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl

from stages.records.contract import Dataset, Table
from stages.records.lines import lacking_words, read_lines
from stages.state.facts import Fact, take_in, to_facts, wanted_columns
from stages.workspace.errors import UserError

TEXT, JSON, PARQUET = (".csv", ".zip"), (".jsonl", ".ndjson"), (".parquet",)
SUFFIXES = (*TEXT, *JSON, *PARQUET)
QUARANTINE = "quarantine"
"""The table of rows that failed, kept beside the facts with their reasons."""
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, pl.exceptions.PolarsError)


class Intake(NamedTuple):
    """What a file tells: facts of one table, and the rows that failed."""

    table: Table
    rows: int
    facts: list[Fact]
    quarantined: list[Fact]
    failures: pl.DataFrame


def read_intake(path: Path, dataset: Dataset, table: str | None = None) -> Intake:
    """Read and judge a file of new records; ``table`` where its columns leave it open."""
    found, published = read_published(path, dataset, table)
    passed, failures = take_in(dataset, found, published)
    facts = [fact for rows in passed for fact in to_facts(found, rows)]
    return Intake(found, len(published), facts, _quarantined(found, published, failures), failures)


def read_published(path: Path, dataset: Dataset, table: str | None = None) -> tuple[Table, pl.DataFrame]:
    """The table that a file holds, and its rows as published."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"a file of records in one of {', '.join(SUFFIXES)}", str(path), "convert it, or rename it")
    try:
        if suffix in TEXT:
            return _read_text(path, dataset, table)
        rows = _read_json(path) if suffix in JSON else pl.read_parquet(path).cast(pl.String)
        return choose_table(dataset, rows.columns, table, path), rows
    except UNREADABLE as error:
        told = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"records in {path}", told[0], "fetch it again; nothing was taken in") from error


def choose_table(dataset: Dataset, columns: Sequence[str], name: str | None, path: Path) -> Table:
    """The table of that name, or the one whose columns are there."""
    tables = {table.name: table for table in (dataset.records, *dataset.references)}
    if name is not None and name not in tables:
        raise UserError(f"one of the tables {', '.join(tables)}", name, "name it by `--table`")
    asked = [tables[name]] if name else list(tables.values())
    lacking = {table.name: lacking_words(columns, wanted_columns(dataset, table)) for table in asked}
    fitting = [table for table in asked if not lacking[table.name]]
    if not fitting:
        told = min(lacking.values(), key=len)
        raise UserError(f"the columns of {' or '.join(lacking)} in {path}", told, "name them as the publisher does")
    return max(fitting, key=lambda table: len(wanted_columns(dataset, table)))


def _read_text(path: Path, dataset: Dataset, name: str | None) -> tuple[Table, pl.DataFrame]:
    with ExitStack() as stack:
        head = _open_text(path, stack).readline(1 << 16).decode("utf-8-sig", errors="replace").rstrip("\r\n")
        table = choose_table(dataset, dataset.records.form.fields(head), name, path)
        return table, read_lines(_open_text(path, stack), form=table.form)


def _open_text(path: Path, stack: ExitStack) -> IO[bytes]:
    if path.suffix.lower() != ".zip":
        return stack.enter_context(path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    if len(names) != 1:
        raise ValueError(f"wanted one .csv in it; found {', '.join(names) or 'none'}")
    return stack.enter_context(archive.open(names[0]))


def _read_json(path: Path) -> pl.DataFrame:
    rows: list[dict[str, str | None]] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    found = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number} is no JSON: {error}") from None
                if not isinstance(found, dict):
                    raise ValueError(f"line {number} is no JSON object")
                rows.append({name: _as_text(value) for name, value in found.items()})
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quarantined(table: Table, published: pl.DataFrame, failures: pl.DataFrame) -> list[Fact]:
    """Rows that failed as facts: the same row with the same reasons is kept once, however often it comes."""
    reasons: dict[int, list[Any]] = {}
    for place, *reason in failures.iter_rows():
        reasons.setdefault(place, []).append(reason)
    facts = []
    for row, told in zip(published[list(reasons)].to_dicts(), reasons.values(), strict=True):
        given = {name: value for name, value in row.items() if value is not None}
        text = json.dumps({"table": table.name, "row": given, "failures": told}, ensure_ascii=False)
        facts.append(Fact(hashlib.sha256(text.encode()).hexdigest(), "", 0, text))
    return facts
