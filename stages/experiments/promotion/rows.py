"""The rows by which candidate and champion are judged: the test part of the workspace, or its latest units.

They are surveyed from two columns alone, before anything is scored: how many, which units, and the fingerprint by
which evaluations of the same rows are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from stages.features.table import FeatureTable, refuse_no_rows
from stages.metrics.evidence import least_units
from stages.metrics.resampling import count_cells, deal_rows, fingerprint, merge_cells, number_units, unit_names
from stages.metrics.scoring import cluster_of
from stages.metrics.settings import EvaluateSettings
from stages.metrics.stored import task_named
from stages.workspace.errors import UserError

VIEW = "rows"


@dataclass(frozen=True)
class LatestRows(FeatureTable):
    """A feature table whose test part begins late: at certain units, or after so many rows of a partition."""

    unit_column: str | None
    units: tuple[str, ...]
    skipped: Mapping[str, int]

    def read(self, partition: str, part: str, extra: Sequence[str] = ()) -> pl.DataFrame:
        """As of any feature table, without the rows before."""
        if part != "test":
            return super().read(partition, part, extra)
        if self.unit_column is None:
            return super().read(partition, part, extra)[self.skipped.get(partition, 0) :]
        frame = super().read(partition, part, list(dict.fromkeys([*extra, self.unit_column])))
        return frame.filter(pl.col(self.unit_column).cast(pl.String).is_in(self.units))


@dataclass(frozen=True)
class RecentRows:
    """The rows, and what is known of them: ``resampled`` names the unit, of which ``block`` neighbours are drawn
    together, and ``same_rows`` is their fingerprint."""

    table: FeatureTable
    n: int
    units: tuple[str, ...]
    resampled: str
    block: int
    same_rows: str
    is_whole: bool


def choose_rows(table: FeatureTable, settings: EvaluateSettings, last_units: int | None) -> RecentRows:
    """The test part of a table, or the ``last_units`` of it, with every column as it is stored."""
    refuse_no_rows(table, "test")
    unit_column = cluster_of(table, settings)
    chosen = _latest(table, unit_column, last_units) if last_units else table
    cells = merge_cells(list(_counted(chosen, unit_column)))
    units = tuple(unit_names(cells))
    question = {"dataset": table.dataset, "question": table.question, "task": table.task, "target": table.target,
                "classes": list(table.classes)}  # fmt: skip
    return RecentRows(
        chosen, chosen.rows("test"), units, unit_column or "rows", settings.block if unit_column else 1,
        fingerprint(cells, VIEW, question, task_named(table.task).known_by[1]),
        chosen.rows("test") == table.rows("test"),
    )  # fmt: skip


def refuse_few_units(rows: RecentRows, path: str) -> None:
    """Stop when ``last_units`` leaves fewer units than anything is judged by."""
    wanted = least_units(rows.block)
    if not rows.is_whole and len(rows.units) < wanted:
        raise UserError(
            f"{path}.last_units: {wanted} or more, to judge by in runs of {rows.block}",
            f"{len(rows.units)}",
            "correct it under params/ and run `make params`; null takes the whole test part",
        )


def _latest(table: FeatureTable, unit_column: str | None, last_units: int) -> FeatureTable:
    """The table without the test rows before its last units; where units are rows, without all but the last rows."""
    if unit_column is None:
        kept = _last_rows(table, last_units)
        units: tuple[str, ...] = ()
    else:
        found = {name: _units_of(table, name, unit_column) for name in table.partition_names("test")}
        units = tuple(unit_names(pl.DataFrame({"unit": pl.concat(list(found.values()))}))[-last_units:])
        kept = {name: int(column.is_in(units).sum()) for name, column in found.items()}
    parts = []
    for partition in table.partitions:
        counts = partition["parts"] | {"test": kept.get(partition["name"], 0)}
        parts.append(partition | {"parts": counts})
    skipped = {part["name"]: part["parts"]["test"] - kept.get(part["name"], 0) for part in table.partitions}
    known: dict[str, Any] = {field.name: getattr(table, field.name) for field in fields(FeatureTable)}
    return LatestRows(**known | {"partitions": tuple(parts)}, unit_column=unit_column, units=units, skipped=skipped)


def _last_rows(table: FeatureTable, n: int) -> dict[str, int]:
    kept = {}
    for partition in reversed(table.partitions):
        taken = min(partition["parts"]["test"], n)
        kept[partition["name"]], n = taken, n - taken
    return kept


def _units_of(table: FeatureTable, partition: str, column: str) -> pl.Series:
    return table.with_columns([]).read(partition, "test", [column])[column].cast(pl.String)


def _counted(table: FeatureTable, unit_column: str | None) -> Iterator[pl.DataFrame]:
    """Rows by unit and label, partition by partition; a number that is predicted counts as its float32 pattern."""
    start, total = 0, table.rows("test")
    for name in table.partition_names("test"):
        frame = table.with_columns([]).read(name, "test", [unit_column] if unit_column else [])
        if unit_column:
            names, units = number_units(frame[unit_column])
        else:
            units = deal_rows(start, len(frame), total)
            names = [f"{unit:04d}" for unit in range(int(units.max()) + 1)]
        start += len(frame)
        labels, codes = task_named(table.task).tell_rows(frame[table.target].to_numpy())
        yield count_cells(VIEW, units, names, labels, codes)


def as_stored(table: FeatureTable, names: Sequence[str]) -> FeatureTable:
    """The table with the named features as they lie in its files: a bundle knows its own categories."""
    narrowed = table.with_columns(names)
    return replace(narrowed, columns=tuple(replace(column, kind="as stored") for column in narrowed.columns))
