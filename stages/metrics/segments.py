"""Do results differ between kinds of rows?  Cells of the resampling table told apart by the values of a column.

A view of a segment is called "carrier=UA<tab>score".  The commonest values of the training rows have a segment each,
the others one together.  Codes of segments are coarsened, or a year of days times twenty values would not be small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.binary import BinaryTask
from stages.metrics.codes import CENTRE, coarsen
from stages.metrics.regression import RegressionTask
from stages.metrics.stored import Task

MOST_VALUES = 20
OTHER = "(other)"
BETWEEN = "\t"


@dataclass(frozen=True)
class Segments:
    """By column, the values that are told apart, commonest first; `OTHER` stands for the rest and for no value."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, counts: Mapping[str, Mapping[str, int]]) -> Segments:
        """The commonest `MOST_VALUES` of every column, from its counts by value; of equals, the first by name."""
        chosen = {
            column: tuple(sorted(by_value, key=lambda value: (-by_value[value], value))[:MOST_VALUES])
            for column, by_value in counts.items()
        }
        return cls(chosen)

    def rows(self, frame: pl.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Every segment that has rows, by name, and which rows are its own."""
        for column, values in self.values.items():
            given = frame[column].cast(pl.String)
            for value in values:
                chosen = given.eq_missing(value).to_numpy()
                if chosen.any():
                    yield f"{column}={value}", chosen
            rest = ~given.is_in(list(values), nulls_equal=True).to_numpy()
            if rest.any():
                yield f"{column}={OTHER}", rest

    def tabulate(
        self, task: Task, frame: pl.DataFrame, units: NDArray[np.int64], names: list[str], labels: NDArray[Any],
        scores: NDArray[np.float32],
    ) -> list[pl.DataFrame]:  # fmt: skip
        """The cells of every segment in one partition."""
        cells = []
        for segment, chosen in self.rows(frame):
            own = task.tabulate(units[chosen], names, labels[chosen], scores[chosen])
            view = (pl.lit(f"{segment}{BETWEEN}") + pl.col("view")).alias("view")
            cells.append(_coarsened(task, own).with_columns(view))
        return cells

    def found(self, views: pl.Series) -> dict[str, list[str]]:
        """The values that occur in views of gathered cells, in the order in which they are told apart."""
        present = {view.partition(BETWEEN)[0] for view in views.unique().to_list() if BETWEEN in view}
        return {
            column: [value for value in (*values, OTHER) if f"{column}={value}" in present]
            for column, values in self.values.items()
        }


def _coarsened(task: Task, cells: pl.DataFrame) -> pl.DataFrame:
    """Coarse score codes; counts of classes and of numbers stay as they are."""
    if isinstance(task, RegressionTask):
        return cells
    start = task.threshold_code if isinstance(task, BinaryTask) else CENTRE
    codes = pl.Series("coarse", coarsen(cells["code"].to_numpy(), start), dtype=pl.Int32)
    scored = cells["view"] != "confusion"
    return cells.with_columns(pl.when(scored).then(codes).otherwise(pl.col("code")).alias("code"))
