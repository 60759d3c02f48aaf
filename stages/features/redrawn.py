"""What if other days had been there to learn from?  Training rows drawn again, whole units at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.features.table import FeatureTable


@dataclass(frozen=True)
class RedrawnRows(FeatureTable):
    """A feature table whose training rows occur as often as their units were drawn, in the order of the rows.

    ``times`` are draws by value of ``unit_column``, or by partition for each of its rows where that is None.
    """

    unit_column: str | None
    times: Mapping[Any, Any]

    def read(self, partition: str, part: str, extra: Sequence[str] = ()) -> pl.DataFrame:
        """As of any feature table, training rows repeated."""
        if part != "train":
            return super().read(partition, part, extra)
        if self.unit_column is None:
            return _repeated(super().read(partition, part, extra), self.times[partition])
        frame = super().read(partition, part, list(dict.fromkeys([*extra, self.unit_column])))
        drawn = np.array([self.times[unit] for unit in frame[self.unit_column].to_list()], np.int64)
        return _repeated(frame if self.unit_column in extra else frame.drop(self.unit_column), drawn)


def redraw_training(
    table: FeatureTable, unit_column: str | None, draw: Callable[[int], NDArray[np.floating]]
) -> RedrawnRows:
    """The training units as often as ``draw(n)`` says of n of them, in order; single rows where they have no units."""
    names = table.partition_names("train")
    times: dict[Any, Any]
    if unit_column is None:
        counts = [len(table.with_columns([]).read(name, "train")) for name in names]
        drawn = draw(sum(counts)).astype(np.int64)
        times = dict(zip(names, np.split(drawn, np.cumsum(counts)[:-1]), strict=True))
        rows = {name: int(own.sum()) for name, own in times.items()}
    else:
        found = {name: table.with_columns([]).read(name, "train", [unit_column])[unit_column] for name in names}
        units = sorted(set().union(*(column.unique().to_list() for column in found.values())))
        times = dict(zip(units, draw(len(units)).astype(np.int64).tolist(), strict=True))
        rows = {name: sum(times[unit] for unit in column.to_list()) for name, column in found.items()}
    parts = [
        partition | {"parts": partition["parts"] | {"train": rows.get(partition["name"], 0)}}
        for partition in table.partitions
    ]
    known: dict[str, Any] = {field.name: getattr(table, field.name) for field in fields(FeatureTable)}
    return RedrawnRows(**known | {"partitions": tuple(parts)}, unit_column=unit_column, times=times)


def _repeated(frame: pl.DataFrame, times: NDArray[np.int64]) -> pl.DataFrame:
    return frame[np.repeat(np.arange(len(frame)), times)]
