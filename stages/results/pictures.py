"""What do the results look like?  Curves of the model beside its baseline, each with its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stages.pages.curves import (
    Axis,
    Panel,
    axis,
    axis_around,
    bar,
    bar_lying,
    draw,
    line,
    point,
    rule_x,
    rule_y,
    shade,
    whisker,
    word,
)
from stages.pages.numbers import MINUS, decimals_of, elided, figure, level_text
from stages.results.costs import CostCurve
from stages.results.effects import Dependence
from stages.results.facts import Facts

MOST_POINTS = 160  # of a line, in a picture 380 units wide
ROW = 24  # units high, of a category
NAME = 160  # units wide at most, for names of categories
LETTER, LONGEST = 7, 20  # units wide; letters of a name
KEY_MODEL = ("model", "the model and its band")
KEY_BASELINE = ("baseline", "the baseline")


@dataclass(frozen=True)
class Chart:
    """A picture with its heading, what its colours mean (class, words), and what to know when reading it."""

    title: str
    svg: str
    keys: Sequence[tuple[str, str]] = ()
    note: str = ""


def curves(facts: Facts) -> list[Chart]:
    """ROC, precision by recall and the learning curve, those that the task has."""
    average = ", mean over the classes" if facts.by_class else ""
    shown = []
    if len(facts.plots["roc"]):
        shown.append(_against_baseline(
            facts.plots["roc"], "false_positive_rate", "true_positive_rate", f"ROC curve{average}",
            "false positive rate", "true positive rate", chance=True,
        ))  # fmt: skip
    if len(facts.plots["precision_recall"]):
        shown.append(_against_baseline(
            facts.plots["precision_recall"], "recall", "precision", f"Precision by recall{average}",
            "recall", "precision",
        ))  # fmt: skip
    if len(facts.plots["learning_curve"]):
        shown.append(learning_curve(facts.plots["learning_curve"], facts.training))
    return shown


def _against_baseline(
    curve: pl.DataFrame, x: str, y: str, title: str, across: str, up: str, chance: bool = False
) -> Chart:
    drawn = curve.drop_nulls([x, y, "baseline"])
    banded = drawn.drop_nulls(["low", "high"])
    panel = Panel(axis(across, 0, 1), axis(up, 0, 1))
    xs = drawn[x].to_list()
    marks = [line(panel, [0, 1], [0, 1], "rule")] if chance else []
    marks += [
        shade(panel, banded[x].to_list(), banded["low"].to_list(), banded["high"].to_list(), "model"),
        line(panel, xs, drawn["baseline"].to_list(), "baseline"),
        line(panel, xs, drawn[y].to_list(), "model"),
    ]
    keys = [KEY_MODEL, KEY_BASELINE, *([("rule", "chance")] if chance else [])]
    return Chart(title, draw(panel, marks, f"{title}: {up} against {across}, model with band, and baseline"), keys)


def learning_curve(losses: pl.DataFrame, training: Mapping[str, Any]) -> Chart:
    """Loss by round, with the round that was kept."""
    best = int(training["best_round"])
    by_part = {part: losses.filter(pl.col("part") == part).sort("round") for part in ("train", "valid")}
    panel = Panel(
        axis("boosting round", 0, max(losses["round"].max() or 1, 1)),  # type: ignore[arg-type]
        axis_around("loss", losses["loss"].to_list()),
    )
    marks = [rule_x(panel, best)]
    for part, kind in (("train", "baseline"), ("valid", "model")):
        rows = by_part[part]
        few = rows.gather_every(max(len(rows) // MOST_POINTS, 1))
        marks.append(line(panel, few["round"].to_list(), few["loss"].to_list(), kind))
    keys = [("model", "valid part"), ("baseline", "train part"), ("rule", f"round {best}, the last that is kept")]
    return Chart("Learning curve", draw(panel, marks, "Loss of the train and the valid part by boosting round"), keys)


def calibration(facts: Facts) -> Chart | None:
    """Observed beside predicted, group by group, each with its interval."""
    groups = facts.plots["calibration"].drop_nulls(["predicted", "observed"])
    if not len(groups):
        return None
    predicted, observed = groups["predicted"].to_list(), groups["observed"].to_list()
    lows, highs = groups["low"].to_list(), groups["high"].to_list()
    if facts.kind.scored == "forecast":
        panel = Panel(axis("quantile that is told", 0, 1), axis("outcomes at or below it", 0, 1))
    elif facts.kind.scored == "number":
        both = axis_around("", [*predicted, *observed, *lows, *highs])
        panel = Panel(axis("mean prediction", both.low, both.high), axis("observed mean", both.low, both.high))
    else:
        panel = Panel(axis("mean probability", 0, 1), axis("observed share", 0, 1))
    marks = [line(panel, [panel.x.low, panel.x.high], [panel.y.low, panel.y.high], "rule")]
    marks += [whisker(panel, x, low, high, "model") for x, low, high in zip(predicted, lows, highs, strict=True)]
    marks += [point(panel, x, y, "model") for x, y in zip(predicted, observed, strict=True)]
    about = "Observed beside predicted in groups of predictions, with intervals; a perfect model lies on the diagonal"
    title = "Actual by predicted" if facts.kind.scored == "number" else "Calibration"
    return Chart(title, draw(panel, marks, about), [("model", "the model"), ("rule", "perfect")])


def residuals(facts: Facts) -> Chart | None:
    """What is left of the target by prediction, group by group: the mean with its interval, and single rows."""
    groups = facts.plots["residuals"]
    if not len(groups):
        return None
    ends = [end for name in ("low", "high", "tenth", "ninetieth") for end in groups[name].to_list()]
    panel = Panel(
        axis_around("mean prediction", groups["predicted"].to_list()),
        axis_around(f"actual {MINUS} predicted", ends, zero=True),
    )
    marks = [rule_y(panel, 0.0)]
    for row in groups.iter_rows(named=True):
        marks += [
            bar(panel, row["predicted"], row["tenth"], row["ninetieth"], "model spread"),
            whisker(panel, row["predicted"], row["low"], row["high"], "model"),
            point(panel, row["predicted"], row["residual"], "model"),
        ]
    middle = f"the middle {level_text(0.8)} of the rows"
    about = f"Actual less predicted in groups of predictions: means with intervals, and {middle}"
    keys = [("model", "mean of a group, and its interval"), ("rule", "nothing left")]
    return Chart("Residuals", draw(panel, marks, about), keys, f"The wide bar holds {middle}.")


def costs(curve: CostCurve, threshold: float) -> Chart:
    """Cost a row by threshold, with the chosen one and the two lazy answers."""
    ys = [*curve.values, *curve.low, *curve.high, curve.never.value, curve.always.value]
    held = np.isfinite(curve.low)
    banded = [ends[held].tolist() for ends in (curve.thresholds, curve.low, curve.high)]
    panel = Panel(axis("threshold", 0, 1), axis_around("cost a row", [float(y) for y in ys], zero=True), left=52)
    xs = curve.thresholds.tolist()
    marks = [
        rule_y(panel, curve.never.value, "rule"),
        rule_y(panel, curve.always.value, "rule"),
        shade(panel, banded[0], banded[1], banded[2], "model"),
        line(panel, xs, curve.values.tolist(), "model"),
        rule_x(panel, threshold, "chosen"),
        whisker(panel, threshold, curve.chosen.low, curve.chosen.high, "chosen"),
        point(panel, threshold, curve.chosen.value, "chosen", 5),
    ]
    decimals = decimals_of(curve.never.value, curve.always.value)
    lazy = sorted([(curve.never.value, "never act"), (curve.always.value, "always act")], reverse=True)
    keys = [
        ("model", "cost of acting from a threshold on, with its band"),
        ("chosen", f"the threshold in use, {figure(threshold)}"),
        ("rule", "from above: " + ", ".join(f"{act} {figure(value, decimals=decimals)}" for value, act in lazy)),
    ]
    return Chart("Cost by threshold", draw(panel, marks, "Expected cost a row by threshold, with its band"), keys)


def dependence(found: Dependence, facts: Facts) -> Chart:
    """Mean SHAP value by group of a feature's values."""
    column = facts.columns.get(found.feature, {})
    towards = f", towards “{facts.classes[found.output]}”" if facts.by_class else ""
    note = column.get("about", "")
    title = f"{found.feature}{towards}"
    about = f"Mean SHAP value by {found.feature}: " + "; ".join(
        f"{group.label}: {figure(group.mean)}" for group in found.groups
    )
    draw_groups = _numbers if found.numeric and any(group.at is not None for group in found.groups) else _categories
    absent = [] if draw_groups is _categories else [group.mean for group in found.groups if group.at is None]
    keys = [("missing", f"value missing: {figure(mean)}") for mean in absent]
    return Chart(title, draw_groups(found, column.get("unit", ""), about), keys, note)


def _numbers(found: Dependence, unit: str, about: str) -> str:
    placed = [(group.at, group) for group in found.groups if group.at is not None]
    ends = [end for group in found.groups for end in (group.tenth, group.ninetieth, group.low, group.high)]
    label = f"{found.feature}" if not unit or found.feature.endswith(f"_{unit}") else f"{found.feature} ({unit})"
    panel = Panel(axis_around(label, [at for at, _ in placed]), axis_around("SHAP value", ends, zero=True), height=250)
    marks = [rule_y(panel, 0.0)]
    marks += [bar(panel, at, group.tenth, group.ninetieth, "model spread") for at, group in placed]
    xs = [at for at, _ in placed]
    marks.append(line(panel, xs, [group.mean for _, group in placed], "model"))
    marks += [whisker(panel, at, group.low, group.high, "model") for at, group in placed]
    marks += [point(panel, at, group.mean, "model", 3.5) for at, group in placed]
    marks += [rule_y(panel, group.mean, "baseline dashed") for group in found.groups if group.at is None]
    return draw(panel, marks, about)


def _categories(found: Dependence, _unit: str, about: str) -> str:
    """Lying down: a row for each category, so that names can be read."""
    ends = [end for group in found.groups for end in (group.tenth, group.ninetieth, group.low, group.high)]
    along = axis_around("SHAP value", ends, 4, zero=True)
    height = 28 + ROW * len(found.groups) + 40
    rows = axis("", 0, len(found.groups))
    left = min(18 + LETTER * max(len(elided(group.label, LONGEST)) for group in found.groups), NAME)
    panel = Panel(along, Axis("", rows.low, rows.high, ()), height=height, left=left)
    marks = [rule_x(panel, 0.0)]
    for k, group in enumerate(found.groups):
        y = len(found.groups) - k - 0.5
        marks += [
            word(panel, panel.x.low, y, elided(group.label, LONGEST), anchor="end", up=-4),
            bar_lying(panel, y, group.tenth, group.ninetieth, "model spread"),
            whisker(panel, y, group.low, group.high, "model", lying=True),
            point(panel, group.mean, y, "model", 3.5),
        ]
    return draw(panel, marks, about)
