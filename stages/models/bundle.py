"""The bundle on disk: everything that scoring needs, and a checksum of every file.

bundles/<dataset>/  the model's own files (model.ubj, or what its family writes), signature.json, reference.json,
                    calibration.json, example.csv, README.md (the model card), manifest.json; what a monitor compares
                    with: profile.parquet, evaluation.parquet; where it takes rows as published, example-published.csv
                    and what is known beside a row
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.models.contract import Model
from stages.models.families import FIRST, family_named, model_files, read_model
from stages.workspace.errors import UserError
from stages.workspace.files import MANIFEST, read_json, read_manifest, sha256_of, write_manifest

FORMAT = 1
SIGNATURE, REFERENCE, CALIBRATION = "signature.json", "reference.json", "calibration.json"
EXAMPLE, PUBLISHED, CARD = "example.csv", "example-published.csv", "README.md"
PROFILE, EVALUATION = "profile.parquet", "evaluation.parquet"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are as they were when it was written."""

    folder: Path
    signature: dict[str, Any]
    model: Model


@contextmanager
def whole_bundle(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill; it is sealed with checksums and becomes ``folder`` only if the block ends well.

    Killed at any moment, it leaves in ``folder`` the old bundle, none, or the new one.  What such a run left beside it
    goes with the next run.
    """
    _remove_leftovers(folder)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    aside.mkdir(parents=True)
    try:
        yield aside
        if not (aside / MANIFEST).exists():
            seal(aside)
        if folder.exists():
            folder.replace(folder.with_name(f".{folder.name}.{os.getpid()}.old.part"))
        aside.replace(folder)
    finally:
        _remove_leftovers(folder)


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(leftover)


def seal(folder: Path) -> None:
    """Write the manifest: size and sha256 of every file in ``folder``."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    listed = [{"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files]
    write_manifest(folder, {"format": FORMAT, "files": listed})


def open_bundle(folder: Path, threads: int = 0) -> Bundle:
    """Check every file against the manifest, then load; a changed, missing or added file is refused."""
    if not folder.is_dir():
        raise UserError(f"a bundle in {folder}", "no such folder", "run `dvc repro`, or `dvc pull` to fetch it")
    problems = _problems(folder, _listed(folder))
    if problems:
        raise UserError(
            f"the bundle {folder} as it was written",
            "; ".join(problems),
            f"fetch it again with `dvc checkout {folder}`, or rebuild it with `dvc repro`",
        )
    signature = read_json(folder / SIGNATURE)
    family = family_named(signature.get("family", FIRST), f"the family in {folder / SIGNATURE}")
    return Bundle(folder, signature, read_model(folder, family, threads))


def _listed(folder: Path) -> dict[str, str]:
    """Checksum by file name, as the manifest has them."""
    manifest = read_manifest(folder)
    try:
        if manifest["format"] == FORMAT:
            return {entry["name"]: entry["sha256"] for entry in manifest["files"]}
    except (KeyError, TypeError):
        pass
    raise UserError(
        f"a bundle of format {FORMAT} in {folder}",
        f"a {MANIFEST} that lists no files in that format",
        "open it with the version of the code that wrote it, or rebuild it with `dvc repro`",
    )


def _problems(folder: Path, listed: dict[str, str]) -> list[str]:
    present = {path.name: path for path in folder.iterdir() if path.name != MANIFEST}
    missing = sorted({*listed, SIGNATURE} - present.keys())
    missing += [] if model_files(folder) or any(name.startswith("model") for name in missing) else ["the model"]
    changed = [
        name
        for name in sorted(listed.keys() & present.keys())
        if not present[name].is_file() or sha256_of(present[name]) != listed[name]
    ]
    return [
        *(f"{name} is missing" for name in missing),
        *(f"{name} was added" for name in sorted(present.keys() - listed.keys())),
        *(f"{name} was changed" for name in changed),
    ]
