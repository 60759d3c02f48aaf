"""What does the merged summary say?  Plain tables, ready to be drawn and put into words; nothing here reads rows.

Every table is a dict of numbers, texts and lists that JSON can hold; a number that is unknown is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.exploration.columns import (
    association,
    cluster_interval,
    group_means,
    histogram,
    is_discrete,
    outlying,
    top_values,
)
from stages.exploration.summary import Summary, Tally, merge_summaries
from stages.features.sketch import CategorySketch, NumberSketch, bucket_value
from stages.pages.numbers import tick_text

Float = NDArray[np.float64]

GROUPS = 10  # groups of about equal size in which the target is compared
TOP = 12  # categories shown by name
LEVEL = 0.95
MERGED_AT_ONCE = 8  # summaries of partitions held before they are added up
UNITS = {
    "s": "seconds", "min": "minutes", "h": "hours", "mi": "miles", "km": "km", "m": "metres", "ft": "feet",
    "in": "inches", "mm": "mm", "c": "°C", "f": "°F", "kt": "knots", "mph": "mph", "kmh": "km/h", "deg": "degrees",
    "mb": "mbar", "hpa": "hPa", "pct": "%", "kg": "kg", "lb": "lb", "usd": "$", "eur": "€",
}  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """What the table is asked: ``known_afterwards`` are the columns that the moment of prediction does not have."""

    dataset: str
    question: str
    task: str
    target: str
    classes: tuple[str, ...]
    known_afterwards: frozenset[str] = frozenset()
    day: str | None = None

    @property
    def is_regression(self) -> bool:
        """A number is asked, not a class."""
        return not self.classes

    @property
    def positive(self) -> int:
        """Code of the class whose share is followed: the last of two."""
        return len(self.classes) - 1

    @property
    def codes(self) -> range:
        """Codes of the classes; 0 stands for the mean of a regression."""
        return range(max(len(self.classes), 1))


@dataclass(frozen=True)
class Part:
    """What the report tells of one partition; ``course`` has a point for each class, or one for a mean."""

    name: str
    rows: int
    nulls: dict[str, int]
    course: list[dict[str, Any]]


def describe(topic: Topic, summaries: Iterable[tuple[str, Summary]]) -> dict[str, Any]:
    """Everything the report shows, from the summaries of partitions by name, taken one by one in canonical order."""
    whole, parts = fold(topic, summaries)
    columns = [_column(topic, whole, parts, name) for name in whole.kinds]
    return {
        "dataset": topic.dataset,
        "question": topic.question,
        "task": topic.task,
        "level": LEVEL,
        "rows": whole.rows,
        "partitions": [part.name for part in parts],
        "partition_rows": [part.rows for part in parts],
        "target": _target(topic, whole, parts),
        "days": _days(topic, whole),
        "columns": columns,
        "correlations": _correlations(topic, whole),
        "class_means": _class_means(topic, whole),
        "grid": find_grid(list(whole.moments.names)),
    }


def fold(topic: Topic, summaries: Iterable[tuple[str, Summary]]) -> tuple[Summary, list[Part]]:
    """The summary of all rows, and a line on each partition: a few summaries are held, however many there are."""
    parts, waiting = [], []
    for name, summary in summaries:
        nulls = {column: sketch.nulls for column, sketch in summary.sketches.items()}
        course = [_course_point(topic, summary, code) for code in topic.codes]
        parts.append(Part(name, summary.rows, nulls, course))
        waiting.append(summary)
        if len(waiting) > MERGED_AT_ONCE:
            waiting = [merge_summaries(waiting)]
    return merge_summaries(waiting), parts


def unit_of(name: str) -> str:
    """The unit that a column's name ends with, in words; empty when it ends with none."""
    return UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""


def find_grid(names: Sequence[str]) -> dict[str, Any] | None:
    """Columns ``<stem>_<row>_<column>`` that fill a whole rectangle are a picture; None when there are none."""
    found = [(match, name) for name in names if (match := re.fullmatch(r"(\D+)(\d+)_(\d+)", name))]
    places = {(int(match[2]), int(match[3])): name for match, name in found}
    if len({match[1] for match, _ in found}) != 1:
        return None
    rows, columns = (sorted({place[axis] for place in places}) for axis in (0, 1))
    if min(len(rows), len(columns)) < 3 or len(places) != len(rows) * len(columns):
        return None
    return {"names": [[places[row, column] for column in columns] for row in rows]}


def _column(topic: Topic, whole: Summary, parts: Sequence[Part], name: str) -> dict[str, Any]:
    kind, sketch = whole.kinds[name], whole.sketches.get(name)
    facts: dict[str, Any] = {
        "name": name,
        "dtype": whole.dtypes[name],
        "kind": kind,
        "unit": "hours"
        if kind == "time" and whole.dtypes[name] == "Time"
        else (unit_of(name) if kind == "number" else ""),
        "role": "target" if name == topic.target else ("afterwards" if name in topic.known_afterwards else "column"),
        "nulls": sketch.nulls if sketch else 0,
        "nulls_by_partition": [part.nulls.get(name, 0) for part in parts],
    }
    if isinstance(sketch, NumberSketch):
        whole_numbers = "Int" in whole.dtypes[name]
        facts |= _number_facts(whole, name, sketch, whole_numbers)
    elif isinstance(sketch, CategorySketch):
        facts |= {"distinct": len(sketch.counts)}
        if kind == "date":
            days = sorted(sketch.counts)
            facts |= {"first": days[0] if days else None, "last": days[-1] if days else None}
            facts["distribution"] = {"form": "days", "days": days, "rows": [sketch.counts[day] for day in days]}
        else:
            facts["distribution"] = {"form": "top", **top_values(sketch, TOP)}
    if name in whole.tallies and sketch:
        facts |= _against_target(topic, whole.tallies[name], sketch, discrete=_is_discrete(facts), day=kind == "date")
    return facts


def _number_facts(whole: Summary, name: str, sketch: NumberSketch, whole_numbers: bool) -> dict[str, Any]:
    quartiles = [_number(value) for value in sketch.quantiles([0.25, 0.5, 0.75])]
    names = whole.moments.names
    deviation = whole.moments.deviations()[names.index(name)] if name in names else None
    fences = outlying(sketch)
    facts: dict[str, Any] = {
        "low": _number(sketch.low),
        "high": _number(sketch.high),
        "mean": _number(sketch.mean),
        "deviation": _number(deviation),
        "quartiles": quartiles,
        "outlying": fences and {key: _number(value) for key, value in fences.items()},
        "distribution": None,
    }
    if is_discrete(sketch, whole_numbers):
        values = [int(value) for value in bucket_value(sketch.buckets)]
        facts["distinct"] = len(values)
        facts["distribution"] = {"form": "values", "values": values, "rows": sketch.counts.tolist()}
    elif sketch.n:
        drawn = histogram(sketch, whole_numbers)
        facts["distribution"] = {"form": "histogram"} | {
            key: [_number(x) for x in value] if isinstance(value, np.ndarray) else _number(value)
            for key, value in drawn.items()
        }
    return facts


def _is_discrete(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("distribution")) and facts["distribution"]["form"] == "values"


def _against_target(topic: Topic, tally: Tally, sketch: Any, *, discrete: bool, day: bool) -> dict[str, Any]:
    """How strongly the target depends on the column, and its mean in each group of the column's values."""
    labels, table = _groups(tally, sketch, discrete=discrete)
    absent = tally.missing[None, :-1]
    every = np.vstack([table, absent]) if absent[:, 0 if topic.is_regression else slice(None)].sum() else table
    facts: dict[str, Any] = {"association": _number(association(every, is_regression=topic.is_regression))}
    if day or (not topic.is_regression and len(topic.classes) > 2):
        return facts
    if isinstance(sketch, CategorySketch):
        labels, table = _largest(labels, table, is_regression=topic.is_regression)
    if len(every) > len(table) and absent.sum():
        labels, table = [*labels, {"label": None}], np.vstack([table, absent])
    means = group_means(table, is_regression=topic.is_regression, class_code=topic.positive, level=LEVEL)
    keys = ("rows", "value", "value_low", "value_high")
    facts["profile"] = [
        {**label, **{key: _number(values[k]) for key, values in zip(keys, means, strict=True)}}
        for k, label in enumerate(labels)
        if means[0][k] > 0
    ]
    return facts


def _groups(tally: Tally, sketch: Any, *, discrete: bool) -> tuple[list[dict[str, Any]], Float]:
    """Labels and outcome table of the groups of a column: its categories, its few values, or tenths of its rows."""
    table = tally.table[:, :-1]
    if isinstance(sketch, CategorySketch):
        return [{"label": str(key)} for key in tally.keys], table
    at = bucket_value(tally.keys)
    if discrete:
        return [{"label": tick_text(value), "at": _number(value)} for value in at], table
    place = np.searchsorted(sketch.edges(GROUPS), at, side="right")
    groups = np.unique(place)
    merged = np.vstack([table[place == group].sum(axis=0) for group in groups]) if len(groups) else table
    weights = tally.table.sum(axis=1)
    labels = []
    for group in groups:
        inside = at[place == group]
        mean = np.average(inside, weights=np.maximum(weights[place == group], 1e-9))
        labels.append({"label": "", "at": _number(mean), "low": _number(inside.min()), "high": _number(inside.max())})
    return labels, merged


def _largest(labels: list[dict[str, Any]], table: Float, *, is_regression: bool) -> tuple[list[dict[str, Any]], Float]:
    rows = table[:, 0] if is_regression else table.sum(axis=1)
    order = sorted(range(len(labels)), key=lambda k: (-rows[k], labels[k]["label"]))[:TOP]
    return [labels[k] for k in order], table[order]


def _target(topic: Topic, whole: Summary, parts: Sequence[Part]) -> dict[str, Any]:
    """Balance of the target, and its course over partitions."""
    overall = whole.outcomes[None, :-1]
    return {
        "name": topic.target,
        "classes": list(topic.classes),
        "labelled": int(whole.rows - whole.outcomes[-1]),
        "unlabelled": whole.unlabelled,
        "followed": topic.classes[topic.positive] if len(topic.classes) == 2 else None,
        "balance": [_estimate(topic, overall, code) for code in topic.codes],
        "course": [[part.course[code] for part in parts] for code in topic.codes],
        "interval_over_days": topic.day is not None,
    }


def _estimate(topic: Topic, table: Float, code: int) -> dict[str, Any]:
    rows, value, low, high = group_means(table, is_regression=topic.is_regression, class_code=code, level=LEVEL)
    hits = table[0, code] if not topic.is_regression else rows[0]
    keys = ("n", "rows", "value", "low", "high")
    return dict(zip(keys, map(_number, (rows[0], hits, value[0], low[0], high[0])), strict=True))


def _course_point(topic: Topic, part: Summary, code: int) -> dict[str, Any]:
    """One partition's value; where days are known its interval is over days, because a day's rows share their luck."""
    point = _estimate(topic, part.outcomes[None, :-1], code)
    if topic.day and topic.day in part.tallies and len(part.tallies[topic.day].keys) > 1:
        rows, totals = _rows_and_totals(topic, part.tallies[topic.day].table, code)
        low, high = cluster_interval(totals, rows, LEVEL)
        low, high = (low, high) if topic.is_regression else (max(low, 0.0), min(high, 1.0))
        point |= {"low": _number(low), "high": _number(high)}
    return point


def _rows_and_totals(topic: Topic, table: Float, code: int) -> tuple[Float, Float]:
    if topic.is_regression:
        return table[:, 0], table[:, 1]
    return table[:, :-1].sum(axis=1), table[:, code]


def _days(topic: Topic, whole: Summary) -> dict[str, Any] | None:
    """The target day by day: the share of the followed class, or the mean; None without days or with many classes."""
    if not topic.day or topic.day not in whole.tallies or len(topic.classes) > 2:
        return None
    tally = whole.tallies[topic.day]
    rows, totals = _rows_and_totals(topic, tally.table, topic.positive)
    held = rows > 0
    return {
        "column": topic.day,
        "days": [str(day) for day in tally.keys[held]],
        "rows": [int(n) for n in rows[held]],
        "value": [_number(x) for x in totals[held] / rows[held]],
    }


def _correlations(topic: Topic, whole: Summary) -> dict[str, Any]:
    """Pearson's r between numeric columns; the target joins in unless its numbers are mere names of classes."""
    names = whole.moments.names
    kept = [k for k, name in enumerate(names) if name != topic.target or len(topic.classes) <= 2]
    r = whole.moments.correlations()[np.ix_(kept, kept)]
    return {"names": [names[k] for k in kept], "r": [[_number(x) for x in row] for row in r]}


def _class_means(topic: Topic, whole: Summary) -> dict[str, Any] | None:
    """Mean of every numeric column in each class, to the width of a sketch bucket; None for a regression."""
    if topic.is_regression:
        return None
    names = [name for name in whole.moments.names if name != topic.target and whole.kinds[name] == "number"]
    means = []
    for name in names:
        table = whole.tallies[name].table[:, :-1]
        n = table.sum(axis=0)
        total = bucket_value(whole.tallies[name].keys) @ table if len(table) else np.zeros_like(n)
        means.append(np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0))
    return {"names": names, "means": [[_number(x) for x in row] for row in means]}


def _number(value: Any) -> Any:
    """A JSON number of at most nine significant digits, so that the last bits of a sum cannot change a report."""
    if value is None or not np.isfinite(value):
        return None
    number = float(f"{float(value):.9g}")
    return int(number) if number.is_integer() else number
