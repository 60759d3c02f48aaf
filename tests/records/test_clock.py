"""Wall clocks to instants, against the standard library's zoneinfo."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stages.records.clock import is_zone, local_to_utc, minute_of_day, utc_offset_min, utc_to_local_day

ZONES = ["America/New_York", "America/Los_Angeles", "America/Phoenix", "Pacific/Honolulu", "America/Puerto_Rico"]
CHANGES = [date(2013, 3, 10), date(2013, 11, 3)]  # clocks forward, clocks back


@pytest.mark.parametrize(
    ("hhmm", "minute"),
    [(0, 0), (5, 5), (59, 59), (100, 60), (517, 317), (2359, 1439), (2400, 1440)]
    + [(wrong, None) for wrong in (60, 1299, 2401, 2460, -5, None)],
)
def test_hhmm_is_a_minute_of_the_day_or_nothing(hhmm, minute):
    frame = pl.DataFrame({"hhmm": [hhmm]}, schema={"hhmm": pl.Int32})
    assert frame.select(minute_of_day(pl.col("hhmm"))).item() == minute


def by_zoneinfo(day: date, minute: int, zone: str) -> datetime | None:
    """The first instant that shows this wall time; None when none does."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    instant = wall.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    shows_it = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    return instant.replace(tzinfo=None) if shows_it else None


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("around", CHANGES)
def test_every_tenth_minute_around_a_clock_change_agrees_with_zoneinfo(zone, around):
    walls = [(around + timedelta(days=d), m) for d in (-1, 0, 1) for m in [*range(0, 1440, 10), 1439, 1440]]
    frame = pl.DataFrame(walls, schema={"day": pl.Date, "minute": pl.Int16}, orient="row")
    found = frame.select(local_to_utc(pl.col("day"), pl.col("minute"), zone)).to_series().to_list()
    assert found == [by_zoneinfo(day, minute, zone) for day, minute in walls]


def test_an_hour_that_never_was_is_null_and_one_that_was_twice_is_the_first():
    frame = pl.DataFrame({"day": CHANGES, "minute": [150, 90]})
    instants = frame.select(local_to_utc(pl.col("day"), pl.col("minute"), "America/New_York")).to_series().to_list()
    assert instants == [None, datetime(2013, 11, 3, 5, 30)]


@pytest.mark.parametrize("zone", ZONES)
def test_local_day_of_an_instant_agrees_with_zoneinfo(zone):
    instants = [datetime(2013, 3, 9) + timedelta(minutes=37 * n) for n in range(120)]
    frame = pl.DataFrame({"at": instants})
    expected = [at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date() for at in instants]
    assert frame.select(utc_to_local_day(pl.col("at"), zone)).to_series().to_list() == expected


def test_offsets_at_noon_are_those_of_zoneinfo_and_missing_zones_are_left_out():
    days = pl.DataFrame({"day": [date(2013, 3, 9), date(2013, 3, 10), date(2013, 3, 10), date(2013, 11, 3)]})
    offsets = utc_offset_min(days, pl.DataFrame({"zone": [*ZONES, None]}))
    found = {(day, zone): minutes for day, zone, minutes in offsets.iter_rows()}
    expected = {}
    for day in days["day"].unique():
        for zone in ZONES:
            offset = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).utcoffset()
            expected[day, zone] = offset // timedelta(minutes=1)
    assert found == expected


def test_no_days_have_no_offsets():
    none = utc_offset_min(pl.DataFrame(schema={"day": pl.Date}), pl.DataFrame({"zone": ZONES}))
    assert none.is_empty()
    assert none.columns == ["day", "zone", "utc_offset_min"]


@pytest.mark.parametrize(
    ("name", "known"), [("America/New_York", True), ("UTC", True), ("America/Gotham", False), ("", False)]
)
def test_a_zone_is_known_or_not(name, known):
    assert is_zone(name) is known
