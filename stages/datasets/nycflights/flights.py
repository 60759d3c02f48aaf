"""The published flights: read by month, parsed to tidy columns, judged row by row.

Every departure from EWR, JFK and LGA in 2013 (336,776 rows).  Cancelled: no departure time and so no departure delay.
Diverted: departed, but no arrival delay.  "Late" is the FAA's own definition: 15 minutes or more after the scheduled
arrival.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.records.clock import local_to_utc, minute_of_day
from stages.records.contract import Table
from stages.records.lines import Format, lacking_words, read_lines
from stages.records.plain import open_zipped

if TYPE_CHECKING:
    import pandera.polars as pa

HOME_ZONE = "America/New_York"
LATE_FROM_MIN = 15
LONGEST_DELAY_MIN = 1800
ORIGINS = ("EWR", "JFK", "LGA")
FLIGHTS_FILE = "flights.csv.zip"
FLIGHT_COLUMNS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
)

KEY = ("day", "carrier", "flight", "origin")
TIMES = {
    "sched_dep_min": "sched_dep_time",
    "sched_arr_min": "sched_arr_time",
    "dep_min": "dep_time",
    "arr_min": "arr_time",
}
UNQUOTED = Format(quotes=False)
"""The publisher quotes nothing: a stray quote is a wrong character, which no check lets pass."""


def flight_months(raw: Path) -> list[str]:
    """Months present in the published file, as YYYY-MM."""
    months: list[str] = _published_flights(raw)["_month"].unique().drop_nulls().sort().to_list()
    return months


def read_flights(raw: Path, partition: str) -> pl.DataFrame:
    """The published rows of one month, as text; the first month also carries the rows that name no month."""
    flights = _published_flights(raw)
    first = flights["_month"].min()
    mine = pl.col("_month") == partition
    return flights.filter(mine | pl.col("_month").is_null() if partition == first else mine).drop("_month")


def _published_flights(raw: Path) -> pl.DataFrame:
    path = raw / FLIGHTS_FILE
    status = path.stat()
    return _read_published_flights(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _read_published_flights(path: Path, _changed_ns: int, _size: int) -> pl.DataFrame:
    with open_zipped(path) as lines:
        flights = read_lines(lines, form=UNQUOTED)
    if lacking := lacking_words(flights.columns, FLIGHT_COLUMNS):
        raise ValueError(lacking)
    return flights.with_columns(_month().alias("_month"))


def parse_flights(raw: pl.DataFrame) -> pl.DataFrame:
    """Typed columns with units in their names; ``late`` is the label, null for cancelled and diverted flights."""
    whole = {name: pl.col(name).str.strip_chars().cast(pl.Int32, strict=False) for name in FLIGHT_COLUMNS}
    text = {
        name: pl.when(~pl.col(name).is_in(["", "NA"])).then(pl.col(name))
        for name in ("carrier", "tailnum", "origin", "dest")
    }
    tidy = raw.select(
        _day().alias("day"),
        text["carrier"],
        whole["flight"],
        text["tailnum"],
        text["origin"],
        text["dest"],
        whole["distance"].cast(pl.Int16, strict=False).alias("distance_mi"),
        *(minute_of_day(whole[name]).cast(pl.Int16).alias(tidy) for tidy, name in TIMES.items()),
        whole["dep_delay"].cast(pl.Int16, strict=False).alias("dep_delay_min"),
        whole["arr_delay"].cast(pl.Int16, strict=False).alias("arr_delay_min"),
        whole["air_time"].cast(pl.Int16, strict=False).alias("air_time_min"),
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False, time_unit="us").alias("hour_utc"),
    )
    status = (
        pl.when(pl.col("dep_delay_min").is_null())
        .then(pl.lit("cancelled"))
        .when(pl.col("arr_delay_min").is_null())
        .then(pl.lit("diverted"))
        .otherwise(pl.lit("flown"))
    )
    return tidy.with_columns(
        local_to_utc(pl.col("day"), pl.col("sched_dep_min"), HOME_ZONE).alias("sched_dep_utc"),
        status.alias("status"),
        (pl.col("arr_delay_min") >= LATE_FROM_MIN).cast(pl.UInt8).alias("late"),
    )


def flight_schema(partition: str) -> pa.DataFrameSchema:
    """What a tidy flight of one month must satisfy."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    def rows(name: str, holds: pl.Expr) -> pa.Check:
        return pa.Check(lambda data: data.lazyframe.select(holds.fill_null(True)), name=name)

    def agrees(planned: str, delay: str, actual: str) -> pl.Expr:
        return (pl.col(planned) + pl.col(delay) - pl.col(actual)) % 1440 == 0

    return pa.DataFrameSchema(
        {
            "day": pa.Column(pl.Date),
            "carrier": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9A-Z]{2}$")),
            "flight": pa.Column(pl.Int32, pa.Check.in_range(1, 9999)),
            "tailnum": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9A-Z]{5,6}$"), nullable=True),
            "origin": pa.Column(pl.String, pa.Check.isin(ORIGINS)),
            "dest": pa.Column(pl.String, pa.Check.str_matches(r"^[A-Z]{3}$")),
            "distance_mi": pa.Column(pl.Int16, pa.Check.in_range(10, 6000)),
            "sched_dep_min": pa.Column(pl.Int16, pa.Check.in_range(0, 1440)),
            "sched_arr_min": pa.Column(pl.Int16, pa.Check.in_range(0, 1440)),
            "dep_min": pa.Column(pl.Int16, pa.Check.in_range(0, 1440), nullable=True),
            "arr_min": pa.Column(pl.Int16, pa.Check.in_range(0, 1440), nullable=True),
            "dep_delay_min": pa.Column(pl.Int16, pa.Check.in_range(-60, LONGEST_DELAY_MIN), nullable=True),
            "arr_delay_min": pa.Column(pl.Int16, pa.Check.in_range(-120, LONGEST_DELAY_MIN), nullable=True),
            "air_time_min": pa.Column(pl.Int16, pa.Check.in_range(5, 900), nullable=True),
            "hour_utc": pa.Column(pl.Datetime("us")),
            "sched_dep_utc": pa.Column(pl.Datetime("us")),
            "status": pa.Column(pl.String),
            "late": pa.Column(pl.UInt8, pa.Check.isin([0, 1]), nullable=True),
        },
        checks=[
            # Pandera's own `unique` reports every copy; here the first one passes
            rows("unique", pl.struct(KEY).is_first_distinct()),
            rows("in_its_month", pl.col("day").dt.strftime("%Y-%m") == partition),
            # the publisher's own UTC hour is the independent truth for our handling of clock changes
            rows("utc_hour_agrees", pl.col("sched_dep_utc").dt.truncate("1h") == pl.col("hour_utc")),
            rows("departure_whole", pl.col("dep_min").is_null() == pl.col("dep_delay_min").is_null()),
            # without these a row would have both a label and a reason for having none, or an arrival at no known time
            rows("flown_departed", pl.col("arr_delay_min").is_null() | pl.col("dep_delay_min").is_not_null()),
            rows("flown_has_air_time", pl.col("arr_delay_min").is_null() | pl.col("air_time_min").is_not_null()),
            rows("departure_agrees", agrees("sched_dep_min", "dep_delay_min", "dep_min")),
            rows("arrival_agrees", agrees("sched_arr_min", "arr_delay_min", "arr_min")),
        ],
        strict=True,
    )


def why_unlabelled(flights: pl.DataFrame) -> pl.Series:
    """Cancelled and diverted flights never arrive, so they are neither late nor on time."""
    return flights.select(pl.when(pl.col("status") != "flown").then(pl.col("status")).alias("why"))["why"]


def _scheduled() -> pl.Expr:
    return pl.col("sched_dep_time").str.strip_chars().cast(pl.Int32, strict=False)


def _month() -> pl.Expr:
    """The month that a published row names, as YYYY-MM."""
    year, month = pl.col("year").str.strip_chars(), pl.col("month").str.strip_chars()
    named = year.str.contains(r"^\d{4}$") & month.str.contains(r"^(0?[1-9]|1[0-2])$")
    return pl.when(named).then(year + "-" + month.str.zfill(2))


def _day() -> pl.Expr:
    return pl.concat_str(["year", "month", "day"], separator="-").str.to_date("%Y-%m-%d", strict=False)


FLIGHTS = Table(
    name="flights",
    columns=FLIGHT_COLUMNS,
    partitions=flight_months,
    read=read_flights,
    parse=parse_flights,
    schema=flight_schema,
    key=KEY,
    day="day",
    parsed_from={
        "day": ("year", "month", "day"),
        "flight": "flight",
        "distance_mi": "distance",
        **TIMES,
        "dep_delay_min": "dep_delay",
        "arr_delay_min": "arr_delay",
        "air_time_min": "air_time",
        "hour_utc": "time_hour",
    },
    parses_as=dict.fromkeys(TIMES, "time of day (hhmm)"),
    form=UNQUOTED,
    partition_of=_month(),
    derived={
        "hour": (_scheduled() // 100).cast(pl.String),
        "minute": (_scheduled() % 100).cast(pl.String),
        "time_hour": local_to_utc(_day(), minute_of_day(_scheduled()), HOME_ZONE).dt.strftime("%Y-%m-%dT%H:00:00Z"),
    },
)
