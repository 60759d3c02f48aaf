"""Tables of scores, written a piece at a time and whole or not at all."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from stages.workspace.errors import UserError
from stages.workspace.files import whole_file

Write = Callable[[pl.DataFrame], object]


@contextmanager
def whole_table(output: Path | None) -> Iterator[Write]:
    """Yield what appends rows to a table, which appears only if the block ends well.

    At ``output``, or as CSV on standard output, after it has waited in a temporary file.
    """
    if output is None:
        with tempfile.TemporaryFile() as aside:
            with _write_csv(aside) as write:
                yield write
            aside.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(aside, sys.stdout.buffer)
        return
    with whole_file(output) as path, path.open("wb") as file, WRITERS[output.suffix.lower()](file) as write:
        yield write


@contextmanager
def _write_csv(file: IO[bytes]) -> Iterator[Write]:
    first = True

    def write(rows: pl.DataFrame) -> None:
        nonlocal first
        try:
            rows.write_csv(file, include_header=first)
        except pl.exceptions.ComputeError as error:  # a column of lists that is passed through has no place in a CSV
            raise UserError("columns that fit the output's format", str(error), "choose .parquet or .jsonl") from None
        first = False

    yield write


@contextmanager
def _write_json(file: IO[bytes]) -> Iterator[Write]:
    yield lambda rows: rows.write_ndjson(file)


@contextmanager
def _write_parquet(file: IO[bytes]) -> Iterator[Write]:
    import pyarrow.parquet as pq

    writer: Any = None

    def write(rows: pl.DataFrame) -> None:
        nonlocal writer
        table = rows.to_arrow()
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


WRITERS: Mapping[str, Callable[[IO[bytes]], AbstractContextManager[Write]]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_json,
    ".ndjson": _write_json,
}
