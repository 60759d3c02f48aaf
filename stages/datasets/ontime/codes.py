"""Small whole numbers in place of codes and clocks, for one month of flights: what the counting is done with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stages.records.clock import MINUTES_PER_DAY

Ints = NDArray[np.int64]
HOURS = [f"{hour:02d}" for hour in range(25)]  # a departure at 24:00 has the hour 24

FAR_PACIFIC = ("GUM", "SPN", "ROP", "TIQ", "ROR", "YAP", "TKK", "PNI", "KSA", "KWA", "MAJ")
"""Airports west of the date line: Guam, the Marianas, and the Trust Territory that reported in 1987."""
# the first Sunday of 1970 was January 4th: `(minutes since 1970 - SUNDAY_1AM) // WEEK` changes on Sundays at 1:00
SUNDAY_1AM, SUNDAY_3AM, WEEK = 3 * MINUTES_PER_DAY + 60, 3 * MINUTES_PER_DAY + 180, 7 * MINUTES_PER_DAY


@dataclass(frozen=True)
class Coded:
    """The flights of one month as integers; codes are places in ``names``."""

    names: pl.Enum
    """Every airline, airport and hour of the month, sorted, after an empty name of code 0."""
    codes: dict[str, Ints]
    """By column: carrier, origin, dest, sched_dep_hour."""
    day: Ints
    """Days since 1970."""
    first_day: int
    at: Ints
    """Scheduled departure: minutes since midnight of the month's first day, by the clock of the origin."""

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.names.categories)

    def is_far_pacific(self, column: str) -> NDArray[np.bool_]:
        """Whether the airport in ``column`` lies west of the date line."""
        far = self.names.categories.is_in(FAR_PACIFIC).to_numpy()
        return np.asarray(far[self.codes[column]])

    def clock_changed(self, planned: Ints, actual: Ints) -> Ints:
        """60 where a clock may have been changed between two local minutes (since the month's first day), else 0.

        Clocks change on Sundays at 2:00; which Sunday does not matter, for an hour too late harms nothing.  What was
        planned between 1:00 and 3:00 on a Sunday may mean either clock.
        """
        origin = self.first_day * MINUTES_PER_DAY
        crossed = (actual + origin - SUNDAY_1AM) // WEEK > (planned + origin - SUNDAY_3AM) // WEEK
        return crossed * 60


def encode(flights: pl.DataFrame) -> Coded:
    """The codes and clocks of one month."""
    columns = ("carrier", "origin", "dest")
    seen = pl.concat([flights[name].unique().drop_nulls().rename("name") for name in columns])
    names = pl.Enum(["", *sorted({*seen, *HOURS})])
    codes = {name: flights[name].cast(names).to_physical().to_numpy().astype(np.int64) for name in columns}
    minutes = flights["sched_dep_min"].to_numpy().astype(np.int64)
    hours = pl.Series(HOURS).cast(names).to_physical().to_numpy().astype(np.int64)
    codes["sched_dep_hour"] = hours[minutes // 60]
    day = flights["day"].to_physical().to_numpy().astype(np.int64)
    first = int(day.min()) if len(day) else 0
    first -= (date.fromordinal(first + date(1970, 1, 1).toordinal()).day - 1) if len(day) else 0
    return Coded(names, codes, day, first, (day - first) * MINUTES_PER_DAY + minutes)
