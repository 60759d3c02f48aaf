"""Whole files or none: everything is written aside and renamed into place.

A folder of partitions is complete when its ``manifest.json`` exists; the manifest is written last.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from stages.edges.errors import UserError

MANIFEST = "manifest.json"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with stable bytes: given key order, two spaces, a newline at the end, no NaN."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; a missing or damaged file is a `UserError` that names the stage to run."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"the file {path}", "no such file", "run `dvc repro`, or `dvc pull` to fetch it") from None
    except json.JSONDecodeError as error:
        raise UserError(f"JSON in {path}", str(error), f"remove {path} and run `dvc repro`") from None


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write one partition; the bytes depend on the rows and the Polars version alone."""
    with whole_file(path) as aside:
        frame.write_parquet(aside, compression="zstd", row_group_size=262_144)


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a small table for people and for ``dvc plots``."""
    with whole_file(path) as aside:
        frame.write_csv(aside)


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Declare ``folder`` complete."""
    write_json(folder / MANIFEST, content)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a complete folder; an incomplete one is refused."""
    if not (folder / MANIFEST).exists():
        raise UserError(
            f"a complete folder {folder}",
            "no manifest.json in it: the stage that writes it never finished",
            "run `dvc repro`, or `dvc pull` to fetch it",
        )
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    return manifest
