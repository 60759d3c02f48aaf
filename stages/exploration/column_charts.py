"""What does one column look like?  Histograms, most frequent values and rows per day, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from stages.exploration.columns import CENTRAL
from stages.exploration.table_charts import MOST_DAYS, cut_note, date_axis, most_telling, put_weeks_together
from stages.pages.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    QUIET,
    Picture,
    nothing,
    panels,
    picture,
    short_counts,
    styled,
)
from stages.pages.numbers import elided, level_text, share_texts, short_count

Explored = Mapping[str, Any]
MOST_PANELS = 24
MOST_DATED = 3
ACROSS = 4


@styled
def number_distributions(explored: Explored) -> Picture:
    """Histograms of numeric columns; with many columns, of those that tell most about the target."""
    drawable = [
        c
        for c in explored["columns"]
        if (c.get("distribution") or {}).get("form") in ("histogram", "values")
        and not (c["role"] == "target" and explored["target"]["classes"])  # its balance is drawn already
    ]
    if not drawable:
        return nothing()
    shown = most_telling(drawable, MOST_PANELS)
    figure, every = panels(len(shown), across=4 if len(shown) > 2 else 3, height=1.72)
    for axes, column in zip(every, shown, strict=True):
        _draw_numbers(axes, column)
    central = level_text(CENTRAL[1] - CENTRAL[0])
    note = f"Central {central} of the values; below each panel the shares further out. Orange tick: median. "
    return picture(
        figure,
        "Distributions of numeric columns",
        (note + cut_note(shown, drawable, "most associated with the target")).strip(),
    )


def _draw_numbers(axes: Axes, column: Explored) -> None:
    drawn, outside = column["distribution"], list[str]()
    if drawn["form"] == "values":
        _draw_bars(axes, drawn["values"], drawn["rows"])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axes.stairs(drawn["rows"], drawn["edges"], fill=True, color=BLUE, lw=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        total = sum(drawn["rows"]) + drawn["below"] + drawn["above"]
        below, above = (drawn[key] / total for key in ("below", "above"))
        texts = zip((below, above), ("‹ {}", "{} ›"), share_texts([below, above]), strict=True)
        outside = [place.format(text) for share, place, text in texts if share >= 0.0005]
    axes.plot([column["quartiles"][1]], [0], marker="|", ms=9, mew=1.8, color=ORANGE, clip_on=False, zorder=5)
    _title(axes, column, outside)


def _draw_bars(axes: Axes, values: Sequence[float], rows: Sequence[int]) -> None:
    """Bars as one outline: a bar of its own each would take most of the time that a page of panels takes."""
    half = 0.41 * _gap(values)
    edges = np.ravel([[value - half, value + half] for value in values])
    heights = np.ravel([[count, 0] for count in rows])[:-1]
    axes.stairs(heights, edges, fill=True, color=BLUE, lw=0)


def _gap(values: Sequence[float]) -> float:
    return float(min(np.diff(values))) if len(values) > 1 else 1.0


def _title(axes: Axes, column: Explored, outside: Sequence[str]) -> None:
    axes.set_title(elided(column["name"], 26))
    axes.set_xlabel(" · ".join([*([column["unit"]] if column["unit"] else []), *outside]), fontsize=7.5)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: short_count(value))


@styled
def category_distributions(explored: Explored) -> Picture:
    """The most frequent values of columns of names, but for those that name every row differently."""
    drawable = [
        c
        for c in explored["columns"]
        if (c.get("distribution") or {}).get("form") == "top" and c["distinct"] and max(c["distribution"]["rows"]) > 1
    ]
    if not drawable:
        return nothing()
    shown = most_telling(drawable, MOST_PANELS)
    slots = [max(4, *(_bars(c) for c in shown[k : k + ACROSS])) for k in range(0, len(shown), ACROSS)]
    inches = [0.5 + 0.155 * n for n in slots]
    figure, every = panels(len(shown), across=ACROSS, height=sum(inches) / len(inches), height_ratios=inches)
    for place, (axes, column) in enumerate(zip(every, shown, strict=True)):
        _draw_categories(axes, column, slots[place // ACROSS])
    note = cut_note(shown, drawable, "most associated with the target")
    return picture(figure, "Most frequent values of categorical columns", note)


def _bars(column: Explored) -> int:
    return len(column["distribution"]["values"]) + bool(column["distribution"]["other_values"])


def _draw_categories(axes: Axes, column: Explored, slots: int) -> None:
    drawn = column["distribution"]
    values, rows = [*drawn["values"]], [*drawn["rows"]]
    colours = [BLUE] * len(rows)
    if drawn["other_values"]:
        values.append(f"{drawn['other_values']:,} others")
        rows.append(drawn["other_rows"])
        colours.append(GREY)
    lead = max(drawn["rows"])
    axes.barh(range(len(rows)), np.minimum(rows, lead * 1.6), color=colours, height=0.7)
    total = sum(rows)
    texts = share_texts([count / total for count in rows])
    for place, (count, share) in enumerate(zip(rows, texts, strict=True)):
        text = ("» " if count > lead * 1.6 else "") + share
        axes.annotate(
            text,
            (min(count, lead * 1.6), place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=QUIET,
        )
    axes.set_yticks(range(len(rows)), [elided(str(v), 16) for v in values], fontsize=7.5, color=INK)
    axes.set_ylim(slots - 0.4, -0.6)
    axes.set_xlim(0, max(min(max(rows), lead * 1.6), 1) * 1.3)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(elided(column["name"], 22))


@styled
def rows_by_day(explored: Explored) -> Picture:
    """Rows on every day: of the column that dates a row, else of every column of days."""
    dated = [c for c in explored["columns"] if c["kind"] == "date" and len(c["distribution"]["days"]) > 1]
    if not dated:
        return nothing()
    shown = [c for c in dated if explored["days"] and c["name"] == explored["days"]["column"]] or dated[:MOST_DATED]
    figure, every = panels(len(shown), across=1, height=1.8)
    for axes, column in zip(every, shown, strict=True):
        days, rows = np.asarray(column["distribution"]["days"], dtype="datetime64[D]"), column["distribution"]["rows"]
        weekly = len(days) > MOST_DAYS
        if weekly:
            days, (rows,) = put_weeks_together(days, np.asarray(rows, dtype=float))
        axes.fill_between(days, rows, color=BLUE, alpha=0.85, lw=0, step="mid")
        axes.set_title(f"{column['name']}: rows per day" + (", mean of each week" if weekly else ""))
        axes.set_ylim(bottom=0)
        axes.margins(x=0.005)
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(3))
        short_counts(axes.yaxis)
        date_axis(axes)
    return picture(figure, "Rows per day", cut_note(shown, dated, "of days"))
