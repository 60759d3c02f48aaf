"""How far back a row looks is true to the minute: the furthest row that can count does, and nothing before it can."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stages.records.contract import Dataset
from stages.records.prepare import build_context, compute_features

MINUTE = timedelta(minutes=1)
MONTH = datetime(2008, 1, 1)


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name], indirect=True, scope="session")


def last_row(walked, rows: pl.DataFrame, back: timedelta | None = None) -> pl.DataFrame:
    """The features of the last row, where only ``back`` before it is to be seen."""
    dataset: Dataset = walked.dataset
    context = build_context(dataset, list(walked.summaries.values()), walked.references)
    if back is not None:
        at = dataset.moment(rows)
        rows = rows.filter(at >= at[-1] - back)
    return compute_features(dataset, rows, context).tail(1)


def made_of(like: pl.DataFrame, rows: list[dict]) -> pl.DataFrame:
    """Rows that differ from the first one of ``like`` as told."""
    first = like.filter(pl.col("late").is_not_null()).row(0, named=True)
    return pl.DataFrame([{**first, **row} for row in rows], schema=like.schema)


def refuse_less(walked, rows: pl.DataFrame, changed: set[str]) -> None:
    """The declared horizon suffices; a minute less changes exactly the features ``changed``."""
    full, back = last_row(walked, rows), walked.dataset.looks_back
    assert_frame_equal(last_row(walked, rows, back), full, check_exact=True)
    less = last_row(walked, rows, back - MINUTE)
    assert {name for name in full.columns if not less[name].equals(full[name])} == changed


# ── nycflights ───────────────────────────────────────────────────────────────────────────────────────────────────────
def departure(minute: int, *, delay: int | None = 0, **more: object) -> dict:
    at = MONTH + minute * MINUTE
    of_day = {"day": at.date(), "sched_dep_min": at.hour * 60 + at.minute}
    return {**of_day, "sched_dep_utc": at, "flight": minute % 9999 + 1, "dep_delay_min": delay, **more}


@only("nycflights")
def test_an_aircraft_that_left_a_day_and_more_late_is_remembered_to_the_minute(walked):
    tidy = walked.tidy["2013-01"]
    rows = made_of(tidy, [departure(60, delay=1800), departure(60 + 48 * 60)])
    refuse_less(walked, rows, {"aircraft_last_delay_min", "aircraft_last_left_ago_min"})


@only("nycflights")
@pytest.mark.parametrize("seed", range(20))
def test_no_flight_before_the_horizon_counts_however_late_it_left(walked, seed):
    rng = np.random.default_rng(seed)
    tidy = walked.tidy["2013-01"]
    for _ in range(5):
        minutes = np.sort(rng.integers(0, 4 * 1440, 60))
        delays = rng.choice([-60, 0, 240, 241, 1799, 1800, None], 60)
        tails = rng.choice(["N11111", "N22222", None], 60)
        rows = [departure(int(m), delay=d, tailnum=t) for m, d, t in zip(minutes, delays, tails, strict=True)]
        frame = made_of(tidy, rows)
        assert_frame_equal(last_row(walked, frame, walked.dataset.looks_back), last_row(walked, frame))


# ── ontime ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def leg(minute: int, origin: str, dest: str, *, elapsed: int = 60, zone: int = 0, delay: int = 0) -> dict:
    """A leg from a minute of the month on, by the clock of its origin; ``zone``: how far ahead its destination's is."""
    day, of_day = divmod(minute, 1440)
    return {
        "day": date(MONTH.year, MONTH.month, 1 + day),
        "sched_dep_min": of_day,
        "sched_arr_min": (of_day + elapsed + zone) % 1440,
        "sched_elapsed_min": elapsed,
        "dep_delay_min": delay,
        "arr_delay_min": delay,
        "origin": origin,
        "dest": dest,
        "tailnum": "N12345",
        "flight": minute % 9999 + 1,
        "status": "flown",
        "late": int(delay >= 15),
    }


@only("ontime")
def test_a_leg_that_came_days_late_over_the_date_line_is_remembered_to_the_minute(walked):
    tidy = walked.tidy["1987-10"]
    start, longest = 2 * 1440, {"elapsed": 900, "zone": 480, "delay": 4320}
    landed = start + sum(longest.values()) + 1440 + 60  # the calendar of Guam; Sunday the 6th is on the way
    rows = made_of(tidy, [leg(start, "HNL", "GUM", **longest), leg(landed + 1080, "GUM", "HNL")])
    refuse_less(walked, rows, {"aircraft_inbound_delay_min", "aircraft_inbound_ago_min"})


@only("ontime")
@pytest.mark.parametrize("seed", range(20))
def test_no_leg_before_the_horizon_counts_however_late_it_landed(walked, seed):
    rng = np.random.default_rng(seed)
    tidy = walked.tidy["1987-10"]
    for _ in range(5):
        rows = [
            leg(
                int(minute),
                *map(str, rng.permutation(["GUM", "HNL", "ORD"])[:2]),
                elapsed=int(rng.choice([60, 899, 900])),
                zone=int(rng.choice([-480, 0, 480, 481])),
                delay=int(rng.choice([-120, 0, 4319, 4320])),
            )
            for minute in np.sort(rng.integers(0, 10 * 1440, 60))
        ]
        frame = made_of(tidy, rows)
        assert_frame_equal(last_row(walked, frame, walked.dataset.looks_back), last_row(walked, frame))
