"""How a row of a table becomes the inputs of a network: places among quantiles, codes of categories.

A number becomes its place among the quantiles of the training rows, from 0 to their count, straight between two of
them: a network then embeds it piece by piece (`architecture`).  A missing number is -1, a missing category the code
after the last.  Beyond the training rows' range a number has the place of its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import NumberSketch, Sketch

if TYPE_CHECKING:
    from stages.features.table import Column

Float32 = NDArray[np.float32]
MISSING = -1.0


@dataclass(frozen=True)
class Feature:
    """One input: the quantiles of a number, ascending, or the categories."""

    name: str
    knots: tuple[float, ...] = ()
    categories: tuple[str, ...] | None = None

    @property
    def is_category(self) -> bool:
        """Whether it is one of a list."""
        return self.categories is not None

    @property
    def missing(self) -> int:
        """The code of a missing category."""
        return len(self.categories or ())


@dataclass(frozen=True)
class Coding:
    """All inputs, in the order of the model's features; the network sees numbers and categories apart."""

    features: tuple[Feature, ...]

    @property
    def numbers(self) -> list[Feature]:
        """Those with quantiles."""
        return [feature for feature in self.features if not feature.is_category]

    @property
    def categories(self) -> list[Feature]:
        """The others."""
        return [feature for feature in self.features if feature.is_category]

    @property
    def pieces(self) -> int:
        """How many stretches lie between the quantiles of the number that has most."""
        return max((len(feature.knots) - 1 for feature in self.numbers), default=0)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the codes of each category begin in the table that all categories share; the end last."""
        return np.cumsum([0, *(feature.missing + 1 for feature in self.categories)])

    def encode(self, rows: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """Places (rows, numbers) and codes (rows, categories) of values, categories by their place, NaN for missing."""
        places = np.empty((len(rows), len(self.numbers)), np.float32)
        codes = np.empty((len(rows), len(self.categories)), np.int64)
        number = category = 0
        for values, feature in zip(rows.T, self.features, strict=True):
            known = ~np.isnan(values)
            if feature.is_category:
                codes[:, category] = self.starts[category] + np.where(known, values, feature.missing)
                category += 1
            else:
                found = np.interp(values, feature.knots, np.arange(len(feature.knots)))
                places[:, number] = np.where(known, found, MISSING)
                number += 1
        return places, codes

    def encode_all(self, frames: Iterable[pl.DataFrame], rows: int, target: str) -> tuple[Any, ...]:
        """The same of partitions, one after another, and their labels as float32."""
        places = np.empty((rows, len(self.numbers)), np.float32)
        codes = np.empty((rows, len(self.categories)), np.int64)
        labels, at = np.empty(rows, np.float32), 0
        for frame in frames:
            here = slice(at, at + len(frame))
            places[here], codes[here] = self.encode(matrix_of(frame, [feature.name for feature in self.features]))
            labels[here] = frame[target].cast(pl.Float32).to_numpy()
            at += len(frame)
        return places[:at], codes[:at], labels[:at]

    def to_json(self) -> list[dict[str, Any]]:
        """The inverse of `coding_from_json`."""
        return [
            {"name": feature.name, "knots": list(feature.knots)}
            if feature.categories is None
            else {"name": feature.name, "categories": list(feature.categories)}
            for feature in self.features
        ]


def coding_from_json(content: Sequence[Mapping[str, Any]]) -> Coding:
    """A coding as it was kept."""
    return Coding(
        tuple(
            Feature(str(entry["name"]), categories=tuple(map(str, entry["categories"])))
            if "categories" in entry
            else Feature(str(entry["name"]), tuple(map(float, entry["knots"])))
            for entry in content
        )
    )


def coding_of(columns: Sequence[Column], sketches: Mapping[str, Sketch], pieces: int) -> Coding:
    """Cut every number in at most ``pieces`` stretches with about as many training rows each."""
    features = []
    for column in columns:
        sketch = sketches[column.name]
        if column.kind == "categorical" or not isinstance(sketch, NumberSketch):
            features.append(Feature(column.name, categories=column.categories))
            continue
        ends = np.array([sketch.low, *sketch.edges(pieces), sketch.high] if sketch.n else [0.0])
        features.append(Feature(column.name, knots=tuple(np.unique(ends.astype(np.float32)).tolist())))
    return Coding(tuple(features))


def matrix_of(rows: pl.DataFrame, names: Sequence[str]) -> Float32:
    """Values (rows, features): a category by its place among those of the training rows, NaN where one is missing."""
    return np.stack(
        [
            (column.to_physical() if column.dtype == pl.Enum else column).cast(pl.Float32).to_numpy()
            for column in rows.select(names)
        ],
        axis=1,
    )
