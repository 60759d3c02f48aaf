"""How often does each outcome occur, by group of a column's values and by cluster?  Counted over training rows alone.

The groups come from the sketches of all rows (`group_columns`); what is counted by group is counted by cluster too,
because rows of one day share their luck: whoever judges a group has to see how it differs from day to day.  Counts are
added up over partitions, so neither their order nor the number of workers changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.exploration.summary import Summary, as_plain
from stages.features.binning import Bins, bin_column
from stages.features.sketch import CategorySketch, NumberSketch

Float = NDArray[np.float64]
Int = NDArray[np.int64]

GROUPS = 10  # groups of about equal size in which the target is compared
FEW_VALUES = 24  # a whole-numbered column with at most this many values has a group for each
BY_NAME = 60  # categories with a group of their own, the most frequent ones; the others are put together


@dataclass(frozen=True)
class Outcomes:
    """What is added up per row, by cluster: 1 for its class, or 1, y and y².

    ``clusters`` are sorted; rows that share no luck are all of one cluster.  ``whole`` has the shape (clusters,
    outcomes), ``tables[column]`` (clusters, groups, outcomes), the last group for a missing value.
    """

    clusters: NDArray[np.str_]
    whole: Float
    tables: dict[str, Float]


def group_columns(whole: Summary, target: str) -> dict[str, Bins]:
    """The groups of every column that the target is compared over; days do not come again, so they have none."""
    found = {}
    for name, sketch in whole.sketches.items():
        if name == target or whole.kinds[name] == "date":
            continue
        if isinstance(sketch, NumberSketch):
            few = "Int" in whole.dtypes[name] and len(sketch.buckets) <= FEW_VALUES
            found[name] = bin_column(name, sketch, (), FEW_VALUES if few else GROUPS)
        elif isinstance(sketch, CategorySketch):
            found[name] = bin_column(name, sketch, tuple(sketch.counts), BY_NAME)
    return found


def count_outcomes(
    frame: pl.DataFrame,
    *,
    target: str,
    n_classes: int,
    groups: Mapping[str, Bins],
    kinds: Mapping[str, str],
    clusters: pl.Series | None = None,
) -> Outcomes:
    """Count labelled training rows; ``clusters`` names the cluster of each row, None where each is its own."""
    each = outcome_columns(frame[target], n_classes)
    names, place = np.zeros(1, np.str_), np.zeros(len(frame), np.int64)
    if clusters is not None:
        names, place = np.unique(clusters.cast(pl.String).to_numpy().astype(np.str_), return_inverse=True)
    tables = {}
    for name, bins in groups.items():
        width = int(bins.coarse[-1]) + 1
        cell = place * width + bins.coarse[bins.codes(as_plain(frame[name], kinds[name]))]
        tables[name] = _add_up(cell, each, len(names) * width).reshape(len(names), width, each.shape[1])
    return Outcomes(names, _add_up(place, each, len(names)), tables)


def outcome_columns(target: pl.Series, n_classes: int) -> Float:
    """What is added up per row, which has a label: one column per class, or 1, y and y²."""
    y = target.cast(pl.Float64).to_numpy()
    answers = [y == code for code in range(n_classes)] or [np.ones(len(y)), y, y**2]
    return np.column_stack(answers).astype(np.float64)


def _add_up(cells: Int, each: Float, n_cells: int) -> Float:
    """In the order of the rows, so the sums do not depend on threads."""
    return np.stack([np.bincount(cells, weights=column, minlength=n_cells) for column in each.T], axis=1)


def merge_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """Add up the counts of partitions given in canonical order."""
    clusters = np.unique(np.concatenate([part.clusters for part in parts]))
    places = [np.searchsorted(clusters, part.clusters) for part in parts]
    whole, *tables = (
        _spread(len(clusters), places, [part.whole if name is None else part.tables[name] for part in parts])
        for name in (None, *parts[0].tables)
    )
    return Outcomes(clusters, whole, dict(zip(parts[0].tables, tables, strict=True)))


def _spread(n_clusters: int, places: Sequence[Int], tables: Sequence[Float]) -> Float:
    total = np.zeros((n_clusters, *tables[0].shape[1:]))
    for place, table in zip(places, tables, strict=True):
        total[place] += table
    return total
