"""What does the merged summary say?  Plain tables, ready to be drawn and put into words; nothing here reads rows.

Every table is a dict of numbers, texts and lists that JSON can hold; a number that is unknown is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.exploration.columns import (
    association,
    group_means,
    histogram,
    is_discrete,
    outlying,
    top_values,
)
from stages.exploration.outcomes import Outcomes, merge_outcomes
from stages.exploration.summary import Summary, merge_summaries
from stages.features.binning import Bins
from stages.features.sketch import CategorySketch, NumberSketch, bucket_value
from stages.pages.numbers import tick_text

Float = NDArray[np.float64]

TOP = 12  # categories shown by name
MERGED_AT_ONCE = 8  # summaries of partitions held before they are added up
UNITS = {
    "s": "seconds", "min": "minutes", "h": "hours", "mi": "miles", "km": "km", "m": "metres", "ft": "feet",
    "in": "inches", "mm": "mm", "c": "°C", "f": "°F", "kt": "knots", "mph": "mph", "kmh": "km/h", "deg": "degrees",
    "mb": "mbar", "hpa": "hPa", "pct": "%", "kg": "kg", "lb": "lb", "usd": "$", "eur": "€",
}  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """What the table is asked, and how answers are judged.

    ``known_afterwards`` are the columns that the moment of prediction does not have.  Intervals have ``level`` and take
    ``run`` neighbouring units of the column ``cluster`` together; without one every row stands for itself.
    """

    dataset: str
    question: str
    task: str
    target: str
    classes: tuple[str, ...]
    known_afterwards: frozenset[str] = frozenset()
    cluster: str | None = None
    level: float = 0.95
    run: int = 1

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
    """What the report tells of all rows of one partition."""

    name: str
    rows: int
    nulls: dict[str, int]


@dataclass(frozen=True)
class Judged:
    """How the target came out in the training rows; ``course`` has for each partition that holds any a point a class,
    or one for a mean."""

    groups: dict[str, Bins]
    outcomes: Outcomes
    course: dict[str, list[dict[str, Any]]]


def describe(topic: Topic, whole: Summary, parts: Sequence[Part], judged: Judged) -> dict[str, Any]:
    """Everything the report shows, from what `fold` and `judge` return."""
    columns = [_column(topic, whole, parts, judged, name) for name in whole.kinds]
    return {
        "dataset": topic.dataset,
        "question": topic.question,
        "task": topic.task,
        "level": topic.level,
        "unit": topic.cluster,
        "run": topic.run,
        "rows": whole.rows,
        "partitions": [part.name for part in parts],
        "partition_rows": [part.rows for part in parts],
        "target": _target(topic, whole, judged),
        "days": _days(topic, whole, judged.outcomes),
        "columns": columns,
        "correlations": _correlations(topic, whole),
        "class_means": _class_means(topic, whole),
        "grid": find_grid(list(whole.moments.names)),
    }


def fold(summaries: Iterable[tuple[str, Summary]]) -> tuple[Summary, list[Part]]:
    """The summary of all rows, and a line on each partition, given by name in canonical order.

    A few summaries are held, however many there are.
    """
    parts, waiting = [], []
    for name, summary in summaries:
        parts.append(Part(name, summary.rows, {column: sketch.nulls for column, sketch in summary.sketches.items()}))
        waiting.append(summary)
        if len(waiting) > MERGED_AT_ONCE:
            waiting = [merge_summaries(waiting)]
    return merge_summaries(waiting), parts


def judge(topic: Topic, groups: dict[str, Bins], counted: Iterable[tuple[str, Outcomes]]) -> Judged:
    """Add up the outcomes of partitions by name, given in canonical order; at least one."""
    course, waiting = {}, []
    for name, outcomes in counted:
        if outcomes.whole.any():
            course[name] = [_estimate(topic, outcomes.whole[:, None], code) for code in topic.codes]
        waiting.append(outcomes)
        if len(waiting) > MERGED_AT_ONCE:
            waiting = [merge_outcomes(waiting)]
    return Judged(groups, merge_outcomes(waiting), course)


def names_of(columns: Iterable[str]) -> frozenset[str]:
    """Which of the columns that identify a row are names, should they hold whole numbers: those without a unit."""
    return frozenset(name for name in columns if not unit_of(name))


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


def _column(topic: Topic, whole: Summary, parts: Sequence[Part], judged: Judged, name: str) -> dict[str, Any]:
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
    if name in judged.groups:
        facts |= _against_target(topic, judged.groups[name], judged.outcomes.tables[name], sketch)
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


def _against_target(topic: Topic, bins: Bins, table: Float, sketch: Any) -> dict[str, Any]:
    """How strongly the target depends on the column, and its mean in each group of the column's values."""
    clustered = topic.cluster is not None
    strength = association(table, is_regression=topic.is_regression, clustered=clustered)
    facts: dict[str, Any] = {"association": _number(strength)}
    if not topic.is_regression and len(topic.classes) > 2:
        return facts
    labels = _labels(bins, sketch)
    means = _means(topic, table, topic.positive)
    keys = ("rows", "value", "value_low", "value_high")
    facts["profile"] = [
        {**label, **{key: _number(values[k]) for key, values in zip(keys, means, strict=True)}}
        for k, label in labels.items()
        if means[0][k] > 0
    ]
    return facts


def _labels(bins: Bins, sketch: Any) -> dict[int, dict[str, Any]]:
    """What to call each group that is shown, by its place: a category, a mean value, or None for what is missing."""
    absent: dict[int, dict[str, Any]] = {int(bins.coarse[-1]): {"label": None}}
    if isinstance(sketch, CategorySketch):
        ranked = top_values(sketch, TOP)["values"]
        return {k: {"label": str(value)} for k, value in enumerate(ranked)} | absent
    at = bucket_value(sketch.buckets)
    place = np.searchsorted(np.asarray(bins.edges), at, side="right")
    labels: dict[int, dict[str, Any]] = {}
    for group in np.unique(place).tolist():
        inside = at[place == group]
        mean = np.average(inside, weights=sketch.counts[place == group])
        labels[group] = {
            "label": tick_text(inside[0]) if len(inside) == 1 else "",
            "at": _number(mean), "low": _number(inside.min()), "high": _number(inside.max()),
        }  # fmt: skip
    return labels | absent


def _means(topic: Topic, table: Float, code: int) -> tuple[Float, Float, Float, Float]:
    return group_means(
        table, is_regression=topic.is_regression, class_code=code, level=topic.level,
        run=topic.run if topic.cluster is not None else None,
    )  # fmt: skip


def _target(topic: Topic, whole: Summary, judged: Judged) -> dict[str, Any]:
    """Balance of the target, and its course over the partitions that hold training rows."""
    overall = judged.outcomes.whole[:, None]
    return {
        "name": topic.target,
        "classes": list(topic.classes),
        "labelled": whole.labelled,
        "trained": whole.trained,
        "unlabelled": whole.unlabelled,
        "followed": topic.classes[topic.positive] if len(topic.classes) == 2 else None,
        "balance": [_estimate(topic, overall, code) for code in topic.codes],
        "partitions": list(judged.course),
        "course": [[points[code] for points in judged.course.values()] for code in topic.codes],
    }


def _estimate(topic: Topic, table: Float, code: int) -> dict[str, Any]:
    rows, value, low, high = _means(topic, table, code)
    hits = table.sum(axis=0)[0, code] if not topic.is_regression else rows[0]
    keys = ("n", "rows", "value", "low", "high")
    return dict(zip(keys, map(_number, (rows[0], hits, value[0], low[0], high[0])), strict=True))


def _days(topic: Topic, whole: Summary, outcomes: Outcomes) -> dict[str, Any] | None:
    """The target day by day: the share of the followed class, or the mean; None without days or with many classes."""
    if topic.cluster is None or whole.kinds.get(topic.cluster) != "date" or len(topic.classes) > 2:
        return None
    table = outcomes.whole
    rows, totals = (table[:, 0], table[:, 1]) if topic.is_regression else (table.sum(axis=1), table[:, topic.positive])
    return {
        "column": topic.cluster,
        "days": outcomes.clusters.tolist(),
        "rows": [int(n) for n in rows],
        "value": [_number(x) for x in totals / rows],
    }


def _correlations(topic: Topic, whole: Summary) -> dict[str, Any]:
    """Pearson's r between numeric columns; the target joins in unless its numbers are mere names of classes."""
    names = whole.moments.names
    kept = [k for k, name in enumerate(names) if name != topic.target or len(topic.classes) <= 2]
    r = whole.moments.correlations()[np.ix_(kept, kept)]
    return {"names": [names[k] for k in kept], "r": [[_number(x) for x in row] for row in r]}


def _class_means(topic: Topic, whole: Summary) -> dict[str, Any] | None:
    """Mean of every numeric column in each class; None for a regression."""
    if topic.is_regression:
        return None
    sums = whole.class_sums
    means = [np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0) for n, total in sums.values()]
    return {"names": list(sums), "means": [[_number(x) for x in row] for row in means]}


def _number(value: Any) -> Any:
    """A JSON number of at most nine significant digits, so that the last bits of a sum cannot change a report."""
    if value is None or not np.isfinite(value):
        return None
    number = float(f"{float(value):.9g}")
    return int(number) if number.is_integer() else number
