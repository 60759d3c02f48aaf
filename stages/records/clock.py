"""How does a local wall clock become an instant?  Time zones, clock changes and times written as hhmm."""

from __future__ import annotations

import polars as pl

MINUTES_PER_DAY = 1440


def minute_of_day(hhmm: pl.Expr) -> pl.Expr:
    """Minutes since midnight from whole numbers such as 5 (00:05), 517 or 2400 (midnight at the end: 1440).

    Null where the number is no time of day: minutes beyond 59, negative, or later than 2400.
    """
    minutes = hhmm // 100 * 60 + hhmm % 100
    is_time = (hhmm >= 0) & (hhmm <= 2400) & (hhmm % 100 < 60)
    return pl.when(is_time).then(minutes)


def local_to_utc(day: pl.Expr, minute: pl.Expr, zone: str) -> pl.Expr:
    """The instant (naive UTC datetime, microseconds) at ``minute`` of the local ``day`` in one IANA time zone.

    A wall-clock time that occurs twice (clocks set back) is taken as the first; one that never occurs (clocks set
    forward) becomes null.
    """
    wall = day.cast(pl.Datetime("us")) + pl.duration(minutes=minute)
    aware = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return aware.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def utc_to_local_day(instant: pl.Expr, zone: str) -> pl.Expr:
    """The local calendar day of a naive UTC instant."""
    return instant.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()


def is_zone(name: str) -> bool:
    """Whether ``name`` is a time zone that conversions know."""
    try:
        pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(name)
    except pl.exceptions.ComputeError:
        return False
    return name != ""  # which Polars takes for no zone at all


def utc_offset_min(day: pl.DataFrame, zones: pl.DataFrame) -> pl.DataFrame:
    """Minutes east of UTC at local noon of ``day``, for each distinct pair of ``day`` and ``zone``.

    ``zones`` has a column ``zone`` of IANA names; the result has columns day, zone, utc_offset_min.
    """
    pairs = day.select("day").unique().join(zones.select("zone").drop_nulls().unique(), how="cross")
    noon = pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=12)
    parts = [
        group.with_columns(
            ((noon - local_to_utc(pl.col("day"), pl.lit(720), str(zone))).dt.total_minutes()).alias("utc_offset_min")
        )
        for (zone,), group in pairs.group_by("zone", maintain_order=True)
    ]
    empty = pairs.with_columns(pl.lit(None, pl.Int64).alias("utc_offset_min"))
    return pl.concat(parts) if parts else empty
