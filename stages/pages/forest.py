"""How do intervals stand beside each other in a table?  A strip of SVG in a cell, on one scale for the whole column.

Places are shares of the cell's width, so a strip fits a phone as well as a wide screen, and nothing is distorted.
The same row holds the figures as text, so the strips are hidden from those who have the page read to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from stages.pages.curves import Axis, axis, axis_around

STRIP, SCALE = 18, 20  # pixels high
INSET = 0.04  # of the width, so that marks at the ends stay whole


@dataclass(frozen=True)
class Mark:
    """A value with its interval; ``kind`` is a class of the style sheet."""

    value: float | None
    low: float | None
    high: float | None
    kind: str = "model"


def scale(marks: Iterable[Mark], *, ticks: int = 3, zero: bool = False, most: float | None = None) -> Axis:
    """The scale that holds all marks."""
    values = [end for mark in marks for end in (mark.value, mark.low, mark.high)]
    found = axis_around("", values, ticks, zero=zero)
    return axis("", found.low, min(found.high, most), ticks) if most is not None and found.high > most else found


def strip(along: Axis, marks: Iterable[Mark], rule: float | None = None) -> str:
    """Intervals with their values on a scale, one below the other; ``rule`` is a line to compare them with."""
    shown = list(marks)
    pieces = []
    if rule is not None:
        at = _place(along, rule)
        pieces.append(f'<line class="rule" x1="{at}" x2="{at}" y1="0" y2="{STRIP}"/>')
    for k, mark in enumerate(shown):
        y = f"{STRIP * (k + 1) / (len(shown) + 1):g}"
        if mark.low is not None and mark.high is not None:
            ends = f'x1="{_place(along, mark.low)}" x2="{_place(along, mark.high)}"'
            pieces.append(f'<line class="{mark.kind} whisker" {ends} y1="{y}" y2="{y}"/>')
        if mark.value is not None:
            pieces.append(f'<circle class="{mark.kind}" cx="{_place(along, mark.value)}" cy="{y}" r="3.5"/>')
    return f'<svg class="strip" height="{STRIP}" aria-hidden="true">{"".join(pieces)}</svg>'


def ruler(along: Axis) -> str:
    """The scale itself, for the head of the column."""
    pieces = [
        f'<text x="{_place(along, value)}" y="14" text-anchor="middle">{escape(text)}</text>'
        for value, text in along.ticks
    ]
    return f'<svg class="strip" height="{SCALE}" aria-hidden="true">{"".join(pieces)}</svg>'


def length(share: float, kind: str = "model") -> str:
    """A bar as long as a share of the cell."""
    width = f"{100 * min(max(share, 0.0), 1.0):.2f}%"
    return (
        f'<svg class="strip" height="{STRIP}" aria-hidden="true">'
        f'<rect class="{kind} fill" x="0" y="4" height="10" width="{width}"/></svg>'
    )


def _place(along: Axis, value: float) -> str:
    return f"{100 * (INSET + (1 - 2 * INSET) * along.share(value)):.2f}%"
