"""The resampling table on disk: ``data/evaluation/<dataset>.parquet``.

Columns system, segment, unit, view, label, code, n; the header (which rows, which question, how codes and thresholds
are to be read) travels in the file's metadata, so that one small file is all that a later comparison needs.  A table
of format 1, from before segments were told apart, is read as one that tells none.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stages.metrics.stored import BETWEEN
from stages.workspace.errors import UserError
from stages.workspace.files import whole_file

HEADER = "plumbline"
FORMAT = 2


def write_evaluation(path: Path, cells: Mapping[str, pl.DataFrame], header: dict[str, Any]) -> None:
    """Write the cells of all systems, one below the other, and their header."""
    stacked = [
        frame.select(pl.lit(name).alias("system"), *_told_apart(), "label", "code", "n")
        for name, frame in cells.items()
    ]
    write_table(path, pl.concat(stacked), header)


def write_table(path: Path, cells: pl.DataFrame, header: dict[str, Any]) -> None:
    """Write cells as `read_evaluation` returns them, and their header."""
    metadata = {HEADER: json.dumps(header | {"format": FORMAT}, ensure_ascii=False, allow_nan=False)}
    with whole_file(path) as aside:
        cells.write_parquet(aside, compression="zstd", compression_level=9, statistics=False, metadata=metadata)


def _told_apart() -> list[pl.Expr]:
    view = pl.col("view").cast(pl.String)
    whole = ~view.str.contains(BETWEEN, literal=True)
    parts = view.str.split_exact(BETWEEN, 1).struct
    return [
        pl.when(whole).then(pl.lit("")).otherwise(parts.field("field_0")).alias("segment"),
        pl.col("unit").cast(pl.String),
        pl.when(whole).then(view).otherwise(parts.field("field_1")).alias("view"),
    ]


def read_evaluation(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Cells and header."""
    if not path.exists():
        raise UserError(f"the resampling table {path}", "no such file", "run `dvc repro`, or `dvc pull` to fetch it")
    return parse_evaluation(path.read_bytes(), str(path))


def parse_evaluation(raw: bytes, name: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Cells and header of a table that ``name`` describes."""
    try:
        header: dict[str, Any] = json.loads(pl.read_parquet_metadata(io.BytesIO(raw))[HEADER])
        cells = pl.read_parquet(io.BytesIO(raw))
    except (pl.exceptions.PolarsError, OSError, KeyError, ValueError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"a resampling table in {name}", f"a damaged file, or none of ours: {found}",
            "fetch it again (`dvc checkout`, `dvc pull`), or make it again with `dvc repro`",
        ) from None  # fmt: skip
    if header.get("format") not in (1, FORMAT):
        raise UserError(
            f"a resampling table of format 1 or {FORMAT} in {name}", f"format {header.get('format')!r}",
            "read it with the version of the code that wrote it",
        )  # fmt: skip
    if "segment" not in cells.columns:
        cells = cells.with_columns(pl.lit("").alias("segment"))
    return cells, {"segments": {}} | header
