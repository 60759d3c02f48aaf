"""Pictures in a zip, in a folder for each class: how they are told apart, and how a block of them is read.

`make new-pictures` packs a folder so.  A block is read by itself, so there may be more pictures than fit into memory.
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from stages.records.picture_dataset import ITEM, LABEL, PICTURE

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 2_000  # pictures of a partition


def zipped_pictures(file: str) -> dict[str, Any]:
    """What a `Table` of the pictures in a zip says of itself, for `picture_dataset`."""

    def names_in(archive: zipfile.ZipFile) -> Sequence[str]:
        return sorted(name for name in archive.namelist() if name.count("/") == 1 and not name.endswith("/"))

    def blocks(raw: Path) -> list[str]:
        with zipfile.ZipFile(raw / file) as archive:
            return [f"pictures-{start:07}" for start in range(0, len(names_in(archive)), BLOCK)]

    def read_block(raw: Path, partition: str) -> pl.DataFrame:
        start = int(partition.removeprefix("pictures-"))
        with zipfile.ZipFile(raw / file) as archive:
            names = names_in(archive)[start : start + BLOCK]
            contents = [base64.b64encode(archive.read(name)).decode("ascii") for name in names]
        labels = [name.partition("/")[0] for name in names]
        items = [str(start + place) for place in range(len(names))]
        rows = {ITEM: items, PICTURE: contents, LABEL: labels}
        return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))

    return {"name": "pictures", "partitions": blocks, "read": read_block}
