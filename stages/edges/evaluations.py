"""The resampling table on disk: ``data/evaluation/<dataset>.parquet``.

Columns system, unit, view, label, code, n; the header (which rows, which question, how codes and thresholds are to be
read) travels in the file's metadata, so that one small file is all that a later comparison needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stages.edges.errors import UserError
from stages.edges.files import whole_file

HEADER = "plumbline"


def write_evaluation(path: Path, cells: Mapping[str, pl.DataFrame], header: dict[str, Any]) -> None:
    """Write the cells of all systems, one below the other, and their header."""
    names = pl.col("unit", "view").cast(pl.String)
    stacked = pl.concat(
        [frame.select(pl.lit(name).alias("system"), pl.all()).with_columns(names) for name, frame in cells.items()]
    )
    metadata = {HEADER: json.dumps(header, ensure_ascii=False, allow_nan=False)}
    with whole_file(path) as aside:
        stacked.write_parquet(aside, compression="zstd", compression_level=9, statistics=False, metadata=metadata)


def read_evaluation(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Cells and header."""
    if not path.exists():
        raise UserError(f"the resampling table {path}", "no such file", "run `dvc repro`, or `dvc pull` to fetch it")
    header: dict[str, Any] = json.loads(pl.read_parquet_metadata(path)[HEADER])
    return pl.read_parquet(path), header
