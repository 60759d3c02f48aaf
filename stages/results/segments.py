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

from stages.metrics.bootstrap import MIN_DEFINED_SHARE, Float, replicate
from stages.metrics.contract import Metric, Tabulated
from stages.metrics.stored import METRICS, months_of, segments_of, system_of, units_of

MONTH = "month"
MIN_ROWS, MIN_OF_CLASS, MIN_UNITS = 30, 10, 10
"""A segment with fewer rows (of either class, in so many units) has no interval: resampling a handful of rows looks far
more certain than it is."""
SHOWN = {"binary": ("roc_auc", "expected_cost"), "multiclass": ("accuracy", "log_loss"), "regression": ("mae", "rmse")}


@dataclass(frozen=True)
class Figure:
    """One metric of the model in a segment; None where the rows do not define it.

    ``apart`` says whether the interval of its difference from all rows leaves zero out: "better", "worse" or "";
    ``verdict`` says the same of the difference from the baseline in the same segment.
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
    metrics = {name: METRICS[header["task"]][name] for name in SHOWN[header["task"]]}
    whole = system_of(cells, header).table
    with np.errstate(invalid="ignore", divide="ignore"):  # a replicate may lack every row of a segment
        reference = replicate(whole.measure, weights)
        everything = whole.measure(np.ones((1, weights.shape[1])))
        judged: dict[str, list[SegmentResult]] = {}
        for column, name, pair in pairs(cells, header):
            figures = _figures(pair, metrics, weights, level, everything, reference)
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
    view = {"binary": "score", "multiclass": "confusion", "regression": "target"}[task]
    counted = own.filter((pl.col("system") == "model") & (pl.col("view") == view))
    positives = int(counted.filter(pl.col("label") == 1)["n"].sum()) if task == "binary" else None
    units = counted["unit"].n_unique()
    return _Pair(model, baseline, list(places), int(counted["n"].sum()), positives, units)


def _figures(
    pair: _Pair, metrics: Mapping[str, Metric], weights: Float, level: float,
    everything: Mapping[str, Float], reference: Mapping[str, Float],
) -> dict[str, Figure]:  # fmt: skip
    own, ones = weights[:, pair.places], np.ones((1, len(pair.places)))
    values = pair.model.measure(ones)
    drawn, other_drawn = replicate(pair.model.measure, own), replicate(pair.baseline.measure, own)
    figures = {}
    for name, metric in metrics.items():
        value = float(values[name][0])
        interval = interval_of(drawn[name], level)
        if not np.isfinite(value) or interval is None or not pair.is_enough:
            figures[name] = Figure(value if np.isfinite(value) else None, None, None)
            continue
        figures[name] = Figure(
            value, *interval,
            apart=_side(drawn[name] - reference[name], metric, level),
            verdict=_side(drawn[name] - other_drawn[name], metric, level),
        )  # fmt: skip
    return figures


def interval_of(replicates: Float, level: float) -> tuple[float, float] | None:
    """The percentile interval over replicates in which a figure is defined; None where that is fewer than half."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < max(2, MIN_DEFINED_SHARE * len(replicates)):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _side(gaps: Float, metric: Metric, level: float) -> str:
    interval = interval_of(gaps, level)
    if interval is None or interval[0] <= 0 <= interval[1]:
        return ""
    return "better" if (interval[0] > 0) == (metric.direction == "higher") else "worse"
