"""Does one revision do better than another: on every metric, in every segment, among many experiments?

Works on stored resampling tables alone.  Both are resampled alike, from the reference's seed; the longer of their runs
of neighbouring units is taken.

Two questions.  *change*: does what was changed help?  Each side counts by the mean of its trainings, and chance in the
training is part of the test (`paired.compare_trained`); so are the valid days on which thresholds were chosen.
*model*: is this very model better than that one?  Its threshold is a part of it, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from stages.metrics.bootstrap import Float, draw_both, replicate
from stages.metrics.contract import Metric, System
from stages.metrics.paired import Correction, Difference, compare, compare_trained, correct, mean_of, refuse_other_rows
from stages.metrics.resampling import in_order
from stages.metrics.stored import WHOLE, months_of, segments_of, system_of, task_named, units_of, valid_units_of
from stages.metrics.systems import Around, interval_around

MODEL = "model"
MONTH = "month"
SAME_TABLE = "the same resampling table"
SINGLY = 1  # tables from before runs of units were drawn do not say how long theirs are


Question = Literal["change", "model"]


@dataclass(frozen=True)
class Trainings:
    """Further trainings of one revision: their cells and header, which names a system for each."""

    cells: pl.DataFrame
    header: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """The resampling table of one revision: its cells, its header, the name of the revision, its further trainings."""

    cells: pl.DataFrame
    header: Mapping[str, Any]
    label: str
    again: Trainings | None = None

    @property
    def redrawn(self) -> str | None:
        """What its trainings drew again to learn from, such as day; None where all learnt from the same rows."""
        return self.again.header.get("redrawn") if self.again else None

    @property
    def trainings(self) -> int:
        """How many there are: the model itself is one of them unless the others drew again what it learnt from."""
        others = len(self.again.header["systems"]) if self.again else 0
        return others if self.redrawn else 1 + others

    @property
    def by_chance(self) -> bool:
        """Whether another seed would give another model, as far as is known."""
        return self.again is None or bool(self.again.header["by_chance"])

    @property
    def valid_units(self) -> list[str]:
        """The units on which the thresholds of all its trainings were chosen, where they are known."""
        found = valid_units_of(self.cells, [MODEL])
        if self.again is not None and self.trainings > 1:
            found = found if valid_units_of(self.again.cells, list(self.again.header["systems"])) else []
        return found

    def model(
        self, segment: str = WHOLE, units: list[str] | None = None, valid_units: list[str] | None = None
    ) -> System:
        """The model that ships."""
        return system_of(self.cells, self.header, MODEL, segment, units, valid_units)

    def every_training(
        self, segment: str = WHOLE, units: list[str] | None = None, valid_units: list[str] | None = None
    ) -> list[System]:
        """The model that ships, and the others; these alone where they drew again what they learnt from."""
        again, found = self.again, [] if self.redrawn else [self.model(segment, units, valid_units)]
        if again is not None:
            found += [
                system_of(again.cells, again.header, name, segment, units, valid_units)
                for name in again.header["systems"]
            ]
        return found


@dataclass(frozen=True)
class Resampling:
    """How both tables are resampled: ``units`` in order, how often each is drawn, and what was drawn from.

    Beside the weights of the units stand those of the ``valid_units``; without any, thresholds stay as they are.
    """

    units: list[str]
    valid_units: list[str]
    weights: Float
    replicates: int
    level: float
    block: int
    seed: int
    question: Question = "change"

    @classmethod
    def of(
        cls, a: Evaluation, b: Evaluation, replicates: int | None, level: float | None, question: Question = "change"
    ) -> Resampling:
        """One for two tables of the same rows; what is not asked for is as the candidate was evaluated."""
        refuse_other_rows(a.header, b.header, (a.label, b.label))
        if question == "change":
            refuse_drawn_otherwise(a, b)
        units, chosen_on = units_of(a.cells), [each.valid_units for each in (a, b)]
        valid_units = in_order([*{*chosen_on[0], *chosen_on[1]}]) if question == "change" and all(chosen_on) else []
        seed, block = a.header["seed"], max(each.header.get("block", SINGLY) for each in (a, b))
        replicates, level = replicates or b.header["replicates"], level or b.header["level"]
        weights = draw_both(len(units), len(valid_units), replicates, seed, block)
        return cls(units, valid_units, weights, replicates, level, block, seed, question)

    def held(self, a: Evaluation, b: Evaluation) -> list[str]:
        """A sentence where thresholds stay although other valid rows would have moved them."""
        old = [each.label for each in (a, b) if not each.valid_units]
        if self.question == "model" or not task_named(a.header["task"]).at_threshold or not old:
            return []
        return [
            f"Thresholds stay as they are in every resample: {' and '.join(old)} kept no valid rows to choose them "
            f"from again (`dvc repro evaluate@{a.header['dataset']} retrain@{a.header['dataset']}` there keeps them)."
        ]

    def only(self, units: list[str]) -> Resampling:
        """The same, of fewer units, which are drawn by themselves."""
        weights = draw_both(len(units), len(self.valid_units), self.replicates, self.seed, self.block)
        return replace(self, units=units, weights=weights)


@dataclass(frozen=True)
class Compared:
    """One metric on all test rows or on one segment of them, and how many rows that are."""

    segment: str
    rows: int
    found: Difference


def refuse_drawn_otherwise(a: Evaluation, b: Evaluation) -> None:
    """Stop where trainings of one side learnt from units drawn again, which makes for worse models, the other's not."""
    if a.redrawn != b.redrawn:
        told = [f"{each.label}: {f'{each.redrawn} drawn again' if each.redrawn else 'all rows'}" for each in (a, b)]
        raise ValueError(
            "trainings of both that learnt from rows drawn alike", "; ".join(told),
            f"set datasets.{a.header['dataset']}.evaluate.redraw_training alike in both and run retrain, "
            "or ask with --question model",
        )  # fmt: skip


def metrics_of(header: Mapping[str, Any], names: Sequence[str] = ()) -> dict[str, Metric]:
    """The metrics of the header's task: all of them, or those named."""
    known = task_named(header["task"]).metrics
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"metrics of {header['dataset']}: {', '.join(known)}", ", ".join(unknown), "name one of these, or none"
        )
    return {name: known[name] for name in names} if names else dict(known)


def compare_whole(
    a: Evaluation, b: Evaluation, metrics: Mapping[str, Metric], resampling: Resampling, correction: Correction
) -> list[Compared]:
    """Every metric on all test rows, corrected for their number."""
    refuse_other_rows(a.header, b.header, (a.label, b.label))
    found = _differences(a, b, metrics, resampling, WHOLE)
    return _corrected([Compared(WHOLE, a.header["rows"], difference) for difference in found], correction)


def interval_of(evaluation: Evaluation, name: str, metric: Metric, resampling: Resampling) -> Around:
    """The interval of one metric of one table by itself."""
    trainings = evaluation.every_training(WHOLE, resampling.units, resampling.valid_units)
    system = mean_of(trainings) if resampling.question == "change" else trainings[0]
    drawn = replicate(system.table.measure, resampling.weights)
    coded = system.table.measure(np.ones((1, len(resampling.units))))
    value = float(coded[name][0])
    return interval_around(
        system.table, name, metric, drawn[name], value, system.exact.get(name, value),
        method=metric.method or "percentile", level=resampling.level, block=resampling.block,
    )  # fmt: skip


def equal_everywhere(a: Evaluation, metrics: Mapping[str, Metric], resampling: Resampling) -> list[Compared]:
    """Every metric of a table against the same table, which needs no resampling."""
    exact = a.header["systems"][MODEL]["exact"]
    found = [
        Difference(
            name, metric.direction, exact.get(name), exact.get(name), 0.0, 0.0, 0.0, resampling.level,
            None if metric.descriptive else 1.0, 0.5, "descriptive" if metric.descriptive else "no evidence",
            resampling.replicates, SAME_TABLE, None if metric.descriptive else 1.0,
        )
        for name, metric in metrics.items()
    ]  # fmt: skip
    return [Compared(WHOLE, a.header["rows"], difference) for difference in found]


def compare_segments(
    a: Evaluation, b: Evaluation, column: str, metrics: Mapping[str, Metric], resampling: Resampling,
    correction: Correction,
) -> list[Compared]:  # fmt: skip
    """Every metric in every segment of a column (or month), corrected for the number of segments and metrics.

    A segment that cannot be compared has its reason in place of an interval.
    """
    refuse_other_rows(a.header, b.header, (a.label, b.label))
    if column == MONTH and MONTH not in a.header["segments"]:
        compared = _by_month(a, b, metrics, resampling)
    else:
        compared = _by_value(a, b, column, metrics, resampling)
    return _corrected(compared, correction)


def _differences(
    a: Evaluation, b: Evaluation, metrics: Mapping[str, Metric], resampling: Resampling, segment: str
) -> list[Difference]:
    drawn, level, block = resampling.weights, resampling.level, resampling.block
    if resampling.question == "model":
        own, other = (each.model(segment, resampling.units) for each in (a, b))
        return list(compare(own, other, metrics, drawn, level=level, block=block).values())
    every_a, every_b = (each.every_training(segment, resampling.units, resampling.valid_units) for each in (a, b))
    chance = a.by_chance, b.by_chance
    found = compare_trained(every_a, every_b, metrics, drawn, level=level, block=block, by_chance=chance)
    return list(found.values())


def _by_value(
    a: Evaluation, b: Evaluation, column: str, metrics: Mapping[str, Metric], resampling: Resampling
) -> list[Compared]:
    names_a, names_b = (segments_of(each.header, column) for each in (a, b))
    if not names_a or not names_b:
        raise ValueError(*_no_such_segments(a, b, column, resampling.units))
    compared = []
    for segment in [*names_a, *(name for name in names_b if name not in names_a)]:
        rows = [_rows(each.cells, segment) for each in (a, b)]
        if rows[0] == rows[1]:
            found = _differences(a, b, metrics, resampling, segment)
        else:
            reason = f"not the same rows: {rows[0]:,} in {a.label}, {rows[1]:,} in {b.label}"
            found = _undefined(metrics, resampling.level, reason)
        compared += [Compared(segment, max(rows), difference) for difference in found]
    return compared


def _by_month(a: Evaluation, b: Evaluation, metrics: Mapping[str, Metric], resampling: Resampling) -> list[Compared]:
    months = months_of(resampling.units)
    if not months:
        raise ValueError(*_no_such_segments(a, b, MONTH, resampling.units))
    compared = []
    for month, units in months.items():
        try:
            found = _differences(a, b, metrics, resampling.only(units), WHOLE)
        except ValueError as error:
            if len(error.args) != 3:
                raise
            found = _undefined(metrics, resampling.level, f"{len(units)} days are too few to draw from")
        rows = _rows(a.cells.filter(pl.col("unit").is_in(units)), WHOLE)
        compared += [Compared(f"{MONTH}={month}", rows, difference) for difference in found]
    return compared


def _no_such_segments(a: Evaluation, b: Evaluation, column: str, units: Sequence[str]) -> tuple[str, str, str]:
    told = [
        f"{each.label}: {', '.join([*([MONTH] if months_of(units) else []), *each.header['segments']]) or 'none'}"
        for each in (a, b)
    ]
    dataset = a.header["dataset"]
    return (
        f"segments by {column} in both tables of {dataset}",
        f"segments of {'; of '.join(told)}",
        f"add the column to datasets.{dataset}.evaluate.segments and evaluate both revisions again",
    )


def _rows(cells: pl.DataFrame, segment: str) -> int:
    """Rows of a segment: those of any one view of the model."""
    chosen = cells.filter((pl.col("system") == MODEL) & (pl.col("segment") == segment))
    return int(chosen.filter(pl.col("view") == chosen["view"].first())["n"].sum()) if len(chosen) else 0


def _undefined(metrics: Mapping[str, Metric], level: float, reason: str) -> list[Difference]:
    return [
        Difference(
            name, metric.direction, None, None, None, None, None, level, None, None, "undefined", 0, reason
        )
        for name, metric in metrics.items()
    ]  # fmt: skip


def _corrected(compared: Sequence[Compared], correction: Correction) -> list[Compared]:
    corrected = correct([each.found for each in compared], correction)
    return [replace(each, found=found) for each, found in zip(compared, corrected, strict=True)]
