"""What was known of an airport's weather when its report of the hour had come in, and how much warmer it became.

All by the hour in UTC, for the sun does not know of clock changes.  A report that is missing is a missing value, never
filled: what looks at that hour is missing too, a mean is that of the hours that are there (half of them at least), and
a forecast whose outcome was not observed has no label.
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
LOOKS_BACK = timedelta(days=DAYS + 1)
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
    """The reports of the months in reach."""
    return pl.concat(summaries)


def featurize(
    reports: pl.DataFrame, context: pl.DataFrame, *, last: int | None = None, at: datetime | None = None
) -> pl.DataFrame:
    """Five lines for each report, one a horizon; ``last``: of so many reports at the end alone."""
    asked = reports if last is None else reports.tail(last)
    if at is not None and (asked["hour_utc"] + KNOWN_AFTER > at).any():
        raise ValueError("wanted a question after the report had come in; a forecast starts from what is known")
    hourly = by_hour(pl.concat([context, summarize(reports)]).unique(["hour_utc", "series"], keep="last"))
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
    direction = pl.col("wind_direction_deg") / 360 * tau
    speed = pl.col("wind_speed_mph")
    still = pl.when(speed == 0).then(0.0)
    present = NOW.is_not_null().sum().over("hour_utc")
    others = (NOW.sum().over("hour_utc") - NOW.fill_null(0)) / (present - NOW.is_not_null())
    return grid.join(reports, on=["hour_utc", "series"], how="left", maintain_order="left").with_columns(
        others=pl.when(present > NOW.is_not_null().cast(pl.UInt32)).then(others).cast(pl.Float32),
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
        *((_rolled(hours, "mean") - NOW).alias(f"below_mean_{hours}h_f") for hours in WINDOWS),
        *((_rolled(hours, "max") - NOW).alias(f"below_max_{hours}h_f") for hours in WINDOWS),
        *((NOW - _rolled(hours, "min")).alias(f"above_min_{hours}h_f") for hours in WINDOWS),
        (NOW - pl.col("dew_point_f")).alias("dew_point_depression_f"),
        _rise(pl.col("dew_point_f"), 6).alias("dew_point_rise_6h_f"),
        pl.col("humidity_pct", "pressure_mbar", "wind_speed_mph", "visibility_mi"),
        *(_rise(pl.col("pressure_mbar"), hours).alias(f"pressure_rise_{hours}h_mbar") for hours in (3, 6, 24)),
        pl.col("west").alias("wind_from_west_mph"),
        pl.col("south").alias("wind_from_south_mph"),
        pl.col("precipitation_in").rolling_sum(6, min_samples=3).over("series").alias("precipitation_6h_in"),
        (pl.col("others") - NOW).alias("others_warmer_f"),
        _rise(pl.col("others"), 3).alias("others_rise_3h_f"),
        *_circle(pl.col("hour_utc").dt.ordinal_day() / 365.25, "season"),
    ]


def of_horizon(hours: int) -> list[pl.Expr]:
    """The features of one horizon, and the label."""
    same_hour = [_ago(NOW, 24 * day - hours) for day in range(1, DAYS + 1)]
    week = [_ago(NOW, 24 * day - hours) - _ago(NOW, 24 * day) for day in range(1, 8)]
    outcome_hour = pl.col("hour_utc").dt.offset_by(f"{hours}h").dt.hour()
    return [
        (NOW.shift(-hours).over("series").cast(pl.Float64) - NOW.cast(pl.Float64)).alias("change"),
        (same_hour[0] - NOW).alias("naive_seasonal"),
        (_rise(NOW, 24) / 24 * hours).cast(pl.Float32).alias("naive_drift"),
        (pl.mean_horizontal(same_hour) - NOW).cast(pl.Float32).alias("naive_climatology"),
        week[0].alias("rise_yesterday_f"),
        pl.mean_horizontal(week).cast(pl.Float32).alias("rise_last_week_f"),
        *_circle(outcome_hour / 24, "outcome_hour"),
    ]


def _rolled(hours: int, how: str) -> pl.Expr:
    rolled: pl.Expr = getattr(NOW, f"rolling_{how}")(hours, min_samples=hours // 2)
    return rolled.over("series")


def _circle(turn: pl.Expr, name: str) -> list[pl.Expr]:
    return [getattr(turn * tau, way)().cast(pl.Float32).alias(f"{name}_{way}") for way in ("sin", "cos")]
