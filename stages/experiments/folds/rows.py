"""The labelled rows of a feature table, counted once by unit (or piece) and class, then read a fold's part at a time.

The count reads three columns, one partition after another, and remembers how many rows of every unit each partition
holds; so a fold opens only the partitions in which its part has rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.experiments.folds.deal import PIECES_OF_FOLD, deal_pieces, hash_blocks
from stages.features.table import FeatureTable, as_enums
from stages.metrics.resampling import MAX_BLOCKS
from stages.runtime.log import progress
from stages.workspace.errors import UserError

Int = NDArray[np.int64]


class Choice(Protocol):
    """Which of the labelled rows belong to one part of a fold."""

    def take(self, rows: pl.LazyFrame, partition: str, columns: Sequence[str]) -> pl.DataFrame:
        """Those among the ``rows`` of one partition."""


@dataclass(frozen=True)
class FoldTable(FeatureTable):
    """A feature table whose parts are those of a fold: whatever reads parts of a table can read these."""

    taking: tuple[str, ...]
    """The parts of the original split whose rows take part at all."""
    choices: Mapping[str, Choice]

    def read(self, partition: str, part: str, extra: Sequence[str] = ()) -> pl.DataFrame:
        """Labelled rows of the fold's ``part`` in one partition; see `FeatureTable.read`."""
        wanted = list(dict.fromkeys([*self.names, self.target, *extra]))
        rows = self.choices[part].take(scan_labelled(self, self.taking, partition), partition, wanted)
        return as_enums(rows, self.columns)


class CountedRows(Protocol):
    """Rows that have been counted by place, a unit in its order or a piece, and by class."""

    @property
    def counts(self) -> Int:
        """Rows by place and class."""

    def in_partitions(self, places: Sequence[int]) -> dict[str, int]:
        """Rows at ``places``, by partition."""

    def choice(self, places: Sequence[int]) -> Choice:
        """The rows at ``places``, neighbours of one another if they are units."""

    def name_places(self, places: Sequence[int]) -> tuple[str, ...]:
        """The names of the units at ``places``; pieces have none."""


@dataclass(frozen=True)
class UnitRows:
    """Rows counted by unit; ``held`` are places of units and their rows, by partition."""

    cluster: str
    units: pl.Series
    counts: Int
    held: Mapping[str, tuple[Int, Int]]

    @classmethod
    def count(cls, table: FeatureTable, parts: Sequence[str]) -> UnitRows:
        """One pass over the partitions."""
        cluster = str(table.cluster)
        label = pl.col(table.target) if table.classes else pl.lit(0)
        keys = [pl.col(cluster).alias("unit"), label.alias("label")]
        counted = {name: rows.group_by(keys).len("n").collect() for name, rows in labelled_rows(table, parts)}
        for name, found in counted.items():
            _refuse_no_unit(cluster, name, found)
        units = pl.concat([found["unit"].unique() for found in counted.values()]).unique().sort()
        counts, held = np.zeros((len(units), n_classes(table)), np.int64), {}
        for name, found in counted.items():
            places, rows = np.asarray(units.search_sorted(found["unit"])), found["n"].cast(pl.Int64).to_numpy()
            np.add.at(counts, (places, class_codes(table, found["label"])), rows)
            held[name] = (places, rows)
        return cls(cluster, units, counts, held)

    def in_partitions(self, places: Sequence[int]) -> dict[str, int]:
        """Rows at ``places``, by partition."""
        first, last = places[0], places[-1]
        return {name: int(rows[(at >= first) & (at <= last)].sum()) for name, (at, rows) in self.held.items()}

    def choice(self, places: Sequence[int]) -> Choice:
        """The rows from the first unit to the last."""
        return _Between(self.cluster, self.units[places[0]], self.units[places[-1]])

    def name_places(self, places: Sequence[int]) -> tuple[str, ...]:
        """The units at ``places``."""
        return tuple(str(self.units[place]) for place in places)


@dataclass(frozen=True)
class PieceRows:
    """Independent rows counted by piece; ``pieces`` (classes, blocks), by partition the first position and counts."""

    target: str
    pieces: Int
    counts: Int
    starts: Mapping[str, int]
    held: Mapping[str, Int]

    @classmethod
    def count(cls, table: FeatureTable, parts: Sequence[str], n_folds: int) -> PieceRows:
        """One pass over the partitions."""
        at, starts, held = 0, {}, {}
        for name, rows in labelled_rows(table, parts):
            codes = class_codes(table, rows.select(table.target).collect()[table.target])
            held[name] = np.zeros((n_classes(table), MAX_BLOCKS), np.int64)
            np.add.at(held[name], (codes, hash_blocks(at, len(codes))), 1)
            starts[name], at = at, at + len(codes)
        counts = np.sum(list(held.values()), axis=0)
        pieces = deal_pieces(counts, n_folds)
        by_piece = [np.where(pieces == piece, counts, 0).sum(axis=1) for piece in range(PIECES_OF_FOLD * n_folds)]
        return cls(table.target, pieces, np.stack(by_piece), starts, held)

    def in_partitions(self, places: Sequence[int]) -> dict[str, int]:
        """Rows of the pieces ``places``, by partition."""
        chosen = np.isin(self.pieces, list(places))
        return {name: int(counts[chosen].sum()) for name, counts in self.held.items()}

    def choice(self, places: Sequence[int]) -> Choice:
        """The rows of the pieces ``places``."""
        return _Dealt(self.target, self.starts, np.isin(self.pieces, list(places)))

    def name_places(self, _places: Sequence[int]) -> tuple[str, ...]:
        """Nothing: pieces have no names."""
        return ()


@dataclass(frozen=True)
class _Between:
    """Rows whose unit lies between ``first`` and ``last``, both included."""

    cluster: str
    first: Any
    last: Any

    def take(self, rows: pl.LazyFrame, _partition: str, columns: Sequence[str]) -> pl.DataFrame:
        within = pl.col(self.cluster).is_between(pl.lit(self.first), pl.lit(self.last))
        return rows.filter(within).select(columns).collect()


@dataclass(frozen=True)
class _Dealt:
    """Rows whose class and block are ``chosen``, shape (classes, blocks); a number to predict has a single class."""

    target: str
    starts: Mapping[str, int]
    chosen: NDArray[np.bool_]

    def take(self, rows: pl.LazyFrame, partition: str, columns: Sequence[str]) -> pl.DataFrame:
        found = rows.select(columns).collect()
        one = len(self.chosen) == 1
        codes = np.zeros(len(found), np.int64) if one else found[self.target].cast(pl.Int64).to_numpy()
        return found.filter(pl.Series(self.chosen[codes, hash_blocks(self.starts[partition], len(found))]))


def labelled_rows(table: FeatureTable, parts: Sequence[str]) -> Iterator[tuple[str, pl.LazyFrame]]:
    """Partitions that hold labelled rows of ``parts``, by name, in canonical order."""
    names = [known["name"] for known in table.partitions if any(known["parts"][part] for part in parts)]
    with progress(f"{table.dataset}: count rows", len(names), "partitions") as counter:
        for name in names:
            yield name, scan_labelled(table, parts, name)
            counter.advance()


def scan_labelled(table: FeatureTable, parts: Sequence[str], partition: str) -> pl.LazyFrame:
    """The labelled rows of ``parts`` in one partition, in canonical order."""
    path = table.path_of(partition)
    if not path.exists():
        raise UserError(f"the features {path}", "no such file", "run `dvc repro`, or `dvc pull` to fetch it")
    return pl.scan_parquet(path).filter(pl.col("part").is_in(list(parts)) & pl.col(table.target).is_not_null())


def n_classes(table: FeatureTable) -> int:
    """Classes to tell apart; 1 where a number is predicted."""
    return max(len(table.classes), 1)


def class_codes(table: FeatureTable, labels: pl.Series) -> Int:
    """Numbers of the classes of labels; a label that is none of them is refused."""
    if not table.classes:
        return np.zeros(len(labels), np.int64)
    codes = labels.cast(pl.Int64)
    unknown = codes.filter(~codes.is_between(0, len(table.classes) - 1)).unique().sort()
    if len(unknown):
        wanted = f"no label without a class ({', '.join(table.classes)}) in {table.dataset}"
        raise UserError(wanted, f"labels {', '.join(map(str, unknown))}", "run `dvc repro`")
    return codes.to_numpy()


def _refuse_no_unit(cluster: str, partition: str, counted: pl.DataFrame) -> None:
    without = int(counted.filter(pl.col("unit").is_null())["n"].sum())
    if without:
        raise UserError(
            f"a cluster for every row, in column {cluster!r}",
            f"{without} rows of partition {partition} without one",
            "let the dataset's featurize fill the column",
        )
