"""On which days does the ECB publish rates, and when on such a day?

On every TARGET day, that of the euro's payment system: no Saturday, no Sunday, none of six holidays.  The rule gives
all 7,126 days published from 4 January 1999 to 30 October 2026 and no other.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.records.clock import local_to_utc

Days = NDArray[np.datetime64]
FIRST, LAST = date(1999, 1, 4), date(2050, 12, 30)  # first rates of the euro; the calendar goes no further
FROM_2000 = 2000  # in 1999 Good Friday and Easter Monday were TARGET days
CLOSED_ONCE = (date(1999, 12, 31), date(2001, 12, 31))  # before the year 2000, before notes and coins
PUBLISHED_MIN = 16 * 60  # "around 16:00 CET", by the clock of Frankfurt
ZONE = "Europe/Berlin"


def easter_sunday(year: int) -> date:
    """By the algorithm of Meeus, Jones and Butcher for the Gregorian calendar."""
    century, rest = divmod(year, 100)
    golden = year % 19
    skipped, gap = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - skipped - correction + 15) % 30
    leap, left = divmod(rest, 4)
    weekday = (32 + 2 * gap + 2 * leap - epact - left) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _holidays(year: int) -> list[date]:
    fixed = [date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26)]
    if year < FROM_2000:
        return fixed
    return [*fixed, easter_sunday(year) - timedelta(days=2), easter_sunday(year) + timedelta(days=1)]


HOLIDAYS = [day for year in range(FIRST.year, LAST.year + 1) for day in _holidays(year)] + [*CLOSED_ONCE]
CALENDAR = np.busdaycalendar(holidays=np.array(HOLIDAYS, dtype="datetime64[D]"))


def is_business_day(days: Days) -> NDArray[np.bool_]:
    """Whether rates are published on a day."""
    return np.is_busday(days, busdaycal=CALENDAR)


def business_days(first: date, last: date) -> list[date]:
    """Every business day from the first to the last one."""
    days = np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + 1)
    found: list[date] = days[is_business_day(days)].tolist()
    return found


def number_days(days: Days) -> NDArray[np.int64]:
    """Business days from `FIRST` to each of ``days``: 0, 1, …"""
    return np.busday_count(np.datetime64(FIRST, "D"), days, busdaycal=CALENDAR)


def days_ahead(days: Days, ahead: int) -> Days:
    """The business day so many after each of ``days``."""
    return np.busday_offset(days, ahead, roll="backward", busdaycal=CALENDAR)


def published_at(day: pl.Expr) -> pl.Expr:
    """The moment from which the rates of a day are known (naive UTC)."""
    return local_to_utc(day, pl.lit(PUBLISHED_MIN), ZONE)
