"""What was known of an airport's weather when its report of the hour had come in, and how much warmer it became.

All by the hour in UTC, for the sun does not know of clock changes.  A report that is missing is a missing value, never
filled: what looks at that hour is missing too, a mean is that of the hours that are there (half of them at least), and
a forecast whose outcome was not observed has no label.

A line of the line and a line of a request are equal to the bit: sums that move along are taken of whole numbers, for
those of fractions depend on where they began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import cos, sin, tau
from typing import Any

import polars as pl

from stages.datasets.weather.reports import KNOWN_AFTER, MEASURES, STATIONS
from stages.records.contract import Feature

HORIZONS = (1, 3, 6, 12, 24)
RISES = (1, 2, 3, 6, 12, 24, 48)
WINDOWS = (6, 24, 72)
DAYS = 14  # behind the climatology of an hour of the day
LOOKS_BACK = timedelta(hours=24 * DAYS - min(HORIZONS))
NOW, MADE_AT = pl.col("temperature_f"), pl.col("hour_utc") + KNOWN_AFTER
AIRPORTS = tuple(name.lower() for name in STATIONS)
LATITUDE, LONGITUDE_DEG = 40.7 / 360 * tau, -73.9  # of the middle of the three airports
TILT = 23.44 / 360 * tau  # of the axis of the Earth

BY_HORIZON = (
    Feature("horizon", "categorical", "how far ahead the outcome lies", always=True),
    Feature(
        "naive_seasonal", "numeric", "temperature at the outcome's hour a day before, less that of now", always=True
    ),
    Feature("naive_drift", "numeric", "if the slope of the last 24 hours went on", always=True),
    Feature(
        "naive_climatology", "numeric", f"mean at the outcome's hour of the last {DAYS} days, less now", always=True
    ),
    Feature("rise_yesterday_f", "numeric", "how much warmer it became over the same hours a day before", "f"),
    Feature("rise_last_week_f", "numeric", "the mean of that over the last seven days", "f"),
    Feature("outcome_hour_sin", "numeric", "hour of the outcome in UTC, as a point on a circle: sine"),
    Feature("outcome_hour_cos", "numeric", "hour of the outcome in UTC, as a point on a circle: cosine"),
    Feature("sun_at_outcome", "numeric", "sine of the sun's height when the outcome is due, below zero at night"),
    Feature("sun_until_outcome", "numeric", "mean of that over the hours from now to the outcome, nights as zero"),
)
OF_NOW = (
    Feature("series", "categorical", "airport", always=True),
    Feature("temperature_f", "numeric", "temperature now", "f"),
    *(Feature(f"rise_{k}h_f", "numeric", f"temperature now less that {k} hours ago", "f") for k in RISES),
    *(Feature(f"below_mean_{k}h_f", "numeric", f"mean of the last {k} hours less now", "f") for k in WINDOWS),
    *(Feature(f"below_max_{k}h_f", "numeric", f"highest of the last {k} hours less now", "f") for k in WINDOWS),
    *(Feature(f"above_min_{k}h_f", "numeric", f"now less the lowest of the last {k} hours", "f") for k in WINDOWS),
    Feature("dew_point_depression_f", "numeric", "temperature less dew point", "f"),
    Feature("dew_point_rise_6h_f", "numeric", "dew point now less that 6 hours ago", "f"),
    Feature("humidity_pct", "numeric", "relative humidity", "pct"),
    Feature("pressure_mbar", "numeric", "pressure at sea level", "mbar"),
    *(
        Feature(f"pressure_rise_{k}h_mbar", "numeric", f"pressure now less that {k} hours ago", "mbar")
        for k in (3, 6, 24)
    ),
    Feature("wind_from_west_mph", "numeric", "the wind's speed from west to east", "mph"),
    Feature("wind_from_south_mph", "numeric", "the wind's speed from south to north", "mph"),
    Feature("wind_speed_mph", "numeric", "wind speed", "mph"),
    Feature("precipitation_6h_in", "numeric", "rain and snow of the last 6 hours, melted", "in"),
    Feature("visibility_mi", "numeric", "visibility", "mi"),
    *(Feature(f"{name}_warmer_f", "numeric", f"temperature at {name.upper()} less the own", "f") for name in AIRPORTS),
    *(
        Feature(f"{name}_rise_{k}h_f", "numeric", f"temperature at {name.upper()} now less that {k} hours ago", "f")
        for name in AIRPORTS
        for k in (1, 3)
    ),
    Feature("sun_now", "numeric", "sine of the sun's height now, below zero at night"),
)
FEATURES = (*BY_HORIZON, *OF_NOW)


def summarize(reports: pl.DataFrame) -> pl.DataFrame:
    """What rows of other months may know of a month: all of it."""
    return reports.select("hour_utc", "series", *(tidy for tidy, _, _ in MEASURES.values()))


def build_context(summaries: Sequence[pl.DataFrame], _references: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The reports of the months in reach, in any order."""
    return pl.concat(summaries)


def recall(context: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """What had come in at ``at``."""
    return context.filter(pl.col("hour_utc") + KNOWN_AFTER <= at)


def featurize(
    reports: pl.DataFrame, context: pl.DataFrame, last: int | None = None, at: datetime | None = None
) -> pl.DataFrame:
    """Five lines for each report, one a horizon, or for the ``last`` ones.

    The month of ``reports`` is known from them alone, the months around it from ``context``.  A report is what is asked
    from, so a question ``at`` an earlier moment would be none.
    """
    del at
    asked, month = (reports if last is None else reports.tail(last)), pl.col("hour_utc").dt.truncate("1mo")
    others = context.filter(~month.is_in(reports.select(month.unique())["hour_utc"].implode()))
    first, final = (pl.lit(end, pl.Datetime("us")) for end in (asked["hour_utc"].min(), asked["hour_utc"].max()))
    near = pl.col("hour_utc").is_between(first - LOOKS_BACK, final + timedelta(hours=max(HORIZONS)))
    hourly = by_hour(pl.concat([others, summarize(reports)]).filter(near)).with_columns(of_now())
    shared = ["hour_utc", "series", "level", *(feature.name for feature in OF_NOW if feature.name != "series")]
    keys = asked.select("hour_utc", "series").with_row_index("row")
    lines = [
        keys.join(hourly.select(*shared, *of_horizon(hours)), on=["hour_utc", "series"], how="left").with_columns(
            pl.lit(f"{hours} h").alias("horizon"),
            pl.lit(number).alias("place"),
            (MADE_AT + timedelta(hours=hours)).alias("due_at"),
        )
        for number, hours in enumerate(HORIZONS)
    ]
    return (
        pl.concat(lines)
        .sort("row", "place")
        .with_columns(MADE_AT.alias("made_at"), MADE_AT.dt.date().alias("day"))
        .select("hour_utc", "series", "horizon", "made_at", "due_at", "level", "day", "change",
                *(feature.name for feature in FEATURES if feature.name not in ("horizon", "series")))
    )  # fmt: skip


def by_hour(reports: pl.DataFrame) -> pl.DataFrame:
    """A row for every airport and hour between the first and the last report, nulls where there is none.

    Beside it the temperatures of all airports in that hour, and the wind from the west and from the south.
    """
    ends: tuple[Any, Any] = (reports["hour_utc"].min(), reports["hour_utc"].max())
    hours = pl.datetime_range(*ends, "1h", time_unit="us", eager=True) if len(reports) else reports["hour_utc"]
    grid = hours.alias("hour_utc").to_frame().join(pl.DataFrame({"series": STATIONS}), how="cross")
    direction, speed = pl.col("wind_direction_deg") / 360 * tau, pl.col("wind_speed_mph")
    still = pl.when(speed == 0).then(0.0)
    return (
        grid.sort("series", "hour_utc")
        .join(reports, on=["hour_utc", "series"], how="left", maintain_order="left")
        .with_columns(
            *(
                pl.when(pl.col("series") == station).then(NOW).max().over("hour_utc").alias(name)
                for station, name in zip(STATIONS, AIRPORTS, strict=True)
            ),
            west=-still.otherwise(speed * direction.sin()).cast(pl.Float32),
            south=-still.otherwise(speed * direction.cos()).cast(pl.Float32),
        )
    )


def sun_height(at: pl.Expr) -> pl.Expr:
    """Sine of the sun's height over the horizon at a moment in UTC, to a few hundredths: by the mean sun."""
    declination = -TILT * ((at.dt.ordinal_day() + 10) / 365.25 * tau).cos()
    hour_angle = (at.dt.hour() / 24 + at.dt.minute() / 1440 + LONGITUDE_DEG / 360 - 0.5) * tau
    return sin(LATITUDE) * declination.sin() + cos(LATITUDE) * declination.cos() * hour_angle.cos()


def _ago(column: pl.Expr, hours: int) -> pl.Expr:
    return column.shift(hours).over("series")


def _rise(column: pl.Expr, hours: int) -> pl.Expr:
    return column - _ago(column, hours)


def of_now() -> list[pl.Expr]:
    """Of each row of `by_hour`, the value that changes count from and the features that all horizons share."""
    return [
        NOW.cast(pl.Float64).alias("level"),
        NOW,
        *(_rise(NOW, hours).alias(f"rise_{hours}h_f") for hours in RISES),
        *(_below_mean(hours).alias(f"below_mean_{hours}h_f") for hours in WINDOWS),
        *((NOW.rolling_max(h, min_samples=h // 2).over("series") - NOW).alias(f"below_max_{h}h_f") for h in WINDOWS),
        *((NOW - NOW.rolling_min(h, min_samples=h // 2).over("series")).alias(f"above_min_{h}h_f") for h in WINDOWS),
        (NOW - pl.col("dew_point_f")).alias("dew_point_depression_f"),
        _rise(pl.col("dew_point_f"), 6).alias("dew_point_rise_6h_f"),
        pl.col("humidity_pct", "pressure_mbar", "wind_speed_mph", "visibility_mi"),
        *(_rise(pl.col("pressure_mbar"), hours).alias(f"pressure_rise_{hours}h_mbar") for hours in (3, 6, 24)),
        pl.col("west").alias("wind_from_west_mph"),
        pl.col("south").alias("wind_from_south_mph"),
        (_hundredths(pl.col("precipitation_in")).rolling_sum(6, min_samples=3).over("series") / 100)
        .cast(pl.Float32)
        .alias("precipitation_6h_in"),
        *((pl.col(name) - NOW).alias(f"{name}_warmer_f") for name in AIRPORTS),
        *(_rise(pl.col(name), hours).alias(f"{name}_rise_{hours}h_f") for name in AIRPORTS for hours in (1, 3)),
        sun_height(MADE_AT).cast(pl.Float32).alias("sun_now"),
    ]


def of_horizon(hours: int) -> list[pl.Expr]:
    """The features of one horizon, and the label."""
    now = _hundredths(NOW)
    same_hour = [_ago(now, 24 * day - hours) - now for day in range(1, DAYS + 1)]
    week = [_ago(now, 24 * day - hours) - _ago(now, 24 * day) for day in range(1, 8)]
    suns = [sun_height(MADE_AT + timedelta(hours=ahead)) for ahead in range(hours + 1)]
    return [
        (NOW.shift(-hours).over("series").cast(pl.Float64) - NOW.cast(pl.Float64)).alias("change"),
        _in_degrees(same_hour[0]).alias("naive_seasonal"),
        _in_degrees((now - _ago(now, 24)) / 24 * hours).alias("naive_drift"),
        _in_degrees(_mean_of(same_hour)).alias("naive_climatology"),
        _in_degrees(week[0]).alias("rise_yesterday_f"),
        _in_degrees(_mean_of(week)).alias("rise_last_week_f"),
        *_circle((pl.col("hour_utc") + timedelta(hours=hours)).dt.hour() / 24, "outcome_hour"),
        suns[-1].cast(pl.Float32).alias("sun_at_outcome"),
        (pl.sum_horizontal(sun.clip(0) for sun in suns) / len(suns)).cast(pl.Float32).alias("sun_until_outcome"),
    ]


def _hundredths(column: pl.Expr) -> pl.Expr:
    """As published, to the hundredth, in whole numbers."""
    return (column.cast(pl.Float64) * 100).round()


def _in_degrees(hundredths: pl.Expr) -> pl.Expr:
    return (hundredths / 100).cast(pl.Float32)


def _below_mean(hours: int) -> pl.Expr:
    now = _hundredths(NOW)
    return _in_degrees(now.rolling_mean(hours, min_samples=hours // 2).over("series") - now)


def _mean_of(columns: Sequence[pl.Expr]) -> pl.Expr:
    """The mean of each row, null where less than half of it is known."""
    n_known = pl.sum_horizontal(column.is_not_null().cast(pl.Int32) for column in columns)
    return pl.when(2 * n_known >= len(columns)).then(pl.sum_horizontal(columns) / n_known)


def _circle(turn: pl.Expr, name: str) -> list[pl.Expr]:
    return [getattr(turn * tau, way)().cast(pl.Float32).alias(f"{name}_{way}") for way in ("sin", "cos")]
