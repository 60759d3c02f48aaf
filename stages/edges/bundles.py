"""The bundle on disk: everything that scoring needs, and a checksum of every file.

bundles/<dataset>/  model.ubj, signature.json, reference.json, example.csv, README.md (the model card), manifest.json
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xgboost as xgb

from stages.edges.errors import UserError
from stages.edges.files import MANIFEST, read_json, read_manifest, write_manifest
from stages.edges.models import read_booster

SIGNATURE, REFERENCE, EXAMPLE, CARD = "signature.json", "reference.json", "example.csv", "README.md"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are as they were when it was written."""

    folder: Path
    signature: dict[str, Any]
    booster: xgb.Booster


@contextmanager
def whole_bundle(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill; it is sealed with checksums and becomes ``folder`` only if the block ends well."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if not (aside / MANIFEST).exists():
            seal(aside)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def seal(folder: Path) -> None:
    """Write the manifest: size and sha256 of every file in ``folder``."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    listed = [{"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)} for path in files]
    write_manifest(folder, {"format": 1, "files": listed})


def open_bundle(folder: Path, threads: int = 0) -> Bundle:
    """Check every file against the manifest, then load; a changed, missing or added file is refused."""
    if not folder.is_dir():
        raise UserError(f"a bundle in {folder}", "no such folder", "run `dvc repro`, or `dvc pull` to fetch it")
    listed = {entry["name"]: entry["sha256"] for entry in read_manifest(folder)["files"]}
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    problems = [f"{name} is missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name} was added" for name in sorted(present - listed.keys())]
    problems += [f"{name} was changed" for name in sorted(listed.keys() & present) if sha256(folder / name) != listed[name]]
    if problems:
        raise UserError(
            f"the bundle {folder} as it was written",
            "; ".join(problems),
            f"fetch it again with `dvc checkout {folder}`, or rebuild it with `dvc repro`",
        )
    return Bundle(folder, read_json(folder / SIGNATURE), read_booster(folder, threads))


def sha256(path: Path) -> str:
    """The checksum of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
