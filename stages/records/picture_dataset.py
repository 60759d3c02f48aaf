"""What does a dataset of pictures need?  Its files, its classes and a question; the rest is the same.

A published row is a number, the picture (a PNG or JPEG file as base64) and its label.  Anything that is no such picture
is in quarantine, and so is a picture of one colour.  Features are the pixels for families that look at pictures, and
edges and tiles (`stages.records.hog`) for those that read numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.records.contract import Dataset, Feature, Table, split_values
from stages.records.hog import HOG, describe_pictures, tile_names
from stages.records.pictures import NoPicture, from_text

if TYPE_CHECKING:
    import pandera.polars as pa

ITEM, PICTURE, LABEL = "item", "picture", "label"
COPY, FINGERPRINT = "copy_of_test", "fingerprint"
PLACES = 1_000_003  # that a fingerprint can take between the parts
COLUMNS = (ITEM, PICTURE, LABEL)
NO_LABEL = "no label"


def picture_dataset(
    module: str,
    question: str,
    *,
    shape: tuple[int, int, int],
    classes: tuple[str, ...],
    labels: Sequence[str],
    table: Mapping[str, Any],
    held_out: Callable[[pl.DataFrame], pl.Series] | None = None,
) -> Dataset:
    """The dataset of labelled pictures.

    Parameters
    ----------
    module
        ``__name__`` of the dataset's package, which is the dataset's name and what its cached partitions hang on.
    shape
        Rows, columns and channels that every picture has.
    classes, labels
        Names of the classes, and what the publisher writes for each.
    table
        ``name``, ``partitions``, ``read`` and what else of `Table` is not the same for all.
    held_out
        Which pictures the publisher keeps for the test, where that is settled: the split then has a share ``valid``
        of the others, and a copy of a test picture among those is in no part.  Else it has ``train`` and ``valid``.
        Either way the pixels decide, so that copies of a picture are in one part.
    """
    size = shape[0] * shape[1] * shape[2]
    codes = {text: code for code, text in enumerate(labels)}

    def parse(raw: pl.DataFrame) -> pl.DataFrame:
        pixels, known = read_pictures(raw[PICTURE], shape)
        return raw.select(
            pl.col(ITEM).cast(pl.Int32, strict=False),
            pl.when(pl.Series(known)).then(pl.Series(pixels, dtype=pl.Array(pl.UInt8, size))).alias(PICTURE),
            *(pl.when(pl.Series(known)).then(numbers).alias(numbers.name) for numbers in _numbers(pixels)),
            pl.col(LABEL).str.strip_chars().replace_strict(codes, default=None, return_dtype=pl.UInt8),
        )

    def schema(_partition: str) -> pa.DataFrameSchema:
        import pandera.polars as pa  # most of a second to import; only `clean` validates

        return pa.DataFrameSchema(
            {
                ITEM: pa.Column(pl.Int32, pa.Check.ge(0)),
                PICTURE: pa.Column(pl.Array(pl.UInt8, size)),
                "brightness": pa.Column(pl.Float32, pa.Check.in_range(0, 255)),
                "contrast": pa.Column(pl.Float32, pa.Check.gt(0)),
                "filled": pa.Column(pl.Float32, pa.Check.in_range(0, 1)),
                LABEL: pa.Column(pl.UInt8),
            },
            unique=[ITEM],
            strict=True,
        )

    def split(frame: pl.DataFrame, settings: Mapping[str, Any], _seed: int) -> pl.Series:
        names = ("valid",) if held_out is not None else ("train", "valid")
        *train, valid = shares = split_values(settings, *names)
        numbers = all(isinstance(share, (int, float)) and share > 0 for share in shares)
        if not (numbers and sum(shares) < 1):
            told = ", ".join(f"{name} {share!r}" for name, share in zip(names, shares, strict=True))
            raise ValueError(f"wanted shares that leave something for the other parts; found {told}")
        place = pl.lit(fingerprints(frame[PICTURE]) % PLACES / PLACES)
        if train:
            drawn = pl.when(place < train[0]).then(pl.lit("train")).when(place < train[0] + valid)
            part = drawn.then(pl.lit("valid")).otherwise(pl.lit("test"))
        else:
            settled = pl.when(_held_out(frame)).then(pl.lit("test")).when(pl.col(COPY)).then(None)
            part = settled.when(place < valid).then(pl.lit("valid")).otherwise(pl.lit("train"))
        return frame.select(part.alias("part"))["part"]

    def summarize(tidy: pl.DataFrame) -> pl.DataFrame:
        return fingerprints(tidy[PICTURE]).to_frame().filter(_held_out(tidy))

    def context(summaries: Sequence[pl.DataFrame], _references: Mapping[str, pl.DataFrame]) -> pl.Series:
        return pl.concat(summaries)[FINGERPRINT].unique().sort()

    def featurize(rows: pl.DataFrame, held: pl.Series) -> pl.DataFrame:
        edges, tiles = describe_pictures(_matrix(rows[PICTURE]), shape)
        numbers = pl.DataFrame(edges, list(HOG)).hstack(pl.DataFrame(tiles, tile_names(shape[2])))
        copy = (fingerprints(rows[PICTURE]).is_in(held.implode()) & ~_held_out(rows)).alias(COPY)
        return rows.hstack([copy]).hstack(numbers)

    def _held_out(rows: pl.DataFrame) -> pl.Series:
        return held_out(rows) if held_out is not None else pl.repeat(False, len(rows), eager=True)

    functions: dict[str, Any] = {"parse": parse, "schema": schema} | dict(table)
    of_dataset: dict[str, Any] = {
        "summarize": summarize,
        "context": context,
        "featurize": featurize,
        "split": split,
        "unlabelled": _no_label,
    }
    for function in filter(callable, [*functions.values(), *of_dataset.values()]):
        function.__module__ = module  # whose columns they know: an edit of those is an edit of theirs
    spelt = f"a PNG or JPEG file of {shape[1]} by {shape[0]} pixels as base64"
    return Dataset(
        name=module.rpartition(".")[2],
        question=question,
        task="multiclass" if len(classes) > 2 else "binary",
        target=LABEL,
        classes=classes,
        records=Table(
            columns=COLUMNS,
            key=(ITEM,),
            parsed_from={ITEM: ITEM, PICTURE: PICTURE, LABEL: LABEL},
            parses_as={PICTURE: spelt, LABEL: f"one of {', '.join(labels)}"},
            derived={ITEM: pl.int_range(pl.len()).cast(pl.String)},
            **functions,
        ),
        references=(),
        identity=(ITEM, COPY),
        features=(
            Feature(PICTURE, "picture", "the pixels", shape=shape),
            Feature("brightness", "numeric", "mean of the pixels", "0 to 255"),
            Feature("contrast", "numeric", "standard deviation of the pixels", "0 to 255"),
            Feature("filled", "numeric", "share of pixels that are not black"),
            *(Feature(name, "numeric", "votes for an orientation of edges in a cell, relative") for name in HOG),
            *(Feature(name, "numeric", "mean of the pixels of a tile", "0 to 255") for name in tile_names(shape[2])),
        ),
        forbidden=frozenset({LABEL}),
        **of_dataset,
    )


def read_pictures(texts: pl.Series, shape: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The pixels (rows, pixels) of texts, and which of them are pictures; the others are black."""
    size = shape[0] * shape[1] * shape[2]
    pixels, known = np.zeros((len(texts), size), np.uint8), np.zeros(len(texts), bool)
    for place, text in enumerate(texts):
        with suppress(NoPicture):  # null, and so in quarantine
            if text:
                pixels[place], known[place] = from_text(text.strip(), shape), True
    return pixels, known


def fingerprints(pictures: pl.Series) -> pl.Series:
    """The same number for the same pixels, and practically never for others."""
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in _matrix(pictures)]
    return pl.Series(FINGERPRINT, np.frombuffer(b"".join(digests), "<u8").astype(np.uint64))


def _matrix(pictures: pl.Series) -> NDArray[np.uint8]:
    return pictures.to_numpy().reshape(len(pictures), pictures.dtype.shape[0])  # type: ignore[attr-defined]


def _numbers(pixels: NDArray[np.uint8]) -> list[pl.Series]:
    """What a person reads of a picture without looking at it."""
    whole = pixels.astype(np.int64)
    n = pixels.shape[1]
    total, squares = whole.sum(axis=1), (whole**2).sum(axis=1)
    spread = np.sqrt(np.maximum(squares * n - total**2, 0)) / n
    named = {"brightness": total / n, "contrast": spread, "filled": (pixels > 0).sum(axis=1) / n}
    return [pl.Series(name, values.astype(np.float32)) for name, values in named.items()]


def _no_label(rows: pl.DataFrame) -> pl.Series:
    return rows.select(pl.when(pl.col(LABEL).is_null()).then(pl.lit(NO_LABEL)).alias("why"))["why"]
