"""Where does the model do better or worse?  Metrics of segments and months, with intervals, beside those of all rows.

A segment is a *domain* of the sample: whole units are drawn, and the segment has as many rows as the drawn units hold.
So one draw of units serves all segments and all rows at once, and their differences are paired.  Where the rows are
too few (`metrics/evidence.py`) there is no interval.  Nothing is corrected for looking at many segments; whoever tells
of them has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from stages.metrics.bootstrap import Float, Scores, replicate
from stages.metrics.contract import Metric, System, Tabulated
from stages.metrics.evidence import Share
from stages.metrics.paired import Difference, compare
from stages.metrics.stored import months_of, segments_of, system_of, task_named, units_of
from stages.metrics.systems import interval_around
from stages.metrics.variance import leave_one_out

MONTH, YEAR = "month", "year"
MOST_MONTHS = 24  # beyond, years are told apart


@dataclass(frozen=True)
class Figure:
    """One metric of the model in a segment; None where the rows do not define it, or are too few for an interval.

    ``apart`` says whether it is shown to differ from that of all rows: "better", "worse" or ""; ``verdict`` says the
    same of the baseline in the same segment.  Both by the paired test, at the level of one look; ``p`` is that of the
    latter, and ``baseline`` the baseline's value.
    """

    value: float | None
    low: float | None
    high: float | None
    apart: str = ""
    verdict: str = ""
    baseline: float | None = None
    p: float | None = None


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
    """Column, name and tables of every segment; then of every month, or year, if there are two or more."""
    units = units_of(cells)
    for segment in segments_of(header):
        column, _, name = segment.partition("=")
        own = cells.filter(pl.col("segment") == segment)
        model, baseline = (system_of(cells, header, system, segment).table for system in ("model", "baseline"))
        yield column, name, _pair(own, header["task"], model, baseline, range(len(units)))
    column, periods = _periods(units)
    place = {unit: k for k, unit in enumerate(units)}
    for period, days in periods.items() if len(periods) > 1 else ():
        own = cells.filter((pl.col("segment") == "") & pl.col("unit").is_in(days))
        model, baseline = (system_of(cells, header, system, units=days).table for system in ("model", "baseline"))
        yield column, period, _pair(own, header["task"], model, baseline, [place[day] for day in days])


def _periods(units: Sequence[str]) -> tuple[str, dict[str, list[str]]]:
    months = months_of(units)
    if len(months) <= MOST_MONTHS:
        return MONTH, months
    years: dict[str, list[str]] = {}
    for month, days in months.items():
        years.setdefault(month[:4], []).extend(days)
    return YEAR, years


def _pair(own: pl.DataFrame, task: str, model: Tabulated, baseline: Tabulated, places: Sequence[int]) -> _Pair:
    asked = task_named(task)
    counted = own.filter((pl.col("system") == "model") & (pl.col("view") == asked.known_by[0]))
    positives = None
    if asked.positive is not None:
        positives = int(counted.filter(pl.col("label") == asked.positive)["n"].sum())
    return _Pair(model, baseline, list(places), int(model.counts.sum()), positives)


@dataclass(frozen=True)
class _Drawn:
    """A system whose metrics have been drawn under some weights, over so many units."""

    system: System
    replicates: Scores
    units: int

    @cached_property
    def left_out(self) -> Scores:
        """Its metrics with one unit left out at a time: all segments are set against those of all rows."""
        return leave_one_out(self.system.table.measure, self.units)

    @classmethod
    def of(cls, table: Tabulated, weights: Float) -> _Drawn:
        coded = table.measure(np.ones((1, len(table.counts))))
        exact = {name: float(values[0]) for name, values in coded.items()}
        return cls(System(table, exact), replicate(table.measure, weights), len(table.counts))

    def against(
        self, reference: _Drawn, metrics: Mapping[str, Metric], weights: Float, level: float, block: int
    ) -> dict[str, Difference]:
        """Less the reference, metric by metric."""
        return compare(
            reference.system, self.system, metrics, weights, level=level, block=block,
            drawn=(reference.replicates, self.replicates),
            left_out=(reference.left_out, self.left_out) if block > 1 else None,
        )  # fmt: skip


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


def _shown(gap: Difference) -> str:
    """Better or worse; nothing where it is not shown."""
    return gap.verdict if gap.verdict in ("better", "worse") else ""


def _own(weights: Float, places: Sequence[int], units: int) -> Float:
    """Weights of the units at ``places`` among so many; those of valid units stay beside them."""
    return weights[:, [*places, *range(units, weights.shape[1])]]


def _figures(
    pair: _Pair, metrics: Mapping[str, Metric], weights: Float, level: float, block: int, everything: _Drawn
) -> dict[str, Figure]:
    units = len(everything.system.table.counts)
    own = _own(weights, pair.places, units)
    model, baseline = _Drawn.of(pair.model, own), _Drawn.of(pair.baseline, own)
    among = _Drawn(System(_Among(pair.model, pair.places, units), model.system.exact), model.replicates, units)
    apart = among.against(everything, metrics, weights, level, block)
    beside = model.against(baseline, metrics, own, level, block)
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
        figures[name] = Figure(
            value, around.low, around.high, _shown(apart[name]), _shown(beside[name]), beside[name].a,
            beside[name].p_value,
        )  # fmt: skip
    return figures
