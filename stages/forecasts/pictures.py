"""How do forecasts look against what came true?  Three pictures, as SVG that follows the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from stages.forecasts.judged import Judged
from stages.models.forecasts import DUE_AT
from stages.pages import curves
from stages.pages.numbers import share_text

EPOCH = datetime(1970, 1, 1)
HOUR_S = 3600
TICKS_S = [HOUR_S * hours for hours in (6, 12, 24, 48, 24 * 7, 24 * 14, 24 * 30, 24 * 91, 24 * 365)]
MOST_TICKS = 8
GAP = 3  # steps of the series without a value, from which on a line is cut


def against_reality(forecasts: pl.DataFrame, outcomes: pl.DataFrame, label: str) -> str:
    """One series at one horizon by the moment that was forecast, and all that was observed of it.

    Lines are cut where forecasts lack, so that a gap is seen.
    """
    known = outcomes.sort("at")
    values = [*known["value"], *(value for name in ("low", "high", "naive") for value in forecasts[name])]
    times = [*_seconds(known["at"]), *_seconds(forecasts[DUE_AT])]
    panel = curves.Panel(time_axis(min(times), max(times)), curves.axis_around(label, values))
    marks = []
    for piece in pieces(forecasts, DUE_AT):
        at = _seconds(piece[DUE_AT])
        marks.append(curves.shade(panel, at, piece["low"].to_list(), piece["high"].to_list(), "model"))
        marks.append(curves.line(panel, at, piece["naive"].to_list(), "rule"))
        marks.append(curves.line(panel, at, piece["forecast"].to_list(), "model"))
    for piece in pieces(known, "at"):
        marks.append(curves.line(panel, _seconds(piece["at"]), piece["value"].to_list(), "truth"))
    return curves.draw(panel, marks, f"{label}: forecast with its 80 % interval, the naive forecast and what came true")


def errors_over_time(errors: pl.DataFrame, label: str) -> str:
    """Mean absolute errors of the model and the naive forecast (`judged.daily_errors`)."""
    at = _seconds(errors["day"].cast(pl.Datetime("us")))
    top = [*errors["model"], *errors["naive"]]
    panel = curves.Panel(time_axis(min(at), max(at)), curves.axis_around(label, top, zero=True))
    lines = [
        curves.line(panel, at, errors[name].to_list(), kind) for name, kind in (("naive", "rule"), ("model", "model"))
    ]
    return curves.draw(panel, lines, f"{label} over time, of the model and of the best naive forecast")


def coverage_over_time(periods: Sequence[tuple[Any, Judged]], promised: float) -> str:
    """The share of outcomes within the interval by week or month, with its interval, and the share that is promised."""
    at = [(datetime(day.year, day.month, day.day) - EPOCH).total_seconds() for day, _ in periods]
    found = [judged.figures["coverage"] for _, judged in periods]
    lowest = min([promised, *(each.value if each.low is None else each.low for each in found)])
    width = max(at) - min(at) or HOUR_S * 24.0
    across = time_axis(min(at) - 0.06 * width, max(at) + 0.06 * width)
    marks = tuple((value / 100, f"{value}") for value in range(0, 101, 10) if value / 100 >= lowest - 0.1)
    panel = curves.Panel(across, curves.Axis("held by the interval, %", marks[0][0], 1.0, marks))
    drawn = [curves.rule_y(panel, promised)]
    for when, each in zip(at, found, strict=True):
        drawn.append(curves.whisker(panel, when, each.low, each.high, "model"))
        drawn.append(curves.point(panel, when, each.value, "model"))
    about = f"share of outcomes within the interval over time; promised: {share_text(promised)}"
    return curves.draw(panel, drawn, about)


def time_axis(first: float, last: float) -> curves.Axis:
    """From one moment to another, in seconds since 1970, with marks at whole days or hours."""
    last = max(last, first + HOUR_S)
    step = next((each for each in TICKS_S if (last - first) / each <= MOST_TICKS), TICKS_S[-1])
    form = "%H:%M" if step < 24 * HOUR_S and last - first < 24 * HOUR_S else "%b %-d" if step < TICKS_S[-2] else "%b %Y"
    start = -(-first // step) * step
    at = [start + k * step for k in range(int((last - start) // step) + 1)]
    told = tuple((each, (EPOCH + timedelta(seconds=each)).strftime(form)) for each in at)
    return curves.Axis("UTC", first, last, told)


def pieces(rows: pl.DataFrame, at: str) -> list[pl.DataFrame]:
    """Rows in order of time, cut where more than `GAP` usual steps lie between two."""
    if len(rows) < 3:
        return [rows] if len(rows) else []
    step = pl.col(at).diff()
    cut = (step > GAP * step.median()).fill_null(False).cum_sum().alias("_piece")
    return rows.sort(at).with_columns(cut).partition_by("_piece", maintain_order=True, include_key=False)


def _seconds(moments: pl.Series) -> list[float]:
    return (moments.dt.timestamp("us") / 1e6).to_list()
