"""What does a stored resampling table say about a system, as a whole and in one segment of the rows?

A table holds cells (system, segment, unit, view, label, code, n).  Segment "" is every row; "carrier=UA" are the rows
of one value of a declared column, their codes coarsened (`codes.coarsen`) so that the table stays small: decisions at
the system's threshold stay exact there, ranking and probability metrics nearly so.  The commonest values of the
training rows have a segment each, the others one together; until it is stored, a view of a segment is called
"carrier=UA<tab>score".  Segment "(valid)" holds the valid rows, where a threshold is chosen on them.  Months need no
cells of their own, because units that are days tell them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.metrics.binary import BINARY
from stages.metrics.contract import Decision, System, Task
from stages.metrics.forecast import FORECAST
from stages.metrics.multiclass import MULTICLASS
from stages.metrics.regression import REGRESSION
from stages.metrics.resampling import unit_names

TASKS: dict[str, Task] = {task.name: task for task in (BINARY, MULTICLASS, REGRESSION, FORECAST)}
WHOLE, VALID = "", "(valid)"
MOST_VALUES = 20
OTHER = "(other)"
BETWEEN = "\t"


def task_named(name: object) -> Task:
    """The task that a dataset, a table or a bundle names."""
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(
            f"a task that is known: {', '.join(TASKS)}", repr(name),
            "correct `task` in the dataset's package, or add the task to stages/metrics (docs/architecture.md)",
        )  # fmt: skip
    return TASKS[name]


def score_columns(task: Task, scores: NDArray[np.float32], signature: Mapping[str, Any]) -> pl.DataFrame:
    """The numbers among what `predict` writes of these rows: probabilities, a prediction, a forecast's ends."""
    return task.name_scores(scores, signature).select(pl.selectors.float())


def decision_of(header: Mapping[str, Any], system: str = "model") -> Decision:
    """What the system was asked to do, as `evaluate` had it."""
    return task_named(header["task"]).unpack(header["systems"][system]["decides"])


def units_of(cells: pl.DataFrame) -> list[str]:
    """Every unit of the test part, neighbours beside each other."""
    return unit_names(cells.filter(pl.col("segment") == WHOLE))


def valid_units_of(cells: pl.DataFrame, systems: Sequence[str]) -> list[str]:
    """Every valid unit; none where a table lacks them, as one from before they were kept does."""
    valid = cells.filter(pl.col("segment") == VALID)
    return unit_names(valid) if set(systems) <= set(valid["system"].unique()) else []


def system_of(
    cells: pl.DataFrame,
    header: Mapping[str, Any],
    system: str = "model",
    segment: str = WHOLE,
    units: Sequence[str] | None = None,
    valid_units: list[str] | None = None,
) -> System:
    """One system's table over ``units`` (all by default), and its metrics.

    Weights of the ``valid_units`` may stand beside those of the units (`bootstrap.draw_both`).  The metrics are those
    of the scores themselves for the whole test part, those of the coded scores (NaN where undefined) for a segment or
    for fewer units.
    """
    chosen = cells.filter((pl.col("system") == system) & (pl.col("segment") == segment))
    every = units_of(cells)
    names = every if units is None else [name for name in every if name in set(units)]
    if len(names) < len(every):
        chosen = chosen.filter(pl.col("unit").is_in(names))
    table = decision_of(header, system).table(chosen, names)
    if valid_units is None:
        valid_units = valid_units_of(cells, [system])
    if valid_units:
        valid = cells.filter((pl.col("system") == system) & (pl.col("segment") == VALID))
        table = task_named(header["task"]).redecide(table, valid, valid_units, segment != WHOLE)
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
        self, decision: Decision, frame: pl.DataFrame, units: NDArray[np.int64], names: list[str], labels: NDArray[Any],
        scores: NDArray[np.float32],
    ) -> list[pl.DataFrame]:  # fmt: skip
        """The cells of every segment in one partition."""
        cells = []
        for segment, chosen in self.rows(frame):
            own = decision.tabulate(units[chosen], names, labels[chosen], scores[chosen])
            view = (pl.lit(f"{segment}{BETWEEN}") + pl.col("view")).alias("view")
            cells.append(decision.coarsened(own).with_columns(view))
        return cells

    def found(self, views: pl.Series) -> dict[str, list[str]]:
        """The values that occur in views of gathered cells, in the order in which they are told apart."""
        present = {view.partition(BETWEEN)[0] for view in views.unique().to_list() if BETWEEN in view}
        return {
            column: [value for value in (*values, OTHER) if f"{column}={value}" in present]
            for column, values in self.values.items()
        }
