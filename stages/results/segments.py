"""Where does the model do better or worse?  Metrics of segments and months, with intervals, beside those of all rows.

A segment is a *domain* of the sample: whole units are drawn, and the segment has as many rows as the drawn units hold.
So one draw of units serves all segments and all rows at once, and their differences are paired.  Where the rows are
too few (`metrics/evidence.py`) there is no interval.  Nothing is corrected for looking at many segments; whoever tells
of them has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stages.metrics.bootstrap import Float, Scores, replicate
from stages.metrics.contract import Metric, System, Tabulated
from stages.metrics.evidence import Share
from stages.metrics.paired import compare
from stages.metrics.stored import months_of, segments_of, system_of, task_named, units_of
from stages.metrics.systems import interval_around

MONTH = "month"


@dataclass(frozen=True)
class Figure:
    """One metric of the model in a segment; None where the rows do not define it, or are too few for an interval.

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
    return _Pair(model, baseline, list(places), int(model.counts.sum()), positives)


@dataclass(frozen=True)
class _Drawn:
    """A system whose metrics have been drawn under some weights."""

    system: System
    replicates: Scores

    @classmethod
    def of(cls, table: Tabulated, weights: Float) -> _Drawn:
        coded = table.measure(np.ones((1, len(table.counts))))
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
    """A table over some units that is asked with the weights of all ``units`` units."""

    table: Tabulated
    places: list[int]
    units: int

    @property
    def counts(self) -> Float:
        """Rows by unit and class."""
        return self.table.counts

    @property
    def shares(self) -> Mapping[str, Share]:
        """The metrics that are shares of rows."""
        return self.table.shares

    def measure(self, weights: Float) -> dict[str, Float]:
        """Every metric (R,) under weights (R, all units)."""
        return self.table.measure(_own(weights, self.places, self.units))


def _own(weights: Float, places: Sequence[int], units: int) -> Float:
    """Weights of the units at ``places`` among so many; those of valid units stay beside them."""
    return weights[:, [*places, *range(units, weights.shape[1])]]


def _figures(
    pair: _Pair, metrics: Mapping[str, Metric], weights: Float, level: float, block: int, everything: _Drawn
) -> dict[str, Figure]:
    units = len(everything.system.table.counts)
    own = _own(weights, pair.places, units)
    model, baseline = _Drawn.of(pair.model, own), _Drawn.of(pair.baseline, own)
    among = _Drawn(System(_Among(pair.model, pair.places, units), model.system.exact), model.replicates)
    apart = among.verdicts(everything, metrics, weights, level, block)
    verdicts = model.verdicts(baseline, metrics, own, level, block)
    figures = {}
    for name in metrics:
        value = model.system.exact[name]
        if not np.isfinite(value):
            figures[name] = Figure(None, None, None)
            continue
        around = interval_around(
            pair.model, name, metrics[name], model.replicates[name], value, value, method="percentile", level=level,
            block=block,
        )  # fmt: skip
        figures[name] = Figure(value, around.low, around.high, apart[name], verdicts[name])
    return figures
