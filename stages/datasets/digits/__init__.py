"""digits: which of the ten digits does an 8 × 8 image show?

The 1,797 images of the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin & C. Kaynak, UCI, 1998,
CC BY 4.0), as scikit-learn ships them: each pixel is the count (0–16) of inked cells in a 4 × 4 block.  Small, and
nothing like flights: it proves that the contract holds for images and for more than two classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.records.contract import Feature
from stages.records.lines import read_lines
from stages.records.plain import Column, numbered, open_text, plain_dataset

if TYPE_CHECKING:
    import pandera.polars as pa

FILE = "digits.csv.gz"
SIDE = 8
BLOCK_ROWS = 450  # four partitions: enough to show that nothing needs all rows at once
INK_AT_MOST = 16
PIXELS = tuple(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE))
ABOUT = "inked cells of one 4 × 4 block"
COLUMNS = tuple(Column(name, "numeric", ABOUT, "cells", 0, INK_AT_MOST, type=pl.Int16) for name in PIXELS)
DIGIT = Column("digit", "numeric", "what was to be written", "", 0, 9, type=pl.Int16)


# ── the published images ─────────────────────────────────────────────────────────────────────────────────────────────
def blocks(raw: Path) -> list[str]:
    """Blocks of consecutive images."""
    return [f"images-{start:04}" for start in range(0, len(_published(raw)), BLOCK_ROWS)]


def read_block(raw: Path, partition: str) -> pl.DataFrame:
    """One block as published, with the position of each image in the file."""
    return _published(raw).slice(int(partition.removeprefix("images-")), BLOCK_ROWS)


def _published(raw: Path) -> pl.DataFrame:
    with open_text(raw / FILE) as lines:
        return numbered(read_lines(lines, names=(*PIXELS, DIGIT.name)), "image")


def some_ink() -> list[pa.Check]:
    """No image is empty."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    return [pa.Check(lambda data: data.lazyframe.select(pl.sum_horizontal(PIXELS) > 0), name="some_ink")]


# ── features ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _total(names: Sequence[str]) -> pl.Expr:
    return reduce(add, [pl.col(name) for name in names])


def _centre(axis: int) -> pl.Expr:
    """Ink-weighted mean row (axis 0) or column (axis 1), in pixels."""
    weighted = [pl.col(name) * int(name.split("_")[1 + axis]) for name in PIXELS]
    return (reduce(add, weighted) / _total(PIXELS)).cast(pl.Float32)


def featurize(images: pl.DataFrame, _context: None) -> pl.DataFrame:
    """The pixels, and sums and centres that a tree would need many splits to see."""
    rows = [_total([f"pixel_{i}_{j}" for j in range(SIDE)]).alias(f"row_{i}_ink") for i in range(SIDE)]
    columns = [_total([f"pixel_{i}_{j}" for i in range(SIDE)]).alias(f"column_{j}_ink") for j in range(SIDE)]
    return images.select(
        "image",
        pl.col("digit").cast(pl.UInt8),
        *PIXELS,
        *rows,
        *columns,
        _total(PIXELS).alias("ink"),
        _centre(0).alias("centre_row"),
        _centre(1).alias("centre_column"),
    )


FEATURES = (
    *(Feature(name, "numeric", ABOUT, "cells") for name in PIXELS),
    *(Feature(f"row_{i}_ink", "numeric", f"ink in row {i}", "cells") for i in range(SIDE)),
    *(Feature(f"column_{j}_ink", "numeric", f"ink in column {j}", "cells") for j in range(SIDE)),
    Feature("ink", "numeric", "ink in the whole image", "cells"),
    Feature("centre_row", "numeric", "mean row of the ink", "pixels"),
    Feature("centre_column", "numeric", "mean column of the ink", "pixels"),
)


DATASET = plain_dataset(
    __name__,
    "Which digit does the image show?",
    task="multiclass",
    columns=COLUMNS,
    target=DIGIT,
    classes=tuple("0123456789"),
    row="image",
    checks=some_ink,
    table={"name": "images", "partitions": blocks, "read": read_block},
    features=FEATURES,
    featurize=featurize,
)
