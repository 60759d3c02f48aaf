"""In which bin does a value fall?  Numbers are cut at edges, categories keep their own level, nulls are a bin apart.

A pair of features is tabulated with fewer levels than a feature alone: there the rare categories share one level, so
that a column of hundreds of airports costs no more than a column of hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.sketch import CategorySketch, NumberSketch, Sketch, sum_up

Float = NDArray[np.float64]
Int = NDArray[np.int64]
FEW_EDGES = 64  # up to here comparing with every edge, which runs in vector registers, beats a search: 3 to 12 times


@dataclass(frozen=True)
class Bins:
    """The bins of one column: codes 0 … ``levels`` - 2 for values, the last one for nulls (and NaN).

    ``coarse`` maps each code to its level in tables of pairs, which has at most ``bins`` + 1 of them.
    """

    name: str
    edges: Float | None
    levels: int
    coarse: Int
    categories: tuple[str, ...] = ()

    @property
    def null(self) -> int:
        """The code of a null."""
        return self.levels - 1

    def codes(self, column: pl.Series) -> Int:
        """The bin of each value; a category that is not one of ``categories`` counts as null."""
        if self.edges is None:
            known = pl.Enum(self.categories)
            column = column if column.dtype == known else column.cast(pl.String).cast(known, strict=False)
            return column.to_physical().cast(pl.Int64).fill_null(self.null).to_numpy()
        values = sum_up(column).cast(pl.Float64).to_numpy()
        codes = cut(values, self.edges)
        codes[np.isnan(values)] = self.null
        return codes


def cut(values: Float, edges: Float) -> Int:
    """How many of the ascending ``edges`` each value reaches; NaN counts as beyond all of them."""
    if len(edges) > FEW_EDGES:
        return np.searchsorted(edges, values, side="right").astype(np.int64)
    short_of = np.zeros(len(values), np.uint8)
    for edge in edges:
        short_of += values < edge
    return len(edges) - short_of.astype(np.int64)


def bin_numbers(name: str, sketch: NumberSketch, bins: int) -> Bins:
    """At most ``bins`` groups of about equal size."""
    edges = sketch.edges(bins)
    levels = len(edges) + 2
    return Bins(name, edges, levels, np.arange(levels))


def bin_categories(name: str, sketch: CategorySketch, categories: Sequence[str], bins: int) -> Bins:
    """One level per category; in pairs the ``bins`` - 1 most frequent, in order of rank, then all others together."""
    ranked = sorted(categories, key=lambda category: (-sketch.counts.get(category, 0), category))
    rank = {category: min(k, bins - 1) for k, category in enumerate(ranked)}
    others = min(len(categories), bins)
    coarse = np.array([*(rank[category] for category in categories), others], dtype=np.int64)
    return Bins(name, None, len(categories) + 1, coarse, tuple(categories))


def bin_column(name: str, sketch: Sketch, categories: Sequence[str], bins: int) -> Bins:
    """Cut one feature as its sketch says."""
    if isinstance(sketch, CategorySketch):
        return bin_categories(name, sketch, categories, bins)
    return bin_numbers(name, sketch, bins)


def bins_to_json(bins: Bins) -> dict[str, Any]:
    """A JSON-ready form of one column's bins; levels in tables of pairs are left out."""
    edges = None if bins.edges is None else [float(edge) for edge in bins.edges]
    return {"name": bins.name, "edges": edges, "categories": list(bins.categories)}


def bins_from_json(content: Mapping[str, Any]) -> Bins:
    """The inverse of `bins_to_json`."""
    edges, categories = content["edges"], tuple(content["categories"])
    levels = len(categories) + 1 if edges is None else len(edges) + 2
    cut = None if edges is None else np.asarray(edges, dtype=np.float64)
    return Bins(content["name"], cut, levels, np.arange(levels), categories)


@dataclass(frozen=True)
class Coding:
    """How the rows of a table become whole numbers: bins of the features, of the target, and a group to be drawn with.

    ``target_edges`` cut a regression target; None where it is a class already.  ``groups`` holds the values of the
    ``cluster`` column and the group of each; None where rows are independent and fall in one of ``blocks`` at random.
    """

    bins: tuple[Bins, ...]
    target: str
    target_edges: Float | None
    classes: int
    cluster: str | None
    groups: pl.DataFrame | None
    blocks: int

    @property
    def levels(self) -> list[int]:
        """Levels of each feature."""
        return [bins.levels for bins in self.bins]

    @property
    def width(self) -> int:
        """Levels that a feature has at most in a table of pairs."""
        return max(int(bins.coarse[-1]) + 1 for bins in self.bins)

    def target_codes(self, frame: pl.DataFrame) -> Int:
        """The class of each row, or the bin of its value."""
        if self.target_edges is None:
            return frame[self.target].cast(pl.Int64).to_numpy()
        return cut(frame[self.target].cast(pl.Float64).to_numpy(), self.target_edges)

    def group_codes(self, frame: pl.DataFrame, rng: np.random.Generator) -> Int:
        """What each row is drawn with: the group of its cluster, or a random block."""
        if self.groups is None:
            return rng.integers(self.blocks, size=len(frame))
        keys = frame.select(self.cluster)
        joined = keys.join(self.groups, on=self.cluster, how="left", nulls_equal=True, maintain_order="left")
        return joined["group"].to_numpy()


def group_clusters(clusters: pl.Series, most: int) -> pl.DataFrame:
    """Number the sorted clusters; where there are more than ``most``, runs of neighbours form a group.

    What neighbouring clusters share (the weather of a week) then stays together.
    """
    group = np.arange(len(clusters))
    if len(clusters) > most:
        group = group * most // len(clusters)
    return pl.DataFrame({clusters.name: clusters.sort(), "group": group})
