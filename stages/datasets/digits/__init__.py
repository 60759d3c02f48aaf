"""digits: which of the ten digits does an 8 × 8 image show?

The 1,797 images of the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin & C. Kaynak, UCI, 1998,
CC BY 4.0), as scikit-learn ships them: each pixel is the count (0–16) of inked cells in a 4 × 4 block.  Small, and
nothing like flights: it proves that the contract holds for images and for more than two classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from stages.records.contract import Dataset, Feature, Table, split_values

if TYPE_CHECKING:
    import pandera.polars as pa

FILE = "digits.csv.gz"
SIDE = 8
BLOCK_ROWS = 450  # four partitions: enough to show that nothing needs all rows at once
INK_AT_MOST = 16
PIXELS = tuple(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE))
COLUMNS = (*PIXELS, "digit")


# ── the published images ─────────────────────────────────────────────────────────────────────────────────────────────
def blocks(raw: Path) -> list[str]:
    """Blocks of consecutive images."""
    return [f"images-{start:04}" for start in range(0, len(_published(raw)), BLOCK_ROWS)]


def read_block(raw: Path, partition: str) -> pl.DataFrame:
    """One block as published, with the position of each image in the file."""
    start = int(partition.removeprefix("images-"))
    return _published(raw).slice(start, BLOCK_ROWS)


def _published(raw: Path) -> pl.DataFrame:
    rows = pl.read_csv(raw / FILE, has_header=False, infer_schema=False, empty_string_is_null=False)
    names = [*COLUMNS, *(f"column_{n + 1}" for n in range(len(COLUMNS), rows.width))][: rows.width]
    rows.columns = names
    return rows.with_row_index("image").with_columns(pl.col("image").cast(pl.String))


def parse(raw: pl.DataFrame) -> pl.DataFrame:
    """Whole numbers; the file writes some of them as 5.000000000000000000e+00."""
    number = {name: pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in COLUMNS}
    whole = [
        pl.when(value == value.round()).then(value).cast(pl.Int16, strict=False).alias(name)
        for name, value in number.items()
    ]
    return raw.select(pl.col("image").cast(pl.Int32), *whole)


def schema(_partition: str) -> pa.DataFrameSchema:
    """Ink within its scale, a digit from 0 to 9, and at least some ink."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    some_ink = pa.Check(lambda data: data.lazyframe.select(pl.sum_horizontal(PIXELS) > 0), name="some_ink")
    return pa.DataFrameSchema(
        {
            "image": pa.Column(pl.Int32, pa.Check.ge(0)),
            **{pixel: pa.Column(pl.Int16, pa.Check.in_range(0, INK_AT_MOST)) for pixel in PIXELS},
            "digit": pa.Column(pl.Int16, pa.Check.in_range(0, 9)),
        },
        checks=[some_ink],
        unique=["image"],
        strict=True,
    )


IMAGES = Table(
    name="images",
    columns=("image", *COLUMNS),
    partitions=blocks,
    read=read_block,
    parse=parse,
    schema=schema,
    key=("image",),
    parsed_from={name: name for name in COLUMNS},
)


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
    *(Feature(name, "numeric", "inked cells of one 4 × 4 block", "cells") for name in PIXELS),
    *(Feature(f"row_{i}_ink", "numeric", f"ink in row {i}", "cells") for i in range(SIDE)),
    *(Feature(f"column_{j}_ink", "numeric", f"ink in column {j}", "cells") for j in range(SIDE)),
    Feature("ink", "numeric", "ink in the whole image", "cells"),
    Feature("centre_row", "numeric", "mean row of the ink", "pixels"),
    Feature("centre_column", "numeric", "mean column of the ink", "pixels"),
)


def split_within_classes(frame: pl.DataFrame, settings: Mapping[str, Any], seed: int) -> pl.Series:
    """Random shares within each class, so that every part holds every digit."""
    train, valid = split_values(settings, "train", "valid")
    numbers = all(isinstance(share, (int, float)) for share in (train, valid))
    if not (numbers and 0 < train < 1 and 0 < valid < 1 and train + valid < 1):
        raise ValueError(f"wanted shares that leave something for the test; found train {train!r}, valid {valid!r}")
    draw = np.random.default_rng(seed)
    order = frame.select(pl.col("digit"), pl.Series("draw", draw.random(len(frame))))
    place = order.select((pl.col("draw").rank("ordinal").over("digit") - 0.5) / pl.len().over("digit")).to_series()
    return pl.DataFrame({"place": place}).select(
        pl.when(pl.col("place") < train)
        .then(pl.lit("train"))
        .when(pl.col("place") < train + valid)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("test"))
        .alias("part")
    )["part"]


DATASET = Dataset(
    name="digits",
    question="Which digit does the image show?",
    task="multiclass",
    target="digit",
    classes=tuple("0123456789"),
    records=IMAGES,
    references=(),
    identity=("image",),
    features=FEATURES,
    forbidden=frozenset({"digit"}),
    summarize=lambda images: pl.DataFrame({"images": [len(images)]}),
    context=lambda _summaries, _references: None,
    featurize=featurize,
    split=split_within_classes,
    unlabelled=lambda images: pl.Series("why", [None] * len(images), dtype=pl.String),
    cluster=None,
)
