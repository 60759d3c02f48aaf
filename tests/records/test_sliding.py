"""Sums over the minutes before, against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.records.sliding import MAX_MINUTE, Questions, code_pairs, moments, running, sort_with

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, MAX_MINUTE - 1) | st.integers(0, 90)), max_size=40)


def split(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ((), ())))


@given(events=pairs, asked=pairs, window=st.integers(0, 200))
def test_sums_of_a_window_are_those_of_its_own_group_before_the_question(events, asked, window):
    values = np.arange(1, len(events) + 1)
    keys, told = sort_with(moments(*split(events)), values, 10)
    questions = Questions(moments(*split(asked)))
    low, high = questions.ranges(keys, window)
    sums = running(told)
    found = questions.in_order(sums[high] - sums[low])
    assert found.tolist() == [
        sum(v for v, (g, m) in zip(values, events, strict=True) if g == group and minute - window <= m < minute)
        for group, minute in asked
    ]


@given(asked=pairs, window=st.integers(0, 200))
def test_questions_count_themselves_up_to_their_own_minute(asked, window):
    found = Questions(moments(*split(asked))).count_own(window)
    assert found.tolist() == [
        sum(g == group and minute - window <= m <= minute for g, m in asked) for group, minute in asked
    ]


@given(pairs)
def test_pairs_get_dense_numbers_that_lead_back_to_them(rows):
    first, second = split(rows)
    second %= 7
    numbers, behind = code_pairs(first, second, 7)
    assert sorted(set(numbers)) == list(range(len(behind)))
    assert (behind[numbers] == first * 7 + second).all()


def test_minutes_that_would_reach_into_another_group_are_refused():
    for minute in (-1, MAX_MINUTE):
        with pytest.raises(ValueError, match=str(minute)):
            moments(np.array([1]), np.array([minute]))


def test_keys_that_leave_no_room_for_their_values_are_refused():
    with pytest.raises(ValueError, match="63 bits"):
        sort_with(np.array([1 << 60]), np.array([0]), 9)
