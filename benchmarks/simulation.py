"""What would a month of real flights look like at its true size, or in another year?  SIMULATED rows, for scale only.

Rows of one real month are repeated evenly and each copy is moved a little: its times by the same minutes, its delays by
the same minutes, its flight number by its copy, its aircraft against another one of the same carrier.  What belongs
together still agrees; carriers, routes, days and the share of late arrivals are those of the real month.  Copies of a
row share its day and its luck, so a model finds more in them than there is: no quality measured on them means anything.

All values are texts in the publisher's columns and formats.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.published_month import empty_columns

SHIFT_AT_MOST_MIN = 12
JITTER_AT_MOST_MIN = 3  # a late arrival has a cause of 15 / 5 minutes or more, so no cause turns negative
LATE_FROM_MIN = 15
FLIGHT_NUMBERS = 9999
FLIGHT_NUMBER_STEP = 499  # coprime with 9999: the copies of a number are all different
UNTANGLE_AT_MOST = 8

CLOCKS_PLANNED = ("CRSDepTime", "CRSArrTime")
DIVERSIONS = tuple(f"Div{stop}{what}" for stop in range(1, 6) for what in ("WheelsOn", "WheelsOff"))
CLOCKS_ACTUAL = ("DepTime", "WheelsOff", "WheelsOn", "ArrTime", *DIVERSIONS)
BLOCKS = {"DepTimeBlk": "CRSDepTime", "ArrTimeBlk": "CRSArrTime"}
CAUSES = ("CarrierDelay", "WeatherDelay", "NASDelay", "SecurityDelay", "LateAircraftDelay")
NEEDED = ("Year", "Quarter", "Month", "DayofMonth", "DayOfWeek", "FlightDate", "Reporting_Airline", "Tail_Number",
          "Flight_Number_Reporting_Airline", "Origin", *CLOCKS_PLANNED, "DepTime", "ArrTime", "DepDelay",
          "DepDelayMinutes", "DepartureDelayGroups", "ArrDelay", "ArrDelayMinutes", "ArrivalDelayGroups",
          *BLOCKS, *CAUSES)  # fmt: skip

HHMM = pl.Series([f"{hour:02d}{minute:02d}" for hour in range(50) for minute in range(60)])
LONGEST_MIN = 5000
WHOLE = pl.Series([str(value) for value in range(-LONGEST_MIN, LONGEST_MIN + 1)])
DECIMAL = WHOLE + ".00"
BLOCK_OF_HOUR = pl.Series(["0001-0559"] * 6 + [f"{hour:02d}00-{hour:02d}59" for hour in range(6, 24)])

Minutes = NDArray[np.int32]


def choose_source(month: str, real: Sequence[str]) -> str:
    """The real month to make ``month`` from: itself, or its namesake of the nearest year, the earlier of two."""
    same = [candidate for candidate in real if candidate[-2:] == month[-2:]]
    if not same:
        raise ValueError(f"a real month {month[-2:]} of any year", f"{', '.join(real) or 'no month'}", "add one")
    return min(same, key=lambda candidate: (abs(int(candidate[:4]) - int(month[:4])), candidate))


def simulate_month(real: pl.DataFrame, *, month: str, rows: int, draw: np.random.Generator) -> pl.DataFrame:
    """``rows`` simulated flights of ``month`` (YYYY-MM) from the texts of one real month; same columns, same order."""
    if lacking := [name for name in NEEDED if name not in real.columns]:
        raise ValueError(
            "a month in the publisher's columns", f"none named {', '.join(lacking)}", "take the zips as published"
        )
    source = move_to_month(real, month)
    chosen, copy = _days_copy_by_copy(source["FlightDate"], *repeat_evenly(len(source), rows, draw))
    flights = _gather(source, chosen)
    departed, arrived = _minutes(flights["DepDelay"]), _minutes(flights["ArrDelay"])
    shift = _shifts(flights["CRSDepTime"], draw)
    jitter = _jitters(departed, arrived, draw)
    jitter[~_agrees(flights, "Dep", departed)] = 0
    moved = flights.with_columns(
        *(shift_clock(flights[name], shift) for name in CLOCKS_PLANNED),
        *(shift_clock(flights[name], shift + jitter) for name in CLOCKS_ACTUAL if name in flights.columns),
        *_shifted_delays(flights, ("DepDelay", "DepDelayMinutes", "DepartureDelayGroups"), departed, jitter),
        *_shifted_delays(flights, ("ArrDelay", "ArrDelayMinutes", "ArrivalDelayGroups"), arrived, jitter),
        *_shifted_causes(flights, arrived, jitter),
        exchange_aircraft(flights, draw),
        number_flights(flights, copy),
    )
    return moved.with_columns(_block(moved[block], moved[clock]) for block, clock in BLOCKS.items())


def move_to_month(flights: pl.DataFrame, month: str) -> pl.DataFrame:
    """The same flights on the same days of another month.

    Days past its end fall on its last one; a 29th that the real month lacks takes the flights of the 28th.
    """
    year, number = int(month[:4]), int(month[-2:])
    if flights["FlightDate"].str.starts_with(f"{month}-").all():
        return flights
    day = flights["DayofMonth"].cast(pl.Int64, strict=False)
    last, seen = calendar.monthrange(year, number)[1], int(day.drop_nulls().to_numpy().max(initial=1))
    last_seen = flights.filter(day == seen)
    added = [last_seen.with_columns(DayofMonth=pl.lit(str(more))) for more in range(seen + 1, last + 1)]
    flights = pl.concat([flights.filter(day.is_not_null()), *added])
    on = pl.date(year, number, pl.col("DayofMonth").cast(pl.Int64).clip(1, last))
    return flights.with_columns(
        Year=pl.lit(str(year)),
        Quarter=pl.lit(str((number + 2) // 3)),
        Month=pl.lit(str(number)),
        DayofMonth=on.dt.day().cast(pl.String),
        DayOfWeek=on.dt.weekday().cast(pl.String),
        FlightDate=on.dt.to_string("%Y-%m-%d"),
    )


def repeat_evenly(n: int, rows: int, draw: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A systematic resample of 0 … n - 1: positions in order, and for each the number of the copy, from 0.

    Every position comes ⌊rows ÷ n⌋ or ⌈rows ÷ n⌉ times, so shares stay those of the source to within one row.
    """
    edges = (np.arange(n + 1, dtype=np.int64) * rows + draw.integers(n)) // n
    counts = np.diff(edges)
    first = np.repeat(edges[:-1] - edges[0], counts)
    return np.repeat(np.arange(n, dtype=np.int64), counts), np.arange(rows, dtype=np.int64) - first


def _days_copy_by_copy(
    days: pl.Series, chosen: NDArray[np.int64], copy: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Days in the order of the source, and within a day all first copies, then all second ones.

    Side by side, copies would compress as no real month does.
    """
    first_seen = {day: place for place, day in enumerate(days.unique(maintain_order=True))}
    place = days.replace_strict(first_seen, return_dtype=pl.Int64).to_numpy()[chosen]
    order = np.argsort(place * (copy.max(initial=0) + 1) + copy, kind="stable")
    return chosen[order], copy[order]


def _gather(flights: pl.DataFrame, places: NDArray[np.int64]) -> pl.DataFrame:
    nothing = empty_columns(flights)  # gathering those takes longer than all the others
    full = flights.drop(nothing)[places]
    return full.with_columns(pl.lit(None, pl.String).alias(name) for name in nothing).select(flights.columns)


# ── times and delays ─────────────────────────────────────────────────────────────────────────────────────────────────
def shift_clock(texts: pl.Series, by: Minutes) -> pl.Series:
    """Times of day as HHMM, moved.

    Midnight is written 2400, as the publisher writes it.  An hour past 24 (the real months have "2535") stays past 24,
    and what is no time at all stays as it was found.
    """
    was = _clock_min(texts)
    moved = np.where(was <= 1440, (was + by - 1) % 1440 + 1, was + by)
    return _replace(texts, (was >= 0) & (by != 0), HHMM, moved)


def shift_number(texts: pl.Series, by: Minutes, *, spelled: pl.Series) -> pl.Series:
    """Whole numbers, spelled as in `WHOLE` or `DECIMAL`, moved; one that does not move keeps its spelling (-0.00)."""
    now = texts.cast(pl.Float64, strict=False)
    moved = now.fill_null(0).fill_nan(0).to_numpy() + by
    is_moved = now.is_not_null().to_numpy() & (by != 0) & (np.abs(moved) <= LONGEST_MIN)
    return _replace(texts, is_moved, spelled, moved + LONGEST_MIN)


def _replace(texts: pl.Series, where: NDArray[np.bool_], table: pl.Series, index: NDArray[np.number]) -> pl.Series:
    if not where.any():
        return texts
    spelled = table.gather(np.where(where, index, 0).astype(np.uint32))
    return spelled.zip_with(pl.Series(where), texts).alias(texts.name)


def _shifts(planned: pl.Series, draw: np.random.Generator) -> Minutes:
    """Minutes by which a flight's schedule moves: never over midnight, since its day stays."""
    at = _clock_min(planned)
    shift = draw.integers(-SHIFT_AT_MOST_MIN, SHIFT_AT_MOST_MIN + 1, len(at), dtype=np.int32)
    return np.where((at >= 1) & (at <= 1439), np.clip(at + shift, 1, 1439) - at, 0).astype(np.int32)


def _jitters(departed: NDArray[np.float64], arrived: NDArray[np.float64], draw: np.random.Generator) -> Minutes:
    """Minutes by which both delays of a flown flight move; none where that would make it late, or no longer late."""
    jitter = draw.integers(-JITTER_AT_MOST_MIN, JITTER_AT_MOST_MIN + 1, len(arrived), dtype=np.int32)
    stays = ~np.isnan(departed) & ~np.isnan(arrived)
    for delay in (departed, arrived):
        stays &= (delay >= LATE_FROM_MIN) == (delay + jitter >= LATE_FROM_MIN)
    return np.where(stays, jitter, 0).astype(np.int32)


def _shifted_delays(
    flights: pl.DataFrame, names: tuple[str, str, str], delay: NDArray[np.float64], jitter: Minutes
) -> list[pl.Series]:
    """A delay, the same without early ones, and its group of 15 minutes (-2 … 12)."""
    signed, counted, group = names
    known = np.nan_to_num(delay)
    later = np.maximum(known + jitter, 0) - np.maximum(known, 0)
    groups = [np.clip(value // 15, -2, 12) for value in (known, known + jitter)]
    return [
        shift_number(flights[signed], jitter, spelled=DECIMAL),
        shift_number(flights[counted], later.astype(np.int32), spelled=DECIMAL),
        shift_number(flights[group], (groups[1] - groups[0]).astype(np.int32), spelled=WHOLE),
    ]


def _shifted_causes(flights: pl.DataFrame, arrived: NDArray[np.float64], jitter: Minutes) -> list[pl.Series]:
    """The causes of a late arrival add up to its delay: the largest takes the change."""
    minutes = np.nan_to_num(np.stack([_minutes(flights[name]) for name in CAUSES]))
    late = minutes.sum(axis=0) == np.nan_to_num(arrived, nan=-1.0)
    largest = minutes.argmax(axis=0)
    takes = [np.where(late & (arrived >= LATE_FROM_MIN) & (largest == n), jitter, 0) for n in range(len(CAUSES))]
    return [shift_number(flights[name], by, spelled=DECIMAL) for name, by in zip(CAUSES, takes, strict=True)]


def _block(texts: pl.Series, planned: pl.Series) -> pl.Series:
    """The hour block of a planned time, where the real month tells one."""
    at = _clock_min(planned)
    return _replace(texts, texts.is_not_null().to_numpy() & (at >= 0), BLOCK_OF_HOUR, at // 60 % 24)


def _agrees(flights: pl.DataFrame, end: str, delay: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether schedule plus delay is the actual time: where one carrier rounds (2004), its rounding must stay whole."""
    gap = _clock_min(flights[f"CRS{end}Time"]) + np.nan_to_num(delay) - _clock_min(flights[f"{end}Time"])
    agrees: NDArray[np.bool_] = gap % 1440 == 0
    return agrees


def _clock_min(texts: pl.Series) -> Minutes:
    """Minutes since midnight of HHMM; -1 for what is no time."""
    clock = texts.cast(pl.Int32, strict=False).fill_null(-1).to_numpy()
    hour, minute = np.divmod(clock, 100)
    return np.where((clock >= 0) & (minute < 60) & (hour < 48), hour * 60 + minute, -1).astype(np.int32)


def _minutes(texts: pl.Series) -> NDArray[np.float64]:
    """Published minutes as numbers, NaN where there are none."""
    return texts.cast(pl.Float64, strict=False).to_numpy()


# ── aircraft and flight numbers ──────────────────────────────────────────────────────────────────────────────────────
def exchange_aircraft(flights: pl.DataFrame, draw: np.random.Generator) -> pl.Series:
    """Tail numbers shuffled among the flown flights of each carrier.

    Otherwise twenty copies of a flight would have one aircraft leave twenty times in a quarter of an hour, and the
    aircraft's last delay would be the answer.
    """
    tails = flights["Tail_Number"]
    flown = np.flatnonzero((flights["ArrDelay"].is_not_null() & tails.is_not_null()).to_numpy())
    carrier = _codes(flights["Reporting_Airline"])[flown]
    places = flown[np.argsort(carrier, kind="stable")]
    shuffled = draw.permutation(flown)
    takers = shuffled[np.argsort(_codes(flights["Reporting_Airline"])[shuffled], kind="stable")]
    gives = np.arange(len(flights))
    gives[places] = takers
    return tails.gather(gives)


def number_flights(flights: pl.DataFrame, copy: NDArray[np.int64]) -> pl.Series:
    """Flight numbers that differ between copies, and stay the same from day to day.

    Where two flights of a carrier from one airport on one day still share a number, the later one moves on: the same
    key twice is left only where the real number is none.
    """
    texts = flights["Flight_Number_Reporting_Airline"]
    number = texts.cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    is_number = (number >= 1) & (number <= FLIGHT_NUMBERS)
    number = (number - 1 + copy * FLIGHT_NUMBER_STEP) % FLIGHT_NUMBERS + 1
    group = np.ravel_multi_index(
        [_codes(flights[name]) for name in ("FlightDate", "Reporting_Airline", "Origin")], (512, 4096, 65536)
    )
    for _ in range(UNTANGLE_AT_MOST):
        taken = ~pl.Series(group * (FLIGHT_NUMBERS + 1) + number).is_first_distinct().to_numpy() & is_number
        if not taken.any():
            break
        number = np.where(taken, (number + FLIGHT_NUMBER_STEP // 2) % FLIGHT_NUMBERS + 1, number)
    spelled = pl.Series(number).cast(pl.String)
    return spelled.zip_with(pl.Series(is_number), texts).alias(texts.name)


def _codes(texts: pl.Series) -> NDArray[np.int64]:
    """0, 1, … in the order of the texts; equal texts have equal codes."""
    return texts.fill_null("").rank("dense").cast(pl.Int64).to_numpy() - 1
