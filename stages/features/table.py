"""The feature table of one dataset as later stages see it: partitions, columns, task; nothing of its origin.

``data/features/<dataset>/manifest.json`` carries the task, the target, the classes, the cluster column, the kind,
meaning and unit of every feature, its categories (from the training rows) and the rows of each part by partition.
What it does not name is no partition: ``summaries/`` lies beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import polars as pl

from stages.features.sketch import Sketch, sketch_from_json
from stages.workspace import layout
from stages.workspace.errors import UserError
from stages.workspace.files import read_json, read_manifest

SKETCHES = "sketches.json"
SUMMARIES = "summaries"  # a folder: one file a partition, of the same name; what `build_context` adds up


@dataclass(frozen=True)
class Column:
    """One feature: its ``kind``, ``categories`` sorted, from the training rows; of a picture the ``shape``."""

    name: str
    kind: str
    about: str
    unit: str
    categories: tuple[str, ...] = ()
    always: bool = False
    shape: tuple[int, ...] = ()

    @property
    def values(self) -> int:
        """How many numbers a row has of it."""
        return prod(self.shape)


@dataclass(frozen=True)
class FeatureTable:
    """A handle on partitions; rows are read one partition at a time, in canonical order."""

    folder: Path
    dataset: str
    question: str
    task: str
    target: str
    target_unit: str
    classes: tuple[str, ...]
    cluster: str | None
    columns: tuple[Column, ...]
    partitions: tuple[dict[str, Any], ...]
    root: layout.Root = field(default_factory=layout.Root, repr=False, compare=False, kw_only=True)
    """Where ``folder`` lies."""

    @property
    def names(self) -> list[str]:
        """Feature names in canonical order."""
        return [column.name for column in self.columns]

    @property
    def feature_types(self) -> list[str]:
        """XGBoost's letters: ``c`` for a categorical, ``q`` for a numeric feature."""
        return ["c" if column.kind == "categorical" else "q" for column in self.columns]

    @property
    def values(self) -> int:
        """How many numbers a row has of all features."""
        return sum(column.values for column in self.columns)

    def with_columns(self, names: Sequence[str]) -> FeatureTable:
        """The same table narrowed to the named features, in the given order."""
        by_name = {column.name: column for column in self.columns}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise UserError(f"features of {self.dataset}", f"no such feature: {', '.join(missing)}", "run `dvc repro`")
        return replace(self, columns=tuple(by_name[name] for name in names))

    def rows(self, part: str) -> int:
        """Labelled rows of one part, from the manifest."""
        return sum(partition["parts"][part] for partition in self.partitions)

    def partition_names(self, part: str) -> list[str]:
        """Partitions that hold at least one labelled row of ``part``, in canonical order."""
        return [partition["name"] for partition in self.partitions if partition["parts"][part]]

    def path_of(self, partition: str) -> Path:
        """The file of one partition, the same wherever this process has moved to."""
        return self.root.path / self.folder / f"{partition}.parquet"

    def read(self, partition: str, part: str, extra: Sequence[str] = ()) -> pl.DataFrame:
        """Labelled rows of ``part`` in one partition: the features, then the target, then ``extra`` columns.

        Categorical features arrive as enums over the training categories; any other value is null.
        """
        labelled = (pl.col("part") == part) & pl.col(self.target).is_not_null()
        return as_enums(self._read(partition, labelled, extra), self.columns)

    def read_every(self, partition: str, part: str, extra: Sequence[str] = ()) -> pl.DataFrame:
        """`read`, with the rows that have no label, and every value as it is stored."""
        return self._read(partition, pl.col("part") == part, extra)

    def _read(self, partition: str, chosen: pl.Expr, extra: Sequence[str]) -> pl.DataFrame:
        wanted = [*self.names, self.target, *(name for name in extra if name not in (*self.names, self.target))]
        return pl.scan_parquet(self.path_of(partition)).filter(chosen).select(wanted).collect()

    def frames(self, part: str, extra: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
        """`read` over every partition that has rows of ``part``, one at a time."""
        for partition in self.partition_names(part):
            yield self.read(partition, part, extra)


def refuse_no_features(table: FeatureTable) -> None:
    """Stop where nothing was selected."""
    if not table.names:
        raise UserError(
            f"at least one selected feature of {table.dataset}",
            "none",
            f"loosen the thresholds of datasets.{table.dataset}.select_features",
        )


def refuse_no_rows(table: FeatureTable, *parts: str) -> None:
    """Stop where one of the parts has no labelled row."""
    for part in parts:
        if table.rows(part) == 0:
            raise UserError(
                f"labelled rows in the {part} part of {table.dataset}",
                "none",
                f"look at datasets.{table.dataset}.featurize.split and at metrics/{table.dataset}/clean.json, "
                "then run `dvc repro`",
            )


def as_enums(frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Cast the categorical features to enums over their known categories; unknown values become null."""
    return frame.with_columns(
        pl.col(column.name).cast(pl.Enum(column.categories), strict=False)
        for column in columns
        if column.kind == "categorical"
    )


def open_features(dataset: str, columns: Sequence[str] | None = None) -> FeatureTable:
    """The feature table of ``dataset``, narrowed to ``columns`` when given."""
    folder = layout.features(dataset)
    manifest = read_manifest(folder)
    table = FeatureTable(
        folder=folder,
        dataset=manifest["dataset"],
        question=manifest["question"],
        task=manifest["task"],
        target=manifest["target"],
        target_unit=manifest.get("target_unit", ""),
        classes=tuple(manifest["classes"]),
        cluster=manifest["cluster"],
        columns=tuple(
            Column(
                name=c["name"],
                kind=c["kind"],
                about=c["about"],
                unit=c["unit"],
                categories=tuple(c.get("categories", ())),
                always=c.get("always", False),
                shape=tuple(c.get("shape", ())),
            )
            for c in manifest["columns"]
        ),
        partitions=tuple(manifest["partitions"]),
    )
    return table if columns is None else table.with_columns(columns)


def read_sketches(dataset: str) -> dict[str, Sketch]:
    """Sketches of every feature over the training rows: bin edges now, the drift reference later."""
    content = read_json(layout.features(dataset) / SKETCHES)
    return {name: sketch_from_json(sketch) for name, sketch in content.items()}


def read_selection(dataset: str) -> list[str]:
    """Names of the selected features, in the order in which the model sees them."""
    selected: list[str] = read_json(layout.selection(dataset))["selected"]
    return selected
