"""fashion: which of ten kinds of clothing does a picture of 28 × 28 pixels show?

The 70,000 pictures of Fashion-MNIST (H. Xiao, K. Rasul & R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
Benchmarking Machine Learning Algorithms", 2017, MIT), as Debian packages them: 60,000 to learn from and 10,000 held
out, in the idx format of MNIST.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.records.picture_dataset import ITEM, LABEL, PICTURE, picture_dataset
from stages.records.pictures import to_text

SHAPE = (28, 28, 1)
BLOCK = 10_000  # pictures of a partition: 8 MB of pixels
FILES = {part: (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")}
HELD_OUT_FROM = 60_000  # the number of the first picture of the test: the publisher's own numbers begin anew there
PICTURES, LABELS = 0x0803, 0x0801  # the numbers that idx files of bytes begin with: with three axes, with one
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def blocks(raw: Path) -> list[str]:
    """Blocks of consecutive pictures, those to learn from first."""
    return [
        f"{part}-{start:05}" for part, (_, labels) in FILES.items()
        for start in range(0, len(read_idx(raw / labels, LABELS)), BLOCK)
    ]  # fmt: skip


def files_of(_raw: Path, partition: str) -> list[str]:
    """The files with the pictures and the labels of a block."""
    return list(FILES[partition.partition("-")[0]])


def read_block(raw: Path, partition: str) -> pl.DataFrame:
    """One block as published; a picture is a PNG file, as base64."""
    part, _, start = partition.partition("-")
    pictures, labels = (read_idx(raw / file, kind) for file, kind in zip(FILES[part], (PICTURES, LABELS), strict=True))
    if pictures.shape[1:] != SHAPE[:2] or len(pictures) != len(labels):
        raise ValueError(f"pictures {pictures.shape} and {len(labels):,} labels")
    first, block = HELD_OUT_FROM * (part == "t10k") + int(start), slice(int(start), int(start) + BLOCK)
    return pl.DataFrame(
        {
            ITEM: np.arange(first, first + len(labels[block])).astype(str),
            PICTURE: [to_text(picture, SHAPE) for picture in pictures[block]],
            LABEL: labels[block].astype(str),
        }
    )


def read_idx(path: Path, kind: int) -> NDArray[np.uint8]:
    """The bytes of an idx file by its axes; a ValueError that says what is wrong with it."""
    with gzip.open(path) as file:
        content = file.read()
    axes = kind & 0xFF
    found, *shape = np.frombuffer(content[: 4 * (1 + axes)].ljust(4 * (1 + axes), b"\0"), ">u4").tolist()
    if found != kind:
        raise ValueError(f"{path.name} begins with {found:#06x}, not with {kind:#06x}")
    if len(content) != (wanted := 4 * (1 + axes) + int(np.prod(shape))):
        raise ValueError(f"{path.name} holds {len(content):,} of {wanted:,} bytes")
    return np.frombuffer(content, np.uint8, offset=4 * (1 + axes)).reshape(shape)


DATASET = picture_dataset(
    __name__,
    "What kind of clothing does the picture show?",
    shape=SHAPE,
    classes=CLASSES,
    labels=[str(code) for code in range(len(CLASSES))],
    table={"name": "pictures", "partitions": blocks, "read": read_block, "files": files_of},
    held_out=lambda rows: rows[ITEM] >= HELD_OUT_FROM,
)
