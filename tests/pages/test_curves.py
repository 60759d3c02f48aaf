"""Pictures of the report: round marks, places inside the frame, stable text."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pages.curves import (
    HEIGHT,
    WIDTH,
    Mark,
    Panel,
    axis,
    axis_around,
    bar,
    draw,
    length,
    line,
    point,
    round_values,
    ruler,
    scale,
    strip,
    word,
)

ENDS = st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(ENDS, st.integers(2, 6))
def test_marks_are_evenly_spaced_inside_the_axis(ends: tuple[float, float], n: int) -> None:
    low, high = ends
    marks = round_values(low, high, n)
    assert 1 <= len(marks) <= n + 2
    room = 1e-6 * max(abs(low), abs(high), 1e-3)
    assert all(low - room <= mark <= high + room for mark in marks)
    gaps = [b - a for a, b in pairwise(marks)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-4) for gap in gaps)


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
def test_every_point_lies_inside_the_picture(x: float, y: float) -> None:
    panel = Panel(axis("x", 0, 1), axis("y", -2, 3))
    root = ET.fromstring(draw(panel, [point(panel, x, y, "model")], "one point"))
    circle = root.find("circle")
    assert circle is not None
    assert 0 <= float(circle.get("cx", "-1")) <= WIDTH
    assert 0 <= float(circle.get("cy", "-1")) <= HEIGHT


def test_higher_is_up_and_later_is_right() -> None:
    panel = Panel(axis("x", 0, 10), axis("y", 0, 10))
    assert float(panel.at_y(9)) < float(panel.at_y(1))
    assert float(panel.at_x(9)) > float(panel.at_x(1))
    assert panel.at_x(0) == "46"


def test_a_picture_is_told_to_those_who_cannot_see_it_and_escapes_its_words() -> None:
    panel = Panel(axis("<x>", 0, 1), axis("a & b", 0, 1))
    svg = draw(panel, [word(panel, 0.5, 0.5, "<script>"), line(panel, [0, 1], [0, 1], "model")], 'say "so" & <more>')
    root = ET.fromstring(svg)  # well-formed
    assert (root.get("role"), root.get("aria-label")) == ("img", 'say "so" & <more>')
    assert {"<x>", "a & b", "<script>"} <= {text.text for text in root.iter("text")}


@pytest.mark.parametrize("values", [[], [None], [3.0], [2.0, 2.0], [float("nan")], [0.0, 0.0]])
def test_an_axis_around_hardly_any_value_still_has_a_length(values: list[float | None]) -> None:
    found = axis_around("x", values)
    assert found.high > found.low
    assert found.ticks


def test_a_strip_shows_an_interval_around_its_value() -> None:
    marks = [Mark(0.5, 0.4, 0.7), Mark(0.6, None, None, "baseline"), Mark(None, None, None)]
    along = scale(marks)
    root = ET.fromstring(strip(along, marks, rule=0.5))
    rule, whisker = root.findall("line")
    low, high = (float(whisker.get(end, "").rstrip("%")) for end in ("x1", "x2"))
    at = [float(circle.get("cx", "").rstrip("%")) for circle in root.findall("circle")]
    assert 0 <= low < at[0] < at[1] < high <= 100
    assert rule.get("x1") == f"{at[0]:.2f}%"
    assert root.get("aria-hidden") == "true"
    ET.fromstring(ruler(along))
    assert 'width="25.00%"' in length(0.25)


def test_an_upright_interval_ends_at_its_values() -> None:
    panel = Panel(axis("x", 0, 1), axis("y", 0, 1))
    root = ET.fromstring(bar(panel, 0.5, 0.2, 0.8, "model"))
    assert (root.get("y1"), root.get("y2")) == (panel.at_y(0.2), panel.at_y(0.8))
