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
from math import tau
from typing import Any

import polars as pl

from stages.datasets.weather.reports import KNOWN_AFTER, MEASURES, STATIONS
from stages.records.contract import Feature

HORIZONS = (1, 3, 6, 12, 24)
RISES = (1, 2, 3, 6, 12, 24, 48)
WINDOWS = (6, 24, 72)
DAYS = 14  # behind the climatology of an hour of the day
LOOKS_BACK = timedelta(hours=24 * DAYS - min(HORIZONS))
NOW = pl.col("temperature_f")

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
    Feature("others_warmer_f", "numeric", "mean temperature of the other airports less the own", "f"),
    Feature("others_rise_3h_f", "numeric", "the other airports' mean now less that 3 hours ago", "f"),
    Feature("season_sin", "numeric", "day of the year, as a point on a circle: sine"),
    Feature("season_cos", "numeric", "day of the year, as a point on a circle: cosine"),
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
    hourly = by_hour(pl.concat([others, summarize(reports)]))
    keys = asked.select("hour_utc", "series").with_row_index("row")
    lines = [
        keys.join(
            hourly.select("hour_utc", "series", *of_now(), *of_horizon(hours)), on=["hour_utc", "series"], how="left"
        ).with_columns(
            pl.lit(f"{hours} h").alias("horizon"),
            pl.lit(number).alias("place"),
            (pl.col("hour_utc") + KNOWN_AFTER + timedelta(hours=hours)).alias("due_at"),
        )
        for number, hours in enumerate(HORIZONS)
    ]
    made_at = pl.col("hour_utc") + KNOWN_AFTER
    return (
        pl.concat(lines)
        .sort("row", "place")
        .with_columns(made_at.alias("made_at"), made_at.dt.date().alias("day"))
        .select("hour_utc", "series", "horizon", "made_at", "due_at", "level", "day", "change",
                *(feature.name for feature in FEATURES if feature.name not in ("horizon", "series")))
    )  # fmt: skip


def by_hour(reports: pl.DataFrame) -> pl.DataFrame:
    """A row for every airport and hour between the first and the last report, nulls where there is none."""
    if reports.is_empty():
        return reports.with_columns(pl.lit(None, pl.Float32).alias(name) for name in ("others", "west", "south"))
    ends: tuple[Any, Any] = (reports["hour_utc"].min(), reports["hour_utc"].max())
    hours = pl.datetime_range(*ends, "1h", time_unit="us", eager=True).alias("hour_utc").to_frame()
    grid = hours.join(pl.DataFrame({"series": STATIONS}), how="cross").sort("series", "hour_utc")
    direction, speed = pl.col("wind_direction_deg") / 360 * tau, pl.col("wind_speed_mph")
    still = pl.when(speed == 0).then(0.0)
    now = _hundredths(NOW)
    n_others = NOW.is_not_null().sum().over("hour_utc") - NOW.is_not_null()
    others = (now.sum().over("hour_utc") - now.fill_null(0)) / n_others / 100
    return grid.join(reports, on=["hour_utc", "series"], how="left", maintain_order="left").with_columns(
        others=pl.when(n_others > 0).then(others).cast(pl.Float32),
        west=-still.otherwise(speed * direction.sin()).cast(pl.Float32),
        south=-still.otherwise(speed * direction.cos()).cast(pl.Float32),
    )


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
        (pl.col("others") - NOW).alias("others_warmer_f"),
        _rise(pl.col("others"), 3).alias("others_rise_3h_f"),
        *_circle(pl.col("hour_utc").dt.ordinal_day() / 365.25, "season"),
    ]


def of_horizon(hours: int) -> list[pl.Expr]:
    """The features of one horizon, and the label."""
    now = _hundredths(NOW)
    same_hour = [_ago(now, 24 * day - hours) - now for day in range(1, DAYS + 1)]
    week = [_ago(now, 24 * day - hours) - _ago(now, 24 * day) for day in range(1, 8)]
    outcome_hour = pl.col("hour_utc").dt.offset_by(f"{hours}h").dt.hour()
    return [
        (NOW.shift(-hours).over("series").cast(pl.Float64) - NOW.cast(pl.Float64)).alias("change"),
        _in_degrees(same_hour[0]).alias("naive_seasonal"),
        _in_degrees((now - _ago(now, 24)) / 24 * hours).alias("naive_drift"),
        _in_degrees(_mean_of(same_hour)).alias("naive_climatology"),
        _in_degrees(week[0]).alias("rise_yesterday_f"),
        _in_degrees(_mean_of(week)).alias("rise_last_week_f"),
        *_circle(outcome_hour / 24, "outcome_hour"),
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
