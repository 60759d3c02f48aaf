"""The published flights of one month, parsed to tidy columns and judged row by row.

What the checks find in the 52 months that were looked at (a twentieth of 1987-10 … 12, 1997, 2002, 2004, 2008, and one
carrier's 2020-02) is noted beside each: 7,269 of 1,546,600 rows in all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.datasets.ontime.published import month_files, months, read_month
from stages.records.clock import minute_of_day
from stages.records.contract import Table

if TYPE_CHECKING:
    import pandera.polars as pa

LATE_FROM_MIN = 15  # the publisher's own definition
DELAY_AT_MOST_MIN, ELAPSED_AT_MOST_MIN = 4320, 900
COLUMNS = (
    *("FlightDate", "Reporting_Airline", "Tail_Number", "Flight_Number_Reporting_Airline", "Origin", "Dest"),
    *("CRSDepTime", "DepTime", "DepDelay", "CRSArrTime", "ArrTime", "ArrDelay", "Cancelled", "Diverted"),
    *("CRSElapsedTime", "Distance"),
)
TIMES = {"sched_dep_min": "CRSDepTime", "sched_arr_min": "CRSArrTime", "dep_min": "DepTime", "arr_min": "ArrTime"}
NUMBERS = {
    "dep_delay_min": "DepDelay",
    "arr_delay_min": "ArrDelay",
    "sched_elapsed_min": "CRSElapsedTime",
    "distance_mi": "Distance",
}
# one flight number may leave an airport twice a day, for two destinations (1987), or be split in two (2004)
NO_WAY_BACK_AT_MOST = 0.02  # share of flights; what quarantine and small samples take away is less
KEY = ("day", "carrier", "flight", "origin", "dest", "sched_dep_min")
NO_TAIL_NUMBER = ("UNKNOW", "000000")
STATUSES = ("flown", "diverted", "cancelled")  # by twice "Cancelled" plus "Diverted"


def read_flights(raw: Path, partition: str) -> pl.DataFrame:
    """The needed columns of every published row of one month, as text, and the text of lines that hold no row."""
    return read_month(raw, partition, COLUMNS)


def parse_flights(raw: pl.DataFrame) -> pl.DataFrame:
    """Typed columns with units in their names; ``late`` is the label, null unless the flight was flown."""
    # two passes, because a cast that occurs twice in an expression is reckoned twice
    numbers = raw.select(
        pl.col("FlightDate").str.to_date("%Y-%m-%d", strict=False),
        pl.col("Reporting_Airline", "Origin", "Dest"),
        _tail_number(raw["Tail_Number"]).alias("tailnum"),
        pl.col("Flight_Number_Reporting_Airline", *TIMES.values()).cast(pl.Int16, strict=False),  # "0005", "2400"
        pl.col("Cancelled", "Diverted", *NUMBERS.values()).cast(pl.Float32, strict=False),  # "-0.00", "312.00"
    )
    code = 2 * pl.col("Cancelled") + pl.col("Diverted")
    tidy = numbers.select(
        pl.col("FlightDate").alias("day"),
        _text("Reporting_Airline").alias("carrier"),
        pl.col("Flight_Number_Reporting_Airline").alias("flight"),
        "tailnum",
        _text("Origin").alias("origin"),
        _text("Dest").alias("dest"),
        *(minute_of_day(pl.col(name)).alias(tidy) for tidy, name in TIMES.items()),
        *(_whole(name).alias(tidy) for tidy, name in NUMBERS.items()),
        pl.coalesce(pl.when(code == place).then(pl.lit(name)) for place, name in enumerate(STATUSES)).alias("status"),
    )
    is_late = (pl.col("arr_delay_min") >= LATE_FROM_MIN).cast(pl.UInt8)
    return tidy.with_columns(pl.when(pl.col("status") == "flown").then(is_late).alias("late"))


def _whole(name: str) -> pl.Expr:
    number = pl.col(name)
    return pl.when(number == number.round()).then(number).cast(pl.Int16, strict=False)


def _text(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name))


def _tail_number(published: pl.Series) -> pl.Series:
    """Tail numbers that look like one; null for the others.

    Of the rows looked at, 82,066 have none (all of 1987), and 57,077 hold "UNKNOW", 0, lower case or bytes that are no
    text (40,115 of them in 2002, 13 % of that year): the flight is on record all the same, so the row stays.
    """
    seen = published.unique().drop_nulls()
    known = seen.filter(seen.str.contains(r"^[0-9A-Z]{4,6}$") & ~seen.is_in(list(NO_TAIL_NUMBER)))
    if len(known) == len(seen):
        return published
    is_known = published.is_in(known.implode())
    return published.to_frame("tailnum").select(pl.when(is_known).then(pl.col("tailnum")))["tailnum"]


# ── what a tidy flight must satisfy ──────────────────────────────────────────────────────────────────────────────────
def flight_schema(partition: str) -> pa.DataFrameSchema:
    """What a tidy flight of one month must satisfy; each check is one pass over whole columns."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    def rows(name: str, holds: pl.Expr) -> pa.Check:
        return pa.Check(lambda data: data.lazyframe.select(holds.fill_null(True)), name=name)

    def code(pattern: str) -> pa.Check:
        return pa.Check(lambda data: _matches(data.lazyframe, data.key, pattern), name=f"matches {pattern}")

    def minutes(low: int, high: int, *, nullable: bool = True) -> pa.Column:
        return pa.Column(pl.Int16, pa.Check.in_range(low, high), nullable=nullable)

    return pa.DataFrameSchema(
        {
            "day": pa.Column(pl.Date),
            "carrier": pa.Column(pl.String, code(r"^[0-9A-Z]{2,3}( \(\d\))?$")),  # "PA (1)": a code given anew
            "flight": pa.Column(pl.Int16, pa.Check.in_range(1, 9999)),
            "tailnum": pa.Column(pl.String, nullable=True),
            "origin": pa.Column(pl.String, code(r"^[0-9A-Z]{3}$")),
            "dest": pa.Column(pl.String, code(r"^[0-9A-Z]{3}$")),
            "sched_dep_min": minutes(0, 1440, nullable=False),
            "sched_arr_min": minutes(0, 1440, nullable=False),
            "dep_min": minutes(0, 1440),  # 58 rows of 2004 with times such as 2627 do not even parse
            "arr_min": minutes(0, 1440),  # 290, likewise
            "dep_delay_min": minutes(-120, DELAY_AT_MOST_MIN),  # 5: a day out
            "arr_delay_min": minutes(-120, DELAY_AT_MOST_MIN),  # 11
            "sched_elapsed_min": minutes(15, ELAPSED_AT_MOST_MIN),  # 14: negative, or 1 for 987 miles; longest 685
            "distance_mi": minutes(5, 6000),
            "status": pa.Column(pl.String),
            "late": pa.Column(pl.UInt8, nullable=True),
        },
        checks=[
            pa.Check(lambda data: _first_copies(data.lazyframe), name="unique"),  # 1
            rows("in_its_month", pl.col("day").dt.strftime("%Y-%m") == partition),
            # 6,823 flights of 1997, all but 5 of one carrier, were to leave and to arrive at 0000
            rows("schedule_recorded", (pl.col("sched_dep_min") > 0) | (pl.col("sched_arr_min") > 0)),
            rows("flown_has_both_delays_and_elapsed", _flown_is_whole()),
            rows("cancelled_never_arrived", (pl.col("status") != "cancelled") | pl.col("arr_delay_min").is_null()),
            rows("departure_agrees", _departure_agrees()),
            rows("arrival_agrees", _gap("arr") == 0),  # 91 besides those of no recorded schedule; departures 43
        ],
        strict=True,
    )


def _gap(end: str) -> pl.Expr:
    """Minutes by which the scheduled time plus the delay is past the actual time, on a clock of 1440."""
    return (pl.col(f"sched_{end}_min") + pl.col(f"{end}_delay_min") - pl.col(f"{end}_min")) % 1440


def _departure_agrees() -> pl.Expr:
    """In 2004 one carrier reported 7,291 departures up to an hour early as 0 minutes late: that is no contradiction."""
    return (_gap("dep") == 0) | ((pl.col("dep_delay_min") == 0) & (_gap("dep") <= 60))


def _flown_is_whole() -> pl.Expr:
    """Without them a row would have both a label and a reason for having none, or an outcome known at no time."""
    return (pl.col("status") != "flown") | pl.all_horizontal(
        pl.col("dep_delay_min", "arr_delay_min", "sched_elapsed_min").is_not_null()
    )


def _matches(rows: pl.LazyFrame, column: str, pattern: str) -> pl.LazyFrame:
    """Whether each code looks like one, asked once per distinct code."""
    wrong = rows.select(pl.col(column).unique()).filter(~pl.col(column).str.contains(pattern)).collect()[column]
    return rows.select((~pl.col(column).is_in(wrong.implode())).fill_null(True))  # a missing code is told elsewhere


def _first_copies(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The first row of each key passes (Pandera's own `unique` reports every copy); what lacks a key has other faults.

    Where all hashes differ there is no copy, as in most months; that costs a third of telling which rows are copies.
    """
    keys = rows.select(KEY).collect()
    hashed = keys.hash_rows(seed=0)
    if hashed.n_unique() == len(keys):
        return keys.lazy().select(pl.col("day").is_null() | True)
    return keys.lazy().select(pl.struct(KEY).is_first_distinct() | pl.any_horizontal(pl.col(KEY).is_null()))


def sign_of_extract(flights: pl.DataFrame) -> str:
    """What shows that flights of the network are lacking: of 1987 to 2026, each airport sends flights every month."""
    if flights.is_empty():
        return ""
    no_way_back = flights.select((~pl.col("dest").is_in(pl.col("origin").unique().implode())).mean()).item()
    if no_way_back > NO_WAY_BACK_AT_MOST:
        return f"{no_way_back:.0%} of the flights go to airports from which none leaves"
    if flights["carrier"].n_unique() == 1:
        return f"every flight is one of {flights['carrier'][0]}"
    for hub in flights.select("origin", "dest").row(0):
        if flights.select(pl.any_horizontal(pl.col("origin", "dest") == hub).all()).item():
            return f"every flight is one from or to {hub}"
    return ""


def why_unlabelled(flights: pl.DataFrame) -> pl.Series:
    """Cancelled and diverted flights never arrive, so they are neither late nor on time."""
    return flights.select(pl.when(pl.col("status") != "flown").then(pl.col("status")).alias("why"))["why"]


FLIGHTS = Table(
    name="flights",
    columns=COLUMNS,
    partitions=months,
    read=read_flights,
    parse=parse_flights,
    schema=flight_schema,
    key=KEY,
    parsed_from={
        "day": "FlightDate",
        "flight": "Flight_Number_Reporting_Airline",
        **TIMES,
        **NUMBERS,
        "status": ("Cancelled", "Diverted"),
    },
    null_texts=("",),
    parses_as=dict.fromkeys(TIMES, "time of day (hhmm)") | {"status": "Cancelled, Diverted or neither"},
    day="day",
    calendar="months",
    files=month_files,
    partition_of=pl.col("FlightDate").str.extract(r"^(\d{4}-(?:0[1-9]|1[0-2]))-"),
)
