"""The published hourly reports: read by month, parsed to tidy columns, judged row by row.

26,115 routine reports of EWR, JFK and LGA in 2013; 24 to 27 hours of each airport are missing.  The report under the
hour h was observed 51 minutes past it, so it is known from one hour later on.  ``time_hour`` is UTC and never repeats;
the published local hour does, when clocks go back, and follows from it.  A partition is a month in UTC, so that no hour
can be in two of them, and a month that arrives touches its own lines and the last day's outcomes of the one before.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.records.contract import Table
from stages.records.lines import Format, lacking_words, read_lines

if TYPE_CHECKING:
    import pandera.polars as pa

FILE = "weather.csv"
STATIONS = ("EWR", "JFK", "LGA")
KNOWN_AFTER = timedelta(hours=1)
UNQUOTED = Format(quotes=False)
"""The publisher quotes nothing: a stray quote is a wrong character, which no check lets pass."""
MEASURES = {  # published column → tidy column with its unit, and the range in which a report can be right
    "temp": ("temperature_f", -60, 130),
    "dewp": ("dew_point_f", -60, 100),
    "humid": ("humidity_pct", 0, 100),
    "wind_dir": ("wind_direction_deg", 0, 360),
    "wind_speed": ("wind_speed_mph", 0, 150),
    "wind_gust": ("wind_gust_mph", 0, 200),
    "precip": ("precipitation_in", 0, 10),
    "pressure": ("pressure_mbar", 870, 1090),
    "visib": ("visibility_mi", 0, 100),
}
COLUMNS = ("origin", "year", "month", "day", "hour", *MEASURES, "time_hour")
HOUR = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False, time_unit="us")
LOCAL = HOUR.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
MONTH = pl.col("time_hour").str.extract(r"^(\d{4}-(?:0[1-9]|1[0-2]))-")


def months(raw: Path) -> list[str]:
    """Months present in the published file, as YYYY-MM."""
    found: list[str] = _published(raw).select(MONTH.alias("month"))["month"].unique().drop_nulls().sort().to_list()
    return found


def read_reports(raw: Path, partition: str) -> pl.DataFrame:
    """The published rows of one month, as text; the first month also carries the rows that name no month."""
    published = _published(raw)
    month = published.select(MONTH.alias("month"))["month"]
    mine = month == partition
    return published.filter(mine | month.is_null() if partition == month.min() else mine.fill_null(False))


def _published(raw: Path) -> pl.DataFrame:
    with (raw / FILE).open("rb") as lines:
        published = read_lines(lines, form=UNQUOTED)
    if lacking := lacking_words(published.columns, COLUMNS):
        raise ValueError(lacking)
    return published


def parse_reports(raw: pl.DataFrame) -> pl.DataFrame:
    """Typed columns with units in their names."""
    series = pl.when(~pl.col("origin").is_in(["", "NA"])).then(pl.col("origin"))
    return raw.select(
        HOUR.alias("hour_utc"),
        series.alias("series"),
        *(pl.col(name).cast(pl.Float32, strict=False).alias(tidy) for name, (tidy, _, _) in MEASURES.items()),
    )


def report_schema(_partition: str) -> pa.DataFrameSchema:
    """Physical bounds; the file holds a wind of 1,048 mph (EWR, 12 February) that no anemometer saw."""
    import pandera.polars as pa  # most of a second to import; only `clean` validates

    first = pa.Check(
        lambda data: data.lazyframe.select(pl.struct("hour_utc", "series").is_first_distinct()), name="unique"
    )
    return pa.DataFrameSchema(
        {
            "hour_utc": pa.Column(
                pl.Datetime("us"), pa.Check(lambda data: _on_the_hour(data.lazyframe, data.key), name="on_the_hour")
            ),
            "series": pa.Column(pl.String, pa.Check.isin(STATIONS)),
            **{
                tidy: pa.Column(pl.Float32, pa.Check.in_range(low, high), nullable=True)
                for tidy, low, high in MEASURES.values()
            },
        },
        checks=[first],
        strict=True,
    )


def _on_the_hour(rows: pl.LazyFrame, column: str) -> pl.LazyFrame:
    return rows.select(pl.col(column) == pl.col(column).dt.truncate("1h"))


REPORTS = Table(
    name="reports",
    columns=COLUMNS,
    partitions=months,
    read=read_reports,
    parse=parse_reports,
    schema=report_schema,
    key=("hour_utc", "series"),
    parsed_from={"hour_utc": "time_hour", **{tidy: name for name, (tidy, _, _) in MEASURES.items()}},
    form=UNQUOTED,
    partition_of=MONTH,
    derived={
        "year": LOCAL.dt.year().cast(pl.String),
        "month": LOCAL.dt.month().cast(pl.String),
        "day": LOCAL.dt.day().cast(pl.String),
        "hour": LOCAL.dt.hour().cast(pl.String),
    },
)
