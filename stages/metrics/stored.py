"""What does a stored resampling table say about a system, as a whole and in one segment of the rows?

A table holds cells (system, segment, unit, view, label, code, n).  Segment "" is every row; "carrier=UA" are the rows
of one value of a declared column, their codes coarsened (`score_codes.coarsen`) so that the table stays small:
decisions at the system's threshold stay exact there, ranking and probability metrics nearly so.  Months need no cells
of their own, because units that are days tell them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from stages.metrics import binary as binary_scores
from stages.metrics import multiclass as multiclass_scores
from stages.metrics import regression as regression_scores
from stages.metrics.binary import BinaryTask
from stages.metrics.codes import Grid
from stages.metrics.contract import Metric, System
from stages.metrics.multiclass import MulticlassTask
from stages.metrics.regression import RegressionTask
from stages.metrics.resampling import unit_names

Task = BinaryTask | MulticlassTask | RegressionTask
METRICS: dict[str, dict[str, Metric]] = {
    "binary": binary_scores.METRICS,
    "multiclass": multiclass_scores.METRICS,
    "regression": regression_scores.METRICS,
}
WHOLE = ""


def task_of(header: Mapping[str, Any], system: str = "model") -> Task:
    """What the system was asked to do, as `evaluate` had it."""
    decides = header["systems"][system]["decides"]
    match header["task"]:
        case "binary":
            return BinaryTask(**decides)
        case "multiclass":
            return MulticlassTask(**decides)
        case _:
            return RegressionTask(Grid(**decides["grid"]))


def units_of(cells: pl.DataFrame) -> list[str]:
    """Every unit of the test part, neighbours beside each other."""
    return unit_names(cells.filter(pl.col("segment") == WHOLE))


def system_of(
    cells: pl.DataFrame,
    header: Mapping[str, Any],
    system: str = "model",
    segment: str = WHOLE,
    units: Sequence[str] | None = None,
) -> System:
    """One system's table over ``units`` (all by default), and its metrics.

    They are those of the scores themselves for the whole test part, those of the coded scores (NaN where undefined) for
    a segment or for fewer units.
    """
    chosen = cells.filter((pl.col("system") == system) & (pl.col("segment") == segment))
    every = units_of(cells)
    names = every if units is None else [name for name in every if name in set(units)]
    if len(names) < len(every):
        chosen = chosen.filter(pl.col("unit").is_in(names))
    table = task_of(header, system).table(chosen, names)
    if segment == WHOLE and len(names) == len(every):
        return System(table, header["systems"][system]["exact"])
    coded = table.measure(np.ones((1, len(names))))
    return System(table, {metric: float(values[0]) for metric, values in coded.items()})


def segments_of(header: Mapping[str, Any], column: str | None = None) -> list[str]:
    """The segments that the table tells apart, "column=value", of one column or of all."""
    declared = header.get("segments", {})
    return [f"{name}={value}" for name in declared if column in (None, name) for value in declared[name]]


def months_of(units: Sequence[str]) -> dict[str, list[str]]:
    """Units by month, where all of them are days; otherwise nothing."""
    months: dict[str, list[str]] = {}
    for unit in units:
        try:
            day = date.fromisoformat(unit)
        except ValueError:
            return {}
        months.setdefault(f"{day:%Y-%m}", []).append(unit)
    return months


def on_units(cells: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
    """The cells of some units only."""
    return cells.filter(pl.col("unit").is_in(list(units)))
