"""How is a curve drawn for a page that is read on a phone, on paper, in the light and in the dark?

As SVG written by hand: text stays text of a legible size, and every colour is a class that the page's style sheet
gives a value, so pictures follow the reader's colour scheme.  Coordinates have one decimal: the bytes are stable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

from stages.pages.numbers import tick_text

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 28, 40
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
STRIP, SCALE = 18, 20  # pixels high: intervals in a cell of a table, the scale at the head of their column
EDGE, SHORT = 0.98, 4  # share of the axis from which on a text longer than so many characters would be cut
INSET = 0.04  # of the cell's width, so that marks at the ends stay whole


@dataclass(frozen=True)
class Axis:
    """A named range of values, its marks (value, text), and where it lies in the picture."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Place of a value, 0 at the low end and 1 at the high end; values outside lie on the edge."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True)
class Panel:
    """The two axes of one picture, in its own units."""

    x: Axis
    y: Axis
    height: int = HEIGHT
    left: int = LEFT

    def at_x(self, value: float) -> str:
        """Across."""
        return _short(self.left + self.x.share(value) * (WIDTH - RIGHT - self.left))

    def at_y(self, value: float) -> str:
        """Down."""
        return _short(self.height - BOTTOM - self.y.share(value) * (self.height - BOTTOM - TOP))


@dataclass(frozen=True)
class Mark:
    """A value with its interval; ``kind`` is a class of the style sheet."""

    value: float | None
    low: float | None
    high: float | None
    kind: str = "model"


def axis(label: str, low: float, high: float, ticks: int = 5) -> Axis:
    """An axis from ``low`` to ``high`` with about ``ticks`` marks at round values."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    marks = round_values(low, high, ticks)
    return Axis(label, low, high, tuple((value, tick_text(value)) for value in marks))


def axis_around(label: str, values: Iterable[float | None], ticks: int = 5, zero: bool = False) -> Axis:
    """An axis that holds all values with a little room; from 0, or with 0 on it, where ``zero`` says so."""
    given = [value for value in values if value is not None and isfinite(value)] or [0.0, 1.0]
    low, high = min(given), max(given)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.06 * (high - low or abs(high) or 1.0)
    return axis(label, low if zero and low == 0 else low - room, high if zero and high == 0 else high + room, ticks)


def round_values(low: float, high: float, n: int) -> list[float]:
    """About ``n`` round values in a range."""
    raw = (high - low) / max(n, 1)
    power = 10.0 ** floor(log10(raw))
    step = next(power * s for s in STEPS if power * s >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def draw(panel: Panel, marks: Iterable[str], about: str) -> str:
    """The whole picture: grid and axes below the marks; ``about`` tells it to those who cannot see it."""
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {panel.height}" role="img" aria-label="{escape(about)}">'
        f"{_frame(panel)}{''.join(marks)}</svg>"
    )


def line(panel: Panel, xs: Sequence[float], ys: Sequence[float], kind: str) -> str:
    """A line through the points."""
    points = " ".join(f"{panel.at_x(x)},{panel.at_y(y)}" for x, y in zip(xs, ys, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def shade(panel: Panel, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], kind: str) -> str:
    """A band between two lines."""
    there = [f"{panel.at_x(x)},{panel.at_y(y)}" for x, y in zip(xs, highs, strict=True)]
    back = [f"{panel.at_x(x)},{panel.at_y(y)}" for x, y in zip(xs, lows, strict=True)]
    return f'<polygon class="{kind} band" points="{" ".join(there + back[::-1])}"/>'


def point(panel: Panel, x: float, y: float, kind: str, size: float = 4) -> str:
    """A dot."""
    return f'<circle class="{kind}" cx="{panel.at_x(x)}" cy="{panel.at_y(y)}" r="{size:g}"/>'


def bar(panel: Panel, x: float, low: float, high: float, kind: str) -> str:
    """An upright interval."""
    at = panel.at_x(x)
    return f'<line class="{kind}" x1="{at}" x2="{at}" y1="{panel.at_y(low)}" y2="{panel.at_y(high)}"/>'


def rule_x(panel: Panel, x: float, kind: str = "rule") -> str:
    """A line from bottom to top."""
    return bar(panel, x, panel.y.low, panel.y.high, kind)


def bar_lying(panel: Panel, y: float, low: float, high: float, kind: str) -> str:
    """A lying interval."""
    at = panel.at_y(y)
    return f'<line class="{kind}" x1="{panel.at_x(low)}" x2="{panel.at_x(high)}" y1="{at}" y2="{at}"/>'


def whisker(panel: Panel, at: float, low: float | None, high: float | None, kind: str, lying: bool = False) -> str:
    """An interval, upright or lying; nothing where there is none."""
    if low is None or high is None:
        return ""
    return (bar_lying if lying else bar)(panel, at, low, high, f"{kind} whisker")


def rule_y(panel: Panel, y: float, kind: str = "rule") -> str:
    """A line from left to right."""
    return bar_lying(panel, y, panel.x.low, panel.x.high, kind)


def word(panel: Panel, x: float, y: float, text: str, *, anchor: str = "start", up: float = 5, kind: str = "") -> str:
    """A text beside a place, ``up`` above it."""
    at = _short(float(panel.at_y(y)) - up)
    return f'<text class="{kind}" x="{panel.at_x(x)}" y="{at}" text-anchor="{anchor}">{escape(text)}</text>'


def _frame(panel: Panel) -> str:
    bottom = panel.height - BOTTOM
    pieces = [f'<text class="label" x="2" y="14">{escape(panel.y.label)}</text>']
    for value, text in panel.y.ticks:
        at = panel.at_y(value)
        pieces.append(rule_y(panel, value, "grid"))
        pieces.append(f'<text x="{panel.left - 6}" y="{_short(float(at) + 4)}" text-anchor="end">{escape(text)}</text>')
    for value, text in panel.x.ticks:
        at = panel.at_x(value)
        pieces.append(f'<line class="axis" x1="{at}" x2="{at}" y1="{bottom}" y2="{bottom + 4}"/>')
        # a text at the right edge ends there, so that none is cut
        end = panel.x.share(value) > EDGE and len(text) > SHORT
        anchor, place = ("end", str(WIDTH - 2)) if end else ("middle", at)
        pieces.append(f'<text x="{place}" y="{bottom + 17}" text-anchor="{anchor}">{escape(text)}</text>')
    pieces.append(rule_y(panel, panel.y.low, "axis"))
    corner = f'x="{WIDTH - RIGHT}" y="{panel.height - 5}"'
    pieces.append(f'<text class="label" {corner} text-anchor="end">{escape(panel.x.label)}</text>')
    return "".join(pieces)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def scale(marks: Iterable[Mark], *, ticks: int = 3, zero: bool = False) -> Axis:
    """The scale that holds all marks."""
    values = [end for mark in marks for end in (mark.value, mark.low, mark.high)]
    return axis_around("", values, ticks, zero=zero)


def strip(along: Axis, marks: Iterable[Mark], rule: float | None = None) -> str:
    """Intervals with their values in a cell of a table, on its column's scale; ``rule`` is a line to compare with.

    Places are shares of the cell's width, so a strip fits a phone as well as a wide screen, and nothing is distorted.
    The same row holds the figures as text, so strips are hidden from those who have the page read to them.
    """
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
