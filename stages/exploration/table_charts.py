"""What holds for the whole table?  Rows by partition, missing and outlying values, correlations.

Each function takes the tables of `findings.describe` and returns a `Picture`; long tables are cut to what a page can
hold, and the picture says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stages.exploration.tables import share_beyond
from stages.pages.drawing import (
    BLUE,
    FAINT,
    GREY,
    INK,
    ORANGE,
    RISING,
    SIGNED,
    WIDTH,
    Picture,
    nothing,
    picture,
    shares,
    short_counts,
    styled,
)
from stages.pages.numbers import elided, fixed, share_texts, tick_text

Explored = Mapping[str, Any]
Days = NDArray[np.datetime64]
Float = NDArray[np.float64]
MOST_LINES = 40
LONGEST = 28  # letters of a name beside or below an axis
MANY_PARTITIONS = 40  # from here on years stand below an axis, and a course is a line without dots
MOST_DAYS = 1500  # more of them are drawn week by week
MOST_SPREADS = 24
SPREAD_TICKS = np.asarray([-1000, -100, -30, -10, -5, -3, -1, 0, 1, 3, 5, 10, 30, 100, 1000])
ANNOTATED = 16  # correlations are written into the squares up to this many columns


@styled
def rows_by_partition(explored: Explored) -> Picture:
    """Rows of every partition as bars."""
    names, rows = explored["partitions"], explored["partition_rows"]
    if len(names) < 2:
        return nothing(f"All rows lie in one partition, {names[0]}." if names else "There is no partition.")
    figure = Figure(figsize=(WIDTH, 2.1))
    axes = figure.subplots()
    axes.bar(range(len(names)), rows, color=BLUE, width=0.72)
    name_partitions(axes, names)
    axes.grid(axis="y")
    axes.set_ylabel("rows")
    short_counts(axes.yaxis)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return picture(figure, "Rows by partition")


@styled
def missing_values(explored: Explored) -> Picture:
    """Share of nulls by column and partition, columns with the most first."""
    holed = sorted((c for c in explored["columns"] if c["nulls"]), key=lambda c: (-c["nulls"], c["name"]))
    if not holed:
        return nothing("No value is missing in any column.")
    shown = holed[:MOST_LINES]
    rows = np.maximum(np.asarray(explored["partition_rows"], dtype=float), 1.0)
    shares_held = np.asarray([c["nulls_by_partition"] for c in shown]) / rows
    figure = Figure(figsize=(WIDTH, 0.75 + 0.27 * len(shown)))
    bars, heat = (
        figure.subplots(1, 2, width_ratios=[1, 2.4], sharey=True) if len(rows) > 1 else (figure.subplots(), None)
    )
    _missing_bars(bars, shown, explored["rows"])
    if heat is not None:
        image = heat.imshow(shares_held, cmap=RISING, vmin=0, aspect="auto", interpolation="none")
        heat.set_title("in each partition")
        name_partitions(heat, explored["partitions"])
        heat.spines[:].set_visible(False)
        _part_cells(heat, shares_held.shape)
        bar = figure.colorbar(image, ax=heat, pad=0.01, aspect=12)
        bar.outline.set_visible(False)
        shares(bar.ax.yaxis)
    return picture(
        figure, f"Share of missing values in {len(shown)} columns", cut_note(shown, holed, "with missing values")
    )


def _missing_bars(axes: Axes, shown: Sequence[Explored], rows: int) -> None:
    held = [c["nulls"] / rows for c in shown]
    axes.barh(range(len(shown)), held, color=BLUE, height=0.62)
    for place, (share, text) in enumerate(zip(held, share_texts(held), strict=True)):
        axes.annotate(text, (share, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(shown)), names_in(shown), color=INK)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, max(held) * 1.28)
    shares(axes.xaxis, ticks=3)
    axes.set_title("missing over all rows")


def _part_cells(axes: Axes, shape: tuple[int, ...]) -> None:
    """White lines between the cells of a picture, when they are few enough to be told apart."""
    if max(shape) <= MOST_LINES:
        axes.set_yticks(np.arange(shape[0] + 1) - 0.5, minor=True)
        axes.set_xticks(np.arange(shape[1] + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=1.6)
        axes.tick_params(which="minor", length=0)


@styled
def spread_of_columns(explored: Explored) -> Picture:
    """Each numeric column in units of its own interquartile range: quartiles, outer fences and extremes."""
    fenced = [c for c in explored["columns"] if c.get("outlying") and c["role"] != "target"]
    if not fenced:
        return nothing("No numeric column has a middle half that spreads, so there are no fences to lie beyond.")
    ranked = sorted(fenced, key=lambda c: -share_beyond(c, explored["rows"]))[:MOST_SPREADS]
    shown = [c for c in fenced if c in ranked]
    figure = Figure(figsize=(WIDTH, 1.0 + 0.27 * len(shown)))
    axes = figure.subplots()
    axes.axvspan(-3.5, 3.5, color=FAINT, alpha=0.55, lw=0)
    beyond = [share_beyond(column, explored["rows"]) for column in shown]
    for place, (column, text) in enumerate(zip(shown, share_texts(beyond), strict=True)):
        _spread_line(axes, place, column, text if beyond[place] else "")
    axes.set_xscale("symlog", linthresh=5, linscale=1.6)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks(range(len(shown)), names_in(shown), color=INK)
    low, high = axes.get_xlim()
    ticks = SPREAD_TICKS[np.abs(2 * SPREAD_TICKS - low - high) <= high - low]
    axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("distance from the median, in interquartile ranges (linear to ±5, then logarithmic)")
    note = (
        "Bar: middle half of the values; line: lowest to highest value; shaded: about 3 interquartile ranges "
        "around the quartiles. Orange: share of rows beyond the column's own outer fences. "
        + cut_note(shown, fenced, "with most values beyond")
    )
    return picture(figure, "Spread and extremes of numeric columns", note.strip())


def _spread_line(axes: Axes, place: int, column: Explored, beyond: str) -> None:
    first, median, third = column["quartiles"]
    scale = third - first
    low, left, right, high = ((x - median) / scale for x in (column["low"], first, third, column["high"]))
    axes.plot([low, high], [place, place], color=GREY, lw=1, solid_capstyle="round")
    axes.plot([low, high], [place, place], "|", color=GREY, ms=6)
    axes.barh(place, right - left, left=left, height=0.56, color=BLUE, lw=0, zorder=3)
    axes.plot([0, 0], [place - 0.28, place + 0.28], color="white", lw=1.4, zorder=4)
    if beyond:
        axes.annotate(
            beyond,
            (high, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=ORANGE,
            fontsize=8,
        )


@styled
def correlations(explored: Explored) -> Picture:
    """Pearson's r between numeric columns; constant columns are left out."""
    names, r = explored["correlations"]["names"], explored["correlations"]["r"]
    matrix = np.asarray([[np.nan if x is None else x for x in row] for row in r], dtype=float)
    moving = [k for k in range(len(names)) if np.isfinite(matrix[k, k])]
    if len(moving) < 2:
        return nothing("Fewer than two numeric columns vary: nothing to correlate.")
    matrix, names = matrix[np.ix_(moving, moving)], [elided(names[k], LONGEST) for k in moving]
    np.fill_diagonal(matrix, np.nan)
    size = min(8.2, 2.4 + 0.36 * len(names))
    figure = Figure(figsize=(min(size + 1.1, WIDTH), size))
    axes = figure.subplots()
    axes.set_facecolor(FAINT)
    image = axes.imshow(np.ma.masked_invalid(matrix), cmap=SIGNED, vmin=-1, vmax=1, interpolation="none")
    figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02, label="Pearson's r").outline.set_visible(False)
    step = -(-len(names) // 40)
    fontsize = 8 if len(names) <= 30 else 6.5
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=fontsize, color=INK)
    axes.set_yticks(range(0, len(names), step), names[::step], fontsize=fontsize, color=INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _part_cells(axes, matrix.shape)
    if len(names) <= ANNOTATED:
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value) and abs(value) >= 0.05:
                text = fixed(value, 2).replace("0.", ".")
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.7 else INK)
    return picture(figure, f"Correlations of {len(names)} numeric columns")


def names_in(columns: Sequence[Explored]) -> list[str]:
    """The names of columns, as long as there is room for beside an axis."""
    return [elided(column["name"], LONGEST) for column in columns]


def date_axis(axes: Axes) -> None:
    """Write days as short as they can be told apart."""
    locator = AutoDateLocator(minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def name_partitions(axes: Axes, names: Sequence[str]) -> None:
    """Partition names below an axis, as many as fit; of many that begin with their year, the years."""
    room = 24 if max(map(len, names)) <= 4 else 14
    places, labels = list(range(len(names))), [elided(str(name), 14) for name in names]
    if len(names) > MANY_PARTITIONS:
        room, years = 8, [year[0] if (year := re.match(r"\d{4}(?=-)", name)) else "" for name in names]
        if all(years):
            places = [k for k, year in enumerate(years) if k == 0 or year != years[k - 1]]
            labels, room = years, 12
    step = -(-len(places) // room)
    axes.set_xticks(places[::step], [labels[k] for k in places[::step]])


def put_weeks_together(days: Days, *sums: Float) -> tuple[Days, list[Float]]:
    """The first day of every run of seven days that holds any, and the means over its days of each of ``sums``."""
    week = (days - days[0]).astype(np.int64) // 7
    starts = np.flatnonzero(np.diff(week, prepend=-1))
    held = np.diff(starts, append=len(days))
    return days[starts], [np.add.reduceat(values, starts) / held for values in sums]


def most_telling(columns: Sequence[Explored], limit: int) -> list[Explored]:
    """At most ``limit`` columns, those most associated with the target, in their own order."""
    if len(columns) <= limit:
        return list(columns)
    ranked = sorted(columns, key=lambda c: (c["role"] != "target", -(c.get("association") or 0.0), c["name"]))
    kept = {column["name"] for column in ranked[:limit]}
    return [column for column in columns if column["name"] in kept]


def cut_note(shown: Sequence[Any], every: Sequence[Any], which: str) -> str:
    """Say so when not every column is shown."""
    return (
        ""
        if len(shown) == len(every)
        else f"{len(shown)} of {len(every)} columns {which} are shown.".replace("  ", " ")
    )
