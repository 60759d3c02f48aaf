"""What does an answer look like?  A probability beside its threshold, what speaks for and against it, many scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.metrics.contract import Task
from stages.pages.curves import BOTTOM, Mark, Panel, axis, axis_around, draw, length, rule_x, scale, strip, whisker
from stages.pages.numbers import GAP, count_text, fixed, share_text, share_texts, short_count, value_text
from stages.serving.words import Calibration, group_for, likely_range

SPEAKING = 8  # inputs that are told of one by one
HEIGHT = 118  # of a scale with one answer on it
CELL = 20  # units, of an image
TALLEST = 220  # of a histogram


@dataclass(frozen=True)
class Line:
    """One line of a table with bars: what, what it means, its value, the figure that is drawn, and the drawing."""

    label: str
    about: str
    value: str
    told: str
    drawn: str
    side: str = ""
    """``for`` or ``against`` the answer, or whether it moves it ``up`` or ``down``; empty where there are no sides."""


def on_a_scale(
    task: Task, signature: Mapping[str, Any], score: float, calibration: Calibration,
    band: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """The answer on its scale, with the threshold where one decides, and how such answers fared or its own ``band``."""
    group = group_for(task, score, calibration)
    if task.scored == "probability":
        ticks = tuple((k / 4, f"{25 * k}{GAP}%") for k in range(5))
        along = axis("", 0, 1)
        panel = Panel(type(along)("probability", 0, 1, ticks), _bare(), height=HEIGHT, left=14)
        low, high = (group["low"], group["high"]) if group else (None, None)
        seen, said = (group["observed"] if group else None), f"{share_text(score)} probable"
    else:
        low, high = band or (likely_range(score, group) if group and "tenth" in group else (None, None))
        groups = calibration["groups"] if calibration else []
        predicted = [0.0] if band else [each["predicted"] for each in groups]
        along = axis_around(str(signature.get("target_unit") or signature["target"]), [*predicted, low, high, score])
        panel, seen, said = Panel(along, _bare(), height=HEIGHT, left=14), None, value_text(score)
    threshold = signature.get("threshold")
    decided = [] if threshold is None else [rule_x(panel, threshold, "chosen")]
    about = said + ("" if threshold is None else f", beside the threshold {share_text(threshold)}")
    marks = [_bar(panel, score), *decided, whisker(panel, 0.28, low, high, "seen", lying=True)]
    if seen is not None:
        marks.append(f'<circle class="seen" cx="{panel.at_x(seen)}" cy="{panel.at_y(0.28)}" r="4"/>')
    return draw(panel, marks, about)


def _bare() -> Any:
    """An axis up with nothing on it."""
    along = axis("", 0, 1)
    return type(along)("", 0, 1, ())


def _bar(panel: Panel, score: float) -> str:
    start, end = float(panel.at_x(panel.x.low)), float(panel.at_x(score))
    top, bottom = float(panel.at_y(0.95)), float(panel.at_y(0.5))
    return (
        f'<rect class="track" x="{start:g}" y="{top:g}" width="{float(panel.at_x(panel.x.high)) - start:g}" '
        f'height="{bottom - top:g}" rx="3"/><rect class="model fill" x="{start:g}" y="{top:g}" '
        f'width="{max(end - start, 2):.1f}" height="{bottom - top:g}" rx="3"/>'
    )


def classes(signature: Mapping[str, Any], scores: NDArray[np.float32]) -> list[Line]:
    """Every class with its probability, the most probable first."""
    order = np.argsort(-scores, kind="stable")
    told = share_texts([float(scores[k]) for k in order])
    return [
        Line(str(signature["classes"][k]), "", "", text, length(float(scores[k])))
        for k, text in zip(order, told, strict=True)
    ]


def speaking(
    asked: Sequence[tuple[str, str, str]], contributions: NDArray[np.float32], *, by_odds: bool, of: str = "input"
) -> list[Line]:
    """What each input, or each word of one, adds to the score that is told of, largest first, and the rest together.

    ``asked`` are (label, about, value) of each input, ``contributions`` (inputs + 1,) what they and the bias add.
    Where they add to log-odds, what they multiply the odds by is told.
    """
    added = contributions[:-1].astype(np.float64)
    order = np.argsort(-np.abs(added), kind="stable")
    largest = [k for k in order[:SPEAKING].tolist() if added[k]]
    told = [(*asked[k], float(added[k])) for k in largest]
    if rest := float(added[order[len(largest) :]].sum()):
        others = len(added) - len(largest)
        told.append((f"{others} other {of}{'s' if others > 1 else ''}", "", "", rest))
    sides = ("against", "for") if by_odds else ("down", "up")
    along = scale([Mark(None, min(each[3], 0.0), max(each[3], 0.0)) for each in told], zero=True)
    return [
        Line(label, about, value, f"×{GAP}{exp(moved):.2f}" if by_odds else fixed(moved, 1, sign=True),
             strip(along, [Mark(None, min(moved, 0.0), max(moved, 0.0), "chosen" if moved > 0 else "model")], rule=0.0),
             sides[moved > 0])
        for label, about, value, moved in told
    ]  # fmt: skip


def on_the_image(cells: Sequence[Sequence[float | None]], towards: str) -> str:
    """What each cell of an image adds, the stronger the deeper its colour; None where the model does not look."""
    placed = [(added or 0.0, y, x) for y, row in enumerate(cells) for x, added in enumerate(row)]
    largest, (_, down, across) = max(abs(added) for added, _, _ in placed) or 1.0, max(placed)
    box = f'width="{CELL - 1}" height="{CELL - 1}" rx="2"'
    pieces = [
        f'<g transform="translate({x * CELL} {y * CELL})"><rect class="track" {box}/>'
        f'<rect class="{"chosen" if added > 0 else "model"} fill" {box} fill-opacity="{abs(added) / largest:.2f}"/></g>'
        for added, y, x in placed
    ]
    about = f"Cells that speak for and against {towards}; most for it speaks row {down + 1}, column {across + 1}"
    size = f"0 0 {CELL * max(map(len, cells))} {CELL * len(cells)}"
    return f'<svg class="cells-said" viewBox="{size}" role="img" aria-label="{escape(about)}">{"".join(pieces)}</svg>'


def histogram(task: Task, signature: Mapping[str, Any], ends: NDArray[np.float64], counts: NDArray[np.int64]) -> str:
    """How many rows were given which score, with the threshold where one decides."""
    if task.scored == "probability":
        label = "probability" if task.positive is not None else "probability of the class that is named"
    else:
        label = str(signature.get("target_unit") or signature["target"])
    along, up = axis(label, float(ends[0]), float(ends[-1])), axis("rows", 0, max(int(counts.max()), 1), 4)
    up = type(up)("rows", up.low, up.high, tuple((value, short_count(value)) for value, _ in up.ticks
                                                  if value == int(value)))  # fmt: skip
    panel = Panel(along, up, height=TALLEST)
    bars = [_column(panel, float(ends[k]), float(ends[k + 1]), int(n)) for k, n in enumerate(counts.tolist()) if n]
    threshold = signature.get("threshold")
    decided = [] if threshold is None else [rule_x(panel, threshold, "chosen")]
    about = f"Histogram of {count_text(int(counts.sum()))} scores" + (
        "" if threshold is None else f"; from {share_text(threshold)} on the answer is {signature['classes'][1]}"
    )
    return draw(panel, [*bars, *decided], about)


def _column(panel: Panel, start: float, end: float, n: int) -> str:
    left, right, top = float(panel.at_x(start)), float(panel.at_x(end)), float(panel.at_y(n))
    return (
        f'<rect class="model fill" x="{left + 0.5:.1f}" y="{top:g}" width="{right - left - 1:.1f}" '
        f'height="{panel.height - BOTTOM - top:.1f}"><title>{escape(count_text(n))}</title></rect>'
    )
