"""Whole files or none: everything is written aside and renamed into place.

A folder of partitions is complete when its ``manifest.json`` exists; the manifest is written last.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from stages.workspace.errors import DISK_FULL, UserError

MANIFEST = "manifest.json"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block ends well.

    A full disk is an `OSError` with the ``errno`` of it and the name ``path``, however the writer told of it.
    """
    aside = path.with_name(f".{path.name}.{uuid4().hex}.part")  # two machines may be at the same file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(path)
    except Exception as error:
        number = _error_number(error)
        is_told_by_polars = isinstance(error, OSError) and error.errno is None and number
        if not (number in DISK_FULL or is_told_by_polars or getattr(error, "filename", None) == str(aside)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def require_writable(*folders: Path) -> None:
    """Raise now, before any work, the `OSError` that writing into one of the folders, or making it, would end with."""
    for folder in folders:
        place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(folder)) from None


def _error_number(error: Exception) -> int:
    """The operating system's number of an error; Polars names it only in its text. 0 when there is none."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    return getattr(error, "errno", None) or (int(told[1]) if told else 0)


def start_folder(folder: Path) -> None:
    """Empty a folder that is about to be written: nothing of an earlier run may look like a part of this one."""
    (folder / MANIFEST).unlink(missing_ok=True)  # first, so that a removal cut short leaves no complete folder
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


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


def write_durably(path: Path, content: bytes) -> None:
    """The whole content under ``path``, on disk before the name points to it."""
    with whole_file(path) as aside, aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Write one partition; the bytes depend on the rows and the Polars version alone."""
    with whole_file(path) as aside:
        frame.write_parquet(aside, compression="zstd", row_group_size=262_144)


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a small table for people and for ``dvc plots``."""
    with whole_file(path) as aside:
        frame.write_csv(aside)


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Declare ``folder`` complete; what a killed worker left half-written goes."""
    for leftover in folder.rglob(".*.part"):
        leftover.unlink(missing_ok=True)
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


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
