"""Where does the model do better or worse?  Metrics of segments and months, with intervals, beside those of all rows.

A segment is a *domain* of the sample: whole units are drawn, and the segment has as many rows as the drawn units hold.
So one draw of units serves all segments and all rows at once, and their differences are paired.  Nothing is corrected
for looking at many segments; whoever tells of them has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stages.metrics.bootstrap import MIN_DEFINED_SHARE, Float, Scores, replicate
from stages.metrics.contract import Metric, System, Tabulated
from stages.metrics.paired import compare
from stages.metrics.stored import months_of, segments_of, system_of, task_named, units_of

MONTH = "month"
MIN_ROWS, MIN_OF_CLASS, MIN_UNITS = 30, 10, 10
"""A segment with fewer rows (of either class, in so many units) has no interval: resampling a handful of rows looks far
more certain than it is."""


@dataclass(frozen=True)
class Figure:
    """One metric of the model in a segment; None where the rows do not define it.

    ``apart`` says whether it is shown to differ from that of all rows: "better", "worse" or ""; ``verdict`` says the
    same of the baseline in the same segment.  Both by the paired test, at the level of one look.
    """

    value: float | None
    low: float | None
    high: float | None
    apart: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class SegmentResult:
    """Rows of one kind: how many, how many by label (binary), and their figures by metric."""

    column: str
    name: str
    rows: int
    positives: int | None
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class _Pair:
    """The tables of model and baseline over the same units, which are ``places`` among all."""

    model: Tabulated
    baseline: Tabulated
    places: list[int]
    rows: int
    positives: int | None
    units: int

    @property
    def is_enough(self) -> bool:
        """Whether the rows are enough for an interval."""
        rarest = self.rows if self.positives is None else min(self.positives, self.rows - self.positives)
        return self.rows >= MIN_ROWS and rarest >= MIN_OF_CLASS and self.units >= MIN_UNITS


def judge_segments(
    cells: pl.DataFrame, header: Mapping[str, Any], weights: Float, level: float
) -> dict[str, list[SegmentResult]]:
    """By column, the results of every segment that the table tells apart; months where units are days of several."""
    task = task_named(header["task"])
    metrics = {name: task.metrics[name] for name in task.shown}
    whole = system_of(cells, header).table
    with np.errstate(invalid="ignore", divide="ignore"):  # a replicate may lack every row of a segment
        everything = _Drawn.of(whole, weights)
        judged: dict[str, list[SegmentResult]] = {}
        for column, name, pair in pairs(cells, header):
            figures = _figures(pair, metrics, weights, level, header.get("block", 1), everything)
            judged.setdefault(column, []).append(SegmentResult(column, name, pair.rows, pair.positives, figures))
    return judged


def pairs(cells: pl.DataFrame, header: Mapping[str, Any]) -> Iterator[tuple[str, str, _Pair]]:
    """Column, name and tables of every segment; then of every month, if there are two or more."""
    units = units_of(cells)
    for segment in segments_of(header):
        column, _, name = segment.partition("=")
        own = cells.filter(pl.col("segment") == segment)
        model, baseline = (system_of(cells, header, system, segment).table for system in ("model", "baseline"))
        yield column, name, _pair(own, header["task"], model, baseline, range(len(units)))
    months = months_of(units)
    place = {unit: k for k, unit in enumerate(units)}
    for month, days in months.items() if len(months) > 1 else ():
        own = cells.filter((pl.col("segment") == "") & pl.col("unit").is_in(days))
        model, baseline = (system_of(cells, header, system, units=days).table for system in ("model", "baseline"))
        yield MONTH, month, _pair(own, header["task"], model, baseline, [place[day] for day in days])


def _pair(own: pl.DataFrame, task: str, model: Tabulated, baseline: Tabulated, places: Sequence[int]) -> _Pair:
    asked = task_named(task)
    counted = own.filter((pl.col("system") == "model") & (pl.col("view") == asked.known_by[0]))
    positives = None
    if asked.positive is not None:
        positives = int(counted.filter(pl.col("label") == asked.positive)["n"].sum())
    units = counted["unit"].n_unique()
    return _Pair(model, baseline, list(places), int(counted["n"].sum()), positives, units)


@dataclass(frozen=True)
class _Drawn:
    """A system whose metrics have been drawn under some weights."""

    system: System
    replicates: Scores

    @classmethod
    def of(cls, table: Tabulated, weights: Float) -> _Drawn:
        coded = table.measure(np.ones((1, weights.shape[1])))
        exact = {name: float(values[0]) for name, values in coded.items()}
        return cls(System(table, exact), replicate(table.measure, weights))

    def verdicts(
        self, reference: _Drawn, metrics: Mapping[str, Metric], weights: Float, level: float, block: int
    ) -> dict[str, str]:
        """Better or worse than the reference, metric by metric; nothing where it is not shown."""
        found = compare(
            reference.system, self.system, metrics, weights, level=level, block=block,
            drawn=(reference.replicates, self.replicates),
        )  # fmt: skip
        return {name: gap.verdict if gap.verdict in ("better", "worse") else "" for name, gap in found.items()}


@dataclass(frozen=True)
class _Among:
    """A table over some units that is asked with the weights of all."""

    table: Tabulated
    places: list[int]

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, all units)."""
        return self.table.measure(weights[:, self.places])


def _figures(
    pair: _Pair, metrics: Mapping[str, Metric], weights: Float, level: float, block: int, everything: _Drawn
) -> dict[str, Figure]:
    own = weights[:, pair.places]
    model, baseline = _Drawn.of(pair.model, own), _Drawn.of(pair.baseline, own)
    if not pair.is_enough or len(pair.places) < 2 * block:
        return {name: Figure(_finite(model.system.exact[name]), None, None) for name in metrics}
    among = _Drawn(System(_Among(pair.model, pair.places), model.system.exact), model.replicates)
    apart = among.verdicts(everything, metrics, weights, level, block)
    verdicts = model.verdicts(baseline, metrics, own, level, block)
    figures = {}
    for name in metrics:
        value, interval = _finite(model.system.exact[name]), interval_of(model.replicates[name], level)
        if value is None or interval is None:
            figures[name] = Figure(value, None, None)
        else:
            figures[name] = Figure(value, *interval, apart=apart[name], verdict=verdicts[name])
    return figures


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def interval_of(replicates: Float, level: float) -> tuple[float, float] | None:
    """The percentile interval over replicates in which a figure is defined; None where that is fewer than half."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < max(2, MIN_DEFINED_SHARE * len(replicates)):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
