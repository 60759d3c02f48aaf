"""What does the target look like, and what does it go with?  Balance, course, association, profiles, class means.

All of it over training rows, the intervals by cluster where rows have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.exploration.table_charts import (
    LONGEST,
    MANY_PARTITIONS,
    MOST_DAYS,
    date_axis,
    most_telling,
    name_partitions,
    names_in,
    put_weeks_together,
)
from stages.pages.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    QUIET,
    RISING,
    SIGNED,
    WIDTH,
    Picture,
    nothing,
    panels,
    picture,
    shares,
    styled,
)
from stages.pages.numbers import count_text, elided, fixed, level_text, share_texts, short_count

Explored = Mapping[str, Any]
MOST_RANKED = 24
MOST_PROFILES = 12


@styled
def balance(explored: Explored) -> Picture:
    """Share of every class among labelled rows, with an interval; a number's distribution is drawn elsewhere."""
    target = explored["target"]
    if not target["classes"]:
        return nothing("The target is a number: see its distribution below.")
    classes = target["balance"]
    figure = Figure(figsize=(WIDTH, 0.75 + 0.3 * len(classes)))
    axes = figure.subplots()
    places = range(len(classes))
    values = [c["value"] or 0.0 for c in classes]
    axes.barh(places, values, color=[_class_colour(target, k) for k in places], height=0.66)
    low, high = ([c[end] for c in classes] for end in ("low", "high"))
    errors = np.maximum([np.subtract(values, low), np.subtract(high, values)], 0.0)  # equal but for rounding at 0 and 1
    axes.errorbar(values, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    for place, (one, share) in enumerate(zip(classes, share_texts(values), strict=True)):
        text = f"{share} · {count_text(one['rows'])} rows"
        axes.annotate(text, (one["high"], place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(places, [elided(str(name), LONGEST) for name in target["classes"]], color=INK, fontsize=9)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlim(0, max(c["high"] for c in classes) * 1.25)
    shares(axes.xaxis)
    axes.set_xlabel("share of labelled training rows")
    return picture(figure, "Balance of the target")


def _class_colour(target: Explored, code: int) -> str:
    return ORANGE if len(target["classes"]) == 2 and code == 1 else BLUE


@styled
def course(explored: Explored) -> Picture:
    """The target over partitions with an interval, and day by day behind it where there are days."""
    target = explored["target"]
    names = target["partitions"]
    if len(names) < 2:
        return nothing("With training rows in one partition the target has no course to follow.")
    if len(target["classes"]) > 2:
        return _course_of_classes(explored)
    figure = Figure(figsize=(WIDTH, 4.6 if explored["days"] else 2.6))
    every = figure.subplots(2, 1) if explored["days"] else [figure.subplots()]
    points = target["course"][-1]
    _draw_course(every[0], points, ORANGE, is_share=bool(target["classes"]))
    _overall_line(every[0], target["balance"][-1]["value"])
    name_partitions(every[0], names)
    every[0].set_title(_followed(explored) + " by partition")
    if explored["days"]:
        _draw_days(every[1], explored)
    drawn = "Dots: partition, with" if len(names) <= MANY_PARTITIONS else "Line: partition, in a band of"
    note = f"{drawn} {interval_words(explored)}; dashed: all training rows."
    return picture(figure, _followed(explored) + " over time", note)


def _draw_course(axes: Axes, points: Sequence[Explored], colour: str, *, is_share: bool) -> None:
    places, value, low, high = (np.asarray(x, dtype=float) for x in (range(len(points)), *_columns(points)))
    axes.fill_between(places, low, high, color=colour, alpha=0.16, lw=0)
    if len(points) <= MANY_PARTITIONS:
        axes.plot(places, value, color=colour, lw=1.4, marker="o", ms=4)
        axes.vlines(places, low, high, color=colour, lw=1.2)
    else:
        axes.plot(places, value, color=colour, lw=1.1)
        axes.margins(x=0.01)
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if is_share:
        shares(axes.yaxis)


def _columns(points: Sequence[Explored]) -> list[list[float]]:
    return [[np.nan if p[key] is None else p[key] for p in points] for key in ("value", "low", "high")]


def _overall_line(axes: Axes, value: float | None) -> None:
    if value is not None:
        axes.axhline(value, color=QUIET, lw=0.9, ls=(0, (4, 3)), zorder=0)


def _followed(explored: Explored) -> str:
    target = explored["target"]
    return f"share “{target['followed']}”" if target["followed"] else f"mean {target['name']}"


def _draw_days(axes: Axes, explored: Explored) -> None:
    days = np.asarray(explored["days"]["days"], dtype="datetime64[D]")
    values = np.asarray(explored["days"]["value"], dtype=float)
    rows = np.asarray(explored["days"]["rows"], dtype=float)
    if len(days) > MOST_DAYS:
        weeks, (rows, totals) = put_weeks_together(days, rows, values * rows)
        axes.plot(weeks, totals / rows, color=ORANGE, lw=1.1)
        axes.set_title("and by week")
    else:
        axes.plot(days, values, color=GREY, lw=0.8)
        if len(days) >= 21:
            window = np.ones(7)
            smooth = np.convolve(values * rows, window, "valid") / np.convolve(rows, window, "valid")
            axes.plot(days[3:-3], smooth, color=ORANGE, lw=1.8)
        axes.set_title("and by day, with seven days together" if len(days) >= 21 else "and by day")
    axes.grid(axis="y")
    axes.margins(x=0.01)
    if explored["target"]["classes"]:
        axes.set_ylim(bottom=0)
        shares(axes.yaxis)
    _overall_line(axes, explored["target"]["balance"][-1]["value"])
    date_axis(axes)


def _course_of_classes(explored: Explored) -> Picture:
    target = explored["target"]
    figure, every = panels(len(target["classes"]), across=4, height=1.7, sharey=True)
    for axes, name, points, whole in zip(every, target["classes"], target["course"], target["balance"], strict=True):
        _draw_course(axes, points, BLUE, is_share=True)
        _overall_line(axes, whole["value"])
        axes.set_xticks([])
        axes.set_title(elided(str(name), 22))
    note = f"Partitions from left to right, with {interval_words(explored)}; dashed: all training rows."
    return picture(figure, "Share of every class over partitions", note)


@styled
def association_ranking(explored: Explored) -> Picture:
    """Strength of association with the target, strongest first."""
    ranked = rank_columns(explored)
    if not ranked:
        return nothing("No column varies with the target.")
    shown = ranked[:MOST_RANKED]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.25 * len(shown)))
    axes = figure.subplots()
    late = [c["role"] == "afterwards" for c in shown]
    values = [c["association"] for c in shown]
    colours = [GREY if is_late else BLUE for is_late in late]
    axes.barh(range(len(shown)), values, color=colours, height=0.68)
    for place, value in enumerate(values):
        axes.annotate(
            fixed(value, 2), (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(shown)), names_in(shown), color=INK)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, min(1.0, max(values)) * 1.12 + 0.01)
    measure = "Cramér's V" if explored["target"]["classes"] else "correlation ratio"
    axes.set_xlabel(f"{measure}, corrected for chance: 0 none, 1 determines the target")
    notes = ["Grey: known only after the moment of prediction, so never a model input."] if any(late) else []
    if len(shown) < len(ranked):
        notes.append(f"{len(shown)} of {len(ranked)} columns are shown.")
    return picture(figure, "Association of each column with the target", " ".join(notes))


def rank_columns(explored: Explored) -> list[Explored]:
    """Columns that vary with the target, the strongest association first."""
    known = [c for c in explored["columns"] if c.get("association") is not None]
    return sorted(known, key=lambda c: (-c["association"], c["name"]))


@styled
def profiles(explored: Explored) -> Picture:
    """The target's mean by group of each of the most associated columns known in time."""
    every = [c for c in rank_columns(explored) if c.get("profile") and c["role"] == "column" and len(c["profile"]) > 1]
    if not every:
        return nothing()
    shown = every[:MOST_PROFILES]
    is_share = bool(explored["target"]["classes"])
    figure, axes_of = panels(len(shown), across=4 if len(shown) > 3 else 3, height=2.05, sharey=True)
    for axes, column in zip(axes_of, shown, strict=True):
        _draw_profile(axes, column)
        _overall_line(axes, explored["target"]["balance"][-1]["value"])
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if is_share:
            shares(axes.yaxis)
    note = (
        f"With {interval_words(explored)}. Numbers in tenths of the rows; the most frequent "
        f"categories, by {_followed(explored)}; dashed: all training rows; diamond: value missing."
    )
    return picture(figure, "Target by groups of the most associated columns", note)


def interval_words(explored: Explored) -> str:
    """What the intervals vary: single rows, or clusters, in runs of neighbours."""
    unit, run = explored["unit"], explored["run"]
    over = "single rows" if unit is None else f"units of “{unit}”" + (f" in runs of {run}" if run > 1 else "")
    return f"{level_text(explored['level'])} intervals over {over}"


def _draw_profile(axes: Axes, column: Explored) -> None:
    groups = [g for g in column["profile"] if g["label"] is not None]
    absent = [g for g in column["profile"] if g["label"] is None]
    numeric = all("at" in g for g in groups)
    if not numeric:
        groups = sorted(groups, key=lambda g: g["value"])
    at = [g["at"] if numeric else k for k, g in enumerate(groups)]
    value, low, high = (
        [np.nan if g[key] is None else g[key] for g in groups] for key in ("value", "value_low", "value_high")
    )
    axes.vlines(at, low, high, color=BLUE, lw=1.3)
    axes.plot(at, value, color=BLUE, marker="o", ms=3.2, lw=1.1 if numeric else 0)
    beyond = max(at) + (0.09 * (max(at) - min(at)) if numeric else 1.0)
    for group in absent:
        axes.vlines([beyond], group["value_low"], group["value_high"], color=GREY, lw=1.3)
        axes.plot([beyond], [group["value"]], marker="D", ms=4, mfc="white", mec=QUIET, lw=0)
    if numeric:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda x, _: short_count(x))
        axes.set_xlabel(column["unit"])
    else:
        axes.set_xticks(at, [elided(g["label"], 9) for g in groups], rotation=90, fontsize=7)
        axes.set_xlim(-0.7, max(beyond if absent else max(at), 1) + 0.7)
    axes.set_title(elided(column["name"], 24))


@styled
def class_means(explored: Explored) -> Picture:
    """How far each class lies from the mean of a column, in standard deviations, for the most associated columns."""
    means, target = explored["class_means"], explored["target"]
    by_name = {c["name"]: c for c in explored["columns"]}
    columns = [by_name[name] for name in (means or {}).get("names", []) if by_name[name].get("deviation")]
    if len(target["classes"]) < 3 or not columns:
        return nothing()
    shown = most_telling(columns, 36)
    rows = dict(zip(means["names"], means["means"], strict=True))
    table = np.asarray([[np.nan if m is None else m for m in rows[c["name"]]] for c in shown], dtype=float).T
    scaled = (table - [c["mean"] for c in shown]) / [c["deviation"] for c in shown]
    reach = max(1.0, float(np.nanmax(np.abs(scaled))))
    figure = Figure(figsize=(WIDTH, 1.7 + 0.26 * len(target["classes"])))
    axes = figure.subplots()
    image = axes.imshow(scaled, cmap=SIGNED, vmin=-reach, vmax=reach, aspect="auto", interpolation="none")
    axes.set_xticks(range(len(shown)), names_in(shown), rotation=90, fontsize=7.5, color=INK)
    axes.set_yticks(
        range(len(target["classes"])), [elided(str(name), LONGEST) for name in target["classes"]], color=INK
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, pad=0.01, aspect=14, label="deviations").outline.set_visible(False)
    note = (
        f"{len(shown)} of {len(columns)} columns, most associated with the target." if len(shown) < len(columns) else ""
    )
    return picture(figure, "Class means in standard deviations from the mean of each column", note)


@styled
def class_pictures(explored: Explored) -> Picture:
    """The mean picture of every class, when columns `<stem>_<row>_<column>` fill a rectangle."""
    grid, means = explored["grid"], explored["class_means"]
    if not grid or not means:
        return nothing()
    rows = dict(zip(means["names"], means["means"], strict=True))
    names = explored["target"]["classes"]
    stack = np.asarray([[[rows[cell][k] or 0.0 for cell in line] for line in grid["names"]] for k in range(len(names))])
    figure, every = panels(len(names), across=min(5, len(names)), height=2.0)
    for axes, name, image in zip(every, names, stack, strict=True):
        axes.imshow(image, cmap=RISING, vmin=stack.min(), vmax=stack.max(), interpolation="none")
        axes.set_title(str(name))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    return picture(
        figure,
        "Mean picture of every class",
        f"Mean of each cell over the rows of a class; darker is higher, {stack.min():.3g} to {stack.max():.3g}.",
    )
