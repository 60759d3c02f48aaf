"""Sums over past windows, both ways, against a loop over all pairs."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.records import windows
from stages.records.windows import (
    MAX_MINUTE,
    Questions,
    accumulate,
    code_pairs,
    moments,
    running,
    smoothed_share,
    sort_with,
    sums_before,
)

START = datetime(2013, 1, 1)


@pytest.fixture(autouse=True, params=["many", "few"])
def questions_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions of a month are answered by joins, those of a request one by one: the same promises."""
    monkeypatch.setattr(windows, "FEW", 0 if request.param == "many" else 10**9)


def drawn(rng: np.random.Generator, n: int) -> pl.DataFrame:
    """Moments that often coincide, two groups of few values, some of them unknown."""
    return pl.DataFrame(
        {
            "at": [START + timedelta(minutes=int(m)) for m in rng.integers(0, 60, n)],
            "origin": [("EWR", "JFK", None)[k] for k in rng.integers(0, 3, n)],
            "carrier": [("UA", "B6")[k] for k in rng.integers(0, 2, n)],
            "delay": rng.integers(-20, 100, n),
            "one": np.ones(n, np.int64),
        },
        schema_overrides={"at": pl.Datetime("us"), "origin": pl.String, "carrier": pl.String},
    )


def summed_by_hand(
    question: dict, events: list[dict], by: list[str], window: timedelta | None, include_now: bool
) -> tuple:
    delay = one = 0
    for event in events:
        if any(question[name] is None or event[name] != question[name] for name in by):
            continue
        age = question["at"] - event["at"]
        is_past = age > timedelta(0) or (include_now and age == timedelta(0))
        if is_past and (window is None or age <= window):
            delay, one = delay + event["delay"], one + event["one"]
    return delay, one


@pytest.mark.parametrize("by", [[], ["origin"], ["origin", "carrier"]])
@pytest.mark.parametrize("window", [None, timedelta(minutes=10), timedelta(minutes=1)])
@pytest.mark.parametrize("include_now", [False, True])
def test_sums_are_those_of_a_loop_over_all_pairs(by, window, include_now):
    rng = np.random.default_rng(1)
    events, questions = drawn(rng, 200), drawn(rng, 150)
    past = accumulate(events, at="at", by=by, values=["delay", "one"])
    found = sums_before(questions, past, window=window, include_now=include_now)
    expected = [summed_by_hand(q, events.to_dicts(), by, window, include_now) for q in questions.to_dicts()]
    assert found.rows() == expected
    assert found.columns == ["delay", "one"]


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 30), cut=st.integers(0, 60))
def test_events_from_the_moment_on_change_nothing(seed, n, cut):
    rng = np.random.default_rng(seed)
    events, questions = drawn(rng, n), drawn(rng, 10)
    at = START + timedelta(minutes=cut)
    asked = questions.filter(pl.col("at") <= at)
    whole, early = (
        sums_before(asked, accumulate(some, at="at", by=["origin"], values=["delay"]), window=timedelta(minutes=15))
        for some in (events, events.filter(pl.col("at") < at))
    )
    assert whole.equals(early)


def test_an_event_as_old_as_the_window_still_counts():
    events = pl.DataFrame({"at": [date(2013, 1, 1)], "one": [1]})
    past = accumulate(events, at="at", by=[], values=["one"])
    asked = pl.DataFrame({"at": [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 8), date(2013, 1, 9)]})
    assert sums_before(asked, past, window=timedelta(days=7))["one"].to_list() == [0, 1, 1, 0]


def test_unknown_moments_groups_and_values_count_for_nothing():
    events = pl.DataFrame(
        {
            "at": [date(2013, 1, 1), None, date(2013, 1, 1), date(2013, 1, 2)],
            "by": ["a", "a", None, "a"],
            "n": [5, 7, 9, None],
        }
    )
    past = accumulate(events, at="at", by=["by"], values=["n"])
    asked = pl.DataFrame({"at": [date(2013, 1, 3), None, date(2013, 1, 3)], "by": ["a", "a", None]})
    assert sums_before(asked, past)["n"].to_list() == [5, 0, 0]


def test_order_of_events_does_not_matter_and_order_of_questions_is_kept():
    rng = np.random.default_rng(2)
    events, questions = drawn(rng, 100), drawn(rng, 50)
    order = rng.permutation(50)
    past = [accumulate(some, at="at", by=["origin"], values=["delay"]) for some in (events, events.reverse())]
    found = [sums_before(questions, some) for some in past]
    assert found[0].equals(found[1])
    assert sums_before(questions[order], past[0]).equals(found[0][order])


def test_nobody_asks_and_nothing_happened():
    events = drawn(np.random.default_rng(3), 5)
    past = accumulate(events, at="at", by=["origin"], values=["delay"])
    assert sums_before(events.clear(), past).is_empty()
    nothing = accumulate(events.clear(), at="at", by=["origin"], values=["delay"])
    assert sums_before(events, nothing, window=timedelta(hours=1))["delay"].to_list() == [0] * 5


def test_smoothed_share_is_the_prior_without_trials_and_the_share_with_many():
    frame = pl.DataFrame({"hits": [0, 1, 300_000], "trials": [0, 1, 1_000_000], "prior": [0.2, 0.2, 0.2]})
    share = frame.select(smoothed_share(pl.col("hits"), pl.col("trials"), pl.col("prior"), 20.0)).to_series()
    assert share.to_list() == pytest.approx([0.2, 5 / 21, 0.3], abs=1e-5)


# ── packed integers ──────────────────────────────────────────────────────────────────────────────────────────────────
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
