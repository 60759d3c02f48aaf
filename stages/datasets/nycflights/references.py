"""The tables that flights are joined with: hourly weather, aircraft, airports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.datasets.nycflights.flights import ORIGINS, UNQUOTED
from stages.records.clock import is_zone
from stages.records.contract import Table
from stages.records.lines import read_lines

if TYPE_CHECKING:
    import pandera.polars as pa

# the report under the hour h is the routine one, observed 51 minutes past it (the package rounds its time down)
WEATHER_KNOWN_AFTER = timedelta(hours=1)
WHOLE = "all"  # each of these tables is a single partition

WEATHER_UNITS = {  # published column → tidy column with its unit
    "temp": "temperature_f",
    "dewp": "dew_point_f",
    "humid": "humidity_pct",
    "wind_dir": "wind_direction_deg",
    "wind_speed": "wind_speed_mph",
    "wind_gust": "wind_gust_mph",
    "precip": "precipitation_in",
    "pressure": "pressure_mbar",
    "visib": "visibility_mi",
}
PLANE_COLUMNS = ("tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "speed", "engine")
AIRPORT_COLUMNS = ("faa", "name", "lat", "lon", "alt", "tz", "dst", "tzone")


def _whole(_raw: Path) -> list[str]:
    return [WHOLE]


def _read_csv(file: str) -> Callable[[Path, str], pl.DataFrame]:
    def read(raw: Path, _partition: str) -> pl.DataFrame:
        with (raw / file).open("rb") as lines:
            return read_lines(lines, form=UNQUOTED)

    return read


def _text(name: str) -> pl.Expr:
    return pl.when(~pl.col(name).is_in(["", "NA"])).then(pl.col(name))


def first_copy(*key: str) -> pa.Check:
    """The first row of each key passes (Pandera's own `unique` reports every copy)."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    return pa.Check(lambda data: data.lazyframe.select(pl.struct(key).is_first_distinct()), name="unique")


def parse_weather(raw: pl.DataFrame) -> pl.DataFrame:
    """Weather at the start of each UTC hour; the published local hour repeats when clocks go back, this does not."""
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False, time_unit="us")
    return raw.select(
        _text("origin"),
        hour.alias("hour_utc"),
        *(pl.col(name).cast(pl.Float32, strict=False).alias(tidy) for name, tidy in WEATHER_UNITS.items()),
    )


def weather_schema(_partition: str) -> pa.DataFrameSchema:
    """Physical bounds; the file holds a wind of 1,048 mph (EWR, 12 February) that no anemometer saw."""
    import pandera.polars as pa

    def measured(low: float, high: float) -> pa.Column:
        return pa.Column(pl.Float32, pa.Check.in_range(low, high), nullable=True)

    return pa.DataFrameSchema(
        {
            "origin": pa.Column(pl.String, pa.Check.isin(ORIGINS)),
            "hour_utc": pa.Column(pl.Datetime("us")),
            "temperature_f": measured(-60, 130),
            "dew_point_f": measured(-60, 100),
            "humidity_pct": measured(0, 100),
            "wind_direction_deg": measured(0, 360),
            "wind_speed_mph": measured(0, 150),
            "wind_gust_mph": measured(0, 200),
            "precipitation_in": measured(0, 10),
            "pressure_mbar": measured(870, 1090),
            "visibility_mi": measured(0, 100),
        },
        checks=[first_copy("origin", "hour_utc")],
        strict=True,
    )


def parse_planes(raw: pl.DataFrame) -> pl.DataFrame:
    """The aircraft register: year built, maker, engines, seats."""
    return raw.select(
        _text("tailnum"),
        pl.col("year").cast(pl.Int16, strict=False).alias("built_year"),
        _text("manufacturer"),
        pl.col("engines").cast(pl.Int8, strict=False),
        pl.col("seats").cast(pl.Int16, strict=False),
        _text("engine"),
    )


def plane_schema(_partition: str) -> pa.DataFrameSchema:
    """A plausible register entry."""
    import pandera.polars as pa

    return pa.DataFrameSchema(
        {
            "tailnum": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9A-Z]{5,6}$")),
            "built_year": pa.Column(pl.Int16, pa.Check.in_range(1930, 2030), nullable=True),
            "manufacturer": pa.Column(pl.String),
            "engines": pa.Column(pl.Int8, pa.Check.in_range(1, 8)),
            "seats": pa.Column(pl.Int16, pa.Check.in_range(1, 900)),
            "engine": pa.Column(pl.String, nullable=True),
        },
        checks=[first_copy("tailnum")],
        strict=True,
    )


def parse_airports(raw: pl.DataFrame) -> pl.DataFrame:
    """Where an airport lies and which clock it keeps."""
    return raw.select(
        _text("faa").alias("airport"),
        pl.col("lat").cast(pl.Float64, strict=False).alias("latitude_deg"),
        pl.col("lon").cast(pl.Float64, strict=False).alias("longitude_deg"),
        _text("tzone").alias("zone"),
    )


def airport_schema(_partition: str) -> pa.DataFrameSchema:
    """On American soil, Pacific islands included: one published entry has its latitude and longitude swapped."""
    import pandera.polars as pa

    def known_zone(data: pa.PolarsData) -> pl.LazyFrame:
        names = data.lazyframe.select(pl.col("zone").drop_nulls().unique()).collect()["zone"]
        known = [name for name in names if is_zone(name)]
        return data.lazyframe.select(pl.col("zone").is_null() | pl.col("zone").is_in(known))

    return pa.DataFrameSchema(
        {
            "airport": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9A-Z]{3}$")),
            "latitude_deg": pa.Column(pl.Float64, pa.Check.in_range(-20, 72)),
            "longitude_deg": pa.Column(pl.Float64, pa.Check.in_range(-180, 180)),
            "zone": pa.Column(pl.String, pa.Check(known_zone, name="known_zone"), nullable=True),
        },
        checks=[first_copy("airport")],
        strict=True,
    )


WEATHER = Table(
    name="weather",
    columns=("origin", "year", "month", "day", "hour", *WEATHER_UNITS, "time_hour"),
    partitions=_whole,
    read=_read_csv("weather.csv"),
    parse=parse_weather,
    schema=weather_schema,
    key=("origin", "hour_utc"),
    known=lambda weather: weather["hour_utc"] + WEATHER_KNOWN_AFTER,
    parsed_from={"hour_utc": "time_hour", **{tidy: name for name, tidy in WEATHER_UNITS.items()}},
    form=UNQUOTED,
)
PLANES = Table(
    name="planes",
    columns=PLANE_COLUMNS,
    partitions=_whole,
    read=_read_csv("planes.csv"),
    parse=parse_planes,
    schema=plane_schema,
    key=("tailnum",),
    parsed_from={"built_year": "year", "engines": "engines", "seats": "seats"},
    form=UNQUOTED,
)
AIRPORTS = Table(
    name="airports",
    columns=AIRPORT_COLUMNS,
    partitions=_whole,
    read=_read_csv("airports.csv"),
    parse=parse_airports,
    schema=airport_schema,
    key=("airport",),
    parsed_from={"latitude_deg": "lat", "longitude_deg": "lon"},
    form=UNQUOTED,
)
